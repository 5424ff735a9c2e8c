/* presence-pushd against a push service on loopback: who is told, what comes of it. */
#include "push.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "calls.h"
#include "process.h"
#include "servers.h"

#define ALWAYS "'only_if':'always'"

/* --- what is sent ------------------------------------------------------------------------- */

/* A call of the foreign implementation's: form-encoded in, JSON out. */
static struct json_object *foreign_call(struct push_stand *stand, const char *path,
					const char *form)
{
	const char *url = text_of("https://localhost:%d%s", stand->foreign, path);
	const char *argv[] = {"curl", "-s", "--cacert", stack_path(stand->stack, "tls.pem"),
			      "-d",   form, url,	NULL};
	char *out;

	ck_assert_int_eq(run(stand->stack, &out, NULL, argv), 0);
	return json_at(parse_json(out), "data");
}

START_TEST(a_foreign_implementation_decrypts_what_was_sent)
{
	struct push_stand *stand = push_start_pushd(FAST);
	const char *key = json_text(http_ok(stand->stack, PUSH_KEY, NULL, NULL), "public_key");
	struct json_object *subscription = foreign_call(
		stand, "/subscribe", text_of("userVisibleOnly=true&applicationServerKey=%s", key));
	struct json_object *messages;
	struct response *response;

	response = HTTP(stand->stack, .path = PUSH_SUBSCRIPTIONS,
			.token = token_for(stand->stack, "1"),
			.body = json_object_to_json_string(subscription));
	ck_assert_int_eq(response->status, 201);
	ck_assert_int_eq(push_notify(stand,
				     "{'user_ids':[1],'title':'Hi \\u00e9','body':'b'," ALWAYS
				     ",'url':'/x','tag':'t'}"),
			 1);
	push_wait_for(stand, "sent", 1);
	messages = json_at(
		foreign_call(stand, "/get-notifications",
			     text_of("clientHash=%s", json_text(subscription, "clientHash"))),
		"messages");
	ck_assert_uint_eq(json_object_array_length(messages), 1);
	ck_assert_str_eq(
		json_object_get_string(json_object_array_get_idx(messages, 0)),
		"{\"web_push\":8030,\"notification\":{\"title\":\"Hi \xc3\xa9\",\"body\":\"b\","
		"\"navigate\":\"/x\",\"tag\":\"t\"}}");
	push_stop(stand);
}
END_TEST

