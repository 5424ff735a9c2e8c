/* Event streams (WHATWG HTML, server-sent events) over HTTP or straight from streamd's socket. */
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fastcgi.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "wire.h"

struct sse {
	int fd; /* -1: closed */
	bool direct; /* FastCGI records instead of HTTP */
	bool chunked;
	bool ended;
	char *head; /* NULL: not here yet */
	struct printbuf *in; /* bytes of the socket, not yet decoded */
	struct printbuf *plain; /* head and body of the answer */
	struct printbuf *text; /* the body */
};

static void drop(struct printbuf *buf, size_t len)
{
	size_t rest = buf_len(buf) - len;

	memmove(buf->buf, buf->buf + len, rest);
	buf->bpos = (int)rest;
	buf->buf[rest] = '\0';
}

static void move(struct printbuf *to, struct printbuf *from)
{
	buf_put(to, from->buf, buf_len(from));
	buf_reset(from);
}

static struct sse *sse_new(int fd, bool direct)
{
	struct sse *sse = xcalloc(1, sizeof *sse);

	sse->fd = fd;
	sse->direct = direct;
	sse->in = buf_new();
	sse->plain = buf_new();
	sse->text = buf_new();
	return sse;
}

struct sse *sse_request(struct stack *stack, const char *text)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((uint16_t)stack->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_msg(fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0,
		      "cannot connect to the web server: %s", strerror(errno));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	wire_send(fd, text, strlen(text));
	return sse_new(fd, false);
}

static struct sse *sse_get(struct stack *stack, const char *path, const char *header)
{
	struct printbuf *text = buf_new();
	struct sse *sse;

	buf_putf(text, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n",
		 path, header);
	sse = sse_request(stack, text->buf);
	printbuf_free(text);
	return sse;
}

struct sse *sse_open(struct stack *stack, const char *token)
{
	struct sse *sse;
	char *header;

	ck_assert(asprintf(&header, "Authorization: Bearer %s\r\n", token) > 0);
	sse = sse_get(stack, STREAM, header);
	free(header);
	return sse;
}

struct sse *sse_open_query(struct stack *stack, const char *token)
{
	struct sse *sse;
	char *path;

	ck_assert(asprintf(&path, STREAM "?token=%s", token) > 0);
	sse = sse_get(stack, path, "");
	free(path);
	return sse;
}

struct sse *sse_open_ticket(struct stack *stack, const char *ticket)
{
	struct sse *sse;
	char *path;

	ck_assert(asprintf(&path, STREAM "?ticket=%s", ticket) > 0);
	sse = sse_get(stack, path, "");
	free(path);
	return sse;
}

struct sse *sse_open_direct(struct stack *stack, int streamd, const char *token)
{
	struct printbuf *bytes = buf_new();
	int fd = wire_connect_streamd(stack, streamd);

	wire_stream_request(bytes, STREAM, token);
	wire_send(fd, bytes->buf, buf_len(bytes));
	printbuf_free(bytes);
	return sse_new(fd, true);
}

/* --- decoding ----------------------------------------------------------------------------- */

static void decode_records(struct sse *sse)
{
	while (buf_len(sse->in) >= FCGI_HEADER_LEN) {
		const unsigned char *header = (unsigned char *)sse->in->buf;
		size_t len = (size_t)header[4] << 8 | header[5], whole = 8 + len + header[6];

		if (buf_len(sse->in) < whole)
			return;
		if (header[1] == FCGI_STDOUT)
			buf_put(sse->plain, sse->in->buf + 8, len);
		else if (header[1] == FCGI_END_REQUEST)
			sse->ended = true;
		drop(sse->in, whole);
	}
}

static void decode_head(struct sse *sse)
{
	const char *end = strstr(sse->plain->buf, "\r\n\r\n");
	const char *encoding;
	size_t len;

	if (end == NULL)
		return;
	len = (size_t)(end - sse->plain->buf) + 4;
	/* A CGI answer starts with a field; the search for fields wants a line before them. */
	ck_assert(asprintf(&sse->head, "%s%.*s", sse->direct ? "\r\n" : "", (int)len,
			   sse->plain->buf) > 0);
	drop(sse->plain, len);
	encoding = sse->direct ? NULL : header_of(sse->head, "Transfer-Encoding");
	sse->chunked = encoding != NULL && strcmp(encoding, "chunked") == 0;
}

