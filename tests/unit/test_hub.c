/* The hub's two indexes stay each other's mirror, whatever joins and leaves. */
#include "unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "stream/hub.h"

static struct hub hub;

static void setup(void)
{
	hub_init(&hub, 1);
}

static void teardown(void)
{
	hub_clear(&hub);
}

/* Every edge names its mirror, on both sides. */
static void check_mirrors(const struct subscriber *subscribers, size_t count)
{
	for (size_t s = 0; s < count; s++) {
		const struct hub_edges *edges = &subscribers[s].topics;

		for (uint32_t index = 0; index < edges->count; index++) {
			const struct topic *topic = hub_topic_at(&hub, &subscribers[s], index);
			uint32_t mirror = edges->list[index].index;

			/* One assertion for all: Check reports each one through a pipe. */
			if (topic == NULL || mirror >= topic->subscribers.count ||
			    topic->subscribers.list[mirror].other != subscribers[s].number ||
			    topic->subscribers.list[mirror].index != index)
				ck_abort_msg("edge %u of subscriber %zu has no mirror", index, s);
		}
	}
}

/* As the presence part does: every wanted topic counts as subscribed. */
static void ask_all(void)
{
	while (!TAILQ_EMPTY(&hub.lists[0].wanted))
		hub_asked(&hub, TAILQ_FIRST(&hub.lists[0].wanted));
}

START_TEST(joining_makes_a_wanted_topic_once)
{
	struct subscriber a = {0}, b = {0};
	struct topic *topic;

	hub_add(&hub, &a);
	hub_add(&hub, &b);
	topic = hub_join(&hub, &a, "user:status:1", 0);
	ck_assert_ptr_eq(hub_join(&hub, &b, "user:status:1", 0), topic);
	ck_assert_ptr_eq(hub_find(&hub, "user:status:1"), topic);
	ck_assert_ptr_eq(TAILQ_FIRST(&hub.lists[0].wanted), topic);
	ck_assert_ptr_null(TAILQ_NEXT(topic, link));
	ck_assert_uint_eq(topic->subscribers.count, 2);
	ck_assert_ptr_eq(hub_subscriber_at(&hub, topic, 1), &b);
	hub_remove(&hub, &a, 0);
	hub_remove(&hub, &b, 0);
}
END_TEST

START_TEST(a_topic_never_asked_for_goes_with_its_last_subscriber)
{
	struct subscriber a = {0};

	hub_add(&hub, &a);
	hub_join(&hub, &a, "x", 0);
	hub_remove(&hub, &a, 0);
	ck_assert_ptr_null(hub_find(&hub, "x"));
	ck_assert(TAILQ_EMPTY(&hub.lists[0].wanted));
	ck_assert(TAILQ_EMPTY(&hub.lists[0].idle));
}
END_TEST

START_TEST(a_subscribed_topic_idles_before_it_is_given_up)
{
	struct subscriber a = {0};
	struct topic *topic;

	hub_add(&hub, &a);
	topic = hub_join(&hub, &a, "x", 0);
	ask_all();
	hub_remove(&hub, &a, 1000);
	ck_assert_ptr_null(hub_take_idle(&hub, 0, 1000 + HUB_IDLE_MS - 1));
	ck_assert_ptr_eq(hub_find(&hub, "x"), topic);
	ck_assert_ptr_eq(hub_take_idle(&hub, 0, 1000 + HUB_IDLE_MS), topic);
	ck_assert_ptr_null(hub_find(&hub, "x"));
	free(topic);
}
END_TEST

START_TEST(joining_an_idle_topic_needs_no_new_subscription)
{
	struct subscriber a = {0};
	struct topic *topic;

	hub_add(&hub, &a);
	topic = hub_join(&hub, &a, "x", 0);
	ask_all();
	hub_leave(&hub, &a, 0, 1000);
	ck_assert_ptr_eq(hub_join(&hub, &a, "x", 0), topic);
	ck_assert(TAILQ_EMPTY(&hub.lists[0].wanted));
	ck_assert_ptr_null(hub_take_idle(&hub, 0, INT64_MAX));
	hub_remove(&hub, &a, 0);
}
END_TEST

