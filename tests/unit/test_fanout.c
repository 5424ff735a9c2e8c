/* The table of stream/fanout.h: who is told what, in slices of the loop's turns. */
#include "unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "stream/events.h"
#include "stream/fanout.h"

#define CHANNEL "user:status:1"
#define MANY (3 * FANOUT_TURN + 17)

struct reader {
	struct subscriber subscriber;
	unsigned told; /* how often */
	unsigned last; /* the number of the change that came last */
	bool went_back; /* an older change came after a newer one */
};

static struct hub hub;
static struct event_base *base;
static struct fanout fanout;
static struct reader *readers;
static unsigned told; /* in all */

/* A change's number is its frame's `about`, which fanout.c does not look at. */
static void deliver(struct subscriber *subscriber, struct frame *frame)
{
	struct reader *reader = (struct reader *)subscriber;

	told++;
	reader->told++;
	reader->went_back |= frame->about < reader->last;
	reader->last = frame->about;
}

static void setup(void)
{
	base = event_base_new();
	hub_init(&hub, 1);
	fanout_init(&fanout, base, &hub, deliver);
	readers = xcalloc(MANY, sizeof *readers);
	told = 0;
	for (unsigned i = 0; i < MANY; i++)
		hub_add(&hub, &readers[i].subscriber);
}

static void teardown(void)
{
	fanout_free(&fanout);
	for (unsigned i = 0; i < MANY; i++)
		hub_remove(&hub, &readers[i].subscriber, 0);
	hub_clear(&hub);
	event_base_free(base);
	free(readers);
}

/* The first `count` readers watch the user of a channel; its SUBSCRIBE is sent. */
static struct topic *watch(const char *channel, unsigned count)
{
	struct topic *topic = NULL;

	for (unsigned i = 0; i < count; i++)
		topic = hub_join(&hub, &readers[i].subscriber, channel, 0);
	hub_asked(&hub, topic);
	return topic;
}

static void change(struct topic *topic, unsigned number)
{
	struct frame *frame = events_status_change("{}", 2);

	frame->about = number;
	fanout_tell(&fanout, topic, frame);
	frame_unref(frame);
}

/* One turn of the loop: what is due runs, then the turn is over. Whether there is more to do. */
static bool turn(void)
{
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	fanout_turn(&fanout);
	return !TAILQ_EMPTY(&fanout.laps);
}

static void finish(void)
{
	while (turn())
		;
}

static void check_all(unsigned count, unsigned last, unsigned times)
{
	for (unsigned i = 0; i < count; i++) {
		if (readers[i].last != last || readers[i].told != times || readers[i].went_back)
			ck_abort_msg("reader %u: %u changes, the last is %u%s; expected %u, %u", i,
				     readers[i].told, readers[i].last,
				     readers[i].went_back ? ", not in order" : "", times, last);
	}
}

START_TEST(few_are_told_at_once)
{
	struct topic *topic = watch(CHANNEL, FANOUT_TURN);

	change(topic, 1);
	check_all(FANOUT_TURN, 1, 1);
	ck_assert_ptr_null(topic->lap);
}
END_TEST

START_TEST(the_hidden_are_told_nothing)
{
	struct topic *topic = watch(CHANNEL, 3);

	hub_hide(&hub, &readers[1].subscriber, 0, HUB_BLOCKED);
	change(topic, 1);
	ck_assert_uint_eq(readers[0].told + readers[2].told, 2);
	ck_assert_uint_eq(readers[1].told, 0);
}
END_TEST

START_TEST(many_are_told_in_slices_of_a_turn)
{
	change(watch(CHANNEL, MANY), 1);
	for (unsigned turns = 1; turns <= 4; turns++) {
		unsigned expected = turns < 4 ? turns * FANOUT_TURN : MANY;

		ck_assert_msg(told == expected, "after %u turns %u were told, not %u", turns, told,
			      expected);
		turn();
	}
	check_all(MANY, 1, 1);
	ck_assert(TAILQ_EMPTY(&fanout.laps));
}
END_TEST

