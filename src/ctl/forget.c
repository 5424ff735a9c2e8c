/* Forgetting a user. */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ticket.h"
#include "base/alloc.h"
#include "ctl/survey.h"
#include "store/blocks.h"
#include "store/keys.h"
#include "store/push.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/store.h"

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
static size_t put_unblock(struct ctl *ctl, const struct userid *user, const struct survey_key *key)
{
	bool is_blocker = strncmp(key->own, KEY_BLOCKED_BY, strlen(KEY_BLOCKED_BY)) == 0;
	const char *text = key->own + strlen(is_blocker ? KEY_BLOCKED_BY : KEY_BLOCKED);
	struct userid other;

	if (!userid_parse(text, strlen(text), &other))
		return 0;
	for (unsigned step = 0; step < BLOCKS_STEPS; step++) {
		const struct userid *blocker = is_blocker ? user : &other,
				    *blocked = is_blocker ? &other : user;
		const struct store *store =
			partitions_of(ctl->partitions, blocks_owner(blocker, blocked, false, step));

		blocks_put(nodes_to(ctl->nodes, store), store, blocker, blocked, false, step);
	}
	return BLOCKS_STEPS;
}

/* What the answer to the question leads to; returns how many commands. */
static size_t put_consequence(struct ctl *ctl, const struct userid *user,
			      const struct survey_key *key, const redisReply *answer)
{
	struct ticket ticket;

	if (key->kind == TRACE_BLOCK)
		return answer->integer == 1 ? put_unblock(ctl, user, key) : 0;
	if (!ticket_read(answer, &ticket) || !userid_equal(&ticket.token.user, user))
		return 0;
	put_key(nodes_to(ctl->nodes, key->store), "DEL", key);
	return 1;
}

/* The questions; returns how many, each about the key in `asked`. */
static size_t put_questions(struct ctl *ctl, const struct userid *user,
			    const struct survey_key *keys, size_t count,
			    const struct survey_key **asked)
{
	size_t questions = 0;

	nodes_begin(ctl->nodes);
	for (size_t i = 0; i < count; i++) {
		if (put_question(nodes_to(ctl->nodes, keys[i].store), &keys[i], user->text))
			asked[questions++] = &keys[i];
	}
	return questions;
}

static bool remove_asked(struct ctl *ctl, const struct userid *user, const struct survey_key *keys,
			 size_t count)
{
	const struct survey_key **asked = xcalloc(count + 1, sizeof *asked);
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	size_t questions = put_questions(ctl, user, keys, count, asked), commands = 0;
	bool ok = ctl_run(ctl, questions, replies);

	if (ok) {
		nodes_begin(ctl->nodes);
		for (size_t i = 0; i < questions; i++)
			commands += put_consequence(ctl, user, asked[i], replies[i]);
		blocking_free_replies(replies, questions);
		ok = ctl_do(ctl, commands);
	}
	free(asked);
	free(replies);
	return ok;
}

/* Removes what is the user's in the key, where no question is needed; false: nothing can be. */
static bool put_removal(struct printbuf *out, const struct survey_key *key, const char *id)
{
	if (key->kind == TRACE_MORE || key->kind == TRACE_PAIR)
		put_key(out, "DEL", key);
	else if (key->kind == TRACE_MEMBER && is_type(key, "set"))
		put_member(out, "SREM", key, id);
	else if (key->kind == TRACE_FIELD && is_type(key, "hash"))
		put_member(out, "HDEL", key, id);
	else if (key->kind == TRACE_VALUE && is_type(key, "string"))
		store_put_drop(out, key->store, key->name, key->len, id);
	else
		return false;
	return true;
}

/* What is left of the user in these keys. The user's own of fixed names are gone already. */
static bool on_keys(struct ctl *ctl, void *arg, const struct survey_key *keys, size_t count)
{
	const struct userid *user = arg;
	size_t commands = 0;

	nodes_begin(ctl->nodes);
	for (size_t i = 0; i < count; i++)
		commands += put_removal(nodes_to(ctl->nodes, keys[i].store), &keys[i], user->text);
	return ctl_do(ctl, commands) && remove_asked(ctl, user, keys, count);
}

static bool on_notes(struct ctl *ctl, void *arg, const struct survey_note *notes, size_t count)
{
	(void)arg;
	nodes_begin(ctl->nodes);
	for (size_t i = 0; i < count; i++) {
		const struct store *store = notes[i].store;
		struct printbuf *out = nodes_to(ctl->nodes, store);

		if (notes[i].entry != NULL)
			push_put_done(out, store, notes[i].entry);
		else
			push_put_drop_waiting(out, store, notes[i].member);
	}
	return ctl_do(ctl, count);
}

/* Ends everything of the user in one step: from then on no token of before brings anything back. */
static bool end_user(struct ctl *ctl, const struct userid *user)
{
	const struct store_end end = {
		.user = user, .all = true, .reason = "kicked", .forget = true};
	const struct store *store = partitions_of(ctl->partitions, user);
	redisReply *reply;
	bool ok;

	store_put_end(ctl_begin(ctl, store), store, &end);
	reply = ctl_run_one(ctl);
	if (reply == NULL)
		return false;
	ok = store_read_end(reply) == STORE_DONE;
	reply_free(reply);
	if (!ok)
		ctl_fail("Redis gives no answer to the forgetting");
	return ok;
}

enum ctl_exit ctl_forget(struct ctl *ctl, char **args, int count)
{
	struct userid user;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &user))
		return CTL_USAGE;
	ok = end_user(ctl, &user) && survey_keys(ctl, &user, on_keys, &user) &&
	     survey_notes(ctl, &user, on_notes, NULL);
	if (!ok)
		return ctl_fail("%s is not forgotten wholly: do it again", args[0]);
	if (!ctl->json)
		printf("%s is forgotten\n", args[0]);
	return CTL_DONE;
}
