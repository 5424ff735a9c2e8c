/* The driver: what each stream does next. docs/architecture.md, "The life of a stream". */
#ifndef PRESENCE_STREAM_LIFE_H
#define PRESENCE_STREAM_LIFE_H

#include "stream/stream.h"

/* Takes the streams that are due, one by one, and does what their states say. */
void life_run(struct streams *streams);

/*
 * The process stops: every stream ends at some time within `drain` ms. One that is on
 * its way is opened, and told so next.
 */
void life_drain(struct streams *streams, int64_t drain_ms);

#endif
