#include "store/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/redis_url.h"
#include "base/times.h"
#include "store/cluster.h"
#include "store/layout_key.h"
#include "store/members.h"
#include "store/pipeline.h"
#include "store/reply.h"
#include "store/resp.h"

#define AWAY_TIMEOUTS 3 /* for so many times timeout_ms a silent server is not asked again */
#define FOLLOW_MAX 16 /* redirections of one command */
#define LOOK_AGAIN_MS 1000
#define TRYAGAIN_MS 20 /* after which a command is sent again */
/* Of each MOVING_EVERY_MS so long is waited for keys that are on their way, by however many calls. */
#define MOVING_WAIT_MS 100
#define MOVING_EVERY_MS 1000

struct node {
	struct blocking *link;
	bool is_under_way;
	int64_t asked_ms; /* when it was asked last, monotonic */
	int64_t away_until_ms; /* it is not asked before, monotonic */
};

struct nodes {
	const struct config *config;
	struct redis_url url;
	struct members *
		members; /* of the cluster, whose numbers are those of the nodes; NULL: it is none */
	bool wants_map; /* what is known of it is old */
	bool ignores_layout, knows_layout, is_other_layout;
	int64_t looked_ms; /* for the layout, monotonic */
	int64_t moving_ms; /* when a call first met keys on their way, of the last time */
	struct pipeline pipeline; /* by node */
	char error[256];
	unsigned count;
	struct node *list;
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

static void add_nodes(struct nodes *nodes, size_t count)
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
static void add_members(struct nodes *nodes)
{
	size_t count = members_count(nodes->members);

	if (count > nodes->count)
		add_nodes(nodes, count);
}

struct nodes *nodes_new(const struct config *config)
{
	struct nodes *nodes = xcalloc(1, sizeof *nodes);

