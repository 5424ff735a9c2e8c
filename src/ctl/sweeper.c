#include "ctl/sweeper.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/number.h"
#include "store/keys.h"
#include "store/resp.h"

#define COMMANDS 2 /* for each partition */

static void put_questions(struct ctl *ctl)
{
	nodes_begin(ctl->nodes);
	for (unsigned i = 0; i < partitions_count(ctl->partitions); i++) {
		const struct store *store = partitions_at(ctl->partitions, i);
		struct printbuf *out = nodes_to(ctl->nodes, store);

		resp_begin(out, 2);
		resp_text(out, "GET");
		resp_key(out, store_prefix(store), KEY_SWEPT, "");
		resp_begin(out, 1);
		resp_text(out, "TIME");
	}
}

static int64_t read_ago(redisReply *const replies[COMMANDS])
{
	const redisReply *swept = replies[0];
	int64_t now_ms;

	if (swept->type != REDIS_REPLY_STRING || !store_read_time(replies[1], &now_ms))
		return -1;
	return now_ms - (int64_t)number_read(swept->str);
}

void sweeper_ask(struct ctl *ctl, struct sweeper_ago *ago)
{
	unsigned count = partitions_count(ctl->partitions), swept = 0;
	redisReply **replies = xcalloc((size_t)count * COMMANDS, sizeof *replies);

	*ago = (struct sweeper_ago){-1, -1};
	put_questions(ctl);
	if (nodes_run(ctl->nodes, (size_t)count * COMMANDS, replies)) {
		for (unsigned i = 0; i < count; i++) {
			int64_t one = read_ago(replies + (size_t)i * COMMANDS);

			if (one < 0)
				continue;
			swept++;
			if (one > ago->longest)
				ago->longest = one;
			if (ago->shortest < 0 || one < ago->shortest)
				ago->shortest = one;
		}
		blocking_free_replies(replies, (size_t)count * COMMANDS);
	}
	if (swept < count)
		ago->longest = -1;
	free(replies);
}

bool sweeper_is_at_work(const struct ctl *ctl, int64_t ago_ms)
{
	return ago_ms >= 0 && ago_ms <= (int64_t)ctl->config->presence.sweep * 10000;
}
