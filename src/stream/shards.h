/*
 * The links to the nodes of a Redis Cluster, and which of them has which partition: that changes.
 *
 *   AWAY       no node answers for it; it is asked for again and again
 *   GREETING   the node that is thought to have it was asked for its epoch
 *   GREETED    and has answered: at the end of this turn the partition is up
 *   HERE       it is up
 *   REFUSED    its node has said that it is elsewhere, or on its way: at the end of this turn it is AWAY
 *
 * A partition is HERE or not as a whole: while its slot moves, each second command would be answered by
 * another node, and so it is AWAY. Where the nodes are, and what they have, is asked for (members.h)
 * whenever one of them is lost or says that something is elsewhere, and then until every partition is HERE.
 */
#ifndef PRESENCE_STREAM_SHARDS_H
#define PRESENCE_STREAM_SHARDS_H

#include "stream/exchange.h"

struct shards;

struct shards *shards_new(struct exchange *exchange);
void shards_start(struct shards *shards);
void shards_free(struct shards *shards); /* NULL is allowed */

#endif
