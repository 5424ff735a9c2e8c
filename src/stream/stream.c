#include "stream/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "auth/ticket.h"
#include "base/alloc.h"
#include "base/cgi.h"
#include "base/cors.h"
#include "base/log.h"
#include "base/times.h"
#include "stream/presence.h"

#define REQUEST_TIMEOUT_MS 10000 /* for a request's records to arrive */
#define ENDING_TIMEOUT_MS 5000 /* for the last bytes to be taken */
#define HEARTBEAT_SLOTS 60 /* in one heartbeat; those of a slot are one turn of the loop */
#define READ_SIZE 16384
#define PATH_MAX_LEN 2048
#define STREAM_PATH "/presence/stream"
#define METHODS "GET, OPTIONS"

static void on_io(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);

/* --- time ------------------------------------------------------------------------------------ */

/* When the token's end is due, by this host's clock; one in its leeway gets that. */
static int64_t ms_to_expiry(const struct stream *stream)
{
	int64_t left = stream->exp * 1000 - times_wall_ms();

	return left > 0 ? left : left + (int64_t)stream->server->config->auth.leeway * 1000;
}

/* Sets the stream's one timer to whatever comes first. */
static void arm(struct stream *stream)
{
	int64_t now = times_mono_ms(), wait = INT64_MAX;
	struct timeval after;

	if (stream->deadline_ms != 0)
		wait = stream->deadline_ms - now;
	if (stream->phase == PHASE_OPEN) {
		int64_t expiry = ms_to_expiry(stream);

		if (stream->heartbeat_ms - now < wait)
			wait = stream->heartbeat_ms - now;
		if (expiry < wait)
			wait = expiry;
	}
	if (wait == INT64_MAX) {
		event_del(&stream->timer);
		return;
	}
	if (wait < 0)
		wait = 0;
	after.tv_sec = wait / 1000;
	after.tv_usec = wait % 1000 * 1000;
	event_add(&stream->timer, &after);
}

static void set_deadline(struct stream *stream, int64_t ms)
{
	stream->deadline_ms = times_mono_ms() + ms;
	arm(stream);
}

/* --- birth and death ------------------------------------------------------------------------- */

/* What a connection has before each request. */
static void await_request(struct stream *stream)
{
	stream->phase = PHASE_REQUEST;
	stream->generation = ++stream->server->next_generation;
	set_deadline(stream, REQUEST_TIMEOUT_MS);
}

struct stream *stream_new(struct server *server, int fd)
{
	struct stream *stream = xcalloc(1, sizeof *stream);

	stream->server = server;
	stream->fd = fd;
	fcgi_conn_init(&stream->fcgi);
	event_assign(&stream->io, server->base, fd, EV_READ | EV_PERSIST, on_io, stream);
	event_assign(&stream->timer, server->base, -1, 0, on_timer, stream);
	event_add(&stream->io, NULL);
	TAILQ_INSERT_TAIL(&server->connections, stream, connection);
	server->connection_count++;
	await_request(stream);
	return stream;
}

/* Counts the stream, here and among all processes; false when there is no place. */
static bool take_place(struct stream *stream)
{
	struct server *server = stream->server;

	if (server->stream_count >= server->max_streams)
		return false;
	if (server->slots != NULL) {
		stream->slot =
			slots_take(server->slots, (unsigned)server->config->stream.max_streams);
		if (stream->slot < 0)
			return false;
	}
	server->stream_count++;
	stream->phase = PHASE_TICKET;
	return true;
}

static void give_place(struct stream *stream)
{
	if (stream->server->slots != NULL)
		slots_give(stream->server->slots, stream->slot);
	stream->server->stream_count--;
}

/* Leaves Redis, the hub and the directory; the connection stays. */
static void leave(struct stream *stream)
{
	if (stream->phase > PHASE_REQUEST && stream->phase < PHASE_ENDING)
		give_place(stream);
	if (stream->call != NULL)
		directory_cancel(stream->call);
	stream->call = NULL;
	presence_close(stream);
	outbox_clear(&stream->held);
	free(stream->tok);
	free(stream->fields);
	stream->tok = stream->fields = NULL;
}

