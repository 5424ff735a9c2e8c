#include "store/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/redis_url.h"
#include "base/times.h"
#include "store/resp.h"

#define AWAY_TIMEOUTS 3 /* for so many times timeout_ms a silent server is not asked again */

struct node {
	struct blocking *link;
	struct printbuf *pipeline;
	size_t count; /* commands in it */
	bool is_under_way;
	int64_t asked_ms; /* when it was asked last, monotonic */
	int64_t away_until_ms; /* it is not asked before, monotonic */
};

/* Commands in a row for one server: a piece of its pipeline. */
struct run {
	unsigned node;
	size_t start, end, count;
};

struct nodes {
	const struct config *config;
	struct run *runs;
	size_t run_count, run_capacity;
	char error[256];
	unsigned count;
	struct node list[];
};

unsigned nodes_count_servers(const struct config *config)
{
	struct redis_url url;
	unsigned count = 1;

	/* The configuration checked the URL. */
	redis_url_parse(config->redis.url, &url);
	if (url.kind == REDIS_SERVERS)
		count = (unsigned)url.count;
	redis_url_free(&url);
	return count;
}

struct nodes *nodes_new(const struct config *config)
{
	unsigned count = nodes_count_servers(config);
	struct nodes *nodes = xcalloc(1, sizeof *nodes + count * sizeof nodes->list[0]);

	nodes->config = config;
	nodes->count = count;
	for (unsigned i = 0; i < count; i++) {
		nodes->list[i].link = blocking_new(config, i);
		nodes->list[i].pipeline = buf_new();
	}
	return nodes;
}

void nodes_free(struct nodes *nodes)
{
	if (nodes == NULL)
		return;
	for (unsigned i = 0; i < nodes->count; i++) {
		blocking_free(nodes->list[i].link);
		printbuf_free(nodes->list[i].pipeline);
	}
	free(nodes->runs);
	free(nodes);
}

unsigned nodes_count(const struct nodes *nodes)
{
	return nodes->count;
}

struct blocking *nodes_at(struct nodes *nodes, unsigned number)
{
	return nodes->list[number].link;
}

static unsigned node_of(const struct nodes *nodes, const struct store *store)
{
	return store_partition(store) % nodes->count;
}

struct blocking *nodes_of(struct nodes *nodes, const struct store *store)
{
	return nodes->list[node_of(nodes, store)].link;
}

bool nodes_are_one(const struct nodes *nodes, const struct store *one, const struct store *other)
{
	return node_of(nodes, one) == node_of(nodes, other);
}

const char *nodes_error(const struct nodes *nodes)
{
	return nodes->error;
}

/* --- a pipeline ------------------------------------------------------------------------------ */

void nodes_begin(struct nodes *nodes)
{
	for (unsigned i = 0; i < nodes->count; i++) {
		buf_reset(nodes->list[i].pipeline);
		nodes->list[i].count = 0;
	}
	nodes->run_count = 0;
}

static void end_run(struct nodes *nodes)
{
	struct run *run = &nodes->runs[nodes->run_count - 1];

	run->end = buf_len(nodes->list[run->node].pipeline);
}

struct printbuf *nodes_to(struct nodes *nodes, const struct store *store)
{
	unsigned node = node_of(nodes, store);
	struct printbuf *pipeline = nodes->list[node].pipeline;

	if (nodes->run_count > 0) {
		if (nodes->runs[nodes->run_count - 1].node == node)
			return pipeline;
		end_run(nodes);
	}
	if (nodes->run_count == nodes->run_capacity) {
		nodes->run_capacity = nodes->run_capacity * 2 + 8;
		nodes->runs = xrealloc(nodes->runs, nodes->run_capacity * sizeof *nodes->runs);
	}
	nodes->runs[nodes->run_count++] = (struct run){.node = node, .start = buf_len(pipeline)};
	return pipeline;
}

/* --- one server ------------------------------------------------------------------------------ */

/* Says which of several it was. */
static bool fail(struct nodes *nodes, const struct node *node, const char *why)
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
static void note_failure(struct nodes *nodes, struct node *node)
{
	int64_t now = times_mono_ms(), timeout = nodes->config->redis.timeout_ms;

	if (nodes->count > 1 && now - node->asked_ms >= timeout)
		node->away_until_ms = now + AWAY_TIMEOUTS * timeout;
	fail(nodes, node, blocking_error(node->link));
}

