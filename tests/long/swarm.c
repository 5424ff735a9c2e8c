#include "swarm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../bench/bench.h"
#include "../integration/wire.h"
#include "base/alloc.h"

#define STREAM_PATH "/api/presence/stream"
#define EVENTS 512
#define BACKOFF_MAX_MS 30000
#define RETRY_MS 2000 /* before a server has given its hint */
#define BATCH 1000 /* commands in one pipeline */
#define LOOK_MS 5 /* between two looks for who is due */

/* --- one client --------------------------------------------------------------------------- */

static void set_state(struct client *client, enum client_state state)
{
	struct swarm *swarm = client->swarm;

	swarm->opening -= client->state == CLIENT_OPENING;
	swarm->ready -= client->state == CLIENT_READY;
	swarm->waiting -= client->state == CLIENT_WAITING;
	client->state = state;
	swarm->opening += state == CLIENT_OPENING;
	swarm->ready += state == CLIENT_READY;
	swarm->waiting += state == CLIENT_WAITING;
}

static const char *target_of(const struct client *client)
{
	return client->swarm->targets[client->user % client->swarm->target_count];
}

static bool is_fcgi(const struct client *client)
{
	return strncmp(target_of(client), "unix:", 5) == 0;
}

static void make_request(struct client *client)
{
	struct printbuf *text = buf_new();
	char id[16];
	const char *token;

	snprintf(id, sizeof id, "%u", client->user);
	token = token_for(client->swarm->stack, id);
	if (is_fcgi(client))
		wire_stream_request(text, STREAM_PATH, token);
	else
		buf_putf(text,
			 "GET " STREAM_PATH " HTTP/1.1\r\nHost: localhost\r\n"
			 "Accept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n",
			 token);
	client->request = buf_take(text, &client->request_len);
	free((char *)token);
}

static void hang_up(struct client *client)
{
	/* An RST: no socket in TIME_WAIT for each of a million. */
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (client->fd < 0)
		return;
	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	close(client->fd);
	client->fd = -1;
	reader_clear(&client->reader);
}

void client_close(struct client *client)
{
	hang_up(client);
	set_state(client, CLIENT_CLOSED);
}

/* Lost, refused or not answered: as an EventSource with back-off, or never again. */
static void come_back(struct client *client)
{
	int wait = client->retry_ms;

	hang_up(client);
	if (!client->swarm->comes_back) {
		set_state(client, CLIENT_CLOSED);
		return;
	}
	for (int i = 0; i < client->failures && wait < BACKOFF_MAX_MS; i++)
		wait *= 2;
	if (wait > BACKOFF_MAX_MS)
		wait = BACKOFF_MAX_MS;
	/* The hint is jittered by the server already; a repeated one is so by us. */
	if (client->failures > 0)
		wait = wait / 2 + (int)(random() % (wait / 2 + 1));
	client->failures++;
	client->due_ms = now_ms() + wait;
	set_state(client, CLIENT_WAITING);
}

bool client_open(struct client *client)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
	int fd = bench_connect(target_of(client));

	if (fd < 0 && errno == EAGAIN)
		return false;
	if (fd < 0) { /* nobody listens just now */
		come_back(client);
		return true;
	}
	client->fd = fd;
	memset(&client->reader, 0, sizeof client->reader);
	client->reader.in_head = true;
	client->reader.framing = is_fcgi(client) ? FRAMING_FCGI : FRAMING_PLAIN;
	client->in_initial = client->in_change = false;
	ck_assert_int_eq(epoll_ctl(client->swarm->epoll, EPOLL_CTL_ADD, fd, &event), 0);
	set_state(client, CLIENT_OPENING);
	return true;
}

static void on_change(struct client *client, const char *line, size_t len)
{
	static const char name[] = "\"version\":";
	const char *at = memmem(line, len, name, sizeof name - 1);
	long long version = at != NULL ? strtoll(at + sizeof name - 1, NULL, 10) : 0;

	client->went_back |= version < client->version;
	client->version = version;
	client->changes++;
	client->swarm->changes++;
}

static void on_line(void *arg, const char *line, size_t len)
{
	static const char initial[] = "event: initial", change[] = "event: status_change";
	struct client *client = arg;

	if (client->in_initial) {
		client->in_initial = false;
		client->failures = 0;
		client->opened++;
		client->swarm->initials++;
		if (client->state != CLIENT_READY)
			set_state(client, CLIENT_READY);
		return;
	}
	if (client->in_change)
		on_change(client, line, len);
	client->in_initial = len == sizeof initial - 1 && memcmp(line, initial, len) == 0;
	client->in_change = len == sizeof change - 1 && memcmp(line, change, len) == 0;
	if (len > 7 && len < 16 && memcmp(line, "retry: ", 7) == 0)
		client->retry_ms = atoi(line + 7);
}

