/*
 * The store's scripts on a real Redis, called as the programs call them: every
 * rule of sessions, transitions and sweeps at its edges.
 */
#include "operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/times.h"
#include "store/blocks.h"
#include "store/figures.h"
#include "store/throttle.h"

#define TIMES "presence { online_ttl = 100 stream_ttl = 50 grace = 10 heartbeat = 20 sweep = 1 "

static void setup(void)
{
	call_start(TIMES "}\n");
}

START_TEST(a_first_touch_brings_online_and_is_published_once)
{
	struct listener *listener = listener_open(stack, "user:status:*");

	ck_assert_int_eq(call_touch("1", "a", NULL, "login"), STORE_DONE);
	call_check_change(listener, "1", true, "login");
	ck_assert(call_is_online("1"));
	ck_assert_int_eq(call_touch("1", "a", NULL, "activity"), STORE_DONE);
	ck_assert_int_eq(call_touch("1", "b", "w", "stream_open"), STORE_DONE);
	call_check_silence(listener);
}
END_TEST

START_TEST(broadcast_carries_the_same_message)
{
	struct listener *listener = listener_open(stack, "*");
	struct message *first, *second;

	call_touch("anna", "a", NULL, "login");
	first = listener_next(listener, 2000);
	second = listener_next(listener, 2000);
	ck_assert(first != NULL && second != NULL);
	ck_assert_str_eq(first->channel, "user:status:anna");
	ck_assert_str_eq(second->channel, "presence:broadcast");
	ck_assert_str_eq(first->text, second->text);
	CHECK_JSON(first->json, "{'user_id':'anna','is_online':true,'status':'online',"
				"'last_activity':'<time>','version':'<version>','reason':'login'}");
}
END_TEST

START_TEST(a_missing_key_or_set_member_is_announced_again)
{
	struct listener *listener;

	call_touch("1", "a", NULL, "login");
	call_touch("2", "a", NULL, "login");
	redis_int(stack, "DEL user:online:1");
	redis_int(stack, "SREM online_users 2");
	listener = listener_open(stack, "user:status:*");
	call_touch("1", "a", NULL, "activity");
	call_check_change(listener, "1", true, "activity");
	call_touch("2", "a", NULL, "activity");
	call_check_change(listener, "2", true, "activity");
	ck_assert(call_is_online("1") && call_is_online("2"));
}
END_TEST

START_TEST(the_key_lives_as_long_as_the_latest_session)
{
	call_touch("1", "a", "w", "stream_open"); /* token 100 s, stream 50 s */
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
	call_renew("1", "a", "w"); /* must not shorten it */
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
	call_close("1", "a", "w");
	ck_assert_int_le(redis_int(stack, "PTTL user:online:1"), 10001);
}
END_TEST

START_TEST(closing_one_of_two_streams_leaves_the_token_alone)
{
	call_touch("1", "a", "w1", "stream_open");
	call_touch("1", "a", "w2", "stream_open");
	call_close("1", "a", "w1");
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
	call_close("1", "a", "w2");
	ck_assert_int_le(redis_int(stack, "PTTL user:online:1"), 10001);
	ck_assert(call_is_online("1"));
}
END_TEST

START_TEST(a_token_whose_name_begins_like_another_is_another)
{
	call_touch("1", "a", "w1", "stream_open");
	call_touch("1", "a:b", "w2", "stream_open");
	call_close("1", "a", "w1"); /* the last stream of "a" */
	ck_assert_str_eq(
		redis_text(stack, "EVAL %s 0",
			   "return tostring(redis.call('ZSCORE', 'user:sessions:1', 't:a') % 1)"),
		"0.5");
	ck_assert_str_eq(
		redis_text(stack, "EVAL %s 0",
			   "return tostring(redis.call('ZSCORE', 'user:sessions:1', 't:a:b') % 1)"),
		"0");
}
END_TEST

START_TEST(closing_raises_nothing_from_the_dead)
{
	call_touch("1", "a", "w", "stream_open");
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_DONE);
	call_close("1", "a", "w");
	ck_assert(!call_is_online("1"));
	ck_assert(!redis_has(stack, "user:sessions:1"));
	ck_assert_int_eq(redis_int(stack, "ZCARD presence:deadlines"), 0);
}
END_TEST

START_TEST(logout_is_final_and_said_once)
{
	struct listener *listener;

	call_touch("1", "a", NULL, "login");
	listener = listener_open(stack, "user:status:*");
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_DONE);
	call_check_change(listener, "1", false, "logout");
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_REVOKED);
	ck_assert_int_eq(call_touch("1", "a", NULL, "activity"), STORE_REVOKED);
	ck_assert_int_eq(call_renew("1", "a", "w"), STORE_REVOKED);
	call_check_silence(listener);
	ck_assert_int_ge(redis_int(stack, "TTL presence:revoked:1/a"),
			 config->auth.token_lifetime + config->auth.leeway - 2);
}
END_TEST

START_TEST(logout_leaves_another_device_online)
{
	struct listener *listener;

	call_touch("1", "a", NULL, "login");
	call_touch("1", "b", NULL, "login");
	listener = listener_open(stack, "user:status:*");
	call_end("1", "a", false, "logout");
	call_check_silence(listener);
	ck_assert(call_is_online("1"));
	ck_assert_int_eq(call_touch("1", "b", NULL, "activity"), STORE_DONE);
}
END_TEST

START_TEST(logout_tells_the_tokens_streams)
{
	struct listener *listener;
	struct message *message;

	call_touch("1", "a", NULL, "login");
	call_touch("1", "b", NULL, "login"); /* the user stays online: nothing else is told */
	listener = listener_open(stack, "user:inbox:*");
	call_end("1", "a", false, "logout");
	message = listener_next(listener, 2000);
	ck_assert(message != NULL);
	ck_assert_str_eq(message->channel, "user:inbox:1");
	CHECK_JSON(message->json, "{'type':'revoked','tok':'a'}");
}
END_TEST

START_TEST(a_kick_refuses_every_token_issued_before)
{
	call_touch("1", "a", NULL, "login");
	call_touch("1", "b", "w", "stream_open");
	ck_assert_int_eq(call_end("1", NULL, true, "kicked"), STORE_DONE);
	ck_assert(!call_is_online("1"));
	ck_assert_int_eq(call_touch("1", "a", NULL, "activity"), STORE_REVOKED);
	ck_assert_int_eq(call_touch("1", "never-used", NULL, "activity"),
			 STORE_REVOKED); /* iat 1000 */
	ck_assert_int_eq(call_touch("2", "c", NULL, "activity"), STORE_DONE);
}
END_TEST

START_TEST(a_kick_refuses_tokens_of_this_very_second_that_are_in_use)
{
	struct userid who = call_user("1");
	int64_t second =
		redis_int(stack, "EVAL %s 0", "return tonumber(redis.call('TIME')[1])") + 60;
	const char *toks[] = {"by-request", "by-stream:alone"};
	struct printbuf *out;
	redisReply *reply;

	/* Issued in a second that not_before, when it comes to it, will not be after. */
	for (size_t i = 0; i < 2; i++) {
		struct store_touch item = {.user = &who,
					   .tok = toks[i],
					   .iat = second,
					   .stream = i == 1 ? "w" : NULL,
					   .token = i == 0,
					   .reason = "activity"};

		for (int round = 0; round < 2; round++) {
			out = buf_new();
			store_put_touch(out, store, false, &item, 1);
			reply = call_run(out);
			ck_assert_int_eq(store_read_touch(reply, 0),
					 round == 0 ? STORE_DONE : STORE_REVOKED);
			reply_free(reply);
			if (round == 0)
				call_end("1", NULL, true, "kicked");
		}
	}
	ck_assert(!call_is_online("1"));
}
END_TEST

