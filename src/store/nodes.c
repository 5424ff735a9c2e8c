#include "store/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/cluster.h"
#include "store/layout_key.h"
#include "store/nodes_private.h"
#include "store/reply.h"
#include "store/resp.h"

#define LOOK_AGAIN_MS 1000

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
	struct nodes *nodes = xcalloc(1, sizeof *nodes);

	nodes->config = config;
	redis_url_parse(config->redis.url, &nodes->url);
	if (nodes->url.kind == REDIS_CLUSTER) {
		nodes->members = members_new(config, &nodes->url);
		nodes->wants_map = true;
		nodes_add_members(nodes);
	} else {
		nodes_add(nodes, nodes_count_servers(config));
	}
	return nodes;
}

void nodes_free(struct nodes *nodes)
{
	if (nodes == NULL)
		return;
	for (unsigned i = 0; i < nodes->count; i++)
		blocking_free(nodes->list[i].link);
	pipeline_clear(&nodes->pipeline);
	members_free(nodes->members);
	redis_url_free(&nodes->url);
	free(nodes->list);
	free(nodes);
}

void nodes_take_login(struct nodes *nodes)
{
	redis_url_take_logins(&nodes->url, nodes->config->redis.url);
	if (nodes->members != NULL)
		members_take_login(nodes->members);
	for (unsigned i = 0; i < nodes->count; i++)
		blocking_take_login(nodes->list[i].link);
}

unsigned nodes_count(const struct nodes *nodes)
{
	return nodes->count;
}

struct blocking *nodes_at(struct nodes *nodes, unsigned number)
{
	return nodes->list[number].link;
}

/* Whoever is thought to have the slot; any other node tells who has it. */
static unsigned node_of_slot(const struct nodes *nodes, unsigned slot)
{
	int owner = members_owner(nodes->members, slot);

	return owner >= 0 ? (unsigned)owner : 0;
}

unsigned nodes_number_of(const struct nodes *nodes, const struct store *store)
{
	const char *prefix = store_prefix(store);

	if (nodes->members != NULL)
		return node_of_slot(nodes, cluster_slot(prefix, strlen(prefix)));
	return store_partition(store) % nodes->count;
}

struct blocking *nodes_of(struct nodes *nodes, const struct store *store)
{
	return nodes->list[nodes_number_of(nodes, store)].link;
}

uint64_t nodes_connection(const struct nodes *nodes, const struct store *store)
{
	unsigned number = nodes_number_of(nodes, store);

	return (uint64_t)(number + 1) << 32 | blocking_connects(nodes->list[number].link);
}

bool nodes_are_one(const struct nodes *nodes, const struct store *one, const struct store *other)
{
	return nodes_number_of(nodes, one) == nodes_number_of(nodes, other);
}

bool nodes_are_cluster(const struct nodes *nodes)
{
	return nodes->members != NULL;
}

unsigned nodes_uncovered(const struct nodes *nodes)
{
	return nodes->members != NULL ? members_uncovered(nodes->members) : 0;
}

const char *nodes_error(const struct nodes *nodes)
{
	return nodes->error;
}

struct printbuf *nodes_to(struct nodes *nodes, const struct store *store)
{
	return pipeline_to(&nodes->pipeline, nodes_number_of(nodes, store));
}

/* --- a cluster ------------------------------------------------------------------------------- */

static unsigned node_of_key(const struct nodes *nodes, const char *key)
{
	return node_of_slot(nodes, cluster_slot(key, strlen(key)));
}

static void ask_for_map(struct nodes *nodes)
{
	struct search *search = members_search(nodes->members);

	if (search == NULL)
		return; /* a moment ago */
	nodes->wants_map = !search_run(search);
	if (nodes->wants_map)
		snprintf(nodes->error, sizeof nodes->error, "%s", search_error(search));
	nodes_add_members(nodes);
}

static bool run_in_cluster(struct nodes *nodes, size_t count, redisReply **replies)
{
	if (!nodes_ask_pipeline(nodes, count, replies))
		return false;
	if (nodes_follow(nodes, replies, true))
		return true;
	blocking_free_replies(replies, count);
	return false;
}

static void note_layout(struct nodes *nodes)
{
	redisReply *reply;
	char *key = layout_key(nodes->config);

	pipeline_begin(&nodes->pipeline);
	layout_put_note(pipeline_to(&nodes->pipeline, node_of_key(nodes, key)), nodes->config, 1);
	if (run_in_cluster(nodes, 1, &reply))
		reply_free(reply);
	free(key);
}

