/* The table of stream/subscriptions.h, cell by cell. */
#include "unit.h"

#include "link_stub.h"
#include "store/keys.h"
#include "stream/subscriptions.h"

static struct context context;
static struct subscriptions all;
static struct subscription one;
static struct due owner;

static uint64_t set;

static void begin(int partitions, unsigned links)
{
	stub_init_divided(&context, partitions, links);
	subscriptions_init(&all, &context);
	memset(&owner, 0, sizeof owner);
	set = 0;
	subscription_init(&one, &owner, &set);
}

static void setup(void)
{
	begin(1, 1);
}

/* The end of a turn, as server.c has it. */
static void flush(void)
{
	for (unsigned i = 0; i < context.partition_count; i++) {
		if (partition_is_up(&context.partitions[i]))
			subscriptions_ask(&all, &context.partitions[i]);
	}
	subscriptions_flush(&all);
}

static void teardown(void)
{
	subscription_close(&all, &one);
	turn_unmark(&context.turn, &owner);
	subscriptions_free(&all);
	stub_free(&context);
}

static void check_state(enum subscription_state expected)
{
	ck_assert_str_eq(state_name(&subscription_states, one.state),
			 state_name(&subscription_states, expected));
}

/* Brings the subscription, new until then, into a state; the owner is not due after that. */
static void bring_to(enum subscription_state state)
{
	if (state >= SUBSCRIPTION_QUEUED)
		subscription_join(&all, &one, CHANNEL_INBOX, "1");
	if (state >= SUBSCRIPTION_SENT)
		flush();
	if (state >= SUBSCRIPTION_CONFIRMED) {
		stub_confirm(&context);
		subscriptions_confirmed(&all);
	}
	check_state(state);
	turn_unmark(&context.turn, &owner);
}

START_TEST(in_every_state_a_new_topic_queues_it)
{
	bring_to((enum subscription_state)_i);
	subscription_join(&all, &one, CHANNEL_STATUS, "2");
	check_state(SUBSCRIPTION_QUEUED);
	ck_assert_ptr_eq(TAILQ_FIRST(&all.waiting), &one);
	ck_assert_ptr_null(TAILQ_NEXT(&one, link));
}
END_TEST

START_TEST(a_flush_sends_what_is_queued)
{
	bring_to(SUBSCRIPTION_QUEUED);
	flush();
	check_state(SUBSCRIPTION_SENT);
	ck_assert_uint_eq(one.turn, 1);
	ck_assert(!owner.queued);
}
END_TEST

START_TEST(a_flush_confirms_at_once_what_needs_nothing_new)
{
	bring_to(SUBSCRIPTION_CONFIRMED);
	subscription_exchange(&all, &one);
	subscription_join(&all, &one, CHANNEL_INBOX, "1");
	check_state(SUBSCRIPTION_QUEUED);
	flush();
	check_state(SUBSCRIPTION_CONFIRMED);
	ck_assert(owner.queued);
}
END_TEST

START_TEST(a_flush_changes_nothing_else)
{
	static const enum subscription_state states[] = {SUBSCRIPTION_NONE, SUBSCRIPTION_SENT,
							 SUBSCRIPTION_CONFIRMED};

	bring_to(states[_i]);
	flush();
	check_state(states[_i]);
	ck_assert(!owner.queued);
}
END_TEST

START_TEST(its_own_turn_confirms_what_was_sent)
{
	bring_to(SUBSCRIPTION_SENT);
	subscriptions_confirmed(&all);
	check_state(SUBSCRIPTION_SENT);
	stub_confirm(&context);
	subscriptions_confirmed(&all);
	check_state(SUBSCRIPTION_CONFIRMED);
	ck_assert_msg(owner.queued, "nobody was told");
	ck_assert(TAILQ_EMPTY(&all.waiting));
}
END_TEST

START_TEST(a_confirmation_changes_nothing_else)
{
	static const enum subscription_state states[] = {SUBSCRIPTION_NONE, SUBSCRIPTION_QUEUED,
							 SUBSCRIPTION_CONFIRMED};

	bring_to(states[_i]);
	stub_confirm(&context);
	subscriptions_confirmed(&all);
	check_state(states[_i]);
	ck_assert(!owner.queued);
}
END_TEST

START_TEST(a_lost_link_queues_whatever_was_joined)
{
	enum subscription_state state = (enum subscription_state)_i;

	bring_to(state);
	stub_lose(&context);
	subscriptions_lost(&all, &(uint64_t){1});
	subscription_lost(&all, &one);
	check_state(state == SUBSCRIPTION_NONE ? SUBSCRIPTION_NONE : SUBSCRIPTION_QUEUED);
	stub_recover(&context);
	flush();
	check_state(state == SUBSCRIPTION_NONE ? SUBSCRIPTION_NONE : SUBSCRIPTION_SENT);
}
END_TEST

