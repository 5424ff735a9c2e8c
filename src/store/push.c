#include "store/push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/number.h"
#include "store/blocks.h"
#include "store/keys.h"
#include "store/resp.h"

#define GROUP "push" /* of consumers: every presence-pushd is one */
#define FIELD "job" /* of an entry */
#define TAG_KEPT 3600 /* seconds that a tag outlives its notification */

/* A call with the prefix and `argc` more arguments, which the caller appends. */
static void put_script(struct printbuf *out, const struct store *store, enum script script,
		       unsigned argc)
{
	store_put_evalsha(out, store, script, 1 + argc);
	resp_text(out, store_prefix(store));
}

/* A command with one key and `argc` more arguments. */
static void put_command(struct printbuf *out, const struct store *store, const char *command,
			const char *key, const char *rest, unsigned argc)
{
	resp_begin(out, 2 + argc);
	resp_text(out, command);
	resp_key(out, store_prefix(store), key, rest);
}

/* --- for presence-api ------------------------------------------------------------------------ */

void push_put_subscribe(struct printbuf *out, const struct store *store, const struct userid *user,
			const char *tok, int64_t iat, const struct push_subscription *subscription)
{
	struct printbuf *json = buf_new();

	push_subscription_put(json, subscription);
	put_script(out, store, SCRIPT_PUSH_SUBSCRIBE, 6);
	resp_text(out, user->text);
	resp_text(out, tok);
	resp_number(out, iat);
	resp_number(out, PUSH_SUBSCRIPTIONS_MAX);
	resp_text(out, subscription->id);
	resp_arg(out, json->buf, buf_len(json));
	printbuf_free(json);
}

bool push_read_subscribe(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
}

void push_put_owner(struct printbuf *out, const struct store *store, const struct userid *user,
		    const char *id)
{
	put_command(out, store, "SET", KEY_PUSH_OWNER, id, 4);
	resp_text(out, user->text);
	resp_text(out, "EX");
	resp_number(out, PUSH_OWNER_TTL);
	resp_text(out, "GET");
}

void push_put_subscriptions(struct printbuf *out, const struct store *store,
			    const struct userid *user)
{
	put_command(out, store, "HGETALL", KEY_PUSH_SUBS, user->text, 0);
}

size_t push_read_subscriptions(const redisReply *reply, struct push_subscription *list, size_t max)
{
	size_t count = 0;

	if (reply->type != REDIS_REPLY_ARRAY)
		return 0;
	for (size_t i = 0; i + 1 < reply->elements && count < max; i += 2) {
		const redisReply *id = reply->element[i], *text = reply->element[i + 1];

		if (id->type == REDIS_REPLY_STRING && text->type == REDIS_REPLY_STRING &&
		    push_subscription_read(id->str, text->str, text->len, &list[count]))
			count++;
	}
	return count;
}

void push_put_unsubscribe(struct printbuf *out, const struct store *store,
			  const struct userid *user, const char *id)
{
	put_command(out, store, "HDEL", KEY_PUSH_SUBS, user->text, 1);
	resp_text(out, id);
}

void push_put_want(struct printbuf *out, const struct store *store, const struct userid *user,
		   const char *tok, int64_t iat, const struct userid *friend, const char *name)
{
	put_script(out, store, SCRIPT_PUSH_WANT, 7);
	resp_text(out, user->text);
	resp_text(out, tok);
	resp_number(out, iat);
	resp_number(out, PUSH_WANTED_MAX);
	resp_number(out, PUSH_WANTED_TTL);
	resp_text(out, friend->text);
	resp_text(out, name);
}

void push_put_wait(struct printbuf *out, const struct store *store, const struct userid *user,
		   const struct userid *friend, bool noted)
{
	put_script(out, store, SCRIPT_PUSH_WAIT, 5);
	resp_text(out, friend->text);
	resp_number(out, PUSH_WANTED_MAX);
	resp_number(out, PUSH_WANTED_TTL);
	resp_text(out, user->text);
	resp_text(out, noted ? "1" : "0");
}

void push_put_unwait(struct printbuf *out, const struct store *store, const struct userid *user,
		     const struct userid *friend)
{
	put_command(out, store, "SREM", KEY_PUSH_WAITING, friend->text, 1);
	resp_text(out, user->text);
}

