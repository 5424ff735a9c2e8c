/* streamd and a Redis that refuses, dies or comes back empty: nothing that it must know is lost. */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only the end of a stream, told in time, makes a user offline within a test's time. */
#define PATIENT                                                                             \
	"presence { online_ttl = 60 heartbeat = 20 stream_ttl = 60 grace = 1 sweep = 1 }\n" \
	"stream { drain = 1 }\n"
#define DURABLE "--appendonly yes --appendfsync always"

/* A user with a stream, and a friend who watches. */
struct pair {
	struct stack *stack;
	struct sse *user, *friend;
};

static struct pair open_pair(const char *redis_args)
{
	struct pair pair = {.stack = stack_new(PATIENT)};

	redis_start(pair.stack, redis_args);
	streamd_start(pair.stack, 0);
	lighttpd_start(pair.stack);
	pair.friend = sse_open_direct(pair.stack, 0, token_for(pair.stack, "1"));
	sse_ready(pair.friend);
	pair.user = sse_open_direct(pair.stack, 0, token_for(pair.stack, "2"));
	sse_ready(pair.user);
	sse_wait_change(pair.friend, "2", true, 5000);
	return pair;
}

static bool is_logged(struct stack *stack, const char *text)
{
	return strstr(stack_file(stack, "streamd0.log"), text) != NULL;
}

static unsigned count_logged(struct stack *stack, const char *text)
{
	unsigned count = 0;

	for (const char *at = stack_file(stack, "streamd0.log"); (at = strstr(at, text)) != NULL;
	     at++)
		count++;
	return count;
}

static void set(struct stack *stack, const char *name, const char *value)
{
	freeReplyObject(redis_cmd(stack, "CONFIG SET %s %s", name, value));
}

static bool is_offline(struct stack *stack, const char *id)
{
	return redis_int(stack, "SISMEMBER online_users %s", id) == 0;
}

/* It has read its data. */
static bool is_loaded(struct stack *stack)
{
	redisReply *reply = redis_cmd(stack, "PING");
	bool loaded = reply->type == REDIS_REPLY_STATUS;

	freeReplyObject(reply);
	return loaded;
}

static void restart_redis(struct stack *stack)
{
	redis_start(stack, DURABLE);
	WAIT_UNTIL(is_loaded(stack), 10000);
}

/* --- sessions to close -------------------------------------------------------------------- */

static const struct refusal {
	const char *setting, *bad, *good;
} refusals[] = {
	{"maxmemory", "1", "0"},
	{"min-replicas-to-write", "1", "0"},
};

START_TEST(a_close_that_redis_refuses_is_made_up_for)
{
	const struct refusal *refusal = &refusals[_i];
	struct pair pair = open_pair(NULL);

	set(pair.stack, refusal->setting, refusal->bad);
	sse_close(pair.user);
	WAIT_UNTIL(is_logged(pair.stack, "session LIVE -> ABSENT"), 5000);
	sse_wait_degraded(pair.friend);
	set(pair.stack, refusal->setting, refusal->good);
	WAIT_UNTIL(is_offline(pair.stack, "2"), 8000);
	ck_assert(!is_offline(pair.stack, "1"));
	stack_stop(pair.stack);
}
END_TEST

START_TEST(a_close_under_way_when_redis_dies_is_made_up_for)
{
	struct pair pair = open_pair(DURABLE);

	signal_and_wait_stopped(pair.stack->redis);
	sse_close(pair.user);
	WAIT_UNTIL(is_logged(pair.stack, "session LIVE -> ABSENT"), 5000);
	redis_kill(pair.stack);
	restart_redis(pair.stack);
	ck_assert_msg(!is_offline(pair.stack, "2"), "the data is gone: the test shows nothing");
	WAIT_UNTIL(is_offline(pair.stack, "2"), 8000);
	ck_assert(!is_offline(pair.stack, "1"));
	stack_stop(pair.stack);
}
END_TEST

START_TEST(a_process_that_stops_waits_for_a_redis_that_comes_back)
{
	struct pair pair = open_pair(DURABLE);

	stack_write_conf(pair.stack, PATIENT "stream { drain = 20 }\n");
	kill(pair.stack->streamd[0], SIGHUP);
	WAIT_UNTIL(is_logged(pair.stack, "configuration read again"), 5000);
	redis_kill(pair.stack);
	sse_wait_degraded(pair.friend);
	sse_close(pair.friend);
	sse_close(pair.user);
	WAIT_UNTIL(count_logged(pair.stack, "session PENDING -> ABSENT") == 2, 5000);
	kill(pair.stack->streamd[0], SIGTERM);
	WAIT_UNTIL(is_logged(pair.stack, "streams end within 20 s"), 5000);
	restart_redis(pair.stack);
	ck_assert_int_eq(streamd_end(pair.stack, 0, 0), 0);
	streamd_start(pair.stack, 0); /* somebody must sweep */
	WAIT_UNTIL(is_offline(pair.stack, "1") && is_offline(pair.stack, "2"), 8000);
	stack_stop(pair.stack);
}
END_TEST

