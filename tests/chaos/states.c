/*
 * What users choose to be, which devices are idle, and what their friends see of it.
 *
 * A choice is certain from its answer until the next one is sent. What had no clear answer, or was lost
 * with Redis' data, is uncertain until another one is taken or all is quiet. A wipe loses what no stream
 * knew: a choice outlives it that all open tabs of its user showed.
 */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL "/presence/status"
#define CONFIRMED \
	1000 /* an `initial` that comes so late after a wipe was asked for after it (stretched) */
#define IDLE_WINDOW 30000 /* IDLE_SAID changes in that time are taken at once */

bool states_hide(const struct user *user)
{
	return !user->choosing && user->choice_doubt == 0 && strcmp(user->chosen, "invisible") == 0;
}

static void set_choice(struct user *user, const char *word, uint64_t version)
{
	snprintf(user->chosen, sizeof user->chosen, "%s", word);
	user->chosen_at = now_ms();
	user->choice_doubt = 0;
	user->is_handed_in = false;
	user->may_hide = strcmp(word, "invisible") == 0;
	user->hidden_version = version;
	model_refresh(user);
}

static void doubt_choice(struct user *user)
{
	user->choice_doubt = now_ms();
	user->is_handed_in = false;
	model_refresh(user);
}

/* --- choosing -------------------------------------------------------------------------------- */

static uint64_t version_in(const struct call *call)
{
	struct json_object *answer = json_tokener_parse(call->body), *value;
	uint64_t version = 0;

	if (json_object_object_get_ex(answer, "version", &value))
		version = (uint64_t)json_object_get_int64(value);
	json_object_put(answer);
	return version;
}

/* Whether nothing that was sent before this call may be taken after it. */
static bool is_the_last(const struct user *user, const struct call *call)
{
	const struct chaos *chaos = call->conn.chaos;

	return chaos->data_lost_at < call->sent &&
	       (user->choice_doubt == 0 || (model_told_by(chaos, user->choice_doubt) < call->sent &&
					    !chaos_in_trouble(chaos, call->sent)));
}

static void on_chosen(struct call *call)
{
	struct user *user = call->device->user;

	if (call->is_activity)
		model_answered(call);
	user->choosing = false;
	if (call->status == 200 && is_the_last(user, call)) {
		set_choice(user, call->choice, version_in(call));
	} else if (call->status != 429 && call->status != 401) {
		doubt_choice(user);
	} else if (user->choice_doubt == 0) { /* it was not taken */
		user->may_hide = strcmp(user->chosen, "invisible") == 0;
		model_refresh(user);
	}
}

void states_choose(struct chaos *chaos, struct device *device, const char *word)
{
	struct user *user = device->user;
	bool hides = strcmp(word, "invisible") == 0;
	char body[40];
	struct call *call;

	if (user->choosing || device->token == NULL || device->logging_out)
		return;
	user->choosing = true;
	user->may_hide = user->may_hide || hides;
	/* To hide is no activity. */
	if (!hides)
		model_activity_in_doubt(device);
	snprintf(body, sizeof body, "{\"status\":\"%s\"}", word);
	call = *word != '\0' ? call_start_method(chaos, device, "PUT", CALL, body, on_chosen)
			     : call_start_method(chaos, device, "DELETE", CALL, NULL, on_chosen);
	call->choice = word;
	call->may_be_too_often = true;
	call->is_activity = !hides;
}

/* --- idle ------------------------------------------------------------------------------------ */

static void on_idle_said(struct call *call)
{
	struct device *device = call->device;
	const struct chaos *chaos = call->conn.chaos;

	model_answered(call);
	if (call->serial != device->serial)
		return;
	device->saying_idle = false;
	if (call->status == 200 && chaos->data_lost_at < call->sent &&
	    (device->idle_doubt == 0 || (model_told_by(chaos, device->idle_doubt) < call->sent &&
					 !chaos_in_trouble(chaos, call->sent)))) {
		device->idle = call->idle == 1 ? IDLE_YES : IDLE_NO;
		device->idle_doubt = 0;
	} else {
		device->idle_doubt = now_ms();
	}
	model_refresh(device->user);
}

