#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/number.h"
#include "base/redis_url.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/traces.h"

#define HEAD_ARGS 5 /* the arguments that head.lua and common.lua read */
#define DAY 86400
#define VERSION_TTL_MIN (8 * DAY) /* more than the week after which a version starts higher */
#define RECOVERING_MIN 3000 /* ms */

struct store {
	unsigned partition;
	bool is_sharded;
	char *prefix; /* the partition's tag and [redis] prefix */
	int leeway; /* seconds */
	int ahead; /* seconds that a token's `issued` (token.h) may be ahead of Redis' clock */
	int64_t recovering_ms, pause_ms, stream_ttl_ms;
	char *head; /* the HEAD_ARGS first arguments of a script, in RESP */
	size_t head_len;
};

static const char *const last_seen_names[] = {"exact", "coarse", "nobody"};

/*
 * The age of presence:swept, in ms, from which on everything is taken to have
 * stood still. Sweeps come every `sweep`; a stream's session lapses at the
 * earliest stream_ttl - heartbeat after Redis stopped. In the middle there is
 * room on either side; config.c sees to it that there is a middle.
 */
static int64_t pause_ms(const struct config *config)
{
	int64_t sweep = config->presence.sweep;
	int64_t middle =
		(config->presence.stream_ttl - config->presence.heartbeat + sweep) * 1000 / 2;

	return middle < sweep * 10000 ? middle : sweep * 10000;
}

static int64_t at_least(int64_t value, int64_t minimum)
{
	return value > minimum ? value : minimum;
}

/* In the order in which head.lua and common.lua read them. */
static char *make_head(const struct store *store, const struct config *config, size_t *len)
{
	struct printbuf *head = buf_new();
	int64_t sweep = config->presence.sweep;
	char rest[256];

	resp_text(head, store->prefix);
	resp_number(head, (int64_t)config->presence.online_ttl * 1000);
	resp_number(head, pause_ms(config));
	resp_number(head, config->presence.last_seen_ttl);
	/* Parsing one argument is cheaper than taking ten, of which few calls need one. */
	snprintf(rest, sizeof rest,
		 "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
		 " %d %d %d %d %s",
		 (int64_t)config->presence.stream_ttl * 1000,
		 (int64_t)config->presence.grace * 1000, sweep * 1000,
		 (config->presence.heartbeat + sweep) * 1000, store->recovering_ms,
		 at_least(config->presence.last_seen_ttl, VERSION_TTL_MIN),
		 config->presence.max_sessions, config->stream.max_streams_per_user,
		 config->auth.token_lifetime, config->presence.publish_broadcast != 0,
		 last_seen_names[config->presence.last_seen]);
	resp_text(head, rest);
	return buf_take(head, len);
}

static bool is_cluster(const char *text)
{
	struct redis_url url;
	bool is;

	if (redis_url_parse(text, &url) != NULL)
		return false;
	is = url.kind == REDIS_CLUSTER;
	redis_url_free(&url);
	return is;
}

struct store *store_new(const struct config *config, unsigned partition, const char *prefix)
{
	struct store *store = xcalloc(1, sizeof *store);

	store->partition = partition;
	store->is_sharded = is_cluster(config->redis.url);
	store->prefix = xstrdup(prefix);
	store->leeway = config->auth.leeway;
	store->ahead = config->auth.leeway * (config->auth.login == LOGIN_EXTERNAL ? 2 : 1);
	store->recovering_ms = store_recovering_ms(config);
	store->pause_ms = pause_ms(config);
	store->stream_ttl_ms = (int64_t)config->presence.stream_ttl * 1000;
	store->head = make_head(store, config, &store->head_len);
	return store;
}