START_TEST(versions_grow_with_every_transition_even_when_clocks_jump)
{
	long long before, after;

	call_touch("1", "a", NULL, "login");
	freeReplyObject(redis_cmd(stack, "SET presence:version:1 8000000000000000"));
	call_end("1", "a", false, "logout");
	before = atoll(redis_text(stack, "GET presence:version:1"));
	ck_assert_int_eq(before, 8000000000000001);
	call_touch("1", "b", NULL, "login");
	after = atoll(redis_text(stack, "GET presence:version:1"));
	ck_assert_int_eq(after, 8000000000000002);
	ck_assert(strstr(redis_text(stack, "GET user:online:1"), "8000000000000002") != NULL);
}
END_TEST

START_TEST(a_lapsed_user_is_swept_with_the_reason_expired)
{
	struct listener *listener;

	call_touch("1", "a", NULL, "login");
	freeReplyObject(redis_cmd(stack, "SET user:websocket:1 x"));
	listener = listener_open(stack, "user:status:*");
	call_sweep(true);
	ck_assert(call_is_online("1"));
	call_lapse("1", "t:a");
	call_sweep(true);
	call_check_change(listener, "1", false, "expired");
	ck_assert(!call_is_online("1"));
	ck_assert(!redis_has(stack, "user:websocket:1"));
	ck_assert(!redis_has(stack, "user:sessions:1"));
	call_sweep(true);
	call_check_silence(listener);
}
END_TEST

START_TEST(a_closed_stream_whose_grace_passed_is_swept_as_stream_closed)
{
	struct listener *listener;

	call_touch("1", "a", "w", "stream_open");
	call_close("1", "a", "w");
	call_lapse("1", "s:a:w");
	call_lapse("1", "t:a");
	listener = listener_open(stack, "user:status:*");
	call_sweep(true);
	call_check_change(listener, "1", false, "stream_closed");
}
END_TEST

START_TEST(sweeping_believes_the_sessions_not_the_deadline)
{
	call_touch("1", "a", NULL, "login");
	redis_int(stack, "ZADD presence:deadlines 1 1");
	call_sweep(true);
	ck_assert(call_is_online("1"));
	ck_assert_int_gt(atoll(redis_text(stack, "ZSCORE presence:deadlines 1")), 1000000);
}
END_TEST

START_TEST(after_a_pause_a_user_with_a_stream_is_held)
{
	call_touch("1", "a", "w", "stream_open");
	call_touch("2", "b", NULL, "login");
	call_lapse("1", "s:a:w");
	call_lapse("1", "t:a");
	call_lapse("2", "t:b");
	freeReplyObject(redis_cmd(stack, "SET presence:swept 1000")); /* long ago */
	call_sweep(true);
	ck_assert_msg(call_is_online("1"), "the living must have a chance to renew");
	ck_assert_msg(!call_is_online("2"), "without a stream there is nobody to wait for");
	call_sweep(true); /* swept is fresh now: the hold must last all the same */
	redis_int(stack, "ZADD presence:deadlines 1 1");
	call_sweep(true);
	ck_assert(call_is_online("1"));
	ck_assert_int_le(redis_int(stack, "PTTL presence:hold"), 21000);
	redis_int(stack, "DEL presence:hold");
	redis_int(stack, "ZADD presence:deadlines 1 1");
	call_sweep(true);
	ck_assert(!call_is_online("1"));
}
END_TEST

START_TEST(a_sweep_takes_200_users_and_says_that_there_are_more)
{
	freeReplyObject(
		redis_cmd(stack, "EVAL %s 0",
			  "for i = 1, 450 do redis.call('ZADD', 'presence:deadlines', 1, i) "
			  "redis.call('SADD', 'online_users', i) end return 1"));
	ck_assert(call_sweep(true));
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 250);
	ck_assert(call_sweep(true));
	ck_assert(!call_sweep(true));
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
}
END_TEST

/* How many of online_users a sweep compared; before it, the last one is `ms` ago. */
static int64_t compared_after(int ms)
{
	struct printbuf *out = buf_new();
	struct store_sweep swept;
	redisReply *reply;

	freeReplyObject(redis_cmd(stack, "EVAL %s 0 %d",
				  "local t = redis.call('TIME')[1] * 1000 - ARGV[1] "
				  "redis.call('SET', 'presence:swept', string.format('%.0f', t))",
				  ms));
	store_put_sweep(out, store, true, "word");
	reply = call_run(out);
	ck_assert(store_read_sweep(reply, &swept));
	reply_free(reply);
	return swept.checked;
}

START_TEST(each_ghost_among_many_is_found_and_few_sweeps_look)
{
	int looked = 0;

	call_sweep(true);
	redis_int(stack, "DEL presence:recovering");
	freeReplyObject(
		redis_cmd(stack, "EVAL %s 0",
			  "for i = 1, 2000 do redis.call('SADD', 'online_users', i) end return 1"));
	for (int i = 0; i < 20; i++)
		looked += compared_after(0) > 0;
	ck_assert_msg(looked <= 1, "%d of 20 sweeps in a moment compared users", looked);
	for (int i = 0; redis_has(stack, "online_users"); i++) {
		ck_assert_msg(i < 2000, "%lld ghosts are left",
			      (long long)redis_int(stack, "SCARD online_users"));
		ck_assert_int_le(compared_after(5000), 100);
	}
}
END_TEST

START_TEST(the_epoch_is_made_once)
{
	redis_int(stack, "DEL presence:epoch");
	call_sweep(true);
	ck_assert_str_eq(redis_text(stack, "GET presence:epoch"), "word");
	freeReplyObject(redis_cmd(stack, "SET presence:epoch other"));
	call_sweep(true);
	ck_assert_str_eq(redis_text(stack, "GET presence:epoch"), "other");
}
END_TEST

START_TEST(workers_sweep_where_no_streamd_does)
{
	call_touch("1", "a", NULL, "login");
	call_lapse("1", "t:a");
	call_touch_as_worker("9", "w");
	ck_assert(!call_is_online("1"));
	ck_assert(call_is_online("9"));
}
END_TEST

START_TEST(workers_leave_sweeping_to_a_streamd)
{
	call_touch("1", "a", NULL, "login");
	call_sweep(true);
	call_lapse("1", "t:a");
	call_touch_as_worker("9", "w");
	ck_assert(call_is_online("1"));
}
END_TEST

START_TEST(workers_spare_a_user_with_a_stream_for_stream_ttl)
{
	call_touch("1", "a", "w", "stream_open");
	call_lapse("1", "s:a:w");
	call_lapse("1", "t:a");
	call_touch_as_worker("9", "w");
	ck_assert(call_is_online("1"));
	ck_assert_int_eq(redis_int(stack, "EXISTS presence:sweeping"), 1);
}
END_TEST