void stream_destroy(struct stream *stream)
{
	struct server *server = stream->server;

	leave(stream);
	outbox_clear(&stream->outbox);
	fcgi_conn_clear(&stream->fcgi);
	event_del(&stream->io);
	event_del(&stream->timer);
	close(stream->fd);
	if (stream->is_dirty)
		TAILQ_REMOVE(&server->dirty, stream, dirty);
	TAILQ_REMOVE(&server->connections, stream, connection);
	server->connection_count--;
	free(stream);
	server_connection_closed(server);
}

/* --- sending --------------------------------------------------------------------------------- */

static void make_dirty(struct stream *stream)
{
	if (stream->is_dirty || stream->blocked)
		return;
	stream->is_dirty = true;
	TAILQ_INSERT_TAIL(&stream->server->dirty, stream, dirty);
	server_want_turn(stream->server);
}

void stream_send(struct stream *stream, struct frame *frame)
{
	if (!stream->blocked && stream->outbox.count == 0)
		stream->progress_ms = times_mono_ms();
	outbox_push(&stream->outbox, frame);
	stream->unpadded = true;
	make_dirty(stream);
}

static void send_text(struct stream *stream, const struct printbuf *text)
{
	struct frame *frame = frame_new(text->buf, buf_len(text));

	stream_send(stream, frame);
	frame_unref(frame);
}

static bool fits(const struct stream *stream, size_t len)
{
	size_t waiting = stream->outbox.bytes + stream->held.bytes;

	if (stream->server->padding != NULL)
		waiting -= outbox_left_of_first(&stream->outbox, stream->server->padding);
	return waiting == 0 || waiting + len <= (size_t)stream->server->config->stream.queue_limit;
}

/* Whether there is room for one more frame; if not, what waits is dropped for a later `initial`. */
static bool has_room(struct stream *stream, size_t len)
{
	bool progress;

	if (stream->resync)
		return false;
	if (fits(stream, len))
		return true;
	/* Much came in this turn: only what the socket does not take now makes a slow reader. */
	if (!stream->blocked &&
	    outbox_send(&stream->outbox, stream->fd, stream->fcgi.request_id, &progress) ==
		    OUTBOX_EMPTY &&
	    fits(stream, len))
		return true;
	stream->resync = true;
	stream->server->resynced++;
	outbox_drop_unsent(&stream->outbox);
	outbox_clear(&stream->held);
	return false;
}

void stream_deliver(struct stream *stream, struct frame *frame)
{
	/* Before the snapshot is asked for, it will hold this change. */
	if (stream->phase != PHASE_OPEN || stream->snapshot < SNAPSHOT_ASKED ||
	    !has_room(stream, frame->len))
		return;
	if (stream->snapshot == SNAPSHOT_ASKED)
		outbox_push(&stream->held, frame);
	else
		stream_send(stream, frame);
}

static void set_blocked(struct stream *stream, bool blocked)
{
	short what = EV_READ | EV_PERSIST | (blocked ? EV_WRITE : 0);

	if (stream->blocked == blocked)
		return;
	stream->blocked = blocked;
	event_del(&stream->io);
	event_assign(&stream->io, stream->server->base, stream->fd, what, on_io, stream);
	event_add(&stream->io, NULL);
}

/*
 * The outbox is empty: pushes what was sent out of a web server that collects some
 * bytes first. Only now, so that no more than one padding ever waits, as the first frame.
 */
static enum outbox_result send_padding(struct stream *stream)
{
	bool progress;

	stream->unpadded = false;
	outbox_push(&stream->outbox, stream->server->padding);
	return outbox_send(&stream->outbox, stream->fd, stream->fcgi.request_id, &progress);
}