void push_put_enqueue(struct printbuf *out, const struct store *store, const struct push_job *job,
		      bool always)
{
	struct printbuf *json = buf_new();

	push_job_put(json, job);
	put_script(out, store, SCRIPT_PUSH_ENQUEUE, 7);
	resp_text(out, job->user.text);
	resp_number(out, PUSH_QUEUE_MAX);
	resp_text(out, always ? "0" : "1");
	resp_text(out, job->tag);
	resp_text(out, job->id);
	resp_number(out, job->ttl + TAG_KEPT);
	resp_arg(out, json->buf, buf_len(json));
	printbuf_free(json);
}

enum push_queued push_read_enqueue(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_INTEGER)
		return PUSH_NOT_UNDERSTOOD;
	return reply->integer == 1   ? PUSH_QUEUED
	       : reply->integer == 0 ? PUSH_NOT_SUBSCRIBED
				     : PUSH_FULL;
}

/* --- taking ---------------------------------------------------------------------------------- */

static void put_read(struct printbuf *out, unsigned argc, const char *consumer, unsigned count)
{
	resp_begin(out, argc);
	resp_text(out, "XREADGROUP");
	resp_text(out, "GROUP");
	resp_text(out, GROUP);
	resp_text(out, consumer);
	resp_text(out, "COUNT");
	resp_number(out, count);
}

static void put_queues(struct printbuf *out, const struct store *const *stores,
		       unsigned store_count, const char *after)
{
	resp_text(out, "STREAMS");
	for (unsigned i = 0; i < store_count; i++)
		resp_key(out, store_prefix(stores[i]), KEY_PUSH_QUEUE, "");
	for (unsigned i = 0; i < store_count; i++)
		resp_text(out, after);
}

void push_put_take(struct printbuf *out, const struct store *const *stores, unsigned store_count,
		   const char *consumer, unsigned count, int block_ms)
{
	put_read(out, (block_ms > 0 ? 9 : 7) + 2 * store_count, consumer, count);
	if (block_ms > 0) {
		resp_text(out, "BLOCK");
		resp_number(out, block_ms);
	}
	put_queues(out, stores, store_count, ">");
}

void push_put_take_own(struct printbuf *out, const struct store *const *stores,
		       unsigned store_count, const char *consumer, unsigned count)
{
	put_read(out, 7 + 2 * store_count, consumer, count);
	put_queues(out, stores, store_count, "0");
}

/* Whether a stream of the reply, [key, entries], is the partition's queue. */
static bool is_queue_of(const redisReply *stream, const struct store *store)
{
	const char *prefix = store_prefix(store);
	size_t len = strlen(prefix);

	return stream->type == REDIS_REPLY_ARRAY && stream->elements == 2 &&
	       stream->element[0]->type == REDIS_REPLY_STRING &&
	       stream->element[1]->type == REDIS_REPLY_ARRAY &&
	       strncmp(stream->element[0]->str, prefix, len) == 0 &&
	       strcmp(stream->element[0]->str + len, KEY_PUSH_QUEUE) == 0;
}

const redisReply *push_read_take(const redisReply *reply, const struct store *store)
{
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		if (is_queue_of(reply->element[i], store))
			return reply->element[i]->element[1];
	}
	return NULL;
}

bool push_read_entry(const redisReply *entries, size_t index, struct push_entry *entry)
{
	const redisReply *pair = entries->element[index], *fields;

	if (pair->type != REDIS_REPLY_ARRAY || pair->elements != 2 ||
	    pair->element[0]->type != REDIS_REPLY_STRING ||
	    pair->element[0]->len > PUSH_ENTRY_ID_MAX)
		return false;
	/* An entry that is not ours, or was deleted, reads as an empty job: it is thrown out. */
	*entry = (struct push_entry){.id = pair->element[0]->str, .job = ""};
	fields = pair->element[1];
	if (fields->type == REDIS_REPLY_ARRAY && fields->elements >= 2 &&
	    fields->element[0]->type == REDIS_REPLY_STRING &&
	    strcmp(fields->element[0]->str, FIELD) == 0 &&
	    fields->element[1]->type == REDIS_REPLY_STRING) {
		entry->job = fields->element[1]->str;
		entry->job_len = fields->element[1]->len;
	}
	return true;
}

void push_put_tick(struct printbuf *out, const struct store *store, const char *consumer,
		   int64_t lease_ms, unsigned due, unsigned claim)
{
	put_script(out, store, SCRIPT_PUSH_TICK, 4);
	resp_text(out, consumer);
	resp_number(out, lease_ms);
	resp_number(out, due);
	resp_number(out, claim);
}

bool push_read_tick(const redisReply *reply, int64_t *now_ms, const redisReply **claimed)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_INTEGER ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY)
		return false;
	*now_ms = number_bound(reply->element[0]->integer);
	*claimed = reply->element[1];
	return true;
}