START_TEST(streams_of_one_user_are_limited)
{
	char word[16];

	for (int i = 0; i < config->stream.max_streams_per_user; i++) {
		snprintf(word, sizeof word, "w%d", i);
		ck_assert_int_eq(call_touch("1", "a", word, "stream_open"), STORE_DONE);
	}
	ck_assert_int_eq(call_touch("1", "a", "more", "stream_open"), STORE_TOO_MANY);
	ck_assert_int_eq(call_renew("1", "a", "w0"), STORE_DONE);
	call_close("1", "a", "w1"); /* one that waits for its grace takes no place */
	ck_assert_int_eq(call_touch("1", "a", "more", "stream_open"), STORE_DONE);
}
END_TEST

START_TEST(sessions_of_one_user_are_limited)
{
	char tok[16];

	call_stop();
	call_start(TIMES "max_sessions = 3 }\n");
	for (int i = 0; i < 10; i++) {
		snprintf(tok, sizeof tok, "tok%d", i);
		ck_assert_int_eq(call_touch("1", tok, NULL, "activity"), STORE_DONE);
	}
	ck_assert_int_eq(redis_int(stack, "ZCARD user:sessions:1"), 3);
	ck_assert(call_is_online("1"));
}
END_TEST

START_TEST(a_key_of_the_wrong_type_spoils_one_user_alone)
{
	struct printbuf *out = buf_new();
	struct userid bad = call_user("bad"), good = call_user("good");
	struct store_touch items[] = {
		{.user = &bad, .tok = "a", .iat = 1, .token = true, .reason = "login"},
		{.user = &good, .tok = "b", .iat = 1, .token = true, .reason = "login"},
	};
	redisReply *reply;

	freeReplyObject(redis_cmd(stack, "SET user:sessions:bad x"));
	store_put_touch(out, store, false, items, 2);
	reply = call_run(out);
	ck_assert_int_eq(store_read_touch(reply, 0), STORE_FAILED);
	ck_assert_int_eq(store_read_touch(reply, 1), STORE_DONE);
	reply_free(reply);
	redis_int(stack, "ZADD presence:deadlines 1 bad");
	call_lapse("good", "t:b");
	call_sweep(true);
	ck_assert(!call_is_online("good"));
}
END_TEST

/* Everything that a touch reads of a user, each as a List. */
static const struct {
	const char *key;
	enum store_verdict verdict;
} wrong_types[] = {
	{"user:sessions:bad", STORE_FAILED},	{"user:idle:bad", STORE_FAILED},
	{"user:online:bad", STORE_DONE},	{"user:chosen:bad", STORE_DONE},
	{"user:settings:bad", STORE_DONE},	{"user:last_seen:bad", STORE_DONE},
	{"presence:version:bad", STORE_DONE},	{"presence:rate:idle:bad", STORE_DONE},
	{"presence:revoked:bad/a", STORE_DONE}, {"presence:not_before:bad", STORE_DONE},
	{"user:websocket:bad", STORE_DONE},
};

START_TEST(a_touch_that_fails_at_a_wrong_type_does_nothing)
{
	struct printbuf *out = buf_new();
	struct userid bad = call_user("bad"), good = call_user("good");
	struct store_touch items[] = {
		{.user = &bad,
		 .tok = "a",
		 .iat = 1,
		 .token = true,
		 .reason = "login",
		 .idle = STORE_IDLE},
		{.user = &good, .tok = "b", .iat = 1, .token = true, .reason = "login"},
	};
	redisReply *reply;
	char *before;

	freeReplyObject(redis_cmd(stack, "LPUSH %s x", wrong_types[_i].key));
	before = redis_dump(stack);
	store_put_touch(out, store, STORE_STREAMD, items, 2);
	reply = call_run(out);
	ck_assert_int_eq(store_read_touch(reply, 0), wrong_types[_i].verdict);
	ck_assert_int_eq(store_read_touch(reply, 1), STORE_DONE);
	reply_free(reply);
	ck_assert_int_eq(call_is_online("bad"), wrong_types[_i].verdict == STORE_DONE);
	call_end("good", NULL, true, "kicked");
	redis_int(stack, "DEL user:last_seen:good presence:version:good presence:not_before:good "
			 "presence:revoked:good/b");
	if (wrong_types[_i].verdict == STORE_FAILED)
		ck_assert_str_eq(redis_dump(stack), before);
}
END_TEST

START_TEST(a_limit_that_is_no_number_is_none)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user("1"), other = call_user("2");
	struct store_touch item = {.user = &who,
				   .tok = "a",
				   .iat = 1,
				   .token = true,
				   .reason = "activity",
				   .idle = STORE_IDLE};
	static const char *const numbers[] = {"x", "", "1.5", "nan", "-3", "1e3", "7"};
	redisReply *reply;
	int64_t wait;

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		/* Without an end, so that it would hold for ever. */
		freeReplyObject(redis_cmd(stack,
					  "MSET presence:rate:idle:1 %s "
					  "presence:rate:blocks:1 %s",
					  numbers[i], numbers[i]));
		item.idle = i % 2 == 0 ? STORE_IDLE : STORE_ACTIVE;
		store_put_touch(out, store, STORE_STREAMD, &item, 1);
		reply = call_run(out);
		ck_assert_int_eq(store_read_touch(reply, 0), STORE_DONE);
		reply_free(reply);
		ck_assert_str_eq(redis_text(stack, "GET presence:rate:idle:1"), "1");
		out = buf_new();
		blocks_put_may(out, store, &who, "a", 1, &other, true);
		reply = call_run(out);
		ck_assert_int_eq(blocks_read_may(reply, &wait), STORE_DONE);
		reply_free(reply);
		ck_assert_int_gt(redis_int(stack, "PTTL presence:rate:blocks:1"), 20000);
		out = buf_new();
	}
	printbuf_free(out);
}
END_TEST

START_TEST(a_login_is_throttled_whatever_somebody_else_wrote_there)
{
	struct printbuf *out = buf_new();
	redisReply *reply;
	int64_t now;
	int wait;

	freeReplyObject(redis_cmd(stack, "MSET presence:throttle:account:x no "
					 "presence:throttle:addr:y 99"));
	throttle_put(out, store, "account:x", "addr:y");
	reply = call_run(out);
	ck_assert(throttle_read(reply, &wait, &now));
	ck_assert_int_eq(wait, 0);
	reply_free(reply);
	ck_assert_str_eq(redis_text(stack, "GET presence:throttle:account:x"), "1");
	ck_assert_int_gt(redis_int(stack, "TTL presence:throttle:addr:y"), 290);
	out = buf_new();
	throttle_put_success(out, store, "account:x", "addr:y");
	reply_free(call_run(out));
	ck_assert(!redis_has(stack, "presence:throttle:account:x"));
	ck_assert_str_eq(redis_text(stack, "GET presence:throttle:addr:y"), "0");
}
END_TEST

START_TEST(scripts_are_loaded_again_after_redis_forgot_them)
{
	call_touch("1", "a", NULL, "login");
	freeReplyObject(redis_cmd(stack, "SCRIPT FLUSH"));
	ck_assert_int_eq(call_touch("1", "a", NULL, "activity"), STORE_DONE);
}
END_TEST

START_TEST(a_prefix_keeps_two_sites_apart)
{
	struct listener *listener;

	call_touch("1", "a", NULL, "login");
	blocking_free(redis);
	store_free(store);
	free(config->redis.prefix);
	config->redis.prefix = strdup("shop:");
	store = store_new(config, 0, config->redis.prefix);
	redis = blocking_new(config, 0);
	freeReplyObject(redis_cmd(stack, "SET shop:presence:epoch known"));
	listener = listener_open(stack, "*user:status:*");
	ck_assert_int_eq(call_end("1", NULL, true, "kicked"), STORE_DONE);
	call_check_silence(listener);
	ck_assert(call_is_online("1"));
	call_touch("2", "b", NULL,
		   "login"); /* refused nothing: its iat is old, but user 2 was not kicked */
	ck_assert(redis_has(stack, "shop:user:online:2"));
	ck_assert(!redis_has(stack, "user:online:2"));
}
END_TEST

