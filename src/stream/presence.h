/*
 * What streamd says to Redis and hears from it: sessions, subscriptions,
 * snapshots, changes, sweeps; and how it recovers when Redis was away or wiped.
 */
#ifndef PRESENCE_STREAM_PRESENCE_H
#define PRESENCE_STREAM_PRESENCE_H

#include "stream/server.h"

/* The callbacks for link_new(), with the server as their argument. */
extern const struct link_events presence_link_events;

/* Asks Redis what a ticket stands for; stream_admit() or a refusal follows. Link up. */
void presence_take_ticket(struct stream *stream, const char *ticket);

/*
 * The user is known: joins the inbox (PHASE_INBOX), so that no change of friends
 * goes unheard from before they are asked for; stream_ask_friends() follows.
 */
void presence_listen(struct stream *stream);

/* The friends are known: joins their topics, asks for the session (PHASE_OPENING). */
void presence_open(struct stream *stream, const struct friends *friends);

/* The friends may be others: joins and leaves topics, then a new snapshot. */
void presence_update_friends(struct stream *stream, const struct friends *friends);

/* The stream is over: leaves the hub and every queue, its session closes. */
void presence_close(struct stream *stream);

/* Asks for the session to be renewed. */
void presence_renew(struct stream *stream);

/* Asks for a snapshot as soon as the stream is ready for one. */
void presence_want_snapshot(struct stream *stream);

/* At each tick of the server: sweep when it is due, unsubscribe idle topics. */
void presence_tick(struct server *server, int64_t now_ms);

/* At the end of a turn: subscriptions, touches, closings and snapshots go out. */
void presence_flush(struct server *server);

/* Whether Redis was told, or cannot be told, of every stream that closed. */
bool presence_is_settled(const struct server *server);

void presence_free(struct server *server);

#endif
