/* Who types to whom: friends of one another are told, nobody else, and who calls never learns. docs/api.md */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What `from` says, a body with ' for ": 204 whatever comes of it. */
static void say(struct stack *stack, const char *token, const char *body)
{
	char *text = strdup(body);
	struct response *response;

	for (char *c = text; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	response = HTTP(stack, .path = TYPING, .token = token, .body = text);
	ck_assert_msg(response->status == 204, "%s: %d %s", body, response->status, response->body);
	ck_assert_uint_eq(response->body_len, 0);
	free(text);
}

static void put(struct stack *stack, const char *token, const char *path, const char *body)
{
	struct response *response =
		HTTP(stack, .method = "PUT", .path = path, .token = token, .body = body);

	ck_assert_msg(response->status / 100 == 2, "PUT %s: %d", path, response->status);
}

/* A message to the inbox of a user that is not about the user itself. */
static struct message *next_about_others(struct listener *inboxes, int ms)
{
	struct message *message;

	do
		message = listener_next(inboxes, ms);
	while (message != NULL && strstr(message->text, "\"type\":\"typing\"") == NULL);
	return message;
}

/* --- a friend is told --------------------------------------------------------------------- */

START_TEST(a_friend_hears_that_one_types_and_no_longer_does)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");
	struct sse *phone = sse_open(stack, token_for(stack, "2"));
	struct sse *desk = sse_open(stack, token_for(stack, "2"));

	sse_ready(phone);
	sse_ready(desk);
	say(stack, anna, "{'to':2,'typing':true}");
	CHECK_JSON(sse_wait(phone, "typing", 2000)->json,
		   "{'user_id':1,'typing':true,'expires_in':6}");
	CHECK_JSON(sse_wait(desk, "typing", 2000)->json,
		   "{'user_id':1,'typing':true,'expires_in':6}");
	say(stack, anna, "{'to':2,'typing':false}");
	CHECK_JSON(sse_wait(phone, "typing", 2000)->json,
		   "{'user_id':1,'typing':false,'expires_in':6}");
	stack_stop(stack);
}
END_TEST

START_TEST(several_friends_and_the_conversation_may_be_named)
{
	struct stack *stack = stack_start("");
	struct sse *two = sse_open(stack, token_for(stack, "2"));
	struct sse *three = sse_open(stack, token_for(stack, "3"));

	sse_ready(two);
	sse_ready(three);
	say(stack, token_for(stack, "1"),
	    "{'to':[2,3,99,'nobody',2],'typing':true,'conversation':'room|7.a:b'}");
	CHECK_JSON(sse_wait(two, "typing", 2000)->json,
		   "{'user_id':1,'typing':true,'conversation':'room|7.a:b','expires_in':6}");
	CHECK_JSON(sse_wait(three, "typing", 2000)->json,
		   "{'user_id':1,'typing':true,'conversation':'room|7.a:b','expires_in':6}");
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_that_watches_others_hears_of_friends_who_type)
{
	struct stack *stack = stack_start("");
	struct sse *sse;
	char request[2048];

	snprintf(request, sizeof request,
		 "GET " STREAM "?friends=false&users=5 HTTP/1.1\r\nHost: localhost\r\n"
		 "Authorization: Bearer %s\r\n\r\n",
		 token_for(stack, "2"));
	sse = sse_request(stack, request);
	sse_ready(sse);
	say(stack, token_for(stack, "1"), "{'to':2,'typing':true}");
	sse_wait(sse, "typing", 2000);
	stack_stop(stack);
}
END_TEST

/* --- nobody else is ----------------------------------------------------------------------- */

static void nothing(struct stack *stack)
{
	(void)stack;
}

static void block_from_1(struct stack *stack)
{
	put(stack, token_for(stack, "1"), BLOCKS "2", NULL);
}

static void block_from_2(struct stack *stack)
{
	put(stack, token_for(stack, "2"), BLOCKS "1", NULL);
}

static void half_a_block(struct stack *stack)
{
	redis_int(stack, "SADD user:blocked_by:1 2");
}

static void other_half(struct stack *stack)
{
	redis_int(stack, "SADD user:blocked:1 2");
}

static void not_in_my_list(struct stack *stack)
{
	users_sql(stack, "DELETE FROM friends WHERE user_id = 1 AND friend_id = 2");
}

static void not_in_their_list(struct stack *stack)
{
	users_sql(stack, "DELETE FROM friends WHERE user_id = 2 AND friend_id = 1");
}

static void off_for_1(struct stack *stack)
{
	put(stack, token_for(stack, "1"), SETTINGS, "{\"typing\":false}");
}

