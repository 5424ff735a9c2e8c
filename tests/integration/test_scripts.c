/*
 * The store's scripts on a real Redis, called as the programs call them: every
 * rule of sessions, transitions and sweeps at its edges.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "store/blocking.h"
#include "store/store.h"

#define TIMES "presence { online_ttl = 100 stream_ttl = 50 grace = 10 heartbeat = 20 sweep = 1 "

static struct stack *stack;
static struct config *config;
static struct store *store;
static struct blocking *redis;

static void start(const char *conf)
{
	char err[512];

	stack = stack_new(conf);
	redis_start(stack, NULL);
	config = config_load(stack_path(stack, "presence.conf"), err, sizeof err);
	ck_assert_msg(config != NULL, "%s", err);
	store = store_new(config);
	redis = blocking_new(config);
}

static void setup(void)
{
	start(TIMES "}\n");
}

static void teardown(void)
{
	blocking_free(redis);
	store_free(store);
	config_free(config);
	stack_stop(stack);
}

static redisReply *run_one(struct printbuf *pipeline)
{
	redisReply *reply;

	ck_assert_msg(blocking_run(redis, pipeline, 1, &reply), "%s", blocking_error(redis));
	printbuf_free(pipeline);
	return reply;
}

static struct userid user(const char *text)
{
	struct userid id;

	ck_assert(userid_parse(text, strlen(text), &id));
	return id;
}

/* A touch of one session: the token's own, or (stream given) both as an opening stream does. */
static enum store_verdict touch(const char *id, const char *tok, const char *stream,
				const char *reason)
{
	struct printbuf *out = buf_new();
	struct userid who = user(id);
	struct store_touch item = {.user = &who,
				   .tok = tok,
				   .iat = 1000,
				   .stream = stream,
				   .token = true,
				   .reason = reason};
	redisReply *reply;
	enum store_verdict verdict;

	store_put_touch(out, store, false, &item, 1);
	reply = run_one(out);
	verdict = store_read_touch(reply, 0, NULL);
	freeReplyObject(reply);
	return verdict;
}

static enum store_verdict renew(const char *id, const char *tok, const char *stream)
{
	struct printbuf *out = buf_new();
	struct userid who = user(id);
	struct store_touch item = {
		.user = &who, .tok = tok, .iat = 1000, .stream = stream, .reason = "activity"};
	redisReply *reply;
	enum store_verdict verdict;

	store_put_touch(out, store, false, &item, 1);
	reply = run_one(out);
	verdict = store_read_touch(reply, 0, NULL);
	freeReplyObject(reply);
	return verdict;
}

static void close_stream(const char *id, const char *tok, const char *stream)
{
	struct printbuf *out = buf_new();
	struct userid who = user(id);
	struct store_close item = {&who, tok, stream};

	store_put_close(out, store, &item, 1);
	freeReplyObject(run_one(out));
}

static enum store_verdict end(const char *id, const char *tok, bool all, const char *reason)
{
	struct printbuf *out = buf_new();
	struct userid who = user(id);
	struct store_end item = {&who, tok, 1000, 2000, all, reason};
	redisReply *reply;
	enum store_verdict verdict;

	store_put_end(out, store, &item);
	reply = run_one(out);
	verdict = store_read_end(reply);
	freeReplyObject(reply);
	return verdict;
}

static bool sweep(bool streamd)
{
	struct printbuf *out = buf_new();
	const char *epoch;
	redisReply *reply;
	bool more;

	store_put_sweep(out, store, streamd, "word");
	reply = run_one(out);
	ck_assert(store_read_sweep(reply, &more, &epoch));
	freeReplyObject(reply);
	return more;
}

/* Lets a session lapse: its deadline was a moment ago. */
static void lapse(const char *id, const char *session)
{
	freeReplyObject(redis_cmd(
		stack, "EVAL %s 0 %s %s",
		"local key = 'user:sessions:' .. ARGV[1] "
		"local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
		"local old = redis.call('ZSCORE', key, ARGV[2]) "
		"redis.call('ZADD', key, string.format('%.1f', now - 1 + tonumber(old) % 1 - 1), "
		"ARGV[2]) "
		"local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES') "
		"redis.call('ZADD', 'presence:deadlines', last[2], ARGV[1]) return 1",
		id, session));
}