START_TEST(versions_start_at_the_week_and_grow_by_one)
{
	long long week =
		redis_int(stack, "EVAL %s 0", "return math.floor(redis.call('TIME')[1] / 604800)");

	call_touch("1", "a", NULL, "login");
	ck_assert_int_eq(redis_int(stack, "GET presence:version:1"), week * 1000000000);
	call_end("1", "a", false, "logout");
	ck_assert_int_eq(redis_int(stack, "GET presence:version:1"), week * 1000000000 + 1);
	ck_assert_int_ge(redis_int(stack, "TTL presence:version:1"), 8 * 86400 - 2);
}
END_TEST

START_TEST(versions_of_the_release_before_are_counted_on_from)
{
	freeReplyObject(redis_cmd(stack, "SET presence:version:1 1795516637221119"));
	call_touch("1", "a", NULL, "login");
	ck_assert_str_eq(redis_text(stack, "GET presence:version:1"), "1795516637221120");
	ck_assert(strstr(redis_text(stack, "GET user:online:1"), "\"version\":1795516637221120}") !=
		  NULL);
}
END_TEST

START_TEST(a_version_that_somebody_else_wrote_is_no_obstacle)
{
	static const char *const values[] = {"x", "-5", "1e300", "nan", "9007199254740993"};
	long long week =
		redis_int(stack, "EVAL %s 0", "return math.floor(redis.call('TIME')[1] / 604800)");
	char id[8];

	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof id, "%d", i + 1);
		freeReplyObject(redis_cmd(stack, "SET presence:version:%s %s", id, values[i]));
		call_touch(id, "a", NULL, "login");
		ck_assert_int_eq(redis_int(stack, "GET presence:version:%s", id),
				 week * 1000000000);
	}
}
END_TEST

START_TEST(a_logout_leaves_another_user_with_a_token_of_that_name_alone)
{
	call_touch("1", "shared", NULL, "activity");
	call_touch("2", "shared", NULL, "activity");
	ck_assert_int_eq(call_end("1", "shared", false, "logout"), STORE_DONE);
	ck_assert_int_eq(call_touch("1", "shared", NULL, "activity"), STORE_REVOKED);
	ck_assert_int_eq(call_touch("2", "shared", NULL, "activity"), STORE_DONE);
	call_end("1", NULL, true, "kicked");
	ck_assert_int_eq(call_touch("2", "shared", NULL, "activity"), STORE_DONE);
}
END_TEST

START_TEST(a_close_may_be_said_twice)
{
	long long ends;

	call_touch("1", "a", "w", "stream_open");
	call_close("1", "a", "w");
	ends = redis_int(stack, "ZSCORE user:sessions:1 t:a");
	call_close("1", "a", "w");
	ck_assert_int_eq(redis_int(stack, "ZSCORE user:sessions:1 t:a"), ends);
	/* The token is used again: what is said late is about the time before. */
	call_touch("1", "a", NULL, "activity");
	call_close_ago("1", "a", "w", 5000);
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
}
END_TEST

START_TEST(a_close_that_is_told_late_ends_its_user_by_when_it_was)
{
	struct listener *listener;

	call_touch("1", "a", "w", "stream_open");
	/* 30 s ago, when the token's last request was longer ago still. */
	redis_int(stack, "EVAL %s 0",
		  "local t = redis.call('TIME') local now = t[1] * 1000 "
		  "redis.call('ZADD', 'user:sessions:1', now + 60000, 't:a') return 1");
	listener = listener_open(stack, "user:status:*");
	call_close_ago("1", "a", "w", 30000); /* grace is 10 s */
	call_check_change(listener, "1", false, "stream_closed");
	ck_assert(!call_is_online("1"));
}
END_TEST

/* Two processes tell of their streams when their links let them: the first to close may be the last to
 * be told of. */
START_TEST(closes_that_are_told_in_another_order_end_the_token_too)
{
	call_touch("1", "a", "first", "stream_open");
	call_touch("1", "a", "last", "stream_open");
	call_close("1", "a", "last");
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
	call_close_ago("1", "a", "first", 5000);
	ck_assert_int_le(redis_int(stack, "PTTL user:online:1"), 10001); /* grace */
}
END_TEST

START_TEST(a_close_that_is_told_late_leaves_a_token_that_was_used_since_all_had_closed)
{
	call_touch("1", "a", "first", "stream_open");
	call_touch("1", "a", "last", "stream_open");
	call_close_ago("1", "a", "last", 1);
	call_touch("1", "a", NULL, "activity");
	call_close_ago("1", "a", "first", 5000);
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
}
END_TEST

START_TEST(a_close_tells_what_could_not_be_done)
{
	struct printbuf *out = buf_new();
	struct userid bad = call_user("bad"), good = call_user("good");
	struct store_close items[] = {{&bad, "a", "w", 0}, {&good, "a", "w", 0}};
	redisReply *reply;

	freeReplyObject(redis_cmd(stack, "SET user:sessions:bad x"));
	store_put_close(out, store, items, 2);
	reply = call_run(out);
	ck_assert_int_eq(store_read_close(reply, 0), STORE_FAILED);
	ck_assert_int_eq(store_read_close(reply, 1), STORE_DONE);
	ck_assert_int_eq(store_read_close(reply, 2), STORE_FAILED);
	reply_free(reply);
}
END_TEST

START_TEST(a_stream_that_comes_back_may_be_one_too_many)
{
	char word[16];

	for (int i = 0; i < config->stream.max_streams_per_user; i++) {
		snprintf(word, sizeof word, "w%d", i);
		ck_assert_int_eq(call_renew("1", "a", word), STORE_DONE);
	}
	ck_assert_int_eq(call_renew("1", "a", "more"), STORE_TOO_MANY);
	ck_assert_int_eq(call_renew("1", "a", "w0"), STORE_DONE);
	ck_assert(redis_text(stack, "ZSCORE user:sessions:1 s:a:more") == NULL);
}
END_TEST

START_TEST(tokens_push_no_stream_out)
{
	char tok[16];

	call_stop();
	call_start(TIMES "max_sessions = 4 }\n");
	call_touch("1", "a", "w1", "stream_open");
	call_touch("1", "b", "w2", "stream_open");
	call_touch("1", "c", "w3", "stream_open");
	call_close("1", "c", "w3");
	for (int i = 0; i < 30; i++) {
		snprintf(tok, sizeof tok, "tok%d", i);
		call_touch("1", tok, NULL, "activity");
	}
	ck_assert_int_eq(redis_int(stack, "ZCARD user:sessions:1"), 4);
	ck_assert_ptr_nonnull(redis_text(stack, "ZSCORE user:sessions:1 s:a:w1"));
	ck_assert_ptr_nonnull(redis_text(stack, "ZSCORE user:sessions:1 s:b:w2"));
	ck_assert_msg(redis_text(stack, "ZSCORE user:sessions:1 s:c:w3") == NULL,
		      "a stream that closed stayed, and a live token went");
	ck_assert_ptr_nonnull(redis_text(stack, "ZSCORE user:sessions:1 t:tok29"));
}
END_TEST

