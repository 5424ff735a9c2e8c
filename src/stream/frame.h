/*
 * Frames: what is sent, formatted once and shared by every stream that gets
 * it; and the outbox of frames that wait for one connection.
 */
#ifndef PRESENCE_STREAM_FRAME_H
#define PRESENCE_STREAM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Whole FastCGI records. Counted references; one thread, so the count needs no
 * atomics, and the request id in the records is set (stamped) right before each
 * send, because streams of different ids may share the frame.
 */
struct frame {
	unsigned references;
	bool shared; /* made by frame_new(): stamped when it is sent */
	size_t len;
	uint8_t records[];
};

/* Wraps data in FCGI_STDOUT records. The caller owns one reference. */
struct frame *frame_new(const void *data, size_t len);
/* Records that are made already, sent as they are. */
struct frame *frame_of_records(const void *records, size_t len);
struct frame *frame_ref(struct frame *frame);
void frame_unref(struct frame *frame);

/* Appends a Server-Sent Event (WHATWG HTML section 9.2); data is one line. */
void sse_put(struct printbuf *out, const char *event, const void *data, size_t len);
/* An event as a frame. */
struct frame *sse_frame(const char *event, const void *data, size_t len);
/* A comment of len bytes (3 at least), which readers skip. */
struct frame *sse_padding(size_t len);

#define OUTBOX_INLINE 2

/* Zeroed memory is an empty outbox. */
struct outbox {
	struct frame *few[OUTBOX_INLINE]; /* used while `many` is NULL */
	struct frame **many;
	unsigned first, count, room;
	size_t bytes; /* still to send */
	size_t sent; /* bytes of the first frame that are sent */
};

void outbox_push(struct outbox *outbox, struct frame *frame); /* takes a reference of its own */
void outbox_clear(struct outbox *outbox);

/* Forgets the frames of which nothing is sent yet. */
void outbox_drop_unsent(struct outbox *outbox);

/* Bytes still to send of this frame, when it is the first one; else 0. */
size_t outbox_left_of_first(const struct outbox *outbox, const struct frame *frame);

/* Moves all frames of `from` behind those of `to`. */
void outbox_move(struct outbox *to, struct outbox *from);

enum outbox_result { OUTBOX_EMPTY, OUTBOX_BLOCKED, OUTBOX_ERROR };

/*
 * Sends what it can to a non-blocking socket, in one system call while the
 * socket takes everything. *progress: whether any byte went out.
 */
enum outbox_result outbox_send(struct outbox *outbox, int fd, uint16_t request_id, bool *progress);

#endif