START_TEST(many_changes_of_a_turn_are_told_in_slices_too)
{
	char channel[32];

	for (unsigned i = 0; i < 20; i++) {
		snprintf(channel, sizeof channel, "user:status:%u", i);
		change(watch(channel, FANOUT_TURN / 10), i + 1);
	}
	ck_assert_uint_le(told, FANOUT_TURN);
	turn();
	ck_assert_uint_le(told, 2 * FANOUT_TURN);
	finish();
	ck_assert_uint_eq(told, 20 * (FANOUT_TURN / 10));
}
END_TEST

/* The first change goes on to its end, of those behind it only the last is told. */
START_TEST(who_changes_while_others_are_told_is_told_of_last_by_the_last)
{
	struct topic *topic = watch(CHANNEL, MANY);

	change(topic, 1);
	turn();
	for (unsigned number = 2; number < 10; number++)
		change(topic, number);
	finish();
	check_all(MANY, 9, 2);
}
END_TEST

START_TEST(a_user_of_few_need_not_wait_for_one_of_many)
{
	struct topic *many = watch(CHANNEL, MANY), *few = watch("user:status:2", 2);

	change(many, 1);
	change(few, 2);
	ck_assert_uint_eq(readers[0].last + readers[1].last, 0);
	turn();
	ck_assert_uint_eq(readers[0].last, 2);
	ck_assert_uint_eq(readers[1].last, 2);
}
END_TEST

START_TEST(who_leaves_meanwhile_takes_nobody_else_along)
{
	change(watch(CHANNEL, MANY), 1);
	for (unsigned i = 0; i < MANY; i += 3)
		hub_remove(&hub, &readers[i].subscriber, 0);
	finish();
	for (unsigned i = 0; i < MANY; i++) {
		if (i % 3 != 0)
			ck_assert_msg(readers[i].last == 1, "reader %u was not told", i);
	}
}
END_TEST

START_TEST(who_is_hidden_meanwhile_is_told_nothing)
{
	change(watch(CHANNEL, MANY), 1);
	hub_hide(&hub, &readers[0].subscriber, 0, HUB_BLOCKED_BY);
	finish();
	ck_assert_uint_eq(readers[0].told, 0);
	ck_assert_uint_eq(readers[1].told, 1);
}
END_TEST

/* Its snapshot holds the change. */
START_TEST(who_joins_meanwhile_is_told_of_later_changes)
{
	struct topic *topic = watch(CHANNEL, MANY - 1);

	change(topic, 1);
	hub_join(&hub, &readers[MANY - 1].subscriber, CHANNEL, 0);
	finish();
	ck_assert_uint_eq(readers[MANY - 1].told, 0);
	change(topic, 2);
	finish();
	check_all(MANY - 1, 2, 2);
	ck_assert_uint_eq(readers[MANY - 1].last, 2);
}
END_TEST

START_TEST(a_topic_that_all_have_left_is_told_of_nothing)
{
	struct topic *topic;

	change(watch(CHANNEL, MANY), 1);
	for (unsigned i = 0; i < MANY; i++)
		hub_leave(&hub, &readers[i].subscriber, 0, 0);
	topic = hub_take_idle(&hub, 0, INT64_MAX);
	ck_assert_ptr_nonnull(topic);
	free(topic);
	topic = watch("user:status:2", 1); /* with the number of the one that is gone */
	finish();
	ck_assert_uint_eq(told, FANOUT_TURN);
	ck_assert_ptr_null(topic->lap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fanout");
	TCase *tcase = tcase_create("fanout");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, few_are_told_at_once);
	tcase_add_test(tcase, the_hidden_are_told_nothing);
	tcase_add_test(tcase, many_are_told_in_slices_of_a_turn);
	tcase_add_test(tcase, many_changes_of_a_turn_are_told_in_slices_too);
	tcase_add_test(tcase, who_changes_while_others_are_told_is_told_of_last_by_the_last);
	tcase_add_test(tcase, a_user_of_few_need_not_wait_for_one_of_many);
	tcase_add_test(tcase, who_leaves_meanwhile_takes_nobody_else_along);
	tcase_add_test(tcase, who_is_hidden_meanwhile_is_told_nothing);
	tcase_add_test(tcase, who_joins_meanwhile_is_told_of_later_changes);
	tcase_add_test(tcase, a_topic_that_all_have_left_is_told_of_nothing);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