/* A call's script that comes after its touch, which may have been the last of the token. */
START_TEST(nothing_is_done_for_a_token_that_was_revoked_since_its_touch)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user("1"), other = call_user("2");
	redisReply *reply;
	int64_t wait;

	call_touch("1", "a", NULL, "activity");
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_DONE);
	store_put_settings(out, store, &who, "a", 1000, "{\"typing\":false}");
	reply = call_run(out);
	ck_assert_int_eq(store_read_noted(reply), STORE_REVOKED);
	reply_free(reply);
	out = buf_new();
	store_put_websocket(out, store, &who, "a", 1000, "w");
	reply = call_run(out);
	ck_assert_int_eq(store_read_noted(reply), STORE_REVOKED);
	reply_free(reply);
	out = buf_new();
	blocks_put_may(out, store, &who, "a", 1000, &other, true);
	reply = call_run(out);
	ck_assert_int_eq(blocks_read_may(reply, &wait), STORE_REVOKED);
	reply_free(reply);
	ck_assert(!redis_has(stack, "user:settings:1"));
	ck_assert(!redis_has(stack, "user:websocket:1"));
	ck_assert(!redis_has(stack, "presence:rate:blocks:1"));
}
END_TEST

START_TEST(a_throttled_login_is_told_the_time_of_redis)
{
	struct printbuf *out = buf_new();
	redisReply *reply;
	int64_t now,
		before = redis_int(stack, "EVAL %s 0", "return tonumber(redis.call('TIME')[1])");
	int wait;

	throttle_put(out, store, "account:x", "addr:y");
	reply = call_run(out);
	ck_assert(throttle_read(reply, &wait, &now));
	ck_assert_int_eq(wait, 0);
	ck_assert_int_ge(now, before);
	ck_assert_int_le(now, before + 60);
	reply_free(reply);
}
END_TEST

/* --- figures --------------------------------------------------------------------------------- */

static long long told(void)
{
	return redis_int(stack, "HGET presence:figures messages_total");
}

/* Tells; whether the answer comes back. */
static void tell(struct figures *figures, bool arrives)
{
	struct printbuf *out = buf_new();
	redisReply *reply;

	figures_put(out, store, figures, 60000);
	reply = call_run(out);
	figures_read(figures, arrives ? reply : NULL);
	reply_free(reply);
}

START_TEST(what_is_told_again_for_want_of_an_answer_counts_once)
{
	struct figures *figures = figures_new("streamd");
	int64_t *messages = figures_at(figures, FIGURE_MESSAGES, NULL, NULL);

	*messages = 3;
	tell(figures, true);
	ck_assert(!figures_have_news(figures));
	*messages = 5;
	tell(figures, false);
	*messages = 9;
	tell(figures, false);
	tell(figures, true);
	ck_assert_int_eq(told(), 5);
	/* What was counted since then was not in it. */
	ck_assert(figures_have_news(figures));
	tell(figures, true);
	ck_assert_int_eq(told(), 9);
	ck_assert(!figures_have_news(figures));
	figures_free(figures);
}
END_TEST

START_TEST(a_process_with_the_pid_of_a_dead_one_is_not_taken_for_it)
{
	for (int i = 1; i <= 2; i++) {
		struct figures *figures = figures_new("streamd");

		*figures_at(figures, FIGURE_MESSAGES, NULL, NULL) = 4;
		tell(figures, true);
		ck_assert_int_eq(told(), 4LL * i);
		figures_free(figures);
	}
}
END_TEST

START_TEST(nothing_is_kept_of_a_process_that_ends_or_has_long_been_dead)
{
	struct figures *figures = figures_new("streamd"), *other = figures_new("pushd");
	struct printbuf *out = buf_new();

	tell(other, true);
	ck_assert_int_eq(redis_int(stack, "HLEN presence:figures"), 1);
	/* It was alive until 11 minutes ago. */
	redis_int(stack, "ZINCRBY presence:processes -720000 %s", figures_process(other));
	figures_put(out, store, figures, 0);
	reply_free(call_run(out));
	ck_assert_int_eq(redis_int(stack, "HLEN presence:figures"), 0);
	ck_assert_int_eq(redis_int(stack, "ZCARD presence:processes"), 0);
	figures_free(figures);
	figures_free(other);
}
END_TEST

/* How many commands that write were called since the statistics were reset. */
static long long writes(void)
{
	redisReply *reply = redis_cmd(stack, "INFO commandstats");
	static const char *const names[] = {"zadd", "set", "sadd", "pexpireat", "zrem", "del"};
	long long count = 0;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char name[48];
		const char *at;

		snprintf(name, sizeof name, "cmdstat_%s:calls=", names[i]);
		at = strstr(reply->str, name);
		count += at != NULL ? atoll(at + strlen(name)) : 0;
	}
	freeReplyObject(reply);
	return count;
}

START_TEST(a_token_renewed_within_this_second_costs_no_write)
{
	int second;

	call_sweep(true);
	/* Not all of it within one second of the clock, now and then: once more then. */
	do {
		second = (int)redis_int(stack, "EVAL %s 0",
					"return tonumber(redis.call('TIME')[1])");
		call_touch_as_worker("1", "a");
		freeReplyObject(redis_cmd(stack, "CONFIG RESETSTAT"));
		call_touch_as_worker("1", "a");
	} while (redis_int(stack, "EVAL %s 0", "return tonumber(redis.call('TIME')[1])") != second);
	ck_assert_int_eq(writes(), 0);
}
END_TEST

START_TEST(whatever_matters_is_seen_within_the_second_too)
{
	struct listener *listener;

	call_sweep(true);
	call_touch_as_worker("1", "a");
	listener = listener_open(stack, "user:status:*");
	redis_int(stack, "DEL user:online:1");
	call_touch_as_worker("1", "a");
	call_check_change(listener, "1", true, "activity");
	redis_int(stack, "SREM online_users 1");
	call_touch_as_worker("1", "a");
	call_check_change(listener, "1", true, "activity");
	call_touch_as_worker("1", "b"); /* another device, with a session of its own */
	ck_assert_ptr_nonnull(redis_text(stack, "ZSCORE user:sessions:1 t:b"));
	call_close("1", "a", "no-stream-any-more"); /* lowers the token's session */
	call_touch_as_worker("1", "a");
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_DONE);
	ck_assert_int_eq(call_touch("1", "a", NULL, "activity"), STORE_REVOKED);
}
END_TEST

START_TEST(a_request_renews_all_that_tells_of_the_token)
{
	char seen[TIMES_LEN + 1];
	int64_t second;

	call_sweep(true);
	call_touch_as_worker("1", "a");
	redis_int(stack, "EVAL %s 0",
		  "local soon = redis.call('ZSCORE', 'user:sessions:1', 't:a') - 5000 "
		  "redis.call('ZADD', 'user:sessions:1', soon, 't:a') "
		  "redis.call('ZADD', 'presence:deadlines', soon, '1') "
		  "redis.call('PEXPIREAT', 'user:online:1', soon) "
		  "redis.call('SET', 'user:last_seen:1', '2024-01-21T10:30:00Z', 'EX', 1000) "
		  "return 1");
	do {
		second = redis_int(stack, "EVAL %s 0", "return tonumber(redis.call('TIME')[1])");
		call_touch_as_worker("1", "a");
	} while (redis_int(stack, "EVAL %s 0", "return tonumber(redis.call('TIME')[1])") != second);
	times_format(second, seen);
	ck_assert_str_eq(redis_text(stack, "GET user:last_seen:1"), seen);
	ck_assert_int_gt(redis_int(stack, "TTL user:last_seen:1"), 1000);
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 98000);
	ck_assert_str_eq(redis_text(stack, "ZSCORE user:sessions:1 t:a"),
			 redis_text(stack, "ZSCORE presence:deadlines 1"));
	ck_assert_str_eq(redis_text(stack, "ZSCORE user:sessions:1 t:a"),
			 redis_text(stack, "EVAL %s 0",
				    "return tostring(string.format('%d', redis.call('PEXPIRETIME', "
				    "'user:online:1')))"));
}
END_TEST