static bool begin(struct nodes *nodes, struct node *node)
{
	node->asked_ms = times_mono_ms();
	if (node->asked_ms < node->away_until_ms)
		return fail(nodes, node, "it did not answer a moment ago");
	node->is_under_way = blocking_begin(node->link, node->pipeline);
	if (!node->is_under_way)
		note_failure(nodes, node);
	return node->is_under_way;
}

/* The replies to all commands of its pipeline; false: there are none. */
static bool end(struct nodes *nodes, struct node *node, redisReply **replies)
{
	node->is_under_way = false;
	if (blocking_end(node->link, node->pipeline, node->count, replies))
		return true;
	note_failure(nodes, node);
	return false;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* How many commands there are for each server. */
static void count_commands(struct nodes *nodes)
{
	for (size_t i = 0; i < nodes->run_count; i++) {
		struct run *run = &nodes->runs[i];
		struct node *node = &nodes->list[run->node];

		run->count = resp_count(node->pipeline->buf + run->start, run->end - run->start);
		node->count += run->count;
	}
}

/* The replies of each server follow each other in its part of `by_node`, in the order of the nodes. */
static bool ask_all(struct nodes *nodes, redisReply **by_node)
{
	redisReply **replies = by_node;
	bool ok = true;

	for (unsigned i = 0; ok && i < nodes->count; i++)
		ok = nodes->list[i].count == 0 || begin(nodes, &nodes->list[i]);
	for (unsigned i = 0; i < nodes->count; i++) {
		struct node *node = &nodes->list[i];

		if (ok && node->is_under_way)
			ok = end(nodes, node, replies);
		else if (node->is_under_way)
			blocking_abandon(node->link, node->count);
		node->is_under_way = false;
		replies += node->count;
	}
	return ok;
}

/* Into the order in which they were asked. */
static void sort_replies(const struct nodes *nodes, redisReply *const *by_node,
			 redisReply **replies)
{
	size_t *next = xcalloc(nodes->count, sizeof *next), done = 0;

	for (unsigned i = 1; i < nodes->count; i++)
		next[i] = next[i - 1] + nodes->list[i - 1].count;
	for (size_t i = 0; i < nodes->run_count; i++) {
		for (size_t left = nodes->runs[i].count; left > 0; left--)
			replies[done++] = by_node[next[nodes->runs[i].node]++];
	}
	free(next);
}

static bool run_several(struct nodes *nodes, size_t count, redisReply **replies)
{
	redisReply **by_node = xcalloc(count, sizeof *by_node);
	bool ok;

	end_run(nodes);
	count_commands(nodes);
	ok = ask_all(nodes, by_node);
	if (ok)
		sort_replies(nodes, by_node, replies);
	else
		blocking_free_replies(by_node, count);
	free(by_node);
	return ok;
}

bool nodes_run(struct nodes *nodes, size_t count, redisReply **replies)
{
	struct node *only;

	if (nodes->run_count > 1)
		return run_several(nodes, count, replies);
	only = &nodes->list[nodes->runs[0].node];
	only->count = count;
	return begin(nodes, only) && end(nodes, only, replies);
}

unsigned nodes_try(struct nodes *nodes, size_t count_each)
{
	redisReply **replies = xcalloc(count_each, sizeof *replies);
	unsigned done = 0;

	for (unsigned i = 0; i < nodes->count; i++) {
		nodes->list[i].count = count_each;
		begin(nodes, &nodes->list[i]);
	}
	for (unsigned i = 0; i < nodes->count; i++) {
		struct node *node = &nodes->list[i];

		if (!node->is_under_way || !end(nodes, node, replies))
			continue;
		blocking_free_replies(replies, count_each);
		done++;
	}
	free(replies);
	return done;
}

bool nodes_check(struct nodes *nodes, char *err, size_t errsize)
{
	struct blocking *first = nodes->list[0].link;
	struct printbuf *nothing;

	if (nodes->config->redis.partitions == 1)
		return true;
	nothing = buf_new();
	blocking_run(first, nothing, 0, NULL);
	printbuf_free(nothing);
	if (!blocking_is_other_layout(first))
		return true;
	fail(nodes, &nodes->list[0], blocking_error(first));
	snprintf(err, errsize, "Redis: %s", nodes->error);
	return false;
}
