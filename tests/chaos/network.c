/*
 * The ways from the hosts to Redis and to the directory: relays in a process of their own, which can be
 * cut. What is cut is as silent as a cable: nobody is told, nothing is refused.
 */
#include "chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "integration/process.h"

#define RELAYS_MAX 200
#define PIECE 65536
#define BACKLOG 512

/* What one side sent and the other has not taken. */
struct pipe {
	char data[PIECE];
	size_t from, to;
};

struct relay {
	enum route route;
	int fds[2]; /* of who connected, of the server; -1: free */
	bool is_dead[2]; /* nothing comes from that side any more, and nobody knows */
	struct pipe pipes[2]; /* from fds[0], from fds[1] */
};

struct network {
	int control;
	int listeners[ROUTES];
	struct sockaddr_un targets[ROUTES];
	struct cut cuts[ROUTES];
	struct relay *relays[RELAYS_MAX];
	size_t count;
};

/* An order of the run's process; the answer is the same. */
struct order {
	enum route route;
	struct cut cut;
};

/* --- the relays' process --------------------------------------------------------------------- */

static void relay_open(struct network *network, enum route route)
{
	int client = accept4(network->listeners[route], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un *target = &network->targets[route];
	struct relay *relay;

	if (client < 0 || server < 0 || network->count == RELAYS_MAX ||
	    connect(server, (struct sockaddr *)target, sizeof *target) != 0) {
		close(client);
		close(server);
		return;
	}
	fcntl(server, F_SETFL, O_NONBLOCK);
	relay = xcalloc(1, sizeof *relay);
	relay->route = route;
	relay->fds[0] = client;
	relay->fds[1] = server;
	network->relays[network->count++] = relay;
}

static void relay_close(struct network *network, size_t index)
{
	struct relay *relay = network->relays[index];

	close(relay->fds[0]);
	close(relay->fds[1]);
	free(relay);
	network->relays[index] = network->relays[--network->count];
}

static bool is_over(ssize_t done)
{
	return done == 0 || (done < 0 && errno != EAGAIN && errno != EINTR);
}

/* From one side to the other, as much as there is and goes; false at the end of either. */
static bool pass(struct relay *relay, int side)
{
	struct pipe *pipe = &relay->pipes[side];
	ssize_t done;

	if (pipe->from == pipe->to) {
		done = read(relay->fds[side], pipe->data, sizeof pipe->data);
		if (done <= 0)
			return !is_over(done);
		pipe->from = 0;
		pipe->to = (size_t)done;
	}
	done = send(relay->fds[1 - side], pipe->data + pipe->from, pipe->to - pipe->from,
		    MSG_NOSIGNAL);
	if (done > 0)
		pipe->from += (size_t)done;
	return !is_over(done);
}

static bool is_cut(const struct network *network, enum route route, int side)
{
	const struct cut *cut = &network->cuts[route];

	return cut->how != CUT_NONE &&
	       (cut->to == TO_BOTH || (cut->to == TO_SERVER) == (side == 0));
}

/* Whether what comes from that side gets through. */
static bool is_passing(const struct network *network, const struct relay *relay, int side)
{
	return !is_cut(network, relay->route, side) && !relay->is_dead[side];
}

static void obey(struct network *network)
{
	struct order order;

	if (recv(network->control, &order, sizeof order, 0) != sizeof order)
		_exit(0);
	network->cuts[order.route] = order.cut;
	for (size_t i = network->count; i-- > 0;) {
		struct relay *relay = network->relays[i];

		if (relay->route != order.route)
			continue;
		if (order.cut.how == CUT_NONE && (relay->is_dead[0] || relay->is_dead[1]))
			relay_close(network, i);
		for (int side = 0; side < 2 && order.cut.how == CUT_DEAD; side++)
			relay->is_dead[side] = is_cut(network, order.route, side);
	}
	if (send(network->control, &order, sizeof order, MSG_NOSIGNAL) < 0)
		_exit(0);
}

/* A side is read when nothing of it waits, and written when something for it does. */
static short wanted(const struct network *network, const struct relay *relay, int side)
{
	bool waits = relay->pipes[side].from < relay->pipes[side].to;
	bool gets = relay->pipes[1 - side].from < relay->pipes[1 - side].to;
	bool reads = !waits && is_passing(network, relay, side);
	bool writes = gets && is_passing(network, relay, 1 - side);

	return (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

static size_t put_relays(const struct network *network, struct pollfd *list)
{
	size_t count = 0;

	for (size_t i = 0; i < network->count; i++) {
		const struct relay *relay = network->relays[i];

		for (int side = 0; side < 2; side++) {
			short events = wanted(network, relay, side);

			/* Nor is it heard that one is gone, where nothing of it would be. */
			list[count++] = (struct pollfd){.fd = events != 0 ? relay->fds[side] : -1,
							.events = events};
		}
	}
	return count;
}

/* What gets through; false at the end of either side. */
static bool pass_both(const struct network *network, struct relay *relay)
{
	for (int side = 0; side < 2; side++) {
		if (is_passing(network, relay, side) && !pass(relay, side))
			return false;
	}
	return true;
}

static void pass_all(struct network *network, const struct pollfd *list)
{
	/* From the last: one that is closed gives its place to one that was looked at. */
	for (size_t i = network->count; i-- > 0;) {
		struct relay *relay = network->relays[i];
		bool is_ready = list[2 * i].revents != 0 || list[2 * i + 1].revents != 0;

		if (is_ready && !pass_both(network, relay))
			relay_close(network, i);
	}
}

static _Noreturn void relay_all(struct network *network)
{
	struct pollfd list[1 + ROUTES + 2 * RELAYS_MAX];

	for (;;) {
		size_t count = 1 + ROUTES;

		list[0] = (struct pollfd){.fd = network->control, .events = POLLIN};
		for (int route = 0; route < ROUTES; route++)
			/* To connect takes both directions. */
			list[1 + route] = (struct pollfd){.fd = network->cuts[route].how == CUT_NONE
									? network->listeners[route]
									: -1,
							  .events = POLLIN};
		count += put_relays(network, list + count);
		if (poll(list, count, -1) < 0)
			continue;
		pass_all(network, list + 1 + ROUTES);
		for (enum route route = 0; route < ROUTES; route++) {
			if (list[1 + route].revents != 0)
				relay_open(network, route);
		}
		if (list[0].revents != 0)
			obey(network);
	}
}

/* --- from the run's process ------------------------------------------------------------------ */

static struct sockaddr_un name_of(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	ck_assert_uint_lt(strlen(path), sizeof name.sun_path);
	strcpy(name.sun_path, path);
	return name;
}

static int listen_at(const char *path)
{
	struct sockaddr_un name = name_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	ck_assert_int_eq(listen(fd, BACKLOG), 0);
	return fd;
}

void network_start(struct chaos *chaos, const char *const here[ROUTES],
		   const char *const targets[ROUTES])
{
	struct network *network = xcalloc(1, sizeof *network);
	int ends[2];
	pid_t pid;

	for (int route = 0; route < ROUTES; route++) {
		network->listeners[route] = listen_at(here[route]);
		network->targets[route] = name_of(targets[route]);
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		setpgid(0, chaos->stand.stack->group);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		network->control = ends[1];
		relay_all(network);
	}
	setpgid(pid, chaos->stand.stack->group);
	close(ends[1]);
	for (int route = 0; route < ROUTES; route++)
		close(network->listeners[route]);
	free(network);
	chaos->stand.network = pid;
	chaos->stand.network_fd = ends[0];
}

void network_cut(struct chaos *chaos, enum route route, enum how how, enum direction to)
{
	struct order order = {route, {how, to}};

	ck_assert_int_eq(send(chaos->stand.network_fd, &order, sizeof order, MSG_NOSIGNAL),
			 sizeof order);
	ck_assert_int_eq(recv(chaos->stand.network_fd, &order, sizeof order, 0), sizeof order);
}

void network_mend(struct chaos *chaos, enum route route)
{
	network_cut(chaos, route, CUT_NONE, TO_BOTH);
}

void network_stop(struct chaos *chaos)
{
	close(chaos->stand.network_fd);
	process_end(&chaos->stand.network, SIGKILL, "the relays", 5000);
}
