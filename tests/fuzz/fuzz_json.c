/*
 * Properties of strict JSON and user ids over any bytes: nothing beyond the text
 * is read; what was accepted is accepted again when it is written; a user id
 * that was read is written as the same id; an escaped string reads back.
 */
#include "fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/userid.h"
#include "base/utf8.h"

/* The text is a copy of its exact size, so that a byte read beyond it shows. */
static struct json_object *parse(const void *text, size_t len)
{
	char *copy = xmemdup(text, len);
	const char *why = NULL;
	struct json_object *object = json_parse_object(copy, len, &why);

	REQUIRE(object != NULL || why != NULL);
	free(copy);
	return object;
}

static struct json_object *parse_buffer(const struct printbuf *text)
{
	return parse(text->buf, buf_len(text));
}

static void check_written_again(struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	struct json_object *again = parse(text, strlen(text));

	REQUIRE(again != NULL && json_object_equal(object, again));
	json_object_put(again);
}

static void check_id(struct json_object *value)
{
	struct printbuf *text = buf_new();
	struct userid id, subject, again;
	struct json_object *object;

	if (userid_from_json(value, &id)) {
		REQUIRE(userid_from_subject(value, &subject) && userid_equal(&id, &subject));
		REQUIRE(userid_parse(id.text, strlen(id.text), &again) &&
			userid_equal(&id, &again));
		REQUIRE(userid_is_integer(&id) == json_object_is_type(value, json_type_int));
		buf_puts(text, "{\"id\":");
		userid_put_json(text, &id);
		buf_puts(text, "}");
		object = parse_buffer(text);
		REQUIRE(object != NULL && userid_from_json(json_member(object, "id"), &again));
		REQUIRE(userid_equal(&id, &again));
		json_object_put(object);
	}
	printbuf_free(text);
}

/*
 * Whatever is UTF-8 without NUL comes back as it was; what is no UTF-8 is mended; only a NUL, which
 * would cut a text short here and there, is not read again.
 */
static void check_string(const char *string, size_t len)
{
	struct printbuf *text = buf_new();
	struct json_object *object;
	const char *back;

	buf_puts(text, "{\"s\":");
	json_put_string(text, string, len);
	buf_puts(text, "}");
	object = parse_buffer(text);
	REQUIRE((object != NULL) == (memchr(string, '\0', len) == NULL));
	if (object != NULL) {
		REQUIRE(json_is_text(json_member(object, "s"), SIZE_MAX, &back));
		REQUIRE(utf8_is_valid(back, strlen(back)));
		if (utf8_is_valid(string, len))
			REQUIRE(strlen(back) == len && memcmp(back, string, len) == 0);
		len = strlen(back);
		REQUIRE(json_is_text(json_member(object, "s"), len, &back));
		REQUIRE(len == 0 || !json_is_text(json_member(object, "s"), len - 1, &back));
	}
	json_object_put(object);
	printbuf_free(text);
}

static void check_value(struct json_object *value)
{
	const char *text;

	check_id(value);
	if (json_is_text(value, SIZE_MAX, &text))
		check_string(text, strlen(text));
	if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			check_id(json_object_array_get_idx(value, i));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_object *object = parse(data, size);

	if (object != NULL) {
		check_written_again(object);
		json_object_object_foreach(object, name, value)
		{
			(void)name;
			check_value(value);
		}
	}
	json_object_put(object);
	check_string((const char *)data, size);
	return 0;
}
