/*
 * The floor of streamd: what a send() costs. The first connection is the
 * control: each FastCGI record that comes in there goes out to all other
 * connections as it is, with one send() each. Nothing else is done.
 *
 *     floor_send unix:/path
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define CLIENTS_MAX 20000
#define RECORD_HEAD 8

struct floor {
	int epoll, listener, control;
	int clients[CLIENTS_MAX];
	size_t client_count;
	uint8_t record[65536 + 256 + RECORD_HEAD];
	size_t have;
};

static void watch(struct floor *floor, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(floor->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		bench_die("epoll_ctl: %s", strerror(errno));
}

static void accept_all(struct floor *floor)
{
	int fd;

	while ((fd = bench_accept(floor->listener)) >= 0) {
		if (floor->control < 0) {
			floor->control = fd;
			watch(floor, fd);
		} else if (floor->client_count < CLIENTS_MAX) {
			floor->clients[floor->client_count++] = fd;
		} else {
			close(fd);
		}
	}
}

static void send_to_all(const struct floor *floor, size_t len)
{
	for (size_t i = 0; i < floor->client_count; i++)
		send(floor->clients[i], floor->record, len, MSG_NOSIGNAL);
}

/* False when the control has gone: the end. */
static bool read_control(struct floor *floor)
{
	ssize_t got = recv(floor->control, floor->record + floor->have,
			   sizeof floor->record - floor->have, 0);
	size_t len;

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	floor->have += (size_t)got;
	while (floor->have >= RECORD_HEAD) {
		len = RECORD_HEAD + (size_t)(floor->record[4] << 8 | floor->record[5]) +
		      floor->record[6];
		if (floor->have < len)
			break;
		send_to_all(floor, len);
		floor->have -= len;
		memmove(floor->record, floor->record + len, floor->have);
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct floor floor = {.control = -1};
	struct epoll_event events[64];

	if (argc != 2)
		bench_die("usage: floor_send unix:/path");
	bench_raise_descriptors();
	floor.epoll = epoll_create1(EPOLL_CLOEXEC);
	floor.listener = bench_listen(argv[1]);
	watch(&floor, floor.listener);
	for (;;) {
		int count = epoll_wait(floor.epoll, events, 64, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == floor.listener)
				accept_all(&floor);
			else if (!read_control(&floor))
				return 0;
		}
	}
}