void stream_flush(struct stream *stream)
{
	enum outbox_result result;
	bool progress;

	if (stream->is_dirty)
		TAILQ_REMOVE(&stream->server->dirty, stream, dirty);
	stream->is_dirty = false;
	result = outbox_send(&stream->outbox, stream->fd, stream->fcgi.request_id, &progress);
	if (result == OUTBOX_EMPTY && stream->server->padding != NULL && stream->unpadded &&
	    stream->phase == PHASE_OPEN)
		result = send_padding(stream);
	if (result == OUTBOX_ERROR) {
		stream_destroy(stream);
		return;
	}
	set_blocked(stream, result == OUTBOX_BLOCKED);
	if (progress)
		stream->progress_ms = times_mono_ms();
	if (result == OUTBOX_BLOCKED)
		return;
	if (stream->phase == PHASE_ENDING) {
		if (!stream->fcgi.keep_conn || stream->server->draining) {
			/* A web server that is still writing the request would take a closed
			 * connection for an error and drop our answer. */
			if (stream->fcgi.request_id == 0 || stream->fcgi.stdin_done)
				stream_destroy(stream);
			return;
		}
		fcgi_conn_finish(&stream->fcgi);
		await_request(stream);
	} else if (stream->resync && stream->snapshot != SNAPSHOT_ASKED) {
		stream->resync = false;
		presence_want_snapshot(stream);
	}
}

/* --- the ends of a stream -------------------------------------------------------------------- */

/* The request is over: what is in the outbox goes out, and then the connection's next request. */
static void finish(struct stream *stream)
{
	struct printbuf *end = stream->server->scratch;
	struct frame *frame;

	leave(stream);
	buf_reset(end);
	fcgi_put_end(end, stream->fcgi.request_id);
	frame = frame_of_records(end->buf, buf_len(end));
	stream_send(stream, frame);
	frame_unref(frame);
	stream->phase = PHASE_ENDING;
	set_deadline(stream, ENDING_TIMEOUT_MS);
}

void stream_refuse(struct stream *stream, enum problem_kind kind, const char *detail)
{
	struct problem problem = {.kind = kind, .detail = detail};
	struct printbuf *text = stream->server->scratch;

	if (kind == PROBLEM_METHOD_NOT_ALLOWED)
		problem.allow = METHODS;
	buf_reset(text);
	problem_put(text, &problem, stream->fields != NULL ? stream->fields : "");
	send_text(stream, text);
	finish(stream);
}

void stream_end(struct stream *stream, const char *reason)
{
	struct printbuf *text = stream->server->scratch;
	char data[64];

	if (stream->phase != PHASE_OPEN) {
		stream_refuse(stream, PROBLEM_SHUTTING_DOWN, NULL);
		return;
	}
	/* A reader that is behind gets the reason, not what it missed. */
	if (stream->resync)
		outbox_drop_unsent(&stream->outbox);
	snprintf(data, sizeof data, "{\"reason\":\"%s\"}", reason);
	buf_reset(text);
	events_put(text, "bye", data, strlen(data));
	send_text(stream, text);
	finish(stream);
}

void stream_end_later(struct stream *stream, int64_t delay_ms)
{
	if (stream->phase == PHASE_ENDING)
		return;
	set_deadline(stream, delay_ms);
}

/* --- the request ----------------------------------------------------------------------------- */

static void on_friends(void *arg, enum directory_result result, struct friends *friends)
{
	struct stream *stream = arg;

	stream->call = NULL;
	if (stream->phase != PHASE_DIRECTORY) {
		/* What is known stays until the directory answers, to the next heartbeat. */
		if (result == DIRECTORY_OK)
			presence_update_friends(stream, friends);
		else
			stream->deaf = true;
	} else if (result == DIRECTORY_OK) {
		presence_open(stream, friends);
	} else {
		stream_refuse(stream, PROBLEM_DIRECTORY_UNAVAILABLE, NULL);
	}
	friends_free(friends);
}

void stream_ask_friends(struct stream *stream)
{
	struct server *server = stream->server;

	if (stream->call != NULL)
		directory_cancel(stream->call);
	stream->call = directory_ask_friends(server->directory, &stream->user, on_friends, stream);
	if (stream->call == NULL && stream->phase >= PHASE_OPENING)
		stream->deaf = true;
	if (stream->phase != PHASE_INBOX)
		return;
	stream->phase = PHASE_DIRECTORY;
	set_deadline(stream, server->config->directory.timeout_ms);
	if (stream->call == NULL)
		stream_refuse(stream, PROBLEM_DIRECTORY_UNAVAILABLE, NULL);
}

