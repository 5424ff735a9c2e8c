/*
 * Users type to each other. Each call has a number, which the event brings along as the name of its
 * conversation: so it is known what was certain of the two when it was sent.
 */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* What was known when a user said that it types. */
struct said {
	unsigned from, to;
	bool hides; /* invisible for sure */
	bool blocks; /* one of the two hides them from one another for sure */
	int64_t at;
	int64_t chosen_at; /* since when it is what it was */
};

static void on_said(struct call *call)
{
	model_answered(call);
}

static unsigned note(struct chaos *chaos, const struct said *said)
{
	if (chaos->said_count == chaos->said_capacity) {
		chaos->said_capacity = chaos->said_capacity > 0 ? 2 * chaos->said_capacity : 256;
		chaos->said = xrealloc(chaos->said, chaos->said_capacity * sizeof chaos->said[0]);
	}
	chaos->said[chaos->said_count] = *said;
	return chaos->said_count++;
}

void typing_say(struct chaos *chaos, struct device *device, unsigned to)
{
	const struct user *user = device->user;
	char body[96];

	if (device->token == NULL || device->logging_out)
		return;
	snprintf(body, sizeof body, "{\"to\":%u,\"typing\":true,\"conversation\":\"%u\"}", to,
		 note(chaos, &(struct said){user->id, to, states_hide(user),
					    blocks_hide(chaos, user->id, to, now_ms() - 1),
					    now_ms(), user->chosen_at}));
	call_start(chaos, device, "/presence/typing", body, on_said);
}

void typing_shown(struct chaos *chaos, struct tab *tab, const char *name)
{
	unsigned viewer = tab->device->user->id;
	struct json_object *event = tab->data;
	struct json_object *value = NULL;
	const struct said *said;
	const struct user *user;
	unsigned long number;

	if (strcmp(name, "typing") != 0)
		return;
	json_object_object_get_ex(event, "conversation", &value);
	number = strtoul(value != NULL ? json_object_get_string(value) : "", NULL, 10);
	json_object_object_get_ex(event, "user_id", &value);
	if (value == NULL || number >= chaos->said_count ||
	    chaos->said[number].from != (unsigned)json_object_get_int64(value) ||
	    chaos->said[number].to != viewer) {
		violated(chaos, viewer, "user %u is told of typing that nobody did to it: %s",
			 viewer, json_object_to_json_string(event));
		return;
	}
	said = &chaos->said[number];
	user = &chaos->users[said->from];
	/* One who has chosen something since may have been seen, whatever came first. */
	if (said->hides && states_hide(user) && said->chosen_at == user->chosen_at)
		violated(chaos, said->from,
			 "user %u is told that user %u types, who has been invisible for %lld ms",
			 viewer, said->from, (long long)(now_ms() - user->chosen_at));
	if (said->blocks && blocks_hide(chaos, said->from, viewer, said->at))
		violated(chaos, said->from,
			 "user %u is told that user %u types, and one blocks the other", viewer,
			 said->from);
	chaos->result->typed++;
}
