/* Redis away, silent or unwilling, and a directory that is broken. */
#include "calls.h"
#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With timeout_ms = 1000: every call says so in time. */
static void check_unavailable(struct stack *stack, const char *token)
{
	static const struct {
		const char *method, *path, *body;
	} calls[] = {
		{"GET", COUNT, NULL},
		{"GET", STATUS_USER "2", NULL},
		{"GET", STATUS_FRIENDS, NULL},
		{"GET", ONLINE_LIST, NULL},
		{"POST", STATUS_USERS, "{\"user_ids\":[2]}"},
		{"POST", HEARTBEAT, "{\"idle\":true}"},
		{"GET", STATE, NULL},
		{"PUT", STATE, "{\"status\":\"busy\"}"},
		{"DELETE", STATE, NULL},
		{"GET", SETTINGS, NULL},
		{"PUT", SETTINGS, "{\"last_seen\":\"nobody\"}"},
		{"GET", BLOCK_LIST, NULL},
		{"PUT", BLOCKS "2", NULL},
		{"DELETE", BLOCKS "2", NULL},
		{"POST", TYPING, "{\"to\":2,\"typing\":true}"},
		{"PUT", LOCATION, "{\"lat\":1,\"lon\":1}"},
		{"DELETE", LOCATION, NULL},
		{"GET", NEARBY, NULL},
		{"POST", TICKET, NULL},
		{"POST", LOGOUT, NULL},
		{"POST", LOGIN, CREDENTIALS},
	};

	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		struct response *response =
			HTTP(stack, .method = calls[i].method, .path = calls[i].path,
			     .body = calls[i].body, .token = token);

		ck_assert_msg(response->status == 503, "%s %s: %d %s", calls[i].method,
			      calls[i].path, response->status, response->body);
		check_problem(response, 503, "redis_unavailable");
		ck_assert_msg(response->ms < 1000 + patience(1000), "%s: 503 only after %d ms",
			      calls[i].path, response->ms);
	}
}

static void check_health_fails(struct stack *stack)
{
	struct response *response = HTTP(stack, .path = "/api/health");

	ck_assert_msg(response->status == 503, "health: status %d: %s", response->status,
		      response->body);
	ck_assert_msg(response->ms < 1000 + patience(1000), "health: only after %d ms",
		      response->ms);
}

/* A stream opened now: 200, and `degraded` rather than a false picture. */
static struct sse *open_degraded(struct stack *stack)
{
	struct sse *sse = sse_open(stack, token_for(stack, "4"));
	struct event *event;

	ck_assert_int_eq(sse_status(sse), 200);
	event = sse_next(sse, patience(3000));
	ck_assert_msg(event != NULL && strcmp(event->name, "connected") == 0, "not connected");
	event = sse_next(sse, patience(8000));
	ck_assert_msg(event != NULL && strcmp(event->name, "degraded") == 0,
		      "%s instead of degraded", event != NULL ? event->name : "nothing");
	return sse;
}

/* Everything works again, nothing was restarted. */
static void check_recovers(struct stack *stack, struct sse *degraded)
{
	const char *token = token_for(stack, "1"), *friend = token_for(stack, "2");
	struct sse *sse;

	WAIT_UNTIL(HTTP(stack, .path = COUNT, .token = token)->status == 200, 10000);
	for (int i = 0; i < 10; i++)
		http_ok(stack, COUNT, token, NULL);
	http_ok(stack, "/api/health", NULL, NULL);
	if (degraded != NULL)
		sse_wait(degraded, "initial", 15000);
	sse = sse_open(stack, token);
	sse_ready(sse);
	/* After a wipe nobody new is shown for a moment: a state that was chosen may be missing. */
	WAIT_UNTIL((http_ok(stack, COUNT, friend, NULL), redis_has(stack, "user:online:2")), 8000);
	http_ok(stack, "/api/auth/logout", friend, "");
	sse_wait_change(sse, "2", false, 5000);
	if (degraded != NULL) {
		sse_wait_change(degraded, "2", false, 5000);
		sse_close(degraded);
	}
	sse_close(sse);
}