static void off_for_2(struct stack *stack)
{
	put(stack, token_for(stack, "2"), SETTINGS, "{\"typing\":false}");
}

static void invisible(struct stack *stack)
{
	put(stack, token_for(stack, "1"), STATE, "{\"status\":\"invisible\"}");
}

static const struct {
	void (*prepare)(struct stack *stack);
	const char *to;
} untold[] = {
	{nothing, "7"}, /* unknown */
	{nothing, "'bob'"},  {nothing, "1"}, /* oneself */
	{block_from_1, "2"}, {block_from_2, "2"},   {half_a_block, "2"},
	{other_half, "2"},   {not_in_my_list, "2"}, {not_in_their_list, "2"},
	{off_for_1, "2"},    {off_for_2, "2"},	    {invisible, "2"},
};

START_TEST(who_is_no_friend_or_hides_is_not_told_and_the_answer_is_the_same)
{
	struct stack *stack = stack_start_api("");
	const char *anna = token_for(stack, "1");
	struct listener *inboxes;
	struct message *message;
	char body[64];

	untold[_i].prepare(stack);
	touch(stack, anna);
	inboxes = listener_open(stack, "user:inbox:*");
	snprintf(body, sizeof body, "{'to':%s,'typing':true}", untold[_i].to);
	say(stack, anna, body);
	snprintf(body, sizeof body, "{'to':%s,'typing':false}", untold[_i].to);
	say(stack, anna, body);
	/* The one after them all is the first that is told. */
	say(stack, token_for(stack, "3"), "{'to':4,'typing':true}");
	message = next_about_others(inboxes, 5000);
	ck_assert_ptr_nonnull(message);
	ck_assert_msg(strcmp(message->channel, "user:inbox:4") == 0, "%s was told: %s",
		      message->channel, message->text);
	stack_stop(stack);
}
END_TEST

static long long commands_of(struct stack *stack, const char *token, const char *body)
{
	const char *name = "total_commands_processed:";
	long long before, after;

	before = atoll(strstr(redis_text(stack, "INFO stats"), name) + strlen(name));
	say(stack, token, body);
	after = atoll(strstr(redis_text(stack, "INFO stats"), name) + strlen(name));
	return after - before;
}

/* Commands tell more than times do, and tell it exactly. */
START_TEST(redis_does_the_same_for_whoever_is_not_told)
{
	struct stack *stack = stack_start_api("");
	const char *anna = token_for(stack, "1");
	long long unknown;

	block_from_2(stack);
	put(stack, anna, BLOCKS "3", NULL);
	users_sql(stack, "DELETE FROM friends WHERE user_id = 4 AND friend_id = 1");
	put(stack, token_for(stack, "5"), SETTINGS, "{\"typing\":false}");
	say(stack, anna, "{'to':6,'typing':true}"); /* a friend; told a moment ago */
	unknown = commands_of(stack, anna, "{'to':99,'typing':true}");
	ck_assert_int_eq(commands_of(stack, anna, "{'to':2,'typing':true}"), unknown);
	ck_assert_int_eq(commands_of(stack, anna, "{'to':3,'typing':true}"), unknown);
	ck_assert_int_eq(commands_of(stack, anna, "{'to':4,'typing':true}"), unknown);
	ck_assert_int_eq(commands_of(stack, anna, "{'to':5,'typing':true}"), unknown);
	ck_assert_int_eq(commands_of(stack, anna, "{'to':6,'typing':true}"), unknown);
	stack_stop(stack);
}
END_TEST

START_TEST(who_only_watches_and_whose_token_was_logged_out_types_to_nobody)
{
	struct stack *stack = stack_start_api("");
	const char *anna = token_for(stack, "1");
	const char *watcher =
		token_make("{'alg':'HS256'}", "{'sub':'1','exp':4000000000,'presence':'watch'}",
			   KEY_HMAC, stack->secret);
	const char *body = "{\"to\":2,\"typing\":true}";

	check_problem(HTTP(stack, .path = TYPING, .token = watcher, .body = body), 403,
		      "watch_only");
	http_ok(stack, LOGOUT, anna, "");
	check_problem(HTTP(stack, .path = TYPING, .token = anna, .body = body), 401,
		      "token_revoked");
	ck_assert(!redis_has(stack, "presence:rate:typing:2/1"));
	stack_stop(stack);
}
END_TEST

/* That this user types to 2. */
static void publish_late(struct stack *stack, int id)
{
	redis_int(stack,
		  "PUBLISH user:inbox:2 {\"type\":\"typing\",\"user_id\":%d,\"typing\":true}", id);
}

