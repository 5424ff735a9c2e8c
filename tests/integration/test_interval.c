/* [stream] interval_ms: how often a reader is told, and that waiting weakens nothing. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 2 /* user whom user 1 watches */
#define LAST USERS

/* Publishes `count` changes, of users FIRST … `last` in turn, at one moment. */
static void publish(struct stack *stack, int *version, int count, int last)
{
	static const char script[] =
		"for i = 1, ARGV[2] do "
		"  local user, version = ARGV[3] + i % ARGV[4], ARGV[1] + i "
		"  redis.call('PUBLISH', 'user:status:' .. user, '{\"user_id\":' .. user .. "
		"    ',\"is_online\":true,\"status\":\"online\",\"version\":' .. version .. '}') "
		"end return 1";

	ck_assert_int_eq(redis_int(stack, "EVAL %s 0 %d %d %d %d", script, *version, count, FIRST,
				   last - FIRST + 1),
			 1);
	*version += count;
}

static int version_in(const struct event *event)
{
	return json_object_get_int(json_at(event->json, "version"));
}

/* The next event but heartbeats, which must be a change; its version. */
static int next_version(struct sse *sse)
{
	struct event *event;

	do
		event = sse_next(sse, patience(5000));
	while (event != NULL && strcmp(event->name, "heartbeat") == 0);
	ck_assert_msg(event != NULL, "no change came");
	ck_assert_str_eq(event->name, "status_change");
	return version_in(event);
}

/* Nothing but heartbeats in the time of three of them: an interval would have ended. */
static void check_quiet(struct sse *sse)
{
	for (int i = 0; i < 3; i++)
		sse_expect(sse, "heartbeat", 5000);
}

START_TEST(the_first_change_comes_at_once_then_the_last_of_each_user)
{
	struct stack *stack = stack_start(FAST "stream { interval_ms = 2000 }\n");
	struct sse *sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	int version = 0;
	int64_t start;

	sse_ready(sse);
	start = now_ms();
	publish(stack, &version, 20, 3);
	ck_assert_int_eq(next_version(sse), 1);
	ck_assert_int_eq(next_version(sse), 20);
	ck_assert_msg(now_ms() - start >= 2000, "the second write came after %lld ms",
		      (long long)(now_ms() - start));
	ck_assert_int_eq(next_version(sse), 19);
	check_quiet(sse);
	publish(stack, &version, 1, 2);
	ck_assert_int_eq(next_version(sse), version);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* 150 rounds of 10 changes, of each user two; no reader is told of all of them. */
START_TEST(under_a_thousand_changes_a_second_each_reader_ends_with_the_last)
{
	enum { ROUNDS = 150, STREAMS = 3, EACH = 10 };
	struct stack *stack = stack_start("stream { interval_ms = 100 }");
	struct sse *streams[STREAMS];
	int version = 0;

	for (int i = 0; i < STREAMS; i++) {
		streams[i] = sse_open_direct(stack, 0, token_for(stack, "1"));
		sse_ready(streams[i]);
	}
	for (int i = 0; i < ROUNDS; i++) {
		publish(stack, &version, EACH, LAST);
		nap();
	}
	for (int i = 0; i < STREAMS; i++) {
		int last[LAST + 1] = {0}, told = 0, ended = 0;

		while (ended <= LAST - FIRST) {
			struct event *event = sse_expect(streams[i], "status_change", 5000);
			int user = json_object_get_int(json_at(event->json, "user_id"));

			ck_assert_int_gt(version_in(event), last[user]);
			last[user] = version_in(event);
			ended += last[user] > version - (LAST - FIRST + 1);
			told++;
		}
		ck_assert_msg(told < version / 2, "told of %d of %d changes", told, version);
		sse_close(streams[i]);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(what_waits_is_dropped_by_a_block)
{
	struct stack *stack = stack_start(FAST "stream { interval_ms = 1000 }\n");
	struct sse *sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	struct response *response;
	int version = 0;

	sse_ready(sse);
	publish(stack, &version, 10, 2);
	ck_assert_int_eq(next_version(sse), 1);
	response = HTTP(stack, .method = "PUT", .path = BLOCKS "1", .token = token_for(stack, "2"));
	ck_assert_int_eq(response->status, 204);
	/* User 2 has made a request, and is online: that, too, was before the block. */
	CHECK_JSON(json_at(sse_wait(sse, "initial", 5000)->json, "2"), NEVER_SEEN(2));
	check_quiet(sse);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(what_waits_is_dropped_where_a_new_initial_comes)
{
	struct stack *stack = stack_start(FAST "stream { interval_ms = 1000 }\n");
	struct sse *sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	int version = 0;

	sse_ready(sse);
	publish(stack, &version, 10, 2);
	ck_assert_int_eq(next_version(sse), 1);
	redis_int(stack, "PUBLISH user:inbox:1 {\"type\":\"friends_changed\"}");
	sse_wait(sse, "initial", 5000);
	check_quiet(sse);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* More users change than queue_limit holds: who reads is not taken for a slow reader. */
START_TEST(more_than_the_queue_holds_ends_the_interval_early)
{
	enum { MANY = 49, TOLD = 60 };
	struct stack *stack = stack_start("stream { interval_ms = 60000 queue_limit = 4096 }");
	char users[MANY * 4], *path;
	size_t len = 0;
	struct sse *sse;
	int version = 0;

	for (int user = FIRST; user < FIRST + MANY; user++)
		len += (size_t)snprintf(users + len, sizeof users - len, ",%d", user);
	ck_assert(asprintf(&path,
			   "GET " STREAM "?friends=false&users=%s HTTP/1.1\r\nHost: localhost\r\n"
			   "Authorization: Bearer %s\r\n\r\n",
			   users + 1, token_for(stack, "1")) > 0);
	sse = sse_request(stack, path);
	sse_ready(sse);
	publish(stack, &version, 2 * MANY, FIRST + MANY - 1);
	for (int told = 0; told < TOLD; told++)
		sse_expect(sse, "status_change", 5000);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("interval");
	TCase *tcase = harness_case(suite, "interval", 30);

	tcase_add_test(tcase, the_first_change_comes_at_once_then_the_last_of_each_user);
	tcase_add_test(tcase, under_a_thousand_changes_a_second_each_reader_ends_with_the_last);
	tcase_add_test(tcase, what_waits_is_dropped_by_a_block);
	tcase_add_test(tcase, what_waits_is_dropped_where_a_new_initial_comes);
	tcase_add_test(tcase, more_than_the_queue_holds_ends_the_interval_early);
	return harness_main(suite);
}
