/* presencectl forget and export: what Redis holds of a user, and that nothing of it is left. */
#include "calls.h"
#include "push.h"

#include <stdio.h>
#include <string.h>

#include "servers.h"

/* The user who is forgotten: found wherever it stands, for no other number looks like it. */
#define ID "7320508075"
#define EMAIL "user4@example.com"

static struct stack *start(void)
{
	struct stack *stack = push_stack_new(FAST);

	users_sql(stack, "UPDATE friends SET user_id = " ID " WHERE user_id = 4;"
			 "UPDATE friends SET friend_id = " ID " WHERE friend_id = 4;"
			 "UPDATE users SET id = " ID " WHERE id = 4;");
	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	return stack;
}

/* A call that must be done. */
static void call(struct stack *stack, const char *method, const char *path, const char *token,
		 const char *body)
{
	struct response *response =
		HTTP(stack, .method = method, .path = path, .token = token, .body = body);

	ck_assert_msg(response->status >= 200 && response->status < 300, "%s %s: %d %s", method,
		      path, response->status, response->body);
}

static void notify(struct stack *stack, const char *id)
{
	const char *payload = text_of("{'sub':'site','scope':'push','exp':%lld}",
				      (long long)json_object_get_int64(json_at(
					      token_payload(token_for(stack, "1")), "exp")));

	call(stack, "POST", PUSH_NOTIFY,
	     token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret),
	     text_of("{\"user_ids\":[%s],\"title\":\"News\",\"tag\":\"news\",\"only_if\":"
		     "\"always\"}",
		     id));
}

/* What the API lets a user set, and what others set about that user. */
static void set_everything(struct stack *stack, const char *token, const char *friend)
{
	const char *other = login(stack, EMAIL);

	call(stack, "POST", HEARTBEAT, token, "{\"websocket_session\":\"ws-1\",\"idle\":true}");
	call(stack, "PUT", STATE, token, "{\"status\":\"busy\",\"text\":\"thinking\"}");
	call(stack, "PUT", SETTINGS, token, "{\"last_seen\":\"coarse\"}");
	call(stack, "POST", PUSH_SUBSCRIPTIONS, token,
	     "{\"endpoint\":\"https://fcm.googleapis.com/fcm/send/a\"," PUSH_TEST_KEYS "}");
	call(stack, "POST", PUSH_SUBSCRIPTIONS, friend,
	     "{\"endpoint\":\"https://fcm.googleapis.com/fcm/send/b\"," PUSH_TEST_KEYS "}");
	call(stack, "POST", PUSH_WHEN_ONLINE "2", token, NULL);
	call(stack, "POST", PUSH_WHEN_ONLINE ID, friend, NULL);
	call(stack, "PUT", BLOCKS "3", token, NULL);
	call(stack, "PUT", BLOCKS ID, token_for(stack, "5"), NULL);
	call(stack, "POST", LOGOUT, other, NULL);
	/* One that was deferred, and one that waits to be taken. */
	notify(stack, ID);
	redis_cmd(stack, "ZADD push:later 9999999999999 %s",
		  text_of("1-1 %s", redis_cmd(stack, "XRANGE push:queue - +")
					    ->element[0]
					    ->element[1]
					    ->element[1]
					    ->str));
	/* Somebody else's stay. */
	notify(stack, "2");
	ticket_for(stack, token);
}

/* Every line of a dump that is about the user; a key's line begins without a blank. */
static char *lines_about(const char *dump)
{
	char *copy = strdup(dump), *found = calloc(1, strlen(dump) + 2), *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		if (strstr(line, ID) != NULL)
			strcat(strcat(found, line), "\n");
	}
	return found;
}

/* --- forget ----------------------------------------------------------------------------------- */