void states_say_idle(struct chaos *chaos, struct device *device, bool idle)
{
	struct user *user = device->user;
	int64_t now = now_ms(), *said = &user->idle_said[user->idle_count % IDLE_SAID];
	struct call *call;

	if (device->token == NULL || device->logging_out || device->saying_idle)
		return;
	if (user->idle_count >= IDLE_SAID && *said + patience(IDLE_WINDOW) > now)
		user->idle_late = now + patience(IDLE_WINDOW);
	*said = now;
	user->idle_count++;
	device->idle = IDLE_MAYBE;
	device->saying_idle = true;
	call = call_start(chaos, device, "/online-status/heartbeat",
			  idle ? "{\"idle\":true}" : "{\"idle\":false}", on_idle_said);
	call->idle = idle;
}

/* --- what happens ---------------------------------------------------------------------------- */

/* Whether the programs of all its streams know the choice: 0 no stream, 1 they do, -1 who knows. */
static int streams_know(const struct user *user)
{
	int known = 0;

	for (int i = 0; i < DEVICES * TABS; i++) {
		const struct tab *tab = &user->devices[i / TABS].tabs[i % TABS];

		if (tab->state != TAB_READY)
			continue;
		if (tab->asleep || tab->cut_at != 0 || strcmp(tab->self, user->chosen) != 0)
			return -1;
		known = 1;
	}
	return known;
}

void states_data_lost(struct user *user)
{
	int known = streams_know(user);

	for (int i = 0; i < DEVICES; i++) {
		if (user->devices[i].idle == IDLE_YES)
			user->devices[i].idle = IDLE_MAYBE;
	}
	if (known == 1 || (known == 0 && user->chosen[0] == '\0')) {
		user->is_handed_in = user->chosen[0] != '\0';
		return;
	}
	user->may_hide = user->may_hide || known < 0;
	doubt_choice(user);
}

void states_writes_lost(struct user *user, int64_t since)
{
	bool said = user->idle_count > 0 &&
		    user->idle_said[(user->idle_count - 1) % IDLE_SAID] >= since;

	for (int i = 0; i < DEVICES; i++) {
		struct device *device = &user->devices[i];

		if (said || device->idle == IDLE_YES) {
			device->idle = IDLE_MAYBE;
			device->idle_doubt = now_ms();
		}
	}
	if (user->chosen_at < since && !user->choosing && user->choice_doubt == 0)
		return;
	user->may_hide = true;
	doubt_choice(user);
}

void states_stream_lost(struct user *user)
{
	if (user->is_handed_in)
		doubt_choice(user);
}

void states_initial(struct chaos *chaos, struct user *user)
{
	if (now_ms() > chaos->data_lost_at + patience(CONFIRMED))
		user->is_handed_in = false;
}

void states_learn(struct chaos *chaos, const struct snapshot *snapshot)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		struct user *user = &chaos->users[i];

		if (user->choice_doubt > 0 && !user->choosing &&
		    model_told_by(chaos, user->choice_doubt) < now_ms())
			set_choice(user, snapshot->users[i].chosen, snapshot->users[i].version);
	}
}

/* --- nobody is shown who is invisible -------------------------------------------------------- */

void states_published(struct chaos *chaos, struct user *user, const struct change *change)
{
	if (change->online && states_hide(user) && user->chosen_at <= change->from)
		violated(chaos, user->id,
			 "user %u is published as %s (%s), and has been invisible for %lld ms",
			 user->id, change->look, change->reason,
			 (long long)(change->from - user->chosen_at));
}

void states_answered(struct chaos *chaos, const struct call *call)
{
	struct user *user = &chaos->users[call->target];

	if (call->target == 0 || call->status != 200 || call->device->user == user ||
	    !states_hide(user) || user->chosen_at > call->sent)
		return;
	if (strstr(call->body, "\"is_online\":true") != NULL)
		violated(chaos, user->id, "user %u, who is invisible, is shown to user %u: %s",
			 user->id, call->device->user->id, call->body);
}

