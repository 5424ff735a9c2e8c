/*
 * The floor of the whole way: a server made for this one load. It listens to
 * Redis itself and writes each change straight to the TCP connections of those
 * who have the user as a friend; no web server, no tokens, no directory, no
 * slow readers, no sessions.
 *
 *     floor_fanout ADDRESS REDIS_SOCKET FRIENDS PREFIX
 *
 * PREFIX is Redis' for its channels, so that it does not hear of others' changes.
 * A client asks for /ID, and has the users ID + 1 .. ID + FRIENDS as friends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "bench.h"

#define USERS_MAX 20000
#define CHANNEL "user:status:"

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
			   "Cache-Control: no-cache\r\n\r\nevent: initial\ndata: {}\n\n";

struct floor {
	int epoll, listener;
	long friends;
	const char *prefix;
	redisContext *redis;
	int client_of[USERS_MAX]; /* by user id; 0 = none */
};

static void watch(const struct floor *floor, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(floor->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		bench_die("epoll_ctl: %s", strerror(errno));
}

static void read_client(struct floor *floor, int fd)
{
	char request[4096];
	ssize_t len = recv(fd, request, sizeof request - 1, 0);
	long id;

	if (len < 0 && errno == EAGAIN)
		return;
	if (len <= 0) {
		for (size_t i = 0; i < USERS_MAX; i++) {
			if (floor->client_of[i] == fd)
				floor->client_of[i] = 0;
		}
		close(fd);
		return;
	}
	request[len] = '\0';
	if (sscanf(request, "GET /%ld ", &id) != 1 || id < 1 || id >= USERS_MAX)
		return;
	floor->client_of[id] = fd;
	send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
}

static void fan_out(const struct floor *floor, long id, const char *text)
{
	char event[8192];
	int len = snprintf(event, sizeof event, "event: status_change\ndata: %s\n\n", text);
	long first = id > floor->friends ? id - floor->friends : 1;

	for (long user = first; user < id && user < USERS_MAX; user++) {
		if (floor->client_of[user] != 0)
			send(floor->client_of[user], event, (size_t)len, MSG_NOSIGNAL);
	}
}

static void read_redis(const struct floor *floor)
{
	size_t id_at = strlen(floor->prefix) + sizeof CHANNEL - 1;
	void *next;

	if (redisBufferRead(floor->redis) != REDIS_OK)
		bench_die("redis: %s", floor->redis->errstr);
	while (redisGetReplyFromReader(floor->redis, &next) == REDIS_OK && next != NULL) {
		redisReply *reply = next;

		if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 4)
			fan_out(floor, strtol(reply->element[2]->str + id_at, NULL, 10),
				reply->element[3]->str);
		freeReplyObject(reply);
	}
}

static void start(struct floor *floor, char **argv)
{
	bench_raise_descriptors();
	floor->friends = bench_number(argv[3], USERS_MAX);
	floor->epoll = epoll_create1(EPOLL_CLOEXEC);
	floor->listener = bench_listen(argv[1]);
	watch(floor, floor->listener);
	floor->redis = redisConnectUnix(argv[2]);
	if (floor->redis == NULL || floor->redis->err != 0)
		bench_die("redis: %s: cannot connect", argv[2]);
	floor->prefix = argv[4];
	freeReplyObject(redisCommand(floor->redis, "PSUBSCRIBE %s" CHANNEL "*", floor->prefix));
	watch(floor, floor->redis->fd);
}

int main(int argc, char **argv)
{
	static struct floor floor;
	struct epoll_event events[512];
	int fd;

	if (argc != 5)
		bench_die("usage: floor_fanout ADDRESS REDIS_SOCKET FRIENDS PREFIX");
	start(&floor, argv);
	for (;;) {
		int count = epoll_wait(floor.epoll, events, 512, -1);

		for (int i = 0; i < count; i++) {
			fd = events[i].data.fd;
			if (fd == floor.redis->fd)
				read_redis(&floor);
			else if (fd != floor.listener)
				read_client(&floor, fd);
			else
				while ((fd = bench_accept(floor.listener)) >= 0)
					watch(&floor, fd);
		}
	}
}
