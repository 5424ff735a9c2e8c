/* A search (store/search.h) in the event loop. */
#ifndef PRESENCE_STREAM_SEEK_H
#define PRESENCE_STREAM_SEEK_H

#include <stdbool.h>

#include <event2/event.h>

#include "store/search.h"

struct seek {
	struct event_base *base;
	struct search *search; /* NULL: none is under way */
	struct event *step;
	/* It is over: found (why is NULL), or why it is not. A new one may not begin before this returns. */
	void (*done)(void *arg, const char *why);
	void *arg;
};

void seek_init(struct seek *seek, struct event_base *base, void (*done)(void *arg, const char *why),
	       void *arg);
void seek_start(struct seek *seek, struct search *search); /* none is under way */
void seek_stop(struct seek *seek); /* ends it, if there is one */

#endif
