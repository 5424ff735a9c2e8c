/*
 * The floor of a web server in between: passes bytes on between TCP clients and
 * a server on a Unix socket, one connection there for each client. One read()
 * and one send() for each delivery; no HTTP, no FastCGI, no limits. What
 * floor_fanout costs behind it is what any server behind a web server must pay.
 *
 *     floor_relay PORT unix:/path
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define PIECE 16384

struct end {
	int fd;
	struct end *other;
};

static void watch(int epoll, int fd, void *end)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		bench_die("epoll_ctl: %s", strerror(errno));
}

static void join(int epoll, int client, const char *backend)
{
	struct end *pair = calloc(2, sizeof *pair);

	if (pair == NULL)
		bench_die("out of memory");
	pair[0] = (struct end){client, &pair[1]};
	pair[1] = (struct end){bench_connect(backend), &pair[0]};
	if (pair[1].fd < 0)
		bench_die("%s: %s", backend, strerror(errno));
	watch(epoll, pair[0].fd, &pair[0]);
	watch(epoll, pair[1].fd, &pair[1]);
}

/* The pairs are few bytes and live as long as the program: an event may still name them. */
static void pass_on(struct end *end)
{
	char piece[PIECE];
	ssize_t len = end->fd >= 0 ? read(end->fd, piece, sizeof piece) : -1;

	if (len > 0) {
		send(end->other->fd, piece, (size_t)len, MSG_NOSIGNAL);
	} else if (end->fd >= 0 && (len == 0 || errno != EAGAIN)) {
		close(end->fd);
		close(end->other->fd);
		end->fd = end->other->fd = -1;
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[512];
	int epoll, listener, fd;

	if (argc != 3)
		bench_die("usage: floor_relay PORT unix:/path");
	bench_raise_descriptors();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	listener = bench_listen(argv[1]);
	watch(epoll, listener, NULL);
	for (;;) {
		int count = epoll_wait(epoll, events, 512, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr != NULL)
				pass_on(events[i].data.ptr);
			else
				while ((fd = bench_accept(listener)) >= 0)
					join(epoll, fd, argv[2]);
		}
	}
}
