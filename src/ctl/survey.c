#include "ctl/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
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

/* Runs one command that answers {cursor, list}; the caller frees the reply. NULL: it was said. */
static redisReply *scan(struct ctl *ctl, struct printbuf *command, char cursor[CURSOR_SIZE])
{
	redisReply *reply = NULL;
	bool ok = ctl_run(ctl, command, 1, &reply);

	printbuf_free(command);
	if (!ok)
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
	survey_keys_visit *visit;
	void *arg;
};

/* A prefix has no characters that mean something in a pattern: config_options.c. */
static struct printbuf *scan_command(const char *prefix, const char *cursor)
{
	struct printbuf *command = buf_new();

	resp_begin(command, 6);
	resp_text(command, "SCAN");
	resp_text(command, cursor);
	resp_text(command, "MATCH");
	resp_key(command, prefix, "*", "");
	resp_text(command, "COUNT");
	resp_number(command, SURVEY_PIECE);
	return command;
}

/* Which of the names may be about the user. */
static size_t choose_keys(const struct key_survey *survey, const redisReply *names,
			  struct survey_key *keys)
{
	size_t head = strlen(survey->ctl->config->redis.prefix), count = 0;

	for (size_t i = 0; i < names->elements; i++) {
		const redisReply *name = names->element[i];
		enum trace_kind kind;

		if (name->type != REDIS_REPLY_STRING || name->len < head)
			continue;
		kind = trace_kind(name->str + head, name->len - head, survey->user);
		if (kind != TRACE_NONE)
			keys[count++] = (struct survey_key){.name = name->str,
							    .len = name->len,
							    .own = name->str + head,
							    .kind = kind};
	}
	return count;
}

/* Asks for the types, so that a key that somebody else wrote under such a name spoils nothing. */
static bool visit_keys(const struct key_survey *survey, struct survey_key *keys, size_t count)
{
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	struct printbuf *pipeline = buf_new();
	bool ok;

	for (size_t i = 0; i < count; i++) {
		resp_begin(pipeline, 2);
		resp_text(pipeline, "TYPE");
		resp_arg(pipeline, keys[i].name, keys[i].len);
	}
	ok = count == 0 || ctl_run(survey->ctl, pipeline, count, replies);
	printbuf_free(pipeline);
	if (ok && count > 0) {
		for (size_t i = 0; i < count; i++)
			keys[i].type = replies[i]->str;
		ok = survey->visit(survey->ctl, survey->arg, keys, count);
		blocking_free_replies(replies, count);
	}
	free(replies);
	return ok;
}

bool survey_keys(struct ctl *ctl, const struct userid *user, survey_keys_visit *visit, void *arg)
{
	const struct key_survey survey = {ctl, user, visit, arg};
	char cursor[CURSOR_SIZE] = "0";
	unsigned long long seen = 0;
	bool ok;

	do {
		redisReply *reply =
			scan(ctl, scan_command(ctl->config->redis.prefix, cursor), cursor);
		struct survey_key *keys;

		if (reply == NULL)
			return false;
		keys = xcalloc(reply->element[1]->elements + 1, sizeof *keys);
		ok = visit_keys(&survey, keys, choose_keys(&survey, reply->element[1], keys));
		seen += reply->element[1]->elements;
		free(keys);
		reply_free(reply);
		tell("keys", seen, strcmp(cursor, "0") == 0);
	} while (ok && strcmp(cursor, "0") != 0);
	return ok;
}

/* --- notifications --------------------------------------------------------------------------- */

struct note_survey {
	struct ctl *ctl;
	const struct userid *user;
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
		struct printbuf *command = buf_new();
		redisReply *reply;

		push_put_entries(command, partitions_at(survey->ctl->partitions, 0), after,
				 SURVEY_PIECE);
		ok = ctl_run(survey->ctl, command, 1, &reply);
		printbuf_free(command);
		if (!ok)
			break;
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
		struct printbuf *command = buf_new();
		const redisReply *pairs;
		redisReply *reply;

		push_put_waiting(command, partitions_at(survey->ctl->partitions, 0), cursor,
				 SURVEY_PIECE);
		reply = scan(survey->ctl, command, cursor);
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
	bool ok;

	survey->ctl = ctl;
	survey->user = user;
	survey->visit = visit;
	survey->arg = arg;
	ok = survey_queue(survey) && survey_later(survey);
	tell("notifications", survey->seen, true);
	free(survey);
	return ok;
}
