/*
 * What a stream sends: its events (docs/api.md, "Events") as Server-Sent Events
 * (WHATWG HTML section 9.2), as text or as frames.
 */
#ifndef PRESENCE_STREAM_EVENTS_H
#define PRESENCE_STREAM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/userid.h"
#include "stream/frame.h"

/* Appends one event; data is one line. */
void events_put(struct printbuf *out, const char *name, const void *data, size_t len);

/* Appends the head of a stream's answer (RFC 3875 section 6); `fields` is further lines or "". */
void events_put_head(struct printbuf *out, const char *fields);

/* Appends `connected`, with a jittered retry: line; now_s in seconds since 1970. */
void events_put_connected(struct printbuf *out, const struct config *config,
			  const struct userid *user, const char *session_id, int64_t now_s);
void events_put_degraded(struct printbuf *out);
void events_put_bye(struct printbuf *out, const char *reason);

/* Frames; the caller owns one reference of each. */
struct frame *events_frame(const char *name, const void *data, size_t len);
struct frame *events_status_change(const char *text, size_t len);
/* A friend types, or no longer does; conversation "" = none. Fleeting. */
struct frame *events_typing(const struct userid *friend, bool types, const char *conversation);
/* A friend is near, or no longer is. */
struct frame *events_nearby(const struct userid *friend, bool near);
struct frame *events_initial(const struct printbuf *object);
/* A comment of len bytes (3 at least), which readers skip. */
struct frame *events_padding(size_t len);

/* Frames that all streams get, kept here; zeroed memory has none. */
struct shared_events {
	struct frame *heartbeat; /* of that second */
	int64_t heartbeat_second;
	struct frame *degraded;
	struct frame *padding; /* of [stream] padding bytes; NULL: none is sent */
};
/* Borrowed, until the next call. */
struct frame *events_heartbeat(struct shared_events *shared, int64_t second);
struct frame *events_degraded(struct shared_events *shared);
void events_set_padding(struct shared_events *shared, size_t len); /* 0 = none */
void events_free(struct shared_events *shared);

#endif