	nodes->config = config;
	redis_url_parse(config->redis.url, &nodes->url);
	if (nodes->url.kind == REDIS_CLUSTER) {
		nodes->members = members_new(config, &nodes->url);
		nodes->wants_map = true;
		add_members(nodes);
	} else {
		add_nodes(nodes, nodes_count_servers(config));
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
	nodes->wants_map = true; /* another one may have its slots by now */
	fail(nodes, node, blocking_error(node->link));
}

static bool begin(struct nodes *nodes, unsigned number)
{
	struct node *node = &nodes->list[number];

	node->asked_ms = times_mono_ms();
	if (node->asked_ms < node->away_until_ms)
		return fail(nodes, node, "it did not answer a moment ago");
	node->is_under_way = blocking_begin(node->link, nodes->pipeline.parts[number].out);
	if (!node->is_under_way)
		note_failure(nodes, node);
	return node->is_under_way;
}

/* The replies to all commands of its pipeline; false: there are none. */
static bool end(struct nodes *nodes, unsigned number, redisReply **replies)
{
	struct node *node = &nodes->list[number];
	const struct pipeline_part *part = &nodes->pipeline.parts[number];

	node->is_under_way = false;
	if (blocking_end(node->link, part->out, part->count, replies))
		return true;
	note_failure(nodes, node);
	return false;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* Each server for itself. */
static void ask_each(struct nodes *nodes, redisReply **by_node)
{
	redisReply **replies = by_node;

	for (unsigned i = 0; i < nodes->count; i++) {
		if (nodes->pipeline.parts[i].count > 0)
			begin(nodes, i);
	}
	for (unsigned i = 0; i < nodes->count; i++) {
		struct node *node = &nodes->list[i];
		const struct pipeline_part *part = &nodes->pipeline.parts[i];

		if (node->is_under_way &&
		    !blocking_end_each(node->link, part->out, part->count, replies)) {
			memset(replies, 0, part->count * sizeof *replies);
			note_failure(nodes, node);
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
		ok = nodes->pipeline.parts[i].count == 0 || begin(nodes, i);
	for (unsigned i = 0; i < nodes->count; i++) {
		struct node *node = &nodes->list[i];
		size_t count = nodes->pipeline.parts[i].count;

		if (ok && node->is_under_way)
			ok = end(nodes, i, replies);
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

static bool run_pipeline(struct nodes *nodes, size_t count, redisReply **replies)
{
	unsigned only;

	pipeline_end(&nodes->pipeline, count);
	if (nodes->pipeline.run_count > 1)
		return run_several(nodes, count, replies);
	only = nodes->pipeline.runs[0].server;
	return begin(nodes, only) && end(nodes, only, replies);
}

/* --- a cluster ------------------------------------------------------------------------------- */

/* Sends one command to a node, which does not have its slot or not yet (`asks`); NULL: no reply. */
static redisReply *send_one(struct nodes *nodes, unsigned number, bool asks, const char *command,
			    size_t len)
{
	struct node *node = &nodes->list[number];
	struct printbuf *out = buf_new();
	redisReply *replies[2];
	size_t count = asks ? 2 : 1;

	if (asks) {
		resp_begin(out, 1);
		resp_text(out, "ASKING");
	}
	buf_put(out, command, len);
	node->asked_ms = times_mono_ms();
	if (!blocking_run(node->link, out, count, replies)) {
		note_failure(nodes, node);
		replies[count - 1] = NULL;
	} else if (asks) {
		reply_free(replies[0]);
	}
	printbuf_free(out);
	return replies[count - 1];
}

/* Most slots have few keys and move at once; one that does not must not cost every call that time. */
static bool wait_for_keys(struct nodes *nodes)
{
	int64_t now = times_mono_ms();

	if (nodes->moving_ms == 0 || now - nodes->moving_ms >= MOVING_EVERY_MS)
		nodes->moving_ms = now;
	if (now - nodes->moving_ms >= MOVING_WAIT_MS)
		return false;
	nanosleep(&(struct timespec){.tv_nsec = TRYAGAIN_MS * 1000000L}, NULL);
	return true;
}

/* Where the command goes next, after a reply that sends elsewhere; false: it goes nowhere. */
static bool next_node(struct nodes *nodes, const redisReply *reply, unsigned *number, bool *asks)
{
	struct cluster_redirect redirect;
	int other = -1;

	switch (cluster_read_error(reply, &redirect)) {
	case CLUSTER_MOVED:
		other = members_moved(nodes->members, *number, &redirect);
		nodes->wants_map = true;
		*asks = false;
		break;
	case CLUSTER_ASK:
		other = members_find(nodes->members, *number, &redirect.place);
		*asks = true;
		break;
	case CLUSTER_TRYAGAIN:
		return wait_for_keys(nodes);
	default:
		nodes->wants_map = true;
		return false;
	}
	add_members(nodes);
	if (other >= 0)
		*number = (unsigned)other;
	return other >= 0;
}

/* Why a reply is not followed. A script's own words for keys on their way say nothing to anybody. */
static const char *why_not(const redisReply *reply)
{
	struct cluster_redirect redirect;

	return cluster_read_error(reply, &redirect) == CLUSTER_TRYAGAIN ? NODES_MOVING : reply->str;
}

/* Follows a reply to where the command is done. False: nowhere; then there is no reply. */
static bool follow(struct nodes *nodes, unsigned number, const char *command, size_t len,
		   redisReply **reply, int64_t until_ms)
{
	struct cluster_redirect redirect;
	bool asks = false;

	for (int i = 0; *reply != NULL && cluster_read_error(*reply, &redirect) != CLUSTER_NO_ERROR;
	     i++) {
		if (i == FOLLOW_MAX || times_mono_ms() >= until_ms ||
		    !next_node(nodes, *reply, &number, &asks)) {
			fail(nodes, &nodes->list[number], why_not(*reply));
			reply_free(*reply);
			*reply = NULL;
			return false;
		}
		reply_free(*reply);
		*reply = send_one(nodes, number, asks, command, len);
	}
	return *reply != NULL;
}

/*
 * Follows all replies that send elsewhere. One that leads nowhere is freed, and with `all` it is the last
 * that is followed; returns whether there was none.
 */
static bool follow_replies(struct nodes *nodes, redisReply **replies, bool all)
{
	int64_t until_ms = times_mono_ms() + nodes->config->redis.timeout_ms;
	bool ok = true;
	size_t done = 0;

	for (size_t i = 0; i < nodes->pipeline.run_count; i++) {
		const struct pipeline_run *run = &nodes->pipeline.runs[i];
		const char *command = pipeline_text(&nodes->pipeline, run);

		for (size_t left = run->count; left > 0 && (ok || !all); left--) {
			size_t len = resp_length(command);

			ok &= follow(nodes, run->server, command, len, &replies[done++], until_ms);
			command += len;
		}
	}
	return ok;
}

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
	add_members(nodes);
}

static bool run_in_cluster(struct nodes *nodes, size_t count, redisReply **replies)
{
	if (!run_pipeline(nodes, count, replies))
		return false;
	if (follow_replies(nodes, replies, true))
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
		return run_pipeline(nodes, count, replies);
	return !nodes->is_other_layout && run_in_cluster(nodes, count, replies);
}

void nodes_run_each(struct nodes *nodes, size_t count, redisReply **replies)
{
	redisReply **by_node = xcalloc(count + 1, sizeof *by_node);

	memset(replies, 0, count * sizeof *replies);
	if (count > 0 && !nodes->is_other_layout) {
		pipeline_end(&nodes->pipeline, count);
		ask_each(nodes, by_node);
		pipeline_sort(&nodes->pipeline, by_node, replies);
		if (nodes->members != NULL)
			follow_replies(nodes, replies, false);
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
			begin(nodes, i);
	}
	for (unsigned i = 0; i < nodes->count; i++) {
		if (!nodes->list[i].is_under_way || !end(nodes, i, replies))
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
		ok = fail(nodes, &nodes->list[0], blocking_error(nodes->list[0].link));
	}
	if (!ok)
		snprintf(err, errsize, "Redis: %s", nodes->error);
	return ok;
}
