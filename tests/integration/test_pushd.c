/* presence-pushd against a push service on loopback: who is told, what comes of it. */
#include "push.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "calls.h"
#include "process.h"
#include "servers.h"

#define ALWAYS "'only_if':'always'"

/* A stand with one presence-pushd. */
static struct push_stand *start(const char *conf)
{
	struct push_stand *stand = push_start(conf);

	pushd_start(stand, 0, NULL);
	return stand;
}

static void wait_for_count(struct push_stand *stand, const char *outcome, long long count)
{
	WAIT_UNTIL(push_count(stand, outcome) >= count, 10000);
	ck_assert_msg(push_count(stand, outcome) == count, "%s: %lld instead of %lld", outcome,
		      push_count(stand, outcome), count);
}

static void wait_until_idle(struct push_stand *stand)
{
	WAIT_UNTIL(push_is_idle(stand), 15000);
}

/* --- what is sent ------------------------------------------------------------------------- */

/* A call of the foreign implementation's: form-encoded in, JSON out. */
static struct json_object *foreign_call(struct push_stand *stand, const char *path,
					const char *form)
{
	const char *url = text_of("https://localhost:%d%s", stand->foreign, path);
	const char *argv[] = {"curl", "-s", "--cacert", stack_path(stand->stack, "tls.pem"),
			      "-d",   form, url,	NULL};
	char *out;

	ck_assert_int_eq(run(stand->stack, &out, NULL, argv), 0);
	return json_at(parse_json(out), "data");
}

START_TEST(a_foreign_implementation_decrypts_what_was_sent)
{
	struct push_stand *stand = start(FAST);
	const char *key = json_text(http_ok(stand->stack, PUSH_KEY, NULL, NULL), "public_key");
	struct json_object *subscription = foreign_call(
		stand, "/subscribe", text_of("userVisibleOnly=true&applicationServerKey=%s", key));
	struct json_object *messages;
	struct response *response;

	response = HTTP(stand->stack, .path = PUSH_SUBSCRIPTIONS,
			.token = token_for(stand->stack, "1"),
			.body = json_object_to_json_string(subscription));
	ck_assert_int_eq(response->status, 201);
	ck_assert_int_eq(push_notify(stand,
				     "{'user_ids':[1],'title':'Hi \\u00e9','body':'b'," ALWAYS
				     ",'url':'/x','tag':'t'}"),
			 1);
	wait_for_count(stand, "sent", 1);
	messages = json_at(
		foreign_call(stand, "/get-notifications",
			     text_of("clientHash=%s", json_text(subscription, "clientHash"))),
		"messages");
	ck_assert_uint_eq(json_object_array_length(messages), 1);
	ck_assert_str_eq(
		json_object_get_string(json_object_array_get_idx(messages, 0)),
		"{\"web_push\":8030,\"notification\":{\"title\":\"Hi \xc3\xa9\",\"body\":\"b\","
		"\"navigate\":\"/x\",\"tag\":\"t\"}}");
	push_stop(stand);
}
END_TEST

