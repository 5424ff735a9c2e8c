/* Frames: what is sent, formatted once and shared by every stream that gets it. */
#ifndef PRESENCE_STREAM_FRAME_H
#define PRESENCE_STREAM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whole FastCGI records. Counted references; one thread, so the count needs no
 * atomics, and the request id in the records is set (stamped) right before each
 * send, because streams of different ids may share the frame.
 */
struct frame {
	unsigned references;
	bool shared; /* made by frame_new(): stamped when it is sent */
	bool fleeting; /* of use for a moment: the first to go where there is no room */
	uint32_t about; /* the topic whose user's state it tells; 0 = none: all of them count */
	int64_t heard_us; /* when its message was read (times_mono_us); 0 = it is of none */
	uint64_t heard; /* where it is about one: its number among all such messages */
	size_t len;
	uint8_t records[];
};

/* Wraps data in FCGI_STDOUT records. The caller owns one reference. */
struct frame *frame_new(const void *data, size_t len);
/* Records that are made already, sent as they are. */
struct frame *frame_of_records(const void *records, size_t len);
struct frame *frame_ref(struct frame *frame);
void frame_unref(struct frame *frame);

#endif
