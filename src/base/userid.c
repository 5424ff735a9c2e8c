#include "base/userid.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define USERID_INTEGER_MAX INT64_C(9007199254740991) /* 2^53 - 1: exact in a JSON number */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_id_char(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr("_.-@|:+=~", c) != NULL);
}

bool userid_is_word(const char *text, size_t max)
{
	size_t len = 0;

	while (is_id_char(text[len]))
		len++;
	return text[len] == '\0' && len >= 1 && len <= max;
}

static bool is_canonical_integer(const char *text, size_t len)
{
	int64_t value = 0;

	if (len > 16 || text[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++)
		value = value * 10 + (text[i] - '0');
	return value <= USERID_INTEGER_MAX;
}

bool userid_parse(const char *text, size_t len, struct userid *id)
{
	size_t digits = 0;

	if (len == 0 || len > USERID_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_id_char(text[i]))
			return false;
		digits += is_digit(text[i]);
	}
	if (digits == len && !is_canonical_integer(text, len))
		return false;
	memcpy(id->text, text, len);
	id->text[len] = '\0';
	return true;
}

bool userid_from_subject(struct json_object *value, struct userid *id)
{
	if (json_object_is_type(value, json_type_string))
		return userid_parse(json_object_get_string(value),
				    (size_t)json_object_get_string_len(value), id);
	if (json_object_is_type(value, json_type_int)) {
		/* json-c saturates: a larger number reads as INT64_MAX and is refused here. */
		int64_t number = json_object_get_int64(value);
		char digits[20], *end = digits + sizeof digits, *at;

		if (number < 1 || number > USERID_INTEGER_MAX)
			return false;
		at = buf_digits(end, (uint64_t)number);
		*(char *)mempcpy(id->text, at, (size_t)(end - at)) = '\0';
		return true;
	}
	return false;
}

bool userid_from_json(struct json_object *value, struct userid *id)
{
	struct userid read;

	if (!userid_from_subject(value, &read))
		return false;
	if (json_object_is_type(value, json_type_string) && userid_is_integer(&read))
		return false;
	*id = read;
	return true;
}

bool userid_is_integer(const struct userid *id)
{
	return strspn(id->text, "0123456789") == strlen(id->text);
}

size_t userid_distinct(struct userid *ids, size_t count)
{
	size_t kept = 0;

	qsort(ids, count, sizeof *ids, userid_compare);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || !userid_equal(&ids[kept - 1], &ids[i]))
			ids[kept++] = ids[i];
	}
	return kept;
}

void userid_put_json(struct printbuf *buf, const struct userid *id)
{
	size_t len = strlen(id->text);

	if (userid_is_integer(id)) {
		buf_put(buf, id->text, len);
		return;
	}
	buf_put(buf, "\"", 1);
	buf_put(buf, id->text, len);
	buf_put(buf, "\"", 1);
}

/* FNV-1a, 32 bits. */
unsigned userid_hash(const struct userid *id)
{
	unsigned hash = 2166136261U;

	for (const char *c = id->text; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619U;
	return hash;
}
