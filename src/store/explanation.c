#include "store/explanation.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/span.h"
#include "base/times.h"
#include "store/keys.h"

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

void explanation_conclude(const struct facts *facts, char text[EXPLANATION_SIZE])
{
	const char *viewer = facts->viewer.text, *id = facts->id.text;
	char why[EXPLANATION_SIZE / 2];

	if (!facts_may_ask(facts) && facts->friendship == FRIEND_UNKNOWN) {
		snprintf(text, EXPLANATION_SIZE,
			 "%s's calls are answered 503 directory_unavailable, "
			 "because the directory does not answer.",
			 viewer);
		return;
	}
	if (facts_is_blocked(facts)) {
		snprintf(text, EXPLANATION_SIZE,
			 "%s sees %s as a user never seen, because %s blocks %s.", viewer, id,
			 facts->blocks ? viewer : id, facts->blocks ? id : viewer);
		return;
	}
	if (!facts_may_ask(facts)) {
		snprintf(text, EXPLANATION_SIZE,
			 "%s sees %s as a user never seen, because visibility "
			 "is \"friends\" and %s is not one of %s's.",
			 viewer, id, id, viewer);
		return;
	}
	if (facts->status.online)
		conclude_online(facts, why, sizeof why);
	else
		conclude_offline(facts, why, sizeof why);
	snprintf(text, EXPLANATION_SIZE, "%s sees %s %s%s.", viewer, id, why,
		 facts->friendship == FRIEND_NO
			 ? "; it is not a friend, so changes come only on streams that watch it"
			 : "");
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

void explanation_put_json(struct printbuf *out, const struct facts *facts)
{
	const struct status hidden = {.online = false};
	char conclusion[EXPLANATION_SIZE];
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
	session_list_put_json(out, &facts->sessions);
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
	explanation_conclude(facts, conclusion);
	buf_puts(out, ",\"conclusion\":");
	json_put_string(out, conclusion, strlen(conclusion));
	buf_puts(out, "}");
}
