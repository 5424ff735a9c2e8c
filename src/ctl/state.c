/* And the commands that show it: state, settings. */
#include "ctl/state.h"

#include <stdlib.h>

#include "base/times.h"
#include "ctl/ctl.h"

/* --- in words --- */

static void put_state(struct printbuf *out, const struct chosen *chosen)
{
	char time[TIMES_LEN + 1];

	if (chosen->state == NULL) {
		buf_puts(out, "nothing: the state is automatic\n");
		return;
	}
	buf_puts(out, *chosen->status != '\0' ? chosen->status : "no state, which is automatic");
	if (*chosen->text != '\0')
		buf_putf(out, ", \"%s\"", chosen->text);
	if (*chosen->emoji != '\0')
		buf_putf(out, ", %s", chosen->emoji);
	if (chosen->ends > 0) {
		times_format(chosen->ends / 1000, time);
		buf_putf(out, ", until %s", time);
	}
	buf_puts(out, chosen_is_invisible(chosen) ? ": looks offline to all others\n" : "\n");
}

static void put_idle(struct printbuf *out, const struct chosen *chosen)
{
	if (chosen->tokens == 0)
		buf_puts(out, "no token has a live session\n");
	else
		buf_putf(out, "%zu of %zu tokens with a live session%s\n", chosen->idle_tokens,
			 chosen->tokens,
			 chosen->idle_tokens == chosen->tokens ? ": away, unless a state is chosen"
							       : "");
}

static void put_settings(struct printbuf *out, const struct chosen *chosen, enum last_seen site)
{
	const struct settings *settings = &chosen->settings;

	buf_putf(out, "last_seen %s (the site's is %s), typing %s, nearby %s\n",
		 settings_last_seen_word(settings_rule(settings, site)),
		 settings_last_seen_word(site), settings->typing ? "on" : "off",
		 settings_nearby_word(settings->nearby));
}

void state_put_lines(struct printbuf *out, const struct chosen *chosen, enum last_seen site)
{
	buf_puts(out, "chosen        ");
	put_state(out, chosen);
	buf_puts(out, "idle          ");
	put_idle(out, chosen);
	buf_puts(out, "settings      ");
	put_settings(out, chosen, site);
}

/* --- the commands --- */

enum show { SHOW_STATE, SHOW_SETTINGS };

static void print(const struct ctl *ctl, const struct userid *id, const struct chosen *chosen,
		  enum show show)
{
	const enum last_seen site = (enum last_seen)ctl->config->presence.last_seen;
	struct printbuf *out = buf_new();

	if (ctl->json) {
		buf_puts(out, "{\"user_id\":");
		userid_put_json(out, id);
		if (show == SHOW_STATE)
			chosen_put_state_json(out, chosen);
		else
			chosen_put_settings_json(out, chosen, site);
		buf_puts(out, "}\n");
	} else if (show == SHOW_STATE) {
		buf_puts(out, "chosen  ");
		put_state(out, chosen);
		buf_puts(out, "idle    ");
		put_idle(out, chosen);
	} else {
		put_settings(out, chosen, site);
	}
	ctl_print(out);
	printbuf_free(out);
}

static enum ctl_exit show(struct ctl *ctl, const char *text, enum show what)
{
	redisReply *replies[CHOSEN_COMMANDS + SESSION_LIST_COMMANDS];
	const struct store *store;
	struct printbuf *pipeline;
	struct session_list sessions;
	struct chosen chosen;
	struct userid id;
	int64_t now;
	bool ok;

	if (!ctl_read_id(text, &id))
		return CTL_USAGE;
	store = partitions_of(ctl->partitions, &id);
	pipeline = ctl_begin(ctl, store);
	chosen_put(pipeline, store_prefix(store), &id);
	session_list_put(pipeline, store_prefix(store), &id);
	if (!ctl_run(ctl, CHOSEN_COMMANDS + SESSION_LIST_COMMANDS, replies))
		return CTL_FAILED;
	ok = session_list_read(replies + CHOSEN_COMMANDS, &sessions, &now);
	if (ok) {
		chosen_read(replies, &sessions, now, &chosen);
		print(ctl, &id, &chosen, what);
		chosen_clear(&chosen);
		free(sessions.list);
	}
	blocking_free_replies(replies, CHOSEN_COMMANDS + SESSION_LIST_COMMANDS);
	return ok ? CTL_DONE : ctl_fail("Redis gives no answer to ZRANGE or TIME");
}

enum ctl_exit ctl_state(struct ctl *ctl, char **args, int count)
{
	(void)count;
	return show(ctl, args[0], SHOW_STATE);
}

enum ctl_exit ctl_settings(struct ctl *ctl, char **args, int count)
{
	(void)count;
	return show(ctl, args[0], SHOW_SETTINGS);
}
