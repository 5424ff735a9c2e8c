#include "store/pause.h"

#include "base/number.h"
#include "store/keys.h"
#include "store/resp.h"

/* What a worker's touch learned besides, as in touch.lua: the last number of the reply, or it alone. */
enum { LEARNED_LOOK_TWICE = 1, LEARNED_SWEPT = 2 };

static bool has_learned(const redisReply *reply, int64_t what)
{
	int64_t number = 0;

	if (reply->type == REDIS_REPLY_INTEGER)
		number = reply->integer;
	else if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
		store_read_integer(reply, reply->elements - 1, &number);
	return (number & what) != 0;
}

bool pause_is_unsettled(const redisReply *reply)
{
	return has_learned(reply, LEARNED_LOOK_TWICE);
}

unsigned pause_put(struct printbuf *out, const struct store *store)
{
	const char *prefix = store_prefix(store);

	resp_begin(out, 4);
	resp_text(out, "MGET");
	resp_key(out, prefix, KEY_SWEPT, "");
	resp_key(out, prefix, KEY_HOLD, "");
	resp_key(out, prefix, KEY_PAUSED, "");
	store_put_time(out);
	return 2;
}

/* A time in ms; 0 when there is none. */
static int64_t read_ms(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING ? (int64_t)number_read(reply->str) : 0;
}

/* As is_unsettled() in common.lua. */
bool pause_read(redisReply *const *replies, const struct store *store)
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
	return swept > 0 && now - swept > store_pause_ms(store) &&
	       (paused != swept || now - swept < 3 * store_stream_ttl_ms(store));
}

bool pause_has_swept(const redisReply *reply)
{
	return has_learned(reply, LEARNED_SWEPT);
}

void pause_put_look(struct printbuf *out, const struct store *store,
		    const struct userid *const *users, size_t count)
{
	store_put_script(out, store, SCRIPT_LOOK, count);
	for (size_t i = 0; i < count; i++)
		resp_text(out, users[i]->text);
}

redisReply *pause_read_look(const redisReply *reply, size_t index)
{
	if (reply->type != REDIS_REPLY_ARRAY || index >= reply->elements ||
	    reply->element[index]->type != REDIS_REPLY_STRING)
		return NULL;
	return reply->element[index];
}
