/*
 * explain: why a user looks so to another. First all the facts, from Redis and
 * the directory, then the same facts told in words or in JSON.
 */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/times.h"
#include "ctl/chosen.h"
#include "ctl/sessions.h"
#include "directory/directory.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/status.h"

#define CONCLUSION_SIZE 1024
#define UNKNOWN INT64_MIN /* of times: there is none */

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

enum friendship { FRIEND_NO, FRIEND_YES, FRIEND_SELF, FRIEND_UNKNOWN };

struct facts {
	const struct config *config;
	struct userid viewer, id;
	const struct store *store; /* the partition of the latter */

	enum friendship friendship;
	char *name; /* of the friend */
	size_t friends; /* how many the viewer has */
	bool blocks, blocked_by; /* the viewer blocks the user; the other way round */

	struct status status; /* as Redis has it; */
	struct status told; /* and with the times that may be told */
	int64_t key_left; /* ms; UNKNOWN: no key, -1: a key without an end */
	bool is_member; /* of online_users */
	int64_t deadline_left; /* ms; UNKNOWN: in no deadlines */
	int64_t not_before; /* seconds, UNKNOWN: not set */
	int64_t swept_ago; /* ms; UNKNOWN: never */
	redisReply **replies; /* that the sessions borrow from */
	struct session_list sessions;
	struct chosen chosen;
	bool *revoked; /* by session */
	size_t alive; /* sessions whose deadline lies ahead */
};

/* --- gathering --- */

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
	return reply->type == REDIS_REPLY_STRING ? (int64_t)strtod(reply->str, NULL) : UNKNOWN;
}

static enum last_seen site_rule(const struct facts *facts)
{
	return (enum last_seen)facts->config->presence.last_seen;
}