/* A message may be on its way when a block begins, or its user goes offline. */
START_TEST(a_stream_shows_nobody_type_whom_it_hides_or_shows_offline)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));
	const char *anna = token_for(stack, "1");

	sse_ready(sse);
	touch(stack, anna);
	sse_wait_change(sse, "1", true, 2000);
	http_ok(stack, LOGOUT, anna, "");
	publish_late(stack, 1);
	put(stack, token_for(stack, "3"), BLOCKS "2", NULL);
	publish_late(stack, 3);
	sse_wait(sse, "initial", 2000);
	publish_late(stack, 3);
	publish_late(stack, 4);
	ck_assert_str_eq(json_text(sse_wait(sse, "typing", 2000)->json, "user_id"), "4");
	/* Who comes back may be seen again. */
	say(stack, token_for(stack, "1"), "{'to':2,'typing':true}");
	ck_assert_str_eq(json_text(sse_wait(sse, "typing", 2000)->json, "user_id"), "1");
	stack_stop(stack);
}
END_TEST

static const char *const malformed[] = {
	"{\"type\":\"typing\",\"typing\":true}",
	"{\"type\":\"typing\",\"user_id\":\"a b\",\"typing\":true}",
	"{\"type\":\"typing\",\"user_id\":1,\"typing\":1}",
	"{\"type\":\"typing\",\"user_id\":1,\"typing\":true,\"conversation\":\"a\\nb\"}",
	"{\"type\":\"typing\",\"user_id\":1,\"typing\":true,\"conversation\":7}",
};

START_TEST(what_is_published_by_others_is_checked)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));

	sse_ready(sse);
	for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
		redis_int(stack, "PUBLISH user:inbox:2 %s", malformed[i]);
	redis_int(stack, "PUBLISH user:inbox:2 %s",
		  "{\"type\":\"typing\",\"user_id\":3,\"typing\":true}");
	ck_assert_str_eq(json_text(sse_expect(sse, "typing", 2000)->json, "user_id"), "3");
	stack_stop(stack);
}
END_TEST

/* --- how often ---------------------------------------------------------------------------- */

START_TEST(a_flood_of_starts_is_one_event_in_two_seconds)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));
	int64_t start, end;
	int said = 0, told = 0;

	sse_ready(sse);
	start = now_ms();
	do {
		say(stack, anna, "{'to':2,'typing':true}");
		said++;
	} while (now_ms() < start + 4500);
	end = now_ms();
	while (told < 2)
		told += sse_wait(sse, "typing", 2000) != NULL;
	for (struct event *event; (event = sse_next(sse, 200)) != NULL;)
		told += strcmp(event->name, "typing") == 0;
	ck_assert_int_le(told, (int)((end - start) / 2000) + 1);
	ck_assert_msg(said > 10 * told, "only %d were said", said);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stop_passes_once_and_only_after_a_start_that_did)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));

	sse_ready(sse);
	say(stack, anna, "{'to':2,'typing':false}");
	say(stack, anna, "{'to':2,'typing':true}");
	say(stack, anna, "{'to':2,'typing':true}");
	say(stack, anna, "{'to':2,'typing':false}");
	say(stack, anna, "{'to':2,'typing':false}");
	say(stack, anna, "{'to':2,'typing':true}"); /* too soon */
	say(stack, anna, "{'to':2,'typing':false}");
	say(stack, token_for(stack, "3"), "{'to':2,'typing':true}");
	ck_assert(json_object_get_boolean(json_at(sse_wait(sse, "typing", 2000)->json, "typing")));
	ck_assert(!json_object_get_boolean(json_at(sse_wait(sse, "typing", 2000)->json, "typing")));
	ck_assert_str_eq(json_text(sse_wait(sse, "typing", 2000)->json, "user_id"), "3");
	stack_stop(stack);
}
END_TEST

START_TEST(a_stop_passes_as_long_as_the_start_holds)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));

	sse_ready(sse);
	say(stack, anna, "{'to':2,'typing':true}");
	WAIT_UNTIL(!redis_has(stack, "presence:rate:typing:2/1"), 4000);
	say(stack, anna, "{'to':2,'typing':false}");
	sse_wait(sse, "typing", 2000);
	ck_assert(!json_object_get_boolean(json_at(sse_wait(sse, "typing", 2000)->json, "typing")));
	stack_stop(stack);
}
END_TEST

