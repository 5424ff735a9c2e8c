#include "ctl/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/layout.h"
#include "store/push.h"
#include "store/reply.h"
#include "store/resp.h"

#define CURSOR_SIZE 24

/* --- how far it is --------------------------------------------------------------------------- */

static void tell(const char *what, unsigned long long seen, bool is_over)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%llu %s looked at%s", seen, what, is_over ? "\n" : "");
	fflush(stderr);
}

/* --- SCAN and its like ----------------------------------------------------------------------- */

/* Runs the command, which answers {cursor, list}; the caller frees the reply. NULL: it was said. */
static redisReply *scan(struct ctl *ctl, char cursor[CURSOR_SIZE])
{
	redisReply *reply = ctl_run_one(ctl);

	if (reply == NULL)
		return NULL;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	    reply->element[0]->type == REDIS_REPLY_STRING &&
	    reply->element[1]->type == REDIS_REPLY_ARRAY) {
		snprintf(cursor, CURSOR_SIZE, "%s", reply->element[0]->str);
		return reply;
	}
	reply_free(reply);
	ctl_fail("Redis gives no answer to SCAN");
	return NULL;
}

/* --- keys ------------------------------------------------------------------------------------ */

struct key_survey {
	struct ctl *ctl;
	const struct userid *user;
	char *pattern;
	survey_keys_visit *visit;
	void *arg;
	unsigned long long seen;
};

static void put_scan(struct printbuf *out, const char *pattern, const char *cursor)
{
	resp_begin(out, 6);
	resp_text(out, "SCAN");
	resp_text(out, cursor);
	resp_text(out, "MATCH");
	resp_key(out, pattern, "*", "");
	resp_text(out, "COUNT");
	resp_number(out, SURVEY_PIECE);
}

/* The partition that has a key of that name; NULL: it is no key of ours. */
static const struct store *store_of(const struct ctl *ctl, const redisReply *name)
{
	unsigned count = partitions_count(ctl->partitions);
	const struct store *store;
	const char *prefix;

	if (name->type != REDIS_REPLY_STRING)
		return NULL;
	store = partitions_at(ctl->partitions,
			      count > 1 ? layout_partition_of_name(count, name->str) : 0);
	prefix = store_prefix(store);
	return strncmp(name->str, prefix, strlen(prefix)) == 0 ? store : NULL;
}

/* Which of the names may be about the user. */
static size_t choose_keys(const struct key_survey *survey, const redisReply *names,
			  struct survey_key *keys)
{
	size_t count = 0;

	for (size_t i = 0; i < names->elements; i++) {
		const redisReply *name = names->element[i];
		struct survey_key key = {.store = store_of(survey->ctl, name)};
		size_t head;

		if (key.store == NULL)
			continue;
		head = strlen(store_prefix(key.store));
		key.name = name->str;
		key.len = name->len;
		key.own = name->str + head;
		key.kind = trace_kind(key.own, key.len - head, survey->user);
		if (key.kind != TRACE_NONE)
			keys[count++] = key;
	}
	return count;
}

/* Asks for the types, so that a key that somebody else wrote under such a name spoils nothing. */
static bool visit_keys(const struct key_survey *survey, struct survey_key *keys, size_t count)
{
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	struct nodes *nodes = survey->ctl->nodes;
	bool ok;

	nodes_begin(nodes);
	for (size_t i = 0; i < count; i++) {
		struct printbuf *out = nodes_to(nodes, keys[i].store);

		resp_begin(out, 2);
		resp_text(out, "TYPE");
		resp_arg(out, keys[i].name, keys[i].len);
	}
	ok = ctl_run(survey->ctl, count, replies);
	if (ok && count > 0) {
		for (size_t i = 0; i < count; i++)
			keys[i].type = replies[i]->str;
		ok = survey->visit(survey->ctl, survey->arg, keys, count);
		blocking_free_replies(replies, count);
	}
	free(replies);
	return ok;
}

/* All keys of the server that has that partition. */
static bool survey_server(struct key_survey *survey, const struct store *store)
{
	char cursor[CURSOR_SIZE] = "0";
	bool ok;

	do {
		struct survey_key *keys;
		redisReply *reply;

		put_scan(ctl_begin(survey->ctl, store), survey->pattern, cursor);
		reply = scan(survey->ctl, cursor);
		if (reply == NULL)
			return false;
		keys = xcalloc(reply->element[1]->elements + 1, sizeof *keys);
		ok = visit_keys(survey, keys, choose_keys(survey, reply->element[1], keys));
		survey->seen += reply->element[1]->elements;
		free(keys);
		reply_free(reply);
		tell("keys", survey->seen, false);
	} while (ok && strcmp(cursor, "0") != 0);
	return ok;
}

