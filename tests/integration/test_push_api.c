/* The calls of Web Push: docs/api.md. */
#include "calls.h"
#include "push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "servers.h"

#define FCM "https://fcm.googleapis.com/fcm/send/"
#define BODY(name) "{\"endpoint\":\"" FCM name "\"," PUSH_TEST_KEYS "}"

/* A stack with [push] and no presence-pushd; the default push services are allowed. */
static struct stack *start(const char *conf)
{
	struct stack *stack = push_stack_new(conf);

	redis_start(stack, NULL);
	lighttpd_start(stack);
	return stack;
}

static const char *subscribe(struct stack *stack, const char *token, const char *body)
{
	struct response *response =
		HTTP(stack, .path = PUSH_SUBSCRIPTIONS, .token = token, .body = body);

	ck_assert_msg(response->status == 201, "%d %s", response->status, response->body);
	CHECK_JSON(response->json, "{'id':'<string>'}");
	return json_text(response->json, "id");
}

static size_t count_subscriptions(struct stack *stack, const char *token)
{
	return json_object_array_length(
		json_at(http_ok(stack, PUSH_SUBSCRIPTIONS, token, NULL), "subscriptions"));
}

static const char *sender(struct stack *stack, const char *scope)
{
	const char *payload = text_of("{'sub':'site','sid':'server','iat':%lld,'exp':%lld%s}",
				      (long long)time(NULL), (long long)time(NULL) + 600,
				      *scope != '\0' ? text_of(",'scope':'%s'", scope) : "");

	return token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
}

static const char *quoted(const char *json)
{
	char *text = strdup(json);

	for (char *c = text; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	return text;
}

/* --- the key ------------------------------------------------------------------------------ */

START_TEST(the_public_key_needs_no_token)
{
	struct stack *stack = start("");
	const char *key = json_text(http_ok(stack, PUSH_KEY, NULL, NULL), "public_key");

	/* An uncompressed point: 65 bytes, the first is 4. */
	ck_assert_uint_eq(strlen(key), 87);
	ck_assert_int_eq(key[0], 'B');
	stack_stop(stack);
}
END_TEST

START_TEST(without_a_key_there_are_no_such_calls)
{
	static const char *const paths[] = {PUSH_KEY, PUSH_SUBSCRIPTIONS, PUSH_NOTIFY,
					    PUSH_WHEN_ONLINE "2"};
	struct stack *stack = stack_start_api("");

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		check_problem(HTTP(stack, .path = paths[i], .token = token_for(stack, "1")), 404,
			      "not_found");
	stack_stop(stack);
}
END_TEST

/* --- subscriptions ------------------------------------------------------------------------ */

START_TEST(a_subscription_is_made_listed_and_removed)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");
	const char *id =
		subscribe(stack, token,
			  "{\"endpoint\":\"" FCM "x\",\"device\":\"Phone\"," PUSH_TEST_KEYS "}");
	struct json_object *list = http_ok(stack, PUSH_SUBSCRIPTIONS, token, NULL);

	CHECK_JSON(list, text_of("{'subscriptions':[{'id':'%s','device':'Phone',"
				 "'service':'fcm.googleapis.com','created':'<time>'}]}",
				 id));
	ck_assert_int_eq(HTTP(stack, .path = text_of(PUSH_SUBSCRIPTIONS "/%s", id),
			      .method = "DELETE", .token = token)
				 ->status,
			 204);
	ck_assert_uint_eq(count_subscriptions(stack, token), 0);
	stack_stop(stack);
}
END_TEST