START_TEST(nothing_of_it_is_kept_for_longer_than_it_holds)
{
	struct stack *stack = stack_start_api("");
	const char *anna = token_for(stack, "1");
	char *before;

	touch(stack, anna);
	before = redis_dump(stack);
	say(stack, anna, "{'to':2,'typing':true,'conversation':'secret'}");
	ck_assert_int_le(redis_int(stack, "PTTL presence:rate:typing:2/1"), 2000);
	ck_assert_int_ge(redis_int(stack, "PTTL presence:rate:typing:2/1"), 1);
	ck_assert_int_le(redis_int(stack, "PTTL presence:typing:2/1"), 6000);
	ck_assert_ptr_null(strstr(redis_dump(stack), "secret"));
	WAIT_UNTIL(!redis_has(stack, "presence:typing:2/1"), 7000);
	ck_assert_ptr_null(strstr(redis_dump(stack), "typing"));
	ck_assert_ptr_null(strstr(before, "typing"));
	stack_stop(stack);
}
END_TEST

/* Reads from sockets that Redis did meanwhile: a pipeline is one. */
static long long reads(struct stack *stack)
{
	const char *name = "total_reads_processed:";

	return atoll(strstr(redis_text(stack, "INFO stats"), name) + strlen(name));
}

START_TEST(it_takes_one_round_trip_for_each_side)
{
	struct stack *stack = stack_start_api("api { children = 1 }");
	const char *anna = token_for(stack, "1");
	long long before, asking;

	say(stack, anna, "{'to':[2,3,4,5,6],'typing':true}"); /* the worker connects */
	before = reads(stack);
	asking = reads(stack) - before;
	before = reads(stack);
	say(stack, anna, "{'to':[2,3,4,5,6],'typing':false}");
	ck_assert_int_eq(reads(stack) - before - asking, 2);
	stack_stop(stack);
}
END_TEST

START_TEST(without_redis_it_is_503_and_nothing_comes_later)
{
	struct stack *stack = stack_start("");
	const char *anna = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "2"));
	struct event *event;

	sse_ready(sse);
	redis_kill(stack);
	check_problem(
		HTTP(stack, .path = TYPING, .token = anna, .body = "{\"to\":2,\"typing\":true}"),
		503, "redis_unavailable");
	redis_start(stack, NULL);
	do {
		event = sse_next(sse, 15000);
		ck_assert_ptr_nonnull(event);
		ck_assert_str_ne(event->name, "typing");
	} while (strcmp(event->name, "initial") != 0);
	stack_stop(stack);
}
END_TEST

START_TEST(without_a_right_nothing_is_half_done)
{
	struct stack *stack = stack_start_api("");
	const char *anna = token_for(stack, "1");
	char *url, *before;

	redis_make_user(stack, "of-the-test");
	ck_assert(asprintf(&url, "redis { url = \"unix://presence:of-the-test@%s/redis.sock\" }\n",
			   stack->dir) > 0);
	stack_write_conf(stack, url);
	lighttpd_change(stack, NULL, "");
	touch(stack, anna);
	freeReplyObject(redis_cmd(stack, "ACL SETUSER presence resetchannels &user:status:*"));
	before = redis_dump(stack);
	check_problem(
		HTTP(stack, .path = TYPING, .token = anna, .body = "{\"to\":2,\"typing\":true}"),
		503, "redis_unavailable");
	ck_assert_ptr_null(strstr(redis_dump(stack), "typing"));
	ck_assert_ptr_nonnull(before);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("typing");
	TCase *tcase = harness_case(suite, "told", 60);

	tcase_add_test(tcase, a_friend_hears_that_one_types_and_no_longer_does);
	tcase_add_test(tcase, several_friends_and_the_conversation_may_be_named);
	tcase_add_test(tcase, a_stream_that_watches_others_hears_of_friends_who_type);
	tcase = harness_case(suite, "not told", 60);
	tcase_add_loop_test(tcase, who_is_no_friend_or_hides_is_not_told_and_the_answer_is_the_same,
			    0, sizeof untold / sizeof untold[0]);
	tcase_add_test(tcase, redis_does_the_same_for_whoever_is_not_told);
	tcase_add_test(tcase, who_only_watches_and_whose_token_was_logged_out_types_to_nobody);
	tcase_add_test(tcase, a_stream_shows_nobody_type_whom_it_hides_or_shows_offline);
	tcase_add_test(tcase, what_is_published_by_others_is_checked);
	tcase = harness_case(suite, "how often", 60);
	tcase_add_test(tcase, a_flood_of_starts_is_one_event_in_two_seconds);
	tcase_add_test(tcase, a_stop_passes_once_and_only_after_a_start_that_did);
	tcase_add_test(tcase, a_stop_passes_as_long_as_the_start_holds);
	tcase_add_test(tcase, nothing_of_it_is_kept_for_longer_than_it_holds);
	tcase_add_test(tcase, it_takes_one_round_trip_for_each_side);
	tcase_add_test(tcase, without_redis_it_is_503_and_nothing_comes_later);
	tcase_add_test(tcase, without_a_right_nothing_is_half_done);
	return harness_main(suite);
}