bool survey_keys(struct ctl *ctl, const struct userid *user, survey_keys_visit *visit, void *arg)
{
	struct key_survey survey = {ctl, user, NULL, visit, arg, 0};
	bool ok = true;

	survey.pattern = layout_pattern(ctl->config->redis.partitions, ctl->config->redis.prefix);
	/* Each of the first partitions is on another server. */
	for (unsigned i = 0; ok && i < nodes_count(ctl->nodes); i++)
		ok = survey_server(&survey, partitions_at(ctl->partitions, i));
	tell("keys", survey.seen, true);
	free(survey.pattern);
	return ok;
}

/* --- notifications --------------------------------------------------------------------------- */

struct note_survey {
	struct ctl *ctl;
	const struct userid *user;
	const struct store *store; /* the partition whose notifications are looked at */
	survey_notes_visit *visit;
	void *arg;
	struct push_job jobs[SURVEY_PIECE];
	struct survey_note notes[SURVEY_PIECE];
	size_t count;
	unsigned long long seen;
};

static bool flush_notes(struct note_survey *survey)
{
	bool ok = survey->count == 0 ||
		  survey->visit(survey->ctl, survey->arg, survey->notes, survey->count);

	survey->count = 0;
	return ok;
}

/* The job that was read into the next place is kept when it is about the user. */
static bool add_note(struct note_survey *survey, struct survey_note note)
{
	struct push_job *job = &survey->jobs[survey->count];
	const char *id = survey->user->text;

	survey->seen++;
	if (strcmp(job->user.text, id) != 0 &&
	    !(job->is_online && strcmp(job->friend.text, id) == 0))
		return true;
	note.job = job;
	note.store = survey->store;
	survey->notes[survey->count++] = note;
	return survey->count < SURVEY_PIECE || flush_notes(survey);
}

/* *after becomes the id of the last entry; "" at the end. */
static bool survey_entries(struct note_survey *survey, const redisReply *entries, char *after)
{
	struct push_entry entry = {.id = ""};
	bool ok = true;

	if (entries->type != REDIS_REPLY_ARRAY) {
		ctl_fail("Redis gives no answer to XRANGE");
		return false;
	}
	for (size_t i = 0; ok && i < entries->elements; i++) {
		if (push_read_entry(entries, i, &entry) &&
		    push_job_read(entry.job, entry.job_len, &survey->jobs[survey->count]))
			ok = add_note(survey, (struct survey_note){.entry = entry.id});
	}
	snprintf(after, PUSH_ENTRY_ID_MAX + 1, "%s", entries->elements > 0 ? entry.id : "");
	return ok && flush_notes(survey);
}

static bool survey_queue(struct note_survey *survey)
{
	char after[PUSH_ENTRY_ID_MAX + 1] = "0";
	bool ok = true;

	while (ok && *after != '\0') {
		redisReply *reply;

		push_put_entries(ctl_begin(survey->ctl, survey->store), survey->store, after,
				 SURVEY_PIECE);
		reply = ctl_run_one(survey->ctl);
		if (reply == NULL)
			return false;
		ok = survey_entries(survey, reply, after);
		reply_free(reply);
	}
	return ok;
}

static bool survey_later(struct note_survey *survey)
{
	char cursor[CURSOR_SIZE] = "0";
	bool ok = true;

	do {
		const redisReply *pairs;
		redisReply *reply;

		push_put_waiting(ctl_begin(survey->ctl, survey->store), survey->store, cursor,
				 SURVEY_PIECE);
		reply = scan(survey->ctl, cursor);
		if (reply == NULL)
			return false;
		pairs = reply->element[1];
		for (size_t i = 0; ok && i + 1 < pairs->elements; i += 2) {
			const redisReply *member = pairs->element[i];

			if (push_read_waiting(member, &survey->jobs[survey->count]))
				ok = add_note(survey, (struct survey_note){.member = member});
		}
		ok = ok && flush_notes(survey);
		reply_free(reply);
	} while (ok && strcmp(cursor, "0") != 0);
	return ok;
}

bool survey_notes(struct ctl *ctl, const struct userid *user, survey_notes_visit *visit, void *arg)
{
	struct note_survey *survey = xcalloc(1, sizeof *survey);
	bool ok = true;

	survey->ctl = ctl;
	survey->user = user;
	survey->visit = visit;
	survey->arg = arg;
	for (unsigned i = 0; ok && i < partitions_count(ctl->partitions); i++) {
		survey->store = partitions_at(ctl->partitions, i);
		ok = survey_queue(survey) && survey_later(survey);
	}
	tell("notifications", survey->seen, true);
	free(survey);
	return ok;
}
