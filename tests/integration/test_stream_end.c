/* How streams end, and what the reader is told. */
#include "calls.h"

#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "wire.h"

START_TEST(logout_closes_the_tokens_streams)
{
	struct stack *stack = stack_start("");
	const char *phone = token_for(stack, "1"), *laptop = token_for(stack, "1");
	struct sse *one = sse_open(stack, phone), *two = sse_open(stack, phone);
	struct sse *other = sse_open(stack, laptop), *late;

	sse_ready(one);
	sse_ready(two);
	sse_ready(other);
	http_ok(stack, LOGOUT, phone, "");
	sse_wait_bye(one, "revoked", 3000);
	sse_wait_bye(two, "revoked", 3000);
	late = sse_open(stack, phone);
	/* Revocation is checked before the first initial; the answer may be 401 or a bye. */
	if (sse_status(late) == 200)
		sse_wait_bye(late, "revoked", 3000);
	else
		ck_assert_int_eq(sse_status(late), 401);
	touch(stack, token_for(stack, "2"));
	sse_wait_change(other, "2", true, 3000);
	http_ok(stack, LOGOUT "?all=true", laptop, "");
	sse_wait_bye(other, "revoked", 3000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_revoked_token_gets_no_initial)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");
	struct sse *sse;

	http_ok(stack, LOGOUT, token, "");
	sse = sse_open_direct(stack, 0, token);
	if (sse_status(sse) == 200) {
		struct event *event;

		while ((event = sse_next(sse, patience(3000))) != NULL)
			ck_assert_str_ne(event->name, "initial");
	}
	ck_assert(sse_wait_end(sse, 3000));
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_revoked_while_redis_was_away_is_noticed)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token);
	char *key;

	sse_ready(sse);
	redis_kill(stack);
	sse_wait_degraded(sse);
	redis_start(stack, NULL);
	ck_assert(asprintf(&key, "presence:revoked:1/%s", json_text(token_payload(token), "sid")) >
		  0);
	freeReplyObject(redis_cmd(stack, "SET %s 1", key));
	sse_wait_bye(sse, "revoked", 15000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_kick_closes_every_stream_of_the_user)
{
	struct stack *stack = stack_start("");
	struct sse *one = sse_open(stack, token_for(stack, "1"));
	struct sse *friend = sse_open(stack, token_for(stack, "2"));
	struct event *event;

	sse_ready(one);
	sse_ready(friend);
	CTL(stack, "kick", "1");
	sse_wait_bye(one, "revoked", 3000);
	event = sse_wait_change(friend, "1", false, 3000);
	ck_assert_str_eq(json_text(event->json, "reason"), "kicked");
	sse_close(friend);
	stack_stop(stack);
}
END_TEST

START_TEST(a_kick_reaches_a_stream_that_opened_before_redis_was_there)
{
	struct stack *stack = stack_new("");
	struct sse *sse;

	streamd_start(stack, 0);
	/* As fast as can be: the token and the kick are of the same second. */
	sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	sse_wait_degraded(sse);
	redis_start(stack, NULL);
	sse_wait(sse, "initial", 15000);
	CTL(stack, "kick", "1");
	sse_wait_bye(sse, "revoked", 3000);
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_ends_with_its_token)
{
	struct stack *stack = stack_start("");
	int64_t start = now_ms();
	struct sse *sse = sse_open(stack, token_until(stack, "1", 2));

	sse_wait_bye(sse, "token_expired", 5000);
	ck_assert_int_ge(now_ms() - start, 900); /* exp has whole seconds */
	stack_stop(stack);
}
END_TEST

START_TEST(a_stopping_streamd_says_goodbye_over_its_drain_and_exits_well)
{
	enum { STREAMS = 20 };
	struct stack *stack = stack_start(FAST "stream { drain = 2 max_streams_per_user = 100 }\n");
	struct sse *streams[STREAMS];
	int64_t start, first = 0, last = 0;

	for (int i = 0; i < STREAMS; i++) {
		char id[2] = {(char)('1' + i % 6), '\0'};

		streams[i] = sse_open(stack, token_for(stack, id));
		sse_ready(streams[i]);
	}
	start = now_ms();
	kill(stack->streamd[0], SIGTERM);
	for (int left = STREAMS; left > 0;) {
		ck_assert_int_lt(now_ms() - start, patience(2000) + 3000);
		for (int i = 0; i < STREAMS; i++) {
			struct event *event = streams[i] != NULL ? sse_next(streams[i], 1) : NULL;

			if (event == NULL || strcmp(event->name, "bye") != 0)
				continue;
			ck_assert_str_eq(json_text(event->json, "reason"), "shutdown");
			last = now_ms() - start;
			first = first == 0 ? last : first;
			sse_close(streams[i]);
			streams[i] = NULL;
			left--;
		}
	}
	ck_assert_msg(last - first >= 500, "goodbyes came between %lld and %lld ms of 2000",
		      (long long)first, (long long)last);
	ck_assert_int_eq(streamd_end(stack, 0, 0), 0);
	stack_stop(stack);
}
END_TEST

static bool is_read(int fd)
{
	int unread = -1;

	return ioctl(fd, SIOCOUTQ, &unread) == 0 && unread == 0;
}

