/*
 * Of nodes.c, from the ground up: the servers, and one pipeline to all of them at once (nodes_ask.c); what a cluster
 * sends elsewhere is followed there (nodes_follow.c); whom a command is for, the map and the layout (nodes.c).
 */
#ifndef PRESENCE_STORE_NODES_PRIVATE_H
#define PRESENCE_STORE_NODES_PRIVATE_H

#include "base/redis_url.h"
#include "store/members.h"
#include "store/nodes.h"
#include "store/pipeline.h"

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

/* --- nodes_ask.c ----------------------------------------------------------------------------- */

/* There are so many servers; and those of the cluster that were heard of since. */
void nodes_add(struct nodes *nodes, size_t count);
void nodes_add_members(struct nodes *nodes);

/* False, with why in nodes_error(): of this one; what its connection says, after which it may be left alone for a while. */
bool nodes_fail(struct nodes *nodes, const struct node *node, const char *why);
void nodes_note_failure(struct nodes *nodes, struct node *node);

/* A server's part of the pipeline, written; and the replies to all of it, or none. False: see nodes_error(). */
bool nodes_ask_begin(struct nodes *nodes, unsigned number);
bool nodes_ask_end(struct nodes *nodes, unsigned number, redisReply **replies);

/* All of it. Each server for itself, its replies after those of the one before, NULL where there are none; */
void nodes_ask_each(struct nodes *nodes, redisReply **by_node);
/* or every one of `count` replies, in the order of the commands, or none. */
bool nodes_ask_pipeline(struct nodes *nodes, size_t count, redisReply **replies);

/* --- nodes_follow.c -------------------------------------------------------------------------- */

/*
 * Follows all replies that send elsewhere. One that leads nowhere is freed, and with `all` it is the last
 * that is followed; returns whether there was none.
 */
bool nodes_follow(struct nodes *nodes, redisReply **replies, bool all);

#endif
