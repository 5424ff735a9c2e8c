/*
 * Who sees whom: visibility = friends in every call and on the stream, friends that change while a
 * stream is open, and the directories without SQL. docs/api.md, docs/integration.md
 */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRIENDS "presence { visibility = friends }\n"
#define ROUNDS 40

/* --- visibility --------------------------------------------------------------------------- */

START_TEST(strangers_and_users_who_do_not_exist_look_alike)
{
	struct stack *stack = stack_start(FRIENDS);
	const char *viewer = token_for(stack, "1"), *gone = token_for(stack, "88");
	struct response *forbidden, *unknown;
	char *text;

	touch_user(stack, "77"); /* online */
	http_ok(stack, COUNT, gone, NULL);
	http_ok(stack, "/api/auth/logout", gone, ""); /* was online */
	CHECK_JSON(http_ok(stack, STATUS_USERS, viewer, "{\"user_ids\":[77,88,99]}"),
		   "{'77':" NEVER_SEEN(77) ",'88':" NEVER_SEEN(88) ",'99':" NEVER_SEEN(99) "}");
	forbidden = HTTP(stack, .path = STATUS_USER "77", .token = viewer);
	unknown = HTTP(stack, .path = STATUS_USER "99", .token = viewer);
	ck_assert_int_eq(forbidden->status, unknown->status);
	while ((text = strstr(forbidden->body, "77")) != NULL)
		memcpy(text, "99", 2);
	ck_assert_str_eq(forbidden->body, unknown->body);
	/* Fields as well, but for the time of day. */
	ck_assert_str_eq(header_of(forbidden->head, "Content-Type"),
			 header_of(unknown->head, "Content-Type"));
	ck_assert_str_eq(header_of(forbidden->head, "Content-Length"),
			 header_of(unknown->head, "Content-Length"));
	ck_assert_uint_eq(strlen(forbidden->head), strlen(unknown->head));
	/* Friends are seen as they are, oneself too, whoever else asks. */
	touch_user(stack, "2");
	CHECK_JSON(http_ok(stack, STATUS_USERS, viewer, "{\"user_ids\":[2,3]}"),
		   "{'2':" ONLINE(2) ",'3':" NEVER_SEEN(3) "}");
	ck_assert(json_object_get_boolean(json_at(
		http_ok(stack, STATUS_USER "77", token_for(stack, "77"), NULL), "is_online")));
	stack_stop(stack);
}
END_TEST

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Commands that Redis did meanwhile tell more than times do, and tell it exactly. */
static long long commands_of(struct stack *stack, const char *path, const char *token)
{
	const char *name = "total_commands_processed:";
	long long before, after;

	before = atoll(strstr(redis_text(stack, "INFO stats"), name) + strlen(name));
	http_ok(stack, path, token, NULL);
	after = atoll(strstr(redis_text(stack, "INFO stats"), name) + strlen(name));
	return after - before;
}

START_TEST(strangers_and_users_who_do_not_exist_take_as_long)
{
	static const char *const paths[] = {STATUS_USER "77", STATUS_USER "99"};
	struct stack *stack = stack_new(FRIENDS "api { children = 1 }");
	const char *viewer = token_for(stack, "1");
	int times[2][ROUNDS];

	redis_start(stack, NULL);
	lighttpd_start(stack);
	touch_user(stack, "77");
	touch_user(stack, "1");
	for (int i = 0; i < ROUNDS; i++) {
		for (int j = 0; j < 2; j++)
			times[j][i] = HTTP(stack, .path = paths[j], .token = viewer)->ms;
	}
	for (int j = 0; j < 2; j++)
		qsort(times[j], ROUNDS, sizeof times[j][0], compare_ints);
	ck_assert_msg(abs(times[0][ROUNDS / 2] - times[1][ROUNDS / 2]) <= patience(5),
		      "median of a stranger %d ms, of an unknown user %d ms", times[0][ROUNDS / 2],
		      times[1][ROUNDS / 2]);
	ck_assert_int_eq(commands_of(stack, STATUS_USER "77", viewer),
			 commands_of(stack, STATUS_USER "99", viewer));
	stack_stop(stack);
}
END_TEST

