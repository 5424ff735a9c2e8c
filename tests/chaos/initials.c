/* What an `initial` shows: never that somebody is offline whose stream has been open for a while. */
#include "chaos.h"

#include <string.h>

#define SHOWN_LATE \
	4000 /* ms: so old may a snapshot be when it is shown, after a wipe (stretched) */

#define STARVED 600 /* ms that a heartbeat may be late */

/* A stream that is open, and that nothing but a wipe has happened to since. */
static bool has_old_stream(const struct user *user, int64_t since)
{
	for (int i = 0; i < DEVICES * TABS; i++) {
		const struct device *device = &user->devices[i / TABS];
		const struct tab *tab = &device->tabs[i % TABS];

		if (tab->state == TAB_READY && !tab->asleep && tab->cut_at == 0 &&
		    !device->logging_out && tab->ready < since)
			return true;
	}
	return false;
}

/*
 * Who fills a Redis that was wiped waits 1.2 s for the others (common.lua, is_recovering): for one that
 * gets no time for longer, as none of the faults makes it, the users of that one are gone. Its heartbeats
 * tell: they are spread over the second, so that one of them was due at once.
 */
void initials_watch(struct chaos *chaos)
{
	int64_t now = now_ms();

	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (int j = 0; j < DEVICES * TABS; j++) {
			const struct tab *tab = &chaos->users[i].devices[j / TABS].tabs[j % TABS];

			if (tab->state != TAB_READY || tab->asleep || tab->cut_at != 0 ||
			    now - tab->conn.last_read < HEARTBEAT + STARVED)
				continue;
			chaos->result->starved += now >= chaos->starved_until;
			chaos->starved_until = now + RECOVERY;
			return;
		}
	}
}

void initials_shown(struct chaos *chaos, struct tab *tab, const char *event)
{
	int64_t now = now_ms(), since = now - patience(SHOWN_LATE);
	unsigned reader = tab->device->user->id;

	if (strcmp(event, "initial") != 0 || tab->asleep || now < chaos->stalled_until ||
	    now < chaos->starved_until || chaos->amiss_until + patience(RECOVERY) > now)
		return;
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		const struct user *user = &chaos->users[i];

		if (!tab->view[i].known || tab->view[i].online ||
		    blocks_may_hide(chaos, reader, i) || !model_held(user, since, now) ||
		    !has_old_stream(user, since))
			continue;
		violated(chaos, i,
			 "an initial of user %u shows user %u offline, who has an open stream",
			 reader, i);
	}
}
