#include "push/notes.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

#define FAILURES_MAX 60 /* flushes with an error, about one a tick, before they are given up */

void notes_init(struct notes *notes, const struct store *store)
{
	memset(notes, 0, sizeof *notes);
	notes->store = store;
	notes->commands = buf_new();
}

void notes_clear(struct notes *notes)
{
	printbuf_free(notes->commands);
	notes->commands = NULL;
}

void notes_outcome(struct notes *notes, enum outcome outcome)
{
	notes->outcomes[outcome]++;
}

void notes_later(struct notes *notes, const char *entry, int64_t wait_ms,
		 const struct push_job *job)
{
	push_put_later(notes->commands, notes->store, entry, wait_ms, job);
	notes->count++;
}

void notes_done(struct notes *notes, const char *entry)
{
	push_put_done(notes->commands, notes->store, entry);
	notes->count++;
}

void notes_told(struct notes *notes, const struct userid *user, const struct userid *friend)
{
	push_put_told(notes->commands, notes->store, user, friend);
	notes->count++;
}

void notes_wait(struct notes *notes, const struct userid *user, const struct userid *friend)
{
	push_put_wait(notes->commands, notes->store, user, friend, true);
	notes->count++;
}

void notes_unsubscribe(struct notes *notes, const struct userid *user, const char *id)
{
	push_put_unsubscribe(notes->commands, notes->store, user, id);
	notes->count++;
}

static void put_outcomes(struct notes *notes)
{
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		if (notes->outcomes[i] == 0)
			continue;
		push_put_outcome(notes->commands, notes->store, outcome_names[i],
				 notes->outcomes[i]);
		notes->outcomes[i] = 0;
		notes->count++;
	}
}

/* Whether Redis took them all. */
static bool send_all(const struct notes *notes, struct blocking *redis)
{
	redisReply **replies = xcalloc(notes->count, sizeof *replies);
	bool taken = blocking_run(redis, notes->commands, notes->count, replies);

	if (taken)
		blocking_free_replies(replies, notes->count);
	free(replies);
	return taken;
}

bool notes_flush(struct notes *notes, struct blocking *redis)
{
	put_outcomes(notes);
	if (notes->count == 0)
		return true;
	if (!send_all(notes, redis)) {
		notes->failures++;
		if (blocking_fd(redis) < 0 || notes->failures < FAILURES_MAX)
			return false;
		log_error("Redis: %s; given up", blocking_error(redis));
	}
	notes->failures = 0;
	notes->count = 0;
	buf_reset(notes->commands);
	return true;
}
