/*
 * One partition of a Redis Cluster, of which shards.c knows where it is thought to be.
 *
 *   AWAY       no node answers for it; it is asked for again and again
 *   GREETING   the node that is thought to have it was asked for its epoch
 *   GREETED    and has answered: at the end of this turn the partition is up
 *   HERE       it is up
 *   REFUSED    its node has said that it is elsewhere, or on its way: at the end of this turn it is AWAY
 *
 * It is HERE or not as a whole: while its slot moves, its node does not answer for keys that it does not
 * have, which any command may need, and so it is AWAY.
 */
#ifndef PRESENCE_STREAM_SHARD_H
#define PRESENCE_STREAM_SHARD_H

#include <stdint.h>

#include "stream/exchange.h"

#define SHARD_NOWHERE (-1)

enum shard_state { SHARD_AWAY, SHARD_GREETING, SHARD_GREETED, SHARD_HERE, SHARD_REFUSED };

struct shard;

struct shard_events {
	/* It is in another state. */
	void (*changed)(void *arg, enum shard_state state);
	/* The node that is thought to have it does not answer for it, and says why; borrowed. */
	void (*refused)(void *arg, const struct shard *shard, const redisReply *reply);
};

struct shard {
	struct exchange *exchange;
	struct partition *partition;
	const struct shard_events *events;
	void *arg;
	unsigned slot;
	int owner; /* the number of the node that is thought to have it */
	int last; /* where it was HERE last */
	int64_t left_ms; /* until when, monotonic */
	enum shard_state state;
	unsigned asked; /* greetings so far: an answer to an earlier one counts no more */
};

/* AWAY, and nobody is thought to have it. */
void shard_init(struct shard *shard, struct exchange *exchange, struct partition *partition,
		const struct shard_events *events, void *arg);

void shard_set_state(struct shard *shard, enum shard_state state);

/* One that is AWAY: its owner's link is up. */
void shard_greet(struct shard *shard, struct link *link);

/* Adds it to the set (partset.h) of those that go down, or come up with their owner's link. */
void shard_take_down(struct shard *shard, uint64_t *down);
/*
 * `since_ms`: since when that link is up. A replica that took over may lack what was written last. Who had other
 * partitions already when this one was still elsewhere is no replica: the slot was moved there, key by key, and lacks
 * nothing.
 */
void shard_put_up(struct shard *shard, struct link *link, int64_t since_ms, uint64_t *up);

#endif
