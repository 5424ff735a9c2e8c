/*
 * A server of Redis that there is a link to, for servers.c and shards.c: where what a link tells goes the
 * same way whoever owns it. It is the first member of what its owner keeps of that server, which the
 * owner's own events get.
 */
#ifndef PRESENCE_STREAM_PEER_H
#define PRESENCE_STREAM_PEER_H

#include "stream/exchange.h"

struct peer {
	struct exchange *exchange;
	struct link *link;
	unsigned number; /* of the link, in the context */
};

/*
 * Makes the link of that number; nothing is connected. `events` are those that the owner hears: messages,
 * confirmations, checks and output are not among them. Its link is freed with link_free().
 */
void peer_open(struct peer *peer, struct exchange *exchange, unsigned number,
	       const struct link_place *place, const struct link_events *events);

/* The link is up, or lost. */
void peer_count_up(const struct peer *peer);
void peer_count_down(const struct peer *peer);

#endif
