#include "store/settings.h"

#include <string.h>

#include "base/json.h"

static const char *const rules[] = {"exact", "coarse", "nobody"}; /* enum last_seen */
static const char *const nearness[] = {"off", "friends"};

static const struct settings defaults = {.last_seen = LAST_SEEN_EXACT, .typing = true};

/* The index of the word that the value is; `otherwise` without a value; -1: none of them. */
static int index_of(struct json_object *value, const char *const *words, int count, int otherwise)
{
	const char *text;

	if (value == NULL)
		return otherwise;
	if (!json_is_text(value, 16, &text))
		return -1;
	while (count-- > 0 && strcmp(text, words[count]) != 0)
		continue;
	return count;
}

struct settings settings_from_json(struct json_object *object, const char **wrong)
{
	struct json_object *typing = json_member(object, "typing");
	int rule = index_of(json_member(object, "last_seen"), rules, 3, defaults.last_seen);
	int nearby = index_of(json_member(object, "nearby"), nearness, 2, defaults.nearby);
	struct settings settings = defaults;

	*wrong = NULL;
	if (nearby >= 0)
		settings.nearby = nearby != 0;
	else
		*wrong = "\"nearby\" is off or friends.";
	if (json_object_is_type(typing, json_type_boolean))
		settings.typing = json_object_get_boolean(typing);
	else if (typing != NULL)
		*wrong = "\"typing\" is true or false.";
	if (rule >= 0)
		settings.last_seen = (enum last_seen)rule;
	else
		*wrong = "\"last_seen\" is exact, coarse or nobody.";
	return settings;
}

struct settings settings_read(const redisReply *value)
{
	struct json_object *object = NULL;
	struct settings settings;
	const char *why;

	if (value->type == REDIS_REPLY_STRING)
		object = json_parse_object(value->str, value->len, &why);
	if (object == NULL)
		return defaults;
	settings = settings_from_json(object, &why);
	json_object_put(object);
	return settings;
}

bool settings_are_default(const struct settings *settings)
{
	return settings->last_seen == defaults.last_seen && settings->typing == defaults.typing &&
	       settings->nearby == defaults.nearby;
}

enum last_seen settings_rule(const struct settings *settings, enum last_seen site)
{
	return settings->last_seen > site ? settings->last_seen : site;
}

const char *settings_last_seen_word(enum last_seen rule)
{
	return rules[rule];
}

const char *settings_nearby_word(bool nearby)
{
	return nearness[nearby];
}

void settings_put_members(struct printbuf *out, const struct settings *settings,
			  enum last_seen rule)
{
	buf_putf(out, "\"last_seen\":\"%s\",\"typing\":%s,\"nearby\":\"%s\"", rules[rule],
		 settings->typing ? "true" : "false", nearness[settings->nearby]);
}
