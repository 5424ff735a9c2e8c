/* Requests for a stream that get none. */
#include "calls.h"

#include <stdio.h>
#include <string.h>

START_TEST(a_stream_without_a_valid_token_is_refused)
{
	struct stack *stack = stack_start("");
	const char *expired = token_until(stack, "1", -1);

	check_problem(HTTP(stack, .path = STREAM), 401, "token_missing");
	check_problem(HTTP(stack, .path = STREAM, .token = "garbage"), 401, "token_invalid");
	check_problem(HTTP(stack, .path = STREAM, .token = expired), 401, "token_expired");
	check_problem(HTTP(stack, .path = STREAM "?token=garbage"), 401, "token_invalid");
	check_problem(HTTP(stack, .path = STREAM "?token=%20"), 401, "token_invalid");
	check_problem(HTTP(stack, .path = STREAM "?token="), 401, NULL);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(another_method_than_get_is_refused)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH"};
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");

	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct response *response = HTTP(stack, .method = methods[i], .path = STREAM,
						 .token = token, .body = "{}");

		check_problem(response, 405, "method_not_allowed");
		ck_assert(strstr(header_of(response->head, "Allow"), "GET") != NULL);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(another_path_is_not_found)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");

	check_problem(HTTP(stack, .path = STREAM "/x", .token = token), 404, "not_found");
	check_problem(HTTP(stack, .path = STREAM "s", .token = token), 404, "not_found");
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_over_max_streams_is_refused)
{
	struct stack *stack = stack_start("stream { max_streams = 2 }");
	struct sse *one = sse_open(stack, token_for(stack, "1"));
	struct sse *two = sse_open(stack, token_for(stack, "2"));

	sse_ready(one);
	sse_ready(two);
	check_problem(HTTP(stack, .path = STREAM, .token = token_for(stack, "3")), 503,
		      "server_full");
	sse_close(one);
	/* Its place is free again. */
	for (int64_t end = now_ms() + patience(3000);; nap()) {
		struct sse *three = sse_open(stack, token_for(stack, "3"));
		int status = sse_status(three);

		sse_close(three);
		if (status == 200)
			break;
		ck_assert_msg(now_ms() < end, "the place is not free: status %d", status);
	}
	sse_close(two);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_over_max_streams_per_user_is_refused)
{
	struct stack *stack = stack_start("stream { max_streams_per_user = 2 }");
	const char *token = token_for(stack, "1");
	struct sse *one = sse_open(stack, token), *two = sse_open(stack, token_for(stack, "1"));
	struct sse *other;

	sse_ready(one);
	sse_ready(two);
	check_problem(HTTP(stack, .path = STREAM, .token = token), 429, "too_many_streams");
	other = sse_open(stack, token_for(stack, "2"));
	sse_ready(other);
	sse_close(one);
	sse_close(two);
	sse_close(other);
	stack_stop(stack);
}
END_TEST

START_TEST(streams_per_user_are_counted_over_all_streamds)
{
	struct stack *stack = stack_start("stream { max_streams_per_user = 2 }");
	const char *token = token_for(stack, "1");
	struct sse *one, *two, *three;

	streamd_start(stack, 1);
	one = sse_open_direct(stack, 0, token);
	two = sse_open_direct(stack, 1, token);
	sse_ready(one);
	sse_ready(two);
	three = sse_open_direct(stack, 1, token);
	ck_assert_int_eq(sse_status(three), 429);
	sse_close(one);
	sse_close(two);
	sse_close(three);
	stack_stop(stack);
}
END_TEST

/* A request for a stream that is refused, and whether its name is known. */
static void check_name(struct stack *stack, const char *path, const char *code, const char *name)
{
	char header[64], mark[64];
	struct response *response;

	snprintf(header, sizeof header, "X-Request-Id: %s", name);
	snprintf(mark, sizeof mark, " request=\"%s\"\n", name);
	response = HTTP(stack, .path = path, .header = header);
	ck_assert_int_eq(response->status, 401);
	ck_assert_str_eq(json_text(response->json, "code"), code);
	ck_assert_str_eq(json_text(response->json, "request_id"), name);
	ck_assert_str_eq(header_of(response->head, "X-Request-Id"), name);
	check_has(stack_file(stack, "streamd0.log"), mark);
}

/* None came that can be taken, so there is a new one. */
static void check_made_name(struct stack *stack, const char *path)
{
	struct response *response = HTTP(stack, .path = path, .header = "X-Request-Id: no name");
	const char *name = json_text(response->json, "request_id");
	char mark[64];

	ck_assert_uint_eq(strlen(name), 32);
	ck_assert_uint_eq(strspn(name, "0123456789abcdef"), 32);
	ck_assert_str_eq(header_of(response->head, "X-Request-Id"), name);
	snprintf(mark, sizeof mark, " request=\"%s\"\n", name);
	check_has(stack_file(stack, "streamd0.log"), mark);
}

