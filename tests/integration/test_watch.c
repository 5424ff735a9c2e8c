/* Watch lists: streams of users who are watched besides the friends, or instead of them. */
#include "calls.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

#define NO_DIRECTORY "auth { login = external }\ndirectory { backend = none }\n"
#define FRIENDS_ONLY "presence { visibility = friends }\n"

/* A stream with this query besides the token. */
static struct sse *watch(struct stack *stack, const char *id, const char *query)
{
	char text[4096];

	snprintf(text, sizeof text,
		 "GET " STREAM "?%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", query,
		 token_for(stack, id));
	return sse_request(stack, text);
}

static const char *ticket_with(struct stack *stack, const char *id, const char *body)
{
	return json_text(http_ok(stack, TICKET, token_for(stack, id), body), "ticket");
}

static void check_online(struct event *initial, const char *id, bool online)
{
	ck_assert_msg(json_object_get_boolean(json_at(json_at(initial->json, id), "is_online")) ==
			      online,
		      "user %s in %s", id, initial->data);
}

/* The number of members of `initial`, each of which must be of another user. */
static int count_users(struct event *initial)
{
	int names = 0;

	for (const char *at = initial->data; (at = strstr(at, "\"user_id\":")) != NULL; at++)
		names++;
	ck_assert_int_eq(names, json_object_object_length(initial->json));
	return names;
}

