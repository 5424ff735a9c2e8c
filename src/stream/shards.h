/*
 * The links to the nodes of a Redis Cluster, and which of them has which partition: that changes.
 *
 * Where the nodes are, and what they have, is asked for (members.h) whenever one of them is lost or says
 * that something is elsewhere, and then until every partition is HERE (shard.h).
 */
#ifndef PRESENCE_STREAM_SHARDS_H
#define PRESENCE_STREAM_SHARDS_H

#include "stream/exchange.h"

struct shards;

struct shards *shards_new(struct exchange *exchange);
void shards_start(struct shards *shards);
/* The configuration has another user or password: for the connections to come. */
void shards_take_login(struct shards *shards);
void shards_free(struct shards *shards); /* NULL is allowed */

#endif
