/* What the parts of streamd share: services, no state of streams. Filled by server.c. */
#ifndef PRESENCE_STREAM_CONTEXT_H
#define PRESENCE_STREAM_CONTEXT_H

#include <stdbool.h>

#include <event2/event.h>

#include "auth/token_keys.h"
#include "base/buf.h"
#include "base/config.h"
#include "directory/directory.h"
#include "store/partitions.h"
#include "stream/counts.h"
#include "stream/events.h"
#include "stream/hub.h"
#include "stream/partition.h"
#include "stream/turn.h"

struct context {
	struct event_base *base;
	struct config *config; /* a reload changes its values, */
	struct token_keys *keys; /* replaces the keys */
	struct partitions *stores; /* and the stores */
	struct directory *directory;
	struct link **links; /* to each server, */
	unsigned link_count; /* of which there may become */
	unsigned link_max; /* so many */
	struct partition *partitions;
	unsigned partition_count;
	size_t set_words; /* of a set of partitions */
	uint64_t *away, *unsettled; /* those that are AWAY; those that are not SETTLED */
	TAILQ_HEAD(partition_list, partition) due; /* something is to be asked of them */
	struct hub hub;
	struct turn turn;
	struct shared_events events;
	struct counts counts;
	struct printbuf *scratch; /* for texts and commands; free for use in every function */
	bool draining; /* the process stops: streams end, connections are not kept */
	bool refusing; /* and nothing new is let in: its socket is not its own, requests still come */
};

#endif