/* The token's own session is the first to be pushed out, which does not make it less of a token. */
START_TEST(a_browser_subscribes_however_many_streams_are_open)
{
	struct stack *stack = start("presence { max_sessions = 2 }");
	const char *token = token_for(stack, "1");

	redis_int(stack, "ZADD user:sessions:1 9000000000000 s:other:a 9000000000000 s:other:b");
	subscribe(stack, token, "{\"endpoint\":\"" FCM "x\"," PUSH_TEST_KEYS "}");
	ck_assert_uint_eq(count_subscriptions(stack, token), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(the_same_endpoint_is_one_subscription)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");
	const char *first = subscribe(stack, token, BODY("x"));

	ck_assert_str_eq(subscribe(stack, token, BODY("x")), first);
	ck_assert_str_ne(subscribe(stack, token, BODY("y")), first);
	ck_assert_uint_eq(count_subscriptions(stack, token), 2);
	stack_stop(stack);
}
END_TEST

START_TEST(one_removes_ones_own_alone)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");
	const char *id = subscribe(stack, token, BODY("x"));

	ck_assert_int_eq(HTTP(stack, .path = text_of(PUSH_SUBSCRIPTIONS "/%s", id),
			      .method = "DELETE", .token = token_for(stack, "2"))
				 ->status,
			 204);
	ck_assert_uint_eq(count_subscriptions(stack, token), 1);
	ck_assert_uint_eq(count_subscriptions(stack, token_for(stack, "2")), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(one_browser_belongs_to_who_used_it_last)
{
	struct stack *stack = start("");
	const char *first = token_for(stack, "1"), *second = token_for(stack, "2");

	subscribe(stack, first, BODY("shared"));
	subscribe(stack, first, BODY("own"));
	subscribe(stack, second, BODY("shared"));
	ck_assert_uint_eq(count_subscriptions(stack, first), 1);
	ck_assert_uint_eq(count_subscriptions(stack, second), 1);
	subscribe(stack, first, BODY("shared"));
	ck_assert_uint_eq(count_subscriptions(stack, first), 2);
	ck_assert_uint_eq(count_subscriptions(stack, second), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(of_an_eleventh_subscription_the_oldest_goes)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1"), *oldest = NULL;

	for (int i = 0; i < 10; i++) {
		const char *id =
			subscribe(stack, token,
				  text_of("{\"endpoint\":\"" FCM "%d\"," PUSH_TEST_KEYS "}", i));

		if (i == 4) {
			/* As if it were from long ago. */
			char *text = redis_text(stack, "HGET push:subs:1 %s", id), *rest;

			oldest = id;
			rest = strchr(text, ',');
			redis_cmd(stack, "HSET push:subs:1 %s %s", id,
				  text_of("{\"created\":1%s", rest));
		}
	}
	ck_assert_uint_eq(count_subscriptions(stack, token), 10);
	subscribe(stack, token, BODY("new"));
	ck_assert_uint_eq(count_subscriptions(stack, token), 10);
	ck_assert_int_eq(redis_int(stack, "HEXISTS push:subs:1 %s", oldest), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(a_subscription_that_is_wrong_is_refused_by_the_field)
{
	static const struct {
		const char *body, *word;
	} wrong[] = {
		{"{}", "endpoint"},
		{"{\"endpoint\":\"http://fcm.googleapis.com/x\"," PUSH_TEST_KEYS "}", "endpoint"},
		{"{\"endpoint\":\"https://evil.example/x\"," PUSH_TEST_KEYS "}", "endpoint"},
		{"{\"endpoint\":\"" FCM "x\"}", "keys"},
		{"{\"endpoint\":\"" FCM "x\",\"keys\":{\"p256dh\":\"x\",\"auth\":\"y\"}}",
		 "p256dh"},
		{"{\"endpoint\":\"" FCM "x\",\"device\":1," PUSH_TEST_KEYS "}", "device"},
	};
	struct stack *stack = start("");

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct response *response =
			HTTP(stack, .path = PUSH_SUBSCRIPTIONS, .token = token_for(stack, "1"),
			     .body = wrong[i].body);

		check_problem(response, 422, "bad_value");
		check_has(json_text(response->json, "detail"), wrong[i].word);
	}
	ck_assert(!redis_has(stack, "push:subs:1"));
	stack_stop(stack);
}
END_TEST

/* --- the end of a session ----------------------------------------------------------------- */

START_TEST(logout_removes_what_was_subscribed_with_that_session)
{
	struct stack *stack = start("");
	const char *phone = token_for(stack, "1"), *desk = token_for(stack, "1");

	subscribe(stack, phone, BODY("phone"));
	subscribe(stack, desk, BODY("desk"));
	http_ok(stack, LOGOUT, phone, "");
	ck_assert_uint_eq(count_subscriptions(stack, desk), 1);
	ck_assert_int_eq(redis_int(stack, "HLEN push:subs:1"), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(logout_of_all_and_a_kick_remove_all)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");

	subscribe(stack, token, BODY("a"));
	subscribe(stack, token_for(stack, "1"), BODY("b"));
	subscribe(stack, token_for(stack, "2"), BODY("c"));
	http_ok(stack, LOGOUT "?all=true", token, "");
	ck_assert(!redis_has(stack, "push:subs:1"));
	ck_assert(redis_has(stack, "push:subs:2"));
	CTL(stack, "kick", "2");
	ck_assert(!redis_has(stack, "push:subs:2"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_that_was_logged_out_subscribes_nothing)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");

	http_ok(stack, LOGOUT, token, "");
	check_problem(HTTP(stack, .path = PUSH_SUBSCRIPTIONS, .token = token, .body = BODY("x")),
		      401, "token_revoked");
	ck_assert(!redis_has(stack, "push:subs:1"));
	check_problem(HTTP(stack, .path = PUSH_WHEN_ONLINE "2", .method = "POST", .token = token),
		      401, "token_revoked");
	ck_assert(!redis_has(stack, "push:wanted:1"));
	stack_stop(stack);
}
END_TEST

/* --- when a friend comes online ----------------------------------------------------------- */

static int want(struct stack *stack, const char *token, const char *method, const char *friend)
{
	return HTTP(stack, .path = text_of(PUSH_WHEN_ONLINE "%s", friend), .method = method,
		    .token = token)
		->status;
}

START_TEST(waiting_for_a_friend_is_noted_on_both_sides)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");

	ck_assert_int_eq(want(stack, token, "POST", "2"), 204);
	ck_assert_str_eq(redis_text(stack, "HGET push:wanted:1 2"), "+User 2");
	ck_assert_int_eq(redis_int(stack, "SISMEMBER push:waiting:2 1"), 1);
	ck_assert_int_eq(want(stack, token, "DELETE", "2"), 204);
	ck_assert(!redis_has(stack, "push:wanted:1"));
	ck_assert(!redis_has(stack, "push:waiting:2"));
	stack_stop(stack);
}
END_TEST

START_TEST(nobody_learns_from_waiting_who_is_a_friend)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");
	const char *strangers[] = {"1", "99", "nobody"};

	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(want(stack, token, "POST", strangers[i]), 204);
		ck_assert_int_eq(want(stack, token, "DELETE", strangers[i]), 204);
		ck_assert_int_eq(want(stack, token, "POST", strangers[i]), 204);
	}
	ck_assert(!redis_has(stack, "push:wanted:1"));
	CTL(stack, "friend", "remove", "1", "3");
	ck_assert_int_eq(want(stack, token, "POST", "3"), 204);
	ck_assert(!redis_has(stack, "push:wanted:1"));
	stack_stop(stack);
}
END_TEST

/* In Redis, too, but for a note that leads to nothing. */
START_TEST(nobody_learns_from_waiting_who_blocks)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");
	static const struct {
		const char *by, *path;
	} blocks[] = {{"1", BLOCKS "2"}, {"3", BLOCKS "1"}};

	for (size_t i = 0; i < 2; i++) {
		const char *friend = i == 0 ? "2" : "3";

		HTTP(stack, .path = blocks[i].path, .method = "PUT",
		     .token = token_for(stack, blocks[i].by));
		ck_assert_int_eq(want(stack, token, "POST", friend), 204);
		ck_assert_str_eq(redis_text(stack, "HGET push:wanted:1 %s", friend),
				 text_of("-User %s", friend));
	}
	ck_assert_int_eq(want(stack, token, "POST", "4"), 204);
	ck_assert_str_eq(redis_text(stack, "HGET push:wanted:1 4"), "+User 4");
	stack_stop(stack);
}
END_TEST

START_TEST(coming_online_moves_those_who_wait_into_the_queue)
{
	struct stack *stack = start("");

	want(stack, token_for(stack, "1"), "POST", "2");
	want(stack, token_for(stack, "3"), "POST", "2");
	touch_user(stack, "2");
	ck_assert_int_eq(redis_int(stack, "XLEN push:queue"), 2);
	ck_assert(!redis_has(stack, "push:waiting:2"));
	stack_stop(stack);
}
END_TEST

START_TEST(what_is_wrong_with_push_keeps_nobody_from_coming_online)
{
	struct stack *stack = start("");

	redis_cmd(stack, "SET push:waiting:2 spoiled");
	touch_user(stack, "2");
	want(stack, token_for(stack, "1"), "POST", "3");
	redis_cmd(stack, "SET push:queue spoiled");
	touch_user(stack, "3");
	ck_assert(redis_has(stack, "user:online:2"));
	ck_assert(redis_has(stack, "user:online:3"));
	stack_stop(stack);
}
END_TEST

/* --- notify ------------------------------------------------------------------------------- */

static struct response *notify(struct stack *stack, const char *token, const char *json)
{
	return HTTP(stack, .path = PUSH_NOTIFY, .token = token, .body = quoted(json));
}

START_TEST(notify_counts_those_with_a_subscription)
{
	struct stack *stack = start("");
	struct response *response;

	subscribe(stack, token_for(stack, "1"), BODY("a"));
	subscribe(stack, token_for(stack, "2"), BODY("b"));
	response = notify(stack, sender(stack, "push"), "{'user_ids':[1,2,3,'anna'],'title':'a'}");
	ck_assert_int_eq(response->status, 202);
	CHECK_JSON(response->json, "{'queued':2}");
	ck_assert_int_eq(redis_int(stack, "XLEN push:queue"), 2);
	/* Each once, however often it is named. */
	response = notify(stack, sender(stack, "push"), "{'user_ids':[1,2,1,1],'title':'b'}");
	CHECK_JSON(response->json, "{'queued':2}");
	ck_assert_int_eq(redis_int(stack, "XLEN push:queue"), 4);
	/* The site's server is not a user who comes online. */
	ck_assert(!redis_has(stack, "user:online:site"));
	stack_stop(stack);
}
END_TEST

START_TEST(notify_needs_the_scope)
{
	static const char *const scopes[] = {"", "admin", "pushy", "xpush"};
	struct stack *stack = start("");

	for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++)
		check_problem(
			notify(stack, sender(stack, scopes[i]), "{'user_ids':[1],'title':'a'}"),
			403, "scope_missing");
	ck_assert_int_eq(
		notify(stack, sender(stack, "admin push"), "{'user_ids':[1],'title':'a'}")->status,
		202);
	check_problem(HTTP(stack, .path = PUSH_NOTIFY, .body = "{}"), 401, "token_missing");
	stack_stop(stack);
}
END_TEST

START_TEST(notify_refuses_a_token_that_was_kicked)
{
	struct stack *stack = start("");
	const char *token = sender(stack, "push");

	redis_cmd(stack, "SET presence:revoked:site/server 1");
	check_problem(notify(stack, token, "{'user_ids':[1],'title':'a'}"), 401, "token_revoked");
	redis_cmd(stack, "DEL presence:revoked:site/server");
	redis_cmd(stack, "SET presence:not_before:site %lld", (long long)time(NULL) + 100);
	check_problem(notify(stack, token, "{'user_ids':[1],'title':'a'}"), 401, "token_revoked");
	stack_stop(stack);
}
END_TEST

/* Each with the field that the answer names. */
static const struct {
	const char *json, *field;
} wrong[] = {
	{"{'user_ids':[1]}", "title"},
	{"{'user_ids':[1],'title':''}", "title"},
	{"{'user_ids':[1],'title':7}", "title"},
	{"{'user_ids':[1],'title':'a\\nb'}", "title"},
	{"{'user_ids':[1],'title':'a','body':7}", "body"},
	{"{'user_ids':[1],'title':'a','body':'\\u0001'}", "body"},
	{"{'user_ids':[1],'title':'a','url':'javascript:alert(1)'}", "url"},
	{"{'user_ids':[1],'title':'a','url':'//evil.example'}", "url"},
	{"{'user_ids':[1],'title':'a','url':'x'}", "url"},
	{"{'user_ids':[1],'title':'a','tag':'a b'}", "tag"},
	{"{'user_ids':[1],'title':'a','tag':'a/b'}", "tag"},
	{"{'user_ids':[1],'title':'a','ttl':-1}", "ttl"},
	{"{'user_ids':[1],'title':'a','ttl':2419201}", "ttl"},
	{"{'user_ids':[1],'title':'a','ttl':1.5}", "ttl"},
	{"{'user_ids':[1],'title':'a','urgency':'soon'}", "urgency"},
	{"{'user_ids':[1],'title':'a','only_if':'online'}", "only_if"},
	{"{'title':'a'}", "user_ids"},
	{"{'user_ids':[],'title':'a'}", "user_ids"},
	{"{'user_ids':['1'],'title':'a'}", "user_ids"},
	{"{'user_ids':[null],'title':'a'}", "user_ids"},
};

START_TEST(notify_names_the_field_that_is_wrong)
{
	struct stack *stack = start("");

	subscribe(stack, token_for(stack, "1"), BODY("a"));
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct response *response = notify(stack, sender(stack, "push"), wrong[i].json);

		check_problem(response, 422, "bad_value");
		check_has(json_text(response->json, "detail"), text_of("\"%s\"", wrong[i].field));
	}
	ck_assert_int_eq(redis_int(stack, "XLEN push:queue"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(notify_takes_a_thousand_users_and_no_more)
{
	struct stack *stack = start("");
	struct printbuf *ids = buf_new();

	for (int i = 1; i <= 1000; i++)
		buf_putf(ids, "%s%d", i > 1 ? "," : "", i);
	subscribe(stack, token_for(stack, "1"), BODY("a"));
	CHECK_JSON(notify(stack, sender(stack, "push"),
			  text_of("{'user_ids':[%s],'title':'a'}", ids->buf))
			   ->json,
		   "{'queued':1}");
	check_problem(notify(stack, sender(stack, "push"),
			     text_of("{'user_ids':[%s,1001],'title':'a'}", ids->buf)),
		      422, "bad_value");
	printbuf_free(ids);
	stack_stop(stack);
}
END_TEST

START_TEST(a_full_queue_is_told_to_the_site)
{
	struct stack *stack = start("");

	subscribe(stack, token_for(stack, "1"), BODY("a"));
	redis_cmd(stack, "EVAL %s 0",
		  "for i = 1, 100000 do redis.call('XADD', 'push:queue', '*', "
		  "'job', 'x') end");
	check_problem(notify(stack, sender(stack, "push"), "{'user_ids':[1],'title':'a'}"), 503,
		      "push_queue_full");
	/* Others come online all the same. */
	want(stack, token_for(stack, "1"), "POST", "2");
	touch_user(stack, "2");
	ck_assert_int_eq(redis_int(stack, "XLEN push:queue"), 100000);
	stack_stop(stack);
}
END_TEST

START_TEST(while_redis_is_away_each_call_says_so)
{
	struct stack *stack = start("");
	const char *token = token_for(stack, "1");

	touch(stack, token);
	redis_kill(stack);
	check_problem(HTTP(stack, .path = PUSH_SUBSCRIPTIONS, .token = token, .body = BODY("x")),
		      503, "redis_unavailable");
	check_problem(HTTP(stack, .path = PUSH_SUBSCRIPTIONS, .token = token), 503,
		      "redis_unavailable");
	check_problem(HTTP(stack, .path = PUSH_WHEN_ONLINE "2", .method = "POST", .token = token),
		      503, "redis_unavailable");
	check_problem(notify(stack, sender(stack, "push"), "{'user_ids':[1],'title':'a'}"), 503,
		      "redis_unavailable");
	ck_assert_int_eq(HTTP(stack, .path = PUSH_KEY)->status, 200);
	stack_stop(stack);
}
END_TEST

/* --- presencectl -------------------------------------------------------------------------- */

START_TEST(presencectl_tells_what_became_of_notifications)
{
	struct stack *stack = start("");

	redis_cmd(stack, "HSET push:outcomes sent 7 gone 1");
	redis_cmd(stack, "ZADD push:later 1 x");
	CHECK_JSON(parse_json(CTL(stack, "push", "state", "--json")),
		   "{'queue':0,'later':1,'outcomes':{'sent':7,'gone':1}}");
	check_has(CTL(stack, "push", "state"), "sent         7");
	stack_stop(stack);
}
END_TEST

START_TEST(doctor_says_whether_push_works)
{
	struct stack *stack = start("");
	char *out;

	CTL_STATUS(stack, &out, "doctor");
	check_has(out, "push: the key signs");
	check_has(out, "no presence-pushd runs");
	redis_cmd(stack, "SET push:ticked %lld", (long long)time(NULL) * 1000);
	CTL_STATUS(stack, &out, "doctor");
	check_has(out, "presence-pushd runs");
	stack_write_secret(stack, "push.pem", "no key");
	CTL_STATUS(stack, &out, "doctor");
	check_has(out, "FAIL  push: push.key_file");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("push_api");
	TCase *tcase = harness_case(suite, "subscriptions", 60);

	tcase_add_test(tcase, the_public_key_needs_no_token);
	tcase_add_test(tcase, without_a_key_there_are_no_such_calls);
	tcase_add_test(tcase, a_subscription_is_made_listed_and_removed);
	tcase_add_test(tcase, a_browser_subscribes_however_many_streams_are_open);
	tcase_add_test(tcase, the_same_endpoint_is_one_subscription);
	tcase_add_test(tcase, one_removes_ones_own_alone);
	tcase_add_test(tcase, one_browser_belongs_to_who_used_it_last);
	tcase_add_test(tcase, of_an_eleventh_subscription_the_oldest_goes);
	tcase_add_test(tcase, a_subscription_that_is_wrong_is_refused_by_the_field);

	tcase = harness_case(suite, "sessions", 60);
	tcase_add_test(tcase, logout_removes_what_was_subscribed_with_that_session);
	tcase_add_test(tcase, logout_of_all_and_a_kick_remove_all);
	tcase_add_test(tcase, a_token_that_was_logged_out_subscribes_nothing);

	tcase = harness_case(suite, "when online", 60);
	tcase_add_test(tcase, waiting_for_a_friend_is_noted_on_both_sides);
	tcase_add_test(tcase, nobody_learns_from_waiting_who_is_a_friend);
	tcase_add_test(tcase, nobody_learns_from_waiting_who_blocks);
	tcase_add_test(tcase, coming_online_moves_those_who_wait_into_the_queue);
	tcase_add_test(tcase, what_is_wrong_with_push_keeps_nobody_from_coming_online);

	tcase = harness_case(suite, "notify", 60);
	tcase_add_test(tcase, notify_counts_those_with_a_subscription);
	tcase_add_test(tcase, notify_needs_the_scope);
	tcase_add_test(tcase, notify_refuses_a_token_that_was_kicked);
	tcase_add_test(tcase, notify_names_the_field_that_is_wrong);
	tcase_add_test(tcase, notify_takes_a_thousand_users_and_no_more);
	tcase_add_test(tcase, a_full_queue_is_told_to_the_site);
	tcase_add_test(tcase, while_redis_is_away_each_call_says_so);

	tcase = harness_case(suite, "presencectl", 60);
	tcase_add_test(tcase, presencectl_tells_what_became_of_notifications);
	tcase_add_test(tcase, doctor_says_whether_push_works);
	return harness_main(suite);
}
