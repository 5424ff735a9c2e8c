/* blocks: whom a user blocks, and who blocks the user. For the operator alone. */
#include <stdlib.h>

#include "base/alloc.h"
#include "ctl/ctl.h"
#include "store/keys.h"
#include "store/resp.h"

struct ids {
	struct userid *list;
	size_t count;
};

static struct ids read_ids(const redisReply *reply)
{
	struct ids ids = {.list = xcalloc(reply->elements, sizeof *ids.list)};

	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *member = reply->element[i];

		if (member->type == REDIS_REPLY_STRING &&
		    userid_parse(member->str, member->len, &ids.list[ids.count]))
			ids.count++;
	}
	qsort(ids.list, ids.count, sizeof *ids.list, userid_compare);
	return ids;
}

static void put_words(struct printbuf *out, const redisReply *reply)
{
	struct ids ids = read_ids(reply);

	for (size_t i = 0; i < ids.count; i++)
		buf_putf(out, "%s\n", ids.list[i].text);
	free(ids.list);
}

static void put_json(struct printbuf *out, const redisReply *reply)
{
	struct ids ids = read_ids(reply);

	for (size_t i = 0; i < ids.count; i++) {
		buf_puts(out, i == 0 ? "" : ",");
		userid_put_json(out, &ids.list[i]);
	}
	free(ids.list);
}

static void put_ask(struct printbuf *pipeline, const char *prefix, const char *key,
		    const struct userid *id)
{
	resp_begin(pipeline, 2);
	resp_text(pipeline, "SMEMBERS");
	resp_key(pipeline, prefix, key, id->text);
}

enum ctl_exit ctl_blocks(struct ctl *ctl, char **args, int count)
{
	const struct store *store;
	struct printbuf *out;
	redisReply *replies[2];
	struct userid id;

	(void)count;
	if (!ctl_read_id(args[0], &id))
		return CTL_USAGE;
	store = partitions_of(ctl->partitions, &id);
	out = ctl_begin(ctl, store);
	put_ask(out, store_prefix(store), KEY_BLOCKED, &id);
	put_ask(out, store_prefix(store), KEY_BLOCKED_BY, &id);
	if (!ctl_run(ctl, 2, replies))
		return CTL_FAILED;
	out = buf_new();
	if (ctl->json) {
		buf_puts(out, "{\"user_id\":");
		userid_put_json(out, &id);
		buf_puts(out, ",\"blocks\":[");
		put_json(out, replies[0]);
		buf_puts(out, "],\"blocked_by\":[");
		put_json(out, replies[1]);
		buf_puts(out, "]}\n");
	} else {
		put_words(out, replies[0]);
	}
	ctl_print(out);
	printbuf_free(out);
	blocking_free_replies(replies, 2);
	return CTL_DONE;
}