/* What a stream shows may be from before; its version tells, or when the stream was opened. */
void states_shown(struct chaos *chaos, struct tab *tab, const char *event)
{
	/* While a server of several is away changes of the others come without an `initial`. */
	bool is_of_stream = tab->initial_at >= tab->opened, is_after_wipe;

	if (strcmp(event, "initial") != 0 && strcmp(event, "status_change") != 0)
		return;
	/* Versions from before a wipe are no lower than those from after it. */
	is_after_wipe = chaos->data_lost_at == 0 ||
			tab->initial_at > chaos->data_lost_at + patience(CONFIRMED);
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		const struct seen *seen = &tab->view[i];
		struct user *user = &chaos->users[i];

		if (!seen->known || !seen->online || !states_hide(user) ||
		    (!is_of_stream && i != tab->change_of))
			continue;
		if ((chaos->data_lost_at < user->chosen_at && is_after_wipe &&
		     seen->version > user->hidden_version) ||
		    tab->opened > user->chosen_at + patience(RECOVERY))
			violated(chaos, i,
				 "user %u, who is invisible since version %llu, is shown to user "
				 "%u in %s: %s, version %llu",
				 i, (unsigned long long)user->hidden_version, tab->device->user->id,
				 event, seen->word, (unsigned long long)seen->version);
	}
}

void states_kept(struct chaos *chaos, struct user *user, const struct kept *kept)
{
	if (states_hide(user) && (kept->online || kept->listed))
		violated(chaos, user->id,
			 "user %u has been invisible for %lld ms, and is in %s; user:chosen says "
			 "'%s'",
			 user->id, (long long)(now_ms() - user->chosen_at),
			 kept->online ? "user:online" : "online_users", kept->chosen);
}

/* --- when all is quiet ----------------------------------------------------------------------- */

/* Automatic: NULL where either may be. */
static const char *automatic_word(const struct chaos *chaos, const struct user *user, int64_t now)
{
	bool is_active = now < user->idle_late + 2 * SWEEP, is_held = false;

	if (is_active)
		return NULL;
	for (int i = 0; i < DEVICES; i++) {
		const struct device *device = &user->devices[i];
		bool held = device->held_until > now + 2 * SWEEP;

		if (held && device->idle == IDLE_NO)
			return "online";
		if (!(held && device->idle == IDLE_YES) &&
		    model_device_gone_at(chaos, device) + 2 * SWEEP >= now)
			is_active = true;
		is_held = is_held || held;
	}
	if (user->orphan_at > 0 &&
	    model_told_by(chaos, user->orphan_at) + ONLINE_TTL + 2 * SWEEP >= now)
		is_active = true;
	return is_held && !is_active ? "away" : NULL;
}

void states_are_true(struct chaos *chaos, const struct snapshot *snapshot)
{
	int64_t now = now_ms();

	for (unsigned i = 1; i <= chaos->user_count; i++) {
		const struct user *user = &chaos->users[i];
		const struct kept *kept = &snapshot->users[i];
		const char *word = user->chosen;

		if (user->choosing || user->choice_doubt > 0 || states_hide(user) || !kept->online)
			continue;
		if (*word == '\0')
			word = automatic_word(chaos, user, now);
		if (word == NULL)
			continue;
		chaos->result->words++;
		if (strcmp(word, kept->word) != 0)
			violated(chaos, i, "user %u is shown as %s and must be %s (chosen: '%s')",
				 i, kept->word, word, user->chosen);
	}
}

void states_selves_agree(struct chaos *chaos, const struct snapshot *snapshot)
{
	(void)snapshot;
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		const struct user *user = &chaos->users[i];

		for (int j = 0; j < DEVICES * TABS; j++) {
			const struct tab *tab = &user->devices[j / TABS].tabs[j % TABS];

			if (tab->state == TAB_READY && !tab->asleep && !user->choosing &&
			    user->choice_doubt == 0 && strcmp(tab->self, user->chosen) != 0)
				violated(chaos, i,
					 "tab %u.%d.%d tells its user '%s', the user chose '%s'", i,
					 j / TABS, j % TABS, tab->self, user->chosen);
		}
	}
}
