/*
 * What is to be noted in Redis: commands that one turn of the loop gathers, sent
 * together at its end and kept until Redis has taken them. Each may be said
 * twice, but none be lost.
 */
#ifndef PRESENCE_PUSH_NOTES_H
#define PRESENCE_PUSH_NOTES_H

#include <stdbool.h>

#include "base/buf.h"
#include "push/outcome.h"
#include "store/nodes.h"
#include "store/partitions.h"
#include "store/push.h"

/* For one partition. */
struct noted {
	struct printbuf *commands;
	unsigned count; /* of them */
	int failures; /* flushes in a row that were answered with an error */
};

struct notes {
	struct nodes *nodes; /* borrowed */
	const struct partitions *partitions; /* borrowed */
	struct noted *list; /* by partition */
	unsigned outcomes[OUTCOME_COUNT]; /* since the last flush */
};

void notes_init(struct notes *notes, struct nodes *nodes, const struct partitions *partitions);
void notes_clear(struct notes *notes);

void notes_outcome(struct notes *notes, enum outcome outcome);
/* As the operations of store/push.h that are named so; of an entry in that partition's queue, */
void notes_later(struct notes *notes, const struct store *store, const char *entry, int64_t wait_ms,
		 const struct push_job *job);
void notes_done(struct notes *notes, const struct store *store, const char *entry);
/* and of users, wherever they are. */
void notes_told(struct notes *notes, const struct userid *user, const struct userid *friend);
void notes_wait(struct notes *notes, const struct userid *user, const struct userid *friend);
void notes_unsubscribe(struct notes *notes, const struct userid *user, const char *id);

/*
 * Sends those for the partitions, by number, that are up; one is not any more where Redis
 * did not take all: not again before it is known to be well. An error that does not pass
 * (somebody put something else under a key of ours) is given up in the end.
 */
void notes_flush(struct notes *notes, bool *is_up);

#endif