/* Path and method; the first thing that is wrong, or PROBLEM_NONE. */
static enum problem_kind check_request(const struct server *server, char *const *env,
				       const char **why)
{
	const char *base = server->config->http.base, *method = cgi_param(env, "REQUEST_METHOD");
	char path[PATH_MAX_LEN];

	if (method == NULL || !cgi_path(env, path, sizeof path)) {
		*why = "REQUEST_METHOD and REQUEST_URI are required";
		return PROBLEM_BAD_REQUEST;
	}
	if (strncmp(path, base, strlen(base)) != 0 || strcmp(path + strlen(base), STREAM_PATH) != 0)
		return PROBLEM_NOT_FOUND;
	if (strcmp(method, "GET") != 0)
		return PROBLEM_METHOD_NOT_ALLOWED;
	if (server->draining)
		return PROBLEM_SHUTTING_DOWN;
	return PROBLEM_NONE;
}

void stream_admit(struct stream *stream, const struct token *token)
{
	stream->user = token->user;
	stream->tok = xstrdup(token->name);
	memcpy(stream->session_id, token->session_id, sizeof stream->session_id);
	stream->iat = token->issued;
	stream->exp = token->exp;
	random_word(stream->word);
	if (ms_to_expiry(stream) <= 0) /* of a ticket: a token was checked just now */
		stream_refuse(stream, PROBLEM_TOKEN_EXPIRED, NULL);
	else
		presence_listen(stream);
}

/* Who it is: a token, or a ticket that Redis is asked about. */
static void authenticate(struct stream *stream, char *const *env)
{
	struct server *server = stream->server;
	char ticket[TICKET_LEN + 1];
	struct token token;
	const char *why;
	enum problem_kind wrong =
		credentials_verify(server->keys, env, times_wall_ms(), &token, &why);

	if (wrong == PROBLEM_NONE)
		stream_admit(stream, &token);
	else if (wrong != PROBLEM_TOKEN_MISSING ||
		 cgi_query_get(env, "ticket", ticket, sizeof ticket) == CGI_QUERY_ABSENT)
		stream_refuse(stream, wrong, why);
	else if (!ticket_is_valid(ticket))
		stream_refuse(stream, PROBLEM_TICKET_INVALID, NULL);
	else if (!link_is_up(server->link))
		stream_refuse(stream, PROBLEM_REDIS_UNAVAILABLE, NULL);
	else
		presence_take_ticket(stream, ticket);
}

/* The CORS fields that every answer to this request carries. */
static char *cors_fields(const struct server *server, const char *origin)
{
	struct printbuf *fields;

	if (server->config->cors.allow_origins[0] == '\0')
		return NULL;
	fields = buf_new();
	cors_put_fields(fields, server->config->cors.allow_origins, origin);
	return buf_take(fields, NULL);
}

static void answer_options(struct stream *stream, const char *origin, const char *requested)
{
	struct printbuf *text = stream->server->scratch;

	buf_reset(text);
	cors_put_options(text, stream->server->config->cors.allow_origins, origin, requested,
			 METHODS);
	send_text(stream, text);
	finish(stream);
}

