/*
 * explain: why a user looks so to another, from the facts, told in words or in
 * JSON. Ends with one sentence that sums it up.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/times.h"
#include "ctl/facts.h"
#include "store/keys.h"

#define CONCLUSION_SIZE 1024

/* --- the conclusion --- */

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

	if (facts->not_before != FACTS_UNKNOWN) {
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

	if (!facts_may_ask(facts) && facts->friendship == FRIEND_UNKNOWN) {
		snprintf(text, CONCLUSION_SIZE,
			 "%s's calls are answered 503 directory_unavailable, "
			 "because the directory does not answer.",
			 viewer);
		return;
	}
	if (facts_is_blocked(facts)) {
		snprintf(text, CONCLUSION_SIZE,
			 "%s sees %s as a user never seen, because %s blocks %s.", viewer, id,
			 facts->blocks ? viewer : id, facts->blocks ? id : viewer);
		return;
	}
	if (!facts_may_ask(facts)) {
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
	chosen_put_lines(out, &facts->chosen, facts_site_rule(facts));
	put_derived(out, facts);
	put_history(out, facts);
	conclude(facts, conclusion);
	put_step(out, "conclusion");
	buf_putf(out, "%s\n", conclusion);
}

/* --- in JSON --- */

static void put_number(struct printbuf *out, const char *name, int64_t number)
{
	if (number == FACTS_UNKNOWN)
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
	if (!facts_may_ask(facts) && facts->friendship == FRIEND_UNKNOWN)
		buf_puts(out, "null");
	else
		status_put_json(out, &facts->id, facts_is_visible(facts) ? &facts->told : &hidden);
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
	chosen_put_settings_json(out, &facts->chosen, facts_site_rule(facts));
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
	struct userid viewer, id;
	struct facts facts;
	struct printbuf *out;
	bool ok;

	(void)count;
	if (!ctl_read_id(args[0], &viewer) || !ctl_read_id(args[1], &id))
		return CTL_USAGE;
	ok = facts_gather(ctl, &viewer, &id, &facts);
	if (ok) {
		out = buf_new();
		if (ctl->json)
			put_json(out, &facts);
		else
			put_words(out, &facts);
		ctl_print(out);
		printbuf_free(out);
	}
	facts_clear(&facts);
	return ok ? CTL_DONE : CTL_FAILED;
}