START_TEST(the_online_list_is_of_friends_and_oneself)
{
	struct stack *stack = stack_start(FRIENDS);
	struct json_object *page;

	touch_user(stack, "2");
	touch_user(stack, "77");
	page = http_ok(stack, ONLINE_LIST, token_for(stack, "1"), NULL);
	CHECK_JSON(page, "{'user_ids':[1,2],'cursor':null}");
	CHECK_JSON(http_ok(stack, ONLINE_LIST, token_for(stack, "77"), NULL),
		   "{'user_ids':[77],'cursor':null}");
	/* The count is the site's. */
	CHECK_JSON(http_ok(stack, COUNT, token_for(stack, "77"), NULL), "{'count':3}");
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_is_of_friends_alone)
{
	struct stack *stack = stack_start(FRIENDS);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct event *event = sse_ready(sse);

	ck_assert_int_eq(json_object_object_length(event->json), USERS - 1);
	touch_user(stack, "77");
	touch_user(stack, "2");
	event = sse_wait(sse, "status_change", 5000);
	ck_assert_str_eq(json_text(event->json, "user_id"), "2");
	CHECK_JSON(sse_ready(sse_open(stack, token_for(stack, "77")))->json, "{}");
	stack_stop(stack);
}
END_TEST

START_TEST(a_friendship_that_ends_is_noticed_by_the_next_call)
{
	struct stack *stack = stack_start(FRIENDS);
	const char *viewer = token_for(stack, "1");

	touch_user(stack, "2");
	CHECK_JSON(http_ok(stack, STATUS_USER "2", viewer, NULL), ONLINE(2));
	CTL(stack, "friend", "remove", "1", "2");
	CHECK_JSON(http_ok(stack, STATUS_USER "2", viewer, NULL), NEVER_SEEN(2));
	CHECK_JSON(http_ok(stack, ONLINE_LIST, viewer, NULL), "{'user_ids':[1],'cursor':null}");
	stack_stop(stack);
}
END_TEST

START_TEST(without_a_directory_nobody_is_shown_by_mistake)
{
	struct stack *stack = stack_start(FRIENDS "directory { timeout_ms = 500 }");
	const char *viewer = token_for(stack, "1");

	touch_user(stack, "2");
	stack_write(stack, "users.db", "this is no database");
	check_problem(HTTP(stack, .path = STATUS_USER "2", .token = viewer), 503,
		      "directory_unavailable");
	check_problem(HTTP(stack, .path = ONLINE_LIST, .token = viewer), 503,
		      "directory_unavailable");
	check_problem(
		HTTP(stack, .path = STATUS_USERS, .token = viewer, .body = "{\"user_ids\":[2]}"),
		503, "directory_unavailable");
	http_ok(stack, COUNT, viewer, NULL);
	stack_stop(stack);
}
END_TEST

/* --- friends that change ------------------------------------------------------------------ */

/* Changes of these users come in this order; the first one must be of `expected`. */
static void check_first_change(struct sse *sse, const char *expected)
{
	struct event *event = sse_wait(sse, "status_change", 5000);

	ck_assert_msg(strcmp(json_text(event->json, "user_id"), expected) == 0,
		      "a change of %s instead of %s", json_text(event->json, "user_id"), expected);
}

static bool has_member(struct json_object *object, const char *name)
{
	return json_object_object_get_ex(object, name, NULL);
}

