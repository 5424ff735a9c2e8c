/*
 * The frames that wait for one connection: a ring, and one system call that
 * sends what the socket takes of all of them.
 */
#ifndef PRESENCE_STREAM_OUTBOX_H
#define PRESENCE_STREAM_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/frame.h"

#define OUTBOX_INLINE 2

/* Zeroed memory is an empty outbox. */
struct outbox {
	struct frame *few[OUTBOX_INLINE]; /* used while `many` is NULL */
	struct frame **many;
	unsigned first, count, capacity;
	size_t bytes; /* still to send */
	size_t sent; /* bytes of the first frame that are sent */
};

void outbox_push(struct outbox *outbox, struct frame *frame); /* takes a reference of its own */
void outbox_clear(struct outbox *outbox);

/* Forgets the frames of which nothing is sent yet; returns how many those were. */
unsigned outbox_drop_unsent(struct outbox *outbox);
/* Of these, the fleeting ones alone. */
void outbox_drop_fleeting(struct outbox *outbox);

/* Bytes still to send of this frame, when it is the first one; else 0. */
size_t outbox_left_of_first(const struct outbox *outbox, const struct frame *frame);

/* Moves all frames of `from` after those of `to`. */
void outbox_move(struct outbox *to, struct outbox *from);

enum outbox_result { OUTBOX_EMPTY, OUTBOX_BLOCKED, OUTBOX_ERROR };

/*
 * Sends what it can to a non-blocking socket, in one system call while the
 * socket takes everything. *progress: whether any byte went out.
 */
enum outbox_result outbox_send(struct outbox *outbox, int fd, uint16_t request_id, bool *progress);

#endif
