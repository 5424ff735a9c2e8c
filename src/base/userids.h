/* Lists of user ids that are kept for long: distinct, sorted as text, in one piece of memory. */
#ifndef PRESENCE_BASE_USERIDS_H
#define PRESENCE_BASE_USERIDS_H

#include <stddef.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/userid.h"

struct userids {
	size_t count;
	char texts[]; /* each with its NUL */
};

enum userids_result {
	USERIDS_OK,
	USERIDS_BAD, /* not a list, or one of its ids is not an id */
	USERIDS_TOO_MANY, /* more than `max`, repeated ones counted */
};

/* Reads "5,7,bob" ("" is none) or a JSON array; on USERIDS_OK *ids is freed with free(). */
enum userids_result userids_parse(const char *text, size_t max, struct userids **ids);
enum userids_result userids_from_json(struct json_object *value, size_t max, struct userids **ids);

/* The id after this one: the first is ids->texts. */
static inline const char *userids_next(const char *text)
{
	return text + strlen(text) + 1;
}

/* Appends them as a JSON array. */
void userids_put_json(struct printbuf *out, const struct userids *ids);

#endif
