/*
 * Properties of what is published on `user:status:{id}` and `user:inbox:{id}`, whatever it is: a
 * status becomes exactly one event of one line, or is dropped; an inbox message that is not an
 * object with a type is dropped, one that a friend types or is near also when it does not say who and
 * whether, and else becomes one event whose data is an object about that friend.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include <fastcgi.h>

#include "base/json.h"
#include "base/log.h"
#include "stream/dispatch.h"
#include "stream/events.h"
#include "store/inbox.h"

#define STATUS_CHANNEL "user:status:1"
#define INBOX_CHANNEL "user:inbox:1"
#define STATUS_MAX 16384

/* Two topics that nobody listens to any more: messages are read all the same. */
static struct dispatch *dispatch(void)
{
	static struct context context;
	static struct streams streams;
	static struct dispatch all = {.streams = &streams};
	static struct subscriber subscriber;

	if (streams.context != NULL)
		return &all;
	log_setup("fuzz", LOG_LEVEL_ERROR, false);
	streams.context = &context;
	hub_init(&context.hub, 1);
	hub_add(&context.hub, &subscriber);
	hub_asked(&context.hub, hub_join(&context.hub, &subscriber, STATUS_CHANNEL, 0));
	hub_asked(&context.hub, hub_join(&context.hub, &subscriber, INBOX_CHANNEL, 0));
	while (subscriber.topics.count > 0)
		hub_leave(&context.hub, &subscriber, 0, 0);
	REQUIRE(hub_find(&context.hub, STATUS_CHANNEL) != NULL);
	return &all;
}

/* RFC 3629, as a table rather than by cases. */
static bool is_utf8(const uint8_t *at, const uint8_t *end)
{
	while (at < end) {
		uint32_t code;
		int more = *at < 0x80	    ? 0
			   : *at >> 5 == 6  ? 1
			   : *at >> 4 == 14 ? 2
			   : *at >> 3 == 30 ? 3
					    : -1;
		static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

		if (more < 0 || end - at <= more)
			return false;
		code = more == 0 ? *at : *at & (0x3fU >> more);
		for (int i = 1; i <= more; i++) {
			if (at[i] >> 6 != 2)
				return false;
			code = code << 6 | (at[i] & 0x3fU);
		}
		if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return false;
		at += more + 1;
	}
	return true;
}

static bool is_line(const uint8_t *data, size_t size)
{
	return size > 0 && size <= STATUS_MAX && memchr(data, '\n', size) == NULL &&
	       memchr(data, '\r', size) == NULL && memchr(data, '\0', size) == NULL &&
	       is_utf8(data, data + size);
}

static bool has_type(const uint8_t *data, size_t size)
{
	const char *why, *type;
	struct json_object *object = json_parse_object((const char *)data, size, &why);
	bool has = object != NULL && json_is_text(json_member(object, "type"), 64, &type);

	json_object_put(object);
	return has;
}

/* Whether the message was dropped. The text is a copy of its exact size. */
static bool publish(const char *channel, const uint8_t *data, size_t size)
{
	struct dispatch *all = dispatch();
	uint64_t before = all->dropped;
	char *copy = malloc(size + 1);

	REQUIRE(copy != NULL);
	memcpy(copy, data, size);
	copy[size] = '\0'; /* as hiredis gives it */
	dispatch_message(all, channel, copy, size);
	free(copy);
	return all->dropped != before;
}

/* The text in a frame's records; the frame is unreferenced. */
static struct printbuf *text_of(struct frame *frame)
{
	const uint8_t *at = frame->records;
	struct printbuf *text = buf_new();

	for (size_t left = frame->len; left > 0;) {
		size_t len = (size_t)at[4] << 8 | at[5], whole = FCGI_HEADER_LEN + len + at[6];

		REQUIRE(left >= whole && at[1] == FCGI_STDOUT);
		buf_put(text, at + FCGI_HEADER_LEN, len);
		at += whole;
		left -= whole;
	}
	frame_unref(frame);
	return text;
}

/* What a reader gets: one event whose data is the message. */
static void check_event(const uint8_t *data, size_t size)
{
	static const char head[] = "event: status_change\ndata: ";
	struct printbuf *text = text_of(events_status_change((const char *)data, size));

	REQUIRE(buf_len(text) == sizeof head - 1 + size + 2);
	REQUIRE(memcmp(text->buf, head, sizeof head - 1) == 0);
	REQUIRE(memcmp(text->buf + sizeof head - 1, data, size) == 0);
	REQUIRE(memcmp(text->buf + buf_len(text) - 2, "\n\n", 2) == 0);
	printbuf_free(text);
}

/* One line of an object about the friend. */
static void check_event_about(struct frame *frame, const struct userid *friend)
{
	struct printbuf *text = text_of(frame);
	const char *data = strstr(text->buf, "\ndata: ") + 7, *end = strstr(data, "\n\n"), *why;
	struct json_object *object = json_parse_object(data, (size_t)(end - data), &why);
	struct userid found;

	REQUIRE(object != NULL && end[2] == '\0' &&
		memchr(data, '\n', (size_t)(end - data)) == NULL);
	REQUIRE(userid_from_json(json_member(object, "user_id"), &found));
	REQUIRE(userid_equal(&found, friend));
	json_object_put(object);
	printbuf_free(text);
}

/* Of a message that has a type: whether it is to be dropped all the same, by another look at it. */
static bool check_inbox(const uint8_t *data, size_t size)
{
	const char *why, *type, *conversation = "";
	struct json_object *object = json_parse_object((const char *)data, size, &why);
	struct json_object *words = json_member(object, "conversation");
	struct userid friend;
	bool types, is_good = true;

	REQUIRE(json_is_text(json_member(object, "type"), 64, &type));
	types = strcmp(type, "typing") == 0;
	if (types || strcmp(type, "nearby") == 0) {
		is_good = userid_from_json(json_member(object, "user_id"), &friend) &&
			  json_object_is_type(json_member(object, types ? "typing" : "nearby"),
					      json_type_boolean);
		if (types && words != NULL)
			is_good = is_good &&
				  json_is_text(words, INBOX_CONVERSATION_MAX, &conversation) &&
				  userid_is_word(conversation, INBOX_CONVERSATION_MAX);
		if (is_good)
			check_event_about(types ? events_typing(&friend, true, conversation)
						: events_nearby(&friend, false),
					  &friend);
	}
	json_object_put(object);
	return !is_good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool good = is_line(data, size);

	REQUIRE(publish(STATUS_CHANNEL, data, size) == !good);
	REQUIRE(publish(INBOX_CHANNEL, data, size) ==
		(!has_type(data, size) || check_inbox(data, size)));
	if (good)
		check_event(data, size);
	return 0;
}