START_TEST(a_request_has_the_fields_of_the_standards)
{
	struct push_stand *stand = push_start_pushd(FAST);
	struct json_object *request, *fields;

	push_offline_user(stand, "1", stand->h2, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'," ALWAYS ",'ttl':90,'urgency':'high'}");
	push_wait_for(stand, "sent", 1);
	request = push_request(stand, "/as/201/a", 0);
	fields = json_at(request, "headers");
	ck_assert_str_eq(json_text(request, "method"), "POST");
	ck_assert_str_eq(json_text(request, "version"), "2.0");
	ck_assert_str_eq(json_text(fields, "content-encoding"), "aes128gcm");
	ck_assert_str_eq(json_text(fields, "urgency"), "high");
	ck_assert_uint_eq(strlen(json_text(fields, "topic")), 32);
	ck_assert_msg(atoi(json_text(fields, "ttl")) > 60 && atoi(json_text(fields, "ttl")) <= 90,
		      "TTL: %s", json_text(fields, "ttl"));
	ck_assert_int_eq(strncmp(json_text(fields, "authorization"), "vapid t=", 8), 0);
	/* Header, key id, one step of padding, tag. */
	ck_assert_int_eq(json_object_get_int(json_at(request, "length")), 21 + 65 + 256 + 16);
	push_stop(stand);
}
END_TEST

START_TEST(each_subscription_of_a_user_gets_it)
{
	struct push_stand *stand = push_start_pushd(FAST);

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_offline_user(stand, "1", stand->https, "/as/201/b");
	push_offline_user(stand, "1", stand->h2, "/as/201/c");
	ck_assert_int_eq(push_notify(stand, "{'user_ids':[1],'title':'a'," ALWAYS "}"), 1);
	push_wait_for(stand, "sent", 3);
	ck_assert_int_eq(push_received(stand, "/as/201/"), 3);
	push_stop(stand);
}
END_TEST

/* --- who is told -------------------------------------------------------------------------- */

START_TEST(who_is_offline_is_told_and_who_is_online_is_not)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 1 }");

	push_offline_user(stand, "1", stand->https, "/as/201/offline");
	push_subscribe(stand, token_for(stand->stack, "2"), stand->https, "/as/201/online");
	ck_assert_int_eq(push_notify(stand, "{'user_ids':[1,2,3],'title':'a'}"), 2);
	push_wait_for(stand, "sent", 1);
	push_wait_for(stand, "online", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/offline"), 1);
	ck_assert_int_eq(push_received(stand, "/as/201/online"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(who_comes_online_before_the_moment_of_sending_gets_nothing)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 2 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	WAIT_UNTIL(redis_sum(stand->stack, "ZCARD push:later") == 1, 5000);
	touch_user(stand->stack, "1");
	push_wait_for(stand, "online", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(who_is_away_is_told_what_is_for_the_absent)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");

	push_subscribe(stand, token_for(stand->stack, "1"), stand->https, "/as/201/away");
	redis_cmd(stand->stack, "SET user:online:1 %s",
		  "{\"user_id\":1,\"is_online\":true,\"status\":\"away\",\"version\":1}");
	push_notify(stand, "{'user_ids':[1],'title':'a','only_if':'offline'}");
	push_wait_for(stand, "online", 1);
	push_notify(stand, "{'user_ids':[1],'title':'a','only_if':'away'}");
	push_wait_for(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

static void choose(struct push_stand *stand, const char *token, const char *state)
{
	ck_assert_int_eq(
		HTTP(stand->stack, .method = "PUT", .path = STATE, .token = token, .body = state)
			->status,
		200);
}

/* A user who is offline, has a subscription and wants not to be disturbed. */
static void do_not_disturb(struct push_stand *stand, const char *state)
{
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	choose(stand, token, state);
	push_take_offline(stand, "1");
}

START_TEST(do_not_disturb_holds_it_unless_it_is_urgent)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");

	do_not_disturb(stand, "{\"status\":\"dnd\"}");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	WAIT_UNTIL(redis_sum(stand->stack, "ZCARD push:later") == 1, 5000);
	push_notify(stand, "{'user_ids':[1],'title':'urgent','urgency':'high'}");
	push_wait_for(stand, "sent", 1);
	ck_assert_int_eq(redis_sum(stand->stack, "ZCARD push:later"), 1);
	/* Ended by its user: it is looked at again, here at once. */
	HTTP(stand->stack, .method = "DELETE", .path = STATE,
	     .token = token_for(stand->stack, "1"));
	push_take_offline(stand, "1");
	redis_cmd(stand->stack, "EVAL %s 0",
		  "local m = redis.call('ZRANGE', 'push:later', 0, 0)[1] "
		  "return redis.call('ZADD', 'push:later', 1, m)");
	push_wait_for(stand, "sent", 2);
	push_stop(stand);
}
END_TEST

START_TEST(what_do_not_disturb_held_is_sent_when_it_ends)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 sweep = 1 }");

	do_not_disturb(stand, "{\"status\":\"dnd\",\"expires_in\":3}");
	push_notify(stand, "{'user_ids':[1],'title':'held'}");
	WAIT_UNTIL(redis_sum(stand->stack, "ZCARD push:later") == 1, 2000);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	ck_assert(redis_has(stand->stack, "user:chosen:1"));
	push_wait_for(stand, "sent", 1);
	ck_assert(!redis_has(stand->stack, "user:chosen:1"));
	/* What comes after that is held by nothing. */
	push_notify(stand, "{'user_ids':[1],'title':'after'}");
	push_wait_for(stand, "sent", 2);
	ck_assert(push_is_idle(stand));
	push_stop(stand);
}
END_TEST

START_TEST(who_is_online_when_do_not_disturb_ends_gets_nothing)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 sweep = 1 }");

	do_not_disturb(stand, "{\"status\":\"dnd\",\"expires_in\":3}");
	push_notify(stand, "{'user_ids':[1],'title':'held'}");
	WAIT_UNTIL(redis_sum(stand->stack, "ZCARD push:later") == 1, 2000);
	touch_user(stand->stack, "1");
	push_wait_for(stand, "online", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(nobody_gets_more_than_six_in_an_hour)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_offline_user(stand, "2", stand->https, "/as/201/b");
	for (int i = 0; i < 9; i++)
		push_notify(stand, "{'user_ids':[1],'title':'a'}");
	push_notify(stand, "{'user_ids':[2],'title':'a'}");
	push_wait_for(stand, "limited", 3);
	push_wait_for(stand, "sent", 7);
	/* The first was an hour ago. */
	redis_cmd(stand->stack, "LSET presence:rate:push:1 -1 1");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	push_wait_for(stand, "sent", 8);
	push_stop(stand);
}
END_TEST

START_TEST(of_one_tag_the_newest_is_sent)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 2 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'one','tag':'mail'}");
	push_notify(stand, "{'user_ids':[1],'title':'two','tag':'mail'}");
	push_notify(stand, "{'user_ids':[1],'title':'three','tag':'other'}");
	push_wait_for(stand, "superseded", 1);
	push_wait_for(stand, "sent", 2);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 2);
	push_stop(stand);
}
END_TEST