START_TEST(a_request_has_the_fields_of_the_standards)
{
	struct push_stand *stand = start(FAST);
	struct json_object *request, *fields;

	push_offline_user(stand, "1", stand->h2, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'," ALWAYS ",'ttl':90,'urgency':'high'}");
	wait_for_count(stand, "sent", 1);
	request = push_request(stand, "/as/201/a", 0);
	fields = json_at(request, "headers");
	ck_assert_str_eq(json_text(request, "method"), "POST");
	ck_assert_str_eq(json_text(request, "version"), "2.0");
	ck_assert_str_eq(json_text(fields, "content-encoding"), "aes128gcm");
	ck_assert_str_eq(json_text(fields, "urgency"), "high");
	ck_assert_uint_eq(strlen(json_text(fields, "topic")), 32);
	ck_assert_msg(atoi(json_text(fields, "ttl")) > 60 && atoi(json_text(fields, "ttl")) <= 90,
		      "TTL: %s", json_text(fields, "ttl"));
	ck_assert_int_eq(strncmp(json_text(fields, "authorization"), "vapid t=", 8), 0);
	/* Header, key id, one step of padding, tag. */
	ck_assert_int_eq(json_object_get_int(json_at(request, "length")), 21 + 65 + 256 + 16);
	push_stop(stand);
}
END_TEST

START_TEST(each_subscription_of_a_user_gets_it)
{
	struct push_stand *stand = start(FAST);

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_offline_user(stand, "1", stand->https, "/as/201/b");
	push_offline_user(stand, "1", stand->h2, "/as/201/c");
	ck_assert_int_eq(push_notify(stand, "{'user_ids':[1],'title':'a'," ALWAYS "}"), 1);
	wait_for_count(stand, "sent", 3);
	ck_assert_int_eq(push_received(stand, "/as/201/"), 3);
	push_stop(stand);
}
END_TEST

/* --- who is told -------------------------------------------------------------------------- */

START_TEST(who_is_offline_is_told_and_who_is_online_is_not)
{
	struct push_stand *stand = start("presence { grace = 1 }");

	push_offline_user(stand, "1", stand->https, "/as/201/offline");
	push_subscribe(stand, token_for(stand->stack, "2"), stand->https, "/as/201/online");
	ck_assert_int_eq(push_notify(stand, "{'user_ids':[1,2,3],'title':'a'}"), 2);
	wait_for_count(stand, "sent", 1);
	wait_for_count(stand, "online", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/offline"), 1);
	ck_assert_int_eq(push_received(stand, "/as/201/online"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(who_comes_online_before_the_moment_of_sending_gets_nothing)
{
	struct push_stand *stand = start("presence { grace = 2 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	WAIT_UNTIL(redis_int(stand->stack, "ZCARD push:later") == 1, 5000);
	touch_user(stand->stack, "1");
	wait_for_count(stand, "online", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(who_is_away_is_told_what_is_for_the_absent)
{
	struct push_stand *stand = start("presence { grace = 0 }");

	push_subscribe(stand, token_for(stand->stack, "1"), stand->https, "/as/201/away");
	redis_cmd(stand->stack, "SET user:online:1 %s",
		  "{\"user_id\":1,\"is_online\":true,\"status\":\"away\",\"version\":1}");
	push_notify(stand, "{'user_ids':[1],'title':'a','only_if':'offline'}");
	wait_for_count(stand, "online", 1);
	push_notify(stand, "{'user_ids':[1],'title':'a','only_if':'away'}");
	wait_for_count(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

START_TEST(do_not_disturb_holds_it_unless_it_is_urgent)
{
	struct push_stand *stand = start("presence { grace = 0 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	redis_cmd(stand->stack, "SET user:chosen:1 %s", "{\"status\":\"dnd\"}");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	WAIT_UNTIL(redis_int(stand->stack, "ZCARD push:later") == 1, 5000);
	push_notify(stand, "{'user_ids':[1],'title':'urgent','urgency':'high'}");
	wait_for_count(stand, "sent", 1);
	ck_assert_int_eq(redis_int(stand->stack, "ZCARD push:later"), 1);
	/* Over: it is looked at again, here at once. */
	redis_int(stand->stack, "DEL user:chosen:1");
	redis_cmd(stand->stack, "EVAL %s 0",
		  "local m = redis.call('ZRANGE', 'push:later', 0, 0)[1] "
		  "return redis.call('ZADD', 'push:later', 1, m)");
	wait_for_count(stand, "sent", 2);
	push_stop(stand);
}
END_TEST

START_TEST(nobody_gets_more_than_six_in_an_hour)
{
	struct push_stand *stand = start("presence { grace = 0 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_offline_user(stand, "2", stand->https, "/as/201/b");
	for (int i = 0; i < 9; i++)
		push_notify(stand, "{'user_ids':[1],'title':'a'}");
	push_notify(stand, "{'user_ids':[2],'title':'a'}");
	wait_for_count(stand, "limited", 3);
	wait_for_count(stand, "sent", 7);
	/* The first was an hour ago. */
	redis_cmd(stand->stack, "LSET presence:rate:push:1 -1 1");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	wait_for_count(stand, "sent", 8);
	push_stop(stand);
}
END_TEST

START_TEST(of_one_tag_the_newest_is_sent)
{
	struct push_stand *stand = start("presence { grace = 2 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'one','tag':'mail'}");
	push_notify(stand, "{'user_ids':[1],'title':'two','tag':'mail'}");
	push_notify(stand, "{'user_ids':[1],'title':'three','tag':'other'}");
	wait_for_count(stand, "superseded", 1);
	wait_for_count(stand, "sent", 2);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 2);
	push_stop(stand);
}
END_TEST

START_TEST(who_has_unsubscribed_meanwhile_gets_nothing)
{
	struct push_stand *stand = start("presence { grace = 2 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	WAIT_UNTIL(redis_int(stand->stack, "ZCARD push:later") == 1, 5000);
	redis_int(stand->stack, "DEL push:subs:1");
	wait_for_count(stand, "nobody", 1);
	push_stop(stand);
}
END_TEST

/* --- when a friend comes online ----------------------------------------------------------- */

static void want(struct push_stand *stand, const char *token, const char *friend)
{
	ck_assert_int_eq(HTTP(stand->stack, .path = text_of(PUSH_WHEN_ONLINE "%s", friend),
			      .method = "POST", .token = token)
				 ->status,
			 204);
}

START_TEST(who_waits_for_a_friend_is_told_once)
{
	struct push_stand *stand = start("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	want(stand, token, "2");
	push_take_offline(stand, "1");
	touch_user(stand->stack, "2");
	wait_for_count(stand, "sent", 1);
	wait_until_idle(stand);
	ck_assert(!redis_has(stand->stack, "push:wanted:1"));
	push_take_offline(stand, "2");
	touch_user(stand->stack, "2");
	ck_assert(push_is_idle(stand));
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 1);
	push_stop(stand);
}
END_TEST

START_TEST(who_does_not_wait_any_more_is_not_told)
{
	struct push_stand *stand = start("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	want(stand, token, "2");
	want(stand, token, "3");
	ck_assert_int_eq(
		HTTP(stand->stack, .path = PUSH_WHEN_ONLINE "2", .method = "DELETE", .token = token)
			->status,
		204);
	push_take_offline(stand, "1");
	touch_user(stand->stack, "2");
	ck_assert(push_is_idle(stand));
	touch_user(stand->stack, "3");
	wait_for_count(stand, "sent", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 1);
	push_stop(stand);
}
END_TEST

START_TEST(a_friend_who_left_again_is_waited_for_anew)
{
	struct push_stand *stand = start("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	want(stand, token, "2");
	push_take_offline(stand, "1");
	touch_user(stand->stack, "2");
	push_take_offline(stand, "2");
	WAIT_UNTIL(redis_int(stand->stack, "SISMEMBER push:waiting:2 1") == 1, 5000);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	touch_user(stand->stack, "2");
	wait_for_count(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

/* --- what comes of it --------------------------------------------------------------------- */

/* How a push service answers; with how many requests it ends, and whether the subscription stays. */
static const struct {
	const char *path;
	int requests;
	bool is_kept;
} rows[] = {
	{"/as/201", 1, true},	   {"/as/200", 1, true},   {"/as/400", 1, true},
	{"/as/403", 1, true},	   {"/as/404", 1, false},  {"/as/410", 1, false},
	{"/as/redirect", 1, true}, {"/as/500/1", 2, true}, {"/as/503/1", 2, true},
	{"/as/429/1", 2, true},
};
#define ROWS ((int)(sizeof rows / sizeof rows[0]))

START_TEST(each_answer_has_its_outcome)
{
	struct push_stand *stand = start("presence { grace = 0 }");

	for (int i = 0; i < ROWS; i++)
		push_offline_user(stand, text_of("%d", i + 1), stand->https,
				  text_of("%s/x", rows[i].path));
	push_notify(stand, "{'user_ids':[1,2,3,4,5,6,7,8,9,10],'title':'a','ttl':60}");
	wait_for_count(stand, "sent", 5);
	wait_until_idle(stand);
	for (int i = 0; i < ROWS; i++) {
		int received = push_received(stand, text_of("%s/x", rows[i].path));

		ck_assert_msg(received == rows[i].requests, "%s: %d requests instead of %d",
			      rows[i].path, received, rows[i].requests);
		ck_assert_msg(redis_has(stand->stack, text_of("push:subs:%d", i + 1)) ==
				      rows[i].is_kept,
			      "%s: the subscription", rows[i].path);
	}
	wait_for_count(stand, "refused", 3);
	wait_for_count(stand, "gone", 2);
	wait_for_count(stand, "failed", 2);
	wait_for_count(stand, "slow_down", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/redirected"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(retry_after_is_obeyed_and_the_topic_stays)
{
	struct push_stand *stand = start("presence { grace = 0 }");
	struct json_object *first, *second;
	long long between;

	push_offline_user(stand, "1", stand->https, "/as/429/1");
	push_notify(stand, "{'user_ids':[1],'title':'a','ttl':60}");
	wait_for_count(stand, "sent", 1);
	first = push_request(stand, "/as/429/1", 0);
	second = push_request(stand, "/as/429/1", 1);
	between = json_object_get_int64(json_at(second, "time")) -
		  json_object_get_int64(json_at(first, "time"));
	ck_assert_msg(between >= 3000, "again after %lld ms", between);
	ck_assert_str_eq(json_text(json_at(first, "headers"), "topic"),
			 json_text(json_at(second, "headers"), "topic"));
	push_stop(stand);
}
END_TEST

START_TEST(what_is_too_large_is_shortened_once)
{
	struct push_stand *stand = start("presence { grace = 0 }");
	char *body = xcalloc(1, 2100), *json;

	memset(body, 'x', 2000);
	push_offline_user(stand, "1", stand->https, "/as/limit");
	push_offline_user(stand, "2", stand->https, "/as/413");
	ck_assert(asprintf(&json, "{'user_ids':[1,2],'title':'a','body':'%s'}", body) > 0);
	push_notify(stand, json);
	wait_for_count(stand, "too_large", 3);
	wait_for_count(stand, "sent", 1);
	wait_until_idle(stand);
	ck_assert_int_eq(push_received(stand, "/as/limit"), 2);
	ck_assert_int_eq(push_received(stand, "/as/413"), 2);
	push_stop(stand);
}
END_TEST

START_TEST(a_push_service_that_hangs_holds_up_nobody_else)
{
	struct push_stand *stand = start("presence { grace = 0 }\npush { timeout_ms = 1000 }");

	push_offline_user(stand, "1", stand->https, "/as/hang");
	push_offline_user(stand, "2", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a','ttl':5}");
	push_notify(stand, "{'user_ids':[2],'title':'a'}");
	wait_for_count(stand, "sent", 1);
	WAIT_UNTIL(push_count(stand, "unreachable") >= 1, 10000);
	WAIT_UNTIL(push_count(stand, "expired") == 1, 20000);
	ck_assert(redis_has(stand->stack, "push:subs:1"));
	push_stop(stand);
}
END_TEST

START_TEST(where_tls_fails_nothing_is_sent_and_it_is_tried_again)
{
	struct push_stand *stand = start("presence { grace = 0 }");

	push_offline_user(stand, "1", stand->closed, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a','ttl':60}");
	WAIT_UNTIL(push_count(stand, "unreachable") >= 2, 15000);
	ck_assert(redis_has(stand->stack, "push:subs:1"));
	ck_assert_int_eq(redis_int(stand->stack, "ZCARD push:later"), 1);
	push_stop(stand);
}
END_TEST

START_TEST(a_certificate_that_nobody_trusts_is_refused)
{
	struct push_stand *stand = push_start("presence { grace = 0 }");
	const char *env[] = {"PRESENCE_PUSH_CA_FILE", "", NULL};

	pushd_start(stand, 0, env);
	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a','ttl':60}");
	WAIT_UNTIL(push_count(stand, "unreachable") >= 1, 10000);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(an_address_that_is_not_public_is_not_connected_to)
{
	struct push_stand *stand =
		start("presence { grace = 0 }\npush { allow = \"localhost:HTTPS\" }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	wait_for_count(stand, "bad_address", 1);
	wait_until_idle(stand);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	push_stop(stand);
}
END_TEST

/* The names are resolved by tests/push/names.c, which reads the file NAMES at each look-up. */
START_TEST(a_name_that_changes_its_address_is_checked_each_time)
{
	struct push_stand *stand = push_start("presence { grace = 0 }\n"
					      "push { allow = \"127.0.0.1, push.test:HTTPS\" }");
	const char *file = stack_path(stand->stack, "names");
	const char *env[] = {"LD_PRELOAD",
			     text_of("%s/tests/push/names.so", getenv("ABS_BUILDDIR")),
			     "NAMES",
			     file,
			     "ASAN_OPTIONS",
			     "verify_asan_link_order=0",
			     NULL};

	stack_write(stand->stack, "names", "push.test 127.0.0.1\n");
	pushd_start(stand, 0, env);
	push_subscribe_url(stand, token_for(stand->stack, "1"),
			   text_of("https://push.test:%d/as/201/a", stand->https));
	push_take_offline(stand, "1");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	wait_for_count(stand, "sent", 1);
	/* Another process, for this one keeps its connection, and the answer for a while. */
	ck_assert_int_eq(pushd_end(stand, 0, SIGTERM), 0);
	stack_write(stand->stack, "names", "push.test 127.0.0.2\n");
	pushd_start(stand, 0, env);
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	wait_for_count(stand, "bad_address", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 1);
	push_stop(stand);
}
END_TEST

START_TEST(what_is_not_sent_in_its_time_is_dropped)
{
	struct push_stand *stand = push_start("presence { grace = 0 }");

	push_offline_user(stand, "1", stand->https, "/as/500");
	pushd_start(stand, 0, NULL);
	push_notify(stand, "{'user_ids':[1],'title':'a','ttl':0}");
	WAIT_UNTIL(push_count(stand, "expired") == 1, 20000);
	wait_until_idle(stand);
	ck_assert_msg(push_received(stand, "/as/500") >= 1, "it was never tried");
	push_stop(stand);
}
END_TEST

START_TEST(what_is_no_notification_is_thrown_out)
{
	struct push_stand *stand = start("presence { grace = 0 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	redis_cmd(stand->stack, "XADD push:queue * job nonsense");
	redis_cmd(stand->stack, "XADD push:queue * other field");
	redis_cmd(stand->stack, "ZADD push:later 1 rubbish");
	redis_cmd(stand->stack, "SET push:subs:2 spoiled");
	redis_cmd(stand->stack, "XADD push:queue * job %s",
		  "{\"id\":\"x\",\"user\":\"2\",\"title\":\"a\",\"ttl\":60}");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	wait_for_count(stand, "sent", 1);
	wait_for_count(stand, "broken", 4);
	wait_until_idle(stand);
	push_stop(stand);
}
END_TEST

/* --- the webhook -------------------------------------------------------------------------- */

#define WEBHOOK_SECRET "0123456789abcdef0123456789abcdef"

static const char *hmac_of(const char *text)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char *hex = xcalloc(1, 2 * EVP_MAX_MD_SIZE + 1);
	unsigned len;

	HMAC(EVP_sha256(), WEBHOOK_SECRET, (int)strlen(WEBHOOK_SECRET), (const unsigned char *)text,
	     strlen(text), digest, &len);
	for (unsigned i = 0; i < len; i++)
		sprintf(hex + (size_t)2 * i, "%02x", digest[i]);
	return hex;
}

START_TEST(the_webhook_gets_the_same_signed)
{
	struct push_stand *stand =
		push_start("presence { grace = 0 }\n"
			   "push { webhook = \"http://127.0.0.1:PLAIN/as/500/1\"\n"
			   "webhook_key_file = \"DIR/webhook.key\" }");
	struct json_object *request, *fields;
	const char *body;

	stack_write_secret(stand->stack, "webhook.key", WEBHOOK_SECRET "\n");
	pushd_start(stand, 0, NULL);
	/* Without a subscription; the first try fails. */
	ck_assert_int_eq(push_notify(stand, "{'user_ids':['anna'],'title':'a','ttl':60}"), 1);
	wait_for_count(stand, "sent", 1);
	request = push_request(stand, "/as/500/1", 1);
	fields = json_at(request, "headers");
	body = json_text(request, "body");
	CHECK_JSON(parse_json(body),
		   "{'user_id':'anna','notification':{'title':'a','navigate':'/'},"
		   "'urgency':'normal','ttl':'<int>','topic':'<string>'}");
	ck_assert_str_eq(
		json_text(fields, "presence-signature"),
		text_of("v1=%s",
			hmac_of(text_of("%s.%s", json_text(fields, "presence-timestamp"), body))));
	ck_assert_str_eq(
		json_text(fields, "presence-id"),
		json_text(json_at(push_request(stand, "/as/500/1", 0), "headers"), "presence-id"));
	push_stop(stand);
}
END_TEST

/* --- processes ---------------------------------------------------------------------------- */

START_TEST(a_kill_loses_nothing_and_repeats_what_was_under_way)
{
	push_check_kill(1000);
}
END_TEST

START_TEST(two_share_the_work_and_send_nothing_twice)
{
	struct push_stand *stand = push_start(FAST);

	push_queue_many(stand, 600);
	pushd_start(stand, 0, NULL);
	pushd_start(stand, 1, NULL);
	WAIT_UNTIL(push_is_idle(stand), 60000);
	ck_assert_int_eq(push_count_repeated(stand, 600), 0);
	ck_assert_int_eq(push_count(stand, "sent"), 600);
	push_stop(stand);
}
END_TEST

START_TEST(a_stop_ends_what_is_under_way_and_leaves_the_rest)
{
	struct push_stand *stand = push_start(FAST);

	push_queue_many(stand, 600);
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(push_count(stand, "sent") > 0, 10000);
	ck_assert_int_eq(pushd_end(stand, 0, SIGTERM), 0);
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(push_is_idle(stand), 60000);
	ck_assert_int_eq(push_count_repeated(stand, 600), 0);
	push_stop(stand);
}
END_TEST

START_TEST(a_redis_that_comes_back_empty_is_worked_with)
{
	struct push_stand *stand = start("presence { grace = 0 }");

	redis_kill(stand->stack);
	WAIT_UNTIL(strstr(stack_file(stand->stack, "pushd0.log"), "warning: Redis: ") != NULL,
		   10000);
	redis_start(stand->stack, NULL);
	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	wait_for_count(stand, "sent", 1);
	redis_cmd(stand->stack, "FLUSHALL");
	push_offline_user(stand, "1", stand->https, "/as/201/b");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	wait_for_count(stand, "sent", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/b"), 1);
	push_stop(stand);
}
END_TEST

START_TEST(the_fewest_rights_are_enough)
{
	struct push_stand *stand = push_start("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");
	const char *env[] = {
		"PRESENCE_REDIS_URL",
		text_of("unix://presence:of-the-test@%s/redis.sock", stand->stack->dir), NULL};

	redis_make_user(stand->stack, "of-the-test");
	stack_write_conf(stand->stack,
			 text_of("%s\nredis { url = \"%s\" }\n",
				 strstr(stack_file(stand->stack, "presence.conf"), "push {"),
				 env[1]));
	lighttpd_change(stand->stack, NULL, "");
	pushd_start(stand, 0, env);
	redis_cmd(stand->stack, "ACL SETUSER default off");
	redis_cmd(stand->stack, "CLIENT KILL USER default SKIPME yes");
	push_subscribe(stand, token, stand->https, "/as/500/1");
	want(stand, token, "2");
	touch_user(stand->stack, "2");
	push_notify(stand, "{'user_ids':[1],'title':'a','only_if':'always','ttl':60,'tag':'t'}");
	http_ok(stand->stack, LOGOUT "?all=true", token_for(stand->stack, "3"), "");
	redis_cmd(stand->stack, "ACL SETUSER default on");
	wait_for_count(stand, "sent", 1);
	wait_for_count(stand, "online", 1);
	ck_assert_int_eq(push_count(stand, "failed"), 1);
	wait_until_idle(stand);
	check_has_not(stack_file(stand->stack, "pushd0.log"), "NOPERM");
	push_stop(stand);
}
END_TEST

START_TEST(without_a_key_it_does_not_start)
{
	struct stack *stack = stack_new("");
	const char *argv[] = {program("presence-pushd"), "-c", stack_path(stack, "presence.conf"),
			      NULL};

	ck_assert_int_eq(run(stack, NULL, NULL, argv), 2);
	check_has(stack_file(stack, "run.log"), "push.key_file is not set");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pushd");
	TCase *tcase = harness_case(suite, "sending", 60);

	tcase_add_test(tcase, a_foreign_implementation_decrypts_what_was_sent);
	tcase_add_test(tcase, a_request_has_the_fields_of_the_standards);
	tcase_add_test(tcase, each_subscription_of_a_user_gets_it);

	tcase = harness_case(suite, "who is told", 60);
	tcase_add_test(tcase, who_is_offline_is_told_and_who_is_online_is_not);
	tcase_add_test(tcase, who_comes_online_before_the_moment_of_sending_gets_nothing);
	tcase_add_test(tcase, who_is_away_is_told_what_is_for_the_absent);
	tcase_add_test(tcase, do_not_disturb_holds_it_unless_it_is_urgent);
	tcase_add_test(tcase, nobody_gets_more_than_six_in_an_hour);
	tcase_add_test(tcase, of_one_tag_the_newest_is_sent);
	tcase_add_test(tcase, who_has_unsubscribed_meanwhile_gets_nothing);

	tcase = harness_case(suite, "friends", 60);
	tcase_add_test(tcase, who_waits_for_a_friend_is_told_once);
	tcase_add_test(tcase, who_does_not_wait_any_more_is_not_told);
	tcase_add_test(tcase, a_friend_who_left_again_is_waited_for_anew);

	tcase = harness_case(suite, "outcomes", 60);
	tcase_add_test(tcase, each_answer_has_its_outcome);
	tcase_add_test(tcase, retry_after_is_obeyed_and_the_topic_stays);
	tcase_add_test(tcase, what_is_too_large_is_shortened_once);
	tcase_add_test(tcase, a_push_service_that_hangs_holds_up_nobody_else);
	tcase_add_test(tcase, where_tls_fails_nothing_is_sent_and_it_is_tried_again);
	tcase_add_test(tcase, a_certificate_that_nobody_trusts_is_refused);
	tcase_add_test(tcase, an_address_that_is_not_public_is_not_connected_to);
	tcase_add_test(tcase, a_name_that_changes_its_address_is_checked_each_time);
	tcase_add_test(tcase, what_is_not_sent_in_its_time_is_dropped);
	tcase_add_test(tcase, what_is_no_notification_is_thrown_out);
	tcase_add_test(tcase, the_webhook_gets_the_same_signed);

	tcase = harness_case(suite, "processes", 200);
	tcase_add_test(tcase, a_kill_loses_nothing_and_repeats_what_was_under_way);
	tcase_add_test(tcase, two_share_the_work_and_send_nothing_twice);
	tcase_add_test(tcase, a_stop_ends_what_is_under_way_and_leaves_the_rest);
	tcase_add_test(tcase, a_redis_that_comes_back_empty_is_worked_with);
	tcase_add_test(tcase, the_fewest_rights_are_enough);
	tcase_add_test(tcase, without_a_key_it_does_not_start);
	return harness_main(suite);
}