START_TEST(a_request_within_the_second_takes_back_that_a_stream_closed)
{
	call_sweep(true);
	call_touch("1", "a", "w1", "stream_open");
	call_touch("1", "a", "w2", "stream_open");
	call_close("1", "a", "w1"); /* notes it in the token's deadline */
	ck_assert_ptr_nonnull(strchr(redis_text(stack, "ZSCORE user:sessions:1 t:a"), '.'));
	call_touch_as_worker("1", "a");
	ck_assert_ptr_null(strchr(redis_text(stack, "ZSCORE user:sessions:1 t:a"), '.'));
}
END_TEST

static enum store_verdict touch_issued(const char *id, const char *tok, int64_t iat)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_touch item = {
		.user = &who, .tok = tok, .iat = iat, .token = true, .reason = "activity"};
	enum store_verdict verdict;
	redisReply *reply;

	store_put_touch(out, store, STORE_WORKER, &item, 1);
	reply = call_run(out);
	verdict = store_read_touch(reply, 0);
	reply_free(reply);
	return verdict;
}

START_TEST(a_kick_refuses_an_older_token_whose_name_is_in_use_again)
{
	int64_t later =
		redis_int(stack, "EVAL %s 0", "return tonumber(redis.call('TIME')[1])") + 60;

	call_sweep(true);
	ck_assert_int_eq(call_end("1", NULL, true, "kicked"), STORE_DONE);
	ck_assert_int_eq(touch_issued("1", "a", later), STORE_DONE);
	ck_assert_int_eq(touch_issued("1", "a", later), STORE_DONE);
	ck_assert_int_eq(touch_issued("1", "a", 1000), STORE_REVOKED);
}
END_TEST

START_TEST(a_key_of_the_wrong_type_spoils_its_user_within_the_second_too)
{
	call_sweep(true);
	ck_assert_int_eq(touch_issued("1", "a", 1000), STORE_DONE);
	freeReplyObject(redis_cmd(stack, "SET user:sessions:1 x"));
	ck_assert_int_eq(touch_issued("1", "a", 1000), STORE_FAILED);
	redis_int(stack, "DEL user:sessions:1");
	redis_int(stack, "LPUSH presence:not_before:1 x");
	ck_assert_int_eq(touch_issued("1", "a", 1000), STORE_DONE);
	ck_assert_int_eq(touch_issued("1", "a", 1000), STORE_DONE);
}
END_TEST

START_TEST(a_token_that_only_watches_renews_no_session_of_its_name)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user("1");
	struct store_touch item = {.user = &who, .tok = "a", .iat = 1000, .reason = "activity"};
	char *before;
	redisReply *reply;

	call_sweep(true);
	call_touch_as_worker("1", "a");
	call_lapse("1", "t:a");
	before = redis_dump(stack);
	store_put_touch(out, store, true, &item, 1);
	reply = call_run(out);
	ck_assert_int_eq(store_read_touch(reply, 0), STORE_DONE);
	reply_free(reply);
	ck_assert_str_eq(redis_dump(stack), before);
}
END_TEST

/* --- what somebody else wrote ----------------------------------------------------------------- */

/* States that no program of ours writes. */
static const char *const odd_states[] = {
	"{\"status\":\"busy\",\"ends\":NaN}",
	"{\"status\":\"busy\",\"ends\":Infinity}",
	"{\"status\":\"busy\",\"ends\":1e308}",
	"{\"status\":7,\"text\":{},\"emoji\":[],\"ends\":\"never\"}",
	"{\"text\":\"\xff\xc0\x80\"}",
	"{\"text\":\"\xed\xa0\x80\"}",
	"{\"text\":\"a\\nb\"}",
	"{\"text\":\"a\\u0000b\"}",
	"[NaN]",
	"{",
	"",
};

START_TEST(a_chosen_state_that_is_none_of_ours_is_as_good_as_none)
{
	struct listener *listener = listener_open(stack, "user:status:*");
	struct message *message;

	freeReplyObject(redis_cmd(stack, "SET user:chosen:1 %s", odd_states[_i]));
	ck_assert_int_eq(call_touch("1", "a", "s1", "stream_open"), STORE_DONE);
	message = listener_next(listener, 2000);
	ck_assert_msg(message != NULL, "nothing was published: %s", odd_states[_i]);
	ck_assert_msg(strcmp(json_text(message->json, "status"), "online") == 0 ||
			      strcmp(json_text(message->json, "status"), "busy") == 0,
		      "%s", message->text);
	ck_assert_msg(!json_object_object_get_ex(message->json, "text", NULL) &&
			      !json_object_object_get_ex(message->json, "status_expires", NULL),
		      "%s", message->text);
	call_sweep(true);
	ck_assert(call_is_online("1"));
}
END_TEST

START_TEST(a_chosen_text_of_somebody_else_is_not_told_when_it_is_too_long)
{
	freeReplyObject(redis_cmd(stack, "EVAL %s 0",
				  "return redis.call('SET', 'user:chosen:1', '{\"text\":\"' .. "
				  "string.rep('x', 1000000) .. '\"}')"));
	ck_assert_int_eq(call_touch("1", "a", NULL, "activity"), STORE_DONE);
	ck_assert_int_lt(redis_int(stack, "STRLEN user:online:1"), 1000);
}
END_TEST

START_TEST(an_odd_status_of_one_user_does_not_keep_the_sweep_from_the_others)
{
	struct listener *listener;

	call_touch("1", "a", NULL, "activity");
	call_touch("2", "b", NULL, "activity");
	freeReplyObject(redis_cmd(stack, "SET user:online:1 %s",
				  "{\"status\":\"busy\",\"status_expires\":5}"));
	freeReplyObject(redis_cmd(stack, "ZADD presence:expiries 1 1 2 2"));
	listener = listener_open(stack, "user:status:*");
	call_sweep(true);
	call_check_change(listener, "1", true, "status");
	ck_assert_int_eq(redis_int(stack, "ZCARD presence:expiries"), 0);
}
END_TEST

/* --- idle marks ------------------------------------------------------------------------------- */

START_TEST(a_token_that_comes_back_after_it_lapsed_is_not_idle)
{
	struct listener *listener;

	call_touch("1", "phone", NULL, "activity");
	call_touch_as_worker("1", "desk");
	freeReplyObject(redis_cmd(stack, "HSET user:idle:1 phone 1"));
	call_lapse("1", "t:desk");
	freeReplyObject(redis_cmd(stack, "ZADD presence:expiries 1 1"));
	listener = listener_open(stack, "user:status:*");
	call_sweep(true);
	ck_assert_str_eq(json_text(listener_next(listener, 2000)->json, "status"), "away");
	call_touch_as_worker("1", "desk");
	ck_assert_str_eq(json_text(listener_next(listener, 2000)->json, "status"), "online");
}
END_TEST