static bool read_replies(struct facts *facts)
{
	redisReply **replies = facts->replies;
	int64_t now, deadline = number_of(replies[REPLY_DEADLINE]);
	int64_t swept = number_of(replies[REPLY_SWEPT]);

	if (!status_read(replies[REPLY_STATUS], 0, LAST_SEEN_EXACT, &facts->status) ||
	    !status_read(replies[REPLY_STATUS], 0, site_rule(facts), &facts->told) ||
	    !sessions_read(replies + REPLY_SESSIONS, &facts->sessions, &now))
		return false;
	chosen_read(replies + REPLY_CHOSEN, &facts->sessions, now, &facts->chosen);
	facts->not_before = number_of(replies[REPLY_NOT_BEFORE]);
	facts->key_left =
		replies[REPLY_PTTL]->integer == -2 ? UNKNOWN : replies[REPLY_PTTL]->integer;
	facts->is_member = replies[REPLY_MEMBER]->integer == 1;
	facts->blocks = replies[REPLY_BLOCKS]->integer == 1;
	facts->blocked_by = replies[REPLY_BLOCKED_BY]->integer == 1;
	facts->deadline_left = deadline != UNKNOWN ? deadline - now : UNKNOWN;
	facts->swept_ago = swept != UNKNOWN ? now - swept : UNKNOWN;
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

static void forget(struct facts *facts)
{
	chosen_clear(&facts->chosen);
	if (facts->replies != NULL)
		blocking_free_replies(facts->replies, REPLY_COUNT);
	free(facts->replies);
	free(facts->sessions.list);
	free(facts->revoked);
	free(facts->name);
}

/* --- what follows from the facts --- */

/* By the site's rule. */
static bool may_ask(const struct facts *facts)
{
	return facts->config->presence.visibility == VISIBLE_TO_EVERYONE ||
	       facts->friendship == FRIEND_SELF || facts->friendship == FRIEND_YES;
}

static bool is_blocked(const struct facts *facts)
{
	return facts->friendship != FRIEND_SELF && (facts->blocks || facts->blocked_by);
}

static bool is_visible(const struct facts *facts)
{
	return may_ask(facts) && !is_blocked(facts);
}

static bool is_swept(const struct facts *facts)
{
	return facts->swept_ago != UNKNOWN &&
	       facts->swept_ago <= (int64_t)facts->config->presence.sweep * 10000;
}

/* Why the state is another than online. */
static const char *why_so(const struct facts *facts)
{
	if (strcmp(facts->status.word, facts->chosen.status) == 0)
		return "that is chosen and ";
	return strcmp(facts->status.word, "away") == 0 ? "every token is idle and " : "";
}

static void conclude_online(const struct facts *facts, char *text, size_t size)
{
	const struct session *last =
		facts->sessions.count > 0 ? &facts->sessions.list[facts->sessions.count - 1] : NULL;
	char left[SPAN_SIZE];

	if (facts->alive == 0 || last == NULL) {
		snprintf(text, size,
			 "online, though no session of %s is alive any more: the next "
			 "sweep ends that",
			 facts->id.text);
		return;
	}
	span_put(left, (last->left + 999) / 1000);
	snprintf(text, size, "%s, because %s%zu session%s of %s %s alive, the last one for %s%s%s",
		 facts->status.word, why_so(facts), facts->alive, facts->alive == 1 ? "" : "s",
		 facts->id.text, facts->alive == 1 ? "is" : "are", left,
		 last->is_closing ? " more, as its stream has closed" : "",
		 facts->is_member ? ""
				  : ", but online_users lacks it: the next activity mends that");
}

static void conclude_offline(const struct facts *facts, char *text, size_t size)
{
	char span[SPAN_SIZE], refused[TIMES_LEN + 64] = "", time[TIMES_LEN + 1];

	if (facts->not_before != UNKNOWN) {
		times_format(facts->not_before, time);
		snprintf(refused, sizeof refused, "; tokens issued before %s are refused", time);
	}
	if (facts->alive > 0 && chosen_is_invisible(&facts->chosen)) {
		snprintf(text, size,
			 "offline, because %s chose to be invisible, though %zu sessions are alive",
			 facts->id.text, facts->alive);
	} else if (facts->alive > 0) {
		snprintf(text, size,
			 "offline, because the key " KEY_ONLINE "%s is gone though "
			 "sessions are alive: the next activity brings it back",
			 facts->id.text);
	} else if (facts->status.seen[0] == '\0') {
		span_put(span, facts->config->presence.last_seen_ttl);
		snprintf(text, size, "offline, because %s was not seen in the last %s",
			 facts->id.text, span);
	} else {
		span_put(span, span_since(facts->status.seen));
		snprintf(text, size,
			 "offline, because no session of %s is left; last active %s ago%s",
			 facts->id.text, span, refused);
	}
}

/* One sentence: what the viewer sees, and why. */
static void conclude(const struct facts *facts, char text[CONCLUSION_SIZE])
{
	const char *viewer = facts->viewer.text, *id = facts->id.text;
	char why[CONCLUSION_SIZE / 2];

	if (!may_ask(facts) && facts->friendship == FRIEND_UNKNOWN) {
		snprintf(text, CONCLUSION_SIZE,
			 "%s's calls are answered 503 directory_unavailable, "
			 "because the directory does not answer.",
			 viewer);
		return;
	}
	if (is_blocked(facts)) {
		snprintf(text, CONCLUSION_SIZE,
			 "%s sees %s as a user never seen, because %s blocks %s.", viewer, id,
			 facts->blocks ? viewer : id, facts->blocks ? id : viewer);
		return;
	}
	if (!may_ask(facts)) {
		snprintf(text, CONCLUSION_SIZE,
			 "%s sees %s as a user never seen, because visibility "
			 "is \"friends\" and %s is not one of %s's.",
			 viewer, id, id, viewer);
		return;
	}
	if (facts->status.online)
		conclude_online(facts, why, sizeof why);
	else
		conclude_offline(facts, why, sizeof why);
	snprintf(text, CONCLUSION_SIZE, "%s sees %s %s%s.", viewer, id, why,
		 facts->friendship == FRIEND_NO
			 ? "; it is not a friend, so no changes come on the viewer's streams"
			 : "");
}

/* --- in words --- */

static void put_step(struct printbuf *out, const char *what)
{
	buf_putf(out, "%-12s  ", what);
}

static void put_left(struct printbuf *out, int64_t left)
{
	char span[SPAN_SIZE];

	span_put(span, ((left > 0 ? left : -left) + 999) / 1000);
	buf_putf(out, left > 0 ? "lasts for %s" : "passed %s ago", span);
}

static void put_friendship(struct printbuf *out, const struct facts *facts)
{
	const char *viewer = facts->viewer.text, *id = facts->id.text;

	put_step(out, "friendship");
	switch (facts->friendship) {
	case FRIEND_SELF:
		buf_puts(out, "the viewer looks at itself\n");
		break;
	case FRIEND_YES:
		buf_putf(out, "%s is a friend of %s%s%s%s: changes come on %s's streams\n", id,
			 viewer, *facts->name != '\0' ? " (" : "", facts->name,
			 *facts->name != '\0' ? ")" : "", viewer);
		break;
	case FRIEND_NO:
		buf_putf(out, "%s is not one of %s's %zu friends: no changes on %s's streams\n", id,
			 viewer, facts->friends, viewer);
		break;
	case FRIEND_UNKNOWN:
		buf_puts(out, "not known, for the directory does not answer\n");
	}
	put_step(out, "visibility");
	if (facts->config->presence.visibility == VISIBLE_TO_EVERYONE)
		buf_puts(out, "\"everyone\": anybody may ask for anybody\n");
	else
		buf_putf(out, "\"friends\": %s may %s for %s\n", viewer,
			 may_ask(facts) ? "ask" : "not ask", id);
	put_step(out, "blocks");
	if (facts->blocks)
		buf_putf(out, "%s blocks %s%s", viewer, id, facts->blocked_by ? ", and " : "\n");
	if (facts->blocked_by)
		buf_putf(out, "%s blocks %s\n", id, viewer);
	if (!facts->blocks && !facts->blocked_by)
		buf_puts(out, "neither blocks the other\n");
}

static void put_derived(struct printbuf *out, const struct facts *facts)
{
	put_step(out, "key");
	buf_putf(out, "%s" KEY_ONLINE "%s ", store_prefix(facts->store), facts->id.text);
	if (facts->key_left == UNKNOWN)
		buf_puts(out, "is not there");
	else if (facts->key_left < 0)
		buf_puts(out, "is there without an end: not of our making");
	else
		put_left(out, facts->key_left);
	buf_puts(out, "\n");
	put_step(out, "set");
	buf_putf(out, "%s" KEY_ONLINE_USERS " has %s%s\n", store_prefix(facts->store),
		 facts->is_member ? "" : "not ", facts->id.text);
	put_step(out, "deadline");
	if (facts->deadline_left == UNKNOWN)
		buf_puts(out, "none");
	else
		put_left(out, facts->deadline_left);
	buf_puts(out, "\n");
}

static void put_history(struct printbuf *out, const struct facts *facts)
{
	char text[TIMES_LEN + 1], span[SPAN_SIZE];

	put_step(out, "last seen");
	if (facts->status.seen[0] == '\0') {
		buf_puts(out, "never, or too long ago\n");
	} else {
		span_put(span, span_since(facts->status.seen));
		buf_putf(out, "%s, %s ago\n", facts->status.seen, span);
	}
	put_step(out, "version");
	buf_putf(out, "%" PRIu64 "\n", facts->status.version);
	put_step(out, "revoked");
	if (facts->not_before == UNKNOWN) {
		buf_puts(out, "no tokens by their age, only those that were logged out\n");
	} else {
		times_format(facts->not_before, text);
		buf_putf(out, "every token issued before %s\n", text);
	}
	put_step(out, "sweeper");
	if (facts->swept_ago == UNKNOWN)
		buf_puts(out, "no presence-streamd has swept yet");
	else
		buf_putf(out, "a presence-streamd swept %" PRId64 ".%" PRId64 " s ago",
			 facts->swept_ago / 1000, facts->swept_ago / 100 % 10);
	buf_puts(out,
		 is_swept(facts) ? "\n" : ": until one does, workers sweep along with requests\n");
}

static void put_words(struct printbuf *out, const struct facts *facts)
{
	char conclusion[CONCLUSION_SIZE];

	put_friendship(out, facts);
	put_step(out, "sessions");
	buf_putf(out, "%zu alive of %zu\n", facts->alive, facts->sessions.count);
	sessions_put_lines(out, &facts->sessions, "              ");
	for (size_t i = 0; i < facts->sessions.count; i++) {
		if (facts->revoked[i])
			buf_putf(out, "              the token %.*s is revoked\n",
				 facts->sessions.list[i].tok_len, facts->sessions.list[i].tok);
	}
	chosen_put_lines(out, &facts->chosen, site_rule(facts));
	put_derived(out, facts);
	put_history(out, facts);
	conclude(facts, conclusion);
	put_step(out, "conclusion");
	buf_putf(out, "%s\n", conclusion);
}

/* --- in JSON --- */

static void put_number(struct printbuf *out, const char *name, int64_t number)
{
	if (number == UNKNOWN)
		buf_putf(out, ",\"%s\":null", name);
	else
		buf_putf(out, ",\"%s\":%" PRId64, name, number);
}

static void put_flag(struct printbuf *out, const char *name, bool flag)
{
	buf_putf(out, ",\"%s\":%s", name, flag ? "true" : "false");
}

static void put_json(struct printbuf *out, const struct facts *facts)
{
	const struct status hidden = {.online = false};
	char conclusion[CONCLUSION_SIZE];
	bool first = true;

	buf_puts(out, "{\"viewer\":");
	userid_put_json(out, &facts->viewer);
	buf_puts(out, ",\"user_id\":");
	userid_put_json(out, &facts->id);
	if (facts->friendship == FRIEND_UNKNOWN)
		buf_puts(out, ",\"is_friend\":null");
	else
		put_flag(out, "is_friend", facts->friendship == FRIEND_YES);
	buf_putf(out, ",\"visibility\":\"%s\"",
		 facts->config->presence.visibility == VISIBLE_TO_EVERYONE ? "everyone"
									   : "friends");
	put_flag(out, "blocks", facts->blocks);
	put_flag(out, "blocked_by", facts->blocked_by);
	buf_puts(out, ",\"status\":");
	status_put_json(out, &facts->id, &facts->status);
	buf_puts(out, ",\"sees\":");
	if (!may_ask(facts) && facts->friendship == FRIEND_UNKNOWN)
		buf_puts(out, "null");
	else
		status_put_json(out, &facts->id, is_visible(facts) ? &facts->told : &hidden);
	buf_puts(out, ",\"sessions\":");
	sessions_put_json(out, &facts->sessions);
	buf_puts(out, ",\"revoked\":[");
	for (size_t i = 0; i < facts->sessions.count; i++) {
		if (!facts->revoked[i])
			continue;
		buf_puts(out, first ? "" : ",");
		json_put_string(out, facts->sessions.list[i].tok,
				(size_t)facts->sessions.list[i].tok_len);
		first = false;
	}
	buf_puts(out, "]");
	chosen_put_state_json(out, &facts->chosen);
	chosen_put_settings_json(out, &facts->chosen, site_rule(facts));
	put_number(out, "key_expires_in_ms", facts->key_left);
	put_flag(out, "in_online_users", facts->is_member);
	put_number(out, "deadline_in_ms", facts->deadline_left);
	put_number(out, "not_before", facts->not_before);
	put_number(out, "swept_ms_ago", facts->swept_ago);
	conclude(facts, conclusion);
	buf_puts(out, ",\"conclusion\":");
	json_put_string(out, conclusion, strlen(conclusion));
	buf_puts(out, "}\n");
}

enum ctl_exit ctl_explain(struct ctl *ctl, char **args, int count)
{
	struct facts facts = {.config = ctl->config};
	struct printbuf *out;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &facts.viewer) || !ctl_read_id(args[1], &facts.id))
		return CTL_USAGE;
	ok = ask(ctl, &facts);
	if (ok && !read_replies(&facts)) {
		ctl_fail("Redis gives no answer to what was asked");
		ok = false;
	}
	ok = ok && gather_revoked(ctl, &facts);
	if (ok) {
		gather_friendship(ctl, &facts);
		out = buf_new();
		if (ctl->json)
			put_json(out, &facts);
		else
			put_words(out, &facts);
		ctl_print(out);
		printbuf_free(out);
	}
	forget(&facts);
	return ok ? CTL_DONE : CTL_FAILED;
}
