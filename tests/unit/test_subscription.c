/* The table of stream/subscriptions.h, cell by cell. */
#include "unit.h"

#include "link_stub.h"
#include "store/keys.h"
#include "stream/subscriptions.h"

static struct context context;
static struct subscriptions all;
static struct subscription one;
static struct due owner;

static void setup(void)
{
	stub_init(&context);
	subscriptions_init(&all, &context);
	memset(&owner, 0, sizeof owner);
	subscription_init(&one, &owner);
}

static void teardown(void)
{
	subscription_close(&all, &one);
	turn_unmark(&context.turn, &owner);
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
		subscriptions_flush(&all);
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
	subscriptions_flush(&all);
	check_state(SUBSCRIPTION_SENT);
	ck_assert_uint_eq(one.serial, 1);
	ck_assert(!owner.queued);
}
END_TEST

START_TEST(a_flush_confirms_at_once_what_needs_nothing_new)
{
	bring_to(SUBSCRIPTION_CONFIRMED);
	subscription_exchange(&all, &one);
	subscription_join(&all, &one, CHANNEL_INBOX, "1");
	check_state(SUBSCRIPTION_QUEUED);
	subscriptions_flush(&all);
	check_state(SUBSCRIPTION_CONFIRMED);
	ck_assert(owner.queued);
}
END_TEST

START_TEST(a_flush_changes_nothing_else)
{
	static const enum subscription_state states[] = {SUBSCRIPTION_NONE, SUBSCRIPTION_SENT,
							 SUBSCRIPTION_CONFIRMED};

	bring_to(states[_i]);
	subscriptions_flush(&all);
	check_state(states[_i]);
	ck_assert(!owner.queued);
}
END_TEST

START_TEST(its_own_serial_confirms_what_was_sent)
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
	subscriptions_lost(&all);
	subscription_lost(&all, &one);
	check_state(state == SUBSCRIPTION_NONE ? SUBSCRIPTION_NONE : SUBSCRIPTION_QUEUED);
	stub_recover(&context);
	subscriptions_flush(&all);
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

START_TEST(the_queue_stays_in_the_order_of_serials)
{
	struct subscription first, second;
	struct due owners[2] = {{.number = 1}, {.number = 2}};

	subscription_init(&first, &owners[0]);
	subscription_init(&second, &owners[1]);
	subscription_join(&all, &first, CHANNEL_STATUS, "1");
	subscriptions_flush(&all);
	subscription_join(&all, &second, CHANNEL_STATUS, "2");
	subscriptions_flush(&all);
	/* The first one wants another topic: it is behind the second one now. */
	subscription_join(&all, &first, CHANNEL_STATUS, "3");
	subscriptions_flush(&all);
	ck_assert_ptr_eq(TAILQ_FIRST(&all.waiting), &second);
	ck_assert_uint_eq(second.serial, 2);
	ck_assert_uint_eq(first.serial, 3);
	subscription_close(&all, &first);
	subscription_close(&all, &second);
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
	tcase_add_test(tcase, its_own_serial_confirms_what_was_sent);
	tcase_add_loop_test(tcase, a_confirmation_changes_nothing_else, 0, 3);
	tcase_add_loop_test(tcase, a_lost_link_queues_whatever_was_joined, SUBSCRIPTION_NONE,
			    SUBSCRIPTION_CONFIRMED + 1);
	tcase_add_loop_test(tcase, closing_ends_in_no_topic, SUBSCRIPTION_NONE,
			    SUBSCRIPTION_CONFIRMED + 1);
	tcase_add_test(tcase, the_queue_stays_in_the_order_of_serials);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
