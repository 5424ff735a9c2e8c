/* HTTP/1.1 on one epoll: streams and calls, of all clients, in one process. */
#include "chaos.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"

#define EVENTS 256
#define ANSWER_LIMIT 15000 /* a call without an answer for so long is given up (stretched) */
#define RECEIVE_BUFFER 16384
#define STALL 1000 /* a turn that takes so long proves nothing about others' time limits */

/* --- connections ----------------------------------------------------------------------------- */

static void on_ready(struct source *source, uint32_t events);

static void watch(struct conn *conn, int operation)
{
	struct epoll_event event = {.data.ptr = &conn->source};

	if (!conn->paused)
		event.events |= EPOLLIN;
	if (conn->request != NULL)
		event.events |= EPOLLOUT;
	epoll_ctl(conn->chaos->epoll, operation, conn->fd, &event);
}

/* A child that was just forked may still hold the socket: closing alone does not end its events. */
static void close_socket(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	epoll_ctl(conn->chaos->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
	close(conn->fd);
	conn->fd = -1;
}

static void clear(struct conn *conn)
{
	close_socket(conn);
	reader_clear(&conn->reader);
	if (conn->request != NULL)
		printbuf_free(conn->request);
	conn->request = NULL;
	conn->paused = false;
}

void conn_start(struct conn *conn, int port, struct printbuf *request)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((uint16_t)port)};

	clear(conn);
	conn->source.ready = on_ready;
	conn->reader = (struct reader){.in_head = true};
	conn->request = request;
	conn->started = now_ms();
	conn->last_read = 0;
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_msg(conn->fd >= 0, "no socket: %s", strerror(errno));
	/* So that one who reads nothing is noticed. */
	setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &(int){RECEIVE_BUFFER}, sizeof(int));
	/* What fails at once is told as what fails later is: by the next turn. */
	connect(conn->fd, (struct sockaddr *)&name, sizeof name);
	watch(conn, EPOLL_CTL_ADD);
}

void conn_close(struct conn *conn)
{
	clear(conn);
}

void conn_abort(struct conn *conn)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (conn->fd >= 0)
		setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	clear(conn);
}

void conn_pause(struct conn *conn, bool paused)
{
	if (conn->fd < 0 || conn->paused == paused)
		return;
	conn->paused = paused;
	watch(conn, EPOLL_CTL_MOD);
}

struct ghost {
	int fd;
	bool comes_back;
	struct ghost *next;
};