START_TEST(a_friend_who_is_removed_is_gone_at_once_and_comes_back)
{
	struct stack *stack = stack_start("");
	struct sse *first, *second;
	struct event *event;

	streamd_start(stack, 1);
	first = sse_open_direct(stack, 0, token_for(stack, "1"));
	second = sse_open_direct(stack, 1, token_for(stack, "2"));
	ck_assert(has_member(sse_ready(first)->json, "2"));
	sse_ready(second);

	CTL(stack, "friend", "remove", "1", "2");
	event = sse_wait(first, "initial", 5000);
	ck_assert_msg(!has_member(event->json, "2"), "2 is still there: %s", event->data);
	ck_assert_msg(!has_member(sse_wait(second, "initial", 5000)->json, "1"),
		      "1 is still there");
	http_ok(stack, "/api/auth/logout?all=true", token_for(stack, "2"), "");
	touch_user(stack, "3");
	check_first_change(first, "3");

	CTL(stack, "friend", "add", "1", "2");
	event = sse_wait(first, "initial", 5000);
	CHECK_JSON(json_at(event->json, "2"), OFFLINE(2));
	CHECK_JSON(json_at(event->json, "3"), ONLINE(3));
	ck_assert_int_eq(json_object_object_length(event->json), USERS - 1);
	http_ok(stack, "/api/auth/logout?all=true", token_for(stack, "3"), "");
	check_first_change(first, "3");
	stack_stop(stack);
}
END_TEST

/* What a site does that has tables of its own: a statement, then one PUBLISH. */
START_TEST(one_publish_has_the_friends_read_again)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct event *event;

	sse_ready(sse);
	users_sql(stack, "INSERT INTO users VALUES (70, 'x@example.com', 'New', '');"
			 "INSERT INTO friends VALUES (1, 70);"
			 "DELETE FROM friends WHERE user_id = 1 AND friend_id IN (3, 4);");
	touch_user(stack, "70");
	ck_assert_int_eq(
		redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}"), 1);
	event = sse_wait(sse, "initial", 5000);
	ck_assert_int_eq(json_object_object_length(event->json), USERS - 1 + 1 - 2);
	CHECK_JSON(json_at(event->json, "70"), ONLINE(70));
	touch_user(stack, "3");
	touch_user(stack, "4");
	http_ok(stack, "/api/auth/logout?all=true", token_for(stack, "70"), "");
	check_first_change(sse, "70");
	/* What is published there and means nothing changes nothing. */
	redis_int(stack, "PUBLISH user:inbox:1 rubbish");
	redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"another\"}");
	redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":7}");
	touch_user(stack, "5");
	check_first_change(sse, "5");
	stack_stop(stack);
}
END_TEST

START_TEST(many_changes_at_once_end_in_the_last_state)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct event *event;
	int initials = 0;

	sse_ready(sse);
	for (int i = 0; i < 50; i++)
		redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}");
	users_sql(stack, "DELETE FROM friends WHERE user_id = 1;");
	redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}");
	do {
		event = sse_wait(sse, "initial", 5000);
		ck_assert_int_le(++initials, 51);
	} while (json_object_object_length(event->json) != 0);
	stack_stop(stack);
}
END_TEST

START_TEST(while_the_directory_is_away_the_friends_stay)
{
	struct stack *stack = stack_start("directory { timeout_ms = 500 }");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	ck_assert_int_eq(rename(stack_path(stack, "users.db"), stack_path(stack, "away.db")), 0);
	redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}");
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"),
			  "level=error msg=\"directory: friends") != NULL,
		   5000);
	touch_user(stack, "2");
	sse_wait_change(sse, "2", true, 5000);
	stack_stop(stack);
}
END_TEST

/* --- directories without SQL -------------------------------------------------------------- */

#define REDIS_FRIENDS "directory { backend = redis } auth { login = external }\n"