void push_put_leave(struct printbuf *out, const struct store *store, const char *consumer)
{
	put_command(out, store, "DEL", KEY_PUSH_PUSHD, consumer, 0);
}

/* --- looking --------------------------------------------------------------------------------- */

/* The replies to push_put_look(). */
enum look_reply {
	LOOK_KEYS,
	LOOK_WANTED,
	LOOK_SUBSCRIPTIONS,
	LOOK_BLOCKS, /* a reply for each side */
	LOOK_COUNT = LOOK_BLOCKS + BLOCKS_SIDES
};

unsigned push_put_look_friend(struct printbuf *out, const struct store *store,
			      const struct push_job *job)
{
	put_command(out, store, "GET", KEY_ONLINE, job->friend.text, 0);
	return 1;
}

unsigned push_put_look(struct printbuf *out, const struct store *store, const struct push_job *job,
		       bool with_friend)
{
	char tag[USERID_MAX + 1 + PUSH_TAG_MAX + 1];

	/* Who waits for nobody asks for itself: the reply has one form. */
	resp_begin(out, 6);
	resp_text(out, "MGET");
	resp_key(out, store_prefix(store), KEY_RECOVERING, "");
	resp_key(out, store_prefix(store), KEY_ONLINE, job->user.text);
	resp_key(out, store_prefix(store), KEY_CHOSEN, job->user.text);
	resp_key(out, store_prefix(store), KEY_ONLINE,
		 with_friend ? job->friend.text : job->user.text);
	snprintf(tag, sizeof tag, "%s/%s", job->user.text, job->tag);
	resp_key(out, store_prefix(store), KEY_PUSH_TAG, tag);

	put_command(out, store, "HGET", KEY_PUSH_WANTED, job->user.text, 1);
	resp_text(out, job->is_online ? job->friend.text : "");
	push_put_subscriptions(out, store, &job->user);
	for (enum blocks_side side = 0; side < BLOCKS_SIDES; side++) {
		blocks_put_ask(out, store_prefix(store), side, &job->user, 1);
		resp_text(out, job->is_online ? job->friend.text : "");
	}
	return LOOK_COUNT;
}

/* Whether a text of Redis is JSON whose `status` is that word; *ends_ms: its `ends`, or 0. */
static bool has_status(const redisReply *reply, const char *word, int64_t *ends_ms)
{
	struct json_object *object;
	const char *why, *status;
	bool has;

	*ends_ms = 0;
	if (reply->type != REDIS_REPLY_STRING)
		return false;
	object = json_parse_object(reply->str, reply->len, &why);
	has = object != NULL && json_is_text(json_member(object, "status"), 16, &status) &&
	      strcmp(status, word) == 0;
	if (has)
		*ends_ms = number_bound(json_object_get_int64(json_member(object, "ends")));
	json_object_put(object);
	return has;
}

/* What the keys of the MGET say. */
static void read_keys(const redisReply *keys, const redisReply *friend, const struct push_job *job,
		      struct push_look *look)
{
	redisReply *const *key = keys->element;
	int64_t ends_ms;

	look->recovering = key[0]->type == REDIS_REPLY_STRING;
	look->online = key[1]->type == REDIS_REPLY_STRING;
	look->away = has_status(key[1], "away", &ends_ms);
	look->dnd = has_status(key[2], "dnd", &look->dnd_ends_ms);
	look->friend_online = (friend != NULL ? friend : key[3])->type == REDIS_REPLY_STRING;
	look->superseded = job->tag[0] != '\0' && key[4]->type == REDIS_REPLY_STRING &&
			   strcmp(key[4]->str, job->id) != 0;
}

bool push_read_look(redisReply *const *replies, const redisReply *friend,
		    const struct push_job *job, struct push_look *look)
{
	const redisReply *keys = replies[LOOK_KEYS], *name = replies[LOOK_WANTED];

	memset(look, 0, sizeof *look);
	if (keys->type != REDIS_REPLY_ARRAY || keys->elements != 5 ||
	    replies[LOOK_SUBSCRIPTIONS]->type != REDIS_REPLY_ARRAY)
		return false;
	read_keys(keys, friend, job, look);
	/* As push_want.lua notes it. */
	look->wanted = name->type == REDIS_REPLY_STRING && name->str[0] == '+' &&
		       name->len <= 1 + PUSH_NAME_MAX;
	if (look->wanted)
		strcpy(look->name, name->str + 1);
	look->count = push_read_subscriptions(replies[LOOK_SUBSCRIPTIONS], look->subscriptions,
					      PUSH_SUBSCRIPTIONS_MAX);
	for (enum blocks_side side = 0; side < BLOCKS_SIDES; side++) {
		const redisReply *reply = replies[LOOK_BLOCKS + side];

		if (!blocks_is_answer(reply, 1))
			return false;
		look->friend_hidden |= blocks_has(reply, 0);
	}
	return true;
}