/* A socket that takes no packet in answers none. */
void conn_vanish(struct conn *conn, bool comes_back)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {1, &drop};
	struct ghost *ghost;

	if (conn->fd < 0)
		return;
	ghost = xcalloc(1, sizeof *ghost);
	ck_assert_int_eq(
		setsockopt(conn->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
	epoll_ctl(conn->chaos->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
	*ghost = (struct ghost){conn->fd, comes_back, conn->chaos->ghosts};
	conn->chaos->ghosts = ghost;
	conn->fd = -1;
	clear(conn);
}

void conns_come_back(struct chaos *chaos, bool all)
{
	struct ghost **at = &chaos->ghosts;

	while (*at != NULL) {
		struct ghost *ghost = *at;

		if (!ghost->comes_back && !all) {
			at = &ghost->next;
			continue;
		}
		setsockopt(ghost->fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int));
		close(ghost->fd);
		*at = ghost->next;
		free(ghost);
	}
}

static void end(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	close_socket(conn);
	conn->on_end(conn);
}

/* A request is shorter than a socket's buffer. */
static void send_request(struct conn *conn)
{
	ssize_t sent = send(conn->fd, conn->request->buf, buf_len(conn->request), MSG_NOSIGNAL);

	if (sent != (ssize_t)buf_len(conn->request)) {
		end(conn);
		return;
	}
	printbuf_free(conn->request);
	conn->request = NULL;
	watch(conn, EPOLL_CTL_MOD);
}

static void receive(struct conn *conn)
{
	static char data[65536];
	ssize_t got = recv(conn->fd, data, sizeof data, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		end(conn);
		return;
	}
	conn->last_read = now_ms();
	reader_feed(&conn->reader, data, (size_t)got, conn->on_line, conn->owner);
}

static void on_ready(struct source *source, uint32_t events)
{
	struct conn *conn = (struct conn *)source;

	if (conn->fd >= 0 && conn->request != NULL && (events & EPOLLOUT))
		send_request(conn);
	if (conn->fd >= 0 && !conn->paused && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		receive(conn);
	else if (conn->fd >= 0 && conn->paused && (events & (EPOLLHUP | EPOLLERR)))
		end(conn);
}

void conn_turn(struct chaos *chaos, int64_t until)
{
	struct epoll_event events[EVENTS];
	int64_t now = now_ms(), wait = until - now;
	int count;

	if (chaos->turned_at != 0 && now - chaos->turned_at > STALL)
		chaos->stalled_until = now + STREAM_TTL;
	chaos->turned_at = now;
	tap_drain(chaos);
	/* Short, so that between two looks at the tap little can happen. */
	wait = wait < 0 ? 0 : wait > 10 ? 10 : wait;
	count = epoll_wait(chaos->epoll, events, EVENTS, (int)wait);
	for (int i = 0; i < count && !chaos->over; i++)
		((struct source *)events[i].data.ptr)->ready(events[i].data.ptr, events[i].events);
	calls_free_done(chaos);
}

/* --- calls ----------------------------------------------------------------------------------- */

static void on_call_line(void *owner, const char *line, size_t len)
{
	/* Bodies are one line without an end: what has one is some web server's page. */
	(void)owner;
	(void)line;
	(void)len;
}

static void finish(struct call *call, int status)
{
	const struct reader *reader = &call->conn.reader;
	char *body =
		reader->carry != NULL ? xstrndup(reader->carry, reader->carry_len) : xstrdup("");

	call->status = status;
	call->body = body;
	if (call->device != NULL)
		chaos_note(call->device->user, "a call of device %d, sent %lld ms ago: %d",
			   (int)(call->device - call->device->user->devices),
			   (long long)(now_ms() - call->sent), status);
	properties_answered(call->conn.chaos, call);
	call->done(call);
	call->body = NULL;
	free(body);
	conn_close(&call->conn);
	call->done = NULL;
}

static void on_call_end(struct conn *conn)
{
	finish(conn->owner, conn->reader.in_head ? 0 : conn->reader.status);
}

static struct printbuf *request_of(const char *method, const char *token, const char *path,
				   const char *body)
{
	struct printbuf *request = buf_new();

	buf_putf(request, "%s /api%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method,
		 path);
	if (token != NULL)
		buf_putf(request, "Authorization: Bearer %s\r\n", token);
	if (body != NULL)
		buf_putf(request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			 strlen(body));
	buf_putf(request, "\r\n%s", body != NULL ? body : "");
	return request;
}

static struct call *call_new(struct chaos *chaos, const char *token, void (*done)(struct call *))
{
	struct call *call = xcalloc(1, sizeof *call);

	call->conn = (struct conn){.chaos = chaos,
				   .fd = -1,
				   .on_line = on_call_line,
				   .on_end = on_call_end,
				   .owner = call};
	call->token = token != NULL ? xstrdup(token) : NULL;
	call->sent = now_ms();
	call->idle = -1;
	call->done = done;
	call->next = chaos->calls;
	chaos->calls = call;
	chaos->result->calls++;
	return call;
}

static const char *method_for(const char *body)
{
	return body != NULL ? "POST" : "GET";
}

static struct call *send_call(struct chaos *chaos, struct device *device, const char *method,
			      const char *token, const char *path, const char *body,
			      void (*done)(struct call *call))
{
	struct call *call = call_new(chaos, token, done);
	unsigned index = (unsigned)(device - device->user->devices);
	int host;

	call->device = device;
	call->serial = device->serial;
	stand_host_of(chaos, device->user->id + index, &host);
	conn_start(&call->conn, chaos->stand.hosts[host].port,
		   request_of(method, token, path, body));
	return call;
}

struct call *call_start_with(struct chaos *chaos, struct device *device, const char *token,
			     const char *path, const char *body, void (*done)(struct call *call))
{
	return send_call(chaos, device, method_for(body), token, path, body, done);
}

struct call *call_start_method(struct chaos *chaos, struct device *device, const char *method,
			       const char *path, const char *body, void (*done)(struct call *call))
{
	return send_call(chaos, device, method, device->token, path, body, done);
}

struct call *call_start(struct chaos *chaos, struct device *device, const char *path,
			const char *body, void (*done)(struct call *call))
{
	struct call *call;
	bool is_activity = device->token != NULL && !device->logging_out;

	if (is_activity)
		model_activity_in_doubt(device);
	call = call_start_with(chaos, device, device->token, path, body, done);
	call->is_activity = is_activity;
	return call;
}

struct waiting {
	int status;
	char *body;
	bool done;
};

static void on_waited(struct call *call)
{
	struct waiting *waiting = call->arg;

	waiting->status = call->status;
	waiting->body = xstrdup(call->body);
	waiting->done = true;
}

int call_wait(struct chaos *chaos, const char *token, const char *path, const char *body,
	      char **answer)
{
	struct waiting waiting = {0};
	struct call *call = call_new(chaos, token, on_waited);
	int host;

	call->arg = &waiting;
	stand_host_of(chaos, 0, &host);
	conn_start(&call->conn, chaos->stand.hosts[host].port,
		   request_of(method_for(body), token, path, body));
	while (!waiting.done && !chaos->over) {
		conn_turn(chaos, now_ms() + 10);
		calls_give_up_late(chaos);
	}
	*answer = waiting.body != NULL ? waiting.body : xstrdup("");
	return waiting.status;
}

void calls_give_up_late(struct chaos *chaos)
{
	int64_t limit = now_ms() - patience(ANSWER_LIMIT);

	for (struct call *call = chaos->calls; call != NULL; call = call->next) {
		if (call->done != NULL && call->sent < limit)
			finish(call, 0);
	}
}

void calls_free_done(struct chaos *chaos)
{
	struct call **at = &chaos->calls;

	while (*at != NULL) {
		struct call *call = *at;

		if (call->done != NULL) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		free((char *)call->token);
		free(call);
	}
}