/* --- a wiped Redis ---------------------------------------------------------------------------- */

/* Redis lost everything, and with it perhaps who hides; a new epoch was made. */
static void wipe(void)
{
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	call_sweep(true);
	freeReplyObject(redis_cmd(stack, "SET presence:recovering 1 PX 3000"));
}

START_TEST(a_stream_that_closes_while_a_wiped_redis_is_filled_again_shows_nobody)
{
	wipe();
	call_touch("1", "a", "s1", "stream_open"); /* a new one: what was chosen is not known */
	call_close("1", "a", "s1");
	ck_assert(!call_is_online("1"));
}
END_TEST

START_TEST(a_stream_that_closes_meanwhile_leaves_the_deadline_of_who_hides)
{
	wipe();
	freeReplyObject(redis_cmd(stack, "SET user:chosen:1 %s", "{\"status\":\"invisible\"}"));
	call_touch("1", "a", "s1", "stream_open");
	call_touch("1", "b", "s2", "stream_open");
	call_close("1", "b", "s2");
	redis_int(stack, "DEL presence:recovering");
	call_renew("1", "a", "s1");
	ck_assert_int_eq(redis_int(stack, "ZSCORE presence:deadlines 1"),
			 redis_int(stack, "ZSCORE user:sessions:1 t:a"));
	ck_assert(!call_is_online("1"));
}
END_TEST

START_TEST(a_logout_while_a_wiped_redis_is_filled_again_shows_no_other_device)
{
	wipe();
	call_touch("1", "a", "s1", "stream_open");
	call_touch("1", "b", "s2", "stream_open");
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_DONE);
	ck_assert(!call_is_online("1"));
}
END_TEST

/*
 * User 1 has a tab, of which the wiped Redis does not know yet, and another device. 0: nobody has noticed
 * the wipe; 1: it is being filled again; 2: the same, and nobody can be given away.
 */
static struct listener *lose_one_of_two_devices(int noticed)
{
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	if (noticed > 0) {
		call_sweep(true);
		freeReplyObject(redis_cmd(stack, "SET presence:recovering %s PX 3000",
					  noticed == 1 ? "1" : "open"));
	}
	call_renew("1", "phone", "s2");
	/* By a device whose presence-streamd knows what was chosen. */
	freeReplyObject(redis_cmd(stack, "SET user:online:1 %s", "{\"status\":\"online\"}"));
	freeReplyObject(redis_cmd(stack, "SADD online_users 1"));
	return listener_open(stack, "user:status:*");
}

static void check_the_tab_stays_online(struct listener *listener)
{
	call_check_silence(listener);
	call_renew("1", "desk", "s1");
	redis_int(stack, "DEL presence:recovering");
	redis_int(stack, "ZADD presence:deadlines 1 1");
	call_sweep(true);
	for (struct message *message; (message = listener_next(listener, 0)) != NULL;)
		ck_assert(json_object_get_boolean(json_at(message->json, "is_online")));
	ck_assert(call_is_online("1"));
}

START_TEST(a_logout_from_a_wiped_redis_takes_no_other_device_for_gone)
{
	struct listener *listener = lose_one_of_two_devices(_i);

	ck_assert_int_eq(call_end("1", "phone", false, "logout"), STORE_DONE);
	check_the_tab_stays_online(listener);
}
END_TEST

START_TEST(a_close_told_to_a_wiped_redis_takes_no_other_device_for_gone)
{
	struct listener *listener = lose_one_of_two_devices(_i);

	call_close_ago("1", "phone", "s2", 20000); /* longer than the grace */
	check_the_tab_stays_online(listener);
}
END_TEST

START_TEST(a_kick_is_told_by_a_wiped_redis_too)
{
	struct listener *listener = lose_one_of_two_devices(_i);

	ck_assert_int_eq(call_end("1", NULL, true, "kicked"), STORE_DONE);
	call_check_change(listener, "1", false, "kicked");
}
END_TEST

START_TEST(who_waited_for_a_wiped_redis_has_a_time_of_last_activity)
{
	wipe();
	call_touch("1", "a", NULL, "activity");
	ck_assert(!call_is_online("1"));
	ck_assert_msg(!redis_has(stack, "user:last_seen:1"), "perhaps the user hides");
	redis_int(stack, "DEL presence:recovering");
	redis_int(stack, "ZADD presence:deadlines 1 1");
	call_sweep(true);
	ck_assert(call_is_online("1"));
	ck_assert(redis_has(stack, "user:last_seen:1"));
	ck_assert_ptr_null(
		strstr(redis_text(stack, "GET user:online:1"), "\"last_activity\":null"));
}
END_TEST

/* A touch of one presence-streamd that knows the chosen state. */
static void touch_knowing(const char *id, const char *stream, const char *chosen)
{
	struct userid who = call_user(id);
	struct store_touch item = {.user = &who,
				   .tok = "a",
				   .iat = 1000,
				   .stream = stream,
				   .reason = "activity",
				   .chosen = chosen};
	struct printbuf *out = buf_new();
	redisReply *reply;

	store_put_touch(out, store, STORE_STREAMD, &item, 1);
	reply = call_run(out);
	ck_assert_int_eq(store_read_touch(reply, 0), STORE_DONE);
	reply_free(reply);
}

/* A worker that has just started brought the user online: it had seen no epoch before. */
START_TEST(who_is_shown_after_a_wipe_is_hidden_by_a_stream_that_knows_better)
{
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	call_touch_as_worker("1", "b");
	ck_assert(call_is_online("1"));
	call_sweep(true);
	freeReplyObject(redis_cmd(stack, "SET presence:recovering 1 PX 3000"));
	touch_knowing("1", "s1", "{\"status\":\"invisible\"}");
	ck_assert(!redis_has(stack, "user:online:1"));
	ck_assert_int_eq(redis_int(stack, "SISMEMBER online_users 1"), 0);
	ck_assert(redis_has(stack, "user:chosen:1"));
	redis_int(stack, "DEL user:chosen:1 presence:recovering");
	touch_knowing("1", "s1", "{\"status\":\"invisible\"}");
	ck_assert_msg(!redis_has(stack, "user:chosen:1"), "Redis knows better");
}
END_TEST

START_TEST(a_stream_that_waits_for_a_wiped_redis_does_not_learn_that_nothing_was_chosen)
{
	struct userid who = call_user("1");
	struct store_touch item = {.user = &who,
				   .tok = "a",
				   .iat = 1000,
				   .stream = "s1",
				   .token = true,
				   .reason = "stream_open",
				   .wants_self = true};
	struct printbuf *out = buf_new();
	struct store_self self;
	redisReply *reply;

	wipe();
	store_put_touch(out, store, STORE_STREAMD, &item, 1);
	reply = call_run(out);
	ck_assert_int_eq(store_read_touch(reply, 0), STORE_DONE);
	ck_assert_msg(!store_read_self(reply, 0, &self), "told: %s", reply->element[1]->str);
	reply_free(reply);
}
END_TEST