static void on_request(struct stream *stream)
{
	struct server *server = stream->server;
	char **env = fcgi_conn_take_params(&stream->fcgi);
	const char *why = NULL, *origin = cgi_param(env, "HTTP_ORIGIN");
	enum problem_kind wrong = check_request(server, env, &why);

	stream->deadline_ms = 0;
	event_del(&stream->timer);
	stream->fields = cors_fields(server, origin);
	if (wrong == PROBLEM_METHOD_NOT_ALLOWED &&
	    strcmp(cgi_param(env, "REQUEST_METHOD"), "OPTIONS") == 0)
		answer_options(stream, origin,
			       cgi_param(env, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"));
	else if (wrong != PROBLEM_NONE)
		stream_refuse(stream, wrong, why);
	else if (!take_place(stream))
		stream_refuse(stream, PROBLEM_SERVER_FULL, NULL);
	else
		authenticate(stream, env);
	free(env);
}

/* --- the open stream ------------------------------------------------------------------------- */

/* max_lifetime +- 20 %, so that streams opened together do not end together. */
static int64_t lifetime_ms(const struct config *config)
{
	int64_t seconds = config->stream.max_lifetime;

	return seconds * 800 +
	       random_below(
		       (unsigned)(seconds * 400 < UINT32_MAX ? seconds * 400 + 1 : UINT32_MAX));
}

static void put_connected(struct printbuf *text, const struct stream *stream)
{
	const struct config *config = stream->server->config;
	struct printbuf *data = buf_new();
	char now[TIMES_LEN + 1];

	times_format(times_wall_ms() / 1000, now);
	buf_puts(data, "{\"user_id\":");
	userid_put_json(data, &stream->user);
	buf_putf(data, ",\"session_id\":\"%s\",\"heartbeat\":%d,\"server_time\":\"%s\"}",
		 stream->session_id, config->presence.heartbeat, now);
	buf_putf(text, "retry: %d\n",
		 config->stream.retry_ms / 2 +
			 (int)random_below((unsigned)config->stream.retry_ms + 1));
	events_put(text, "connected", data->buf, buf_len(data));
	printbuf_free(data);
}

void stream_open(struct stream *stream)
{
	const struct config *config = stream->server->config;
	struct printbuf *text = stream->server->scratch;
	int64_t heartbeat = (int64_t)config->presence.heartbeat * 1000;
	static const char degraded[] = "{\"reason\":\"redis_unavailable\"}";

	buf_reset(text);
	buf_puts(text, "Status: 200 OK\r\nContent-Type: text/event-stream\r\n"
		       "Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n");
	buf_puts(text, stream->fields != NULL ? stream->fields : "");
	buf_puts(text, "\r\n");
	put_connected(text, stream);
	stream->degraded = !link_is_up(stream->server->link);
	if (stream->degraded)
		events_put(text, "degraded", degraded, sizeof degraded - 1);
	send_text(stream, text);
	stream->phase = PHASE_OPEN;
	/* A little early rather than alone: what is due together is one call of the script. */
	stream->heartbeat_ms = times_mono_ms() + heartbeat;
	stream->heartbeat_ms -= stream->heartbeat_ms % (heartbeat / HEARTBEAT_SLOTS);
	stream->deadline_ms = 0;
	if (config->stream.max_lifetime > 0)
		stream->deadline_ms = times_mono_ms() + lifetime_ms(config);
	/* Its share of `drain` is over or was never told: the goodbye comes next. */
	if (stream->server->draining)
		stream->deadline_ms = times_mono_ms();
	arm(stream);
}

/* This second's heartbeat event, the same frame for all streams. */
static struct frame *heartbeat_frame(struct server *server)
{
	int64_t second = times_wall_ms() / 1000;
	char when[TIMES_LEN + 1], data[64];

	if (server->heartbeat != NULL && server->heartbeat_second == second)
		return server->heartbeat;
	frame_unref(server->heartbeat);
	times_format(second, when);
	snprintf(data, sizeof data, "{\"time\":\"%s\"}", when);
	server->heartbeat = events_frame("heartbeat", data, strlen(data));
	server->heartbeat_second = second;
	return server->heartbeat;
}

/* False when the stream was destroyed. */
static bool beat(struct stream *stream, int64_t now)
{
	int64_t heartbeat = (int64_t)stream->server->config->presence.heartbeat * 1000;
	struct frame *frame;

	if (stream->blocked && now - stream->progress_ms >= 2 * heartbeat) {
		log_info("stream of user %s: closed, reads nothing", stream->user.text);
		stream_destroy(stream);
		return false;
	}
	frame = heartbeat_frame(stream->server);
	if (has_room(stream, frame->len))
		stream_send(stream, frame);
	presence_renew(stream);
	/* Behind a gap, all streams ask again, but not all at once. */
	if (stream->deaf && stream->subscribed)
		stream_ask_friends(stream);
	/* Not from now: the rhythm stays even when the timer was late. */
	stream->heartbeat_ms += heartbeat;
	if (stream->heartbeat_ms <= now)
		stream->heartbeat_ms = now + heartbeat;
	return true;
}

static void on_open_timer(struct stream *stream, int64_t now)
{
	if (stream->deadline_ms != 0 && stream->deadline_ms <= now) {
		stream_end(stream, stream->server->draining ? "shutdown" : "lifetime");
		return;
	}
	if (ms_to_expiry(stream) <= 0) {
		stream_end(stream, "token_expired");
		return;
	}
	if (stream->heartbeat_ms <= now && !beat(stream, now))
		return;
	arm(stream);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream *stream = arg;
	int64_t now = times_mono_ms();

	(void)fd;
	(void)what;
	switch (stream->phase) {
	case PHASE_REQUEST:
	case PHASE_ENDING:
		stream_destroy(stream);
		return;
	case PHASE_DIRECTORY:
		stream_refuse(stream,
			      stream->server->draining ? PROBLEM_SHUTTING_DOWN
						       : PROBLEM_DIRECTORY_UNAVAILABLE,
			      NULL);
		return;
	case PHASE_TICKET:
	case PHASE_INBOX:
	case PHASE_OPENING:
		stream_refuse(stream,
			      stream->server->draining ? PROBLEM_SHUTTING_DOWN
						       : PROBLEM_REDIS_UNAVAILABLE,
			      NULL);
		return;
	case PHASE_OPEN:
		on_open_timer(stream, now);
		return;
	}
}

/* --- the socket ------------------------------------------------------------------------------ */

/* Feeds bytes to the codec; false when the stream was destroyed. */
static bool feed(struct stream *stream, const uint8_t *data, size_t len)
{
	struct printbuf *reply = stream->server->scratch;
	size_t used = 0;

	while (used < len) {
		size_t step = 0;
		enum fcgi_event event;

		buf_reset(reply);
		event = fcgi_conn_feed(&stream->fcgi, stream->server->max_streams, data + used,
				       len - used, &step, reply);
		used += step;
		if (buf_len(reply) > 0) {
			struct frame *frame = frame_of_records(reply->buf, buf_len(reply));

			/* Nobody who reads our answers asks this often. */
			if (stream->outbox.bytes > FCGI_PARAMS_LIMIT && stream->phase != PHASE_OPEN)
				event = FCGI_EVENT_BROKEN;
			stream_send(stream, frame);
			frame_unref(frame);
		}
		if (event == FCGI_EVENT_BROKEN) {
			stream_destroy(stream);
			return false;
		}
		if (stream->phase == PHASE_ENDING && stream->fcgi.stdin_done)
			make_dirty(stream);
		if (event == FCGI_EVENT_CLOSE) {
			stream->fcgi.keep_conn = false;
			stream->phase = PHASE_ENDING;
			make_dirty(stream);
		} else if (event == FCGI_EVENT_REQUEST) {
			on_request(stream);
		} else if (event == FCGI_EVENT_ABORT && stream->phase != PHASE_ENDING) {
			finish(stream);
		}
	}
	return true;
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	static uint8_t data[READ_SIZE];
	struct stream *stream = arg;
	ssize_t len;

	if (what & EV_READ) {
		len = recv(fd, data, sizeof data, 0);
		if (len == 0 && stream->phase == PHASE_OPEN) {
			/* lighttpd tells of a browser that left by a half-close, and would log the
			 * URL, token and all, of a request whose end does not come. */
			stream->fcgi.keep_conn = false;
			finish(stream);
			return;
		}
		if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR)) {
			stream_destroy(stream);
			return;
		}
		if (len > 0 && !feed(stream, data, (size_t)len))
			return;
	}
	if (what & EV_WRITE)
		stream_flush(stream);
}