START_TEST(who_has_unsubscribed_meanwhile_gets_nothing)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 2 }");

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	WAIT_UNTIL(redis_sum(stand->stack, "ZCARD push:later") == 1, 5000);
	redis_int_of(stand->stack, "1", "DEL push:subs:1");
	push_wait_for(stand, "nobody", 1);
	push_stop(stand);
}
END_TEST

/* --- when a friend comes online ----------------------------------------------------------- */

static void want(struct push_stand *stand, const char *token, const char *friend)
{
	ck_assert_int_eq(HTTP(stand->stack, .path = text_of(PUSH_WHEN_ONLINE "%s", friend),
			      .method = "POST", .token = token)
				 ->status,
			 204);
}

START_TEST(who_waits_for_a_friend_is_told_once)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	want(stand, token, "2");
	push_take_offline(stand, "1");
	touch_user(stand->stack, "2");
	push_wait_for(stand, "sent", 1);
	push_wait_until_idle(stand);
	ck_assert(!redis_has(stand->stack, "push:wanted:1"));
	push_take_offline(stand, "2");
	touch_user(stand->stack, "2");
	ck_assert(push_is_idle(stand));
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 1);
	push_stop(stand);
}
END_TEST

START_TEST(who_does_not_wait_any_more_is_not_told)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	want(stand, token, "2");
	want(stand, token, "3");
	ck_assert_int_eq(
		HTTP(stand->stack, .path = PUSH_WHEN_ONLINE "2", .method = "DELETE", .token = token)
			->status,
		204);
	push_take_offline(stand, "1");
	touch_user(stand->stack, "2");
	ck_assert(push_is_idle(stand));
	touch_user(stand->stack, "3");
	push_wait_for(stand, "sent", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 1);
	push_stop(stand);
}
END_TEST

