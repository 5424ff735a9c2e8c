/*
 * Properties of strict JSON and user ids over any bytes: nothing beyond the text
 * is read; what was accepted is accepted again when it is written; a user id, a
 * watch list, settings and a push subscription that were read are written as the
 * same; an escaped string reads back.
 */
#include "fuzz.h"

#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/userids.h"
#include "base/utf8.h"
#include "store/push_subscription.h"
#include "store/settings.h"

#define WATCH_MAX 8

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

/* Sorted, each once, and the same when it is written. */
static void check_watch_list(struct json_object *value)
{
	struct printbuf *text = buf_new(), *second = buf_new();
	struct userids *ids, *again;
	struct json_object *object;

	if (userids_from_json(value, WATCH_MAX, &ids) == USERIDS_OK) {
		const char *id = ids->texts;

		REQUIRE(ids->count <= json_object_array_length(value));
		for (size_t i = 1; i < ids->count; i++, id = userids_next(id))
			REQUIRE(strcmp(id, userids_next(id)) < 0);
		userids_put_json(text, ids);
		buf_putf(second, "{\"ids\":%s}", text->buf);
		object = parse_buffer(second);
		REQUIRE(userids_from_json(json_member(object, "ids"), WATCH_MAX, &again) ==
			USERIDS_OK);
		buf_reset(second);
		userids_put_json(second, again);
		REQUIRE(strcmp(text->buf, second->buf) == 0);
		json_object_put(object);
		free(again);
		free(ids);
	}
	printbuf_free(text);
	printbuf_free(second);
}

static void check_settings(struct json_object *object)
{
	const char *wrong, *again;
	struct settings settings = settings_from_json(object, &wrong), second;
	struct printbuf *text = buf_new();

	buf_puts(text, "{");
	settings_put_members(text, &settings, settings.last_seen);
	buf_puts(text, "}");
	object = parse_buffer(text);
	second = settings_from_json(object, &again);
	REQUIRE(object != NULL && again == NULL);
	REQUIRE(settings.last_seen == second.last_seen && settings.typing == second.typing &&
		settings.nearby == second.nearby);
	REQUIRE(wrong == NULL || strlen(wrong) > 10);
	json_object_put(object);
	printbuf_free(text);
}

static void check_subscription(struct json_object *object)
{
	struct push_subscription subscription, again;
	struct push_endpoint endpoint;
	const char *field, *why;
	struct printbuf *text = buf_new();

	why = push_subscription_parse(object, "*.a, b:8443, [::1]", &subscription, &field);
	REQUIRE(field != NULL && (why == NULL || strlen(why) > 10));
	if (why == NULL) {
		REQUIRE(push_endpoint_parse(subscription.endpoint, &endpoint) == NULL);
		REQUIRE(endpoint.port > 0 && endpoint.port < 65536);
		REQUIRE(strncmp(endpoint.origin, "https://", 8) == 0);
		push_subscription_put(text, &subscription);
		REQUIRE(push_subscription_read(subscription.id, text->buf, buf_len(text), &again));
		REQUIRE(memcmp(&subscription, &again, sizeof again) == 0);
	}
	printbuf_free(text);
}

static void check_value(struct json_object *value)
{
	const char *text;

	check_id(value);
	if (json_is_text(value, SIZE_MAX, &text))
		check_string(text, strlen(text));
	check_watch_list(value);
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
		check_settings(object);
		check_subscription(object);
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