/* A presence-streamd that has not heard of it hands in what was chosen before. */
START_TEST(who_is_automatic_again_while_a_wiped_redis_is_filled_stays_so)
{
	struct userid who = call_user("1");
	struct store_choose choice = {.user = &who, .tok = "a", .iat = 1000};
	struct store_touch item = {.user = &who,
				   .tok = "a",
				   .iat = 1000,
				   .stream = "s1",
				   .reason = "activity",
				   .chosen = "{\"status\":\"invisible\"}"};
	struct printbuf *out = buf_new();

	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	if (_i == 1)
		wipe();
	store_put_choose(out, store, &choice);
	reply_free(call_run(out));
	ck_assert(call_is_online("1"));
	out = buf_new();
	store_put_touch(out, store, STORE_STREAMD, &item, 1);
	reply_free(call_run(out));
	ck_assert(call_is_online("1"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scripts");
	TCase *tcase = harness_case(suite, "scripts", 20);

	tcase_add_checked_fixture(tcase, setup, call_stop);
	tcase_add_test(tcase, a_first_touch_brings_online_and_is_published_once);
	tcase_add_test(tcase, broadcast_carries_the_same_message);
	tcase_add_test(tcase, a_missing_key_or_set_member_is_announced_again);
	tcase_add_test(tcase, the_key_lives_as_long_as_the_latest_session);
	tcase_add_test(tcase, closing_one_of_two_streams_leaves_the_token_alone);
	tcase_add_test(tcase, a_token_whose_name_begins_like_another_is_another);
	tcase_add_test(tcase, closing_raises_nothing_from_the_dead);
	tcase_add_test(tcase, logout_is_final_and_said_once);
	tcase_add_test(tcase, logout_leaves_another_device_online);
	tcase_add_test(tcase, logout_tells_the_tokens_streams);
	tcase_add_test(tcase, a_kick_refuses_every_token_issued_before);
	tcase_add_test(tcase, a_kick_refuses_tokens_of_this_very_second_that_are_in_use);
	tcase_add_test(tcase, versions_grow_with_every_transition_even_when_clocks_jump);
	tcase_add_test(tcase, a_lapsed_user_is_swept_with_the_reason_expired);
	tcase_add_test(tcase, a_closed_stream_whose_grace_passed_is_swept_as_stream_closed);
	tcase_add_test(tcase, sweeping_believes_the_sessions_not_the_deadline);
	tcase_add_test(tcase, after_a_pause_a_user_with_a_stream_is_held);
	tcase_add_test(tcase, a_sweep_takes_200_users_and_says_that_there_are_more);
	tcase_add_test(tcase, each_ghost_among_many_is_found_and_few_sweeps_look);
	tcase_add_test(tcase, the_epoch_is_made_once);
	tcase_add_test(tcase, workers_sweep_where_no_streamd_does);
	tcase_add_test(tcase, workers_leave_sweeping_to_a_streamd);
	tcase_add_test(tcase, workers_spare_a_user_with_a_stream_for_stream_ttl);
	tcase_add_test(tcase, streams_of_one_user_are_limited);
	tcase_add_test(tcase, sessions_of_one_user_are_limited);
	tcase_add_test(tcase, a_key_of_the_wrong_type_spoils_one_user_alone);
	tcase_add_loop_test(tcase, a_touch_that_fails_at_a_wrong_type_does_nothing, 0,
			    sizeof wrong_types / sizeof wrong_types[0]);
	tcase_add_test(tcase, a_limit_that_is_no_number_is_none);
	tcase_add_test(tcase, a_login_is_throttled_whatever_somebody_else_wrote_there);
	tcase_add_test(tcase, scripts_are_loaded_again_after_redis_forgot_them);
	tcase_add_test(tcase, a_prefix_keeps_two_sites_apart);
	tcase_add_test(tcase, versions_start_at_the_week_and_grow_by_one);
	tcase_add_test(tcase, versions_of_the_release_before_are_counted_on_from);
	tcase_add_test(tcase, a_version_that_somebody_else_wrote_is_no_obstacle);
	tcase_add_test(tcase, a_logout_leaves_another_user_with_a_token_of_that_name_alone);
	tcase_add_test(tcase, a_close_may_be_said_twice);
	tcase_add_test(tcase, a_close_that_is_told_late_ends_its_user_by_when_it_was);
	tcase_add_test(tcase, closes_that_are_told_in_another_order_end_the_token_too);
	tcase_add_test(tcase,
		       a_close_that_is_told_late_leaves_a_token_that_was_used_since_all_had_closed);
	tcase_add_test(tcase, a_close_tells_what_could_not_be_done);
	tcase_add_test(tcase, a_stream_that_comes_back_may_be_one_too_many);
	tcase_add_test(tcase, tokens_push_no_stream_out);
	tcase_add_test(tcase, nothing_is_done_for_a_token_that_was_revoked_since_its_touch);
	tcase_add_test(tcase, a_throttled_login_is_told_the_time_of_redis);
	tcase_add_test(tcase, a_token_renewed_within_this_second_costs_no_write);
	tcase_add_test(tcase, what_is_told_again_for_want_of_an_answer_counts_once);
	tcase_add_test(tcase, a_process_with_the_pid_of_a_dead_one_is_not_taken_for_it);
	tcase_add_test(tcase, nothing_is_kept_of_a_process_that_ends_or_has_long_been_dead);
	tcase_add_test(tcase, whatever_matters_is_seen_within_the_second_too);
	tcase_add_test(tcase, a_request_renews_all_that_tells_of_the_token);
	tcase_add_test(tcase, a_request_within_the_second_takes_back_that_a_stream_closed);
	tcase_add_test(tcase, a_kick_refuses_an_older_token_whose_name_is_in_use_again);
	tcase_add_test(tcase, a_key_of_the_wrong_type_spoils_its_user_within_the_second_too);
	tcase_add_test(tcase, a_token_that_only_watches_renews_no_session_of_its_name);
	tcase_add_loop_test(tcase, a_chosen_state_that_is_none_of_ours_is_as_good_as_none, 0,
			    sizeof odd_states / sizeof odd_states[0]);
	tcase_add_test(tcase, a_chosen_text_of_somebody_else_is_not_told_when_it_is_too_long);
	tcase_add_test(tcase, an_odd_status_of_one_user_does_not_keep_the_sweep_from_the_others);
	tcase_add_test(tcase, a_token_that_comes_back_after_it_lapsed_is_not_idle);
	tcase_add_test(tcase,
		       a_stream_that_closes_while_a_wiped_redis_is_filled_again_shows_nobody);
	tcase_add_loop_test(tcase, a_logout_from_a_wiped_redis_takes_no_other_device_for_gone, 0,
			    3);
	tcase_add_loop_test(tcase, a_close_told_to_a_wiped_redis_takes_no_other_device_for_gone, 0,
			    3);
	tcase_add_loop_test(tcase, a_kick_is_told_by_a_wiped_redis_too, 0, 3);
	tcase_add_test(tcase, a_stream_that_closes_meanwhile_leaves_the_deadline_of_who_hides);
	tcase_add_test(tcase, a_logout_while_a_wiped_redis_is_filled_again_shows_no_other_device);
	tcase_add_test(tcase, who_waited_for_a_wiped_redis_has_a_time_of_last_activity);
	tcase_add_test(tcase, who_is_shown_after_a_wipe_is_hidden_by_a_stream_that_knows_better);
	tcase_add_test(
		tcase,
		a_stream_that_waits_for_a_wiped_redis_does_not_learn_that_nothing_was_chosen);
	tcase_add_loop_test(tcase, who_is_automatic_again_while_a_wiped_redis_is_filled_stays_so, 0,
			    2);
	return harness_main(suite);
}
