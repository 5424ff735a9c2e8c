#include "stream/dispatch.h"

#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/times.h"
#include "base/utf8.h"
#include "stream/friends.h"
#include "stream/hidden.h"
#include "store/inbox.h"

#define MESSAGE_MAX 16384 /* bytes */

static void drop(struct dispatch *dispatch, const struct topic *topic, const char *why)
{
	dispatch->dropped++;
	log_warn("redis: dropped a message on %s: %s", topic->channel, why);
}

/* What keeps a text from being one event's data; NULL: nothing does. */
static const char *what_is_wrong(const char *text, size_t len)
{
	if (len == 0 || len > MESSAGE_MAX || memchr(text, '\n', len) != NULL ||
	    memchr(text, '\r', len) != NULL || memchr(text, '\0', len) != NULL)
		return "not one line of 1 to 16384 bytes";
	return utf8_is_valid(text, len) ? NULL : "not UTF-8";
}

static void on_status(struct dispatch *dispatch, struct topic *topic, const char *text, size_t len)
{
	static const char offline[] = "\"is_online\":false";
	const char *wrong = what_is_wrong(text, len);
	struct frame *frame;

	if (wrong != NULL) {
		drop(dispatch, topic, wrong);
		return;
	}
	topic->is_offline = memmem(text, len, offline, sizeof offline - 1) != NULL;
	frame = events_status_change(text, len);
	frame->about = topic->number;
	frame->heard_us = dispatch->now_us;
	frame->heard = ++dispatch->streams->snapshots.heard;
	fanout_tell(&dispatch->streams->fanout, topic, frame);
	frame_unref(frame);
}

/* With a user in it, it is about a block, which holds from here on. */
static void on_friends_changed(struct stream *stream, struct json_object *message)
{
	struct userid other;
	const char *side;

	if (userid_from_json(json_member(message, "user_id"), &other) &&
	    json_is_text(json_member(message, "side"), 16, &side)) {
		hidden_learn(stream, &other, strcmp(side, "blocked_by") == 0,
			     json_object_get_boolean(json_member(message, "hidden")));
		return;
	}
	if (stream->phase != PHASE_FRIENDS && !stream_has_friends(stream))
		return; /* not asked yet */
	stream->friends.stale = false;
	friends_ask(stream);
}

/*
 * Which streams a `revoked` is about is not decided here: each stream it may
 * mean is touched, and the answer tells whether its token is good.
 */
static void on_revoked(struct stream *stream, const char *tok)
{
	if (stream_has_friends(stream) && (tok == NULL || strcmp(tok, stream->session.tok) == 0))
		session_touch(&stream->home->sessions, &stream->session);
}

/* The user's own STATUS is another, or only its user sees that it is. */
static void on_self(struct stream *stream, struct json_object *message)
{
	struct json_object *status = json_member(message, "status");
	struct json_object *chosen = json_member(message, "chosen");
	struct store_self self = {.chosen = ""};

	if (stream->session.watch || !stream_has_friends(stream) ||
	    !json_object_is_type(json_member(status, "is_online"), json_type_boolean))
		return;
	self.status = json_object_to_json_string_length(
		status, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &self.status_len);
	if (json_object_is_type(chosen, json_type_object))
		self.chosen = json_object_to_json_string_ext(
			chosen, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	session_hear_self(&stream->home->sessions, &stream->session, &self);
}

/* To the streams that may see the friend it is about; a message may be older than a block. */
static void deliver_about(const struct dispatch *dispatch, const struct topic *topic,
			  const struct userid *friend, struct frame *frame)
{
	const struct hub *hub = &dispatch->streams->context->hub;

	frame->heard_us = dispatch->now_us;
	for (uint32_t index = 0; index < topic->subscribers.count; index++) {
		struct stream *stream = stream_of_subscriber(hub_subscriber_at(hub, topic, index));

		if (!hidden_hides(stream, friend))
			stream_deliver(stream, frame);
	}
	frame_unref(frame);
}

static void on_typing(struct dispatch *dispatch, const struct topic *topic,
		      struct json_object *message)
{
	struct json_object *types = json_member(message, "typing");
	struct json_object *value = json_member(message, "conversation");
	const char *conversation = "";
	struct userid friend;

	if (!userid_from_json(json_member(message, "user_id"), &friend) ||
	    !json_object_is_type(types, json_type_boolean) ||
	    (value != NULL && !(json_is_text(value, INBOX_CONVERSATION_MAX, &conversation) &&
				userid_is_word(conversation, INBOX_CONVERSATION_MAX))))
		drop(dispatch, topic, "not what tells that a friend types");
	else
		deliver_about(dispatch, topic, &friend,
			      events_typing(&friend, json_object_get_boolean(types), conversation));
}

static void on_nearby(struct dispatch *dispatch, const struct topic *topic,
		      struct json_object *message)
{
	struct json_object *near = json_member(message, "nearby");
	struct userid friend;

	if (!userid_from_json(json_member(message, "user_id"), &friend) ||
	    !json_object_is_type(near, json_type_boolean))
		drop(dispatch, topic, "not what tells that a friend is near");
	else
		deliver_about(dispatch, topic, &friend,
			      events_nearby(&friend, json_object_get_boolean(near)));
}

static void on_inbox(struct dispatch *dispatch, const struct topic *topic, const char *text,
		     size_t len)
{
	const struct hub *hub = &dispatch->streams->context->hub;
	const char *why, *type = "", *tok = NULL;
	struct json_object *message =
		len <= MESSAGE_MAX ? json_parse_object(text, len, &why) : NULL;

	if (message == NULL || !json_is_text(json_member(message, "type"), 64, &type)) {
		drop(dispatch, topic, "not an object of at most 16384 bytes with a type");
		json_object_put(message);
		return;
	}
	if (strcmp(type, "typing") == 0)
		on_typing(dispatch, topic, message);
	else if (strcmp(type, "nearby") == 0)
		on_nearby(dispatch, topic, message);
	json_is_text(json_member(message, "tok"), TOKEN_NAME_MAX, &tok);
	for (uint32_t index = 0; index < topic->subscribers.count; index++) {
		struct stream *stream = stream_of_subscriber(hub_subscriber_at(hub, topic, index));

		if (strcmp(type, "friends_changed") == 0)
			on_friends_changed(stream, message);
		else if (strcmp(type, "revoked") == 0)
			on_revoked(stream, tok);
		else if (strcmp(type, "self") == 0)
			on_self(stream, message);
	}
	json_object_put(message);
}

void dispatch_message(struct dispatch *dispatch, const char *channel, const char *text, size_t len)
{
	struct context *context = dispatch->streams->context;
	struct topic *topic = hub_find(&context->hub, channel);

	if (topic == NULL)
		return;
	dispatch->now_us = times_mono_us();
	context->counts.messages++;
	topic->changed_ms = dispatch->now_us / 1000;
	if (topic_watched_id(topic) != NULL)
		on_status(dispatch, topic, text, len);
	else
		on_inbox(dispatch, topic, text, len);
}
