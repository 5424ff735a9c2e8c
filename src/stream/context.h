/* What the parts of streamd share: services, no state of streams. Filled by server.c. */
#ifndef PRESENCE_STREAM_CONTEXT_H
#define PRESENCE_STREAM_CONTEXT_H

#include <stdbool.h>

#include <event2/event.h>

#include "auth/token_keys.h"
#include "base/buf.h"
#include "base/config.h"
#include "directory/directory.h"
#include "store/store.h"
#include "stream/events.h"
#include "stream/hub.h"
#include "stream/link.h"
#include "stream/turn.h"

struct context {
	struct event_base *base;
	struct config *config; /* a reload changes its values, */
	struct token_keys *keys; /* replaces the keys */
	struct store *store; /* and the store */
	struct directory *directory;
	struct link *link;
	struct hub hub;
	struct turn turn;
	struct shared_events events;
	struct printbuf *scratch; /* for texts and commands; free for use in every function */
	char *epoch; /* presence:epoch as seen last; NULL before (recovery.c) */
	bool draining; /* the process stops: nothing new is let in */
};

#endif
