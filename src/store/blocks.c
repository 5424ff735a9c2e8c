#include "store/blocks.h"

#include "store/keys.h"
#include "store/resp.h"

void blocks_put_ask(struct printbuf *out, const char *prefix, enum blocks_side side,
		    const struct userid *user, size_t count)
{
	resp_begin(out, (unsigned)(2 + count));
	resp_text(out, "SMISMEMBER");
	resp_key(out, prefix, side == BLOCKS_OWN ? KEY_BLOCKED : KEY_BLOCKED_BY, user->text);
}

bool blocks_is_answer(const redisReply *reply, size_t count)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
}

bool blocks_has(const redisReply *reply, size_t index)
{
	const redisReply *element = reply->element[index];

	return element->type == REDIS_REPLY_INTEGER && element->integer == 1;
}

void blocks_put_may(struct printbuf *out, const struct store *store, const struct userid *blocker,
		    const char *tok, int64_t iat, const struct userid *blocked, bool adds)
{
	store_put_script(out, store, SCRIPT_MAY_BLOCK, 7);
	resp_text(out, blocker->text);
	resp_text(out, tok);
	resp_number(out, iat);
	resp_text(out, blocked->text);
	resp_flag(out, adds);
	resp_number(out, BLOCKS_MAX);
	resp_number(out, BLOCKS_CHANGES_MAX);
}

enum store_verdict blocks_read_may(const redisReply *reply, int64_t *wait)
{
	return store_read_verdict_or_wait(reply, wait);
}

static void put_side(struct printbuf *out, const struct store *store, const char *side,
		     const struct userid *owner, const struct userid *other, bool adds)
{
	store_put_script(out, store, SCRIPT_BLOCK, 4);
	resp_text(out, owner->text);
	resp_text(out, other->text);
	resp_text(out, side);
	resp_flag(out, adds);
}

const struct userid *blocks_owner(const struct userid *blocker, const struct userid *blocked,
				  bool adds, unsigned step)
{
	return (step == 0) == adds ? blocked : blocker;
}

void blocks_put(struct printbuf *out, const struct store *store, const struct userid *blocker,
		const struct userid *blocked, bool adds, unsigned step)
{
	if (blocks_owner(blocker, blocked, adds, step) == blocked)
		put_side(out, store, "blocked_by", blocked, blocker, adds);
	else
		put_side(out, store, "blocked", blocker, blocked, adds);
}
