/* The events of a stream, their shapes and their order: docs/api.md, "Events". */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(a_stream_starts_with_connected_then_initial)
{
	struct stack *stack = stack_start("presence { heartbeat = 25 }");
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token);
	struct json_object *own;
	struct event *event;

	ck_assert_int_eq(sse_status(sse), 200);
	ck_assert_str_eq(sse_header(sse, "Content-Type"), "text/event-stream");
	ck_assert_str_eq(sse_header(sse, "Cache-Control"), "no-cache, no-transform");
	ck_assert_str_eq(sse_header(sse, "X-Accel-Buffering"), "no");
	event = sse_expect(sse, "connected", 3000);
	CHECK_JSON(event->json, "{'user_id':1,'session_id':'<string>','heartbeat':25,"
				"'server_time':'<time>'}");
	own = http_ok(stack, "/api/online-status/user/1", token, NULL);
	ck_assert_str_eq(json_text(event->json, "session_id"), json_text(own, "session_id"));
	CHECK_JSON(sse_expect(sse, "self", 3000)->json,
		   "{'user_id':1,'is_online':true,'status':'online','last_activity':'<time>',"
		   "'version':'<version>','session_id':'<string>'}");
	event = sse_expect(sse, "initial", 3000);
	CHECK_JSON(event->json, "{" NEVER_SEEN_AT(2) "," NEVER_SEEN_AT(3) "," NEVER_SEEN_AT(
					4) "," NEVER_SEEN_AT(5) "," NEVER_SEEN_AT(6) "}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(the_token_may_come_in_the_query)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open_query(stack, token_for(stack, "1"));

	sse_expect(sse, "connected", 3000);
	sse_expect(sse, "self", 3000);
	sse_expect(sse, "initial", 3000);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_user_without_friends_gets_an_empty_initial)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "stranger"));
	struct event *event = sse_expect(sse, "connected", 3000);

	ck_assert_str_eq(json_text(event->json, "user_id"), "stranger");
	sse_expect(sse, "self", 3000);
	CHECK_JSON(sse_expect(sse, "initial", 3000)->json, "{}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(the_retry_hint_is_jittered)
{
	enum { STREAMS = 10 };
	struct stack *stack = stack_start("stream { retry_ms = 1000 }");
	struct sse *streams[STREAMS];
	int first = 0, different = 0;

	for (int i = 0; i < STREAMS; i++) {
		struct event *event;
		int retry;

		streams[i] = sse_open(stack, token_for(stack, "1"));
		event = sse_expect(streams[i], "connected", 3000);
		ck_assert_msg(event->retry != NULL, "connected came without retry:");
		retry = atoi(event->retry);
		ck_assert_msg(retry >= 500 && retry <= 1500, "retry: %s", event->retry);
		first = first == 0 ? retry : first;
		different += retry != first;
	}
	ck_assert_int_gt(different, 0);
	for (int i = 0; i < STREAMS; i++)
		sse_close(streams[i]);
	stack_stop(stack);
}
END_TEST

START_TEST(a_friends_changes_arrive_and_a_strangers_do_not)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	const char *token = token_for(stack, "2");

	sse_ready(sse);
	touch(stack, token_for(stack, "stranger"));
	touch(stack, token);
	CHECK_JSON(sse_expect(sse, "status_change", 3000)->json,
		   "{'user_id':2,'is_online':true,'status':'online','last_activity':'<time>',"
		   "'version':'<version>','reason':'activity'}");
	http_ok(stack, LOGOUT, token, "");
	CHECK_JSON(sse_expect(sse, "status_change", 3000)->json,
		   "{'user_id':2,'is_online':false,'status':'offline','last_seen':'<time>',"
		   "'version':'<version>','reason':'logout'}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_status_change_is_the_message_of_the_channel_unchanged)
{
	static const char message[] = "{\"user_id\": 2, \"is_online\" :true,\"status\":\"away\","
				      "\"version\":7,\"reason\":\"x\",\"more\":[1, 2]}";
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	ck_assert_int_eq(redis_int(stack, "PUBLISH user:status:2 %s", message), 1);
	ck_assert_str_eq(sse_expect(sse, "status_change", 3000)->data, message);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_message_of_more_than_one_line_is_dropped)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	redis_int(stack, "PUBLISH user:status:2 %s",
		  "{}\n\nevent: bye\ndata: {\"reason\":\"forged\"}");
	redis_int(stack, "PUBLISH user:status:2 %s", "{}\r\revent: bye");
	redis_int(stack, "PUBLISH user:status:2 %s", "{\"good\":true}");
	ck_assert_str_eq(sse_expect(sse, "status_change", 3000)->data, "{\"good\":true}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* The stream's session: the token's has a later deadline. */
static long long first_deadline(struct stack *stack, const char *id)
{
	redisReply *reply = redis_cmd(stack, "ZRANGE user:sessions:%s 0 0 WITHSCORES", id);
	long long deadline;

	ck_assert_int_eq(reply->elements, 2);
	deadline = strtoll(reply->element[1]->str, NULL, 10);
	freeReplyObject(reply);
	return deadline;
}

START_TEST(heartbeats_come_and_renew_the_session)
{
	struct stack *stack = stack_start("presence { heartbeat = 1 stream_ttl = 4 }");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	long long before, after;

	sse_ready(sse);
	CHECK_JSON(sse_wait(sse, "heartbeat", 3000)->json, "{'time':'<time>'}");
	before = first_deadline(stack, "1");
	sse_wait(sse, "heartbeat", 3000);
	sse_wait(sse, "heartbeat", 3000);
	after = first_deadline(stack, "1");
	ck_assert_msg(after > before, "the stream's deadline stayed %lld", before);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tcase = harness_case(suite, "shapes and order", 30);

	tcase_add_test(tcase, a_stream_starts_with_connected_then_initial);
	tcase_add_test(tcase, the_token_may_come_in_the_query);
	tcase_add_test(tcase, a_user_without_friends_gets_an_empty_initial);
	tcase_add_test(tcase, the_retry_hint_is_jittered);
	tcase_add_test(tcase, a_friends_changes_arrive_and_a_strangers_do_not);
	tcase_add_test(tcase, a_status_change_is_the_message_of_the_channel_unchanged);
	tcase_add_test(tcase, a_message_of_more_than_one_line_is_dropped);
	tcase_add_test(tcase, heartbeats_come_and_renew_the_session);
	return harness_main(suite);
}
