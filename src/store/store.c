#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/redis_url.h"
#include "store/blocks.h"
#include "store/keys.h"
#include "store/place.h"
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

/* A call with the head and `argc` more arguments, which the caller appends. */
static void put_script(struct printbuf *out, const struct store *store, enum script script,
		       size_t argc)
{
	store_put_evalsha(out, store, script, (unsigned)(HEAD_ARGS + argc));
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

	if (!read_integer(reply, index, &number) || number < STORE_DONE || number > STORE_TOO_MANY)
		return STORE_FAILED;
	return (enum store_verdict)number;
}

/* Of one user alone: {verdict, ...}, or {STORE_TOO_OFTEN, ms}. */
static enum store_verdict read_verdict_or_wait(const redisReply *reply, int64_t *wait)
{
	int64_t verdict, ms;

	if (!read_integer(reply, 0, &verdict) || verdict != STORE_TOO_OFTEN)
		return read_verdict(reply, 0);
	if (!read_integer(reply, 1, &ms))
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

	put_script(out, store, SCRIPT_TOUCH, 3 + is_new);
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
	put_script(out, store, SCRIPT_TOUCH, 1 + 9 * count);
	resp_arg(out, callers[caller], 1);
	for (size_t i = 0; i < count; i++) {
		resp_text(out, items[i].user->text);
		resp_text(out, items[i].tok);
		resp_number(out, items[i].iat);
		resp_text(out, items[i].stream != NULL ? items[i].stream : "");
		put_flag(out, items[i].token);
		resp_text(out, items[i].reason);
		resp_text(out, marks[items[i].idle]);
		resp_text(out, items[i].chosen != NULL ? items[i].chosen : "");
		put_flag(out, items[i].wants_self);
	}
}

enum store_verdict store_read_touch(const redisReply *reply, size_t index)
{
	int64_t now;

	if (reply->type == REDIS_REPLY_INTEGER) /* of touch_quick.lua */
		return STORE_DONE;
	if (!read_integer(reply, 0, &now))
		return STORE_FAILED;
	if (1 + index < reply->elements && reply->element[1 + index]->type == REDIS_REPLY_ARRAY)
		return read_verdict(reply->element[1 + index], 0);
	return read_verdict(reply, 1 + index);
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
	put_script(out, store, SCRIPT_CHOOSE, 5);
	resp_text(out, choose->user->text);
	resp_text(out, choose->tok);
	resp_number(out, choose->iat);
	resp_text(out, choose->state != NULL ? choose->state : "");
	resp_number(out, choose->holds * 1000);
}

enum store_verdict store_read_choose(const redisReply *reply, struct store_self *self,
				     int64_t *wait)
{
	enum store_verdict verdict = read_verdict_or_wait(reply, wait);

	return verdict == STORE_DONE && !read_self(reply, self) ? STORE_FAILED : verdict;
}

void store_put_settings(struct printbuf *out, const struct store *store, const struct userid *user,
			const char *tok, int64_t iat, const char *settings)
{
	put_script(out, store, SCRIPT_SETTINGS, 4);
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

void store_put_typing(struct printbuf *out, const struct store *store,
		      const struct store_typing *typing)
{
	put_script(out, store, SCRIPT_TYPING, 6);
	resp_text(out, typing->to->text);
	resp_text(out, typing->from->text);
	put_flag(out, typing->starts);
	resp_text(out, typing->conversation);
	resp_number(out, STORE_TYPING_SECONDS * 1000);
	put_flag(out, typing->passes);
}

/* --- where a user is ------------------------------------------------------------------------- */

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
	*now_ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 +
		  strtoll(reply->element[1]->str, NULL, 10) / 1000;
	return true;
}

static void put_place(struct printbuf *out, const struct place *place)
{
	struct printbuf *text = buf_new();

	place_put(text, place);
	resp_arg(out, text->buf, buf_len(text));
	printbuf_free(text);
}

void store_put_place(struct printbuf *out, const struct store *store,
		     const struct store_place *place)
{
	struct place marks = place_without_cells(place->place);

	put_script(out, store, SCRIPT_PLACE, 8);
	resp_text(out, place->user->text);
	resp_text(out, place->tok);
	resp_number(out, place->iat);
	resp_text(out, place->before);
	put_place(out, place->place);
	resp_number(out, PLACE_HOLDS_MS);
	put_place(out, &marks);
	resp_number(out, PLACE_MARK_MS);
}

