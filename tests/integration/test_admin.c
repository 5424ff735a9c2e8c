/* What operators ask about one user, and the end of its sessions. docs/api.md, "For operators" */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "push-secret-0123456789"

static char *path_of(const char *id, const char *rest)
{
	char *path;

	ck_assert(asprintf(&path, ADMIN_USER "%s%s", id, rest) > 0);
	return path;
}

static struct response *look(struct stack *stack, const char *token, const char *id,
			     const char *viewer)
{
	char *query;

	if (viewer == NULL)
		return HTTP(stack, .path = path_of(id, ""), .token = token);
	ck_assert(asprintf(&query, "?viewer=%s", viewer) > 0);
	return HTTP(stack, .path = path_of(id, query), .token = token);
}

static struct response *kick(struct stack *stack, const char *token, const char *id)
{
	return HTTP(stack, .method = "POST", .path = path_of(id, "/kick"), .token = token);
}

/* --- the answer --------------------------------------------------------------------------- */

/* Milliseconds that are left, or over, are others in each answer. */
static const char *without_ms(struct json_object *json)
{
	struct json_object *sessions = json_at(json, "sessions");

	json_object_object_del(json, "key_expires_in_ms");
	json_object_object_del(json, "deadline_in_ms");
	json_object_object_del(json, "swept_ms_ago");
	for (size_t i = 0; i < json_object_array_length(sessions); i++)
		json_object_object_del(json_object_array_get_idx(sessions, i), "expires_in_ms");
	return json_object_to_json_string(json);
}

/* The same as presencectl; asked again where a second, or a sweep, was between the two. */
static void check_same(struct stack *stack, const char *token, const char *id, const char *viewer)
{
	const char *eyes = viewer != NULL ? viewer : id;
	int64_t end = now_ms() + patience(3000);
	const char *said, *answered;

	do {
		struct response *response = look(stack, token, id, viewer);

		ck_assert_msg(response->status == 200, "%d %s", response->status, response->body);
		answered = without_ms(response->json);
		said = without_ms(parse_json(CTL(stack, "--json", "explain", eyes, id)));
	} while (strcmp(said, answered) != 0 && now_ms() <= end);
	ck_assert_msg(strcmp(said, answered) == 0, "expected %s\nseen     %s", said, answered);
}

static void check_all(struct stack *stack, const char *token, const char *id)
{
	static const char *const viewers[] = {NULL, "1", "77"};

	for (size_t i = 0; i < sizeof viewers / sizeof viewers[0]; i++)
		check_same(stack, token, id, viewers[i]);
}

START_TEST(the_answer_is_what_presencectl_explains)
{
	struct stack *stack = stack_start("");
	const char *admin = admin_token(stack), *bert = token_for(stack, "2");
	struct sse *sse;

	check_all(stack, admin, "2"); /* never seen */
	sse = sse_open(stack, bert);
	sse_ready(sse);
	check_all(stack, admin, "2");
	HTTP(stack, .method = "PUT", .path = STATE, .token = bert,
	     .body = "{\"status\":\"busy\",\"text\":\"a \\\"b\\\"\",\"emoji\":\"x\"}");
	check_all(stack, admin, "2");
	HTTP(stack, .method = "PUT", .path = BLOCKS "1", .token = bert);
	check_all(stack, admin, "2");
	redis_cmd(stack, "SET presence:revoked:2/%s 1", json_text(token_payload(bert), "sid"));
	check_all(stack, admin, "2");
	CTL(stack, "kick", "2");
	check_all(stack, admin, "2");
	check_all(stack, admin, "auth0|nobody");
	stack_stop(stack);
}
END_TEST

