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
#include "store/blocking.h"
#include "store/push.h"

struct notes {
	const struct store *store; /* borrowed */
	struct printbuf *commands;
	unsigned count; /* of them */
	unsigned outcomes[OUTCOME_COUNT]; /* since the last flush */
	int failures; /* flushes in a row that failed */
};

void notes_init(struct notes *notes, const struct store *store);
void notes_clear(struct notes *notes);

void notes_outcome(struct notes *notes, enum outcome outcome);
/* As the operations of store/push.h that are named so. */
void notes_later(struct notes *notes, const char *entry, int64_t wait_ms,
		 const struct push_job *job);
void notes_done(struct notes *notes, const char *entry);
void notes_told(struct notes *notes, const struct userid *user, const struct userid *friend);
void notes_wait(struct notes *notes, const struct userid *user, const struct userid *friend);
void notes_unsubscribe(struct notes *notes, const struct userid *user, const char *id);

/*
 * Sends them. False when Redis did not take them: not again before it is known
 * to be well. An error that does not pass (somebody put something else under a
 * key of ours) is given up in the end, for all else in the pipeline was done.
 */
bool notes_flush(struct notes *notes, struct blocking *redis);

#endif
