/*
 * What a stream sends: its events (docs/api.md, "Events") as Server-Sent Events
 * (WHATWG HTML section 9.2), as text or as frames.
 */
#ifndef PRESENCE_STREAM_EVENTS_H
#define PRESENCE_STREAM_EVENTS_H

#include <stddef.h>

#include "base/buf.h"
#include "stream/frame.h"

/* Appends one event; data is one line. */
void events_put(struct printbuf *out, const char *name, const void *data, size_t len);
/* An event as a frame; the caller owns one reference. */
struct frame *events_frame(const char *name, const void *data, size_t len);
/* A comment of len bytes (3 at least), which readers skip. */
struct frame *events_padding(size_t len);

#endif
