#include "base/json.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

#define BOM "\xef\xbb\xbf"

static bool starts_with(const char *text, const char *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - text) >= len && memcmp(text, word, len) == 0;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What \uXXXX at text stands for; -1 when there is no such escape. */
static int read_unit(const char *text, const char *end)
{
	int unit = 0;

	if (end - text < 6 || text[0] != '\\' || text[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		if (is_digit(text[i]))
			unit = unit * 16 + text[i] - '0';
		else if (is_one_of(text[i], "abcdefABCDEF"))
			unit = unit * 16 + (text[i] | 0x20) - 'a' + 10;
		else
			return -1;
	}
	return unit;
}

/* Bytes of the escape at text, as far as it matters here: json-c checks the rest. 0 with *why. */
static size_t escape_len(const char *text, const char *end, const char **why)
{
	int unit = read_unit(text, end), next;

	if (unit == 0) {
		*why = "NUL in a string";
		return 0;
	}
	if (unit < 0xd800 || unit > 0xdfff)
		return 2;
	/* Half a pair has no place in UTF-8 (RFC 8259 section 8.2): json-c would replace it. */
	next = read_unit(text + 6, end);
	if (unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff)
		return 12;
	*why = "half a surrogate pair in a string";
	return 0;
}

/* Skips a string from its opening quote; NULL with *why when a character may not stand there. */
static const char *skip_string(const char *text, const char *end, const char **why)
{
	size_t len;

	for (text++; text < end && *text != '"'; text += len) {
		len = utf8_len(text, end);
		if (len == 0 || (unsigned char)*text < 0x20) {
			*why = len == 0 ? "a string is not UTF-8" : "control character in a string";
			return NULL;
		}
		if (*text != '\\')
			continue;
		len = escape_len(text, end, why);
		if (len == 0)
			return NULL;
	}
	return text < end ? text + 1 : NULL;
}

static const char *skip_digits(const char *text, const char *end)
{
	while (text < end && is_digit(*text))
		text++;
	return text;
}

/* Skips a number (RFC 8259 section 6); NULL when it is none. */
static const char *skip_number(const char *text, const char *end)
{
	const char *digits;

	text += *text == '-';
	digits = text;
	text = skip_digits(text, end);
	if (text == digits || (*digits == '0' && text - digits > 1))
		return NULL;
	if (text < end && *text == '.') {
		digits = ++text;
		text = skip_digits(text, end);
		if (text == digits)
			return NULL;
	}
	if (text < end && (*text == 'e' || *text == 'E')) {
		text++;
		text += text < end && (*text == '+' || *text == '-');
		digits = text;
		text = skip_digits(text, end);
		if (text == digits)
			return NULL;
	}
	return text;
}

/* Skips one of the three words of JSON; NULL when there is another. */
static const char *skip_word(const char *text, const char *end)
{
	if (starts_with(text, end, "true") || starts_with(text, end, "null"))
		return text + 4;
	return starts_with(text, end, "false") ? text + 5 : NULL;
}

/*
 * json-c accepts more than RFC 8259 does; this scan refuses the excess before it parses. *name is the
 * last string before a colon, from its opening quote, or NULL.
 */
static bool has_only_json_tokens(const char *text, size_t len, const char **why, const char **name)
{
	const char *end = text + len, *string = NULL;

	*name = NULL;
	while (text != NULL && text < end) {
		if (*text == '"') {
			*why = "a string without an end";
			string = text;
			text = skip_string(text, end, why);
		} else if (*text == '-' || is_digit(*text)) {
			*why = "malformed number";
			text = skip_number(text, end);
		} else if (is_letter(*text)) {
			*why = "unknown word";
			text = skip_word(text, end);
		} else {
			*why = "unexpected character";
			*name = *text == ':' ? string : *name;
			text = is_one_of(*text, "{}[],: \t\r\n") ? text + 1 : NULL;
		}
	}
	return text != NULL;
}

static bool is_blank(const char *text, const char *end)
{
	while (text < end && is_one_of(*text, " \t\r\n"))
		text++;
	return text == end;
}

struct json_object *json_parse_object(const char *text, size_t len, const char **why)
{
	struct json_tokener *tokener;
	struct json_object *object;
	enum json_tokener_error error;
	const char *name;
	size_t parsed;

	*why = "a byte order mark before it";
	if (len >= sizeof BOM - 1 && memcmp(text, BOM, sizeof BOM - 1) == 0)
		return NULL;
	*why = "too long";
	if (len > INT32_MAX || !has_only_json_tokens(text, len, why, &name))
		return NULL;
	tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	if (tokener == NULL) {
		*why = "out of memory";
		return NULL;
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, text, (int)len);
	error = json_tokener_get_error(tokener);
	parsed = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);

	if (error == json_tokener_continue)
		*why = "not a complete JSON object";
	else if (error != json_tokener_success)
		*why = json_tokener_error_desc(error);
	else if (!json_object_is_type(object, json_type_object))
		*why = "not a JSON object";
	else if (!is_blank(text + parsed, text + len))
		*why = "text after the JSON object";
	else
		return object;
	json_object_put(object);
	return NULL;
}

bool json_refused_member(const char *text, size_t len, char member[JSON_MEMBER_MAX + 1])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
	const char *why, *name;
	size_t name_len;

	if (has_only_json_tokens(text, len, &why, &name) || name == NULL)
		return false;
	name_len = strspn(++name, letters);
	if (name_len == 0 || name_len > JSON_MEMBER_MAX || name[name_len] != '"')
		return false;
	memcpy(member, name, name_len);
	member[name_len] = '\0';
	return true;
}

struct json_object *json_member(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) ? value : NULL;
}

bool json_is_text(struct json_object *value, size_t max, const char **text)
{
	size_t len;

	if (!json_object_is_type(value, json_type_string))
		return false;
	*text = json_object_get_string(value);
	len = (size_t)json_object_get_string_len(value);
	return len <= max && strlen(*text) == len;
}

void json_put_string(struct printbuf *buf, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const char *end = text + len, *done = text;

	buf_put(buf, "\"", 1);
	while (text < end) {
		unsigned char c = (unsigned char)*text;
		char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
		size_t step = utf8_len(text, end);

		if (step > 0 && c >= 0x20 && c != '"' && c != '\\') {
			text += step;
			continue;
		}
		buf_put(buf, done, (size_t)(text - done));
		if (step == 0) {
			buf_puts(buf, UTF8_REPLACEMENT);
		} else if (c < 0x20) {
			buf_put(buf, escape, sizeof escape);
		} else {
			escape[1] = (char)c;
			buf_put(buf, escape, 2);
		}
		done = ++text;
	}
	buf_put(buf, done, (size_t)(end - done));
	buf_put(buf, "\"", 1);
}
