#include "push/notes.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "store/resp.h"

#define FAILURES_MAX 60 /* flushes with an error, about one a tick, before they are given up */

void notes_init(struct notes *notes, struct nodes *nodes, const struct partitions *partitions)
{
	memset(notes, 0, sizeof *notes);
	notes->nodes = nodes;
	notes->partitions = partitions;
	notes->list = xcalloc(partitions_count(partitions), sizeof *notes->list);
	for (unsigned i = 0; i < partitions_count(partitions); i++)
		notes->list[i].commands = buf_new();
}

void notes_clear(struct notes *notes)
{
	for (unsigned i = 0; i < partitions_count(notes->partitions); i++)
		printbuf_free(notes->list[i].commands);
	free(notes->list);
	notes->list = NULL;
}

/* Where to append one more command for the partition. */
static struct printbuf *put_one(struct notes *notes, const struct store *store)
{
	struct noted *noted = &notes->list[store_partition(store)];

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

/* --- sending ---------------------------------------------------------------------------------- */

static bool is_taken(const redisReply *reply)
{
	return reply != NULL && reply->type != REDIS_REPLY_ERROR;
}

/* Keeps those that were not taken; NULL, or the last error that was the answer to one. */
static const char *keep_rest(struct noted *noted, redisReply *const *replies)
{
	struct printbuf *rest = buf_new();
	const char *command = noted->commands->buf, *error = NULL;
	unsigned left = 0;

	for (unsigned i = 0; i < noted->count; i++) {
		size_t len = resp_length(command);

		if (!is_taken(replies[i])) {
			buf_put(rest, command, len);
			left++;
			error = replies[i] != NULL ? replies[i]->str : error;
		}
		command += len;
	}
	printbuf_free(noted->commands);
	noted->commands = rest;
	noted->count = left;
	return error;
}

/* Returns whether nothing is left. */
static bool settle(struct noted *noted, redisReply *const *replies)
{
	const char *error = keep_rest(noted, replies);

	noted->failures = error != NULL ? noted->failures + 1 : 0;
	if (noted->failures >= FAILURES_MAX) {
		log_error("Redis: %s; given up", error);
		noted->failures = 0;
		noted->count = 0;
		buf_reset(noted->commands);
	}
	return noted->count == 0;
}

/* To partitions that are up; returns how many commands. */
static size_t put_all(struct notes *notes, const bool *is_up)
{
	size_t count = 0;

	for (unsigned i = 0; i < partitions_count(notes->partitions); i++) {
		const struct noted *noted = &notes->list[i];

		if (!is_up[i] || noted->count == 0)
			continue;
		if (count == 0)
			nodes_begin(notes->nodes);
		buf_put(nodes_to(notes->nodes, partitions_at(notes->partitions, i)),
			noted->commands->buf, buf_len(noted->commands));
		count += noted->count;
	}
	return count;
}

void notes_flush(struct notes *notes, bool *is_up)
{
	redisReply **replies;
	size_t count, done = 0;

	if (is_up[0])
		put_outcomes(notes);
	count = put_all(notes, is_up);
	if (count == 0)
		return;
	replies = xcalloc(count, sizeof *replies);
	nodes_run_each(notes->nodes, count, replies);
	for (unsigned i = 0; i < partitions_count(notes->partitions); i++) {
		size_t sent = is_up[i] ? notes->list[i].count : 0;

		if (sent > 0)
			is_up[i] = settle(&notes->list[i], replies + done);
		done += sent;
	}
	blocking_free_replies(replies, count);
	free(replies);
}
