/* The REST calls of presence-api behind a web server: docs/api.md. */
#include "calls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "base/buf.h"

/* --- the calls ---------------------------------------------------------------------------- */

START_TEST(login_answers_a_token_that_works)
{
	struct stack *stack = stack_start_api("auth { token_lifetime = 120 }");
	struct json_object *answer = http_ok(stack, LOGIN, NULL, CREDENTIALS), *payload;
	const char *token;
	int64_t lifetime;

	CHECK_JSON(answer, "{'access_token':'<string>','token_type':'bearer','expires_in':120,"
			   "'user':{'user_id':1,'name':'User 1'}}");
	token = json_text(answer, "access_token");
	payload = token_payload(token);
	CHECK_JSON(payload, "{'sub':'1','sid':'<string>','jti':'<string>','iat':'<int>',"
			    "'exp':'<int>','name':'User 1'}");
	/* Redis' clock and the host's: one may have come to the next second. */
	lifetime = json_object_get_int64(json_at(payload, "exp")) -
		   json_object_get_int64(json_at(payload, "iat"));
	ck_assert_msg(lifetime >= 119 && lifetime <= 121, "seen %" PRId64 " s", lifetime);
	ck_assert(labs((long)(json_object_get_int64(json_at(payload, "iat")) - time(NULL))) < 60);
	CHECK_JSON(http_ok(stack, COUNT, token, NULL), "{'count':1}");
	stack_stop(stack);
}
END_TEST

