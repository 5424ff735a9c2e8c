/* A Redis that was wiped: until it is filled again nobody is told what it lacks. */
#include "calls.h"

#include "wire.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* No touch but the first, and sweeps that are two seconds apart. */
#define SELDOM                                                                              \
	"presence { online_ttl = 60 heartbeat = 20 stream_ttl = 60 grace = 1 sweep = 2 }\n" \
	"stream { drain = 1 }\n"

static void shows(const struct event *initial, const char *id)
{
	ck_assert_msg(json_object_get_boolean(json_at(json_at(initial->json, id), "is_online")),
		      "user %s has a stream, but `initial` is %s", id, initial->data);
}

static void next_initial_shows(struct sse *sse, const char *id)
{
	shows(sse_wait(sse, "initial", 15000), id);
}

START_TEST(a_wiped_redis_is_rebuilt_from_the_live_streams)
{
	struct stack *stack = stack_start(FAST);
	struct sse *one = sse_open(stack, token_for(stack, "1")), *two;

	sse_ready(one);
	two = sse_open(stack, token_for(stack, "2"));
	sse_ready(two);
	sse_wait_change(one, "2", true, 2000);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	next_initial_shows(one, "2");
	next_initial_shows(two, "1");
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 2);
	ck_assert(redis_has(stack, "user:online:1") && redis_has(stack, "user:online:2"));
	sse_close(one);
	sse_close(two);
	stack_stop(stack);
}
END_TEST

/* Opens a stream on streamd's socket and leaves what comes in it. */
static int open_unread(struct stack *stack, const char *id)
{
	struct printbuf *request = buf_new();
	int fd = wire_connect(streamd_socket(stack, 0));

	ck_assert_msg(fd >= 0, "cannot connect: %s", strerror(errno));
	wire_stream_request(request, STREAM, token_for(stack, id));
	ck_assert_int_eq(send(fd, request->buf, buf_len(request), MSG_NOSIGNAL), buf_len(request));
	printbuf_free(request);
	return fd;
}

START_TEST(after_a_wipe_no_snapshot_comes_before_the_last_session)
{
	enum { STREAMS = 900 }; /* more than are registered at a time */
	/* A link that is lost on a busy machine would bring another `initial`, before the wipe. */
	struct stack *stack = stack_start(FAST "redis { timeout_ms = 20000 }\n");
	struct sse *first = sse_open_direct(stack, 0, token_for(stack, "1"));
	static int fds[STREAMS + USERS];
	struct event *event;
	char id[16];
	int count = 0;

	sse_ready(first);
	while (count < STREAMS) {
		snprintf(id, sizeof id, "%d", 1000 + count);
		fds[count++] = open_unread(stack, id);
	}
	WAIT_UNTIL(redis_int(stack, "SCARD online_users") > STREAMS, 15000);
	for (int user = 2; user <= USERS; user++) {
		snprintf(id, sizeof id, "%d", user);
		fds[count++] = open_unread(stack, id);
	}
	WAIT_UNTIL(redis_int(stack, "SCARD online_users") == STREAMS + USERS, 5000);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	event = sse_wait(first, "initial", 10000);
	for (int user = 2; user <= USERS; user++) {
		snprintf(id, sizeof id, "%d", user);
		shows(event, id);
	}
	while (count > 0)
		close(fds[--count]);
	sse_close(first);
	stack_stop(stack);
}
END_TEST

START_TEST(a_wipe_right_after_the_start_is_noticed)
{
	struct stack *stack = stack_new(FAST);
	struct sse *sse;

	redis_start(stack, NULL);
	streamd_start(stack, 0);
	sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	sse_ready(sse);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	sse_wait(sse, "initial", 10000);
	ck_assert(redis_has(stack, "user:online:1"));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- what is read of a Redis that is not filled again --------------------------------------- */

/* Somebody is blocked after the wipe and before a sweep finds it: the view is asked for again. */
START_TEST(what_a_wiped_redis_says_is_no_initial)
{
	struct stack *stack = stack_start(SELDOM);
	struct sse *reader = sse_open(stack, token_for(stack, "1")), *shown;
	char *swept;

	sse_ready(reader);
	shown = sse_open(stack, token_for(stack, "2"));
	sse_ready(shown);
	sse_wait_change(reader, "2", true, 5000);
	swept = redis_text(stack, "GET presence:swept");
	WAIT_UNTIL(strcmp(redis_text(stack, "GET presence:swept"), swept) != 0, 5000);
	freeReplyObject(redis_cmd(stack, "EVAL %s 0",
				  "redis.call('FLUSHALL') redis.call('PUBLISH', 'user:inbox:1', "
				  "'{\"type\":\"friends_changed\",\"user_id\":3,"
				  "\"side\":\"blocked\",\"hidden\":true}')"));
	next_initial_shows(reader, "2");
	stack_stop(stack);
}
END_TEST

START_TEST(initial_waits_for_the_streams_of_another_process)
{
	struct stack *stack = stack_start(SELDOM);
	struct sse *reader = sse_open_direct(stack, 0, token_for(stack, "1")), *shown;

	sse_ready(reader);
	streamd_start(stack, 1);
	shown = sse_open_direct(stack, 1, token_for(stack, "2"));
	sse_ready(shown);
	sse_wait_change(reader, "2", true, 5000);
	signal_and_wait_stopped(stack->streamd[1]);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	WAIT_UNTIL(redis_has(stack, "presence:recovering"), 10000);
	kill(stack->streamd[1], SIGCONT);
	next_initial_shows(reader, "2");
	stack_stop(stack);
}
END_TEST

/* Nobody knows what such a user chose, so that others have to say so first. */
START_TEST(initial_waits_for_who_came_while_redis_was_away)
{
	struct stack *stack = stack_start(SELDOM);
	struct sse *reader = sse_open(stack, token_for(stack, "1")), *shown;

	sse_ready(reader);
	redis_kill(stack);
	sse_wait_degraded(reader);
	shown = sse_open(stack, token_for(stack, "2"));
	sse_wait_degraded(shown);
	redis_start(stack, NULL);
	next_initial_shows(reader, "2");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wipes");
	TCase *tcase = harness_case(suite, "rebuilt", 60);

	tcase_add_test(tcase, a_wiped_redis_is_rebuilt_from_the_live_streams);
	tcase_add_test(tcase, after_a_wipe_no_snapshot_comes_before_the_last_session);
	tcase_add_test(tcase, a_wipe_right_after_the_start_is_noticed);

	tcase = harness_case(suite, "read", 40);
	tcase_add_test(tcase, what_a_wiped_redis_says_is_no_initial);
	tcase_add_test(tcase, initial_waits_for_the_streams_of_another_process);
	tcase_add_test(tcase, initial_waits_for_who_came_while_redis_was_away);
	return harness_main(suite);
}
