/*
 * Redis stands still or loses what it holds, seen from outside: nobody with an
 * open stream is told to be offline, by no event and by no answer.
 */
#include "calls.h"
#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP 1000 /* ms, of FAST */
#define WORKERS_CALLS 40 /* so many, and each worker has served one */

/* The time itself is what is tested: streams are read meanwhile, so that they stay open. */
static void pass(struct sse *sse, int ms)
{
	for (int64_t end = now_ms() + ms; now_ms() < end;)
		sse_next(sse, 50);
}

/* What a viewer is told about user 1: online, or 503; whether it was online. */
static bool is_told_online(struct stack *stack, const char *viewer)
{
	struct response *response = HTTP(stack, .path = STATUS_USER "1", .token = viewer);

	if (response->status == 503)
		return false;
	ck_assert_int_eq(response->status, 200);
	ck_assert_msg(json_object_get_boolean(json_at(response->json, "is_online")),
		      "user 1 has an open stream, but: %s", response->body);
	return true;
}

/* For so long user 1 is offline in no answer and in no message; at the end it is online. */
static void check_never_offline(struct stack *stack, struct listener *listener, const char *viewer,
				struct sse *sse, int ms)
{
	bool online = false;

	for (int64_t end = now_ms() + ms; now_ms() < end;) {
		struct message *message = listener_next(listener, 0);

		ck_assert_msg(message == NULL,
			      "nothing about user 1 changed, but was published: %s", message->text);
		online = is_told_online(stack, viewer);
		sse_next(sse, 10);
	}
	WAIT_UNTIL(online || is_told_online(stack, viewer), 5000);
}

/* Shorter than a session's life since its renewal, longer, and much longer. */
static const int pauses[] = {1600, 2300, 4500, 9000};

START_TEST(a_tab_that_closes_while_redis_stands_still_leaves_the_other_online)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1"), *viewer = token_for(stack, "2");
	struct sse *kept = sse_open(stack, token), *closed = sse_open(stack, token);
	struct listener *listener;

	sse_ready(kept);
	sse_ready(closed);
	is_told_online(stack, viewer);
	pass(kept, 1000);
	listener = listener_open(stack, "user:status:1");
	signal_and_wait_stopped(stack->redis);
	pass(kept, pauses[_i] / 2);
	sse_close(closed);
	pass(kept, pauses[_i] / 2);
	kill(stack->redis, SIGCONT);
	check_never_offline(stack, listener, viewer, kept, 5 * SWEEP);
	sse_close(kept);
	stack_stop(stack);
}
END_TEST

START_TEST(a_device_that_logs_out_while_redis_stands_still_leaves_the_tab_online)
{
	struct stack *stack = stack_start(FAST);
	const char *phone = token_for(stack, "1"), *viewer = token_for(stack, "2");
	struct sse *tab = sse_open(stack, token_for(stack, "1"));
	struct listener *listener;

	sse_ready(tab);
	touch(stack, phone);
	listener = listener_open(stack, "user:status:1");
	signal_and_wait_stopped(stack->redis);
	pass(tab, 4000);
	/* It waits in Redis' socket and is done first of all. */
	check_problem(HTTP(stack, .path = LOGOUT, .token = phone, .body = ""), 503,
		      "redis_unavailable");
	kill(stack->redis, SIGCONT);
	check_never_offline(stack, listener, viewer, tab, 5 * SWEEP);
	check_problem(HTTP(stack, .path = COUNT, .token = phone), 401, "token_revoked");
	sse_close(tab);
	stack_stop(stack);
}
END_TEST