static bool is_online(const char *id)
{
	char key[128];

	snprintf(key, sizeof key, "user:online:%s", id);
	return redis_has(stack, key) && redis_int(stack, "SISMEMBER online_users %s", id) == 1;
}

static void check_change(struct listener *listener, const char *id, bool online, const char *reason)
{
	struct message *message = listener_next(listener, 2000);
	char channel[128];

	ck_assert_msg(message != NULL, "no change of %s was published", id);
	snprintf(channel, sizeof channel, "user:status:%s", id);
	ck_assert_str_eq(message->channel, channel);
	ck_assert_int_eq(json_object_get_boolean(json_at(message->json, "is_online")), online);
	ck_assert_str_eq(json_text(message->json, "reason"), reason);
}

static void check_silence(struct listener *listener)
{
	struct message *message;

	/* What was published before this word has come when the word comes. */
	freeReplyObject(redis_cmd(stack, "PUBLISH user:status:end end"));
	message = listener_next(listener, 2000);
	ck_assert(message != NULL);
	ck_assert_msg(strcmp(message->text, "end") == 0, "published: %s", message->text);
}

START_TEST(a_first_touch_brings_online_and_is_published_once)
{
	struct listener *listener = listener_open(stack, "user:status:*");

	ck_assert_int_eq(touch("1", "a", NULL, "login"), STORE_DONE);
	check_change(listener, "1", true, "login");
	ck_assert(is_online("1"));
	ck_assert_int_eq(touch("1", "a", NULL, "activity"), STORE_DONE);
	ck_assert_int_eq(touch("1", "b", "w", "stream_open"), STORE_DONE);
	check_silence(listener);
}
END_TEST

START_TEST(broadcast_carries_the_same_message)
{
	struct listener *listener = listener_open(stack, "*");
	struct message *first, *second;

	touch("anna", "a", NULL, "login");
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

	touch("1", "a", NULL, "login");
	touch("2", "a", NULL, "login");
	redis_int(stack, "DEL user:online:1");
	redis_int(stack, "SREM online_users 2");
	listener = listener_open(stack, "user:status:*");
	touch("1", "a", NULL, "activity");
	check_change(listener, "1", true, "activity");
	touch("2", "a", NULL, "activity");
	check_change(listener, "2", true, "activity");
	ck_assert(is_online("1") && is_online("2"));
}
END_TEST

START_TEST(the_key_lives_as_long_as_the_latest_session)
{
	touch("1", "a", "w", "stream_open"); /* token 100 s, stream 50 s */
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
	renew("1", "a", "w"); /* must not shorten it */
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
	close_stream("1", "a", "w");
	ck_assert_int_le(redis_int(stack, "PTTL user:online:1"), 10001);
}
END_TEST

START_TEST(closing_one_of_two_streams_leaves_the_token_alone)
{
	touch("1", "a", "w1", "stream_open");
	touch("1", "a", "w2", "stream_open");
	close_stream("1", "a", "w1");
	ck_assert_int_gt(redis_int(stack, "PTTL user:online:1"), 95000);
	close_stream("1", "a", "w2");
	ck_assert_int_le(redis_int(stack, "PTTL user:online:1"), 10001);
	ck_assert(is_online("1"));
}
END_TEST

START_TEST(a_token_whose_name_begins_like_another_is_another)
{
	touch("1", "a", "w1", "stream_open");
	touch("1", "a:b", "w2", "stream_open");
	close_stream("1", "a", "w1"); /* the last stream of "a" */
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
	touch("1", "a", "w", "stream_open");
	ck_assert_int_eq(end("1", "a", false, "logout"), STORE_DONE);
	close_stream("1", "a", "w");
	ck_assert(!is_online("1"));
	ck_assert(!redis_has(stack, "user:sessions:1"));
	ck_assert_int_eq(redis_int(stack, "ZCARD presence:deadlines"), 0);
}
END_TEST

