/* A message from Redis goes to the streams it is about. */
#ifndef PRESENCE_STREAM_DISPATCH_H
#define PRESENCE_STREAM_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

#include "stream/stream.h"

struct dispatch {
	struct streams *streams;
	int64_t now_us; /* when the message was read that is being passed on */
	uint64_t dropped; /* messages that are not what they should be */
};

/* The channel is without the prefix; both are borrowed. */
void dispatch_message(struct dispatch *dispatch, const char *channel, const char *text, size_t len);

#endif
