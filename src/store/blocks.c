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