START_TEST(everything_starts_without_redis_and_recovers_with_it)
{
	struct stack *stack = stack_new(FAST);
	struct sse *sse;

	streamd_start(stack, 0);
	lighttpd_start(stack);
	check_unavailable(stack, token_for(stack, "1"));
	check_health_fails(stack);
	sse = open_degraded(stack);
	redis_start(stack, NULL);
	check_recovers(stack, sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_killed_redis_is_told_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse;

	http_ok(stack, COUNT, token, NULL);
	redis_kill(stack);
	check_unavailable(stack, token);
	check_health_fails(stack);
	sse = open_degraded(stack);
	redis_start(stack, NULL);
	check_recovers(stack, sse);
	stack_stop(stack);
}
END_TEST

/* Redis' own `timeout`, a proxy, an operator: over a Unix socket (0) and over TCP (1). */
START_TEST(connections_that_redis_has_closed_fail_no_request)
{
	struct stack *stack;
	char conf[128] = "", args[32] = "";

	if (_i == 1) {
		int port = free_port();

		snprintf(conf, sizeof conf, "redis { url = \"redis://127.0.0.1:%d/0\" }\n", port);
		snprintf(args, sizeof args, "--port %d", port);
	}
	strcat(conf, "api { children = 1 }\n");
	stack = stack_new(conf);
	redis_start(stack, args);
	lighttpd_start(stack);
	for (int i = 0; i < 10; i++) {
		http_ok(stack, COUNT, token_for(stack, "1"), NULL);
		ck_assert_int_ge(redis_int(stack, "CLIENT KILL TYPE normal SKIPME yes"), 1);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_silent_redis_is_told_in_time_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse;

	http_ok(stack, COUNT, token, NULL);
	signal_and_wait_stopped(stack->redis);
	check_unavailable(stack, token);
	check_health_fails(stack);
	sse = open_degraded(stack);
	kill(stack->redis, SIGCONT);
	check_recovers(stack, sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_read_only_replica_is_told_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");

	http_ok(stack, COUNT, token, NULL);
	freeReplyObject(redis_cmd(stack, "REPLICAOF 127.0.0.1 1"));
	check_unavailable(stack, token);
	freeReplyObject(redis_cmd(stack, "REPLICAOF NO ONE"));
	check_recovers(stack, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(a_full_redis_is_told_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");

	http_ok(stack, COUNT, token, NULL);
	freeReplyObject(redis_cmd(stack, "CONFIG SET maxmemory 1"));
	check_unavailable(stack, token);
	freeReplyObject(redis_cmd(stack, "CONFIG SET maxmemory 0"));
	check_recovers(stack, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(a_wrong_redis_password_is_told_and_survived)
{
	struct stack *stack = stack_new("");
	char *conf;
	struct sse *sse;

	ck_assert(asprintf(&conf, FAST "redis { url = \"unix://:wrong@%s/redis.sock\" }\n",
			   stack->dir) > 0);
	stack_write_conf(stack, conf);
	redis_start(stack, "--requirepass right");
	streamd_start(stack, 0);
	lighttpd_start(stack);
	check_unavailable(stack, token_for(stack, "1"));
	sse = open_degraded(stack);
	freeReplyObject(redis_cmd(stack, "AUTH right"));
	freeReplyObject(redis_cmd(stack, "CONFIG SET requirepass wrong"));
	check_recovers(stack, sse);
	stack_stop(stack);
}
END_TEST

START_TEST(scripts_are_loaded_again_after_they_were_flushed)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "3"));

	sse_ready(sse);
	http_ok(stack, COUNT, token, NULL);
	freeReplyObject(redis_cmd(stack, "SCRIPT FLUSH"));
	http_ok(stack, COUNT, token, NULL);
	freeReplyObject(redis_cmd(stack, "SCRIPT FLUSH"));
	http_ok(stack, "/api/auth/logout", token, "");
	sse_wait_change(sse, "1", false, 3000);
	freeReplyObject(redis_cmd(stack, "SCRIPT FLUSH"));
	sse_close(sse);
	WAIT_UNTIL(!redis_has(stack, "user:online:3"), 1000 + 2000 + 2000);
	check_recovers(stack, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(foreign_keys_of_another_type_are_told_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");

	freeReplyObject(redis_cmd(stack, "LPUSH online_users x"));
	ck_assert_int_eq(HTTP(stack, .path = COUNT, .token = token)->status, 503);
	freeReplyObject(redis_cmd(stack, "DEL online_users"));
	freeReplyObject(redis_cmd(stack, "SET user:online:2 garbage"));
	freeReplyObject(redis_cmd(stack, "SET user:last_seen:2 garbage"));
	http_ok(stack, "/api/online-status/user/2", token, NULL);
	freeReplyObject(redis_cmd(stack, "DEL user:online:2 user:last_seen:2"));
	check_recovers(stack, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(a_broken_directory_is_told)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");

	stack_write(stack, "users.db", "this is not a database, and long enough to be noticed");
	check_problem(HTTP(stack, .path = "/api/friends/list", .token = token), 503,
		      "directory_unavailable");
	http_ok(stack, COUNT, token, NULL);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("Redis away or unwilling");
	TCase *tcase = harness_case(suite, "redis", 60);

	tcase_add_test(tcase, everything_starts_without_redis_and_recovers_with_it);
	tcase_add_test(tcase, a_killed_redis_is_told_and_survived);
	tcase_add_loop_test(tcase, connections_that_redis_has_closed_fail_no_request, 0, 2);
	tcase_add_test(tcase, a_silent_redis_is_told_in_time_and_survived);
	tcase_add_test(tcase, a_read_only_replica_is_told_and_survived);
	tcase_add_test(tcase, a_full_redis_is_told_and_survived);
	tcase_add_test(tcase, a_wrong_redis_password_is_told_and_survived);
	tcase_add_test(tcase, scripts_are_loaded_again_after_they_were_flushed);
	tcase_add_test(tcase, foreign_keys_of_another_type_are_told_and_survived);
	tcase_add_test(tcase, a_broken_directory_is_told);
	return harness_main(suite);
}