START_TEST(logout_is_final_and_said_once)
{
	struct listener *listener;

	touch("1", "a", NULL, "login");
	listener = listener_open(stack, "user:status:*");
	ck_assert_int_eq(end("1", "a", false, "logout"), STORE_DONE);
	check_change(listener, "1", false, "logout");
	ck_assert_int_eq(end("1", "a", false, "logout"), STORE_REVOKED);
	ck_assert_int_eq(touch("1", "a", NULL, "activity"), STORE_REVOKED);
	ck_assert_int_eq(renew("1", "a", "w"), STORE_REVOKED);
	check_silence(listener);
	ck_assert_int_ge(redis_int(stack, "TTL presence:revoked:a"),
			 config->auth.token_lifetime + config->auth.leeway - 2);
}
END_TEST

START_TEST(logout_leaves_another_device_online)
{
	struct listener *listener;

	touch("1", "a", NULL, "login");
	touch("1", "b", NULL, "login");
	listener = listener_open(stack, "user:status:*");
	end("1", "a", false, "logout");
	check_silence(listener);
	ck_assert(is_online("1"));
	ck_assert_int_eq(touch("1", "b", NULL, "activity"), STORE_DONE);
}
END_TEST

START_TEST(logout_tells_the_tokens_streams)
{
	struct listener *listener = listener_open(stack, "user:inbox:*");
	struct message *message;

	touch("1", "a", NULL, "login");
	end("1", "a", false, "logout");
	message = listener_next(listener, 2000);
	ck_assert(message != NULL);
	ck_assert_str_eq(message->channel, "user:inbox:1");
	CHECK_JSON(message->json, "{'type':'revoked','tok':'a'}");
}
END_TEST

START_TEST(a_kick_refuses_every_token_issued_before)
{
	touch("1", "a", NULL, "login");
	touch("1", "b", "w", "stream_open");
	ck_assert_int_eq(end("1", NULL, true, "kicked"), STORE_DONE);
	ck_assert(!is_online("1"));
	ck_assert_int_eq(touch("1", "a", NULL, "activity"), STORE_REVOKED);
	ck_assert_int_eq(touch("1", "never-used", NULL, "activity"), STORE_REVOKED); /* iat 1000 */
	ck_assert_int_eq(touch("2", "c", NULL, "activity"), STORE_DONE);
}
END_TEST

START_TEST(a_kick_refuses_tokens_of_this_very_second_that_are_in_use)
{
	struct userid who = user("1");
	int64_t second =
		redis_int(stack, "EVAL %s 0", "return tonumber(redis.call('TIME')[1])") + 60;
	const char *toks[] = {"by-request", "by-stream:alone"};
	struct printbuf *out;
	redisReply *reply;

	/* Issued in a second that not_before, when it comes to it, will not be behind. */
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
			reply = run_one(out);
			ck_assert_int_eq(store_read_touch(reply, 0, NULL),
					 round == 0 ? STORE_DONE : STORE_REVOKED);
			freeReplyObject(reply);
			if (round == 0)
				end("1", NULL, true, "kicked");
		}
	}
	ck_assert(!is_online("1"));
}
END_TEST

START_TEST(versions_grow_with_every_transition_even_when_clocks_jump)
{
	long long before, after;

	touch("1", "a", NULL, "login");
	freeReplyObject(redis_cmd(stack, "SET presence:version:1 8000000000000000"));
	end("1", "a", false, "logout");
	before = atoll(redis_text(stack, "GET presence:version:1"));
	ck_assert_int_eq(before, 8000000000000001);
	touch("1", "b", NULL, "login");
	after = atoll(redis_text(stack, "GET presence:version:1"));
	ck_assert_int_eq(after, 8000000000000002);
	ck_assert(strstr(redis_text(stack, "GET user:online:1"), "8000000000000002") != NULL);
}
END_TEST

START_TEST(a_lapsed_user_is_swept_with_the_reason_expired)
{
	struct listener *listener;

	touch("1", "a", NULL, "login");
	freeReplyObject(redis_cmd(stack, "SET user:websocket:1 x"));
	listener = listener_open(stack, "user:status:*");
	sweep(true);
	ck_assert(is_online("1"));
	lapse("1", "t:a");
	sweep(true);
	check_change(listener, "1", false, "expired");
	ck_assert(!is_online("1"));
	ck_assert(!redis_has(stack, "user:websocket:1"));
	ck_assert(!redis_has(stack, "user:sessions:1"));
	sweep(true);
	check_silence(listener);
}
END_TEST

