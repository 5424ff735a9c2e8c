/* Refreshed tokens, tickets, other origins, pages of friends: docs/api.md. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- refresh ------------------------------------------------------------------------------ */

START_TEST(a_refreshed_token_is_of_the_same_session)
{
	struct stack *stack = stack_start_api("auth { token_lifetime = 200 }");
	struct json_object *answer, *before, *after;
	const char *old, *new;

	answer = http_ok(stack, LOGIN, NULL,
			 "{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD "\"}");
	old = json_text(answer, "access_token");
	before = token_payload(old);
	answer = http_ok(stack, REFRESH, old, "");
	CHECK_JSON(answer, "{'access_token':'<string>','token_type':'bearer','expires_in':200,"
			   "'user':{'user_id':1,'name':'User 1'}}");
	new = json_text(answer, "access_token");
	after = token_payload(new);
	ck_assert_str_eq(json_text(before, "sid"), json_text(after, "sid"));
	ck_assert_str_eq(json_text(before, "sub"), json_text(after, "sub"));
	ck_assert_str_ne(json_text(before, "jti"), json_text(after, "jti"));
	http_ok(stack, COUNT, old, NULL);
	http_ok(stack, COUNT, new, NULL);
	ck_assert_int_eq(redis_int(stack, "ZCARD user:sessions:1"), 1);

	/* Logout of the new one ends the old one, too. */
	http_ok(stack, LOGOUT, new, "");
	check_problem(HTTP(stack, .path = COUNT, .token = old), 401, "token_revoked");
	check_problem(HTTP(stack, .path = REFRESH, .token = old, .method = "POST"), 401,
		      "token_revoked");
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(an_expired_token_is_not_refreshed)
{
	struct stack *stack = stack_start_api("");

	check_problem(HTTP(stack, .path = REFRESH, .method = "POST",
			   .token = token_until(stack, "1", -5)),
		      401, "token_expired");
	check_problem(HTTP(stack, .path = REFRESH, .method = "POST"), 401, "token_missing");
	stack_stop(stack);
}
END_TEST

START_TEST(refresh_answers_404_when_tokens_come_from_elsewhere)
{
	struct stack *stack = stack_start_api("auth { login = external }");

	check_problem(
		HTTP(stack, .path = REFRESH, .method = "POST", .token = token_for(stack, "1")), 404,
		"not_found");
	stack_stop(stack);
}
END_TEST

/* --- tickets ------------------------------------------------------------------------------ */

START_TEST(a_ticket_opens_one_stream)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1"), *ticket;
	struct json_object *answer = http_ok(stack, TICKET, token, "");
	struct event *connected;
	struct sse *sse;
	char key[128];

	CHECK_JSON(answer, "{'ticket':'<string>','expires_in':30}");
	ticket = json_text(answer, "ticket");
	ck_assert_uint_ge(strlen(ticket), 22); /* 128 bits */
	snprintf(key, sizeof key, "presence:ticket:%s", ticket);
	ck_assert_int_gt(redis_int(stack, "TTL %s", key), 0);
	ck_assert_int_le(redis_int(stack, "TTL %s", key), 30);
	sse = sse_open_ticket(stack, ticket);
	ck_assert_int_eq(sse_status(sse), 200);
	connected = sse_wait(sse, "connected", 3000);
	/* The stream is of the token's session. */
	ck_assert_str_eq(
		json_text(connected->json, "session_id"),
		json_text(http_ok(stack, "/api/online-status/user/1", token, NULL), "session_id"));
	sse_wait(sse, "initial", 3000);
	ck_assert(!redis_has(stack, key));
	check_problem(HTTP(stack, .path = STREAM, .token = NULL), 401, "token_missing");
	ck_assert_int_eq(sse_status(sse_open_ticket(stack, ticket)), 401);
	/* Logout closes it like one that came with the token. */
	http_ok(stack, LOGOUT, token, "");
	ck_assert_str_eq(json_text(sse_wait(sse, "bye", 3000)->json, "reason"), "revoked");
	stack_stop(stack);
}
END_TEST

START_TEST(unknown_used_and_late_tickets_are_refused)
{
	static const char *const bad[] = {
		"AAAAAAAAAAAAAAAAAAAAAA",
		"x",
		"*",
		"%2e%2e",
		"a%20b",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
	struct stack *stack = stack_start("");
	const char *late;
	char path[256];

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(path, sizeof path, STREAM "?ticket=%s", bad[i]);
		check_problem(HTTP(stack, .path = path), 401, "ticket_invalid");
	}
	late = json_text(http_ok(stack, TICKET, token_for(stack, "1"), ""), "ticket");
	redis_int(stack, "PEXPIRE presence:ticket:%s 1", late);
	snprintf(path, sizeof path, "presence:ticket:%s", late);
	WAIT_UNTIL(!redis_has(stack, path), 2000);
	snprintf(path, sizeof path, STREAM "?ticket=%s", late);
	check_problem(HTTP(stack, .path = path), 401, "ticket_invalid");
	stack_stop(stack);
}
END_TEST