void push_put_count(struct printbuf *out, const struct store *store, const struct userid *user)
{
	put_script(out, store, SCRIPT_PUSH_COUNT, 3);
	resp_text(out, user->text);
	resp_number(out, PUSH_RATE_MAX);
	resp_number(out, PUSH_RATE_WINDOW_MS);
}

/* --- afterwards ------------------------------------------------------------------------------ */

void push_put_later(struct printbuf *out, const struct store *store, const char *entry_id,
		    int64_t wait_ms, const struct push_job *job)
{
	struct printbuf *json = buf_new();

	push_job_put(json, job);
	put_script(out, store, SCRIPT_PUSH_LATER, 3);
	resp_text(out, entry_id);
	resp_number(out, wait_ms);
	resp_arg(out, json->buf, buf_len(json));
	printbuf_free(json);
}

void push_put_done(struct printbuf *out, const struct store *store, const char *entry_id)
{
	put_script(out, store, SCRIPT_PUSH_DONE, 1);
	resp_text(out, entry_id);
}

void push_put_told(struct printbuf *out, const struct store *store, const struct userid *user,
		   const struct userid *friend)
{
	put_command(out, store, "HDEL", KEY_PUSH_WANTED, user->text, 1);
	resp_text(out, friend->text);
}

void push_put_outcome(struct printbuf *out, const struct store *store, const char *name,
		      unsigned count)
{
	put_command(out, store, "HINCRBY", KEY_PUSH_OUTCOMES, "", 2);
	resp_text(out, name);
	resp_number(out, count);
}

/* --- for presencectl ------------------------------------------------------------------------- */

void push_put_entries(struct printbuf *out, const struct store *store, const char *after,
		      unsigned count)
{
	char from[PUSH_ENTRY_ID_MAX + 2];

	snprintf(from, sizeof from, "(%s", after);
	put_command(out, store, "XRANGE", KEY_PUSH_QUEUE, "", 4);
	resp_text(out, from);
	resp_text(out, "+");
	resp_text(out, "COUNT");
	resp_number(out, count);
}

void push_put_waiting(struct printbuf *out, const struct store *store, const char *cursor,
		      unsigned count)
{
	put_command(out, store, "ZSCAN", KEY_PUSH_LATER, "", 3);
	resp_text(out, cursor);
	resp_text(out, "COUNT");
	resp_number(out, count);
}

/* "ID JSON", as push_later.lua writes it. */
bool push_read_waiting(const redisReply *member, struct push_job *job)
{
	const char *json;

	if (member->type != REDIS_REPLY_STRING)
		return false;
	json = strchr(member->str, ' ');
	json = json != NULL ? json + 1 : member->str;
	return push_job_read(json, member->len - (size_t)(json - member->str), job);
}

void push_put_drop_waiting(struct printbuf *out, const struct store *store,
			   const redisReply *member)
{
	put_command(out, store, "ZREM", KEY_PUSH_LATER, "", 1);
	resp_arg(out, member->str, member->len);
}

void push_put_state(struct printbuf *out, const struct store *store)
{
	put_command(out, store, "XLEN", KEY_PUSH_QUEUE, "", 0);
	put_command(out, store, "ZCARD", KEY_PUSH_LATER, "", 0);
	put_command(out, store, "HGETALL", KEY_PUSH_OUTCOMES, "", 0);
	put_command(out, store, "GET", KEY_PUSH_TICKED, "", 0);
	resp_begin(out, 1);
	resp_text(out, "TIME");
}

bool push_read_state(redisReply *const *replies, struct push_state *state)
{
	int64_t now_ms;

	if (replies[0]->type != REDIS_REPLY_INTEGER || replies[1]->type != REDIS_REPLY_INTEGER ||
	    replies[2]->type != REDIS_REPLY_ARRAY || !store_read_time(replies[4], &now_ms))
		return false;
	state->queue = number_bound(replies[0]->integer);
	state->later = number_bound(replies[1]->integer);
	state->outcomes = replies[2];
	state->ticked_ms = -1;
	if (replies[3]->type == REDIS_REPLY_STRING)
		state->ticked_ms = now_ms - (int64_t)number_read(replies[3]->str);
	return true;
}