/* --- the link ----------------------------------------------------------------------------- */

START_TEST(a_redis_that_takes_no_writes_is_told_once_and_asked_now_and_then)
{
	const struct refusal *refusal = &refusals[_i];
	struct pair pair = open_pair(NULL);
	unsigned connected = count_logged(pair.stack, "redis: connected");
	long long connections;

	set(pair.stack, refusal->setting, refusal->bad);
	sse_close(pair.user); /* something to be refused */
	sse_wait_degraded(pair.friend);
	connections = redis_int(pair.stack, "EVAL %s 0",
				"return tonumber(redis.call('INFO','stats'):match("
				"'total_connections_received:(%d+)'))");
	/* The back-off doubles from 100 to 700 ms: four attempts are half a second, ten more than two. */
	WAIT_UNTIL(count_logged(pair.stack, "link CONNECTING -> HANDSHAKE") >= 5, 8000);
	ck_assert_int_lt(redis_int(pair.stack, "EVAL %s 0",
				   "return tonumber(redis.call('INFO','stats'):match("
				   "'total_connections_received:(%d+)'))") -
				 connections,
			 16);
	ck_assert_uint_eq(count_logged(pair.stack, "level=warning msg=\"redis: "), 1);
	ck_assert_uint_eq(count_logged(pair.stack, "redis: connected"), connected);
	ck_assert_ptr_null(sse_next(pair.friend, 0));
	set(pair.stack, refusal->setting, refusal->good);
	sse_wait(pair.friend, "initial", 12000);
	WAIT_UNTIL(count_logged(pair.stack, "redis: connected") == connected + 1, 5000);
	ck_assert_uint_eq(count_logged(pair.stack, "level=warning msg=\"redis: "), 1);
	stack_stop(pair.stack);
}
END_TEST

/* Others may wait for what this process knows: see backoff_max() in src/stream/link.c. */
START_TEST(a_redis_that_was_away_for_long_is_found_within_1200_ms)
{
	struct stack *stack = stack_start("presence { heartbeat = 30 }");
	unsigned attempts;
	int64_t start;

	redis_kill(stack);
	attempts = count_logged(stack, "link WAITING -> CONNECTING");
	WAIT_UNTIL(count_logged(stack, "link WAITING -> CONNECTING") >= attempts + 7, 20000);
	redis_start(stack, NULL);
	start = now_ms();
	WAIT_UNTIL(count_logged(stack, "link HANDSHAKE -> UP") == 2, 10000);
	ck_assert_int_lt(now_ms() - start, patience(1200));
	stack_stop(stack);
}
END_TEST

START_TEST(a_redis_that_refuses_what_a_stream_needs_does_not_make_the_link_flap)
{
	struct stack *stack = stack_new(FAST);
	struct sse *sse;

	redis_start(stack, NULL);
	/* The handshake passes, a transition does not: the channels of users are missing. */
	freeReplyObject(
		redis_cmd(stack, "ACL SETUSER default resetchannels &presence:* &user:inbox:*"));
	streamd_start(stack, 0);
	sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	WAIT_UNTIL(count_logged(stack, "link HANDSHAKE -> UP") >= 5, 10000);
	ck_assert_uint_le(count_logged(stack, "level=warning msg=\"redis: NOPERM"), 2);
	ck_assert_uint_le(count_logged(stack, "redis: connected"), 2);
	freeReplyObject(redis_cmd(stack, "ACL SETUSER default allchannels"));
	sse_wait(sse, "initial", 12000);
	stack_stop(stack);
}
END_TEST

/* --- registering again -------------------------------------------------------------------- */

START_TEST(streams_opened_without_redis_are_counted_when_it_is_back)
{
	enum { EACH = 3, LIMIT = 4 };
	struct stack *stack = stack_new(FAST "stream { max_streams_per_user = 4 }\n");
	struct sse *sses[2 * EACH];
	unsigned told = 0, open = 0;
	int64_t end;

	redis_start(stack, NULL);
	streamd_start(stack, 0);
	streamd_start(stack, 1);
	redis_kill(stack);
	for (int i = 0; i < 2 * EACH; i++) {
		sses[i] = sse_open_direct(stack, i % 2, token_for(stack, "1"));
		sse_wait_degraded(sses[i]);
	}
	redis_start(stack, NULL);
	end = now_ms() + patience(15000);
	while (told + open < 2 * EACH && now_ms() < end) {
		for (int i = 0; i < 2 * EACH; i++) {
			struct event *event = sses[i] != NULL ? sse_next(sses[i], 20) : NULL;

			if (event == NULL || strcmp(event->name, "heartbeat") == 0 ||
			    strcmp(event->name, "self") == 0)
				continue;
			if (strcmp(event->name, "bye") == 0) {
				ck_assert_str_eq(json_text(event->json, "reason"),
						 "too_many_streams");
				told++;
			} else {
				ck_assert_str_eq(event->name, "initial");
				open++;
			}
			sses[i] = NULL;
		}
	}
	ck_assert_msg(open == LIMIT && told == 2 * EACH - LIMIT,
		      "%u streams are open, %u were told too_many_streams", open, told);
	stack_stop(stack);
}
END_TEST

