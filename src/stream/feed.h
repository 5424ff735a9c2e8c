/*
 * The connection of a link over which published messages come, and what is subscribed on it. In a cluster
 * channels are sharded: they go where their slot goes, and the node says so by itself.
 */
#ifndef PRESENCE_STREAM_FEED_H
#define PRESENCE_STREAM_FEED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/random.h"
#include "store/keys.h"
#include "stream/wire.h"

struct feed_events {
	void (*ready)(void *arg);
	void (*lost)(void *arg, const char *why);
	/* An error that is about no subscription, or about all of them. */
	void (*error)(void *arg, const redisReply *reply);
	/* The answer to feed_put_ping(), or a message on the feed's own channel. */
	void (*pong)(void *arg);
	/* One more subscription is confirmed, or will not be. */
	void (*subscribed)(void *arg);
	/* As those of link.h. */
	void (*message)(void *arg, const char *channel, const char *text, size_t len);
	void (*unsubscribed)(void *arg, unsigned slot, const redisReply *reason);
};

struct feed {
	const struct config *config;
	const struct feed_events *events;
	void *arg;
	struct wire wire;
	bool is_sharded;
	uint64_t serial; /* of the last channel asked for */
	uint64_t acked; /* of the last one confirmed */
	STAILQ_HEAD(request_list, request) requests; /* without all of their answers; if sharded */
	/* A channel of one's own, without the prefix. */
	char self[sizeof CHANNEL_SELF + RANDOM_ID_LEN];
};

void feed_init(struct feed *feed, struct event_base *base, const struct config *config,
	       bool is_sharded, const struct feed_events *events, void *arg);
/* Closes it; what was asked for counts as confirmed. */
void feed_close(struct feed *feed);

/* Channels of one partition, whose prefix is added. */
void feed_subscribe(struct feed *feed, const char *prefix, const char *const *channels,
		    size_t count);
void feed_unsubscribe(struct feed *feed, const char *prefix, const char *const *channels,
		      size_t count);
void feed_put_ping(struct feed *feed); /* only if sharded, or before anything is subscribed */

#endif