/* RFC 9112 section 7.1. */
static void decode_chunks(struct sse *sse)
{
	for (;;) {
		char *line = strstr(sse->plain->buf, "\r\n");
		size_t len, start;

		if (line == NULL)
			return;
		len = strtoul(sse->plain->buf, NULL, 16);
		start = (size_t)(line - sse->plain->buf) + 2;
		if (buf_len(sse->plain) < start + len + 2)
			return;
		if (len == 0) {
			sse->ended = true;
			return;
		}
		buf_put(sse->text, sse->plain->buf + start, len);
		drop(sse->plain, start + len + 2);
	}
}

static void decode(struct sse *sse)
{
	if (sse->direct)
		decode_records(sse);
	else
		move(sse->plain, sse->in);
	if (sse->head == NULL)
		decode_head(sse);
	if (sse->head == NULL)
		return;
	if (sse->chunked)
		decode_chunks(sse);
	else
		move(sse->text, sse->plain);
}

/* Reads what is there. */
static void pump(struct sse *sse)
{
	char piece[65536];
	ssize_t got = -1;

	while (sse->fd >= 0 && (got = read(sse->fd, piece, sizeof piece)) != 0) {
		if (got < 0) {
			if (errno != EAGAIN)
				sse->ended = true;
			break;
		}
		buf_put(sse->in, piece, (size_t)got);
	}
	if (sse->fd >= 0 && got == 0)
		sse->ended = true;
	decode(sse);
}

static bool wait_readable(struct sse *sse, int64_t end)
{
	int64_t left = end - now_ms();

	if (sse->fd < 0 || left < 0)
		return false;
	return poll(&(struct pollfd){.fd = sse->fd, .events = POLLIN}, 1, (int)left) > 0;
}

/* --- events ------------------------------------------------------------------------------- */

static void take_line(struct event *event, char *line)
{
	char *colon = strchr(line, ':'), *value;

	if (colon == NULL || colon == line)
		return;
	*colon = '\0';
	value = colon + 1 + (colon[1] == ' ');
	if (strcmp(line, "event") == 0) {
		event->name = xstrdup(value);
	} else if (strcmp(line, "retry") == 0) {
		event->retry = xstrdup(value);
	} else if (strcmp(line, "data") == 0) {
		ck_assert_msg(event->data == NULL, "more than one line of data: %s", value);
		event->data = xstrdup(value);
	}
}

/* Takes one event off the text; NULL: none is complete. */
static struct event *take_event(struct sse *sse)
{
	char *end;

	while ((end = strstr(sse->text->buf, "\n\n")) != NULL) {
		struct event *event = xcalloc(1, sizeof *event);
		char *block = xstrndup(sse->text->buf, (size_t)(end - sse->text->buf));
		char *rest = block;

		for (char *line; (line = strsep(&rest, "\n")) != NULL;)
			take_line(event, line);
		drop(sse->text, (size_t)(end - sse->text->buf) + 2);
		free(block);
		if (event->data == NULL) {
			free(event); /* a comment, or a hint alone */
			continue;
		}
		event->name = event->name != NULL ? event->name : xstrdup("message");
		event->json = json_tokener_parse(event->data);
		ck_assert_msg(event->json != NULL, "data is no JSON: %s", event->data);
		return event;
	}
	return NULL;
}

struct event *sse_next(struct sse *sse, int ms)
{
	int64_t end = now_ms() + ms;
	struct event *event;

	do {
		pump(sse);
		event = take_event(sse);
	} while (event == NULL && !sse->ended && wait_readable(sse, end));
	return event;
}

struct event *sse_wait(struct sse *sse, const char *name, int ms)
{
	int64_t end = now_ms() + patience(ms);
	struct printbuf *seen = buf_new();