static bool has(const struct printbuf *records, const char *text)
{
	return memmem(records->buf, buf_len(records), text, strlen(text)) != NULL;
}

static void check_opens_and_is_told(int fd)
{
	struct printbuf *answer = buf_new();

	wire_read(fd, answer, 0, 5000);
	ck_assert_msg(has(answer, "event: connected"), "no stream was opened, but: %.*s",
		      (int)buf_len(answer), answer->buf);
	ck_assert_msg(has(answer, "{\"reason\":\"shutdown\"}"),
		      "the stream was opened and not told of the end");
	close(fd);
	printbuf_free(answer);
}

START_TEST(a_stream_that_opens_while_streamd_stops_is_told)
{
	struct stack *stack = stack_start("stream { drain = 300 }\n");
	struct printbuf *request = buf_new();
	int fd = wire_connect_streamd(stack, 0);

	/* Redis says nothing, so it stays on its way. */
	signal_and_wait_stopped(stack->redis);
	wire_stream_request(request, STREAM, token_for(stack, "1"));
	ck_assert_int_eq(send(fd, request->buf, buf_len(request), MSG_NOSIGNAL), buf_len(request));
	WAIT_UNTIL(is_read(fd), 5000);
	kill(stack->streamd[0], SIGTERM);
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"), "1 streams end within") != NULL, 5000);
	kill(stack->redis, SIGCONT);
	check_opens_and_is_told(fd);
	ck_assert_int_eq(streamd_end(stack, 0, 0), 0);
	printbuf_free(request);
	stack_stop(stack);
}
END_TEST

/* At the signal their connections wait in the socket; the request of every second one is still to come. */
START_TEST(who_connected_before_streamd_was_told_to_stop_is_answered)
{
	enum { CLIENTS = 10 };
	struct stack *stack = stack_start("stream { drain = 300 max_streams_per_user = 100 }\n");
	struct printbuf *request = buf_new();
	int fds[CLIENTS];

	wire_stream_request(request, STREAM, token_for(stack, "1"));
	signal_and_wait_stopped(stack->streamd[0]);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = wire_connect_streamd(stack, 0);
		if (i % 2 == 0)
			wire_send(fds[i], request->buf, buf_len(request));
	}
	kill(stack->streamd[0], SIGTERM);
	kill(stack->streamd[0], SIGCONT);
	WAIT_UNTIL(!wire_answers(streamd_socket(stack, 0)), 5000);
	for (int i = 0; i < CLIENTS; i++) {
		if (i % 2 != 0)
			wire_send(fds[i], request->buf, buf_len(request));
	}
	for (int i = 0; i < CLIENTS; i++)
		check_opens_and_is_told(fds[i]);
	ck_assert_int_eq(streamd_end(stack, 0, 0), 0);
	printbuf_free(request);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_has_a_lifetime)
{
	struct stack *stack = stack_start("stream { max_lifetime = 2 }");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	int64_t start;

	sse_ready(sse);
	start = now_ms();
	sse_wait_bye(sse, "lifetime", 2400 + 2000);
	ck_assert_int_ge(now_ms() - start, 1000); /* 80 % of 2 s, less the opening */
	stack_stop(stack);
}
END_TEST

START_TEST(a_client_that_closes_ends_its_session)
{
	struct stack *stack = stack_start("presence { grace = 0 }");
	struct sse *by_fin = sse_open(stack, token_for(stack, "1"));
	struct sse *by_reset = sse_open(stack, token_for(stack, "2"));

	sse_ready(by_fin);
	sse_ready(by_reset);
	sse_close(by_fin);
	WAIT_UNTIL(!redis_has(stack, "user:online:1"), 3000);
	sse_abort(by_reset);
	WAIT_UNTIL(!redis_has(stack, "user:online:2"), 3000);
	stack_stop(stack);
}
END_TEST

START_TEST(streamd_starts_again_on_its_socket)
{
	struct stack *stack = stack_start(FAST);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	streamd_end(stack, 0, SIGKILL); /* leaves the socket's file behind */
	ck_assert(sse_wait_end(sse, 3000));
	streamd_start(stack, 0);
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("end of a stream");
	TCase *tcase = harness_case(suite, "goodbyes", 40);

	tcase_add_test(tcase, logout_closes_the_tokens_streams);
	tcase_add_test(tcase, a_revoked_token_gets_no_initial);
	tcase_add_test(tcase, a_token_revoked_while_redis_was_away_is_noticed);
	tcase_add_test(tcase, a_kick_closes_every_stream_of_the_user);
	tcase_add_test(tcase, a_kick_reaches_a_stream_that_opened_before_redis_was_there);
	tcase_add_test(tcase, a_stream_ends_with_its_token);
	tcase_add_test(tcase, a_stopping_streamd_says_goodbye_over_its_drain_and_exits_well);
	tcase_add_test(tcase, a_stream_that_opens_while_streamd_stops_is_told);
	tcase_add_test(tcase, who_connected_before_streamd_was_told_to_stop_is_answered);
	tcase_add_test(tcase, a_stream_has_a_lifetime);
	tcase_add_test(tcase, a_client_that_closes_ends_its_session);
	tcase_add_test(tcase, streamd_starts_again_on_its_socket);
	return harness_main(suite);
}
