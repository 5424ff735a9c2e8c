/*
 * A Redis Cluster as its nodes tell of it (https://redis.io/docs/reference/cluster-spec/): which node
 * has which slot, and what errors say about that. Pure functions.
 */
#ifndef PRESENCE_STORE_CLUSTER_H
#define PRESENCE_STORE_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "store/layout.h"

#define CLUSTER_HOST_MAX 255 /* bytes; RFC 1035 section 2.3.4 */
#define CLUSTER_NODES_MAX 1024

/* The slot of a key or channel: of what stands in its first {braces}, if there is anything. */
unsigned cluster_slot(const char *key, size_t len);

struct cluster_place {
	char host[CLUSTER_HOST_MAX + 1]; /* "": that of the node which told */
	int port;
};

/* --- errors ---------------------------------------------------------------------------------- */

enum cluster_error {
	CLUSTER_NO_ERROR, /* or one of another kind */
	CLUSTER_MOVED, /* another node has the slot, from now on */
	CLUSTER_ASK, /* another node has the key; to be asked this once, with ASKING before it */
	CLUSTER_TRYAGAIN, /* some keys are here and some there; soon all will be at one place */
	CLUSTER_DOWN, /* nobody has the slot, or the node knows too few others */
};

struct cluster_redirect {
	unsigned slot;
	struct cluster_place place;
};

/* *redirect is filled by MOVED and ASK. */
enum cluster_error cluster_read_error(const redisReply *reply, struct cluster_redirect *redirect);

/* --- the map --------------------------------------------------------------------------------- */

struct cluster_map {
	struct cluster_place *nodes; /* those that have slots */
	size_t count;
	int16_t owner[LAYOUT_SLOTS]; /* which of them; -1: nobody has it */
};

/* Appends the questions, CLUSTER SHARDS and CLUSTER SLOTS. */
#define CLUSTER_MAP_COMMANDS 2
void cluster_put_map(struct printbuf *out);

/*
 * Reads the answer to either; tls: the ports for it. False when it is none, or no
 * node has a slot; then the map is empty. Clear it with cluster_map_clear().
 */
bool cluster_read_map(const redisReply *reply, bool tls, struct cluster_map *map);
void cluster_map_clear(struct cluster_map *map);

/* How many slots nobody has. */
unsigned cluster_uncovered(const struct cluster_map *map);

#endif
