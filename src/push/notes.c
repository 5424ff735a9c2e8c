#include "push/notes.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

#define FAILURES_MAX 60 /* flushes with an error, about one a tick, before they are given up */

void notes_init(struct notes *notes, struct nodes *nodes, const struct partitions *partitions)
{
	memset(notes, 0, sizeof *notes);
	notes->nodes = nodes;
	notes->partitions = partitions;
	notes->servers = xcalloc(nodes_count(nodes), sizeof *notes->servers);
	for (unsigned i = 0; i < nodes_count(nodes); i++)
		notes->servers[i].commands = buf_new();
}

void notes_clear(struct notes *notes)
{
	for (unsigned i = 0; i < nodes_count(notes->nodes); i++)
		printbuf_free(notes->servers[i].commands);
	free(notes->servers);
	notes->servers = NULL;
}

/* Where to append one more command for the partition. */
static struct printbuf *put_one(struct notes *notes, const struct store *store)
{
	struct noted *noted = &notes->servers[nodes_number_of(notes->nodes, store)];

	noted->count++;
	return noted->commands;
}

void notes_outcome(struct notes *notes, enum outcome outcome)
{
	notes->outcomes[outcome]++;
}

void notes_later(struct notes *notes, const struct store *store, const char *entry, int64_t wait_ms,
		 const struct push_job *job)
{
	push_put_later(put_one(notes, store), store, entry, wait_ms, job);
}

void notes_done(struct notes *notes, const struct store *store, const char *entry)
{
	push_put_done(put_one(notes, store), store, entry);
}

void notes_told(struct notes *notes, const struct userid *user, const struct userid *friend)
{
	const struct store *store = partitions_of(notes->partitions, user);

	push_put_told(put_one(notes, store), store, user, friend);
}

void notes_wait(struct notes *notes, const struct userid *user, const struct userid *friend)
{
	const struct store *store = partitions_of(notes->partitions, friend);

	push_put_wait(put_one(notes, store), store, user, friend, true);
}

void notes_unsubscribe(struct notes *notes, const struct userid *user, const char *id)
{
	const struct store *store = partitions_of(notes->partitions, user);

	push_put_unsubscribe(put_one(notes, store), store, user, id);
}

/* They are about no user, so the first partition counts them. */
static void put_outcomes(struct notes *notes)
{
	const struct store *first = partitions_at(notes->partitions, 0);

	for (int i = 0; i < OUTCOME_COUNT; i++) {
		if (notes->outcomes[i] == 0)
			continue;
		push_put_outcome(put_one(notes, first), first, outcome_names[i],
				 notes->outcomes[i]);
		notes->outcomes[i] = 0;
	}
}

/* Whether Redis took them all. */
static bool send_all(const struct noted *noted, struct blocking *redis)
{
	redisReply **replies = xcalloc(noted->count, sizeof *replies);
	bool taken = blocking_run(redis, noted->commands, noted->count, replies);

	if (taken)
		blocking_free_replies(replies, noted->count);
	free(replies);
	return taken;
}

bool notes_flush(struct notes *notes, unsigned server)
{
	struct noted *noted = &notes->servers[server];
	struct blocking *redis = nodes_at(notes->nodes, server);

	if (server == 0)
		put_outcomes(notes);
	if (noted->count == 0)
		return true;
	if (!send_all(noted, redis)) {
		noted->failures++;
		if (blocking_fd(redis) < 0 || noted->failures < FAILURES_MAX)
			return false;
		log_error("Redis: %s; given up", blocking_error(redis));
	}
	noted->failures = 0;
	noted->count = 0;
	buf_reset(noted->commands);
	return true;
}
