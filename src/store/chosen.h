/* What a user said of itself: the chosen state, idle tokens, settings. */
#ifndef PRESENCE_STORE_CHOSEN_H
#define PRESENCE_STORE_CHOSEN_H

#include <json-c/json.h>

#include "base/config.h"
#include "store/session_list.h"
#include "store/settings.h"

#define CHOSEN_COMMANDS 3

struct chosen {
	struct json_object *state; /* NULL: none, or it has ended; borrowed from by these: */
	const char *status, *text, *emoji; /* "" = none */
	int64_t ends; /* ms; 0 = it does not */
	struct settings settings;
	size_t tokens, idle_tokens; /* that have a live session; and are idle */
};

/* Appends what asks for them. */
void chosen_put(struct printbuf *out, const char *prefix, const struct userid *id);

/*
 * Reads the replies at `now` (ms, Redis' clock) for a user with these sessions.
 * Clear it before the replies are freed.
 */
void chosen_read(redisReply *const replies[CHOSEN_COMMANDS], const struct session_list *sessions,
		 int64_t now, struct chosen *chosen);
void chosen_clear(struct chosen *chosen);

bool chosen_is_invisible(const struct chosen *chosen);

/* Appends members of a JSON object, each after a comma. */
void chosen_put_state_json(struct printbuf *out, const struct chosen *chosen);
void chosen_put_settings_json(struct printbuf *out, const struct chosen *chosen,
			      enum last_seen site);

#endif