START_TEST(a_friend_who_left_again_is_waited_for_anew)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	want(stand, token, "2");
	push_take_offline(stand, "1");
	touch_user(stand->stack, "2");
	push_take_offline(stand, "2");
	WAIT_UNTIL(redis_int_of(stand->stack, "2", "SISMEMBER push:waiting:2 1") == 1, 5000);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	touch_user(stand->stack, "2");
	push_wait_for(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

static void change_block(struct push_stand *stand, const char *method, const char *by,
			 const char *id)
{
	ck_assert_int_eq(HTTP(stand->stack, .path = text_of(BLOCKS "%s", id), .method = method,
			      .token = token_for(stand->stack, by))
				 ->status,
			 204);
}

/* Who blocks whom: neither is told of the other, whether they blocked before waiting or after. */
static const struct {
	const char *by, *id;
	bool after;
} blocks[] = {{"1", "2", false}, {"2", "1", false}, {"1", "2", true}, {"2", "1", true}};

START_TEST(nobody_is_told_of_a_friend_across_a_block)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	if (!blocks[_i].after)
		change_block(stand, "PUT", blocks[_i].by, blocks[_i].id);
	want(stand, token, "2");
	if (blocks[_i].after)
		change_block(stand, "PUT", blocks[_i].by, blocks[_i].id);
	push_take_offline(stand, "1");
	push_take_offline(stand, "2");
	touch_user(stand->stack, "2");
	push_wait_for(stand, "withdrawn", 1);
	push_wait_until_idle(stand);
	/* That was it, also when the block ends. */
	change_block(stand, "DELETE", blocks[_i].by, blocks[_i].id);
	push_take_offline(stand, "1");
	push_take_offline(stand, "2");
	touch_user(stand->stack, "2");
	ck_assert(push_is_idle(stand));
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(a_block_that_ends_before_the_friend_comes_brings_back_no_note_made_under_it)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	change_block(stand, "PUT", "2", "1");
	want(stand, token, "2");
	change_block(stand, "DELETE", "2", "1");
	push_take_offline(stand, "1");
	push_take_offline(stand, "2");
	touch_user(stand->stack, "2");
	push_wait_for(stand, "withdrawn", 1);
	want(stand, token, "2"); /* said again, it counts */
	push_take_offline(stand, "1");
	push_take_offline(stand, "2");
	touch_user(stand->stack, "2");
	push_wait_for(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

START_TEST(nobody_is_told_of_a_friend_who_is_invisible)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 2 sweep = 1 }");
	const char *token = token_for(stand->stack, "1"), *friend = token_for(stand->stack, "2");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	want(stand, token, "2");
	push_take_offline(stand, "1");
	choose(stand, friend, "{\"status\":\"invisible\"}");
	touch(stand->stack, friend); /* comes online, and nobody sees it */
	ck_assert(push_is_idle(stand));
	/* Hides again before the grace is over. */
	choose(stand, friend, "{\"status\":\"busy\"}");
	WAIT_UNTIL(redis_sum(stand->stack, "ZCARD push:later") == 1, 5000);
	choose(stand, friend, "{\"status\":\"invisible\"}");
	WAIT_UNTIL(redis_int_of(stand->stack, "2", "SISMEMBER push:waiting:2 1") == 1, 10000);
	push_wait_until_idle(stand);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 0);
	/* Seen again: that is what was waited for. */
	choose(stand, friend, "{\"status\":\"online\"}");
	push_wait_for(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

START_TEST(who_waits_invisibly_is_told_as_one_who_is_offline)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");
	const char *token = token_for(stand->stack, "1");

	push_subscribe(stand, token, stand->https, "/as/201/a");
	want(stand, token, "2");
	choose(stand, token, "{\"status\":\"invisible\"}");
	touch_user(stand->stack, "2");
	push_wait_for(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

/* --- processes ---------------------------------------------------------------------------- */

START_TEST(a_kill_loses_nothing_and_repeats_what_was_under_way)
{
	push_check_kill(push_start(FAST), 1000);
}
END_TEST

START_TEST(two_share_the_work_and_send_nothing_twice)
{
	struct push_stand *stand = push_start(FAST);

	push_queue_many(stand, 0, 600);
	pushd_start(stand, 0, NULL);
	pushd_start(stand, 1, NULL);
	WAIT_UNTIL(push_is_idle(stand), 60000);
	ck_assert_int_eq(push_count_repeated(stand, 600), 0);
	ck_assert_int_eq(push_count(stand, "sent"), 600);
	push_stop(stand);
}
END_TEST

START_TEST(a_stop_ends_what_is_under_way_and_leaves_the_rest)
{
	struct push_stand *stand = push_start(FAST);

	push_queue_many(stand, 0, 600);
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(push_count(stand, "sent") > 0, 10000);
	ck_assert_int_eq(pushd_end(stand, 0, SIGTERM), 0);
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(push_is_idle(stand), 60000);
	ck_assert_int_eq(push_count_repeated(stand, 600), 0);
	push_stop(stand);
}
END_TEST

START_TEST(a_redis_that_comes_back_empty_is_worked_with)
{
	struct push_stand *stand = push_start_pushd("presence { grace = 0 }");

	redis_kill(stand->stack);
	WAIT_UNTIL(strstr(stack_file(stand->stack, "pushd0.log"), "level=warning msg=\"Redis: ") !=
			   NULL,
		   10000);
	redis_start(stand->stack, NULL);
	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	push_wait_for(stand, "sent", 1);
	redis_cmd(stand->stack, "FLUSHALL");
	push_offline_user(stand, "1", stand->https, "/as/201/b");
	push_notify(stand, "{'user_ids':[1],'title':'a'}");
	push_wait_for(stand, "sent", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/b"), 1);
	push_stop(stand);
}
END_TEST

START_TEST(the_fewest_rights_are_enough)
{
	struct push_stand *stand = push_start("presence { grace = 1 }");
	const char *token = token_for(stand->stack, "1");
	const char *env[] = {
		"PRESENCE_REDIS_URL",
		text_of("unix://presence:of-the-test@%s/redis.sock", stand->stack->dir), NULL};

	redis_make_user(stand->stack, "of-the-test");
	stack_write_conf(stand->stack,
			 text_of("%s\nredis { url = \"%s\" }\n",
				 strstr(stack_file(stand->stack, "presence.conf"), "push {"),
				 env[1]));
	lighttpd_change(stand->stack, NULL, "");
	pushd_start(stand, 0, env);
	redis_cmd(stand->stack, "ACL SETUSER default off");
	redis_cmd(stand->stack, "CLIENT KILL USER default SKIPME yes");
	push_subscribe(stand, token, stand->https, "/as/500/1");
	want(stand, token, "2");
	touch_user(stand->stack, "2");
	push_notify(stand, "{'user_ids':[1],'title':'a','only_if':'always','ttl':60,'tag':'t'}");
	http_ok(stand->stack, LOGOUT "?all=true", token_for(stand->stack, "3"), "");
	redis_cmd(stand->stack, "ACL SETUSER default on");
	push_wait_for(stand, "sent", 1);
	push_wait_for(stand, "online", 1);
	ck_assert_int_eq(push_count(stand, "failed"), 1);
	push_wait_until_idle(stand);
	check_has_not(stack_file(stand->stack, "pushd0.log"), "NOPERM");
	push_stop(stand);
}
END_TEST

START_TEST(without_a_key_it_does_not_start)
{
	struct stack *stack = stack_new("");
	const char *argv[] = {program("presence-pushd"), "-c", stack_path(stack, "presence.conf"),
			      NULL};

	ck_assert_int_eq(run(stack, NULL, NULL, argv), 2);
	check_has(stack_file(stack, "run.log"), "push.key_file is not set");
	stack_stop(stack);
}
END_TEST

/* --- SIGHUP ------------------------------------------------------------------------------- */

/* The configuration with more at its end, where later values win. */
static void add_to_conf(struct push_stand *stand, const char *text)
{
	stack_write_conf(stand->stack,
			 text_of("%s\n%s",
				 strstr(stack_file(stand->stack, "presence.conf"), "push {"),
				 text));
}

static void reload(struct push_stand *stand, const char *says)
{
	size_t before = strlen(stack_file(stand->stack, "pushd0.log"));

	kill(stand->pushd[0], SIGHUP);
	WAIT_UNTIL(strstr(stack_file(stand->stack, "pushd0.log") + before, says) != NULL, 5000);
}

/* The key that the push service was shown with its last request. */
static const char *shown_key(struct push_stand *stand, int index)
{
	const char *authorization = json_text(
		json_at(push_request(stand, "/as/201/a", index), "headers"), "authorization");

	return strstr(authorization, "k=");
}

START_TEST(sighup_has_the_configuration_and_the_keys_read_again)
{
	struct push_stand *stand = push_start_pushd(FAST);
	pid_t pid = stand->pushd[0];

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	push_notify(stand, "{'user_ids':[1],'title':'a'," ALWAYS "}");
	push_wait_for(stand, "sent", 1);
	stack_write_secret(stand->stack, "push2.pem", CTL(stand->stack, "push", "key"));
	add_to_conf(stand, text_of("push { key_file = \"%s\" }\nlog { level = debug }",
				   stack_path(stand->stack, "push2.pem")));
	reload(stand, "configuration read again");
	push_notify(stand, "{'user_ids':[1],'title':'a'," ALWAYS "}");
	push_wait_for(stand, "sent", 2);
	ck_assert_str_ne(shown_key(stand, 0), shown_key(stand, 1));
	/* A push service that is allowed no more. */
	add_to_conf(stand, "push { allow = \"push.example.com\" }");
	reload(stand, "configuration read again");
	push_notify(stand, "{'user_ids':[1],'title':'a'," ALWAYS "}");
	push_wait_for(stand, "gone", 1);
	ck_assert_int_eq(push_received(stand, "/as/201/a"), 2);
	ck_assert_int_eq(stand->pushd[0], pid);
	push_stop(stand);
}
END_TEST

START_TEST(a_bad_configuration_or_key_at_sighup_changes_nothing)
{
	struct push_stand *stand = push_start_pushd(FAST);

	push_offline_user(stand, "1", stand->https, "/as/201/a");
	add_to_conf(stand, "push { key_file = \"\" }");
	reload(stand, "push.key_file is not set, so there is nothing to do; the old");
	stack_write_secret(stand->stack, "push.pem", "no key");
	add_to_conf(stand,
		    text_of("push { key_file = \"%s\" }", stack_path(stand->stack, "push.pem")));
	reload(stand, "the old configuration stays");
	stack_write(stand->stack, "presence.conf", "push {\n timeout_ms = soon\n}\n");
	reload(stand, "presence.conf:2:");
	push_notify(stand, "{'user_ids':[1],'title':'a'," ALWAYS "}");
	push_wait_for(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

START_TEST(sighup_in_the_middle_loses_and_repeats_nothing)
{
	struct push_stand *stand = push_start(FAST);

	push_queue_many(stand, 0, 300);
	pushd_start(stand, 0, NULL);
	for (int i = 0; i < 3; i++) {
		WAIT_UNTIL(push_count(stand, "sent") > 50 * i, 30000);
		reload(stand, "configuration read again");
	}
	WAIT_UNTIL(push_is_idle(stand), 60000);
	ck_assert_int_eq(push_count_repeated(stand, 300), 0);
	push_stop(stand);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pushd");
	TCase *tcase = harness_case(suite, "sending", 60);

	tcase_add_test(tcase, a_foreign_implementation_decrypts_what_was_sent);
	tcase_add_test(tcase, a_request_has_the_fields_of_the_standards);
	tcase_add_test(tcase, each_subscription_of_a_user_gets_it);

	tcase = harness_case(suite, "who is told", 60);
	tcase_add_test(tcase, who_is_offline_is_told_and_who_is_online_is_not);
	tcase_add_test(tcase, who_comes_online_before_the_moment_of_sending_gets_nothing);
	tcase_add_test(tcase, who_is_away_is_told_what_is_for_the_absent);
	tcase_add_test(tcase, do_not_disturb_holds_it_unless_it_is_urgent);
	tcase_add_test(tcase, what_do_not_disturb_held_is_sent_when_it_ends);
	tcase_add_test(tcase, who_is_online_when_do_not_disturb_ends_gets_nothing);
	tcase_add_test(tcase, nobody_gets_more_than_six_in_an_hour);
	tcase_add_test(tcase, of_one_tag_the_newest_is_sent);
	tcase_add_test(tcase, who_has_unsubscribed_meanwhile_gets_nothing);

	tcase = harness_case(suite, "friends", 60);
	tcase_add_test(tcase, who_waits_for_a_friend_is_told_once);
	tcase_add_test(tcase, who_does_not_wait_any_more_is_not_told);
	tcase_add_test(tcase, a_friend_who_left_again_is_waited_for_anew);
	tcase_add_loop_test(tcase, nobody_is_told_of_a_friend_across_a_block, 0,
			    sizeof blocks / sizeof blocks[0]);
	tcase_add_test(tcase,
		       a_block_that_ends_before_the_friend_comes_brings_back_no_note_made_under_it);
	tcase_add_test(tcase, nobody_is_told_of_a_friend_who_is_invisible);
	tcase_add_test(tcase, who_waits_invisibly_is_told_as_one_who_is_offline);

	tcase = harness_case(suite, "processes", 200);
	tcase_add_test(tcase, a_kill_loses_nothing_and_repeats_what_was_under_way);
	tcase_add_test(tcase, two_share_the_work_and_send_nothing_twice);
	tcase_add_test(tcase, a_stop_ends_what_is_under_way_and_leaves_the_rest);
	tcase_add_test(tcase, sighup_has_the_configuration_and_the_keys_read_again);
	tcase_add_test(tcase, a_bad_configuration_or_key_at_sighup_changes_nothing);
	tcase_add_test(tcase, sighup_in_the_middle_loses_and_repeats_nothing);
	tcase_add_test(tcase, a_redis_that_comes_back_empty_is_worked_with);
	tcase_add_test(tcase, the_fewest_rights_are_enough);
	tcase_add_test(tcase, without_a_key_it_does_not_start);
	return push_main(suite);
}
