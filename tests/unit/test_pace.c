/* The table of stream/pace.h, cell by cell. */
#include "unit.h"

#include "base/times.h"
#include "stream/events.h"
#include "stream/pace.h"

#define INTERVAL 20 /* ms */
#define READERS 3

static struct event_base *base;
static struct turn turn;
static struct paces all;
static struct pace paces[READERS], *const pace = paces;
static struct due owners[READERS];
static struct outbox sent;

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	turn_begin(&turn);
}

static void setup(void)
{
	base = event_base_new();
	turn_init(&turn, base, on_turn, NULL);
	paces_init(&all, base, &turn);
	memset(&sent, 0, sizeof sent);
	memset(owners, 0, sizeof owners);
	for (unsigned i = 0; i < READERS; i++)
		pace_init(&paces[i], &owners[i]);
}

static void teardown(void)
{
	for (unsigned i = 0; i < READERS; i++) {
		pace_stop(&all, &paces[i]);
		turn_unmark(&turn, &owners[i]);
	}
	outbox_clear(&sent);
	paces_free(&all);
	turn_free(&turn);
	event_base_free(base);
}

static void check_state(enum pace_state expected)
{
	ck_assert_str_eq(state_name(&pace_states, pace->state), state_name(&pace_states, expected));
}

/* A change of a user; whether it is kept. */
static bool change(struct pace *of, unsigned user)
{
	struct frame *frame = events_status_change("{}", 2);
	bool is_kept;

	frame->about = user;
	is_kept = pace_keep(&all, of, frame, INTERVAL);
	frame_unref(frame);
	return is_kept;
}

/* The loop runs until no interval does. */
static void wait_for_ends(void)
{
	int64_t limit = times_mono_ms() + 5000;

	while (!TAILQ_EMPTY(&all.running) && times_mono_ms() < limit)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_msg(TAILQ_EMPTY(&all.running), "an interval of %d ms did not end in 5 s",
		      INTERVAL);
}

static void bring_to(enum pace_state state)
{
	if (state >= PACE_RUNNING)
		change(pace, 1);
	if (state >= PACE_OVER) {
		change(pace, 1);
		wait_for_ends();
	}
	check_state(state);
}

START_TEST(the_first_change_is_sent_and_later_ones_are_kept)
{
	ck_assert(!change(pace, 1));
	check_state(PACE_RUNNING);
	ck_assert(change(pace, 1));
	ck_assert(change(pace, 2));
	check_state(PACE_RUNNING);
	ck_assert_uint_gt(pace_kept(pace), 0);
}
END_TEST

START_TEST(without_an_interval_all_are_sent)
{
	struct frame *frame = events_status_change("{}", 2);

	frame->about = 1;
	for (int i = 0; i < 3; i++)
		ck_assert(!pace_keep(&all, pace, frame, 0));
	check_state(PACE_FREE);
	frame_unref(frame);
}
END_TEST

START_TEST(what_is_nobodys_state_is_sent_in_every_state)
{
	bring_to((enum pace_state)_i);
	ck_assert(!change(pace, 0));
	check_state((enum pace_state)_i);
}
END_TEST

START_TEST(of_each_user_one_is_kept)
{
	size_t one;

	bring_to(PACE_RUNNING);
	change(pace, 1);
	one = pace_kept(pace);
	for (int i = 0; i < 100; i++)
		change(pace, 1);
	ck_assert_uint_eq(pace_kept(pace), one);
	for (unsigned user = 2; user <= 100; user++)
		change(pace, user);
	ck_assert_uint_eq(pace_kept(pace), 100 * one);
	pace_take(&all, pace, &sent, INTERVAL);
	ck_assert_uint_eq(sent.count, 100);
}
END_TEST

START_TEST(the_end_marks_who_has_something_kept)
{
	int64_t began = times_mono_ms();

	change(&paces[1], 1);
	bring_to(PACE_OVER);
	ck_assert_int_ge(times_mono_ms() - began, INTERVAL);
	ck_assert(owners[0].queued);
	ck_assert(!owners[1].queued);
	ck_assert_int_eq(paces[1].state, PACE_FREE);
}
END_TEST

START_TEST(a_change_after_the_end_is_kept_until_it_is_taken)
{
	bring_to(PACE_OVER);
	ck_assert(change(pace, 2));
	check_state(PACE_OVER);
}
END_TEST

START_TEST(what_is_taken_begins_the_next_interval)
{
	bring_to(_i == 0 ? PACE_OVER : PACE_RUNNING);
	change(pace, 2);
	pace_take(&all, pace, &sent, INTERVAL);
	check_state(PACE_RUNNING);
	ck_assert_uint_eq(pace_kept(pace), 0);
	ck_assert_uint_eq(sent.count, _i == 0 ? 2 : 1);
	ck_assert(change(pace, 2));
	outbox_clear(&sent);
}
END_TEST

START_TEST(an_interval_that_was_set_to_0_does_not_begin_again)
{
	bring_to(PACE_OVER);
	pace_take(&all, pace, &sent, 0);
	check_state(PACE_FREE);
}
END_TEST

START_TEST(stopping_forgets_in_every_state)
{
	bring_to((enum pace_state)_i);
	pace_stop(&all, pace);
	check_state(PACE_FREE);
	ck_assert_uint_eq(pace_kept(pace), 0);
	ck_assert(TAILQ_EMPTY(&all.running));
	ck_assert(!change(pace, 1));
}
END_TEST

START_TEST(one_that_stops_keeps_no_other_from_its_end)
{
	for (unsigned i = 0; i < READERS; i++) {
		change(&paces[i], 1);
		change(&paces[i], 1);
	}
	pace_stop(&all, &paces[0]);
	wait_for_ends();
	ck_assert_int_eq(paces[1].state, PACE_OVER);
	ck_assert_int_eq(paces[2].state, PACE_OVER);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pace");
	TCase *tcase = tcase_create("pace");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_first_change_is_sent_and_later_ones_are_kept);
	tcase_add_test(tcase, without_an_interval_all_are_sent);
	tcase_add_loop_test(tcase, what_is_nobodys_state_is_sent_in_every_state, PACE_FREE,
			    PACE_OVER + 1);
	tcase_add_test(tcase, of_each_user_one_is_kept);
	tcase_add_test(tcase, the_end_marks_who_has_something_kept);
	tcase_add_test(tcase, a_change_after_the_end_is_kept_until_it_is_taken);
	tcase_add_loop_test(tcase, what_is_taken_begins_the_next_interval, 0, 2);
	tcase_add_test(tcase, an_interval_that_was_set_to_0_does_not_begin_again);
	tcase_add_loop_test(tcase, stopping_forgets_in_every_state, PACE_FREE, PACE_OVER + 1);
	tcase_add_test(tcase, one_that_stops_keeps_no_other_from_its_end);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