START_TEST(a_ticket_of_a_revoked_token_opens_nothing)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");
	const char *ticket = json_text(http_ok(stack, TICKET, token, ""), "ticket");
	struct sse *sse;

	http_ok(stack, LOGOUT, token, "");
	sse = sse_open_ticket(stack, ticket);
	ck_assert_int_eq(sse_status(sse), 401);
	ck_assert(!redis_has(stack, "user:online:1"));
	check_problem(HTTP(stack, .path = TICKET, .method = "POST", .token = token), 401,
		      "token_revoked");
	stack_stop(stack);
}
END_TEST

START_TEST(a_ticket_is_good_for_the_stream_alone)
{
	struct stack *stack = stack_start("");
	const char *ticket = json_text(http_ok(stack, TICKET, token_for(stack, "1"), ""), "ticket");
	char path[256];

	snprintf(path, sizeof path, COUNT "?ticket=%s", ticket);
	check_problem(HTTP(stack, .path = path), 401, "token_missing");
	snprintf(path, sizeof path, COUNT "?token=%s", ticket);
	check_problem(HTTP(stack, .path = path), 401, "token_invalid");
	stack_stop(stack);
}
END_TEST

/* --- tokens that only watch ----------------------------------------------------------------- */

static const char *watch_token(struct stack *stack, const char *id)
{
	char *payload;

	ck_assert(asprintf(&payload, "{'sub':'%s','sid':'w%s','exp':4102444800,'presence':'watch'}",
			   id, id) > 0);
	return token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
}

START_TEST(a_token_that_only_watches_sees_and_makes_nobody_online)
{
	static const char *const gets[] = {COUNT,	    FRIENDS_LIST,    STATUS_FRIENDS,
					   STATUS_USER "2", STATUS_USER "1", ONLINE_LIST};
	struct stack *stack = stack_start_api("");
	struct listener *published = listener_open(stack, "user:status:*");
	const char *token = watch_token(stack, "1");
	char *before;

	touch_user(stack, "2");
	ck_assert_ptr_nonnull(listener_next(published, 3000));
	before = redis_dump(stack);
	for (size_t i = 0; i < sizeof gets / sizeof gets[0]; i++)
		http_ok(stack, gets[i], token, NULL);
	CHECK_JSON(http_ok(stack, COUNT, token, NULL), "{'count':1}");
	CHECK_JSON(http_ok(stack, STATUS_USERS, token, "{\"user_ids\":[2]}"),
		   "{'2':" ONLINE(2) "}");
	token = json_text(http_ok(stack, REFRESH, token, ""), "access_token");
	ck_assert_str_eq(json_text(token_payload(token), "presence"), "watch");
	http_ok(stack, COUNT, token, NULL);
	check_problem(HTTP(stack, .path = HEARTBEAT, .method = "POST", .token = token), 403,
		      "watch_only");
	check_problem(HTTP(stack, .path = HEARTBEAT, .token = token,
			   .body = "{\"websocket_session\":\"w\"}"),
		      403, "watch_only");
	ck_assert_str_eq(redis_dump(stack), before);
	http_ok(stack, TICKET, token, "");
	ck_assert(!redis_has(stack, "user:online:1") && !redis_has(stack, "user:last_seen:1") &&
		  !redis_has(stack, "user:sessions:1"));
	ck_assert_msg(listener_next(published, 200) == NULL, "something was published");
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_that_only_watches_is_revoked_as_others_are)
{
	struct stack *stack = stack_start_api("");
	const char *token = watch_token(stack, "1");

	touch_user(stack, "1");
	http_ok(stack, COUNT, token, NULL);
	http_ok(stack, LOGOUT, token, "");
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	/* The user's own session is another one. */
	ck_assert(redis_has(stack, "user:online:1"));
	token = watch_token(stack, "3");
	http_ok(stack, COUNT, token, NULL);
	CTL(stack, "kick", "3");
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	stack_stop(stack);
}
END_TEST

/* --- beacons ------------------------------------------------------------------------------- */

