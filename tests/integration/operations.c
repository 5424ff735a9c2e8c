/* The store's operations, run against the stand's Redis. */
#include "operations.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "store/pause.h"

struct stack *stack;
struct config *config;
struct store *store;
struct blocking *redis;

void call_start(const char *conf)
{
	char err[512];

	stack = stack_new(conf);
	redis_start(stack, NULL);
	config = config_load(stack_path(stack, "presence.conf"), err, sizeof err);
	ck_assert_msg(config != NULL, "%s", err);
	store = store_new(config, 0, config->redis.prefix);
	redis = blocking_new(config, 0);
	/* As one that a presence-streamd has greeted: without an epoch it would look wiped. */
	freeReplyObject(redis_cmd(stack, "SET presence:epoch known"));
}

void call_stop(void)
{
	blocking_free(redis);
	store_free(store);
	config_free(config);
	stack_stop(stack);
}

redisReply *call_run(struct printbuf *pipeline)
{
	redisReply *reply;

	ck_assert_msg(blocking_run(redis, pipeline, 1, &reply), "%s", blocking_error(redis));
	printbuf_free(pipeline);
	return reply;
}

struct userid call_user(const char *text)
{
	struct userid id;

	ck_assert(userid_parse(text, strlen(text), &id));
	return id;
}

static enum store_verdict touch_item(const char *id, const char *tok, const char *stream,
				     bool token, const char *reason)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_touch item = {.user = &who,
				   .tok = tok,
				   .iat = 1000,
				   .stream = stream,
				   .token = token,
				   .reason = reason};
	redisReply *reply;
	enum store_verdict verdict;

	store_put_touch(out, store, false, &item, 1);
	reply = call_run(out);
	verdict = store_read_touch(reply, 0);
	reply_free(reply);
	return verdict;
}

enum store_verdict call_touch(const char *id, const char *tok, const char *stream,
			      const char *reason)
{
	return touch_item(id, tok, stream, true, reason);
}

enum store_verdict call_renew(const char *id, const char *tok, const char *stream)
{
	return touch_item(id, tok, stream, false, "activity");
}

bool call_touch_as_worker(const char *id, const char *tok)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_touch item = {
		.user = &who, .tok = tok, .iat = 1000, .token = true, .reason = "activity"};
	redisReply *reply;
	bool unsettled;

	store_put_touch(out, store, true, &item, 1);
	reply = call_run(out);
	ck_assert_int_eq(store_read_touch(reply, 0), STORE_DONE);
	unsettled = pause_is_unsettled(reply);
	reply_free(reply);
	return unsettled;
}

void call_close_ago(const char *id, const char *tok, const char *stream, int64_t ago_ms)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_close item = {&who, tok, stream, ago_ms};
	redisReply *reply;

	store_put_close(out, store, &item, 1);
	reply = call_run(out);
	ck_assert_int_eq(store_read_close(reply, 0), STORE_DONE);
	reply_free(reply);
}

void call_close(const char *id, const char *tok, const char *stream)
{
	call_close_ago(id, tok, stream, 0);
}

const char *call_look(const char *id)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	const struct userid *users[] = {&who};
	redisReply *reply, *look;
	char *text;

	pause_put_look(out, store, users, 1);
	reply = call_run(out);
	look = pause_read_look(reply, 0);
	text = look != NULL ? xstrdup(look->str) : NULL;
	reply_free(reply);
	return text;
}

enum store_verdict call_end(const char *id, const char *tok, bool all, const char *reason)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_end item = {
		.user = &who,
		.tok = tok,
		.iat = 1000,
		.exp = 2000,
		.all = all,
		.reason = reason,
		.knows_epoch = true,
	};
	redisReply *reply;
	enum store_verdict verdict;

	store_put_end(out, store, &item);
	reply = call_run(out);
	verdict = store_read_end(reply);
	reply_free(reply);
	return verdict;
}

bool call_sweep(bool streamd)
{
	struct printbuf *out = buf_new();
	struct store_sweep swept;
	redisReply *reply;

	store_put_sweep(out, store, streamd, "word");
	reply = call_run(out);
	ck_assert(store_read_sweep(reply, &swept));
	reply_free(reply);
	return swept.more;
}

/* Lets a session lapse: its deadline was a moment ago. */
void call_lapse(const char *id, const char *session)
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

bool call_is_online(const char *id)
{
	char key[128];

	snprintf(key, sizeof key, "user:online:%s", id);
	return redis_has(stack, key) && redis_int(stack, "SISMEMBER online_users %s", id) == 1;
}

void call_check_change(struct listener *listener, const char *id, bool online, const char *reason)
{
	struct message *message = listener_next(listener, 2000);
	char channel[128];

	ck_assert_msg(message != NULL, "no change of %s was published", id);
	snprintf(channel, sizeof channel, "user:status:%s", id);
	ck_assert_str_eq(message->channel, channel);
	ck_assert_int_eq(json_object_get_boolean(json_at(message->json, "is_online")), online);
	ck_assert_str_eq(json_text(message->json, "reason"), reason);
}

void call_check_silence(struct listener *listener)
{
	struct message *message;

	/* What was published before this word has come when the word comes. */
	freeReplyObject(redis_cmd(stack, "PUBLISH user:status:end end"));
	message = listener_next(listener, 2000);
	ck_assert(message != NULL);
	ck_assert_msg(strcmp(message->text, "end") == 0, "published: %s", message->text);
}