START_TEST(after_a_pause_the_view_has_the_users_of_a_streamd_that_comes_back_later)
{
	struct stack *stack = stack_start(FAST);
	struct listener *listener;
	struct sse *viewer, *tab;
	struct event *event;

	streamd_start(stack, 1);
	tab = sse_open_direct(stack, 1, token_for(stack, "1"));
	sse_ready(tab);
	viewer = sse_open_direct(stack, 0, token_for(stack, "2"));
	sse_ready(viewer);
	listener = listener_open(stack, "user:status:1");
	signal_and_wait_stopped(stack->redis);
	pass(viewer, 2000);
	signal_and_wait_stopped(stack->streamd[1]);
	pass(viewer, 2500);
	kill(stack->redis, SIGCONT);
	event = sse_wait(viewer, "initial", 10000);
	ck_assert_msg(json_object_get_boolean(json_at(json_at(event->json, "1"), "is_online")),
		      "user 1 has an open stream, but: %s", event->data);
	kill(stack->streamd[1], SIGCONT);
	pass(tab, 4 * SWEEP);
	ck_assert_msg(listener_next(listener, 0) == NULL, "something was published about user 1");
	sse_close(tab);
	sse_close(viewer);
	stack_stop(stack);
}
END_TEST

/* A stream that opens when Redis' clock has jumped ahead, as after a suspended machine's sleep: what has run
 * out comes back without a word. */
START_TEST(who_looks_before_it_is_known_that_all_stood_still_looks_again)
{
	struct stack *stack =
		stack_start("presence { heartbeat = 20 stream_ttl = 60 sweep = 2 }\n");
	struct sse *tab = sse_open(stack, token_for(stack, "1")), *viewer;
	char *swept;
	struct event *event;

	sse_ready(tab);
	swept = redis_text(stack, "GET presence:swept");
	WAIT_UNTIL(strcmp(redis_text(stack, "GET presence:swept"), swept) != 0, 5000);
	freeReplyObject(
		redis_cmd(stack, "EVAL %s 0",
			  "for _, s in ipairs(redis.call('ZRANGE', 'user:sessions:1', 0, -1)) do "
			  "  if s:find('^t:') then redis.call('ZREM', 'user:sessions:1', s) "
			  "  else redis.call('ZADD', 'user:sessions:1', 1000, s) end "
			  "end "
			  "redis.call('ZADD', 'presence:deadlines', 1000, '1') "
			  "redis.call('DEL', 'user:online:1') "
			  "redis.call('SET', 'presence:swept', 1000)"));
	viewer = sse_open(stack, token_for(stack, "2"));
	event = sse_ready(viewer);
	if (!json_object_get_boolean(json_at(json_at(event->json, "1"), "is_online")))
		event = sse_wait(viewer, "initial", 10000);
	ck_assert_msg(json_object_get_boolean(json_at(json_at(event->json, "1"), "is_online")),
		      "user 1 has an open stream, but: %s", event->data);
	sse_close(tab);
	sse_close(viewer);
	stack_stop(stack);
}
END_TEST

/* User 1 has a stream, and each worker has answered a call. */
static struct sse *prepare(struct stack *stack, const char *viewer)
{
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	for (int i = 0; i < WORKERS_CALLS; i++)
		ck_assert(is_told_online(stack, viewer));
	return sse;
}