/* navigator.sendBeacon(): a POST that can set no fields; the type comes from what it is given. */
START_TEST(a_beacon_works_without_a_body)
{
	struct stack *stack = stack_start_api("");
	char *heartbeat, *logout;
	const char *token = token_for(stack, "1");

	ck_assert(asprintf(&heartbeat, HEARTBEAT "?token=%s", token) > 0);
	ck_assert(asprintf(&logout, LOGOUT "?token=%s", token) > 0);
	/* sendBeacon(url), sendBeacon(url, ""), sendBeacon(url, "{}") */
	ck_assert_int_eq(
		HTTP(stack, .path = heartbeat, .method = "POST", .body = "", .type = "")->status,
		200);
	ck_assert_int_eq(HTTP(stack, .path = heartbeat, .method = "POST", .body = "",
			      .type = "text/plain;charset=UTF-8")
				 ->status,
			 200);
	check_problem(
		HTTP(stack, .path = heartbeat, .body = "{}", .type = "text/plain;charset=UTF-8"),
		415, "unsupported_media_type");
	ck_assert(redis_has(stack, "user:online:1"));
	ck_assert_int_eq(
		HTTP(stack, .path = logout, .method = "POST", .body = "", .type = "")->status, 200);
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_byte_order_mark_is_named)
{
	struct stack *stack = stack_start_api("");
	struct response *response = HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, "1"),
					 .body = "\xef\xbb\xbf{}");

	check_problem(response, 400, "bad_json");
	check_has(json_text(response->json, "detail"), "byte order mark");
	stack_stop(stack);
}
END_TEST

/* --- the request's name ---------------------------------------------------------------------- */

START_TEST(a_requests_name_is_in_its_error_and_in_the_log)
{
	struct stack *stack = stack_start_api("redis { timeout_ms = 300 }");
	const char *token = token_for(stack, "1"), *name;
	struct response *response;

	http_ok(stack, COUNT, token, NULL);
	redis_kill(stack);
	response = HTTP(stack, .path = COUNT, .token = token, .header = "X-Request-Id: 7f3a-b.c");
	ck_assert_int_eq(response->status, 503);
	ck_assert_str_eq(json_text(response->json, "request_id"), "7f3a-b.c");
	ck_assert_str_eq(header_of(response->head, "X-Request-Id"), "7f3a-b.c");
	check_has(stack_file(stack, "lighttpd.log"), " request=\"7f3a-b.c\"\n");
	/* Where none came, one was made. */
	response = HTTP(stack, .path = "/api/nothing", .token = token);
	name = json_text(response->json, "request_id");
	ck_assert_uint_eq(strlen(name), 32);
	ck_assert_str_eq(header_of(response->head, "X-Request-Id"), name);
	redis_start(stack, NULL);
	stack_stop(stack);
}
END_TEST

/* --- other origins ------------------------------------------------------------------------ */

static void check_field(const struct response *response, const char *name, const char *expected)
{
	const char *value = header_of(response->head, name);

	if (expected == NULL)
		ck_assert_msg(value == NULL, "%s: %s", name, value);
	else
		ck_assert_msg(value != NULL && strcmp(value, expected) == 0,
			      "%s is '%s' instead of '%s'", name, value != NULL ? value : "(none)",
			      expected);
}

#define ALLOW_ORIGIN "Access-Control-Allow-Origin"
#define ALLOW_CREDENTIALS "Access-Control-Allow-Credentials"

