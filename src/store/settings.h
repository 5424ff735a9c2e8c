/*
 * What a user lets others learn, user:settings:{id}: one reader of it for all
 * programs. The scripts (common.lua's rule_of(), typing.lua) read it likewise.
 */
#ifndef PRESENCE_STORE_SETTINGS_H
#define PRESENCE_STORE_SETTINGS_H

#include <stdbool.h>

#include <hiredis/hiredis.h>
#include <json-c/json.h>

#include "base/buf.h"
#include "base/config.h"

struct settings {
	enum last_seen last_seen; /* the user's own rule */
	bool typing;
	bool nearby; /* with friends */
};

/*
 * Reads an object (NULL: none). A member that is missing, or says nothing that
 * we know, has its default; *wrong is a static sentence about the last of the
 * latter, or NULL.
 */
struct settings settings_from_json(struct json_object *object, const char **wrong);
/* The same of the key's value; the defaults where it is not a JSON object. */
struct settings settings_read(const redisReply *value);

/* Whether nothing is to be kept of them. */
bool settings_are_default(const struct settings *settings);

/* The stricter of the site's rule and the user's own. */
enum last_seen settings_rule(const struct settings *settings, enum last_seen site);

/* What a member says: exact, coarse, nobody; off, friends. */
const char *settings_last_seen_word(enum last_seen rule);
const char *settings_nearby_word(bool nearby);

/* Appends the members, the whole of a JSON object without its braces; of the times `rule` is told. */
void settings_put_members(struct printbuf *out, const struct settings *settings,
			  enum last_seen rule);

#endif