/* Whether the cluster holds users as this process would; a node that is away is looked at later. */
static void look_at_layout(struct nodes *nodes)
{
	redisReply *replies[LAYOUT_LOOK_KEYS];
	char why[LAYOUT_WHY_MAX];
	bool is_noted = false;

	nodes->looked_ms = times_mono_ms();
	pipeline_begin(&nodes->pipeline);
	for (unsigned i = 0; i < LAYOUT_LOOK_KEYS; i++) {
		char *key = layout_look_key(nodes->config, i);

		layout_put_look_key(pipeline_to(&nodes->pipeline, node_of_key(nodes, key)), i, key);
		free(key);
	}
	nodes->knows_layout = run_in_cluster(nodes, LAYOUT_LOOK_KEYS, replies);
	if (!nodes->knows_layout)
		return;
	nodes->is_other_layout = false;
	for (unsigned i = 0; i < LAYOUT_LOOK_KEYS && !nodes->is_other_layout; i++)
		nodes->is_other_layout =
			!layout_read_look_key(replies[i], i, nodes->config, why, &is_noted);
	blocking_free_replies(replies, LAYOUT_LOOK_KEYS);
	if (nodes->is_other_layout)
		snprintf(nodes->error, sizeof nodes->error, "%s", why);
	else if (!is_noted)
		note_layout(nodes);
}

/* What is to be known before a command is addressed. */
static void get_ready(struct nodes *nodes)
{
	if (nodes->wants_map)
		ask_for_map(nodes);
	if (!nodes->ignores_layout && !nodes->knows_layout &&
	    (nodes->looked_ms == 0 || times_mono_ms() - nodes->looked_ms >= LOOK_AGAIN_MS))
		look_at_layout(nodes);
	if (nodes->is_other_layout)
		nodes->knows_layout = false; /* it may be put right */
}

/* --- what the programs call ------------------------------------------------------------------ */

void nodes_begin(struct nodes *nodes)
{
	if (nodes->members != NULL)
		get_ready(nodes);
	pipeline_begin(&nodes->pipeline);
}

bool nodes_run(struct nodes *nodes, size_t count, redisReply **replies)
{
	if (nodes->members == NULL)
		return nodes_ask_pipeline(nodes, count, replies);
	return !nodes->is_other_layout && run_in_cluster(nodes, count, replies);
}

void nodes_run_each(struct nodes *nodes, size_t count, redisReply **replies)
{
	redisReply **by_node = xcalloc(count + 1, sizeof *by_node);

	memset(replies, 0, count * sizeof *replies);
	if (count > 0 && !nodes->is_other_layout) {
		pipeline_end(&nodes->pipeline, count);
		nodes_ask_each(nodes, by_node);
		pipeline_sort(&nodes->pipeline, by_node, replies);
		if (nodes->members != NULL)
			nodes_follow(nodes, replies, false);
	}
	free(by_node);
}

static bool sends_elsewhere(redisReply **replies, size_t count)
{
	struct cluster_redirect redirect;

	for (size_t i = 0; i < count; i++) {
		if (cluster_read_error(replies[i], &redirect) != CLUSTER_NO_ERROR)
			return true;
	}
	return false;
}

unsigned nodes_try(struct nodes *nodes, size_t count_each)
{
	redisReply **replies = xcalloc(count_each, sizeof *replies);
	unsigned done = 0;

	for (unsigned i = 0; i < nodes->count && !nodes->is_other_layout; i++) {
		struct pipeline_part *part = &nodes->pipeline.parts[i];

		part->count = buf_len(part->out) > 0 ? count_each : 0;
		if (part->count > 0)
			nodes_ask_begin(nodes, i);
	}
	for (unsigned i = 0; i < nodes->count; i++) {
		if (!nodes->list[i].is_under_way || !nodes_ask_end(nodes, i, replies))
			continue;
		if (!sends_elsewhere(replies, count_each))
			done++;
		else
			nodes->wants_map = true;
		blocking_free_replies(replies, count_each);
	}
	free(replies);
	return done;
}

void nodes_ignore_layout(struct nodes *nodes)
{
	nodes->ignores_layout = true;
	for (unsigned i = 0; i < nodes->count; i++)
		blocking_ignore_layout(nodes->list[i].link);
}

void nodes_look_always(struct nodes *nodes)
{
	for (unsigned i = 0; i < nodes->count; i++)
		blocking_look_always(nodes->list[i].link);
}

bool nodes_check(struct nodes *nodes, char *err, size_t errsize)
{
	bool ok = true;

	if (nodes->config->redis.partitions == 1)
		return true;
	if (nodes->members != NULL) {
		nodes_begin(nodes);
		ok = !nodes->is_other_layout;
	} else if (!blocking_look(nodes->list[0].link)) {
		ok = nodes_fail(nodes, &nodes->list[0], blocking_error(nodes->list[0].link));
	}
	if (!ok)
		snprintf(err, errsize, "Redis: %s", nodes->error);
	return ok;
}