START_TEST(listed_origins_may_call)
{
	static const char *const paths[] = {COUNT, STREAM, LOGIN};
	struct stack *stack = stack_start(
		"cors { allow_origins = \"https://a.example, https://b.example:8443\" }");
	const char *token = token_for(stack, "1");

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct response *response = HTTP(stack, .method = "OPTIONS", .path = paths[i],
						 .header = "Origin: https://b.example:8443");

		ck_assert_int_eq(response->status, 204);
		check_field(response, ALLOW_ORIGIN, "https://b.example:8443");
		check_field(response, ALLOW_CREDENTIALS, "true");
		ck_assert(strstr(header_of(response->head, "Access-Control-Allow-Methods"),
				 i == 2 ? "POST" : "GET") != NULL);
		ck_assert(strstr(header_of(response->head, "Access-Control-Allow-Headers"),
				 "Authorization") != NULL);

		response = HTTP(stack, .method = "OPTIONS", .path = paths[i],
				.header = "Origin: https://evil.example");
		check_field(response, ALLOW_ORIGIN, NULL);
		check_field(response, "Access-Control-Allow-Methods", NULL);
	}
	check_field(
		HTTP(stack, .path = COUNT, .token = token, .header = "Origin: https://a.example"),
		ALLOW_ORIGIN, "https://a.example");
	/* Refusals carry it as well, else the page could not read them. */
	check_field(HTTP(stack, .path = COUNT, .header = "Origin: https://a.example"), ALLOW_ORIGIN,
		    "https://a.example");
	check_field(HTTP(stack, .path = STREAM, .header = "Origin: https://a.example"),
		    ALLOW_ORIGIN, "https://a.example");
	check_field(HTTP(stack, .path = COUNT, .token = token,
			 .header = "Origin: https://a.example.evil"),
		    ALLOW_ORIGIN, NULL);
	check_field(HTTP(stack, .path = COUNT, .token = token, .header = "Origin: null"),
		    ALLOW_ORIGIN, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(any_origin_may_call_without_credentials)
{
	struct stack *stack = stack_start("cors { allow_origins = \"*\" }");
	struct response *response = HTTP(stack, .path = COUNT, .token = token_for(stack, "1"),
					 .header = "Origin: https://a.example");

	check_field(response, ALLOW_ORIGIN, "*");
	check_field(response, ALLOW_CREDENTIALS, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(no_other_origin_may_call_unless_configured)
{
	struct stack *stack = stack_start("");
	struct response *response = HTTP(stack, .method = "OPTIONS", .path = COUNT,
					 .header = "Origin: https://a.example");

	ck_assert_int_eq(response->status, 204);
	ck_assert(header_of(response->head, "Allow") != NULL);
	check_field(response, ALLOW_ORIGIN, NULL);
	check_field(HTTP(stack, .path = COUNT, .token = token_for(stack, "1"),
			 .header = "Origin: https://a.example"),
		    ALLOW_ORIGIN, NULL);
	stack_stop(stack);
}
END_TEST

/* --- visibility --------------------------------------------------------------------------- */

START_TEST(pages_of_visible_friends_miss_nobody)
{
	struct stack *stack = stack_start_api("presence { visibility = friends }");
	const char *viewer = token_for(stack, "1"), *cursor = NULL;
	bool seen[USERS + 1] = {false};
	int pages = 0;

	for (int i = 2; i <= USERS; i++) {
		char id[2] = {(char)('0' + i), '\0'};

		http_ok(stack, COUNT, token_for(stack, id), NULL);
	}
	do {
		struct json_object *page, *ids;
		char path[128];

		snprintf(path, sizeof path, "/api/online-status/online?limit=2%s%s",
			 cursor != NULL ? "&cursor=" : "", cursor != NULL ? cursor : "");
		page = http_ok(stack, path, viewer, NULL);
		ids = json_at(page, "user_ids");
		ck_assert_uint_le(json_object_array_length(ids), 2);
		for (size_t i = 0; i < json_object_array_length(ids); i++)
			seen[json_object_get_int(json_object_array_get_idx(ids, i))] = true;
		cursor = json_text(page, "cursor");
		ck_assert_int_lt(++pages, 20);
	} while (cursor != NULL);
	for (int i = 1; i <= USERS; i++)
		ck_assert_msg(seen[i], "user %d was on no page", i);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("access");
	TCase *tcase = harness_case(suite, "refresh", 30);

	tcase_add_test(tcase, a_refreshed_token_is_of_the_same_session);
	tcase_add_test(tcase, an_expired_token_is_not_refreshed);
	tcase_add_test(tcase, refresh_answers_404_when_tokens_come_from_elsewhere);

	tcase = harness_case(suite, "tickets", 30);
	tcase_add_test(tcase, a_ticket_opens_one_stream);
	tcase_add_test(tcase, unknown_used_and_late_tickets_are_refused);
	tcase_add_test(tcase, a_ticket_of_a_revoked_token_opens_nothing);
	tcase_add_test(tcase, a_ticket_is_good_for_the_stream_alone);

	tcase = harness_case(suite, "tokens that only watch", 30);
	tcase_add_test(tcase, a_token_that_only_watches_sees_and_makes_nobody_online);
	tcase_add_test(tcase, a_token_that_only_watches_is_revoked_as_others_are);
	tcase = harness_case(suite, "requests of browsers and web servers", 30);
	tcase_add_test(tcase, a_beacon_works_without_a_body);
	tcase_add_test(tcase, a_byte_order_mark_is_named);
	tcase_add_test(tcase, a_requests_name_is_in_its_error_and_in_the_log);
	tcase = harness_case(suite, "other origins", 30);
	tcase_add_test(tcase, listed_origins_may_call);
	tcase_add_test(tcase, any_origin_may_call_without_credentials);
	tcase_add_test(tcase, no_other_origin_may_call_unless_configured);

	tcase = harness_case(suite, "visibility", 30);
	tcase_add_test(tcase, pages_of_visible_friends_miss_nobody);
	return harness_main(suite);
}