START_TEST(of_a_user_who_is_forgotten_nothing_is_left_in_redis)
{
	static const char *const kept_of_others[] = {"user:sessions:2 zset", "push:subs:2 hash",
						     "push:tag:2/news string",
						     "presence:typing:2/3 string"};
	struct stack *stack = start();
	const char *token = token_for(stack, ID), *friend = token_for(stack, "2");
	struct sse *sse = sse_open(stack, token), *watcher = sse_open(stack, friend);
	char *before, *after;

	sse_ready(sse);
	sse_ready(watcher);
	set_everything(stack, token, friend);
	call(stack, "PUT", SETTINGS, token, "{\"nearby\":\"friends\"}");
	call(stack, "PUT", LOCATION, token, "{\"lat\":1,\"lon\":2}");
	redis_cmd(stack, "SET presence:typing:" ID "/2 1"); /* for good, so that it waits */
	redis_cmd(stack, "SET presence:rate:typing:2/" ID " 1");
	redis_cmd(stack, "SET presence:typing:2/3" ID " 1"); /* another user */
	before = redis_dump(stack);
	static const char *const expected[] = {
		"user:chosen:" ID,
		"user:settings:" ID,
		"user:idle:" ID,
		"user:sessions:" ID,
		"user:online:" ID,
		"user:websocket:" ID,
		"user:last_seen:" ID,
		"push:subs:" ID,
		"push:tag:" ID,
		"push:wanted:" ID,
		"push:waiting:" ID,
		"presence:revoked:" ID,
		"presence:version:" ID,
		"presence:rate:status:" ID,
		"presence:rate:blocks:" ID,
		"user:blocked:" ID,
		"user:blocked_by:" ID,
		"user:blocked:5",
		"user:blocked_by:3",
		"user:cell:" ID,
		"presence:rate:location:" ID,
		"presence:typing:" ID,
		"presence:rate:typing:2/" ID,
	};
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		check_has(before, expected[i]);

	check_has(CTL(stack, "forget", ID), "is forgotten");
	sse_wait_bye(sse, "revoked", 5000);
	sse_wait_change(watcher, ID, false, 5000);
	redis_cmd(stack, "RENAME presence:typing:2/3" ID " presence:typing:2/3");
	after = lines_about(redis_dump(stack));
	ck_assert_msg(strcmp(after, "presence:not_before:" ID " string\n") == 0,
		      "expected presence:not_before alone, but Redis still holds:\n%s", after);
	ck_assert_int_gt(redis_int(stack, "TTL presence:not_before:" ID), 0);
	after = redis_dump(stack);
	for (size_t i = 0; i < sizeof kept_of_others / sizeof kept_of_others[0]; i++)
		check_has(after, kept_of_others[i]);
	ck_assert_int_eq(redis_int(stack, "XLEN push:queue"), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(a_client_that_comes_back_after_forgetting_is_refused_and_leaves_nothing)
{
	struct stack *stack = start();
	const char *token = token_for(stack, ID), *unused = token_for(stack, ID);
	const char *ticket = ticket_for(stack, token), *lines;

	CTL(stack, "forget", ID);
	check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
	check_problem(HTTP(stack, .path = COUNT, .token = unused), 401, "token_revoked");
	check_problem(HTTP(stack, .path = HEARTBEAT, .token = token, .method = "POST"), 401,
		      "token_revoked");
	ck_assert_int_ne(sse_status(sse_open(stack, token)), 200);
	ck_assert_int_ne(sse_status(sse_open_ticket(stack, ticket)), 200);
	lines = lines_about(redis_dump(stack));
	ck_assert_str_eq(lines, "presence:not_before:" ID " string\n");
	stack_stop(stack);
}
END_TEST

/* Else that stream would put the block back after a wipe. */
START_TEST(an_open_stream_learns_that_a_forgotten_user_blocks_no_more)
{
	struct stack *stack = start();
	struct sse *sse = sse_open(stack, token_for(stack, "2"));

	sse_ready(sse);
	call(stack, "PUT", BLOCKS "2", token_for(stack, ID), NULL);
	sse_wait(sse, "initial", 5000);
	CTL(stack, "forget", ID);
	sse_wait(sse, "initial", 5000);
	redis_cmd(stack, "FLUSHALL");
	sse_wait(sse, "initial", 10000);
	ck_assert_str_eq(lines_about(redis_dump(stack)), "");
	stack_stop(stack);
}
END_TEST

START_TEST(forgetting_may_be_repeated_and_bears_keys_of_a_wrong_type)
{
	struct stack *stack = start();

	touch_user(stack, ID);
	redis_cmd(stack, "SET push:waiting:2 x");
	redis_cmd(stack, "SET push:wanted:2 x");
	redis_cmd(stack, "SADD push:owner:x y");
	redis_cmd(stack, "SADD presence:ticket:x y");
	CTL(stack, "forget", ID);
	CTL(stack, "forget", ID);
	check_has(CTL(stack, "--json", "forget", "nobody"), "{\"ok\":true}");
	ck_assert_str_eq(lines_about(redis_dump(stack)), "presence:not_before:" ID " string\n");
	stack_stop(stack);
}
END_TEST

START_TEST(an_id_that_begins_like_the_forgotten_one_is_left_alone)
{
	static const char *const others[] = {"anna1", "anna:1", "nanna"};
	struct stack *stack = start();

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		touch_user(stack, others[i]);
		redis_cmd(stack, "SET presence:revoked:%s/anna 1", others[i]);
	}
	touch_user(stack, "anna");
	CTL(stack, "forget", "anna");
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		ck_assert(redis_has(stack, text_of("user:online:%s", others[i])));
		ck_assert(redis_has(stack, text_of("presence:revoked:%s/anna", others[i])));
		ck_assert_int_eq(redis_int(stack, "SISMEMBER online_users %s", others[i]), 1);
	}
	ck_assert(!redis_has(stack, "user:online:anna"));
	stack_stop(stack);
}
END_TEST

