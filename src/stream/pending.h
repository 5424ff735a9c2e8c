/* Who waits for the answers on a connection, which come in the order of the questions. */
#ifndef PRESENCE_STREAM_PENDING_H
#define PRESENCE_STREAM_PENDING_H

#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

/* An answer, borrowed; NULL: there is none. */
typedef void pending_reply(void *arg, const redisReply *reply);

struct pending {
	pending_reply *done; /* NULL: nobody */
	void *arg;
	int64_t asked_ms; /* monotonic */
};

/* Zeroed memory: nobody waits. */
struct pending_ring {
	struct pending *list;
	size_t first, count, capacity; /* the oldest is at `first` */
};

void pending_push(struct pending_ring *ring, pending_reply *done, void *arg);
struct pending pending_pop(struct pending_ring *ring); /* there is one */
void pending_drop(struct pending_ring *ring); /* everybody hears NULL */
/* When the oldest was asked; INT64_MAX: there is none. */
int64_t pending_oldest_ms(const struct pending_ring *ring);
void pending_free(struct pending_ring *ring);

#endif
