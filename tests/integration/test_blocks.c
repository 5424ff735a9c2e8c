/*
 * Blocks: neither of two users sees the other, in calls and on streams. That nobody learns why is
 * test_indistinguishable.c's.
 */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void change(struct stack *stack, const char *method, const char *by, const char *id)
{
	char path[256];
	struct response *response;

	snprintf(path, sizeof path, BLOCKS "%s", id);
	response = HTTP(stack, .method = method, .path = path, .token = token_for(stack, by));
	ck_assert_msg(response->status == 204, "%s %s by %s: %d %s", method, path, by,
		      response->status, response->body);
	ck_assert_uint_eq(response->body_len, 0);
}

static void block(struct stack *stack, const char *by, const char *id)
{
	change(stack, "PUT", by, id);
}

static void unblock(struct stack *stack, const char *by, const char *id)
{
	change(stack, "DELETE", by, id);
}

static bool sees_online(struct event *initial, const char *id)
{
	return json_object_get_boolean(json_at(json_at(initial->json, id), "is_online"));
}

static bool asks_online(struct stack *stack, const char *viewer, const char *id)
{
	char path[256];

	snprintf(path, sizeof path, STATUS_USER "%s", id);
	return json_object_get_boolean(
		json_at(http_ok(stack, path, token_for(stack, viewer), NULL), "is_online"));
}

/* --- the calls ---------------------------------------------------------------------------- */

START_TEST(blocks_are_listed_in_order_and_may_be_said_twice)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	CHECK_JSON(http_ok(stack, BLOCK_LIST, token, NULL), "{'user_ids':[]}");
	block(stack, "1", "5");
	block(stack, "1", "bob%40example.com");
	block(stack, "1", "2");
	block(stack, "1", "2");
	block(stack, "1", "4711"); /* nobody */
	CHECK_JSON(http_ok(stack, BLOCK_LIST, token, NULL),
		   "{'user_ids':[2,4711,5,'bob@example.com']}");
	unblock(stack, "1", "5");
	unblock(stack, "1", "5");
	unblock(stack, "1", "12"); /* never blocked */
	CHECK_JSON(http_ok(stack, BLOCK_LIST, token, NULL),
		   "{'user_ids':[2,4711,'bob@example.com']}");
	CHECK_JSON(http_ok(stack, BLOCK_LIST, token_for(stack, "2"), NULL), "{'user_ids':[]}");
	stack_stop(stack);
}
END_TEST

START_TEST(what_cannot_be_blocked_is_refused)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");
	const char *watcher =
		token_make("{'alg':'HS256'}", "{'sub':'1','exp':4000000000,'presence':'watch'}",
			   KEY_HMAC, stack->secret);

	check_problem(HTTP(stack, .method = "PUT", .path = BLOCKS "1", .token = token), 422,
		      "bad_value");
	check_problem(HTTP(stack, .method = "PUT", .path = BLOCKS "no%20id", .token = token), 400,
		      "bad_id");
	check_problem(HTTP(stack, .method = "PUT", .path = BLOCKS "2"), 401, "token_missing");
	check_problem(
		HTTP(stack, .method = "POST", .path = BLOCKS "2", .token = token, .body = "{}"),
		405, "method_not_allowed");
	check_problem(HTTP(stack, .method = "PUT", .path = BLOCKS "2", .token = watcher), 403,
		      "watch_only");
	check_problem(HTTP(stack, .method = "DELETE", .path = BLOCKS "2", .token = watcher), 403,
		      "watch_only");
	http_ok(stack, BLOCK_LIST, watcher, NULL);
	http_ok(stack, LOGOUT, token, "");
	check_problem(HTTP(stack, .method = "PUT", .path = BLOCKS "2", .token = token), 401,
		      "token_revoked");
	ck_assert(!redis_has(stack, "user:blocked:1"));
	ck_assert(!redis_has(stack, "user:blocked_by:2"));
	stack_stop(stack);
}
END_TEST

