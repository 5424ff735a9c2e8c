/*
 * How a link (link.h) starts when both of its connections are there: AUTH, SELECT, INFO replication, SCRIPT LOAD and
 * the owner's greeting on the one for commands, AUTH and SUBSCRIBE (in a cluster a PING) on that for subscriptions. It is
 * done when all are answered, of which the greeting comes last.
 */
#ifndef PRESENCE_STREAM_HANDSHAKE_H
#define PRESENCE_STREAM_HANDSHAKE_H

#include <stdbool.h>

#include "store/info.h"
#include "stream/feed.h"
#include "stream/pending.h"
#include "stream/target.h"
#include "stream/wire.h"

struct handshake_events {
	/* As those of link.h. */
	unsigned (*put_greeting)(void *arg, struct printbuf *out);
	const char *(*read_greeting)(void *arg, unsigned index, const redisReply *reply);
	void (*done)(void *arg);
	/* An answer is an error, or says what it must not. Then call handshake_stop(). */
	void (*refused)(void *arg, const redisReply *reply);
	void (*lost)(void *arg, const char *why);
};

struct handshake {
	const struct target *target;
	struct wire *commands;
	struct feed *feed;
	struct pending_ring *pending; /* of the commands */
	const struct handshake_events *events;
	void *arg;
	bool is_under_way;
	unsigned left; /* answers still to come */
	unsigned greeted; /* answers to the greeting that have come */
	char history[INFO_VALUE_SIZE]; /* replication.id as seen last; "" before */
	bool lacks_writes; /* see link_lacks_writes() */
};

/* All are borrowed, and have to outlive it. */
void handshake_init(struct handshake *handshake, const struct target *target, struct wire *commands,
		    struct feed *feed, struct pending_ring *pending,
		    const struct handshake_events *events, void *arg);

/* Puts what is to be said into both connections; the caller flushes them. */
void handshake_start(struct handshake *handshake);
/* What still comes is not heard. */
void handshake_stop(struct handshake *handshake);
/* One more answer has come over the connection for subscriptions. */
void handshake_advance(struct handshake *handshake);

#endif
