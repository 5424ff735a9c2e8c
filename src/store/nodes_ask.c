#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/nodes_private.h"

#define AWAY_TIMEOUTS 3 /* for so many times timeout_ms a silent server is not asked again */

void nodes_add(struct nodes *nodes, size_t count)
{
	nodes->list = xrealloc(nodes->list, count * sizeof *nodes->list);
	pipeline_resize(&nodes->pipeline, (unsigned)count);
	while (nodes->count < count) {
		struct node *node = &nodes->list[nodes->count];

		memset(node, 0, sizeof *node);
		node->link = nodes->members != NULL
				     ? blocking_new_member(nodes->config,
							   members_at(nodes->members, nodes->count))
				     : blocking_new(nodes->config, nodes->count);
		nodes->count++;
	}
}

/* Those that were heard of since. */
void nodes_add_members(struct nodes *nodes)
{
	size_t count = members_count(nodes->members);

	if (count > nodes->count)
		nodes_add(nodes, count);
}

/* --- one server ------------------------------------------------------------------------------ */

/* Says which of several it was. */
bool nodes_fail(struct nodes *nodes, const struct node *node, const char *why)
{
	struct printbuf *text = buf_new();

	if (nodes->count > 1) {
		blocking_put_place(text, node->link);
		buf_puts(text, ": ");
	}
	buf_puts(text, why);
	snprintf(nodes->error, sizeof nodes->error, "%s", text->buf);
	printbuf_free(text);
	return false;
}

/*
 * A server that does not answer costs each who asks timeout_ms. Where there are
 * others, whose users are served all the same, it is left alone for a while.
 */
void nodes_note_failure(struct nodes *nodes, struct node *node)
{
	int64_t now = times_mono_ms(), timeout = nodes->config->redis.timeout_ms;

	if (nodes->count > 1 && now - node->asked_ms >= timeout)
		node->away_until_ms = now + AWAY_TIMEOUTS * timeout;
	nodes->wants_map = true; /* another one may have its slots by now */
	nodes_fail(nodes, node, blocking_error(node->link));
}

bool nodes_ask_begin(struct nodes *nodes, unsigned number)
{
	struct node *node = &nodes->list[number];

	node->asked_ms = times_mono_ms();
	if (node->asked_ms < node->away_until_ms)
		return nodes_fail(nodes, node, "it did not answer a moment ago");
	node->is_under_way = blocking_begin(node->link, nodes->pipeline.parts[number].out);
	if (!node->is_under_way)
		nodes_note_failure(nodes, node);
	return node->is_under_way;
}

/* The replies to all commands of its pipeline; false: there are none. */
bool nodes_ask_end(struct nodes *nodes, unsigned number, redisReply **replies)
{
	struct node *node = &nodes->list[number];
	const struct pipeline_part *part = &nodes->pipeline.parts[number];

	node->is_under_way = false;
	if (blocking_end(node->link, part->out, part->count, replies))
		return true;
	nodes_note_failure(nodes, node);
	return false;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* Each server for itself. */
void nodes_ask_each(struct nodes *nodes, redisReply **by_node)
{
	redisReply **replies = by_node;

	for (unsigned i = 0; i < nodes->count; i++) {
		if (nodes->pipeline.parts[i].count > 0)
			nodes_ask_begin(nodes, i);
	}
	for (unsigned i = 0; i < nodes->count; i++) {
		struct node *node = &nodes->list[i];
		const struct pipeline_part *part = &nodes->pipeline.parts[i];

		if (node->is_under_way &&
		    !blocking_end_each(node->link, part->out, part->count, replies)) {
			memset(replies, 0, part->count * sizeof *replies);
			nodes_note_failure(nodes, node);
		}
		node->is_under_way = false;
		replies += part->count;
	}
}

/* The replies of each server follow each other in its part of `by_node`, in the order of the nodes. */
static bool ask_all(struct nodes *nodes, redisReply **by_node)
{
	redisReply **replies = by_node;
	bool ok = true;

	for (unsigned i = 0; ok && i < nodes->count; i++)
		ok = nodes->pipeline.parts[i].count == 0 || nodes_ask_begin(nodes, i);
	for (unsigned i = 0; i < nodes->count; i++) {
		struct node *node = &nodes->list[i];
		size_t count = nodes->pipeline.parts[i].count;

		if (ok && node->is_under_way)
			ok = nodes_ask_end(nodes, i, replies);
		else if (node->is_under_way)
			blocking_abandon(node->link, count);
		node->is_under_way = false;
		replies += count;
	}
	return ok;
}

static bool run_several(struct nodes *nodes, size_t count, redisReply **replies)
{
	redisReply **by_node = xcalloc(count, sizeof *by_node);
	bool ok;

	ok = ask_all(nodes, by_node);
	if (ok)
		pipeline_sort(&nodes->pipeline, by_node, replies);
	else
		blocking_free_replies(by_node, count);
	free(by_node);
	return ok;
}

bool nodes_ask_pipeline(struct nodes *nodes, size_t count, redisReply **replies)
{
	unsigned only;

	pipeline_end(&nodes->pipeline, count);
	if (nodes->pipeline.run_count > 1)
		return run_several(nodes, count, replies);
	only = nodes->pipeline.runs[0].server;
	return nodes_ask_begin(nodes, only) && nodes_ask_end(nodes, only, replies);
}