START_TEST(no_more_than_1000_users_can_be_blocked)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	for (int id = 1001; id <= 1999; id++)
		redis_int(stack, "SADD user:blocked:1 %d", id);
	block(stack, "1", "2"); /* the thousandth */
	check_problem(HTTP(stack, .method = "PUT", .path = BLOCKS "3", .token = token), 422,
		      "too_many_blocks");
	ck_assert(!redis_has(stack, "user:blocked_by:3"));
	block(stack, "1", "2"); /* again */
	unblock(stack, "1", "1500");
	block(stack, "1", "3");
	ck_assert_int_eq(redis_int(stack, "SCARD user:blocked:1"), 1000);
	stack_stop(stack);
}
END_TEST

START_TEST(blocks_may_be_changed_twenty_times_in_half_a_minute)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");
	struct response *response;

	for (int i = 0; i < 10; i++) {
		block(stack, "1", "2");
		unblock(stack, "1", "2");
	}
	for (int i = 0; i < 2; i++) {
		response = HTTP(stack, .method = i == 0 ? "PUT" : "DELETE", .path = BLOCKS "2",
				.token = token);
		check_problem(response, 429, "too_often");
		ck_assert_int_ge(atoi(header_of(response->head, "Retry-After")), 1);
		ck_assert_int_le(atoi(header_of(response->head, "Retry-After")), 30);
	}
	ck_assert(!redis_has(stack, "user:blocked:1"));
	ck_assert(!redis_has(stack, "user:blocked_by:2"));
	block(stack, "2", "1"); /* another user's are counted apart */
	redis_int(stack, "PEXPIRE presence:rate:blocks:1 0");
	block(stack, "1", "2");
	stack_stop(stack);
}
END_TEST

START_TEST(a_block_that_is_half_done_is_503_and_hides_whom_the_list_does_not_show)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	touch_user(stack, "1");
	touch_user(stack, "2");
	redis_cmd(stack, "SET user:blocked_by:2 x"); /* the side that hides fails */
	check_problem(HTTP(stack, .method = "PUT", .path = BLOCKS "2", .token = token), 503,
		      "redis_unavailable");
	redis_cmd(stack, "DEL user:blocked_by:2");
	block(stack, "1", "2"); /* may be said again */
	ck_assert(!asks_online(stack, "2", "1"));
	/* And the end of it: the side that hides goes last. */
	redis_cmd(stack, "DEL user:blocked:1");
	redis_cmd(stack, "SET user:blocked:1 x");
	ck_assert_int_eq(
		HTTP(stack, .method = "DELETE", .path = BLOCKS "2", .token = token)->status, 503);
	stack_stop(stack);
}
END_TEST