START_TEST(friends_may_be_a_set_in_redis)
{
	struct stack *stack = stack_start(REDIS_FRIENDS FRIENDS);
	const char *viewer = token_for(stack, "1");
	struct event *event;
	struct sse *sse;

	CHECK_JSON(http_ok(stack, "/api/friends/list", viewer, NULL), "[]");
	redis_int(stack, "SADD user:friends:1 2 anna");
	redis_int(stack, "SADD user:friends:1 %s 012", "no id");
	touch_user(stack, "anna");
	CHECK_JSON(http_ok(stack, "/api/online-status/friends", viewer, NULL),
		   "{'2':" NEVER_SEEN(2) ",'anna':" ONLINE('anna') "}");
	CHECK_JSON(http_ok(stack, STATUS_USER "1", token_for(stack, "2"), NULL), NEVER_SEEN(1));
	sse = sse_open(stack, viewer);
	CHECK_JSON(sse_ready(sse)->json, "{'2':" ONLINE(2) ",'anna':" ONLINE('anna') "}");
	redis_int(stack, "SREM user:friends:1 anna");
	redis_int(stack, "SADD user:friends:1 3");
	redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}");
	event = sse_wait(sse, "initial", 5000);
	ck_assert_msg(!has_member(event->json, "anna") && has_member(event->json, "3"), "%s",
		      event->data);
	stack_stop(stack);
}
END_TEST

START_TEST(a_set_of_friends_that_is_none_is_told)
{
	struct stack *stack = stack_start(REDIS_FRIENDS);
	const char *viewer = token_for(stack, "1");

	redis_cmd(stack, "SET user:friends:1 text");
	check_problem(HTTP(stack, .path = "/api/friends/list", .token = viewer), 503,
		      "directory_unavailable");
	ck_assert_int_eq(sse_status(sse_open(stack, viewer)), 503);
	CHECK_JSON(http_ok(stack, "/api/friends/list", token_for(stack, "2"), NULL), "[]");
	stack_stop(stack);
}
END_TEST

START_TEST(without_a_directory_nobody_has_friends)
{
	struct stack *stack = stack_start("directory { backend = none } auth { login = external }");
	const char *viewer = token_for(stack, "1");
	const char *count[] = {program("presencectl"), "-c", stack_path(stack, "presence.conf"),
			       "count", NULL};

	CHECK_JSON(http_ok(stack, "/api/friends/list", viewer, NULL), "[]");
	CHECK_JSON(http_ok(stack, "/api/online-status/friends", viewer, NULL), "{}");
	CHECK_JSON(sse_ready(sse_open(stack, viewer))->json, "{}");
	CHECK_JSON(http_ok(stack, STATUS_USERS, token_for(stack, "2"), "{\"user_ids\":[1]}"),
		   "{'1':" ONLINE(1) "}");
	/* Together with visibility = friends nobody would see anybody: refused. */
	stack_write_conf(stack, "directory { backend = none } auth { login = external } " FRIENDS);
	ck_assert_int_eq(run(stack, NULL, NULL, count), 2);
	ck_assert(strstr(stack_file(stack, "run.log"), "visibility = friends needs") != NULL);
	stack_write_conf(stack, "directory { backend = none }");
	ck_assert_int_eq(run(stack, NULL, NULL, count), 2);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("visibility");
	TCase *tcase = harness_case(suite, "visibility", 30);

	tcase_add_test(tcase, strangers_and_users_who_do_not_exist_look_alike);
	tcase_add_test(tcase, strangers_and_users_who_do_not_exist_take_as_long);
	tcase_add_test(tcase, the_online_list_is_of_friends_and_oneself);
	tcase_add_test(tcase, a_stream_is_of_friends_alone);
	tcase_add_test(tcase, a_friendship_that_ends_is_noticed_by_the_next_call);
	tcase_add_test(tcase, without_a_directory_nobody_is_shown_by_mistake);

	tcase = harness_case(suite, "friends that change", 30);
	tcase_add_test(tcase, a_friend_who_is_removed_is_gone_at_once_and_comes_back);
	tcase_add_test(tcase, one_publish_has_the_friends_read_again);
	tcase_add_test(tcase, many_changes_at_once_end_in_the_last_state);
	tcase_add_test(tcase, while_the_directory_is_away_the_friends_stay);

	tcase = harness_case(suite, "without SQL", 30);
	tcase_add_test(tcase, friends_may_be_a_set_in_redis);
	tcase_add_test(tcase, a_set_of_friends_that_is_none_is_told);
	tcase_add_test(tcase, without_a_directory_nobody_has_friends);
	return harness_main(suite);
}
