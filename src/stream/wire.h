/*
 * One connection to Redis (store/connection.h) in the event loop. It calls its owner when it is ready, for
 * each reply, and once when it is lost; then, as after wire_stop(), it does nothing more until the owner
 * closes it.
 */
#ifndef PRESENCE_STREAM_WIRE_H
#define PRESENCE_STREAM_WIRE_H

#include <stdbool.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/redis_url.h"

struct connection;

struct wire_events {
	void (*ready)(void *arg);
	void (*reply)(void *arg, const redisReply *reply); /* borrowed */
	void (*lost)(void *arg, const char *why);
};

struct wire {
	struct event_base *base;
	const struct wire_events *events;
	void *arg;
	struct connection *connection; /* NULL while there is none */
	struct event *readable, *writable;
	bool is_ready;
	bool is_stopped;
};

void wire_init(struct wire *wire, struct event_base *base, const struct wire_events *events,
	       void *arg);
void wire_open(struct wire *wire, const struct config *config, const struct redis_address *address);
void wire_close(struct wire *wire); /* may be closed already */
void wire_stop(struct wire *wire);

/* Appends to what the next flush writes. The wire is open. */
void wire_put(struct wire *wire, const struct printbuf *bytes);
void wire_flush(struct wire *wire); /* nothing while it is not ready */

#endif
