/* The table of stream/snapshots.h, cell by cell. */
#include "unit.h"

#include <stdio.h>

#include "base/times.h"
#include "link_stub.h"
#include "store/status.h"
#include "store/keys.h"
#include "stream/snapshots.h"
#include "stream/subscriptions.h"

static struct context context;
static struct subscriptions subscriptions;
static struct subscription subscription;
static struct snapshots all;
static struct view view;
static struct due owner;
static uint64_t set;
static struct outbox shown;

static void watch(unsigned users)
{
	for (unsigned i = 1; i <= users; i++) {
		char id[16];

		snprintf(id, sizeof id, "%u", i);
		subscription_join(&subscriptions, &subscription, CHANNEL_STATUS, id);
	}
}

/* After stub_init() or the like. */
static void begin(void)
{
	subscriptions_init(&subscriptions, &context);
	snapshots_init(&all, &context);
	memset(&owner, 0, sizeof owner);
	memset(&shown, 0, sizeof shown);
	set = 0;
	subscription_init(&subscription, &owner, &set);
	view_init(&view, &owner, &subscription.subscriber);
}

static void setup(void)
{
	stub_init(&context);
	begin();
	watch(1);
	turn_unmark(&context.turn, &owner);
}

static void teardown(void)
{
	view_close(&all, &view);
	subscription_close(&subscriptions, &subscription);
	turn_unmark(&context.turn, &owner);
	outbox_clear(&shown);
	stub_lose(&context);
	snapshots_free(&all);
	subscriptions_free(&subscriptions);
	stub_free(&context);
}

static void check_state(enum view_state expected)
{
	ck_assert_str_eq(state_name(&view_states, view.state), state_name(&view_states, expected));
}

/* Answers the oldest MGET: nobody has any key, and this is the epoch, as RESP has it. */
static void answer_of(const char *epoch)
{
	unsigned keys = stub_oldest_argc(&context) - 1;
	char resp[8192];
	int len = snprintf(resp, sizeof resp, "*%u\r\n$-1\r\n%s", keys, epoch);

	for (unsigned i = 2; i < keys; i++)
		len += snprintf(resp + len, sizeof resp - (size_t)len, "$-1\r\n");
	stub_answer(&context, resp);
}

#define EPOCH_RESP "$5\r\n" STUB_EPOCH "\r\n"

static void answer(void)
{
	answer_of(EPOCH_RESP);
}

/* The same: the one user is busy, and says so. */
static void answer_seen(void)
{
	static const char status[] = "{\"user_id\":1,\"is_online\":true,\"status\":\"busy\","
				     "\"version\":7,\"text\":\"Hi\"}";
	char resp[256];

	snprintf(resp, sizeof resp,
		 "*6\r\n$-1\r\n" EPOCH_RESP "$%zu\r\n%s\r\n$-1\r\n$-1\r\n$-1\r\n", strlen(status),
		 status);
	stub_answer(&context, resp);
}

static void show(void)
{
	view_show(&all, &view, &shown);
}

/* Brings the view, new until then, into a state; the owner is not due after that. */
static void bring_to(enum view_state state)
{
	if (state >= VIEW_MISSING)
		view_open(&all, &view);
	if (state >= VIEW_QUEUED)
		view_queue(&all, &view);
	if (state >= VIEW_ASKED)
		snapshots_flush(&all);
	if (state >= VIEW_READY)
		answer();
	if (state >= VIEW_CURRENT)
		show();
	if (state >= VIEW_OVERRUN)
		view_overrun(&all, &view, false);
	check_state(state);
	turn_unmark(&context.turn, &owner);
}

static struct frame *change(void)
{
	return events_status_change("{}", 2);
}

/* The text of what was shown, without the FastCGI headers of its frames. */
static const char *shown_text(unsigned index)
{
	static char text[16384];
	const struct frame *frame = (shown.many != NULL ? shown.many : shown.few)[index];

	snprintf(text, sizeof text, "%.*s", (int)frame->len - 8, (const char *)frame->records + 8);
	return text;
}

START_TEST(an_opened_stream_misses_its_view)
{
	view_open(&all, &view);
	check_state(VIEW_MISSING);
	ck_assert(owner.queued);
}
END_TEST

START_TEST(what_is_wanted_is_queued_and_asked_at_the_flush)
{
	bring_to(VIEW_MISSING);
	view_queue(&all, &view);
	check_state(VIEW_QUEUED);
	snapshots_flush(&all);
	check_state(VIEW_ASKED);
	ck_assert_uint_eq(stub_waiting(&context), 1);
	ck_assert(TAILQ_EMPTY(&all.queue));
}
END_TEST