static void read_client(struct client *client)
{
	static char data[65536];
	struct swarm *swarm = client->swarm;
	ssize_t got = recv(client->fd, data, sizeof data, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		reader_feed(&client->reader, data, (size_t)got, on_line, client);
		if (client->reader.in_head || client->reader.status == 200)
			return;
		ck_assert_msg(client->reader.status == 503 || client->reader.status == 429 ||
				      (client->reader.status >= 500 && swarm->comes_back),
			      "user %u: status %d", client->user, client->reader.status);
		swarm->refused++;
		swarm->refusal = client->reader.status;
	} else {
		swarm->lost++;
	}
	come_back(client);
}

static void write_client(struct client *client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
	ssize_t sent = send(client->fd, client->request, client->request_len, MSG_NOSIGNAL);

	if (sent != (ssize_t)client->request_len) {
		come_back(client);
		return;
	}
	epoll_ctl(client->swarm->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

/* --- the swarm ---------------------------------------------------------------------------- */

struct swarm *swarm_new(struct stack *stack, const char *const *targets, unsigned first,
			unsigned count)
{
	struct swarm *swarm = xcalloc(1, sizeof *swarm);

	bench_raise_descriptors();
	swarm->stack = stack;
	while (targets[swarm->target_count] != NULL) {
		swarm->targets[swarm->target_count] = targets[swarm->target_count];
		swarm->target_count++;
	}
	swarm->epoll = epoll_create1(EPOLL_CLOEXEC);
	swarm->count = count;
	swarm->clients = xcalloc(count, sizeof swarm->clients[0]);
	for (unsigned i = 0; i < count; i++) {
		swarm->clients[i] = (struct client){
			.swarm = swarm, .fd = -1, .user = first + i, .retry_ms = RETRY_MS};
		make_request(&swarm->clients[i]);
	}
	return swarm;
}

void swarm_free(struct swarm *swarm)
{
	for (unsigned i = 0; i < swarm->count; i++) {
		client_close(&swarm->clients[i]);
		free(swarm->clients[i].request);
	}
	close(swarm->epoll);
	free(swarm->clients);
	free(swarm);
}

static void open_due(struct swarm *swarm)
{
	static int64_t looked_ms;
	int64_t now = now_ms();

	if (swarm->waiting == 0 || now - looked_ms < LOOK_MS)
		return;
	looked_ms = now;
	for (unsigned i = 0; i < swarm->count; i++) {
		struct client *client = &swarm->clients[i];

		if (client->state == CLIENT_WAITING && client->due_ms <= now)
			client_open(client);
	}
}

void swarm_turn(struct swarm *swarm, int ms)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(swarm->epoll, events, EVENTS, swarm->waiting > 0 ? LOOK_MS : ms);

	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;

		if (client->fd < 0)
			continue;
		if (events[i].events & EPOLLOUT)
			write_client(client);
		else if (!swarm->is_deaf)
			read_client(client);
	}
	open_due(swarm);
}

void swarm_open(struct swarm *swarm, unsigned from, unsigned to, unsigned at_a_time, int seconds)
{
	int64_t limit = now_ms() + patience(seconds * 1000);
	unsigned next = from, wanted = swarm->ready + (to - from), refused = swarm->refused;

	while (swarm->ready < wanted) {
		while (next < to && swarm->opening < at_a_time &&
		       client_open(&swarm->clients[next]))
			next++;
		swarm_turn(swarm, 1);
		ck_assert_msg(swarm->refused == refused, "a stream was refused with %d",
			      swarm->refusal);
		ck_assert_msg(now_ms() < limit, "%u of %u streams are open after %d s",
			      swarm->ready, wanted, seconds);
	}
}

void swarm_forget_changes(struct swarm *swarm)
{
	for (unsigned i = 0; i < swarm->count; i++)
		swarm->clients[i].changes = 0;
	swarm->changes = 0;
}

/* The replies to `count` commands. */
static void take_replies(redisContext *redis, unsigned count)
{
	redisReply *reply;

	while (count-- > 0) {
		ck_assert_int_eq(redisGetReply(redis, (void **)&reply), REDIS_OK);
		ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
		freeReplyObject(reply);
	}
}

void befriend(struct stack *stack, unsigned first, unsigned last, unsigned friends)
{
	redisContext *redis = redisConnectUnix(stack_path(stack, "redis.sock"));
	struct printbuf *line = buf_new();

	ck_assert(redis != NULL && redis->err == 0);
	for (unsigned user = first; user <= last; user++) {
		buf_reset(line);
		buf_putf(line, "SADD user:friends:%u 1", user);
		for (unsigned i = 1; i < friends; i++)
			buf_putf(line, " %u", first + (user - first + i) % (last - first + 1));
		buf_puts(line, "\r\n");
		redisAppendFormattedCommand(redis, line->buf, buf_len(line));
		if ((user - first) % BATCH == BATCH - 1)
			take_replies(redis, BATCH);
	}
	take_replies(redis, (last - first + 1) % BATCH);
	printbuf_free(line);
	redisFree(redis);
}