START_TEST(without_a_viewer_it_is_the_users_own_look)
{
	struct stack *stack = stack_start_api("");
	struct json_object *answer;

	touch_user(stack, "2");
	answer = look(stack, admin_token(stack), "2", NULL)->json;
	ck_assert_int_eq(json_object_get_int(json_at(answer, "viewer")), 2);
	check_has(json_text(answer, "conclusion"), "2 sees 2 online, because 1 session of 2 is");
	ck_assert_uint_eq(json_object_array_length(json_at(answer, "sessions")), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(visibility_and_a_directory_that_is_away_are_among_the_facts)
{
	struct stack *stack = stack_start_api("presence { visibility = friends }\n");
	const char *admin = admin_token(stack);
	struct json_object *answer;

	touch_user(stack, "77");
	check_same(stack, admin, "77", "1");
	check_same(stack, admin, "2", "1");
	users_sql(stack, "DROP TABLE friends");
	answer = look(stack, admin, "77", "1")->json;
	ck_assert(json_at(answer, "is_friend") == NULL && json_at(answer, "sees") == NULL);
	check_has(json_text(answer, "conclusion"), "503 directory_unavailable");
	/* Who looks at oneself needs no directory. */
	check_has(json_text(look(stack, admin, "77", NULL)->json, "conclusion"),
		  "77 sees 77 online");
	stack_stop(stack);
}
END_TEST

START_TEST(no_place_no_token_and_no_key_of_push_is_told)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "2"), *body, *place;

	HTTP(stack, .method = "PUT", .path = SETTINGS, .token = token,
	     .body = "{\"nearby\":\"friends\"}");
	HTTP(stack, .method = "PUT", .path = LOCATION, .token = token,
	     .body = "{\"lat\":48.3719,\"lon\":123.7268}");
	place = redis_text(stack, "GET user:cell:2");
	ck_assert_ptr_nonnull(place);
	redis_int(stack, "HSET push:subs:2 s1 {\"endpoint\":\"" SECRET "\"}");
	body = look(stack, admin_token(stack), "2", "1")->body;
	check_has(body, "\"nearby\":\"friends\"");
	check_has_not(body, place);
	check_has_not(body, "48.3");
	check_has_not(body, "123.7");
	check_has_not(body, "cell");
	check_has_not(body, token);
	check_has_not(body, SECRET);
	stack_stop(stack);
}
END_TEST

/* --- who may ask -------------------------------------------------------------------------- */

static void check_refused(struct stack *stack, const char *token, int status, const char *code)
{
	check_problem(look(stack, token, "2", NULL), status, code);
	check_problem(look(stack, token, "2", "1"), status, code);
	check_problem(kick(stack, token, "2"), status, code);
}

