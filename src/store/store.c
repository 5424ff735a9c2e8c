#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/alloc.h"
#include "store/keys.h"
#include "store/resp.h"

enum script {
	SCRIPT_TOUCH,
	SCRIPT_CLOSE,
	SCRIPT_END,
	SCRIPT_SWEEP,
	SCRIPT_WEBSOCKET,
	SCRIPT_THROTTLE,
	SCRIPT_UNTHROTTLE,
	SCRIPT_COUNT,
};

#define SHA1_HEX 40
#define HEAD_ARGS 10 /* the arguments that common.lua reads */

static const char common_source[] =
#include "store/scripts/common.lua.inc"
	;
static const char touch_source[] =
#include "store/scripts/touch.lua.inc"
	;
static const char close_source[] =
#include "store/scripts/close.lua.inc"
	;
static const char end_source[] =
#include "store/scripts/end.lua.inc"
	;
static const char sweep_source[] =
#include "store/scripts/sweep.lua.inc"
	;

static const char websocket_source[] =
#include "store/scripts/websocket.lua.inc"
	;
static const char throttle_source[] =
#include "store/scripts/throttle.lua.inc"
	;
static const char unthrottle_source[] =
#include "store/scripts/unthrottle.lua.inc"
	;

static const char *const sources[SCRIPT_COUNT] = {
	[SCRIPT_TOUCH] = touch_source,
	[SCRIPT_CLOSE] = close_source,
	[SCRIPT_END] = end_source,
	[SCRIPT_SWEEP] = sweep_source,
	[SCRIPT_WEBSOCKET] = websocket_source,
	[SCRIPT_THROTTLE] = throttle_source,
	[SCRIPT_UNTHROTTLE] = unthrottle_source,
};

struct store {
	char *prefix;
	int token_lifetime, leeway; /* seconds */
	char sha[SCRIPT_COUNT][SHA1_HEX + 1];
	char *head; /* the HEAD_ARGS first arguments, in RESP */
	size_t head_len;
};

static char *script_text(enum script script, size_t *len)
{
	struct printbuf *text = buf_new();

	buf_puts(text, common_source);
	buf_puts(text, sources[script]);
	return buf_take(text, len);
}

