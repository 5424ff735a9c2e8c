#include "ctl/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ctl/scan.h"
#include "store/push.h"
#include "store/reply.h"
#include "store/resp.h"

/* --- keys ------------------------------------------------------------------------------------ */

struct key_survey {
	const struct userid *user;
	survey_keys_visit *visit;
	void *arg;
};

/* Which of them may be about the user. */
static size_t choose_keys(const struct key_survey *survey, const struct scan_key *all, size_t count,
			  struct survey_key *keys)
{
	size_t chosen = 0;

	for (size_t i = 0; i < count; i++) {
		const struct scan_key *key = &all[i];
		enum trace_kind kind = trace_kind(key->own, key->own_len, survey->user);

		if (kind != TRACE_NONE)
			keys[chosen++] = (struct survey_key){.name = key->name,
							     .len = key->len,
							     .own = key->own,
							     .store = key->store,
							     .kind = kind};
	}
	return chosen;
}

/* Asks for the types, so that a key that somebody else wrote under such a name spoils nothing. */
static bool visit_keys(struct ctl *ctl, const struct key_survey *survey, struct survey_key *keys,
		       size_t count)
{
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	bool ok;

	nodes_begin(ctl->nodes);
	for (size_t i = 0; i < count; i++) {
		struct printbuf *out = nodes_to(ctl->nodes, keys[i].store);

		resp_begin(out, 2);
		resp_text(out, "TYPE");
		resp_arg(out, keys[i].name, keys[i].len);
	}
	ok = ctl_run(ctl, count, replies);
	if (ok && count > 0) {
		for (size_t i = 0; i < count; i++)
			keys[i].type = replies[i]->str;
		ok = survey->visit(ctl, survey->arg, keys, count);
		blocking_free_replies(replies, count);
	}
	free(replies);
	return ok;
}

static bool on_piece(struct ctl *ctl, void *arg, const struct scan_key *all, size_t count)
{
	const struct key_survey *survey = arg;
	struct survey_key *keys = xcalloc(count + 1, sizeof *keys);
	bool ok = visit_keys(ctl, survey, keys, choose_keys(survey, all, count, keys));

	free(keys);
	return ok;
}

bool survey_keys(struct ctl *ctl, const struct userid *user, survey_keys_visit *visit, void *arg)
{
	struct key_survey survey = {user, visit, arg};
	struct progress progress;
	bool ok;

	progress_begin(&progress, "keys looked at", 0);
	progress.is_quiet = true;
	ok = scan_keys(ctl, SURVEY_PIECE, &progress, on_piece, &survey);
	progress_end(&progress);
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
	struct progress progress;
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

	progress_add(&survey->progress, 1);
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
	char cursor[SCAN_CURSOR_SIZE] = "0";
	bool ok = true;

	do {
		const redisReply *pairs;
		redisReply *reply;

		push_put_waiting(ctl_begin(survey->ctl, survey->store), survey->store, cursor,
				 SURVEY_PIECE);
		reply = scan_run(survey->ctl, cursor);
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
	progress_begin(&survey->progress, "notifications looked at", 0);
	survey->progress.is_quiet = true;
	for (unsigned i = 0; ok && i < partitions_count(ctl->partitions); i++) {
		survey->store = partitions_at(ctl->partitions, i);
		ok = survey_queue(survey) && survey_later(survey);
	}
	progress_end(&survey->progress);
	free(survey);
	return ok;
}