START_TEST(closing_ends_in_no_topic)
{
	bring_to((enum subscription_state)_i);
	subscription_close(&all, &one);
	check_state(SUBSCRIPTION_NONE);
	ck_assert(TAILQ_EMPTY(&all.waiting));
	ck_assert_uint_eq(one.subscriber.topics.count, 0);
}
END_TEST

START_TEST(the_queue_stays_in_the_order_of_turns)
{
	uint64_t sets[2] = {0, 0};
	struct subscription first, second;
	struct due owners[2] = {{.number = 1}, {.number = 2}};

	subscription_init(&first, &owners[0], &sets[0]);
	subscription_init(&second, &owners[1], &sets[1]);
	subscription_join(&all, &first, CHANNEL_STATUS, "1");
	flush();
	subscription_join(&all, &second, CHANNEL_STATUS, "2");
	flush();
	/* The first one wants another topic: it is behind the second one now. */
	subscription_join(&all, &first, CHANNEL_STATUS, "3");
	flush();
	ck_assert_ptr_eq(TAILQ_FIRST(&all.waiting), &second);
	ck_assert_uint_eq(second.turn, 2);
	ck_assert_uint_eq(first.turn, 3);
	subscription_close(&all, &first);
	subscription_close(&all, &second);
}
END_TEST

/* Users 1 and 2 are in partitions 2 and 1 of 8. */
static void divide(void)
{
	teardown();
	begin(8, 2);
	subscription_join(&all, &one, CHANNEL_INBOX, "1");
	subscription_join(&all, &one, CHANNEL_STATUS, "2");
	ck_assert_uint_eq(set, 1 << 2 | 1 << 1);
	flush();
	check_state(SUBSCRIPTION_SENT);
}

START_TEST(every_server_has_to_confirm_what_it_was_asked_for)
{
	divide();
	stub_confirm_at(&context, 0);
	subscriptions_confirmed(&all);
	check_state(SUBSCRIPTION_SENT);
	stub_confirm_at(&context, 1);
	subscriptions_confirmed(&all);
	check_state(SUBSCRIPTION_CONFIRMED);
}
END_TEST

START_TEST(a_server_that_is_lost_is_not_waited_for)
{
	divide();
	stub_confirm_at(&context, 0);
	stub_lose_at(&context, 1);
	subscriptions_lost(&all, &(uint64_t){0xaa});
	subscription_lost(&all, &one);
	check_state(SUBSCRIPTION_QUEUED);
	flush();
	check_state(SUBSCRIPTION_CONFIRMED);
	ck_assert_int_eq(hub_find(&context.hub, "user:status:2")->state, TOPIC_WANTED);
	ck_assert_int_eq(hub_find(&context.hub, "user:inbox:1")->state, TOPIC_ASKED);
}
END_TEST

START_TEST(a_topic_that_another_one_asked_for_is_waited_for)
{
	struct due its_owner = {.number = 1};
	struct subscription other;
	uint64_t its_set = 0;

	divide();
	subscription_init(&other, &its_owner, &its_set);
	subscription_join(&all, &other, CHANNEL_STATUS, "2");
	flush();
	ck_assert_int_eq(other.state, SUBSCRIPTION_SENT);
	stub_confirm_at(&context, 0);
	stub_confirm_at(&context, 1);
	subscriptions_confirmed(&all);
	ck_assert_int_eq(other.state, SUBSCRIPTION_CONFIRMED);
	subscription_close(&all, &other);
	turn_unmark(&context.turn, &its_owner);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("subscription");
	TCase *tcase = tcase_create("subscription");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, in_every_state_a_new_topic_queues_it, SUBSCRIPTION_NONE,
			    SUBSCRIPTION_CONFIRMED + 1);
	tcase_add_test(tcase, a_flush_sends_what_is_queued);
	tcase_add_test(tcase, a_flush_confirms_at_once_what_needs_nothing_new);
	tcase_add_loop_test(tcase, a_flush_changes_nothing_else, 0, 3);
	tcase_add_test(tcase, its_own_turn_confirms_what_was_sent);
	tcase_add_loop_test(tcase, a_confirmation_changes_nothing_else, 0, 3);
	tcase_add_loop_test(tcase, a_lost_link_queues_whatever_was_joined, SUBSCRIPTION_NONE,
			    SUBSCRIPTION_CONFIRMED + 1);
	tcase_add_loop_test(tcase, closing_ends_in_no_topic, SUBSCRIPTION_NONE,
			    SUBSCRIPTION_CONFIRMED + 1);
	tcase_add_test(tcase, the_queue_stays_in_the_order_of_turns);
	tcase_add_test(tcase, every_server_has_to_confirm_what_it_was_asked_for);
	tcase_add_test(tcase, a_server_that_is_lost_is_not_waited_for);
	tcase_add_test(tcase, a_topic_that_another_one_asked_for_is_waited_for);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