int64_t store_recovering_ms(const struct config *config)
{
	return at_least((int64_t)config->presence.sweep * 3000, RECOVERING_MIN);
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

unsigned store_partition(const struct store *store)
{
	return store->partition;
}

bool store_is_sharded(const struct store *store)
{
	return store->is_sharded;
}

int64_t store_pause_ms(const struct store *store)
{
	return store->pause_ms;
}

int64_t store_stream_ttl_ms(const struct store *store)
{
	return store->stream_ttl_ms;
}

bool store_is_noscript(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

/* Where an error's code starts: first, or after what Redis puts in front of a script's error. */
static const char *error_code(const char *text)
{
	static const char script[] = "user_script:";
	const char *at;

	if (strncmp(text, "ERR ", 4) != 0)
		return text;
	at = strstr(text, script);
	if (at == NULL)
		return text;
	at += sizeof script - 1;
	at += strspn(at, "0123456789");
	return strncmp(at, ": ", 2) == 0 ? at + 2 : text;
}

/* Whether it is an error with one of these codes; NULL after the last. */
static bool has_code(const redisReply *reply, const char *const codes[])
{
	const char *code;

	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	code = error_code(reply->str);
	for (; *codes != NULL; codes++) {
		size_t len = strlen(*codes);

		if (strncmp(code, *codes, len) == 0 && (code[len] == ' ' || code[len] == '\0'))
			return true;
	}
	return false;
}

bool store_is_outage(const redisReply *reply)
{
	static const char *const codes[] = {"LOADING", "READONLY",   "OOM",	   "NOSCRIPT",
					    "MISCONF", "NOAUTH",     "NOPERM",	   "MASTERDOWN",
					    "BUSY",    "NOREPLICAS", "UNKILLABLE", "CLUSTERDOWN",
					    NULL};

	return has_code(reply, codes);
}

bool store_is_no_primary(const redisReply *reply)
{
	static const char *const codes[] = {"READONLY", "NOREPLICAS", NULL};

	return has_code(reply, codes);
}

void store_put_evalsha(struct printbuf *out, const struct store *store, enum script script,
		       unsigned argc)
{
	resp_begin(out, 3 + store->is_sharded + argc);
	resp_arg(out, "EVALSHA", 7);
	resp_arg(out, scripts_name(script), SCRIPT_NAME_LEN);
	resp_arg(out, store->is_sharded ? "1" : "0", 1);
	if (store->is_sharded)
		resp_key(out, store->prefix, KEY_EPOCH, "");
}

void store_put_script(struct printbuf *out, const struct store *store, enum script script,
		      size_t argc)
{
	store_put_evalsha(out, store, script, (unsigned)(HEAD_ARGS + argc));
	buf_put(out, store->head, store->head_len);
}

bool store_read_integer(const redisReply *reply, size_t index, int64_t *number)
{
	if (reply->type != REDIS_REPLY_ARRAY || index >= reply->elements ||
	    reply->element[index]->type != REDIS_REPLY_INTEGER)
		return false;
	*number = number_bound(reply->element[index]->integer);
	return true;
}

enum store_verdict store_read_verdict(const redisReply *reply, size_t index)
{
	int64_t number;

	if (!store_read_integer(reply, index, &number) || number < STORE_DONE ||
	    number > STORE_TOO_MANY)
		return STORE_FAILED;
	return (enum store_verdict)number;
}

enum store_verdict store_read_verdict_or_wait(const redisReply *reply, int64_t *wait)
{
	int64_t verdict, ms;

	if (!store_read_integer(reply, 0, &verdict) || verdict != STORE_TOO_OFTEN)
		return store_read_verdict(reply, 0);
	if (!store_read_integer(reply, 1, &ms))
		return STORE_FAILED;
	*wait = (ms + 999) / 1000;
	return STORE_TOO_OFTEN;
}

/* The everyday request's, of which touch.lua has a short form: the fewer arguments the cheaper. */
static bool is_everyday(const struct store_touch *item)
{
	return item->stream == NULL && item->token && item->idle == STORE_IDLE_UNSAID &&
	       item->chosen == NULL && !item->wants_self && strcmp(item->reason, "activity") == 0;
}

static void put_everyday_touch(struct printbuf *out, const struct store *store,
			       enum store_caller caller, const struct store_touch *item)
{
	bool is_new = caller == STORE_WORKER;

	store_put_script(out, store, SCRIPT_TOUCH, 3 + is_new);
	resp_text(out, item->user->text);
	resp_text(out, item->tok);
	resp_number(out, item->iat);
	if (is_new)
		resp_arg(out, "1", 1);
}

void store_put_touch(struct printbuf *out, const struct store *store, enum store_caller caller,
		     const struct store_touch *items, size_t count)
{
	static const char *const callers[] = {"0", "1", "2"};
	static const char *const marks[] = {"", "0", "1", "born"};

	if (caller != STORE_STREAMD && count == 1 && is_everyday(items)) {
		put_everyday_touch(out, store, caller, items);
		return;
	}
	store_put_script(out, store, SCRIPT_TOUCH, 1 + 9 * count);
	resp_arg(out, callers[caller], 1);
	for (size_t i = 0; i < count; i++) {
		resp_text(out, items[i].user->text);
		resp_text(out, items[i].tok);
		resp_number(out, items[i].iat);
		resp_text(out, items[i].stream != NULL ? items[i].stream : "");
		resp_flag(out, items[i].token);
		resp_text(out, items[i].reason);
		resp_text(out, marks[items[i].idle]);
		resp_text(out, items[i].chosen != NULL ? items[i].chosen : "");
		resp_flag(out, items[i].wants_self);
	}
}

enum store_verdict store_read_touch(const redisReply *reply, size_t index)
{
	int64_t now;

	if (reply->type == REDIS_REPLY_INTEGER) /* of touch_quick.lua */
		return STORE_DONE;
	if (!store_read_integer(reply, 0, &now))
		return STORE_FAILED;
	if (1 + index < reply->elements && reply->element[1 + index]->type == REDIS_REPLY_ARRAY)
		return store_read_verdict(reply->element[1 + index], 0);
	return store_read_verdict(reply, 1 + index);
}

/* Reads {verdict, own STATUS, chosen state}. */
static bool read_self(const redisReply *answer, struct store_self *self)
{
	if (answer->type != REDIS_REPLY_ARRAY || answer->elements != 3 ||
	    answer->element[1]->type != REDIS_REPLY_STRING ||
	    answer->element[2]->type != REDIS_REPLY_STRING)
		return false;
	self->status = answer->element[1]->str;
	self->status_len = answer->element[1]->len;
	self->chosen = answer->element[2]->str;
	return self->status_len > 1 && self->status[self->status_len - 1] == '}';
}

bool store_read_self(const redisReply *reply, size_t index, struct store_self *self)
{
	return reply->type == REDIS_REPLY_ARRAY && 1 + index < reply->elements &&
	       read_self(reply->element[1 + index], self);
}

void store_put_choose(struct printbuf *out, const struct store *store,
		      const struct store_choose *choose)
{
	store_put_script(out, store, SCRIPT_CHOOSE, 5);
	resp_text(out, choose->user->text);
	resp_text(out, choose->tok);
	resp_number(out, choose->iat);
	resp_text(out, choose->state != NULL ? choose->state : "");
	resp_number(out, choose->holds * 1000);
}

enum store_verdict store_read_choose(const redisReply *reply, struct store_self *self,
				     int64_t *wait)
{
	enum store_verdict verdict = store_read_verdict_or_wait(reply, wait);

	return verdict == STORE_DONE && !read_self(reply, self) ? STORE_FAILED : verdict;
}

void store_put_settings(struct printbuf *out, const struct store *store, const struct userid *user,
			const char *tok, int64_t iat, const char *settings)
{
	store_put_script(out, store, SCRIPT_SETTINGS, 4);
	resp_text(out, user->text);
	resp_text(out, tok);
	resp_number(out, iat);
	resp_text(out, settings);
}

enum store_verdict store_read_noted(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_INTEGER)
		return STORE_FAILED;
	return reply->integer == STORE_DONE ? STORE_DONE : STORE_REVOKED;
}

void store_put_time(struct printbuf *out)
{
	resp_begin(out, 1);
	resp_text(out, "TIME");
}

bool store_read_time(const redisReply *reply, int64_t *now_ms)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_STRING)
		return false;
	*now_ms = number_bound((int64_t)number_read(reply->element[0]->str) * 1000 +
			       (int64_t)number_read(reply->element[1]->str) / 1000);
	return true;
}

