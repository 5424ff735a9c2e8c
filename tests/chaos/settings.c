/* What users let others learn of when they were there. */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const rule_names[RULES] = {"exact", "coarse", "nobody"};

static bool is_certain(const struct user *user)
{
	return !user->ruling && user->rule_doubt == 0;
}

static void set_rule(struct user *user, enum rule rule)
{
	user->rule = rule;
	user->rule_at = now_ms();
	user->rule_doubt = 0;
}

static void on_set(struct call *call)
{
	struct user *user = call->device->user;
	const struct chaos *chaos = call->conn.chaos;

	model_answered(call);
	user->ruling = false;
	if (call->status == 200 && chaos->data_lost_at < call->sent &&
	    (user->rule_doubt == 0 || (model_told_by(chaos, user->rule_doubt) < call->sent &&
				       !chaos_in_trouble(chaos, call->sent))))
		set_rule(user, (enum rule)call->other);
	else if (call->status != 401)
		user->rule_doubt = now_ms();
}

void settings_set(struct chaos *chaos, struct device *device, enum rule rule)
{
	struct user *user = device->user;
	char body[40];
	struct call *call;

	if (user->ruling || device->token == NULL || device->logging_out)
		return;
	user->ruling = true;
	model_activity_in_doubt(device);
	snprintf(body, sizeof body, "{\"last_seen\":\"%s\"}", rule_names[rule]);
	call = call_start_method(chaos, device, "PUT", "/presence/settings", body, on_set);
	call->other = rule;
	call->is_activity = true;
}

/* Nobody puts it back; a call under way may. */
void settings_data_lost(struct user *user)
{
	if (user->rule != RULE_EXACT || user->ruling || user->rule_doubt > 0)
		user->rule_doubt = now_ms();
}

void settings_writes_lost(struct user *user, int64_t since)
{
	if (user->rule_at >= since || user->ruling || user->rule_doubt > 0)
		user->rule_doubt = now_ms();
}

void settings_learn(struct chaos *chaos, const struct snapshot *snapshot)
{
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		struct user *user = &chaos->users[i];

		if (user->rule_doubt > 0 && !user->ruling &&
		    model_told_by(chaos, user->rule_doubt) < now_ms())
			set_rule(user, snapshot->users[i].rule);
	}
}

enum rule settings_parse(const char *text)
{
	for (int rule = RULE_COARSE; rule < RULES; rule++) {
		if (strstr(text, rule_names[rule]) != NULL)
			return (enum rule)rule;
	}
	return RULE_EXACT;
}

/* --- the property ---------------------------------------------------------------------------- */

/* Whether the STATUS tells no more than the rule lets it. */
static bool obeys(struct json_object *status, enum rule rule)
{
	struct json_object *value = NULL;
	bool is_coarse = json_object_object_get_ex(status, "last_seen_coarse", &value), is_told;

	if (!json_object_object_get_ex(status, "last_activity", &value))
		json_object_object_get_ex(status, "last_seen", &value);
	is_told = value != NULL;
	return !is_told || (rule != RULE_NOBODY && is_coarse == (rule == RULE_COARSE));
}

void settings_published(struct chaos *chaos, struct user *user, const struct change *change)
{
	if (is_certain(user) && user->rule_at <= change->from && !obeys(change->status, user->rule))
		violated(chaos, user->id, "user %u tells '%s' when it was there: %s", user->id,
			 rule_names[user->rule], json_object_to_json_string(change->status));
}

void settings_answered(struct chaos *chaos, const struct call *call)
{
	struct user *user = &chaos->users[call->target];
	struct json_object *status;

	if (call->target == 0 || call->status != 200 || call->device->user == user ||
	    !is_certain(user) || user->rule_at >= call->sent)
		return;
	status = json_tokener_parse(call->body);
	if (!obeys(status, user->rule))
		violated(chaos, user->id, "user %u tells '%s' when it was there: %s", user->id,
			 rule_names[user->rule], call->body);
	json_object_put(status);
}