START_TEST(a_closed_stream_whose_grace_passed_is_swept_as_stream_closed)
{
	struct listener *listener;

	touch("1", "a", "w", "stream_open");
	close_stream("1", "a", "w");
	lapse("1", "s:a:w");
	lapse("1", "t:a");
	listener = listener_open(stack, "user:status:*");
	sweep(true);
	check_change(listener, "1", false, "stream_closed");
}
END_TEST

START_TEST(sweeping_believes_the_sessions_not_the_deadline)
{
	touch("1", "a", NULL, "login");
	redis_int(stack, "ZADD presence:deadlines 1 1");
	sweep(true);
	ck_assert(is_online("1"));
	ck_assert_int_gt(atoll(redis_text(stack, "ZSCORE presence:deadlines 1")), 1000000);
}
END_TEST

START_TEST(after_a_pause_a_user_with_a_stream_is_held)
{
	touch("1", "a", "w", "stream_open");
	touch("2", "b", NULL, "login");
	lapse("1", "s:a:w");
	lapse("1", "t:a");
	lapse("2", "t:b");
	freeReplyObject(redis_cmd(stack, "SET presence:swept 1000")); /* long ago */
	sweep(true);
	ck_assert_msg(is_online("1"), "the living must have a chance to renew");
	ck_assert_msg(!is_online("2"), "without a stream there is nobody to wait for");
	sweep(true); /* swept is fresh now: the hold must last all the same */
	redis_int(stack, "ZADD presence:deadlines 1 1");
	sweep(true);
	ck_assert(is_online("1"));
	ck_assert_int_le(redis_int(stack, "PTTL presence:hold"), 21000);
	redis_int(stack, "DEL presence:hold");
	redis_int(stack, "ZADD presence:deadlines 1 1");
	sweep(true);
	ck_assert(!is_online("1"));
}
END_TEST

START_TEST(a_sweep_takes_200_users_and_says_that_there_are_more)
{
	freeReplyObject(
		redis_cmd(stack, "EVAL %s 0",
			  "for i = 1, 450 do redis.call('ZADD', 'presence:deadlines', 1, i) "
			  "redis.call('SADD', 'online_users', i) end return 1"));
	ck_assert(sweep(true));
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 250);
	ck_assert(sweep(true));
	ck_assert(!sweep(true));
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
}
END_TEST

START_TEST(the_epoch_is_made_once)
{
	sweep(true);
	ck_assert_str_eq(redis_text(stack, "GET presence:epoch"), "word");
	freeReplyObject(redis_cmd(stack, "SET presence:epoch other"));
	sweep(true);
	ck_assert_str_eq(redis_text(stack, "GET presence:epoch"), "other");
}
END_TEST

static void touch_as_worker(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = user(id);
	struct store_touch item = {
		.user = &who, .tok = "w", .iat = 1000, .token = true, .reason = "activity"};

	store_put_touch(out, store, true, &item, 1);
	freeReplyObject(run_one(out));
}

START_TEST(workers_sweep_where_no_streamd_does)
{
	touch("1", "a", NULL, "login");
	lapse("1", "t:a");
	touch_as_worker("9");
	ck_assert(!is_online("1"));
	ck_assert(is_online("9"));
}
END_TEST

START_TEST(workers_leave_sweeping_to_a_streamd)
{
	touch("1", "a", NULL, "login");
	sweep(true);
	lapse("1", "t:a");
	touch_as_worker("9");
	ck_assert(is_online("1"));
}
END_TEST

START_TEST(workers_spare_a_user_with_a_stream_for_stream_ttl)
{
	touch("1", "a", "w", "stream_open");
	lapse("1", "s:a:w");
	lapse("1", "t:a");
	touch_as_worker("9");
	ck_assert(is_online("1"));
	ck_assert_int_eq(redis_int(stack, "EXISTS presence:sweeping"), 1);
}
END_TEST