void store_put_close(struct printbuf *out, const struct store *store,
		     const struct store_close *items, size_t count)
{
	store_put_script(out, store, SCRIPT_CLOSE, 4 * count);
	for (size_t i = 0; i < count; i++) {
		resp_text(out, items[i].user->text);
		resp_text(out, items[i].tok);
		resp_text(out, items[i].stream);
		resp_number(out, items[i].ago_ms);
	}
}

enum store_verdict store_read_close(const redisReply *reply, size_t index)
{
	return store_read_verdict(reply, index);
}

void store_put_end(struct printbuf *out, const struct store *store, const struct store_end *end)
{
	struct printbuf *forgotten = buf_new();
	unsigned count = 0;

	if (end->forget)
		count = traces_put_named(forgotten, store->prefix, end->user);
	store_put_script(out, store, SCRIPT_END, 9 + count);
	resp_text(out, end->user->text);
	resp_text(out, end->tok != NULL ? end->tok : "");
	resp_number(out, end->iat);
	resp_number(out, end->exp);
	resp_number(out, store->leeway);
	resp_flag(out, end->all);
	resp_text(out, end->reason);
	resp_flag(out, end->knows_epoch);
	if (end->forget)
		resp_number(out, store->ahead);
	else
		resp_text(out, "");
	buf_put(out, forgotten->buf, buf_len(forgotten));
	printbuf_free(forgotten);
}

