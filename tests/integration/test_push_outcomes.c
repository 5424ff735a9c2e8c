/* What becomes of a notification when a push service, or the webhook, answers so or so. */
#include "push.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/alloc.h"
#include "calls.h"
#include "servers.h"

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
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");

	for (int i = 0; i < ROWS; i++)
		push_offline_user(stand, text_of("%d", i + 1), stand->https,
				  text_of("%s/x", rows[i].path));
	push_notify(stand, "{'user_ids':[1,2,3,4,5,6,7,8,9,10],'title':'a','ttl':60}");
	push_wait_for(stand, "sent", 5);
	push_wait_until_idle(stand);
	for (int i = 0; i < ROWS; i++) {
		int received = push_received(stand, text_of("%s/x", rows[i].path));

		ck_assert_msg(received == rows[i].requests, "%s: %d requests instead of %d",
			      rows[i].path, received, rows[i].requests);
		ck_assert_msg(redis_has(stand->stack, text_of("push:subs:%d", i + 1)) ==
				      rows[i].is_kept,
			      "%s: the subscription", rows[i].path);
	}
	push_wait_for(stand, "refused", 3);
	push_wait_for(stand, "gone", 2);
	push_wait_for(stand, "failed", 2);
	push_wait_for(stand, "slow_down", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/redirected"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(retry_after_is_obeyed_and_the_topic_stays)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");
	struct json_object *first, *second;
	long long between;

	push_offline_user(stand, "1", stand->https, "/as/429/1");
	push_notify(stand, "{'user_ids':[1],'title':'a','ttl':60}");
	push_wait_for(stand, "sent", 1);
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
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");
	char *body = xcalloc(1, 2100), *json;

	memset(body, 'x', 2000);
	push_offline_user(stand, "1", stand->https, "/as/limit");
	push_offline_user(stand, "2", stand->https, "/as/413");
	ck_assert(asprintf(&json, "{'user_ids':[1,2],'title':'a','body':'%s'}", body) > 0);
	push_notify(stand, json);
	push_wait_for(stand, "too_large", 3);
	push_wait_for(stand, "sent", 1);
	push_wait_until_idle(stand);
	ck_assert_int_eq(push_received(stand, "/as/limit"), 2);
	ck_assert_int_eq(push_received(stand, "/as/413"), 2);
	push_stop(stand);
}
END_TEST

START_TEST(a_push_service_that_hangs_holds_up_nobody_else)
{
	struct push_stand *stand =
		push_start_pushd("presence { grace = 0 }\npush { timeout_ms = 1000 }");

	push_offline_user(stand, "1", stand->https, "/as/hang");
	push_offline_user(stand, "2", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a','ttl':5}");
	push_notify(stand, "{'user_ids':[2],'title':'a'}");
	push_wait_for(stand, "sent", 1);
	WAIT_UNTIL(push_count(stand, "unreachable") >= 1, 10000);
	WAIT_UNTIL(push_count(stand, "expired") == 1, 20000);
	ck_assert(redis_has(stand->stack, "push:subs:1"));
	push_stop(stand);
}
END_TEST

START_TEST(where_tls_fails_nothing_is_sent_and_it_is_tried_again)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");

	push_offline_user(stand, "1", stand->closed, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a','ttl':60}");
	WAIT_UNTIL(push_count(stand, "unreachable") >= 2, 15000);
	ck_assert(redis_has(stand->stack, "push:subs:1"));
	ck_assert_int_eq(redis_sum(stand->stack, "ZCARD push:later"), 1);
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
		push_start_pushd("presence { grace = 0 }\npush { allow = \"localhost:@HTTPS\" }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	push_wait_for(stand, "bad_address", 1);
	push_wait_until_idle(stand);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	push_stop(stand);
}
END_TEST

/* The names are resolved by tests/push/names.c, which reads the file NAMES at each look-up. */
START_TEST(a_name_that_changes_its_address_is_checked_each_time)
{
	struct push_stand *stand = push_start("presence { grace = 0 }\n"
					      "push { allow = \"127.0.0.1, push.test:@HTTPS\" }");
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
	push_wait_for(stand, "sent", 1);
	/* Another process, for this one keeps its connection, and the answer for a while. */
	ck_assert_int_eq(pushd_end(stand, 0, SIGTERM), 0);
	stack_write(stand->stack, "names", "push.test 127.0.0.2\n");
	pushd_start(stand, 0, env);
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	push_wait_for(stand, "bad_address", 1);
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
	push_wait_until_idle(stand);
	ck_assert_msg(push_received(stand, "/as/500") >= 1, "it was never tried");
	push_stop(stand);
}
END_TEST

START_TEST(what_is_no_notification_is_thrown_out)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	redis_cmd(stand->stack, "XADD push:queue * job nonsense");
	redis_cmd(stand->stack, "XADD push:queue * other field");
	redis_cmd(stand->stack, "ZADD push:later 1 rubbish");
	redis_cmd(stand->stack, "SET push:subs:2 spoiled");
	redis_cmd(stand->stack, "XADD push:queue * job %s",
		  "{\"id\":\"x\",\"user\":\"2\",\"title\":\"a\",\"ttl\":60}");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	push_wait_for(stand, "sent", 1);
	push_wait_for(stand, "broken", 4);
	push_wait_until_idle(stand);
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
			   "push { webhook = \"http://127.0.0.1:@PLAIN/as/500/1\"\n"
			   "webhook_key_file = \"@DIR/webhook.key\" }");
	struct json_object *request, *fields;
	const char *body;

	stack_write_secret(stand->stack, "webhook.key", WEBHOOK_SECRET "\n");
	pushd_start(stand, 0, NULL);
	/* Without a subscription; the first try fails. */
	ck_assert_int_eq(push_notify(stand, "{'user_ids':['anna'],'title':'a','ttl':60}"), 1);
	push_wait_for(stand, "sent", 1);
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

int main(void)
{
	Suite *suite = suite_create("push_outcomes");
	TCase *tcase = harness_case(suite, "outcomes", 60);
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
	return push_main(suite);
}