static void script_sha(enum script script, char sha[SHA1_HEX + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t len;
	char *text = script_text(script, &len);

	if (EVP_Digest(text, len, digest, NULL, EVP_sha1(), NULL) != 1) {
		fputs("presence: SHA-1 failed\n", stderr);
		abort();
	}
	for (size_t i = 0; i < SHA1_HEX / 2; i++)
		snprintf(sha + 2 * i, 3, "%02x", digest[i]);
	free(text);
}

/* In the order in which common.lua reads them. */
static char *make_head(const struct config *config, size_t *len)
{
	struct printbuf *head = buf_new();

	resp_text(head, config->redis.prefix);
	resp_number(head, (int64_t)config->presence.online_ttl * 1000);
	resp_number(head, (int64_t)config->presence.stream_ttl * 1000);
	resp_number(head, (int64_t)config->presence.grace * 1000);
	resp_number(head, (int64_t)config->presence.sweep * 1000);
	resp_number(head, (int64_t)(config->presence.heartbeat + config->presence.sweep) * 1000);
	resp_number(head, config->presence.last_seen_ttl);
	resp_number(head, config->presence.max_sessions);
	resp_number(head, config->stream.max_streams_per_user);
	resp_number(head, config->presence.publish_broadcast);
	return buf_take(head, len);
}

struct store *store_new(const struct config *config)
{
	struct store *store = xcalloc(1, sizeof *store);

	store->prefix = xstrdup(config->redis.prefix);
	store->token_lifetime = config->auth.token_lifetime;
	store->leeway = config->auth.leeway;
	store->head = make_head(config, &store->head_len);
	for (enum script script = 0; script < SCRIPT_COUNT; script++)
		script_sha(script, store->sha[script]);
	return store;
}

void store_free(struct store *store)
{
	if (store == NULL)
		return;
	free(store->prefix);
	free(store->head);
	free(store);
}

const char *store_prefix(const struct store *store)
{
	return store->prefix;
}

unsigned store_put_load(struct printbuf *out)
{
	for (enum script script = 0; script < SCRIPT_COUNT; script++) {
		size_t len;
		char *text = script_text(script, &len);

		resp_begin(out, 3);
		resp_text(out, "SCRIPT");
		resp_text(out, "LOAD");
		resp_arg(out, text, len);
		free(text);
	}
	return SCRIPT_COUNT;
}

bool store_is_noscript(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

/* EVALSHA with no keys, the head, and `argc` arguments that the caller appends. */
static void put_script(struct printbuf *out, const struct store *store, enum script script,
		       size_t argc)
{
	resp_begin(out, (unsigned)(3 + HEAD_ARGS + argc));
	resp_arg(out, "EVALSHA", 7);
	resp_arg(out, store->sha[script], SHA1_HEX);
	resp_arg(out, "0", 1);
	buf_put(out, store->head, store->head_len);
}

static void put_flag(struct printbuf *out, bool flag)
{
	resp_arg(out, flag ? "1" : "0", 1);
}

/* The integer at `index` of an array reply; false when there is none. */
static bool read_integer(const redisReply *reply, size_t index, int64_t *number)
{
	if (reply->type != REDIS_REPLY_ARRAY || index >= reply->elements ||
	    reply->element[index]->type != REDIS_REPLY_INTEGER)
		return false;
	*number = reply->element[index]->integer;
	return true;
}

static enum store_verdict read_verdict(const redisReply *reply, size_t index)
{
	int64_t number;

	if (!read_integer(reply, index, &number) || number < STORE_DONE ||
	    number > STORE_TOO_MANY_STREAMS)
		return STORE_FAILED;
	return (enum store_verdict)number;
}

void store_put_touch(struct printbuf *out, const struct store *store, bool worker,
		     const struct store_touch *items, size_t count)
{
	put_script(out, store, SCRIPT_TOUCH, 1 + 6 * count);
	put_flag(out, worker);
	for (size_t i = 0; i < count; i++) {
		resp_text(out, items[i].user->text);
		resp_text(out, items[i].tok);
		resp_number(out, items[i].iat);
		resp_text(out, items[i].stream != NULL ? items[i].stream : "");
		put_flag(out, items[i].token);
		resp_text(out, items[i].reason);
	}
}

enum store_verdict store_read_touch(const redisReply *reply, size_t index, int64_t *now_ms)
{
	int64_t now;

	if (!read_integer(reply, 0, &now))
		return STORE_FAILED;
	if (now_ms != NULL)
		*now_ms = now;
	return read_verdict(reply, 1 + index);
}

void store_put_close(struct printbuf *out, const struct store *store,
		     const struct store_close *items, size_t count)
{
	put_script(out, store, SCRIPT_CLOSE, 3 * count);
	for (size_t i = 0; i < count; i++) {
		resp_text(out, items[i].user->text);
		resp_text(out, items[i].tok);
		resp_text(out, items[i].stream);
	}
}

void store_put_end(struct printbuf *out, const struct store *store, const struct store_end *end)
{
	put_script(out, store, SCRIPT_END, 8);
	resp_text(out, end->user->text);
	resp_text(out, end->tok != NULL ? end->tok : "");
	resp_number(out, end->iat);
	resp_number(out, end->exp);
	resp_number(out, store->token_lifetime);
	resp_number(out, store->leeway);
	put_flag(out, end->all);
	resp_text(out, end->reason);
}

enum store_verdict store_read_end(const redisReply *reply)
{
	return read_verdict(reply, 0);
}

void store_put_sweep(struct printbuf *out, const struct store *store, bool streamd,
		     const char *word)
{
	put_script(out, store, SCRIPT_SWEEP, 3);
	resp_number(out, STORE_SWEEP_MAX);
	put_flag(out, streamd);
	resp_text(out, word);
}

bool store_read_sweep(const redisReply *reply, bool *more, const char **epoch)
{
	int64_t looked_at;

	if (!read_integer(reply, 0, &looked_at) || reply->elements < 2 ||
	    reply->element[1]->type != REDIS_REPLY_STRING)
		return false;
	*more = looked_at >= STORE_SWEEP_MAX;
	*epoch = reply->element[1]->str;
	return true;
}

void store_put_epoch(struct printbuf *out, const struct store *store, const char *word)
{
	resp_begin(out, 5);
	resp_text(out, "SET");
	resp_key(out, store->prefix, KEY_EPOCH, "");
	resp_text(out, word);
	resp_text(out, "NX");
	resp_text(out, "GET");
}

const char *store_read_epoch(const redisReply *reply, const char *word)
{
	if (reply->type == REDIS_REPLY_NIL)
		return word;
	return reply->type == REDIS_REPLY_STRING ? reply->str : NULL;
}

void store_put_websocket(struct printbuf *out, const struct store *store, const struct userid *user,
			 const char *tok, const char *session)
{
	put_script(out, store, SCRIPT_WEBSOCKET, 3);
	resp_text(out, user->text);
	resp_text(out, tok);
	resp_text(out, session);
}

void store_put_throttle(struct printbuf *out, const struct store *store, const char *account,
			const char *address)
{
	put_script(out, store, SCRIPT_THROTTLE, address != NULL ? 4 : 3);
	resp_number(out, STORE_LOGINS_MAX);
	resp_number(out, STORE_LOGINS_WINDOW);
	resp_text(out, account);
	if (address != NULL)
		resp_text(out, address);
}

bool store_read_throttle(const redisReply *reply, int *wait)
{
	if (reply->type != REDIS_REPLY_INTEGER)
		return false;
	*wait = (int)reply->integer;
	return true;
}

void store_put_unthrottle(struct printbuf *out, const struct store *store, const char *account,
			  const char *address)
{
	put_script(out, store, SCRIPT_UNTHROTTLE, 2);
	resp_text(out, account);
	resp_text(out, address != NULL ? address : "");
}