START_TEST(both_calls_are_an_admins_alone)
{
	static const char *const scopes[] = {"push", "administrator", "x-admin"};
	struct stack *stack = stack_start_api("");
	const char *admin = admin_token(stack);
	char *before;

	touch_user(stack, "2");
	before = redis_dump(stack);
	check_refused(stack, NULL, 401, "token_missing");
	check_refused(stack, "nonsense", 401, "token_invalid");
	check_refused(stack, token_for(stack, "2"), 403, "scope_missing");
	for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++)
		check_refused(stack, scoped_token(stack, scopes[i]), 403, "scope_missing");
	/* Who looks leaves nothing, and is not there. */
	ck_assert_int_eq(look(stack, admin, "2", "1")->status, 200);
	ck_assert_str_eq(redis_dump(stack), before);
	http_ok(stack, LOGOUT, admin, "");
	check_refused(stack, admin, 401, "token_revoked");
	ck_assert(redis_has(stack, "user:online:2"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_that_only_watches_looks_and_ends_nothing)
{
	struct stack *stack = stack_start_api("");
	const char *token =
		strtok(strdup(CTL(stack, "token", "9", "--scope", "admin", "--watch")), "\n");

	touch_user(stack, "2");
	ck_assert_int_eq(look(stack, token, "2", "1")->status, 200);
	check_problem(kick(stack, token, "2"), 403, "watch_only");
	ck_assert(redis_has(stack, "user:online:2"));
	stack_stop(stack);
}
END_TEST

START_TEST(what_is_no_user_id_is_refused)
{
	static const char *const viewers[] = {"", "*", "0", "%zz", "1%20"};
	struct stack *stack = stack_start_api("");
	const char *admin = admin_token(stack);

	for (size_t i = 0; i < sizeof viewers / sizeof viewers[0]; i++)
		check_problem(look(stack, admin, "2", viewers[i]), 400, "bad_id");
	check_problem(look(stack, admin, "*", NULL), 400, "bad_id");
	check_problem(kick(stack, admin, "*"), 400, "bad_id");
	check_problem(look(stack, admin, "2/kick/more", NULL), 404, "not_found");
	stack_stop(stack);
}
END_TEST

START_TEST(without_redis_both_are_503)
{
	struct stack *stack = stack_start_api("");
	const char *admin = admin_token(stack);

	redis_kill(stack);
	check_refused(stack, admin, 503, "redis_unavailable");
	redis_start(stack, NULL);
	stack_stop(stack);
}
END_TEST

/* --- the end of the sessions -------------------------------------------------------------- */

START_TEST(a_kick_ends_streams_tokens_and_push_subscriptions)
{
	struct stack *stack = stack_start("");
	const char *admin = admin_token(stack), *bert = token_for(stack, "2");
	struct sse *friend = sse_open(stack, token_for(stack, "1")), *sse;
	struct event *change;

	sse_ready(friend);
	sse = sse_open(stack, bert);
	sse_ready(sse);
	sse_wait_change(friend, "2", true, 2000);
	redis_int(stack, "HSET push:subs:2 s1 {}");
	CHECK_JSON(kick(stack, admin, "2")->json, "{'ok':true}");
	sse_wait_bye(sse, "revoked", 5000);
	change = sse_wait_change(friend, "2", false, 2000);
	ck_assert_str_eq(json_text(change->json, "reason"), "kicked");
	check_problem(HTTP(stack, .path = COUNT, .token = bert), 401, "token_revoked");
	ck_assert(!redis_has(stack, "user:sessions:2") && !redis_has(stack, "push:subs:2"));
	ck_assert_int_eq(look(stack, admin, "1", NULL)->status, 200);
	/* Who was never here, and twice. */
	CHECK_JSON(kick(stack, admin, "auth0%7Cnobody")->json, "{'ok':true}");
	CHECK_JSON(kick(stack, admin, "2")->json, "{'ok':true}");
	stack_stop(stack);
}
END_TEST

START_TEST(users_of_every_partition_are_found_and_ended)
{
	struct stack *stack = stack_new("");
	const char *admin;

	stack_divide(stack, 2, 8, "");
	streamd_start(stack, 0);
	lighttpd_start(stack);
	admin = admin_token(stack);
	for (int i = 1; i <= USERS; i++) {
		const char id[] = {(char)('0' + i), '\0'};
		const char *token = token_for(stack, id);

		touch(stack, token);
		check_same(stack, admin, id, "1");
		CHECK_JSON(kick(stack, admin, id)->json, "{'ok':true}");
		check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	}
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("admin");
	TCase *answer = harness_case(suite, "answer", 30);
	TCase *asking = harness_case(suite, "asking", 30);
	TCase *ending = harness_case(suite, "ending", 30);

	tcase_add_test(answer, the_answer_is_what_presencectl_explains);
	tcase_add_test(answer, without_a_viewer_it_is_the_users_own_look);
	tcase_add_test(answer, visibility_and_a_directory_that_is_away_are_among_the_facts);
	tcase_add_test(answer, no_place_no_token_and_no_key_of_push_is_told);
	tcase_add_test(asking, both_calls_are_an_admins_alone);
	tcase_add_test(asking, a_token_that_only_watches_looks_and_ends_nothing);
	tcase_add_test(asking, what_is_no_user_id_is_refused);
	tcase_add_test(asking, without_redis_both_are_503);
	tcase_add_test(ending, a_kick_ends_streams_tokens_and_push_subscriptions);
	tcase_add_test(ending, users_of_every_partition_are_found_and_ended);
	return harness_main(suite);
}