START_TEST(the_answer_makes_it_ready)
{
	bring_to(VIEW_ASKED);
	answer();
	check_state(VIEW_READY);
	ck_assert_msg(owner.queued, "nobody was told");
}
END_TEST

START_TEST(it_is_ready_when_the_last_of_several_parts_is_answered)
{
	subscription_exchange(&subscriptions, &subscription);
	watch(700);
	bring_to(VIEW_ASKED);
	ck_assert_uint_eq(stub_waiting(&context), 3);
	ck_assert_uint_ge(stub_oldest_argc(&context), 333 * STATUS_KEYS);
	answer();
	answer();
	check_state(VIEW_ASKED);
	answer();
	check_state(VIEW_READY);
}
END_TEST

START_TEST(what_is_cached_needs_no_question)
{
	bring_to(VIEW_CURRENT);
	view_reset(&all, &view);
	view_queue(&all, &view);
	snapshots_flush(&all);
	check_state(VIEW_READY);
	ck_assert_uint_eq(stub_waiting(&context), 0);
}
END_TEST

START_TEST(after_a_gap_nothing_is_cached)
{
	bring_to(VIEW_CURRENT);
	statuses_forget(&context.partitions[0]);
	view_reset(&all, &view);
	view_queue(&all, &view);
	snapshots_flush(&all);
	check_state(VIEW_ASKED);
	ck_assert_uint_eq(stub_waiting(&context), 1);
}
END_TEST

START_TEST(what_is_cached_of_one_user_is_not_told_of_another)
{
	bring_to(VIEW_CURRENT);
	/* Its topic goes, and another one gets the number. */
	subscription_exchange(&subscriptions, &subscription);
	subscription_join(&subscriptions, &subscription, CHANNEL_STATUS, "2");
	view_reset(&all, &view);
	view_queue(&all, &view);
	snapshots_flush(&all);
	check_state(VIEW_ASKED);
	ck_assert_uint_eq(stub_waiting(&context), 1);
}
END_TEST

START_TEST(a_message_since_the_question_makes_it_ask_again)
{
	bring_to(VIEW_CURRENT);
	hub_topic_at(&context.hub, &subscription.subscriber, 0)->changed_ms = times_mono_ms();
	view_reset(&all, &view);
	view_queue(&all, &view);
	snapshots_flush(&all);
	check_state(VIEW_ASKED);
	ck_assert_uint_eq(stub_waiting(&context), 1);
}
END_TEST

START_TEST(showing_makes_it_current)
{
	static const char start[] = "event: initial\ndata: {\"1\":{\"user_id\":1,";

	bring_to(VIEW_READY);
	view.told_degraded = true;
	show();
	check_state(VIEW_CURRENT);
	ck_assert(!view.told_degraded);
	ck_assert_uint_eq(shown.count, 1);
	ck_assert_msg(strncmp(shown_text(0), start, strlen(start)) == 0, "%s", shown_text(0));
}
END_TEST

/* Of a block one hears last; the view need not be asked for again. */
START_TEST(whom_a_block_hides_when_it_is_shown_looks_like_nobody)
{
	static const char hidden[] = "{\"1\":{\"user_id\":1,\"is_online\":false,\"status\":"
				     "\"offline\",\"last_seen\":null,\"version\":0}}";

	bring_to(VIEW_ASKED);
	answer_seen();
	check_state(VIEW_READY);
	hub_hide(&context.hub, &subscription.subscriber, 0, HUB_BLOCKED_BY);
	show();
	ck_assert_msg(strstr(shown_text(0), hidden) != NULL, "%s", shown_text(0));
	/* And is shown by the same answer when it is not hidden any more. */
	hub_hide(&context.hub, &subscription.subscriber, 0, 0);
	view_reset(&all, &view);
	view_queue(&all, &view);
	snapshots_flush(&all);
	check_state(VIEW_READY);
	show();
	ck_assert_msg(strstr(shown_text(1), "\"is_online\":true,\"status\":\"busy\"") != NULL &&
			      strstr(shown_text(1), ",\"text\":\"Hi\"}}") != NULL,
		      "%s", shown_text(1));
}
END_TEST

START_TEST(changes_are_held_until_initial_and_follow_it)
{
	struct frame *first = change(), *second = change();

	bring_to(VIEW_ASKED);
	view_hold(&view, first);
	ck_assert_uint_eq(view_held(&view), first->len);
	answer();
	view_hold(&view, second);
	ck_assert_uint_eq(view_held(&view), first->len + second->len);
	show();
	ck_assert_uint_eq(view_held(&view), 0);
	ck_assert_uint_eq(shown.count, 3);
	ck_assert_ptr_eq((shown.many != NULL ? shown.many : shown.few)[1], first);
	ck_assert_ptr_eq((shown.many != NULL ? shown.many : shown.few)[2], second);
	frame_unref(first);
	frame_unref(second);
}
END_TEST