START_TEST(login_brings_the_user_online)
{
	struct stack *stack = stack_start_api("");
	struct listener *listener = listener_open(stack, "user:status:*");
	struct message *message;

	http_ok(stack, LOGIN, NULL, CREDENTIALS);
	message = listener_next(listener, patience(3000));
	ck_assert_msg(message != NULL, "nothing was published");
	ck_assert_str_eq(message->channel, "user:status:1");
	CHECK_JSON(message->json,
		   "{'user_id':1,'is_online':true,'status':'online',"
		   "'last_activity':'<time>','version':'<version>','reason':'login'}");
	ck_assert(redis_has(stack, "user:online:1"));
	ck_assert_int_eq(redis_int(stack, "SISMEMBER online_users 1"), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(login_takes_an_e_mail_in_any_case)
{
	struct stack *stack = stack_start_api("");
	struct json_object *answer =
		http_ok(stack, LOGIN, NULL,
			"{\"email\":\"USER1@Example.COM\",\"password\":\"" PASSWORD "\"}");

	ck_assert_int_eq(json_object_get_int(json_at(json_at(answer, "user"), "user_id")), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(login_says_the_same_of_a_wrong_password_and_an_unknown_account)
{
	struct stack *stack = stack_start_api("");
	struct response *wrong, *unknown;

	wrong = HTTP(stack, .path = LOGIN,
		     .body = "{\"email\":\"user1@example.com\",\"password\":\"wrong\"}",
		     .header = "X-Request-Id: same");
	check_problem(wrong, 401, "bad_credentials");
	unknown = HTTP(stack, .path = LOGIN,
		       .body = "{\"email\":\"nobody@example.com\",\"password\":\"wrong\"}",
		       .header = "X-Request-Id: same");
	check_problem(unknown, 401, "bad_credentials");
	ck_assert_str_eq(wrong->body, unknown->body);
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(logout_ends_the_token_and_the_user_is_offline)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");
	struct listener *listener;
	struct message *message;

	touch(stack, token);
	listener = listener_open(stack, "user:status:1");
	CHECK_JSON(http_ok(stack, LOGOUT, token, ""), "{'ok':true}");
	message = listener_next(listener, patience(3000));
	ck_assert_msg(message != NULL, "nothing was published");
	CHECK_JSON(message->json, "{'user_id':1,'is_online':false,'status':'offline',"
				  "'last_seen':'<time>','version':'<version>','reason':'logout'}");
	ck_assert(!redis_has(stack, "user:online:1"));
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	check_problem(HTTP(stack, .method = "POST", .path = LOGOUT, .token = token), 401,
		      "token_revoked");
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(logout_counts_as_no_activity)
{
	struct stack *stack = stack_start_api("");
	struct listener *listener = listener_open(stack, "user:status:*");

	http_ok(stack, LOGOUT, token_for(stack, "1"), "");
	ck_assert(!redis_has(stack, "user:online:1"));
	ck_assert(!redis_has(stack, "user:last_seen:1"));
	ck_assert(listener_next(listener, 100) == NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(logout_of_one_token_leaves_the_others)
{
	struct stack *stack = stack_start_api("");
	const char *phone = token_for(stack, "1"), *laptop = token_for(stack, "1");

	touch(stack, phone);
	touch(stack, laptop);
	http_ok(stack, LOGOUT, phone, "");
	ck_assert(redis_has(stack, "user:online:1"));
	CHECK_JSON(http_ok(stack, COUNT, laptop, NULL), "{'count':1}");
	check_problem(HTTP(stack, .path = COUNT, .token = phone), 401, "token_revoked");
	stack_stop(stack);
}
END_TEST

START_TEST(logout_of_all_ends_every_token_issued_before)
{
	struct stack *stack = stack_start_api("");
	const char *phone = token_for(stack, "1"), *laptop = token_for(stack, "1"), *unused;
	char payload[128];
	long long now = (long long)time(NULL);

	snprintf(payload, sizeof payload, "{'sub':'1','sid':'unused','iat':%lld,'exp':%lld}",
		 now - 10, now + 1000);
	unused = token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
	touch(stack, phone);
	touch(stack, laptop);
	CHECK_JSON(http_ok(stack, LOGOUT "?all=true", phone, ""), "{'ok':true}");
	ck_assert(!redis_has(stack, "user:online:1"));
	check_problem(HTTP(stack, .path = COUNT, .token = phone), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = laptop), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = unused), 401, "token_revoked");
	touch(stack, token_for(stack, "2"));
	stack_stop(stack);
}
END_TEST

START_TEST(friends_are_listed_with_their_names)
{
	struct stack *stack = stack_start_api("");

	CHECK_JSON(http_ok(stack, FRIENDS_LIST, token_for(stack, "3"), NULL),
		   "[{'user_id':1,'name':'User 1'},{'user_id':2,'name':'User 2'},"
		   "{'user_id':4,'name':'User 4'},{'user_id':5,'name':'User 5'},"
		   "{'user_id':6,'name':'User 6'}]");
	CHECK_JSON(http_ok(stack, FRIENDS_LIST, token_for(stack, "stranger"), NULL), "[]");
	stack_stop(stack);
}
END_TEST

START_TEST(users_are_answered_once_for_each_distinct_id)
{
	struct stack *stack = stack_start_api("");

	touch(stack, token_for(stack, "2"));
	touch(stack, token_for(stack, "anna.b-c_D"));
	CHECK_JSON(http_ok(stack, STATUS_USERS, token_for(stack, "1"),
			   "{\"user_ids\":[2,3,\"anna.b-c_D\",2,\"nobody\"]}"),
		   "{'2':{'user_id':2,'is_online':true,'status':'online',"
		   "'last_activity':'<time>','version':'<version>'},"
		   "'3':{'user_id':3,'is_online':false,'status':'offline','last_seen':null,"
		   "'version':0},"
		   "'anna.b-c_D':{'user_id':'anna.b-c_D','is_online':true,'status':'online',"
		   "'last_activity':'<time>','version':'<version>'},"
		   "'nobody':{'user_id':'nobody','is_online':false,'status':'offline',"
		   "'last_seen':null,'version':0}}");
	CHECK_JSON(http_ok(stack, STATUS_USERS, token_for(stack, "1"), "{\"user_ids\":[]}"), "{}");
	stack_stop(stack);
}
END_TEST

START_TEST(as_many_ids_as_max_batch_are_answered)
{
	struct stack *stack = stack_start_api("");
	struct printbuf *body = buf_new();

	buf_puts(body, "{\"user_ids\":[1");
	for (int i = 2; i <= 1000; i++)
		buf_putf(body, ",%d", i);
	buf_puts(body, "]}");
	ck_assert_int_eq(json_object_object_length(
				 http_ok(stack, STATUS_USERS, token_for(stack, "1"), body->buf)),
			 1000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_user_is_online_then_offline_with_last_seen)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "2"), *viewer = token_for(stack, "1");
	struct json_object *online, *offline;

	CHECK_JSON(http_ok(stack, STATUS_USER "2", viewer, NULL),
		   "{'user_id':2,'is_online':false,'status':'offline','last_seen':null,"
		   "'version':0}");
	touch(stack, token);
	online = http_ok(stack, STATUS_USER "2", viewer, NULL);
	CHECK_JSON(online, "{'user_id':2,'is_online':true,'status':'online',"
			   "'last_activity':'<time>','version':'<version>'}");
	http_ok(stack, LOGOUT, token, "");
	offline = http_ok(stack, STATUS_USER "2", viewer, NULL);
	CHECK_JSON(offline, "{'user_id':2,'is_online':false,'status':'offline',"
			    "'last_seen':'<time>','version':'<version>'}");
	ck_assert_int_gt(json_object_get_int64(json_at(offline, "version")),
			 json_object_get_int64(json_at(online, "version")));
	stack_stop(stack);
}
END_TEST

START_TEST(a_first_version_tells_the_week_and_no_time)
{
	struct stack *stack = stack_start_api("");
	int64_t before = time(NULL) / (7 * 86400), version;
	struct json_object *status;

	touch(stack, token_for(stack, "2"));
	status = http_ok(stack, STATUS_USER "2", token_for(stack, "1"), NULL);
	version = json_object_get_int64(json_at(status, "version"));
	ck_assert_int_eq(version % 1000000000, 0);
	ck_assert_int_ge(version / 1000000000, before);
	ck_assert_int_le(version / 1000000000, time(NULL) / (7 * 86400));
	stack_stop(stack);
}
END_TEST

START_TEST(an_id_in_the_path_may_be_percent_encoded)
{
	struct stack *stack = stack_start_api("");

	CHECK_JSON(json_at(http_ok(stack, STATUS_USER "%61nn%61", token_for(stack, "1"), NULL),
			   "user_id"),
		   "'anna'");
	stack_stop(stack);
}
END_TEST

START_TEST(ones_own_status_has_the_session_of_the_callers_token)
{
	struct stack *stack = stack_start_api("");
	const char *phone = token_for(stack, "1"), *laptop = token_for(stack, "1");
	struct json_object *by_phone, *by_laptop;

	by_phone = http_ok(stack, STATUS_USER "1", phone, NULL);
	CHECK_JSON(by_phone, "{'user_id':1,'is_online':true,'status':'online',"
			     "'last_activity':'<time>','version':'<version>',"
			     "'session_id':'<string>'}");
	by_laptop = json_at(http_ok(stack, STATUS_USERS, laptop, "{\"user_ids\":[1,2]}"), "1");
	ck_assert_str_ne(json_text(by_phone, "session_id"), json_text(by_laptop, "session_id"));
	ck_assert_str_eq(json_text(by_phone, "session_id"),
			 json_text(http_ok(stack, STATUS_USER "1", phone, NULL), "session_id"));
	ck_assert_msg(strstr(redis_dump(stack), json_text(by_phone, "session_id")) == NULL,
		      "Redis holds a session_id");
	stack_stop(stack);
}
END_TEST

START_TEST(every_friend_has_a_status)
{
	struct stack *stack = stack_start_api("");

	touch(stack, token_for(stack, "2"));
	CHECK_JSON(http_ok(stack, STATUS_FRIENDS, token_for(stack, "1"), NULL),
		   "{'2':{'user_id':2,'is_online':true,'status':'online',"
		   "'last_activity':'<time>','version':'<version>'},"
		   "'3':{'user_id':3,'is_online':false,'status':'offline','last_seen':null,'"
		   "version':0},"
		   "'4':{'user_id':4,'is_online':false,'status':'offline','last_seen':null,'"
		   "version':0},"
		   "'5':{'user_id':5,'is_online':false,'status':'offline','last_seen':null,'"
		   "version':0},"
		   "'6':{'user_id':6,'is_online':false,'status':'offline','last_seen':null,'"
		   "version':0}}");
	CHECK_JSON(http_ok(stack, STATUS_FRIENDS, token_for(stack, "stranger"), NULL), "{}");
	stack_stop(stack);
}
END_TEST

START_TEST(a_heartbeat_keeps_online_and_may_store_a_websocket_session)
{
	struct stack *stack = stack_start_api("presence { online_ttl = 77 }");
	const char *token = token_for(stack, "1");
	char *session;

	CHECK_JSON(http_ok(stack, HEARTBEAT, token, ""), "{'ok':true,'expires_in':77}");
	ck_assert(redis_has(stack, "user:online:1"));
	ck_assert(!redis_has(stack, "user:websocket:1"));
	CHECK_JSON(http_ok(stack, HEARTBEAT, token, "{\"websocket_session\":\"ws-17\"}"),
		   "{'ok':true,'expires_in':77}");
	session = redis_text(stack, "GET user:websocket:1");
	ck_assert(session != NULL);
	ck_assert_str_eq(session, "ws-17");
	ck_assert_int_gt(redis_int(stack, "TTL user:websocket:1"), 60);
	ck_assert_int_le(redis_int(stack, "TTL user:websocket:1"), 77);
	http_ok(stack, HEARTBEAT, token, "{}");
	http_ok(stack, LOGOUT, token, "");
	ck_assert_msg(!redis_has(stack, "user:websocket:1"), "offline, but a WebSocket is left");
	stack_stop(stack);
}
END_TEST

START_TEST(a_websocket_session_comes_with_no_revoked_token)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	http_ok(stack, LOGOUT, token, "");
	check_problem(HTTP(stack, .path = HEARTBEAT, .token = token,
			   .body = "{\"websocket_session\":\"ws-17\"}"),
		      401, "token_revoked");
	ck_assert(!redis_has(stack, "user:websocket:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(the_count_is_of_users_not_of_devices)
{
	struct stack *stack = stack_start_api("");

	touch(stack, token_for(stack, "1"));
	touch(stack, token_for(stack, "1"));
	touch(stack, token_for(stack, "2"));
	CHECK_JSON(http_ok(stack, COUNT, token_for(stack, "3"), NULL), "{'count':3}");
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 3);
	stack_stop(stack);
}
END_TEST

/* Follows the pages; marks the users seen in `seen`; the number of pages. */
static int read_pages(struct stack *stack, const char *token, int limit, bool *seen, int users)
{
	const char *cursor = NULL;
	int pages = 0;

	do {
		struct json_object *page, *ids;
		char path[256];

		if (cursor == NULL)
			snprintf(path, sizeof path, ONLINE_LIST "?limit=%d", limit);
		else
			snprintf(path, sizeof path, ONLINE_LIST "?limit=%d&cursor=%s", limit,
				 cursor);
		page = http_ok(stack, path, token, NULL);
		CHECK_JSON(page, "{'user_ids':'<any>','cursor':'<any>'}");
		ids = json_at(page, "user_ids");
		ck_assert(json_object_is_type(ids, json_type_array));
		for (size_t i = 0; i < json_object_array_length(ids); i++) {
			struct json_object *id = json_object_array_get_idx(ids, i);

			ck_assert(json_object_is_type(id, json_type_int));
			ck_assert(json_object_get_int(id) >= 1 && json_object_get_int(id) <= users);
			seen[json_object_get_int(id) - 1] = true;
		}
		ck_assert(json_at(page, "cursor") == NULL ||
			  json_object_is_type(json_at(page, "cursor"), json_type_string));
		cursor = json_text(page, "cursor");
		ck_assert_int_lt(++pages, 2000);
	} while (cursor != NULL);
	return pages;
}

START_TEST(pages_of_the_online_users_miss_nobody)
{
	enum { ONLINE_USERS = 600 }; /* a Set this large is no listpack, so SCAN does page it */
	static bool seen[ONLINE_USERS];
	struct stack *stack = stack_start_api("");
	const char *token;
	char id[12];

	for (int i = 1; i <= ONLINE_USERS; i++) {
		snprintf(id, sizeof id, "%d", i);
		token = token_for(stack, id);
		touch(stack, token);
	}
	ck_assert_int_gt(read_pages(stack, token, 50, seen, ONLINE_USERS), 3);
	for (int i = 0; i < ONLINE_USERS; i++)
		ck_assert_msg(seen[i], "user %d was on no page", i + 1);
	memset(seen, 0, sizeof seen);
	read_pages(stack, token, 10000, seen, ONLINE_USERS);
	for (int i = 0; i < ONLINE_USERS; i++)
		ck_assert_msg(seen[i], "user %d was on no page of 10000", i + 1);
	stack_stop(stack);
}
END_TEST

START_TEST(string_ids_are_listed_as_strings)
{
	struct stack *stack = stack_start_api("");

	CHECK_JSON(http_ok(stack, ONLINE_LIST, token_for(stack, "anna"), NULL),
		   "{'user_ids':['anna'],'cursor':null}");
	stack_stop(stack);
}
END_TEST

START_TEST(health_needs_no_token)
{
	struct stack *stack = stack_start_api("");

	CHECK_JSON(http_ok(stack, HEALTH, NULL, NULL), "{'status':'ok','redis':'ok'}");
	stack_stop(stack);
}
END_TEST

START_TEST(the_base_path_is_the_configured_one)
{
	struct stack *stack = stack_new("http { base = \"/site/v1\" }");

	stack->base = "/site/";
	redis_start(stack, NULL);
	lighttpd_start(stack);
	http_ok(stack, "/site/v1/health", NULL, NULL);
	check_problem(HTTP(stack, .path = "/site/health"), 404, "not_found");
	check_problem(HTTP(stack, .path = "/site/v1"), 404, "not_found");
	check_problem(HTTP(stack, .path = "/site/v1x/health"), 404, "not_found");
	stack_stop(stack);
}
END_TEST

START_TEST(two_sites_share_a_redis_by_prefix)
{
	struct stack *stack = stack_start_api("redis { prefix = \"site:\" }");
	const char *token = token_for(stack, "1");
	struct listener *listener = listener_open(stack, "*");
	struct message *message;
	redisReply *keys;

	http_ok(stack, HEARTBEAT, token, "{\"websocket_session\":\"w\"}");
	http_ok(stack, LOGOUT, token, "");
	keys = redis_cmd(stack, "KEYS *");
	ck_assert_int_gt(keys->elements, 0);
	for (size_t i = 0; i < keys->elements; i++)
		ck_assert_msg(strncmp(keys->element[i]->str, "site:", 5) == 0,
			      "a key without the prefix: %s", keys->element[i]->str);
	while ((message = listener_next(listener, 100)) != NULL)
		ck_assert_msg(strncmp(message->channel, "site:", 5) == 0,
			      "a channel without the prefix: %s", message->channel);
	stack_stop(stack);
}
END_TEST

START_TEST(the_token_may_come_in_the_query)
{
	struct stack *stack = stack_start_api("");
	char path[1024];

	snprintf(path, sizeof path, COUNT "?token=%s", token_for(stack, "1"));
	CHECK_JSON(http_ok(stack, path, NULL, NULL), "{'count':1}");
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_of_presencectl_works)
{
	struct stack *stack = stack_start_api("");
	const char *argv[] = {program("presencectl"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      "token",
			      "4",
			      "--lifetime",
			      "60",
			      NULL};
	char *token;

	ck_assert_int_eq(run(stack, &token, NULL, argv), 0);
	token[strcspn(token, "\n")] = '\0';
	touch(stack, token);
	ck_assert(redis_has(stack, "user:online:4"));
	stack_stop(stack);
}
END_TEST

/* --- under load --------------------------------------------------------------------------- */

struct load {
	CURLM *multi;
	char url[128];
	struct curl_slist *headers;
	int started, done, failed;
	char why[256]; /* the first failure */
};

static size_t on_ignored(char *data, size_t size, size_t count, void *arg)
{
	(void)data;
	(void)arg;
	return size * count;
}

static void load_next(struct load *load, CURL *curl)
{
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, load->url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, load->headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_ignored);
	curl_multi_add_handle(load->multi, curl);
	load->started++;
}

static void load_take(struct load *load, CURLMsg *message, int total)
{
	CURL *curl = message->easy_handle;
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (message->data.result != CURLE_OK || status != 200) {
		if (load->failed++ == 0)
			snprintf(load->why, sizeof load->why, "request %d: %s, status %ld",
				 load->done, curl_easy_strerror(message->data.result), status);
	}
	load->done++;
	curl_multi_remove_handle(load->multi, curl);
	if (load->started < total)
		load_next(load, curl);
	else
		curl_easy_cleanup(curl);
}

START_TEST(not_one_request_fails_while_workers_are_replaced)
{
	enum { TOTAL = 20000, AT_A_TIME = 16 };
	struct stack *stack = stack_start_api("api { children = 4 max_requests = 100 }");
	struct load load = {.multi = curl_multi_init()};
	char *header;

	snprintf(load.url, sizeof load.url, "http://127.0.0.1:%d" STATUS_FRIENDS, stack->port);
	ck_assert(asprintf(&header, "Authorization: Bearer %s", token_for(stack, "1")) > 0);
	load.headers = curl_slist_append(NULL, header);
	for (int i = 0; i < AT_A_TIME; i++)
		load_next(&load, curl_easy_init());
	while (load.done < TOTAL) {
		CURLMsg *message;
		int running, left;

		ck_assert_int_eq(curl_multi_perform(load.multi, &running), CURLM_OK);
		while ((message = curl_multi_info_read(load.multi, &left)) != NULL)
			load_take(&load, message, TOTAL);
		if (running > 0)
			curl_multi_poll(load.multi, NULL, 0, 1000, NULL);
	}
	ck_assert_msg(load.failed == 0, "%d of %d failed; %s", load.failed, TOTAL, load.why);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rest");
	TCase *tcase = harness_case(suite, "calls", 30);

	tcase_add_test(tcase, login_answers_a_token_that_works);
	tcase_add_test(tcase, login_brings_the_user_online);
	tcase_add_test(tcase, login_takes_an_e_mail_in_any_case);
	tcase_add_test(tcase, login_says_the_same_of_a_wrong_password_and_an_unknown_account);
	tcase_add_test(tcase, logout_ends_the_token_and_the_user_is_offline);
	tcase_add_test(tcase, logout_counts_as_no_activity);
	tcase_add_test(tcase, logout_of_one_token_leaves_the_others);
	tcase_add_test(tcase, logout_of_all_ends_every_token_issued_before);
	tcase_add_test(tcase, friends_are_listed_with_their_names);
	tcase_add_test(tcase, users_are_answered_once_for_each_distinct_id);
	tcase_add_test(tcase, as_many_ids_as_max_batch_are_answered);
	tcase_add_test(tcase, a_user_is_online_then_offline_with_last_seen);
	tcase_add_test(tcase, a_first_version_tells_the_week_and_no_time);
	tcase_add_test(tcase, an_id_in_the_path_may_be_percent_encoded);
	tcase_add_test(tcase, ones_own_status_has_the_session_of_the_callers_token);
	tcase_add_test(tcase, every_friend_has_a_status);
	tcase_add_test(tcase, a_heartbeat_keeps_online_and_may_store_a_websocket_session);
	tcase_add_test(tcase, a_websocket_session_comes_with_no_revoked_token);
	tcase_add_test(tcase, the_count_is_of_users_not_of_devices);
	tcase_add_test(tcase, pages_of_the_online_users_miss_nobody);
	tcase_add_test(tcase, string_ids_are_listed_as_strings);
	tcase_add_test(tcase, health_needs_no_token);
	tcase_add_test(tcase, the_base_path_is_the_configured_one);
	tcase_add_test(tcase, two_sites_share_a_redis_by_prefix);
	tcase_add_test(tcase, the_token_may_come_in_the_query);
	tcase_add_test(tcase, a_token_of_presencectl_works);

	tcase = harness_case(suite, "load", 120);
	tcase_add_test(tcase, not_one_request_fails_while_workers_are_replaced);
	return harness_main(suite);
}
