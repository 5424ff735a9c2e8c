/* The listening socket: when it is listened to, and how it is given up. */
#ifndef PRESENCE_STREAM_ACCEPTOR_H
#define PRESENCE_STREAM_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "stream/stream.h"

struct acceptor {
	struct streams *streams;
	struct evconnlistener *listener; /* NULL once it is given up */
	bool is_ours; /* nobody else accepts from it */
	const char *path; /* of the socket, ours to remove; NULL: it has none, or is not ours */
	bool accepting;
	struct event *again;
};

/* Not listened to yet. The socket is its own from then on; the path stays the caller's. */
void acceptor_init(struct acceptor *acceptor, struct streams *streams, int fd, bool is_ours,
		   const char *path);
void acceptor_clear(struct acceptor *acceptor);

/* Raises the limit of descriptors; at most so many streams as fit into it from now on. */
void acceptor_set_limit(struct acceptor *acceptor, unsigned wanted);

/* Listens when there is room, in so many ms at the latest. */
void acceptor_begin(struct acceptor *acceptor, int64_t ms);
void acceptor_check_room(struct acceptor *acceptor);

/*
 * The process stops. So that a web server asks another process at once a socket of ours is gone before
 * the first stream ends; who connected before that is accepted. On a socket that is not ours further
 * requests come, and are refused: closing it would leave them waiting for nobody.
 */
void acceptor_give_up(struct acceptor *acceptor);

#endif