START_TEST(a_wiped_redis_that_is_filled_again_takes_blocks_and_not_their_end)
{
	struct stack *stack = stack_start_api("");

	block(stack, "1", "2");
	redis_int(stack, "EVAL %s 0", "redis.call('SET', 'presence:recovering', '1') return 1");
	check_problem(
		HTTP(stack, .method = "DELETE", .path = BLOCKS "2", .token = token_for(stack, "1")),
		503, "redis_unavailable");
	block(stack, "1", "3");
	redis_int(stack, "DEL presence:recovering");
	unblock(stack, "1", "2");
	ck_assert_int_eq(redis_int(stack, "SCARD user:blocked:1"), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(neither_sees_the_other_in_any_call_until_both_have_unblocked)
{
	struct stack *stack = stack_start_api("");

	touch_user(stack, "1");
	touch_user(stack, "2");
	ck_assert(asks_online(stack, "1", "2"));
	block(stack, "1", "2");
	ck_assert(!asks_online(stack, "1", "2"));
	ck_assert(!asks_online(stack, "2", "1"));
	block(stack, "2", "1");
	unblock(stack, "1", "2");
	ck_assert(!asks_online(stack, "1", "2"));
	ck_assert(!asks_online(stack, "2", "1"));
	unblock(stack, "2", "1");
	ck_assert(asks_online(stack, "1", "2"));
	ck_assert(asks_online(stack, "2", "1"));
	stack_stop(stack);
}
END_TEST

/* A worker asks for nobody instead of one whom it found hidden before. */
START_TEST(an_end_of_a_block_is_seen_at_once_by_a_worker_that_knows_of_the_block)
{
	struct stack *stack = stack_start_api("api { children = 1 }");
	const char *token = token_for(stack, "1");
	struct json_object *users;

	touch_user(stack, "2");
	touch_user(stack, "3");
	block(stack, "1", "2");
	block(stack, "3", "1");
	for (int i = 0; i < 3; i++) {
		ck_assert(!asks_online(stack, "1", "2"));
		ck_assert(!asks_online(stack, "1", "3"));
	}
	unblock(stack, "1", "2");
	ck_assert(asks_online(stack, "1", "2"));
	unblock(stack, "3", "1");
	users = http_ok(stack, STATUS_USERS, token, "{\"user_ids\":[2,3,99]}");
	CHECK_JSON(users, "{'2':" ONLINE(2) ",'3':" ONLINE(3) ",'99':" NEVER_SEEN(99) "}");
	block(stack, "3", "1");
	users = http_ok(stack, STATUS_FRIENDS, token, NULL);
	CHECK_JSON(json_at(users, "2"), ONLINE(2));
	CHECK_JSON(json_at(users, "3"), NEVER_SEEN(3));
	stack_stop(stack);
}
END_TEST

START_TEST(a_block_is_about_two_users_and_no_third)
{
	struct stack *stack = stack_start_api("");

	touch_user(stack, "1");
	touch_user(stack, "2");
	touch_user(stack, "3");
	block(stack, "1", "2");
	ck_assert(asks_online(stack, "1", "3"));
	ck_assert(asks_online(stack, "3", "1"));
	ck_assert(asks_online(stack, "3", "2"));
	ck_assert(asks_online(stack, "1", "1"));
	CHECK_JSON(http_ok(stack, COUNT, token_for(stack, "1"), NULL), "{'count':3}");
	ck_assert_int_eq(
		json_object_array_length(http_ok(stack, FRIENDS_LIST, token_for(stack, "1"), NULL)),
		USERS - 1);
	stack_stop(stack);
}
END_TEST

START_TEST(nobody_is_hidden_from_the_own_eyes_by_what_others_wrote)
{
	struct stack *stack = stack_start_api("");

	redis_int(stack, "SADD user:blocked:1 1");
	redis_int(stack, "SADD user:blocked_by:1 1");
	ck_assert(asks_online(stack, "1", "1"));
	stack_stop(stack);
}
END_TEST

START_TEST(no_page_of_the_online_list_and_no_cursor_names_a_hidden_user)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");
	char path[512] = ONLINE_LIST "?limit=1", seen[256] = "";

	for (int id = 1; id <= 5; id++) {
		char text[8];

		snprintf(text, sizeof text, "%d", id);
		touch_user(stack, text);
	}
	block(stack, "1", "2");
	block(stack, "4", "1");
	for (int page = 0; page < 10; page++) {
		struct json_object *json = http_ok(stack, path, token, NULL);
		struct json_object *ids = json_at(json, "user_ids");
		const char *cursor = json_object_get_string(json_object_object_get(json, "cursor"));

		for (size_t i = 0; i < json_object_array_length(ids); i++) {
			strcat(seen, json_object_get_string(json_object_array_get_idx(ids, i)));
			strcat(seen, " ");
		}
		if (cursor == NULL)
			break;
		ck_assert_msg(strstr(cursor, ":2") == NULL && strstr(cursor, ":4") == NULL,
			      "the cursor is %s", cursor);
		snprintf(path, sizeof path, ONLINE_LIST "?limit=1&cursor=%s", cursor);
	}
	ck_assert_str_eq(seen, "1 3 5 ");
	stack_stop(stack);
}
END_TEST

START_TEST(the_status_of_friends_shows_a_blocked_friend_as_never_seen)
{
	struct stack *stack = stack_start_api("");

	touch_user(stack, "2");
	block(stack, "2", "1");
	CHECK_JSON(json_at(http_ok(stack, STATUS_FRIENDS, token_for(stack, "1"), NULL), "2"),
		   NEVER_SEEN(2));
	stack_stop(stack);
}
END_TEST

/* --- streams ------------------------------------------------------------------------------ */

START_TEST(a_stream_that_opens_shows_who_is_blocked_as_never_seen)
{
	struct stack *stack = stack_start("");
	struct event *initial;

	touch_user(stack, "2");
	touch_user(stack, "3");
	block(stack, "1", "2");
	block(stack, "3", "1");
	initial = sse_ready(sse_open(stack, token_for(stack, "1")));
	ck_assert_int_eq(json_object_object_length(initial->json), USERS - 1);
	CHECK_JSON(json_at(initial->json, "2"), NEVER_SEEN(2));
	CHECK_JSON(json_at(initial->json, "3"), NEVER_SEEN(3));
	stack_stop(stack);
}
END_TEST

/* Changes of user `hidden`, then one of 5, which everybody sees: it must be the first. */
static void check_hears_nothing_of(struct stack *stack, struct sse *sse, const char *hidden)
{
	http_ok(stack, LOGOUT "?all=true", token_for(stack, hidden), "");
	http_ok(stack, LOGOUT "?all=true", token_for(stack, "5"), "");
	touch_user(stack, hidden);
	touch_user(stack, "5");
	for (;;) {
		struct event *event = sse_next(sse, 5000);

		ck_assert_msg(event != NULL, "no change of user 5 came");
		if (strcmp(event->name, "initial") == 0)
			ck_assert_msg(!sees_online(event, hidden), "initial shows %s", hidden);
		if (strcmp(event->name, "status_change") != 0)
			continue;
		ck_assert_msg(strcmp(json_text(event->json, "user_id"), hidden) != 0,
			      "a change of the hidden user came: %s", event->data);
		if (json_object_get_boolean(json_at(event->json, "is_online")))
			return;
	}
}

START_TEST(no_change_after_the_call_reaches_an_open_stream_of_either_side)
{
	struct stack *stack = stack_start("presence { grace = 0 }");
	struct sse *one, *two;

	touch_user(stack, "1");
	touch_user(stack, "2");
	touch_user(stack, "5");
	one = sse_open(stack, token_for(stack, "1"));
	two = sse_open(stack, token_for(stack, "2"));
	ck_assert(sees_online(sse_ready(one), "2"));
	ck_assert(sees_online(sse_ready(two), "1"));
	block(stack, "1", "2");
	check_hears_nothing_of(stack, one, "2");
	two = sse_open(stack, token_for(stack, "2")); /* its own was logged out */
	ck_assert(!sees_online(sse_ready(two), "1"));
	check_hears_nothing_of(stack, two, "1");
	stack_stop(stack);
}
END_TEST

START_TEST(open_streams_of_both_follow_a_block_and_its_end_with_a_new_initial)
{
	struct stack *stack = stack_start("");
	struct sse *one = sse_open(stack, token_for(stack, "1"));
	struct sse *two = sse_open(stack, token_for(stack, "2"));

	sse_ready(one);
	sse_ready(two);
	block(stack, "1", "2");
	ck_assert(!sees_online(sse_wait(one, "initial", 1000), "2"));
	ck_assert(!sees_online(sse_wait(two, "initial", 1000), "1"));
	unblock(stack, "1", "2");
	ck_assert(sees_online(sse_wait(one, "initial", 1000), "2"));
	ck_assert(sees_online(sse_wait(two, "initial", 1000), "1"));
	stack_stop(stack);
}
END_TEST

START_TEST(while_both_block_the_end_of_one_shows_nothing_on_a_stream)
{
	struct stack *stack = stack_start("");
	struct sse *one = sse_open(stack, token_for(stack, "1"));

	touch_user(stack, "2");
	touch_user(stack, "5");
	sse_ready(one);
	block(stack, "1", "2");
	ck_assert(!sees_online(sse_wait(one, "initial", 1000), "2"));
	block(stack, "2", "1");
	unblock(stack, "1", "2");
	check_hears_nothing_of(stack, one, "2");
	unblock(stack, "2", "1");
	ck_assert(sees_online(sse_wait(one, "initial", 1000), "2"));
	stack_stop(stack);
}
END_TEST

/*
 * Blocks and changes race with streams that open and take their snapshot: once
 * the call has returned no frame may show the user.
 */
START_TEST(a_block_during_the_snapshot_holds)
{
	struct stack *stack = stack_start("stream { max_streams_per_user = 100 }");

	touch_user(stack, "5");
	for (int round = 0; round < 20; round++) {
		struct sse *sse;

		touch_user(stack, "2");
		sse = sse_open(stack, token_for(stack, "1")); /* asked for, not read */
		block(stack, "1", "2");
		http_ok(stack, LOGOUT "?all=true", token_for(stack, "2"), "");
		/* From here on only what was sent before the call may show 2. */
		sse_wait(sse, "initial", 5000);
		touch_user(stack, "2");
		http_ok(stack, LOGOUT "?all=true", token_for(stack, "5"), "");
		for (;;) {
			struct event *event = sse_next(sse, 5000);

			ck_assert_ptr_nonnull(event);
			if (strcmp(event->name, "status_change") != 0)
				continue;
			ck_assert_msg(
				strcmp(json_text(event->json, "user_id"), "2") != 0 ||
					!json_object_get_boolean(json_at(event->json, "is_online")),
				"round %d: %s", round, event->data);
			if (strcmp(json_text(event->json, "user_id"), "5") == 0)
				break;
		}
		sse_close(sse);
		touch_user(stack, "5");
		unblock(stack, "1", "2");
		redis_int(stack, "DEL presence:rate:blocks:1"); /* more than one may */
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_wiped_redis_gets_back_the_blocks_that_open_streams_know)
{
	struct stack *stack = stack_start(FAST);
	struct sse *one, *two = sse_open(stack, token_for(stack, "2"));
	struct sse *three = sse_open(stack, token_for(stack, "3"));

	sse_ready(two);
	sse_ready(three);
	block(stack, "1", "2");
	block(stack, "3", "1");
	one = sse_open(stack, token_for(stack, "1"));
	sse_ready(one);
	redis_cmd(stack, "FLUSHALL");
	/* It is asked anew, and shows neither, nor do streams that open now. */
	for (int seen = 0; seen < 2;) {
		struct event *event = sse_next(one, 10000);

		ck_assert_ptr_nonnull(event);
		if (strcmp(event->name, "initial") == 0) {
			ck_assert(!sees_online(event, "2") && !sees_online(event, "3"));
			break;
		}
	}
	WAIT_UNTIL(redis_int(stack, "SISMEMBER user:blocked:1 2") == 1, 5000);
	ck_assert_int_eq(redis_int(stack, "SISMEMBER user:blocked_by:2 1"), 1);
	ck_assert_int_eq(redis_int(stack, "SISMEMBER user:blocked:3 1"), 1);
	ck_assert_int_eq(redis_int(stack, "SISMEMBER user:blocked_by:1 3"), 1);
	ck_assert_int_eq(redis_int(stack, "SCARD user:blocked:1"), 1);
	ck_assert_int_eq(redis_int(stack, "SCARD user:blocked_by:1"), 1);
	WAIT_UNTIL(!redis_has(stack, "presence:recovering"), 10000);
	unblock(stack, "1", "2");
	unblock(stack, "3", "1");
	for (;;) {
		struct event *event = sse_wait(one, "initial", 5000);

		if (sees_online(event, "2") && sees_online(event, "3"))
			break;
	}
	stack_stop(stack);
}
END_TEST

/*
 * A wipe is noticed by the next sweep. Until then a Redis that knows of no block is not believed: 0 by a
 * stream that opens, 1 by one that asks anew.
 */
START_TEST(a_redis_that_was_wiped_just_now_shows_nobody_who_is_blocked)
{
	struct stack *stack = stack_start("presence { sweep = 5 heartbeat = 1 stream_ttl = 20 }\n");
	struct sse *one = sse_open(stack, token_for(stack, "1")), *two;

	sse_ready(one);
	block(stack, "1", "2");
	sse_wait(one, "initial", 1000);
	two = sse_open(stack, token_for(stack, "2"));
	sse_ready(two);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	if (_i == 0)
		two = sse_open(stack, token_for(stack, "2"));
	else
		redis_int(stack, "PUBLISH user:inbox:2 %s", "{\"type\":\"friends_changed\"}");
	for (bool is_filled = false, is_last = false; !is_last;) {
		struct event *event = sse_next(two, 1000);

		is_last = is_filled && event == NULL;
		is_filled = redis_int(stack, "SCARD user:blocked:1") == 1;
		if (event == NULL)
			continue;
		if (strcmp(event->name, "initial") == 0)
			ck_assert(!sees_online(event, "1"));
		ck_assert(strcmp(event->name, "status_change") != 0 ||
			  strcmp(json_text(event->json, "user_id"), "1") != 0);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_block_made_while_the_subscription_was_cut_holds)
{
	struct stack *stack = stack_start("");
	struct sse *one = sse_open(stack, token_for(stack, "1"));

	touch_user(stack, "2");
	sse_ready(one);
	redis_cmd(stack, "MULTI");
	redis_cmd(stack, "SADD user:blocked_by:1 2"); /* as if its message were lost */
	redis_cmd(stack, "CLIENT KILL TYPE pubsub");
	redis_cmd(stack, "EXEC");
	ck_assert(!sees_online(sse_wait(one, "initial", 10000), "2"));
	stack_stop(stack);
}
END_TEST

/* --- presencectl -------------------------------------------------------------------------- */

START_TEST(presencectl_lists_blocks_and_explains_by_them)
{
	struct stack *stack = stack_start_api("");
	char *out;

	touch_user(stack, "2");
	block(stack, "1", "2");
	block(stack, "3", "1");
	ck_assert_str_eq(CTL(stack, "blocks", "1"), "2\n");
	CHECK_JSON(parse_json(CTL(stack, "--json", "blocks", "1")),
		   "{'user_id':1,'blocks':[2],'blocked_by':[3]}");
	out = CTL(stack, "explain", "1", "2");
	check_has(out, "1 blocks 2");
	check_has(out, "1 sees 2 as a user never seen, because 1 blocks 2.");
	out = CTL(stack, "explain", "1", "3");
	check_has(out, "1 sees 3 as a user never seen, because 3 blocks 1.");
	out = CTL(stack, "--json", "explain", "2", "1");
	check_has(out, "\"blocks\":false,\"blocked_by\":true");
	CHECK_JSON(json_at(parse_json(out), "sees"), NEVER_SEEN(1));
	check_has(CTL(stack, "explain", "1", "4"), "neither blocks the other");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blocks");
	TCase *tcase = harness_case(suite, "calls", 60);

	tcase_add_test(tcase, blocks_are_listed_in_order_and_may_be_said_twice);
	tcase_add_test(tcase, what_cannot_be_blocked_is_refused);
	tcase_add_test(tcase, no_more_than_1000_users_can_be_blocked);
	tcase_add_test(tcase, blocks_may_be_changed_twenty_times_in_half_a_minute);
	tcase_add_test(tcase,
		       a_block_that_is_half_done_is_503_and_hides_whom_the_list_does_not_show);
	tcase_add_test(tcase, a_wiped_redis_that_is_filled_again_takes_blocks_and_not_their_end);
	tcase_add_test(tcase, neither_sees_the_other_in_any_call_until_both_have_unblocked);
	tcase_add_test(tcase,
		       an_end_of_a_block_is_seen_at_once_by_a_worker_that_knows_of_the_block);
	tcase_add_test(tcase, a_block_is_about_two_users_and_no_third);
	tcase_add_test(tcase, nobody_is_hidden_from_the_own_eyes_by_what_others_wrote);
	tcase_add_test(tcase, no_page_of_the_online_list_and_no_cursor_names_a_hidden_user);
	tcase_add_test(tcase, the_status_of_friends_shows_a_blocked_friend_as_never_seen);
	tcase_add_test(tcase, presencectl_lists_blocks_and_explains_by_them);

	tcase = harness_case(suite, "streams", 90);
	tcase_add_test(tcase, a_stream_that_opens_shows_who_is_blocked_as_never_seen);
	tcase_add_test(tcase, no_change_after_the_call_reaches_an_open_stream_of_either_side);
	tcase_add_test(tcase, open_streams_of_both_follow_a_block_and_its_end_with_a_new_initial);
	tcase_add_test(tcase, while_both_block_the_end_of_one_shows_nothing_on_a_stream);
	tcase_add_test(tcase, a_block_during_the_snapshot_holds);
	tcase_add_test(tcase, a_wiped_redis_gets_back_the_blocks_that_open_streams_know);
	tcase_add_loop_test(tcase, a_redis_that_was_wiped_just_now_shows_nobody_who_is_blocked, 0,
			    2);
	tcase_add_test(tcase, a_block_made_while_the_subscription_was_cut_holds);
	return harness_main(suite);
}
