/*
 * What Redis says of many tasks, asked in one round trip: whatever partitions their users are
 * in. One that does not answer is not up any more, and takes no other task along.
 */
#ifndef PRESENCE_PUSH_LOOKS_H
#define PRESENCE_PUSH_LOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "push/queues.h"

/* A task, and what Redis said of it. */
struct looked {
	struct task *task;
	struct push_look *look; /* free() it; NULL: it failed */
	bool is_away; /* because somebody was asked about whose partition is away */
	bool has_friend; /* who was asked about apart, in another partition */
	bool is_sent; /* what is to be done with it */
};

/*
 * Fills in all but is_sent. What was answered with an error may be so the next time, or not: that task
 * is not to be looked at before retry_ms.
 */
void looks_ask(struct queues *queues, struct looked *list, size_t count, int64_t retry_ms);

/*
 * Counts those that are to be sent and were not counted before: the job says so then. Of the others *is_sent
 * becomes false: who got enough in this hour gets no more (the task is dropped), or it failed.
 */
void looks_count(struct queues *queues, struct looked *list, size_t count, int64_t retry_ms);

#endif