void store_put_drop(struct printbuf *out, const struct store *store, const char *key, size_t len,
		    const char *value)
{
	store_put_script(out, store, SCRIPT_DROP, 2);
	resp_arg(out, key, len);
	resp_text(out, value);
}

enum store_verdict store_read_end(const redisReply *reply)
{
	return store_read_verdict(reply, 0);
}

void store_put_sweep(struct printbuf *out, const struct store *store, bool streamd,
		     const char *word)
{
	store_put_script(out, store, SCRIPT_SWEEP, 3);
	resp_number(out, STORE_SWEEP_MAX);
	resp_flag(out, streamd);
	resp_text(out, word);
}

enum {
	SWEPT_LOOKED_AT,
	SWEPT_EPOCH,
	SWEPT_RECOVERS,
	SWEPT_LATENESS,
	SWEPT_CHECKED,
	SWEPT_REPAIRED,
	SWEPT_HOLD
};

bool store_read_sweep(const redisReply *reply, struct store_sweep *sweep)
{
	int64_t looked_at, recovers;

	if (!store_read_integer(reply, SWEPT_LOOKED_AT, &looked_at) ||
	    !store_read_integer(reply, SWEPT_RECOVERS, &recovers) ||
	    !store_read_integer(reply, SWEPT_CHECKED, &sweep->checked) ||
	    !store_read_integer(reply, SWEPT_REPAIRED, &sweep->repaired) ||
	    !store_read_integer(reply, SWEPT_HOLD, &sweep->hold) ||
	    reply->element[SWEPT_EPOCH]->type != REDIS_REPLY_STRING ||
	    reply->element[SWEPT_LATENESS]->type != REDIS_REPLY_ARRAY)
		return false;
	sweep->more = looked_at >= STORE_SWEEP_MAX;
	sweep->recovers = recovers != 0;
	sweep->epoch = reply->element[SWEPT_EPOCH]->str;
	sweep->offline = reply->element[SWEPT_LATENESS]->elements;
	return true;
}

int64_t store_read_lateness(const redisReply *reply, size_t index)
{
	int64_t late = 0;

	store_read_integer(reply->element[SWEPT_LATENESS], index, &late);
	return late;
}

void store_put_epoch(struct printbuf *out, const struct store *store, const char *word,
		     const char *known)
{
	store_put_script(out, store, SCRIPT_EPOCH, 2);
	resp_text(out, word);
	resp_text(out, known != NULL ? known : "");
}

const char *store_read_epoch(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING ? reply->str : NULL;
}

void store_put_recovering(struct printbuf *out, const struct store *store)
{
	resp_begin(out, 5);
	resp_text(out, "SET");
	resp_key(out, store->prefix, KEY_RECOVERING, "");
	resp_text(out, "1");
	resp_text(out, "PX");
	resp_number(out, store->recovering_ms);
}

void store_put_health(struct printbuf *out, const struct store *store, bool all)
{
	store_put_script(out, store, SCRIPT_HEALTH, 1);
	resp_flag(out, all);
}

void store_put_websocket(struct printbuf *out, const struct store *store, const struct userid *user,
			 const char *tok, int64_t iat, const char *session)
{
	store_put_script(out, store, SCRIPT_WEBSOCKET, 4);
	resp_text(out, user->text);
	resp_text(out, tok);
	resp_number(out, iat);
	resp_text(out, session);
}
