/* Forgetting a user. */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ticket.h"
#include "base/alloc.h"
#include "ctl/survey.h"
#include "store/keys.h"
#include "store/push.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/store.h"

struct forgetting {
	struct userid user;
	const struct store *store;
};

/* Runs a pipeline of that many commands and frees it. */
static bool remove_all(struct ctl *ctl, struct printbuf *pipeline, size_t count)
{
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	bool ok = count == 0 || ctl_run(ctl, pipeline, count, replies);

	if (ok)
		blocking_free_replies(replies, count);
	free(replies);
	printbuf_free(pipeline);
	return ok;
}

/* A command that has the key alone: GET, DEL. */
static void put_key(struct printbuf *out, const char *command, const struct survey_key *key)
{
	resp_begin(out, 2);
	resp_text(out, command);
	resp_arg(out, key->name, key->len);
}

/* One about the user's id in the key: SISMEMBER, SREM, HDEL. */
static void put_member(struct printbuf *out, const char *command, const struct survey_key *key,
		       const char *id)
{
	resp_begin(out, 3);
	resp_text(out, command);
	resp_arg(out, key->name, key->len);
	resp_text(out, id);
}

static bool is_type(const struct survey_key *key, const char *type)
{
	return strcmp(key->type, type) == 0;
}

/* What must be asked first: a ticket tells in its text whose it is, and of a block streams are told. */
static bool put_question(struct printbuf *out, const struct survey_key *key, const char *id)
{
	if (key->kind == TRACE_TICKET && is_type(key, "string"))
		put_key(out, "GET", key);
	else if (key->kind == TRACE_BLOCK && is_type(key, "set"))
		put_member(out, "SISMEMBER", key, id);
	else
		return false;
	return true;
}

/* Ends the block between the user and the other one whose key it is; returns how many commands. */
static size_t put_unblock(struct printbuf *out, const struct forgetting *forgetting,
			  const struct survey_key *key)
{
	bool is_blocker = strncmp(key->own, KEY_BLOCKED_BY, strlen(KEY_BLOCKED_BY)) == 0;
	const char *text = key->own + strlen(is_blocker ? KEY_BLOCKED_BY : KEY_BLOCKED);
	const struct userid *user = &forgetting->user;
	struct userid other;

	if (!userid_parse(text, strlen(text), &other))
		return 0;
	for (unsigned step = 0; step < STORE_BLOCK_STEPS; step++)
		store_put_block(out, forgetting->store, is_blocker ? user : &other,
				is_blocker ? &other : user, false, step);
	return STORE_BLOCK_STEPS;
}

/* What the answer to the question leads to; returns how many commands. */
static size_t put_consequence(struct printbuf *out, const struct forgetting *forgetting,
			      const struct survey_key *key, const redisReply *answer)
{
	struct ticket ticket;

	if (key->kind == TRACE_BLOCK)
		return answer->integer == 1 ? put_unblock(out, forgetting, key) : 0;
	if (!ticket_read(answer, &ticket) || !userid_equal(&ticket.token.user, &forgetting->user))
		return 0;
	put_key(out, "DEL", key);
	return 1;
}

static bool remove_asked(struct ctl *ctl, struct forgetting *forgetting,
			 const struct survey_key *keys, size_t count)
{
	const struct survey_key **asked = xcalloc(count + 1, sizeof *asked);
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	struct printbuf *questions = buf_new(), *removals = buf_new();
	size_t questions_count = 0, commands = 0;
	bool ok;

	for (size_t i = 0; i < count; i++) {
		if (put_question(questions, &keys[i], forgetting->user.text))
			asked[questions_count++] = &keys[i];
	}
	ok = questions_count == 0 || ctl_run(ctl, questions, questions_count, replies);
	for (size_t i = 0; ok && i < questions_count; i++)
		commands += put_consequence(removals, forgetting, asked[i], replies[i]);
	if (ok && questions_count > 0)
		blocking_free_replies(replies, questions_count);
	free(asked);
	free(replies);
	printbuf_free(questions);
	if (ok)
		return remove_all(ctl, removals, commands);
	printbuf_free(removals);
	return false;
}

/* What is left of the user in these keys. The user's own of fixed names are gone already. */
static bool on_keys(struct ctl *ctl, void *arg, const struct survey_key *keys, size_t count)
{
	struct forgetting *forgetting = arg;
	struct printbuf *pipeline = buf_new();
	const char *id = forgetting->user.text;
	size_t commands = 0;

	for (size_t i = 0; i < count; i++) {
		const struct survey_key *key = &keys[i];

		if (key->kind == TRACE_MORE || key->kind == TRACE_PAIR)
			put_key(pipeline, "DEL", key);
		else if (key->kind == TRACE_MEMBER && is_type(key, "set"))
			put_member(pipeline, "SREM", key, id);
		else if (key->kind == TRACE_FIELD && is_type(key, "hash"))
			put_member(pipeline, "HDEL", key, id);
		else if (key->kind == TRACE_VALUE && is_type(key, "string"))
			store_put_drop(pipeline, forgetting->store, key->name, key->len, id);
		else
			continue;
		commands++;
	}
	return remove_all(ctl, pipeline, commands) && remove_asked(ctl, forgetting, keys, count);
}

static bool on_notes(struct ctl *ctl, void *arg, const struct survey_note *notes, size_t count)
{
	struct printbuf *pipeline = buf_new();

	(void)arg;
	for (size_t i = 0; i < count; i++) {
		if (notes[i].entry != NULL)
			push_put_done(pipeline, partitions_at(ctl->partitions, 0), notes[i].entry);
		else
			push_put_drop_waiting(pipeline, partitions_at(ctl->partitions, 0),
					      notes[i].member);
	}
	return remove_all(ctl, pipeline, count);
}

/* Ends everything of the user in one step: from then on no token of before brings anything back. */
static bool end_user(struct ctl *ctl, struct forgetting *forgetting)
{
	const struct store_end end = {
		.user = &forgetting->user, .all = true, .reason = "kicked", .forget = true};
	struct printbuf *command = buf_new();
	redisReply *reply;
	bool ok;

	store_put_end(command, forgetting->store, &end);
	ok = ctl_run(ctl, command, 1, &reply);
	printbuf_free(command);
	if (!ok)
		return false;
	ok = store_read_end(reply) == STORE_DONE;
	reply_free(reply);
	if (!ok)
		ctl_fail("Redis gives no answer to the forgetting");
	return ok;
}

enum ctl_exit ctl_forget(struct ctl *ctl, char **args, int count)
{
	struct forgetting forgetting;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &forgetting.user))
		return CTL_USAGE;
	forgetting.store = partitions_of(ctl->partitions, &forgetting.user);
	ok = end_user(ctl, &forgetting) &&
	     survey_keys(ctl, &forgetting.user, on_keys, &forgetting) &&
	     survey_notes(ctl, &forgetting.user, on_notes, NULL);
	if (!ok)
		return ctl_fail("%s is not forgotten wholly: do it again", args[0]);
	if (!ctl->json)
		printf("%s is forgotten\n", args[0]);
	return CTL_DONE;
}
