#include "store/facts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/number.h"
#include "store/keys.h"
#include "store/resp.h"

/* The replies, in the order of the commands: facts_put_user()'s, then facts_put_viewer()'s. */
enum {
	REPLY_STATUS,
	REPLY_NOT_BEFORE,
	REPLY_SWEPT,
	REPLY_PTTL,
	REPLY_MEMBER,
	REPLY_DEADLINE,
	REPLY_CHOSEN,
	REPLY_SESSIONS = REPLY_CHOSEN + CHOSEN_COMMANDS,
	REPLY_BLOCKS = REPLY_SESSIONS + SESSION_LIST_COMMANDS,
	REPLY_BLOCKED_BY,
	REPLY_COUNT
};

_Static_assert((int)REPLY_COUNT == FACTS_COMMANDS, "a reply for each command");

void facts_init(struct facts *facts, const struct config *config,
		const struct partitions *partitions, const struct userid *viewer,
		const struct userid *id)
{
	*facts = (struct facts){
		.config = config,
		.viewer = *viewer,
		.id = *id,
		.store = partitions_of(partitions, id),
		.home = partitions_of(partitions, viewer),
		.friendship = userid_equal(viewer, id) ? FRIEND_SELF : FRIEND_UNKNOWN,
	};
}

static void put_one(struct printbuf *out, const char *command, const char *prefix, const char *key,
		    const char *rest, const char *argument)
{
	resp_begin(out, argument != NULL ? 3 : 2);
	resp_text(out, command);
	resp_key(out, prefix, key, rest);
	if (argument != NULL)
		resp_text(out, argument);
}

void facts_put_user(struct printbuf *out, const struct facts *facts)
{
	const char *prefix = store_prefix(facts->store), *id = facts->id.text;

	status_put_mget(out, prefix, 1);
	status_put_keys(out, prefix, &facts->id);
	put_one(out, "GET", prefix, KEY_NOT_BEFORE, id, NULL);
	put_one(out, "GET", prefix, KEY_SWEPT, "", NULL);
	put_one(out, "PTTL", prefix, KEY_ONLINE, id, NULL);
	put_one(out, "SISMEMBER", prefix, KEY_ONLINE_USERS, "", id);
	put_one(out, "ZSCORE", prefix, KEY_DEADLINES, "", id);
	chosen_put(out, prefix, &facts->id);
	session_list_put(out, prefix, &facts->id);
}

void facts_put_viewer(struct printbuf *out, const struct facts *facts)
{
	const char *prefix = store_prefix(facts->home), *viewer = facts->viewer.text;

	put_one(out, "SISMEMBER", prefix, KEY_BLOCKED, viewer, facts->id.text);
	put_one(out, "SISMEMBER", prefix, KEY_BLOCKED_BY, viewer, facts->id.text);
}

static int64_t number_of(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING ? (int64_t)number_read(reply->str) : FACTS_UNKNOWN;
}

enum last_seen facts_site_rule(const struct facts *facts)
{
	return (enum last_seen)facts->config->presence.last_seen;
}

bool facts_read(struct facts *facts, redisReply *const *replies)
{
	int64_t now, deadline = number_of(replies[REPLY_DEADLINE]);
	int64_t swept = number_of(replies[REPLY_SWEPT]);

	if (!status_read(replies[REPLY_STATUS], 0, LAST_SEEN_EXACT, &facts->status) ||
	    !status_read(replies[REPLY_STATUS], 0, facts_site_rule(facts), &facts->told) ||
	    !session_list_read(replies + REPLY_SESSIONS, &facts->sessions, &now))
		return false;
	chosen_read(replies + REPLY_CHOSEN, &facts->sessions, now, &facts->chosen);
	facts->not_before = number_of(replies[REPLY_NOT_BEFORE]);
	facts->key_left =
		replies[REPLY_PTTL]->integer == -2 ? FACTS_UNKNOWN : replies[REPLY_PTTL]->integer;
	facts->is_member = replies[REPLY_MEMBER]->integer == 1;
	facts->blocks = replies[REPLY_BLOCKS]->integer == 1;
	facts->blocked_by = replies[REPLY_BLOCKED_BY]->integer == 1;
	facts->deadline_left = deadline != FACTS_UNKNOWN ? deadline - now : FACTS_UNKNOWN;
	facts->swept_ago = swept != FACTS_UNKNOWN ? now - swept : FACTS_UNKNOWN;
	for (size_t i = 0; i < facts->sessions.count; i++)
		facts->alive += facts->sessions.list[i].left > 0;
	return true;
}

void facts_put_revoked(struct printbuf *out, const struct facts *facts)
{
	size_t count = facts->sessions.count;
	const char *prefix = store_prefix(facts->store);

	resp_begin(out, 2 + (unsigned)count);
	resp_text(out, "MGET");
	resp_key(out, prefix, KEY_EPOCH, ""); /* so that there is one */
	for (size_t i = 0; i < count; i++) {
		const struct session *session = &facts->sessions.list[i];
		char name[USERID_MAX + 256];

		snprintf(name, sizeof name, "%s/%.*s", facts->id.text, session->tok_len,
			 session->tok);
		resp_key(out, prefix, KEY_REVOKED, name);
	}
}

bool facts_read_revoked(struct facts *facts, const redisReply *reply)
{
	size_t count = facts->sessions.count;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 + count)
		return false;
	facts->revoked = xcalloc(count + 1, sizeof *facts->revoked);
	for (size_t i = 0; i < count; i++)
		facts->revoked[i] = reply->element[i + 1]->type == REDIS_REPLY_STRING;
	return true;
}

void facts_clear(struct facts *facts)
{
	chosen_clear(&facts->chosen);
	free(facts->sessions.list);
	free(facts->revoked);
}

bool facts_may_ask(const struct facts *facts)
{
	return facts->config->presence.visibility == VISIBLE_TO_EVERYONE ||
	       facts->friendship == FRIEND_SELF || facts->friendship == FRIEND_YES;
}

bool facts_is_blocked(const struct facts *facts)
{
	return facts->friendship != FRIEND_SELF && (facts->blocks || facts->blocked_by);
}

bool facts_is_visible(const struct facts *facts)
{
	return facts_may_ask(facts) && !facts_is_blocked(facts);
}

bool facts_is_swept(const struct facts *facts)
{
	return facts->swept_ago != FACTS_UNKNOWN &&
	       facts->swept_ago <= (int64_t)facts->config->presence.sweep * 10000;
}