START_TEST(no_room_for_a_frame_overruns_it)
{
	bring_to((enum view_state)_i);
	view_overrun(&all, &view, false);
	check_state(VIEW_OVERRUN);
	ck_assert_ptr_null(view.draft);
	ck_assert_uint_eq(all.overruns, 1u);
	view_caught_up(&all, &view);
	check_state(VIEW_MISSING);
	ck_assert(owner.queued);
}
END_TEST

START_TEST(no_room_on_an_idle_connection_is_a_new_snapshot)
{
	bring_to((enum view_state)_i);
	view_overrun(&all, &view, true);
	check_state(VIEW_MISSING);
	ck_assert_ptr_null(view.draft);
}
END_TEST

START_TEST(a_reset_wants_a_new_snapshot_in_every_state_but_two)
{
	static const enum view_state after[] = {VIEW_NONE,    VIEW_MISSING, VIEW_MISSING,
						VIEW_MISSING, VIEW_MISSING, VIEW_MISSING,
						VIEW_OVERRUN};

	bring_to((enum view_state)_i);
	view_reset(&all, &view);
	check_state(after[_i]);
	ck_assert(TAILQ_EMPTY(&all.queue));
	ck_assert_ptr_null(view.draft);
}
END_TEST

START_TEST(the_answer_to_a_withdrawn_question_reaches_nobody)
{
	bring_to(VIEW_ASKED);
	view_reset(&all, &view);
	answer();
	check_state(VIEW_MISSING);
	ck_assert_uint_eq(all.statuses.asked, 0);
	view_queue(&all, &view);
	snapshots_flush(&all);
	check_state(VIEW_ASKED);
	ck_assert_uint_eq(stub_waiting(&context), 1);
}
END_TEST

START_TEST(a_question_lost_with_the_link_leaves_it_to_the_reset)
{
	bring_to(VIEW_ASKED);
	stub_lose(&context);
	check_state(VIEW_ASKED);
	view_reset(&all, &view);
	check_state(VIEW_MISSING);
}
END_TEST

/* A gap follows: the sweep finds the other epoch, too. */
START_TEST(an_answer_of_a_wiped_redis_leaves_it_to_the_reset)
{
	static const char *const epochs[] = {"$-1\r\n", "$5\r\nother\r\n"};

	bring_to(VIEW_ASKED);
	answer_of(epochs[_i]);
	ck_assert_ptr_null(stub_lost_why(&context));
	check_state(VIEW_ASKED);
	view_reset(&all, &view);
	check_state(VIEW_MISSING);
	view_queue(&all, &view);
	snapshots_flush(&all);
	ck_assert_uint_eq(stub_waiting(&context), 1); /* and nothing of it is cached */
	answer();
	check_state(VIEW_READY);
}
END_TEST

START_TEST(an_answer_that_is_not_one_gives_up_the_link)
{
	bring_to(VIEW_ASKED);
	stub_answer(&context, "*1\r\n$-1\r\n");
	ck_assert_str_eq(stub_lost_why(&context), "a snapshot failed");
	check_state(VIEW_ASKED);
}
END_TEST

static bool holds(uint64_t heard)
{
	struct frame *frame = change();
	bool is_held;

	frame->about = 1;
	frame->heard = heard;
	is_held = view_holds(&view, frame);
	frame_unref(frame);
	return is_held;
}

START_TEST(a_view_holds_what_was_heard_before_it_was_asked_for)
{
	all.heard = 7;
	bring_to(VIEW_ASKED);
	all.heard = 8;
	ck_assert(holds(7));
	ck_assert(!holds(8));
	view_reset(&all, &view);
	view_follow(&all, &view);
	ck_assert(holds(8));
	ck_assert(!holds(9));
}
END_TEST

/* Keeps a change for the end of an interval; false: it is to be sent. */
static bool keep(void)
{
	struct frame *frame = change();
	bool is_kept;

	frame->about = 1;
	is_kept = view_keep(&all, &view, frame);
	frame_unref(frame);
	return is_kept;
}

static void end_by_reset(void)
{
	view_reset(&all, &view);
}

static void end_by_overrun(void)
{
	view_overrun(&all, &view, false);
}

static void end_by_closing(void)
{
	view_close(&all, &view);
}