START_TEST(the_name_of_a_request_for_a_stream_is_in_its_error_and_in_the_log)
{
	struct stack *stack = stack_start("");

	check_name(stack, STREAM, "token_missing", "before-9.a");
	/* Redis has to say so: when the answer is made the request itself is gone. */
	check_name(stack, STREAM "?ticket=AAAAAAAAAAAAAAAAAAAAAA", "ticket_invalid", "after=9/b");
	check_made_name(stack, STREAM);
	check_made_name(stack, STREAM "?ticket=AAAAAAAAAAAAAAAAAAAAAA");
	stack_stop(stack);
}
END_TEST

/* --- the log --------------------------------------------------------------------------------- */

static struct sse *open_named(struct stack *stack, const char *user, const char *name)
{
	char *text;

	ck_assert(asprintf(&text,
			   "GET " STREAM
			   " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
			   "X-Request-Id: %s\r\n\r\n",
			   token_for(stack, user), name) > 0);
	return sse_request(stack, text);
}

/* How many lines begin their message so; each of them has that name. */
static int count_named(struct stack *stack, const char *message, const char *name)
{
	const char *line = stack_file(stack, "streamd0.log");
	char mark[64];
	int count = 0;

	snprintf(mark, sizeof mark, " request=\"%s\"\n", name);
	for (; (line = strstr(line, message)) != NULL; line++, count++) {
		size_t len = strcspn(line, "\n") + 1;

		ck_assert_msg(len > strlen(mark) &&
				      strncmp(line + len - strlen(mark), mark, strlen(mark)) == 0,
			      "expected%sin: %.*s", mark, (int)len, line);
	}
	return count;
}

/* The machines that move outside a stream's steps, too. */
static void check_machines(struct stack *stack, const char *name)
{
	static const char *const machines[] = {"session", "touch",   "answer", "subscription",
					       "view",	  "friends", "hidden"};
	const char *log = stack_file(stack, "streamd0.log"), *line = log;
	char mark[64], message[64];
	unsigned number;

	snprintf(mark, sizeof mark, " request=\"%s\"\n", name);
	line = strstr(log, mark);
	ck_assert_msg(line != NULL, "no line of %s", name);
	while (line > log && line[-1] != '\n')
		line--;
	ck_assert_msg(sscanf(strstr(line, "msg="), "msg=\"stream %u", &number) == 1, "seen: %.200s",
		      line);
	for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
		snprintf(message, sizeof message, "msg=\"stream %u: %s ", number, machines[i]);
		ck_assert_msg(count_named(stack, message, name) > 0, "no line with %s", message);
	}
}

/* Whatever the line is written in: a step of the stream, an answer of Redis, a message, another's step. */
START_TEST(every_line_about_a_stream_has_its_name)
{
	struct stack *stack = stack_start("log { level = \"debug\" }");
	struct sse *anna = open_named(stack, "1", "of-anna");
	struct sse *ben;

	sse_ready(anna);
	ben = open_named(stack, "2", "of-ben");
	sse_ready(ben);
	freeReplyObject(redis_cmd(stack, "CLIENT KILL TYPE pubsub"));
	sse_wait(ben, "initial", 5000);
	CTL(stack, "kick", "1");
	sse_wait_bye(anna, "revoked", 5000);
	check_machines(stack, "of-anna");
	check_machines(stack, "of-ben");
	stack_stop(stack);
}
END_TEST

START_TEST(what_redis_does_not_do_for_a_stream_is_logged_with_its_name)
{
	struct stack *stack = stack_start("presence { heartbeat = 1 }");
	struct sse *sse = open_named(stack, "1", "of-anna");

	sse_ready(sse);
	freeReplyObject(redis_cmd(stack, "SET user:sessions:1 x"));
	WAIT_UNTIL(count_named(stack, "msg=\"redis: the session of user 1 could not be renewed",
			       "of-anna") > 0,
		   5000);
	sse_close(sse);
	/* By then the stream is gone. */
	WAIT_UNTIL(count_named(stack, "msg=\"redis: the session of user 1 could not be closed",
			       "of-anna") > 0,
		   5000);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("refused streams");
	TCase *tcase = harness_case(suite, "refusals", 30);

	tcase_add_test(tcase, a_stream_without_a_valid_token_is_refused);
	tcase_add_test(tcase, another_method_than_get_is_refused);
	tcase_add_test(tcase, another_path_is_not_found);
	tcase_add_test(tcase, a_stream_over_max_streams_is_refused);
	tcase_add_test(tcase, a_stream_over_max_streams_per_user_is_refused);
	tcase_add_test(tcase, streams_per_user_are_counted_over_all_streamds);
	tcase_add_test(tcase, the_name_of_a_request_for_a_stream_is_in_its_error_and_in_the_log);
	tcase_add_test(tcase, every_line_about_a_stream_has_its_name);
	tcase_add_test(tcase, what_redis_does_not_do_for_a_stream_is_logged_with_its_name);
	return harness_main(suite);
}