enum store_verdict store_read_place(const redisReply *reply, bool *kept)
{
	int64_t number = 0;

	*kept = read_integer(reply, 1, &number) && number == 1;
	return read_verdict(reply, 0);
}

void store_put_leave(struct printbuf *out, const struct store *store, const struct userid *user,
		     const char *tok, int64_t iat)
{
	put_script(out, store, SCRIPT_LEAVE, 3);
	resp_text(out, user->text);
	resp_text(out, tok);
	resp_number(out, iat);
}

enum store_verdict store_read_leave(const redisReply *reply, struct place *before)
{
	memset(before, 0, sizeof *before);
	if (read_verdict(reply, 0) == STORE_DONE && reply->elements == 2 &&
	    reply->element[1]->type == REDIS_REPLY_STRING)
		place_parse(reply->element[1]->str, reply->element[1]->len, before);
	return read_verdict(reply, 0);
}

void store_put_near(struct printbuf *out, const struct store *store, const struct userid *user,
		    const struct userid *friend, bool near)
{
	put_script(out, store, SCRIPT_NEAR, 3);
	resp_text(out, user->text);
	resp_text(out, friend->text);
	put_flag(out, near);
}

/* --- what a touch tells ---------------------------------------------------------------------- */

/* What a worker's touch learned besides, as in touch.lua: the last number of the reply, or it alone. */
enum { LEARNED_LOOK_TWICE = 1, LEARNED_SWEPT = 2 };

static bool has_learned(const redisReply *reply, int64_t what)
{
	int64_t number = 0;

	if (reply->type == REDIS_REPLY_INTEGER)
		number = reply->integer;
	else if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
		read_integer(reply, reply->elements - 1, &number);
	return (number & what) != 0;
}

bool store_read_unsettled(const redisReply *reply)
{
	return has_learned(reply, LEARNED_LOOK_TWICE);
}

unsigned store_put_pause(struct printbuf *out, const struct store *store)
{
	resp_begin(out, 4);
	resp_text(out, "MGET");
	resp_key(out, store->prefix, KEY_SWEPT, "");
	resp_key(out, store->prefix, KEY_HOLD, "");
	resp_key(out, store->prefix, KEY_PAUSED, "");
	store_put_time(out);
	return 2;
}

/* A time in ms; 0 when there is none. */
static int64_t read_ms(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
}

/* As is_unsettled() in common.lua. */
bool store_read_pause(redisReply *const *replies, const struct store *store)
{
	const redisReply *known = replies[0];
	int64_t now, swept, hold, paused;

	if (known->type != REDIS_REPLY_ARRAY || known->elements != 3 ||
	    !store_read_time(replies[1], &now))
		return true;
	swept = read_ms(known->element[0]);
	hold = read_ms(known->element[1]);
	paused = read_ms(known->element[2]);
	if (hold > now)
		return true;
	return swept > 0 && now - swept > store->pause_ms &&
	       (paused != swept || now - swept < 3 * store->stream_ttl_ms);
}

bool store_read_swept(const redisReply *reply)
{
	return has_learned(reply, LEARNED_SWEPT);
}

void store_put_look(struct printbuf *out, const struct store *store,
		    const struct userid *const *users, size_t count)
{
	put_script(out, store, SCRIPT_LOOK, count);
	for (size_t i = 0; i < count; i++)
		resp_text(out, users[i]->text);
}

redisReply *store_read_look(const redisReply *reply, size_t index)
{
	if (reply->type != REDIS_REPLY_ARRAY || index >= reply->elements ||
	    reply->element[index]->type != REDIS_REPLY_STRING)
		return NULL;
	return reply->element[index];
}

void store_put_close(struct printbuf *out, const struct store *store,
		     const struct store_close *items, size_t count)
{
	put_script(out, store, SCRIPT_CLOSE, 4 * count);
	for (size_t i = 0; i < count; i++) {
		resp_text(out, items[i].user->text);
		resp_text(out, items[i].tok);
		resp_text(out, items[i].stream);
		resp_number(out, items[i].ago_ms);
	}
}

enum store_verdict store_read_close(const redisReply *reply, size_t index)
{
	return read_verdict(reply, index);
}