START_TEST(what_waits_for_an_intervals_end_goes_with_the_view_that_it_was_for)
{
	static void (*const ends[])(void) = {end_by_reset, end_by_overrun, end_by_closing};

	context.config->stream.interval_ms = 60000;
	bring_to(VIEW_CURRENT);
	outbox_clear(&shown);
	ck_assert(!keep());
	ck_assert(keep());
	ck_assert_uint_gt(view_held(&view), 0);
	ends[_i]();
	ck_assert_uint_eq(view_held(&view), 0);
	view_take(&all, &view, &shown);
	ck_assert_uint_eq(shown.count, 0);
}
END_TEST

START_TEST(closing_ends_it_in_every_state)
{
	bring_to((enum view_state)_i);
	view_close(&all, &view);
	check_state(VIEW_NONE);
	ck_assert(TAILQ_EMPTY(&all.queue));
	ck_assert_ptr_null(view.draft);
}
END_TEST

START_TEST(a_partition_that_is_lost_leaves_who_has_seen_all_with_the_others)
{
	enum view_state state = (enum view_state)_i;

	bring_to(state);
	view_lost(&all, &view);
	check_state(state == VIEW_NONE || state == VIEW_CURRENT || state == VIEW_OVERRUN
			    ? state
			    : VIEW_MISSING);
}
END_TEST

START_TEST(changes_may_be_passed_on_without_initial)
{
	bring_to(VIEW_MISSING);
	view_follow(&all, &view);
	check_state(VIEW_CURRENT);
	view_reset(&all, &view);
	check_state(VIEW_MISSING);
}
END_TEST

/* Users 1 and 2 are in different ones of 8. */
START_TEST(each_partition_is_asked_about_its_own_users)
{
	teardown();
	stub_init_divided(&context, 8, 1);
	begin();
	watch(100);
	bring_to(VIEW_ASKED);
	ck_assert_uint_eq(stub_waiting(&context), 8);
	for (int i = 0; i < 7; i++)
		answer();
	check_state(VIEW_ASKED);
	answer();
	check_state(VIEW_READY);
	show();
	ck_assert_ptr_nonnull(strstr(shown_text(0), "\"1\":"));
	ck_assert_ptr_nonnull(strstr(shown_text(0), ",\"2\":"));
}
END_TEST

/* --- another stream's view ------------------------------------------------------------------- */

static struct subscription other;
static struct view its_view;
static struct due its_owner;
static uint64_t its_set;

/* It watches these users and has asked for what it does not get otherwise. */
static void other_asks(const char *first, const char *second)
{
	memset(&its_owner, 0, sizeof its_owner);
	its_owner.number = 1;
	its_set = 0;
	subscription_init(&other, &its_owner, &its_set);
	view_init(&its_view, &its_owner, &other.subscriber);
	subscription_join(&subscriptions, &other, CHANNEL_STATUS, first);
	if (second != NULL)
		subscription_join(&subscriptions, &other, CHANNEL_STATUS, second);
	view_open(&all, &its_view);
	view_queue(&all, &its_view);
	snapshots_flush(&all);
}

static void other_leaves(void)
{
	view_close(&all, &its_view);
	subscription_close(&subscriptions, &other);
	turn_unmark(&context.turn, &its_owner);
}

/* Else the order would tell whom others have asked about just now. */
START_TEST(the_order_does_not_tell_what_was_cached)
{
	static const char start[] = "event: initial\ndata: {\"2\":", next[] = ",\"1\":";

	bring_to(VIEW_CURRENT);
	other_asks("2", "1");
	ck_assert_uint_eq(stub_oldest_argc(&context), 1 + 2 + STATUS_KEYS); /* 1 is known */
	answer();
	view_show(&all, &its_view, &shown);
	ck_assert_msg(strncmp(shown_text(1), start, strlen(start)) == 0 &&
			      strstr(shown_text(1), next) != NULL,
		      "%s", shown_text(1));
	other_leaves();
}
END_TEST

START_TEST(a_user_whom_two_want_is_asked_about_once)
{
	bring_to(VIEW_QUEUED);
	other_asks("2", "1"); /* in one turn */
	ck_assert_uint_eq(stub_waiting(&context), 1);
	ck_assert_uint_eq(stub_oldest_argc(&context), 1 + 2 + 2 * STATUS_KEYS);
	answer();
	check_state(VIEW_READY);
	ck_assert_int_eq(its_view.state, VIEW_READY);
	other_leaves();
}
END_TEST

