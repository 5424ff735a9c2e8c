/* Strict JSON in (RFC 8259), escaped strings out; the one place that tames json-c. */
#ifndef PRESENCE_BASE_JSON_H
#define PRESENCE_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#include "base/buf.h"

#define JSON_DEPTH_MAX 8

/*
 * Parses exactly one JSON object in len bytes: valid UTF-8, at most
 * JSON_DEPTH_MAX deep, nothing after it but white space. The caller releases
 * the result with json_object_put(). NULL on error, with a sentence in *why.
 * What json-c lets through and we refuse: NaN and Infinity, single quotes, raw
 * control characters in strings, \u0000, half a surrogate pair, other words, a byte
 * order mark (RFC 8259 section 8.1). Of duplicate keys the last wins.
 */
struct json_object *json_parse_object(const char *text, size_t len, const char **why);

/*
 * Of a text that was refused: the name of the member in whose value it stops to be
 * JSON. False when there is none, or it is not a word of small letters.
 */
#define JSON_MEMBER_MAX 32
bool json_refused_member(const char *text, size_t len, char member[JSON_MEMBER_MAX + 1]);

/* A member's value, or NULL. */
struct json_object *json_member(struct json_object *object, const char *name);

/* Whether `value` is a string of 0..max bytes without NUL; then *text is it, borrowed. */
bool json_is_text(struct json_object *value, size_t max, const char **text);

/* Appends text as a JSON string in quotes; what is not UTF-8 in it becomes U+FFFD. */
void json_put_string(struct printbuf *buf, const char *text, size_t len);

#endif