START_TEST(many_keys_are_looked_at_in_pieces)
{
	struct stack *stack = start();

	for (int i = 0; i < 3000; i++)
		redis_cmd(stack, "SADD push:waiting:%d %s someone", 100 + i, ID);
	CTL(stack, "forget", ID);
	ck_assert_str_eq(lines_about(redis_dump(stack)), "presence:not_before:" ID " string\n");
	ck_assert_int_eq(redis_int(stack, "SCARD push:waiting:3099"), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(with_redis_away_forgetting_fails_and_says_so)
{
	struct stack *stack = start();
	char *out;

	redis_kill(stack);
	ck_assert_int_eq(CTL_STATUS(stack, &out, "forget", ID), 1);
	ck_assert_int_eq(CTL_STATUS(stack, &out, "export", ID), 1);
	stack_stop(stack);
}
END_TEST

/* --- export ----------------------------------------------------------------------------------- */

START_TEST(an_export_has_what_the_user_set_and_no_secret)
{
	struct stack *stack = start();
	const char *token = token_for(stack, ID), *friend = token_for(stack, "2"), *text;
	struct json_object *all, *keys;

	touch(stack, friend);
	set_everything(stack, token, friend);
	text = CTL(stack, "export", ID);
	all = parse_json(text);
	keys = json_at(all, "keys");
	ck_assert_str_eq(json_text(json_at(keys, "user:chosen:" ID), "text"), "thinking");
	ck_assert_str_eq(json_text(json_at(keys, "user:settings:" ID), "last_seen"), "coarse");
	/* Whom the user waits for, and not whether a block hides that friend. */
	CHECK_JSON(json_at(keys, "push:wanted:" ID), "['2']");
	ck_assert_int_eq(json_object_array_length(json_at(all, "notifications")), 2);
	check_has(text, "https://fcm.googleapis.com/fcm/send/a");
	check_has_not(text, "p256dh");
	check_has_not(text, "\"auth\"");
	check_has_not(text, "presence:ticket");
	check_has(text, "\"user:blocked:" ID "\":[\"3\"]");
	check_has_not(text, "push:waiting");
	check_has_not(text, "blocked_by");
	CHECK_JSON(parse_json(CTL(stack, "export", "nobody")),
		   "{'user_id':'nobody','keys':{},'notifications':[]}");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("forget");
	TCase *tcase = harness_case(suite, "forget", 60);

	tcase_add_test(tcase, of_a_user_who_is_forgotten_nothing_is_left_in_redis);
	tcase_add_test(tcase,
		       a_client_that_comes_back_after_forgetting_is_refused_and_leaves_nothing);
	tcase_add_test(tcase, an_open_stream_learns_that_a_forgotten_user_blocks_no_more);
	tcase_add_test(tcase, forgetting_may_be_repeated_and_bears_keys_of_a_wrong_type);
	tcase_add_test(tcase, an_id_that_begins_like_the_forgotten_one_is_left_alone);
	tcase_add_test(tcase, many_keys_are_looked_at_in_pieces);
	tcase_add_test(tcase, with_redis_away_forgetting_fails_and_says_so);
	tcase = harness_case(suite, "export", 60);
	tcase_add_test(tcase, an_export_has_what_the_user_set_and_no_secret);
	return harness_main(suite);
}