START_TEST(an_answer_under_way_serves_who_comes_later)
{
	bring_to(VIEW_ASKED);
	other_asks("1", NULL);
	ck_assert_uint_eq(stub_waiting(&context), 1);
	ck_assert_int_eq(its_view.state, VIEW_ASKED);
	answer();
	check_state(VIEW_READY);
	ck_assert_int_eq(its_view.state, VIEW_READY);
	other_leaves();
}
END_TEST

START_TEST(an_answer_under_way_is_too_old_after_a_message)
{
	bring_to(VIEW_ASKED);
	hub_topic_at(&context.hub, &subscription.subscriber, 0)->changed_ms = times_mono_ms();
	other_asks("1", NULL);
	ck_assert_uint_eq(stub_waiting(&context), 2);
	answer();
	check_state(VIEW_READY); /* it has held the message */
	ck_assert_int_eq(its_view.state, VIEW_ASKED);
	answer();
	ck_assert_int_eq(its_view.state, VIEW_READY);
	other_leaves();
}
END_TEST

START_TEST(who_withdraws_a_question_leaves_it_to_the_others)
{
	bring_to(VIEW_ASKED);
	other_asks("1", NULL);
	view_close(&all, &view);
	answer();
	ck_assert_int_eq(its_view.state, VIEW_READY);
	other_leaves();
}
END_TEST

START_TEST(an_answer_that_is_lost_serves_nobody)
{
	bring_to(VIEW_ASKED);
	stub_lose(&context);
	stub_recover(&context);
	other_asks("1", NULL);
	ck_assert_uint_eq(stub_waiting(&context), 1);
	answer();
	ck_assert_int_eq(its_view.state, VIEW_READY);
	check_state(VIEW_ASKED);
	other_leaves();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("view");
	TCase *tcase = tcase_create("view");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, an_opened_stream_misses_its_view);
	tcase_add_test(tcase, what_is_wanted_is_queued_and_asked_at_the_flush);
	tcase_add_test(tcase, the_answer_makes_it_ready);
	tcase_add_test(tcase, it_is_ready_when_the_last_of_several_parts_is_answered);
	tcase_add_test(tcase, what_is_cached_needs_no_question);
	tcase_add_test(tcase, after_a_gap_nothing_is_cached);
	tcase_add_test(tcase, what_is_cached_of_one_user_is_not_told_of_another);
	tcase_add_test(tcase, the_order_does_not_tell_what_was_cached);
	tcase_add_test(tcase, a_user_whom_two_want_is_asked_about_once);
	tcase_add_test(tcase, an_answer_under_way_serves_who_comes_later);
	tcase_add_test(tcase, an_answer_under_way_is_too_old_after_a_message);
	tcase_add_test(tcase, who_withdraws_a_question_leaves_it_to_the_others);
	tcase_add_test(tcase, an_answer_that_is_lost_serves_nobody);
	tcase_add_test(tcase, a_message_since_the_question_makes_it_ask_again);
	tcase_add_test(tcase, showing_makes_it_current);
	tcase_add_test(tcase, whom_a_block_hides_when_it_is_shown_looks_like_nobody);
	tcase_add_test(tcase, changes_are_held_until_initial_and_follow_it);
	tcase_add_loop_test(tcase, no_room_for_a_frame_overruns_it, VIEW_MISSING, VIEW_OVERRUN);
	tcase_add_loop_test(tcase, no_room_on_an_idle_connection_is_a_new_snapshot, VIEW_MISSING,
			    VIEW_OVERRUN);
	tcase_add_loop_test(tcase, a_reset_wants_a_new_snapshot_in_every_state_but_two, VIEW_NONE,
			    VIEW_OVERRUN + 1);
	tcase_add_test(tcase, the_answer_to_a_withdrawn_question_reaches_nobody);
	tcase_add_test(tcase, a_question_lost_with_the_link_leaves_it_to_the_reset);
	tcase_add_loop_test(tcase, an_answer_of_a_wiped_redis_leaves_it_to_the_reset, 0, 2);
	tcase_add_test(tcase, an_answer_that_is_not_one_gives_up_the_link);
	tcase_add_loop_test(
		tcase, what_waits_for_an_intervals_end_goes_with_the_view_that_it_was_for, 0, 3);
	tcase_add_test(tcase, a_view_holds_what_was_heard_before_it_was_asked_for);
	tcase_add_loop_test(tcase, closing_ends_it_in_every_state, VIEW_NONE, VIEW_OVERRUN + 1);
	tcase_add_loop_test(tcase, a_partition_that_is_lost_leaves_who_has_seen_all_with_the_others,
			    VIEW_NONE, VIEW_OVERRUN + 1);
	tcase_add_test(tcase, changes_may_be_passed_on_without_initial);
	tcase_add_test(tcase, each_partition_is_asked_about_its_own_users);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