START_TEST(who_is_watched_is_in_initial_and_heard_like_a_friend)
{
	struct stack *stack = stack_start("");
	struct sse *sse;
	struct event *initial;

	touch_user(stack, "77");
	sse = watch(stack, "1", "users=77,bob%40example.com,auth0%7C5f");
	initial = sse_ready(sse);
	ck_assert_int_eq(count_users(initial), USERS - 1 + 3);
	check_online(initial, "77", true);
	check_online(initial, "bob@example.com", false);
	touch_user(stack, "bob@example.com");
	sse_wait_change(sse, "bob@example.com", true, 5000);
	http_ok(stack, LOGOUT "?all=true", token_for(stack, "77"), "");
	sse_wait_change(sse, "77", false, 5000);
	touch_user(stack, "2");
	sse_wait_change(sse, "2", true, 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(with_friends_false_nobody_else_is_watched)
{
	struct stack *stack = stack_start("");
	struct sse *sse = watch(stack, "1", "users=77,2&friends=false");

	ck_assert_int_eq(count_users(sse_ready(sse)), 2);
	touch_user(stack, "3");
	touch_user(stack, "2");
	ck_assert_str_eq(json_text(sse_wait(sse, "status_change", 5000)->json, "user_id"), "2");
	stack_stop(stack);
}
END_TEST

START_TEST(a_ticket_carries_the_watch_list)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open_ticket(
		stack, ticket_with(stack, "1", "{\"users\":[77,\"bob\",77],\"friends\":false}"));

	ck_assert_int_eq(count_users(sse_ready(sse)), 2);
	touch_user(stack, "bob");
	sse_wait_change(sse, "bob", true, 5000);
	ck_assert_int_eq(count_users(sse_ready(sse_open_ticket(
				 stack, ticket_with(stack, "1", "{\"users\":[77]}")))),
			 USERS);
	stack_stop(stack);
}
END_TEST

START_TEST(a_ticket_may_hold_1000_users_of_the_longest_kind)
{
	struct stack *stack = stack_start("");
	struct printbuf *body = buf_new();
	struct sse *sse;
	char last[129];

	buf_puts(body, "{\"users\":[");
	for (int i = 0; i < 1000; i++) {
		snprintf(last, sizeof last, "u%0127d", i);
		buf_putf(body, "%s\"%s\"", i == 0 ? "" : ",", last);
	}
	buf_puts(body, "],\"friends\":false}");
	sse = sse_open_ticket(stack, ticket_with(stack, "1", body->buf));
	ck_assert_int_eq(count_users(sse_ready(sse)), 1000);
	touch_user(stack, last);
	sse_wait_change(sse, last, true, 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(what_is_no_watch_list_is_refused)
{
	struct stack *stack = stack_start("stream { max_watched = 2 }");
	const char *token = token_for(stack, "1");
	static const struct {
		const char *body, *code;
		int status;
	} tickets[] = {
		{"{\"users\":[1,2,3]}", "too_many_ids", 400},
		{"{\"users\":[1,\"no id\"]}", "bad_id", 400},
		{"{\"users\":7}", "bad_id", 400},
		{"{\"users\":[],\"friends\":\"no\"}", "bad_value", 422},
	};
	static const struct {
		const char *query, *code;
	} streams[] = {
		{"users=1,2,3", "too_many_ids"},    {"users=1,", "bad_id"},
		{"users=1%20", "bad_id"},	    {"users=%zz", "bad_id"},
		{"friends=maybe", "bad_parameter"}, {"idle=maybe", "bad_parameter"},
		{"idle=%zz", "bad_parameter"},
	};

	for (size_t i = 0; i < sizeof tickets / sizeof tickets[0]; i++)
		check_problem(HTTP(stack, .path = TICKET, .token = token, .body = tickets[i].body),
			      tickets[i].status, tickets[i].code);
	for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
		char path[128];

		snprintf(path, sizeof path, STREAM "?%s", streams[i].query);
		check_problem(HTTP(stack, .path = path, .token = token), 400, streams[i].code);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(only_the_ticket_takes_so_large_a_body)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");
	static char body[163842];

	memset(body, ' ', sizeof body - 1);
	memcpy(body, "{}", 2);
	check_problem(HTTP(stack, .path = TICKET, .token = token, .body = body), 413,
		      "body_too_large");
	body[163840] = '\0';
	http_ok(stack, TICKET, token, body);
	check_problem(HTTP(stack, .path = HEARTBEAT, .token = token, .body = body), 413,
		      "body_too_large");
	stack_stop(stack);
}
END_TEST

START_TEST(a_site_without_a_directory_has_streams_of_watched_users)
{
	struct stack *stack = stack_start(NO_DIRECTORY);
	struct sse *sse = watch(stack, "1", "users=77");

	ck_assert_int_eq(count_users(sse_ready(sse)), 1);
	touch_user(stack, "77");
	sse_wait_change(sse, "77", true, 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(under_visibility_friends_a_watched_stranger_looks_never_seen)
{
	struct stack *stack = stack_start(FRIENDS_ONLY);
	struct sse *both, *alone;
	struct event *initial;

	touch_user(stack, "77");
	touch_user(stack, "2");
	both = watch(stack, "1", "users=77,99,2");
	initial = sse_ready(both);
	ck_assert_int_eq(count_users(initial), USERS - 1 + 2);
	CHECK_JSON(json_at(initial->json, "77"), NEVER_SEEN(77));
	CHECK_JSON(json_at(initial->json, "99"), NEVER_SEEN(99));
	check_online(initial, "2", true);
	alone = watch(stack, "1", "users=77,2,1&friends=false");
	initial = sse_ready(alone);
	ck_assert_int_eq(count_users(initial), 3);
	CHECK_JSON(json_at(initial->json, "77"), NEVER_SEEN(77));
	check_online(initial, "2", true);
	check_online(initial, "1", true);
	http_ok(stack, LOGOUT "?all=true", token_for(stack, "77"), "");
	http_ok(stack, LOGOUT "?all=true", token_for(stack, "2"), "");
	ck_assert_str_eq(json_text(sse_wait(alone, "status_change", 5000)->json, "user_id"), "2");
	ck_assert_str_eq(json_text(sse_wait(both, "status_change", 5000)->json, "user_id"), "2");
	stack_stop(stack);
}
END_TEST

START_TEST(blocks_hold_for_watched_users)
{
	struct stack *stack = stack_start("");
	struct sse *sse;
	struct event *initial;

	touch_user(stack, "77");
	touch_user(stack, "78");
	HTTP(stack, .method = "PUT", .path = "/api/presence/blocks/1",
	     .token = token_for(stack, "77"));
	sse = watch(stack, "1", "users=77,78&friends=false");
	initial = sse_ready(sse);
	CHECK_JSON(json_at(initial->json, "77"), NEVER_SEEN(77));
	check_online(initial, "78", true);
	HTTP(stack, .method = "PUT", .path = "/api/presence/blocks/78",
	     .token = token_for(stack, "1"));
	check_online(sse_wait(sse, "initial", 5000), "78", false);
	stack_stop(stack);
}
END_TEST

START_TEST(a_friend_who_is_watched_appears_once_and_stays_watched_when_removed)
{
	struct stack *stack = stack_start("");
	struct sse *sse = watch(stack, "1", "users=2");
	struct event *initial;

	ck_assert_int_eq(count_users(sse_ready(sse)), USERS - 1);
	CTL(stack, "friend", "remove", "1", "2");
	CTL(stack, "friend", "remove", "1", "3");
	do
		initial = sse_wait(sse, "initial", 5000);
	while (json_object_object_get(initial->json, "3") != NULL);
	ck_assert_int_eq(count_users(initial), USERS - 2);
	touch_user(stack, "3");
	touch_user(stack, "2");
	ck_assert_str_eq(json_text(sse_wait(sse, "status_change", 5000)->json, "user_id"), "2");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("watch");
	TCase *tcase = harness_case(suite, "watch lists", 60);

	tcase_add_test(tcase, who_is_watched_is_in_initial_and_heard_like_a_friend);
	tcase_add_test(tcase, with_friends_false_nobody_else_is_watched);
	tcase_add_test(tcase, a_ticket_carries_the_watch_list);
	tcase_add_test(tcase, a_ticket_may_hold_1000_users_of_the_longest_kind);
	tcase_add_test(tcase, what_is_no_watch_list_is_refused);
	tcase_add_test(tcase, only_the_ticket_takes_so_large_a_body);
	tcase_add_test(tcase, a_site_without_a_directory_has_streams_of_watched_users);
	tcase_add_test(tcase, under_visibility_friends_a_watched_stranger_looks_never_seen);
	tcase_add_test(tcase, blocks_hold_for_watched_users);
	tcase_add_test(tcase, a_friend_who_is_watched_appears_once_and_stays_watched_when_removed);
	return harness_main(suite);
}