START_TEST(lost_subscriptions_are_wanted_again_and_idle_ones_forgotten)
{
	struct subscriber a = {0};

	hub_add(&hub, &a);
	hub_join(&hub, &a, "kept", 0);
	hub_join(&hub, &a, "idle", 0);
	ask_all();
	hub_leave(&hub, &a, 1, 1000);
	hub_unsubscribed(&hub, &(uint64_t){1});
	ck_assert_ptr_null(hub_find(&hub, "idle"));
	ck_assert_ptr_eq(TAILQ_FIRST(&hub.lists[0].wanted), hub_find(&hub, "kept"));
	hub_remove(&hub, &a, 0);
}
END_TEST

START_TEST(numbers_are_used_again)
{
	struct subscriber a = {0}, b = {0};
	uint32_t number;

	hub_add(&hub, &a);
	number = a.number;
	ck_assert_uint_ne(number, 0);
	hub_remove(&hub, &a, 0);
	ck_assert_uint_eq(a.number, 0);
	hub_add(&hub, &b);
	ck_assert_uint_eq(b.number, number);
	hub_remove(&hub, &b, 0);
}
END_TEST

START_TEST(indexes_stay_mirrors_under_random_joins_and_leaves)
{
	enum { SUBSCRIBERS = 60, TOPICS = 90, STEPS = 20000 };
	static struct subscriber subscribers[SUBSCRIBERS];
	static bool joined[SUBSCRIBERS][TOPICS];
	unsigned seed = 12345;

	for (size_t s = 0; s < SUBSCRIBERS; s++)
		hub_add(&hub, &subscribers[s]);
	for (int step = 0; step < STEPS; step++) {
		unsigned s = (seed = seed * 1103515245 + 12345) >> 16;
		unsigned t = (seed = seed * 1103515245 + 12345) >> 16;
		struct subscriber *subscriber = &subscribers[s %= SUBSCRIBERS];
		char channel[16];

		snprintf(channel, sizeof channel, "t%u", t %= TOPICS);
		if (!joined[s][t]) {
			hub_join(&hub, subscriber, channel, 0);
		} else {
			uint32_t index = 0;

			while (strcmp(hub_topic_at(&hub, subscriber, index)->channel, channel) != 0)
				index++;
			hub_leave(&hub, subscriber, index, step);
		}
		joined[s][t] = !joined[s][t];
		if (step % 7 == 0)
			ask_all();
		if (step % 97 == 0)
			check_mirrors(subscribers, SUBSCRIBERS);
	}
	for (size_t s = 0; s < SUBSCRIBERS; s++) {
		uint32_t expected = 0;

		for (size_t t = 0; t < TOPICS; t++)
			expected += joined[s][t];
		ck_assert_uint_eq(subscribers[s].topics.count, expected);
		hub_remove(&hub, &subscribers[s], STEPS);
	}
}
END_TEST

START_TEST(each_of_many_topics_is_found_by_its_channel_until_it_is_gone)
{
	enum { MANY = 1000 };
	struct subscriber subscriber = {0};
	char channel[32];

	hub_add(&hub, &subscriber);
	for (int i = 0; i < MANY; i++) {
		snprintf(channel, sizeof channel, "user:status:%d", i);
		hub_join(&hub, &subscriber, channel, 0);
	}
	for (uint32_t i = MANY; i-- > MANY / 2;)
		hub_leave(&hub, &subscriber, i, 0);
	for (int i = 0; i < MANY; i++) {
		const struct topic *topic;

		snprintf(channel, sizeof channel, "user:status:%d", i);
		topic = hub_find(&hub, channel);
		ck_assert_msg((topic != NULL) == (i < MANY / 2), "%s is %s", channel,
			      topic != NULL ? "still found" : "not found");
		if (topic != NULL)
			ck_assert_str_eq(topic->channel, channel);
	}
	hub_remove(&hub, &subscriber, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hub");
	TCase *tcase = tcase_create("hub");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, joining_makes_a_wanted_topic_once);
	tcase_add_test(tcase, a_topic_never_asked_for_goes_with_its_last_subscriber);
	tcase_add_test(tcase, a_subscribed_topic_idles_before_it_is_given_up);
	tcase_add_test(tcase, joining_an_idle_topic_needs_no_new_subscription);
	tcase_add_test(tcase, lost_subscriptions_are_wanted_again_and_idle_ones_forgotten);
	tcase_add_test(tcase, numbers_are_used_again);
	tcase_add_test(tcase, each_of_many_topics_is_found_by_its_channel_until_it_is_gone);
	tcase_add_test(tcase, indexes_stay_mirrors_under_random_joins_and_leaves);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
