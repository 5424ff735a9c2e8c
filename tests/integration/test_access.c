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

	tcase = harness_case(suite, "other origins", 30);
	tcase_add_test(tcase, listed_origins_may_call);
	tcase_add_test(tcase, any_origin_may_call_without_credentials);
	tcase_add_test(tcase, no_other_origin_may_call_unless_configured);

	tcase = harness_case(suite, "visibility", 30);
	tcase_add_test(tcase, pages_of_visible_friends_miss_nobody);
	return harness_main(suite);
}
