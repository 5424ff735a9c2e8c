#include "ctl/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "directory/directory.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"

/* The commands of the one pipeline, in their order. */
enum {
	REPLY_STATUS,
	REPLY_NOT_BEFORE,
	REPLY_SWEPT,
	REPLY_PTTL,
	REPLY_MEMBER,
	REPLY_DEADLINE,
	REPLY_CHOSEN,
	REPLY_SESSIONS = REPLY_CHOSEN + CHOSEN_COMMANDS,
	REPLY_BLOCKS = REPLY_SESSIONS + SESSIONS_COMMANDS,
	REPLY_BLOCKED_BY,
	REPLY_COUNT
};

static void gather_friendship(struct ctl *ctl, struct facts *facts)
{
	char err[512];
	struct directory *directory;
	struct friends friends = {.count = 0};

	if (userid_equal(&facts->viewer, &facts->id)) {
		facts->friendship = FRIEND_SELF;
		return;
	}
	facts->friendship = FRIEND_UNKNOWN;
	directory = directory_open(ctl->config, 1, err, sizeof err);
	if (directory == NULL) {
		ctl_fail("%s", err);
		return;
	}
	if (directory_friends(directory, &facts->viewer, &friends) == DIRECTORY_OK)
		facts->friendship = FRIEND_NO;
	facts->friends = friends.count;
	for (size_t i = 0; i < friends.count; i++) {
		if (userid_equal(&friends.list[i].user, &facts->id)) {
			facts->friendship = FRIEND_YES;
			facts->name = xstrdup(friends_name(&friends, &friends.list[i]));
		}
	}
	friends_free(&friends);
	directory_close(directory);
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

/* The viewer's blocks are where the viewer is, all else where the user is. */
static void put_questions(struct ctl *ctl, const struct facts *facts)
{
	const struct store *home = partitions_of(ctl->partitions, &facts->viewer);
	const char *prefix = store_prefix(facts->store), *id = facts->id.text;
	struct printbuf *out = ctl_begin(ctl, facts->store);

	status_put_mget(out, prefix, 1);
	status_put_keys(out, prefix, &facts->id);
	put_one(out, "GET", prefix, KEY_NOT_BEFORE, id, NULL);
	put_one(out, "GET", prefix, KEY_SWEPT, "", NULL);
	put_one(out, "PTTL", prefix, KEY_ONLINE, id, NULL);
	put_one(out, "SISMEMBER", prefix, KEY_ONLINE_USERS, "", id);
	put_one(out, "ZSCORE", prefix, KEY_DEADLINES, "", id);
	chosen_put(out, prefix, &facts->id);
	sessions_put(out, prefix, &facts->id);
	out = nodes_to(ctl->nodes, home);
	put_one(out, "SISMEMBER", store_prefix(home), KEY_BLOCKED, facts->viewer.text, id);
	put_one(out, "SISMEMBER", store_prefix(home), KEY_BLOCKED_BY, facts->viewer.text, id);
}

static bool ask(struct ctl *ctl, struct facts *facts)
{
	facts->store = partitions_of(ctl->partitions, &facts->id);
	put_questions(ctl, facts);
	facts->replies = xcalloc(REPLY_COUNT, sizeof *facts->replies);
	if (ctl_run(ctl, REPLY_COUNT, facts->replies))
		return true;
	free(facts->replies);
	facts->replies = NULL;
	return false;
}

static int64_t number_of(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING ? (int64_t)strtod(reply->str, NULL)
						 : FACTS_UNKNOWN;
}

enum last_seen facts_site_rule(const struct facts *facts)
{
	return (enum last_seen)facts->config->presence.last_seen;
}

static bool read_replies(struct facts *facts)
{
	redisReply **replies = facts->replies;
	int64_t now, deadline = number_of(replies[REPLY_DEADLINE]);
	int64_t swept = number_of(replies[REPLY_SWEPT]);

	if (!status_read(replies[REPLY_STATUS], 0, LAST_SEEN_EXACT, &facts->status) ||
	    !status_read(replies[REPLY_STATUS], 0, facts_site_rule(facts), &facts->told) ||
	    !sessions_read(replies + REPLY_SESSIONS, &facts->sessions, &now))
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

/* Which sessions' tokens are revoked: they end when they are next looked at. */
static bool gather_revoked(struct ctl *ctl, struct facts *facts)
{
	size_t count = facts->sessions.count;
	const char *prefix = store_prefix(facts->store);
	struct printbuf *command = ctl_begin(ctl, facts->store);
	redisReply *reply;

	facts->revoked = xcalloc(count + 1, sizeof *facts->revoked);
	resp_begin(command, 2 + 2 * (unsigned)count);
	resp_text(command, "MGET");
	resp_key(command, prefix, KEY_EPOCH, ""); /* so that there is one */
	for (size_t i = 0; i < count; i++) {
		const struct session *session = &facts->sessions.list[i];
		char name[USERID_MAX + 256];

		snprintf(name, sizeof name, "%s/%.*s", facts->id.text, session->tok_len,
			 session->tok);
		resp_key(command, prefix, KEY_REVOKED, name);
		snprintf(name, sizeof name, "%.*s", session->tok_len, session->tok);
		resp_key(command, prefix, KEY_REVOKED, name);
	}
	reply = ctl_run_one(ctl);
	if (reply == NULL)
		return false;
	for (size_t i = 0; i < count && 2 * i + 2 < reply->elements; i++)
		facts->revoked[i] = reply->element[2 * i + 1]->type == REDIS_REPLY_STRING ||
				    reply->element[2 * i + 2]->type == REDIS_REPLY_STRING;
	reply_free(reply);
	return true;
}

bool facts_gather(struct ctl *ctl, const struct userid *viewer, const struct userid *id,
		  struct facts *facts)
{
	*facts = (struct facts){.config = ctl->config, .viewer = *viewer, .id = *id};
	if (!ask(ctl, facts))
		return false;
	if (!read_replies(facts)) {
		ctl_fail("Redis gives no answer to what was asked");
		return false;
	}
	if (!gather_revoked(ctl, facts))
		return false;
	gather_friendship(ctl, facts);
	return true;
}

void facts_clear(struct facts *facts)
{
	chosen_clear(&facts->chosen);
	if (facts->replies != NULL)
		blocking_free_replies(facts->replies, REPLY_COUNT);
	free(facts->replies);
	free(facts->sessions.list);
	free(facts->revoked);
	free(facts->name);
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
