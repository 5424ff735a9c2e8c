/*
 * explain: why a user looks so to another, from the facts, told in words or in
 * JSON. Ends with one sentence that sums it up.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/span.h"
#include "base/times.h"
#include "ctl/ctl.h"
#include "ctl/sessions.h"
#include "ctl/state.h"
#include "directory/directory.h"
#include "store/explanation.h"
#include "store/keys.h"
#include "store/reply.h"

struct look {
	struct facts facts;
	char *name; /* of a friend */
	size_t friends; /* how many the viewer has */
	redisReply *replies[FACTS_COMMANDS]; /* that the facts borrow from */
	bool has_replies;
};

/* --- gathering --- */

static bool ask(struct ctl *ctl, struct look *look)
{
	struct facts *facts = &look->facts;

	facts_put_user(ctl_begin(ctl, facts->store), facts);
	facts_put_viewer(nodes_to(ctl->nodes, facts->home), facts);
	look->has_replies = ctl_run(ctl, FACTS_COMMANDS, look->replies);
	if (!look->has_replies)
		return false;
	if (facts_read(facts, look->replies))
		return true;
	ctl_fail("Redis gives no answer to what was asked");
	return false;
}

static bool ask_revoked(struct ctl *ctl, struct facts *facts)
{
	redisReply *reply;
	bool ok;

	facts_put_revoked(ctl_begin(ctl, facts->store), facts);
	reply = ctl_run_one(ctl);
	if (reply == NULL)
		return false;
	ok = facts_read_revoked(facts, reply);
	reply_free(reply);
	if (!ok)
		ctl_fail("Redis gives no answer to MGET");
	return ok;
}

static void ask_directory(struct ctl *ctl, struct look *look)
{
	struct facts *facts = &look->facts;
	char err[512];
	struct directory *directory;
	struct friends friends = {.count = 0};

	if (facts->friendship == FRIEND_SELF)
		return;
	directory = directory_open(ctl->config, 1, err, sizeof err);
	if (directory == NULL) {
		ctl_fail("%s", err);
		return;
	}
	if (directory_friends(directory, &facts->viewer, &friends) == DIRECTORY_OK)
		facts->friendship = FRIEND_NO;
	look->friends = friends.count;
	for (size_t i = 0; i < friends.count; i++) {
		if (userid_equal(&friends.list[i].user, &facts->id)) {
			facts->friendship = FRIEND_YES;
			look->name = xstrdup(friends_name(&friends, &friends.list[i]));
		}
	}
	friends_free(&friends);
	directory_close(directory);
}

/* Asks for all; false after saying what is wrong. Either way clear() frees it. */
static bool gather(struct ctl *ctl, struct look *look)
{
	if (!ask(ctl, look) || !ask_revoked(ctl, &look->facts))
		return false;
	ask_directory(ctl, look);
	return true;
}

static void clear(struct look *look)
{
	facts_clear(&look->facts);
	if (look->has_replies)
		blocking_free_replies(look->replies, FACTS_COMMANDS);
	free(look->name);
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

static void put_friendship(struct printbuf *out, const struct look *look)
{
	const struct facts *facts = &look->facts;
	const char *viewer = facts->viewer.text, *id = facts->id.text;

	put_step(out, "friendship");
	switch (facts->friendship) {
	case FRIEND_SELF:
		buf_puts(out, "the viewer looks at itself\n");
		break;
	case FRIEND_YES:
		buf_putf(out,
			 "%s is a friend of %s%s%s%s: changes come on %s's streams, but for those "
			 "with friends=false that do not watch %s\n",
			 id, viewer, *look->name != '\0' ? " (" : "", look->name,
			 *look->name != '\0' ? ")" : "", viewer, id);
		break;
	case FRIEND_NO:
		buf_putf(out, "%s is not one of %s's %zu friends: ", id, viewer, look->friends);
		if (facts_may_ask(facts))
			buf_putf(out, "changes come only on streams that watch %s (users=)\n", id);
		else
			buf_putf(out, "no changes on %s's streams\n", viewer);
		break;
	case FRIEND_UNKNOWN:
		buf_puts(out, "not known, for the directory does not answer\n");
	}
	put_step(out, "visibility");
	if (facts->config->presence.visibility == VISIBLE_TO_EVERYONE)
		buf_puts(out, "\"everyone\": anybody may ask for anybody\n");
	else
		buf_putf(out, "\"friends\": %s may %s for %s\n", viewer,
			 facts_may_ask(facts) ? "ask" : "not ask", id);
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
	if (facts->key_left == FACTS_UNKNOWN)
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
	if (facts->deadline_left == FACTS_UNKNOWN)
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
	if (facts->not_before == FACTS_UNKNOWN) {
		buf_puts(out, "no tokens by their age, only those that were logged out\n");
	} else {
		times_format(facts->not_before, text);
		buf_putf(out, "every token issued before %s\n", text);
	}
	put_step(out, "sweeper");
	if (facts->swept_ago == FACTS_UNKNOWN)
		buf_puts(out, "no presence-streamd has swept yet");
	else
		buf_putf(out, "a presence-streamd swept %" PRId64 ".%" PRId64 " s ago",
			 facts->swept_ago / 1000, facts->swept_ago / 100 % 10);
	buf_puts(out, facts_is_swept(facts)
			      ? "\n"
			      : ": until one does, workers sweep along with requests\n");
}

static void put_words(struct printbuf *out, const struct look *look)
{
	const struct facts *facts = &look->facts;
	char conclusion[EXPLANATION_SIZE];

	put_friendship(out, look);
	put_step(out, "sessions");
	buf_putf(out, "%zu alive of %zu\n", facts->alive, facts->sessions.count);
	sessions_put_lines(out, &facts->sessions, "              ");
	for (size_t i = 0; i < facts->sessions.count; i++) {
		if (facts->revoked[i])
			buf_putf(out, "              the token %.*s is revoked\n",
				 facts->sessions.list[i].tok_len, facts->sessions.list[i].tok);
	}
	state_put_lines(out, &facts->chosen, facts_site_rule(facts));
	put_derived(out, facts);
	put_history(out, facts);
	explanation_conclude(facts, conclusion);
	put_step(out, "conclusion");
	buf_putf(out, "%s\n", conclusion);
}

enum ctl_exit ctl_explain(struct ctl *ctl, char **args, int count)
{
	struct look look = {.name = NULL};
	struct userid viewer, id;
	struct printbuf *out;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &viewer) || !ctl_read_id(args[1], &id))
		return CTL_USAGE;
	facts_init(&look.facts, ctl->config, ctl->partitions, &viewer, &id);
	ok = gather(ctl, &look);
	if (ok) {
		out = buf_new();
		if (ctl->json) {
			explanation_put_json(out, &look.facts);
			buf_puts(out, "\n");
		} else {
			put_words(out, &look);
		}
		ctl_print(out);
		printbuf_free(out);
	}
	clear(&look);
	return ok ? CTL_DONE : CTL_FAILED;
}
