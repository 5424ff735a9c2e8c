/*
 * User ids: an integer 1..2^53-1 in canonical decimal, or a string of 1..128 of
 * A-Z a-z 0-9 _ . - @ | : + = ~ that is not all digits: e-mail addresses, UUIDs and
 * the `sub` of identity providers (auth0|5f7c) among them. The text alone tells
 * which one it is, and it needs no escaping in JSON, in a Redis key or pattern,
 * or, but for |, in a URL's path.
 */
#ifndef PRESENCE_BASE_USERID_H
#define PRESENCE_BASE_USERID_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#include "base/buf.h"

#define USERID_MAX 128

struct userid {
	char text[USERID_MAX + 1]; /* canonical, NUL-terminated */
};

/* Reads len bytes of text; false (and *id untouched) when they are not a user id. */
bool userid_parse(const char *text, size_t len, struct userid *id);

/* Reads a JSON integer or string; "1" as a JSON string is not an id (integers are numbers). */
bool userid_from_json(struct json_object *value, struct userid *id);

/* Like userid_from_json, but a string of digits is taken too, as in a token's `sub`. */
bool userid_from_subject(struct json_object *value, struct userid *id);

/* Whether the text is 1..max of the characters of user ids, be it one or not. */
bool userid_is_word(const char *text, size_t max);

bool userid_is_integer(const struct userid *id);

static inline bool userid_equal(const struct userid *a, const struct userid *b)
{
	return strcmp(a->text, b->text) == 0;
}

/* For hash tables; the same in every process. */
unsigned userid_hash(const struct userid *id);

/* By text, for qsort(3) and bsearch(3) over user ids, or structs that begin with one. */
static inline int userid_compare(const void *a, const void *b)
{
	return strcmp(((const struct userid *)a)->text, ((const struct userid *)b)->text);
}

/* Sorts the ids by text and drops repeated ones; returns how many are left. */
size_t userid_distinct(struct userid *ids, size_t count);

/* Appends the id as a JSON value: 7 or "anna". */
void userid_put_json(struct printbuf *buf, const struct userid *id);

#endif