	for (;;) {
		int64_t left = end - now_ms();
		struct event *event = sse_next(sse, left > 0 ? (int)left : 0);

		if (event == NULL)
			ck_abort_msg("no %s within %d ms%s, but: %s%s", name, patience(ms),
				     sse->ended ? " (the stream ended)" : "", seen->buf,
				     sse->text->buf);
		if (strcmp(event->name, name) == 0) {
			printbuf_free(seen);
			return event;
		}
		buf_putf(seen, "%s %s; ", event->name, event->data);
	}
}

struct event *sse_wait_change(struct sse *sse, const char *id, bool online, int ms)
{
	int64_t end = now_ms() + patience(ms);

	for (;;) {
		int64_t left = end - now_ms();
		struct event *event;

		ck_assert_msg(left > 0, "no status_change of user %s to %s within %d ms", id,
			      online ? "online" : "offline", patience(ms));
		event = sse_wait(sse, "status_change", (int)left);
		if (strcmp(json_text(event->json, "user_id"), id) == 0 &&
		    json_object_get_boolean(json_at(event->json, "is_online")) == online)
			return event;
	}
}

struct event *sse_ready(struct sse *sse)
{
	int status = sse_status(sse);

	ck_assert_msg(status == 200, "the stream is answered %d: %s", status, sse->text->buf);
	return sse_wait(sse, "initial", 5000);
}

int sse_status(struct sse *sse)
{
	int64_t end = now_ms() + patience(10000);
	const char *field;

	do
		pump(sse);
	while (sse->head == NULL && !sse->ended && wait_readable(sse, end));
	ck_assert_msg(sse->head != NULL, "no answer%s: '%s'",
		      sse->ended ? ", the connection was closed" : "", sse->plain->buf);
	if (!sse->direct)
		return atoi(sse->head + strlen("HTTP/1.1 "));
	field = header_of(sse->head, "Status");
	return field != NULL ? atoi(field) : 200;
}

const char *sse_header(struct sse *sse, const char *name)
{
	sse_status(sse);
	return header_of(sse->head, name);
}

struct event *sse_expect(struct sse *sse, const char *name, int ms)
{
	struct event *event = sse_next(sse, patience(ms));

	ck_assert_msg(event != NULL, "no event within %d ms, but %s was due", patience(ms), name);
	ck_assert_msg(strcmp(event->name, name) == 0, "%s instead of %s: %s", event->name, name,
		      event->data);
	return event;
}

struct event *sse_wait_degraded(struct sse *sse)
{
	struct event *event = sse_wait(sse, "degraded", 10000);

	CHECK_JSON(event->json, "{'reason':'redis_unavailable'}");
	return event;
}

void sse_wait_bye(struct sse *sse, const char *reason, int ms)
{
	struct event *event = sse_wait(sse, "bye", ms);

	CHECK_JSON(event->json, "{'reason':'<string>'}");
	ck_assert_str_eq(json_text(event->json, "reason"), reason);
	ck_assert_msg(sse_next(sse, 100) == NULL, "an event after bye");
	ck_assert_msg(sse_wait_end(sse, 5000), "the stream goes on after bye");
}

bool sse_wait_end(struct sse *sse, int ms)
{
	int64_t end = now_ms() + patience(ms);

	do
		pump(sse);
	while (!sse->ended && wait_readable(sse, end));
	return sse->ended;
}

bool sse_ended(const struct sse *sse)
{
	return sse->ended;
}

int sse_fd(const struct sse *sse)
{
	return sse->fd;
}

void sse_close(struct sse *sse)
{
	close(sse->fd);
	sse->fd = -1;
}

void sse_abort(struct sse *sse)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(sse->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	sse_close(sse);
}

void check_serves(struct stack *stack)
{
	struct sse *sse;
	int64_t start = now_ms();

	ck_assert_int_eq(kill(stack->streamd[0], 0), 0);
	sse = sse_open_direct(stack, 0, token_for(stack, "6"));
	sse_ready(sse);
	ck_assert_msg(now_ms() - start < patience(1500), "a stream took %lld ms to open",
		      (long long)(now_ms() - start));
	sse_close(sse);
}