START_TEST(streams_of_one_user_are_limited)
{
	char word[16];

	for (int i = 0; i < config->stream.max_streams_per_user; i++) {
		snprintf(word, sizeof word, "w%d", i);
		ck_assert_int_eq(touch("1", "a", word, "stream_open"), STORE_DONE);
	}
	ck_assert_int_eq(touch("1", "a", "more", "stream_open"), STORE_TOO_MANY_STREAMS);
	ck_assert_int_eq(renew("1", "a", "w0"), STORE_DONE);
	close_stream("1", "a", "w1"); /* one that waits for its grace takes no place */
	ck_assert_int_eq(touch("1", "a", "more", "stream_open"), STORE_DONE);
}
END_TEST

START_TEST(sessions_of_one_user_are_limited)
{
	char tok[16];

	teardown();
	start(TIMES "max_sessions = 3 }\n");
	for (int i = 0; i < 10; i++) {
		snprintf(tok, sizeof tok, "tok%d", i);
		ck_assert_int_eq(touch("1", tok, NULL, "activity"), STORE_DONE);
	}
	ck_assert_int_eq(redis_int(stack, "ZCARD user:sessions:1"), 3);
	ck_assert(is_online("1"));
}
END_TEST

START_TEST(a_key_of_the_wrong_type_spoils_one_user_alone)
{
	struct printbuf *out = buf_new();
	struct userid bad = user("bad"), good = user("good");
	struct store_touch items[] = {
		{.user = &bad, .tok = "a", .iat = 1, .token = true, .reason = "login"},
		{.user = &good, .tok = "b", .iat = 1, .token = true, .reason = "login"},
	};
	redisReply *reply;

	freeReplyObject(redis_cmd(stack, "SET user:sessions:bad x"));
	store_put_touch(out, store, false, items, 2);
	reply = run_one(out);
	ck_assert_int_eq(store_read_touch(reply, 0, NULL), STORE_FAILED);
	ck_assert_int_eq(store_read_touch(reply, 1, NULL), STORE_DONE);
	freeReplyObject(reply);
	redis_int(stack, "ZADD presence:deadlines 1 bad");
	lapse("good", "t:b");
	sweep(true);
	ck_assert(!is_online("good"));
}
END_TEST

START_TEST(scripts_are_loaded_again_after_redis_forgot_them)
{
	touch("1", "a", NULL, "login");
	freeReplyObject(redis_cmd(stack, "SCRIPT FLUSH"));
	ck_assert_int_eq(touch("1", "a", NULL, "activity"), STORE_DONE);
}
END_TEST

START_TEST(a_prefix_keeps_two_sites_apart)
{
	struct listener *listener;

	touch("1", "a", NULL, "login");
	blocking_free(redis);
	store_free(store);
	free(config->redis.prefix);
	config->redis.prefix = strdup("shop:");
	store = store_new(config);
	redis = blocking_new(config);
	listener = listener_open(stack, "*user:status:*");
	ck_assert_int_eq(end("1", NULL, true, "kicked"), STORE_DONE);
	check_silence(listener);
	ck_assert(is_online("1"));
	touch("2", "b", NULL,
	      "login"); /* refused nothing: its iat is old, but user 2 was not kicked */
	ck_assert(redis_has(stack, "shop:user:online:2"));
	ck_assert(!redis_has(stack, "user:online:2"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scripts");
	TCase *tcase = harness_case(suite, "scripts", 20);

	tcase_add_checked_fixture(tcase, setup, teardown);
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
	tcase_add_test(tcase, the_epoch_is_made_once);
	tcase_add_test(tcase, workers_sweep_where_no_streamd_does);
	tcase_add_test(tcase, workers_leave_sweeping_to_a_streamd);
	tcase_add_test(tcase, workers_spare_a_user_with_a_stream_for_stream_ttl);
	tcase_add_test(tcase, streams_of_one_user_are_limited);
	tcase_add_test(tcase, sessions_of_one_user_are_limited);
	tcase_add_test(tcase, a_key_of_the_wrong_type_spoils_one_user_alone);
	tcase_add_test(tcase, scripts_are_loaded_again_after_redis_forgot_them);
	tcase_add_test(tcase, a_prefix_keeps_two_sites_apart);
	return harness_main(suite);
}