START_TEST(a_wiped_redis_says_that_it_is_rebuilt)
{
	struct pair pair = open_pair(NULL);

	redis_kill(pair.stack);
	sse_wait_degraded(pair.friend);
	redis_start(pair.stack, NULL);
	WAIT_UNTIL(redis_has(pair.stack, "presence:recovering"), 8000);
	ck_assert_int_gt(redis_int(pair.stack, "PTTL presence:recovering"), 0);
	sse_wait(pair.friend, "initial", 8000);
	ck_assert(!is_offline(pair.stack, "2"));
	/* Everybody is registered: it ends by itself. */
	WAIT_UNTIL(!redis_has(pair.stack, "presence:recovering"), 8000);
	stack_stop(pair.stack);
}
END_TEST

/* --- messages, requests, signals ---------------------------------------------------------- */

START_TEST(a_message_that_is_not_utf8_is_dropped)
{
	struct pair pair = open_pair(NULL);
	const char *bad = "{\"user_id\":2,\"reason\":\"\xff\"}";
	const char *good = "{\"user_id\":2,\"reason\":\"\xc3\xbc\"}";
	struct event *event;

	freeReplyObject(redis_cmd(pair.stack, "PUBLISH user:status:2 %b", bad, strlen(bad)));
	freeReplyObject(redis_cmd(pair.stack, "PUBLISH user:status:2 %b", good, strlen(good)));
	event = sse_wait(pair.friend, "status_change", 5000);
	ck_assert_str_eq(event->data, good);
	ck_assert(is_logged(pair.stack, "dropped a message on user:status:2: not UTF-8"));
	stack_stop(pair.stack);
}
END_TEST

START_TEST(head_of_the_stream_is_its_header_alone)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1"), *ticket = ticket_for(stack, token);
	char path[256];
	struct response *response;

	response = HTTP(stack, .method = "HEAD", .path = STREAM, .token = token);
	ck_assert_int_eq(response->status, 200);
	ck_assert_uint_eq(response->body_len, 0);
	ck_assert_str_eq(header_of(response->head, "Content-Type"), "text/event-stream");
	response = HTTP(stack, .method = "HEAD", .path = STREAM, .token = "garbage");
	ck_assert_int_eq(response->status, 401);
	ck_assert_uint_eq(response->body_len, 0);
	ck_assert_str_eq(header_of(response->head, "Content-Type"), "application/problem+json");
	/* A look takes nothing: the ticket is still good. */
	snprintf(path, sizeof path, STREAM "?ticket=%s", ticket);
	ck_assert_int_eq(HTTP(stack, .method = "HEAD", .path = path)->status, 200);
	sse_ready(sse_open_ticket(stack, ticket));
	stack_stop(stack);
}
END_TEST

START_TEST(a_signal_brings_the_states_into_the_log)
{
	struct pair pair = open_pair(NULL);

	kill(pair.stack->streamd[0], SIGUSR1);
	WAIT_UNTIL(is_logged(pair.stack, "messages were dropped"), 5000);
	check_has(stack_file(pair.stack, "streamd0.log"),
		  "state: link UP, 2 connections, 2 streams of at most ");
	check_has(stack_file(pair.stack, "streamd0.log"),
		  "state: phase: REQUEST 0 TICKET 0 INBOX 0 FRIENDS 0 SESSION 0 FIGURES 0 OPEN 2 "
		  "ENDING 0");
	check_has(stack_file(pair.stack, "streamd0.log"),
		  "state: session: ABSENT 0 PENDING 0 RECOVERING 0 LIVE 2");
	check_has(stack_file(pair.stack, "streamd0.log"), " CURRENT 2 ");
	stack_stop(pair.stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recovery");
	TCase *tcase = harness_case(suite, "recovery", 60);

	tcase_add_loop_test(tcase, a_close_that_redis_refuses_is_made_up_for, 0, 2);
	tcase_add_test(tcase, a_close_under_way_when_redis_dies_is_made_up_for);
	tcase_add_test(tcase, a_process_that_stops_waits_for_a_redis_that_comes_back);
	tcase_add_loop_test(tcase, a_redis_that_takes_no_writes_is_told_once_and_asked_now_and_then,
			    0, 2);
	tcase_add_test(tcase, a_redis_that_was_away_for_long_is_found_within_1200_ms);
	tcase_add_test(tcase, a_redis_that_refuses_what_a_stream_needs_does_not_make_the_link_flap);
	tcase_add_test(tcase, streams_opened_without_redis_are_counted_when_it_is_back);
	tcase_add_test(tcase, a_wiped_redis_says_that_it_is_rebuilt);
	tcase_add_test(tcase, a_message_that_is_not_utf8_is_dropped);
	tcase_add_test(tcase, head_of_the_stream_is_its_header_alone);
	tcase_add_test(tcase, a_signal_brings_the_states_into_the_log);
	return harness_main(suite);
}
