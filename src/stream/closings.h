/*
 * Sessions whose streams are gone, told to Redis in batches. Each is kept until
 * Redis has said that it is done: also when Redis refuses it for a while (out of
 * memory, read-only) or is lost while it is under way.
 */
#ifndef PRESENCE_STREAM_CLOSINGS_H
#define PRESENCE_STREAM_CLOSINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "stream/context.h"
#include "stream/sessions.h"

struct closing;

/* Of the users of one partition. */
struct closings {
	struct partition *partition;
	TAILQ_HEAD(closing_list, closing) list; /* those under way first, the oldest first */
	struct closing *next; /* the first that is not under way */
	unsigned count; /* of the list; at most CLOSINGS_MAX: further ones end by stream_ttl */
	int64_t retry_ms; /* after a refusal: nothing is sent before */
	bool refused; /* and it was logged */
};

void closings_init(struct closings *all, struct partition *partition);
void closings_free(struct closings *all);

void closings_add(struct closings *all, const struct session *session);

/* Sends all that are not under way. The partition is up. */
void closings_flush(struct closings *all, int64_t now_ms);

/* Whether Redis has done every one. */
bool closings_are_told(const struct closings *all);

#endif