START_TEST(between_a_wipe_and_the_rebuild_nobody_is_told_offline)
{
	struct stack *stack = stack_start(FAST);
	const char *viewer = token_for(stack, "2");
	struct sse *sse = prepare(stack, viewer);
	int refused = 0;

	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	WAIT_UNTIL(is_told_online(stack, viewer) || (refused++, false), 10000);
	ck_assert_int_gt(refused, 0);
	for (int64_t end = now_ms() + 2 * SWEEP; now_ms() < end;)
		ck_assert(is_told_online(stack, viewer));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

static pid_t worker_of(struct stack *stack)
{
	pid_t worker;

	return children_of(api_parent(stack), &worker, 1) == 1 ? worker : 0;
}

/* What a worker has seen is known to the one in its place, too: it died, or there was a reload. */
START_TEST(a_worker_that_starts_after_a_wipe_tells_nobody_offline)
{
	struct stack *stack = stack_start(FAST "api { children = 1 }\n");
	const char *viewer = token_for(stack, "2");
	struct sse *sse = prepare(stack, viewer);
	pid_t worker = worker_of(stack);

	signal_and_wait_stopped(stack->streamd[0]);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	if (_i == 0)
		kill(worker, SIGKILL);
	else
		kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(!process_runs(worker), 10000);
	WAIT_UNTIL(worker_of(stack) != 0 && worker_of(stack) != worker, 5000);
	check_problem(HTTP(stack, .path = STATUS_USER "1", .token = viewer), 503,
		      "redis_unavailable");
	kill(stack->streamd[0], SIGCONT);
	WAIT_UNTIL(is_told_online(stack, viewer), 10000);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_redis_that_comes_back_empty_tells_nobody_offline)
{
	struct stack *stack = stack_start(FAST);
	const char *viewer = token_for(stack, "2");
	struct sse *sse = prepare(stack, viewer);

	redis_kill(stack);
	redis_start(stack, NULL);
	WAIT_UNTIL(is_told_online(stack, viewer), 15000);
	for (int64_t end = now_ms() + 2 * SWEEP; now_ms() < end;)
		ck_assert(is_told_online(stack, viewer));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(while_redis_is_recovering_calls_that_tell_a_status_are_503)
{
	static const char *const paths[] = {STATUS_USER "2", STATUS_FRIENDS, ONLINE_LIST};
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");

	touch(stack, token);
	freeReplyObject(redis_cmd(stack, "SET presence:recovering 1"));
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		check_problem(HTTP(stack, .path = paths[i], .token = token), 503,
			      "redis_unavailable");
	check_problem(
		HTTP(stack, .path = STATUS_USERS, .token = token, .body = "{\"user_ids\":[2]}"),
		503, "redis_unavailable");
	touch(stack, token); /* what tells no status goes on */
	redis_int(stack, "DEL presence:recovering");
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		http_ok(stack, paths[i], token, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(where_nobody_makes_a_new_epoch_a_wipe_is_waited_for_not_for_ever)
{
	struct stack *stack = stack_start(FAST);
	const char *viewer = token_for(stack, "2");
	struct sse *sse = prepare(stack, viewer);

	sse_close(sse);
	streamd_end(stack, 0, SIGKILL);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	check_problem(HTTP(stack, .path = STATUS_USER "1", .token = viewer), 503,
		      "redis_unavailable");
	WAIT_UNTIL(HTTP(stack, .path = STATUS_USER "1", .token = viewer)->status == 200, 10000);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("standstill");
	TCase *tcase = harness_case(suite, "pauses", 60);

	tcase_add_loop_test(tcase,
			    a_tab_that_closes_while_redis_stands_still_leaves_the_other_online, 0,
			    sizeof pauses / sizeof pauses[0]);
	tcase_add_test(tcase,
		       a_device_that_logs_out_while_redis_stands_still_leaves_the_tab_online);
	tcase_add_test(tcase, who_looks_before_it_is_known_that_all_stood_still_looks_again);
	tcase_add_test(tcase,
		       after_a_pause_the_view_has_the_users_of_a_streamd_that_comes_back_later);

	tcase = harness_case(suite, "wipes", 60);
	tcase_add_test(tcase, between_a_wipe_and_the_rebuild_nobody_is_told_offline);
	tcase_add_loop_test(tcase, a_worker_that_starts_after_a_wipe_tells_nobody_offline, 0, 2);
	tcase_add_test(tcase, a_redis_that_comes_back_empty_tells_nobody_offline);
	tcase_add_test(tcase, while_redis_is_recovering_calls_that_tell_a_status_are_503);
	tcase_add_test(tcase, where_nobody_makes_a_new_epoch_a_wipe_is_waited_for_not_for_ever);
	return harness_main(suite);
}