void store_put_end(struct printbuf *out, const struct store *store, const struct store_end *end)
{
	struct printbuf *forgotten = buf_new();
	unsigned count = 0;

	if (end->forget)
		count = traces_put_named(forgotten, store->prefix, end->user);
	put_script(out, store, SCRIPT_END, 9 + count);
	resp_text(out, end->user->text);
	resp_text(out, end->tok != NULL ? end->tok : "");
	resp_number(out, end->iat);
	resp_number(out, end->exp);
	resp_number(out, store->leeway);
	put_flag(out, end->all);
	resp_text(out, end->reason);
	put_flag(out, end->knows_epoch);
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
	put_script(out, store, SCRIPT_DROP, 2);
	resp_arg(out, key, len);
	resp_text(out, value);
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

bool store_read_sweep(const redisReply *reply, struct store_sweep *sweep)
{
	int64_t looked_at, recovers;

	if (!read_integer(reply, 0, &looked_at) || !read_integer(reply, 2, &recovers) ||
	    reply->element[1]->type != REDIS_REPLY_STRING)
		return false;
	sweep->more = looked_at >= STORE_SWEEP_MAX;
	sweep->recovers = recovers != 0;
	sweep->epoch = reply->element[1]->str;
	return true;
}

void store_put_epoch(struct printbuf *out, const struct store *store, const char *word,
		     const char *known)
{
	put_script(out, store, SCRIPT_EPOCH, 2);
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
	put_script(out, store, SCRIPT_HEALTH, 1);
	put_flag(out, all);
}

void store_put_websocket(struct printbuf *out, const struct store *store, const struct userid *user,
			 const char *tok, int64_t iat, const char *session)
{
	put_script(out, store, SCRIPT_WEBSOCKET, 4);
	resp_text(out, user->text);
	resp_text(out, tok);
	resp_number(out, iat);
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

bool store_read_throttle(const redisReply *reply, int *wait, int64_t *now)
{
	int64_t seconds;

	if (!read_integer(reply, 0, &seconds) || !read_integer(reply, 1, now))
		return false;
	*wait = (int)seconds;
	return true;
}

void store_put_unthrottle(struct printbuf *out, const struct store *store, const char *account,
			  const char *address)
{
	put_script(out, store, SCRIPT_UNTHROTTLE, 2);
	resp_text(out, account);
	resp_text(out, address != NULL ? address : "");
}

/* --- blocks ---------------------------------------------------------------------------------- */

void store_put_may_block(struct printbuf *out, const struct store *store,
			 const struct userid *blocker, const char *tok, int64_t iat,
			 const struct userid *blocked, bool adds)
{
	put_script(out, store, SCRIPT_MAY_BLOCK, 7);
	resp_text(out, blocker->text);
	resp_text(out, tok);
	resp_number(out, iat);
	resp_text(out, blocked->text);
	put_flag(out, adds);
	resp_number(out, BLOCKS_MAX);
	resp_number(out, BLOCKS_CHANGES_MAX);
}

enum store_verdict store_read_may_block(const redisReply *reply, int64_t *wait)
{
	return read_verdict_or_wait(reply, wait);
}

static void put_side(struct printbuf *out, const struct store *store, const char *side,
		     const struct userid *owner, const struct userid *other, bool adds)
{
	put_script(out, store, SCRIPT_BLOCK, 4);
	resp_text(out, owner->text);
	resp_text(out, other->text);
	resp_text(out, side);
	put_flag(out, adds);
}

const struct userid *store_block_owner(const struct userid *blocker, const struct userid *blocked,
				       bool adds, unsigned step)
{
	return (step == 0) == adds ? blocked : blocker;
}

void store_put_block(struct printbuf *out, const struct store *store, const struct userid *blocker,
		     const struct userid *blocked, bool adds, unsigned step)
{
	if (store_block_owner(blocker, blocked, adds, step) == blocked)
		put_side(out, store, "blocked_by", blocked, blocker, adds);
	else
		put_side(out, store, "blocked", blocker, blocked, adds);
}

void store_put_friends_changed(struct printbuf *out, const struct store *store,
			       const struct userid *user)
{
	resp_begin(out, 3);
	resp_text(out, store->is_sharded ? "SPUBLISH" : "PUBLISH");
	resp_key(out, store->prefix, CHANNEL_INBOX, user->text);
	resp_text(out, "{\"type\":\"friends_changed\"}");
}
