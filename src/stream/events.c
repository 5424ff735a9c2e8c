#include "stream/events.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "base/times.h"
#include "store/inbox.h"
#include "store/store.h"

static const char redis_unavailable[] = "{\"reason\":\"redis_unavailable\"}";

/* --- texts ----------------------------------------------------------------------------------- */

void events_put(struct printbuf *out, const char *name, const void *data, size_t len)
{
	buf_puts(out, "event: ");
	buf_puts(out, name);
	buf_puts(out, "\ndata: ");
	buf_put(out, data, len);
	buf_puts(out, "\n\n");
}

void events_put_head(struct printbuf *out, const char *fields)
{
	buf_puts(out, "Status: 200 OK\r\nContent-Type: text/event-stream\r\n"
		      "Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n");
	buf_puts(out, fields);
	buf_puts(out, "\r\n");
}

void events_put_connected(struct printbuf *out, const struct config *config,
			  const struct userid *user, const char *session_id, int64_t now_s)
{
	struct printbuf *data = buf_new();
	int retry = config->stream.retry_ms;
	char now[TIMES_LEN + 1];

	times_format(now_s, now);
	buf_puts(data, "{\"user_id\":");
	userid_put_json(data, user);
	buf_putf(data, ",\"session_id\":\"%s\",\"heartbeat\":%d,\"server_time\":\"%s\"}",
		 session_id, config->presence.heartbeat, now);
	buf_putf(out, "retry: %d\n", retry / 2 + (int)random_below((unsigned)retry + 1));
	events_put(out, "connected", data->buf, buf_len(data));
	printbuf_free(data);
}

void events_put_degraded(struct printbuf *out)
{
	events_put(out, "degraded", redis_unavailable, sizeof redis_unavailable - 1);
}

void events_put_bye(struct printbuf *out, const char *reason)
{
	char data[64];

	snprintf(data, sizeof data, "{\"reason\":\"%s\"}", reason);
	events_put(out, "bye", data, strlen(data));
}

/* --- frames ---------------------------------------------------------------------------------- */

struct frame *events_frame(const char *name, const void *data, size_t len)
{
	struct printbuf *text = buf_new();
	struct frame *frame;

	events_put(text, name, data, len);
	frame = frame_new(text->buf, buf_len(text));
	printbuf_free(text);
	return frame;
}

struct frame *events_status_change(const char *text, size_t len)
{
	return events_frame("status_change", text, len);
}

struct frame *events_typing(const struct userid *friend, bool types, const char *conversation)
{
	struct printbuf *data = buf_new();
	struct frame *frame;

	buf_puts(data, "{\"user_id\":");
	userid_put_json(data, friend);
	buf_putf(data, ",\"typing\":%s", types ? "true" : "false");
	if (*conversation != '\0')
		buf_putf(data, ",\"conversation\":\"%s\"", conversation);
	buf_putf(data, ",\"expires_in\":%d}", INBOX_TYPING_SECONDS);
	frame = events_frame("typing", data->buf, buf_len(data));
	frame->fleeting = true;
	printbuf_free(data);
	return frame;
}

struct frame *events_nearby(const struct userid *friend, bool near)
{
	struct printbuf *data = buf_new();
	struct frame *frame;

	buf_puts(data, "{\"user_id\":");
	userid_put_json(data, friend);
	buf_putf(data, ",\"nearby\":%s,\"expires_in\":%d}", near ? "true" : "false",
		 INBOX_NEAR_SECONDS);
	frame = events_frame("nearby", data->buf, buf_len(data));
	printbuf_free(data);
	return frame;
}

struct frame *events_initial(const struct printbuf *object)
{
	return events_frame("initial", object->buf, buf_len(object));
}

struct frame *events_padding(size_t len)
{
	struct printbuf *text = buf_new();
	struct frame *frame;

	buf_putf(text, ":%*s\n\n", len > 3 ? (int)len - 3 : 0, "");
	frame = frame_new(text->buf, buf_len(text));
	printbuf_free(text);
	return frame;
}

/* --- shared by all streams ------------------------------------------------------------------- */

struct frame *events_heartbeat(struct shared_events *shared, int64_t second)
{
	char when[TIMES_LEN + 1], data[64];

	if (shared->heartbeat != NULL && shared->heartbeat_second == second)
		return shared->heartbeat;
	frame_unref(shared->heartbeat);
	times_format(second, when);
	snprintf(data, sizeof data, "{\"time\":\"%s\"}", when);
	shared->heartbeat = events_frame("heartbeat", data, strlen(data));
	shared->heartbeat_second = second;
	return shared->heartbeat;
}

struct frame *events_degraded(struct shared_events *shared)
{
	if (shared->degraded == NULL)
		shared->degraded =
			events_frame("degraded", redis_unavailable, sizeof redis_unavailable - 1);
	return shared->degraded;
}

void events_set_padding(struct shared_events *shared, size_t len)
{
	frame_unref(shared->padding);
	shared->padding = len > 0 ? events_padding(len) : NULL;
}

void events_free(struct shared_events *shared)
{
	frame_unref(shared->heartbeat);
	frame_unref(shared->degraded);
	frame_unref(shared->padding);
	memset(shared, 0, sizeof *shared);
}
