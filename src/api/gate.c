#include "api/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/arrival.h"
#include "api/lender.h"
#include "base/address.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/times.h"

#define SILENCE_MAX 5000 /* ms without a byte before a request that has not arrived is dropped */
#define ARRIVAL_TIME_MAX 60000 /* ms that a request may take to arrive */
#define LINGER_MAX 2000 /* ms for a peer to read its answer */
#define CONNECTIONS_MAX 1000
#define PIECE 16384 /* bytes that are read at a time */
#define TAKEN_MAX (16 << 20) /* bytes taken from all connections */
#define OWN_DESCRIPTORS 64U /* what the process needs besides connections, at most */
#define ACCEPT_LIMIT 10 /* ms */
#define OUT_OF_DESCRIPTORS_WAIT 100 /* ms */
#define EVENTS 64

#define PAUSED_NOT 0
#define PAUSED_FULL (-1) /* until a connection is served */
#define PAUSED_CLOSED (-2)

enum state {
	STATE_ARRIVING, /* a request is on its way, or its first byte is */
	STATE_KEPT, /* idle between two requests */
	STATE_LINGERING, /* answered; what still comes is thrown away */
	STATE_READY,
	STATE_COUNT,
};

/* Times are in ms of the monotonic clock. */
struct connection {
	int fd;
	enum state state;
	bool listened; /* epoll knows it */
	struct printbuf *taken; /* what was taken from it, or NULL */
	int64_t begun; /* its request's first byte, or accept */
	int64_t heard; /* the last byte, or when it came into its state */
	TAILQ_ENTRY(connection) entry;
};
TAILQ_HEAD(queue, connection);

struct gate {
	int listener; /* this process', or that of the one that lends it; -1: none */
	int lender; /* a pidfd, or -1 */
	int epoll;
	int watched_fd; /* or -1, */
	uint32_t watched_events;
	struct queue queues[STATE_COUNT]; /* by state, each in the order of `heard` */
	size_t count, max; /* connections */
	size_t most; /* bytes of one request */
	size_t taken; /* bytes of all */
	int64_t paused_until; /* or one of PAUSED_… */
	bool watched; /* something happened to watched_fd */
	bool withdrawn; /* nobody comes to the listener any more */
	unsigned char piece[PIECE];
};

/* epoll's data: a connection, or one of these. */
static char listener_mark, watched_mark;

/* --- connections ----------------------------------------------------------------------------- */

static void enter(struct gate *gate, struct connection *connection, enum state state)
{
	connection->state = state;
	TAILQ_INSERT_TAIL(&gate->queues[state], connection, entry);
}

static void leave(struct gate *gate, struct connection *connection)
{
	TAILQ_REMOVE(&gate->queues[connection->state], connection, entry);
}

static void forget_taken(struct gate *gate, struct connection *connection)
{
	if (connection->taken == NULL)
		return;
	gate->taken -= buf_len(connection->taken);
	printbuf_free(connection->taken);
	connection->taken = NULL;
}

/* Forgets the connection, whose descriptor is the caller's. */
static int release(struct gate *gate, struct connection *connection)
{
	int fd = connection->fd;

	/* Closing would not do: a process just forked may still have a copy of it. */
	if (connection->listened)
		epoll_ctl(gate->epoll, EPOLL_CTL_DEL, fd, NULL);
	leave(gate, connection);
	gate->count--;
	forget_taken(gate, connection);
	free(connection);
	return fd;
}

static void drop(struct gate *gate, struct connection *connection)
{
	close(release(gate, connection));
}

/* Makes room by dropping who has been silent for longest; false: all have requests to serve. */
static bool drop_one(struct gate *gate)
{
	static const enum state order[] = {STATE_LINGERING, STATE_ARRIVING, STATE_KEPT};

	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		struct connection *oldest = TAILQ_FIRST(&gate->queues[order[i]]);

		if (oldest != NULL) {
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): release() took the one before out of its queue */
			drop(gate, oldest);
			return true;
		}
	}
	return false;
}

/* More has come of a request that is not whole; false when that has taken too long. */
static bool go_on(struct gate *gate, struct connection *connection)
{
	int64_t now = times_mono_ms();

	if (connection->state == STATE_KEPT)
		connection->begun = now;
	if (now - connection->begun > ARRIVAL_TIME_MAX)
		return false;
	leave(gate, connection);
	connection->heard = now;
	enter(gate, connection, STATE_ARRIVING);
	return true;
}

/* Takes what is there, up to the most that a request may have; as recv(2), for the last piece. */
static ssize_t take(struct gate *gate, struct connection *connection)
{
	ssize_t got;

	if (connection->taken == NULL)
		connection->taken = buf_new();
	do {
		got = recv(connection->fd, gate->piece, sizeof gate->piece, MSG_DONTWAIT);
		if (got <= 0)
			return got;
		buf_put(connection->taken, gate->piece, (size_t)got);
		gate->taken += (size_t)got;
	} while (got == PIECE && buf_len(connection->taken) < gate->most);
	return got;
}

/* Whether what was taken is a request; of one that is too large, its beginning. */
static enum arrival arrived(const struct gate *gate, const struct connection *connection)
{
	size_t len = buf_len(connection->taken);
	enum arrival arrival = arrival_of((const uint8_t *)connection->taken->buf, len);

	if (len < gate->most)
		return arrival;
	return arrival == ARRIVAL_BODY	 ? ARRIVAL_WHOLE
	       : arrival == ARRIVAL_PART ? ARRIVAL_BAD
					 : arrival;
}

/*
 * Sees what has come on a connection. Drops the connection when it can bring no
 * request (`ended`: its peer sends no more), and then returns false.
 */
static bool look(struct gate *gate, struct connection *connection, bool ended)
{
	size_t before = connection->taken != NULL ? buf_len(connection->taken) : 0;
	ssize_t got = take(gate, connection);

	switch (arrived(gate, connection)) {
	case ARRIVAL_WHOLE:
		leave(gate, connection);
		enter(gate, connection, STATE_READY);
		return true;
	case ARRIVAL_BAD:
		log_debug("a connection brought no FastCGI request");
		break;
	case ARRIVAL_PART:
	case ARRIVAL_BODY:
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || ended)
			break;
		if (buf_len(connection->taken) == before || go_on(gate, connection))
			return true;
	}
	drop(gate, connection);
	return false;
}

/* Throws away what has come; the peer's end, or its reset, ends it. */
static void discard(struct gate *gate, struct connection *connection)
{
	ssize_t got;

	do
		got = recv(connection->fd, gate->piece, sizeof gate->piece, MSG_DONTWAIT);
	while (got > 0);
	if (got == 0 || (errno != EAGAIN && errno != EINTR))
		drop(gate, connection);
}

/* Each edge is one look: data that stays unread must not wake us again. */
static void listen_to(struct gate *gate, struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
				    .data.ptr = connection};

	connection->listened = epoll_ctl(gate->epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0;
	if (!connection->listened)
		drop(gate, connection);
}

static struct connection *add(struct gate *gate, int fd, enum state state)
{
	struct connection *connection = xcalloc(1, sizeof *connection);

	connection->fd = fd;
	connection->begun = connection->heard = times_mono_ms();
	gate->count++;
	enter(gate, connection, state);
	return connection;
}

static void take_back(struct gate *gate, int fd, enum state state, const struct printbuf *taken)
{
	struct connection *connection;

	if (gate->count >= gate->max)
		drop_one(gate);
	connection = add(gate, fd, state);
	if (taken != NULL && buf_len(taken) > 0) {
		connection->taken = buf_new();
		buf_put(connection->taken, taken->buf, buf_len(taken));
		gate->taken += buf_len(taken);
	}
	/* What came meanwhile is told of at once. */
	listen_to(gate, connection);
}

void gate_keep(struct gate *gate, int fd)
{
	take_back(gate, fd, STATE_KEPT, NULL);
}

void gate_admit(struct gate *gate, int fd, const struct printbuf *taken)
{
	take_back(gate, fd, STATE_ARRIVING, taken);
}

void gate_linger(struct gate *gate, int fd)
{
	shutdown(fd, SHUT_WR);
	take_back(gate, fd, STATE_LINGERING, NULL);
}

/* --- the listener ---------------------------------------------------------------------------- */

static bool is_out_of_resources(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* A descriptor of the listener for the moment; -1 with errno, EINVAL when it is borrowed no more. */
static int get_listener(const struct gate *gate)
{
	int fd = gate->listener;

	if (gate->lender >= 0)
		fd = lender_borrow(gate->lender, gate->listener);
	if (fd < 0 && !is_out_of_resources(errno))
		errno = EINVAL;
	return fd;
}

static void put_listener(const struct gate *gate, int fd)
{
	int error = errno;

	if (gate->lender >= 0 && fd >= 0)
		close(fd);
	errno = error;
}

/* epoll goes on with a listener that is borrowed when its descriptor here is closed. */
static bool resume_listener(struct gate *gate)
{
	/* Of many processes that wait for the same socket only one is woken for a connection. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &listener_mark};
	int fd = get_listener(gate);
	bool ok = fd >= 0 && epoll_ctl(gate->epoll, EPOLL_CTL_ADD, fd, &event) == 0;

	put_listener(gate, fd);
	gate->paused_until = PAUSED_NOT;
	return ok;
}

static bool watch(struct gate *gate)
{
	struct epoll_event event = {.events = gate->watched_events, .data.ptr = &watched_mark};

	return epoll_ctl(gate->epoll, EPOLL_CTL_ADD, gate->watched_fd, &event) == 0;
}

/* Waits for all but the listener: one that is borrowed cannot be taken out of epoll. */
static void renew_epoll(struct gate *gate)
{
	struct connection *connection, *next;

	close(gate->epoll);
	gate->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (gate->watched_fd >= 0)
		watch(gate);
	for (int i = 0; i < STATE_COUNT; i++) {
		for (connection = TAILQ_FIRST(&gate->queues[i]); connection != NULL;
		     connection = next) {
			next = TAILQ_NEXT(connection, entry);
			if (connection->listened)
				listen_to(gate, connection);
		}
	}
}

static void pause_listener(struct gate *gate, int64_t until)
{
	if (gate->paused_until == PAUSED_NOT && gate->lender >= 0)
		renew_epoll(gate);
	else if (gate->paused_until == PAUSED_NOT)
		epoll_ctl(gate->epoll, EPOLL_CTL_DEL, gate->listener, NULL);
	gate->paused_until = until;
}

static void resume_or_retry(struct gate *gate, int64_t now)
{
	if (!resume_listener(gate))
		gate->paused_until = now + OUT_OF_DESCRIPTORS_WAIT;
}

static bool is_transient(int error)
{
	/* accept(2): what went wrong with the connection that was taken. */
	return error == EAGAIN || error == EINTR || error == ECONNABORTED || error == EPROTO ||
	       error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
	       error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH ||
	       error == EPERM || error == ETIMEDOUT;
}

static int accept_one(const struct gate *gate)
{
	int listener = get_listener(gate), fd = -1;

	if (listener >= 0) {
		/* cppcheck-suppress nullPointer ; accept(2) takes NULL for an address not wanted */
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		put_listener(gate, listener);
	}
	return fd;
}

/* Whether nobody comes to the listener any more: it was given up here, or by whoever lends it. */
static bool is_over(const struct gate *gate, int error)
{
	return (gate->withdrawn && error == EAGAIN) ||
	       ((gate->withdrawn || gate->lender >= 0) && error == EINVAL);
}

/* Takes one connection; false with errno when no other one can come. */
static bool take_connection(struct gate *gate)
{
	struct connection *connection;
	int fd;

	if (gate->count >= gate->max && !drop_one(gate)) {
		pause_listener(gate, PAUSED_FULL);
		return true;
	}
	fd = accept_one(gate);
	if (fd < 0 && is_out_of_resources(errno)) {
		if (!drop_one(gate)) {
			log_error("cannot accept: %s", strerror(errno));
			pause_listener(gate, times_mono_ms() + OUT_OF_DESCRIPTORS_WAIT);
		}
		return true;
	}
	if (fd < 0 && is_over(gate, errno)) {
		gate_close(gate);
		return true;
	}
	if (fd < 0)
		return is_transient(errno);
	connection = add(gate, fd, STATE_ARRIVING);
	/* Mostly the request is here already, and epoll need not hear of the connection. */
	if (look(gate, connection, false) && connection->state != STATE_READY)
		listen_to(gate, connection);
	return true;
}

/* --- the gate -------------------------------------------------------------------------------- */

static size_t most_connections(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
	    limit.rlim_cur > CONNECTIONS_MAX + OWN_DESCRIPTORS)
		return CONNECTIONS_MAX;
	return limit.rlim_cur > OWN_DESCRIPTORS + OWN_DESCRIPTORS ? limit.rlim_cur - OWN_DESCRIPTORS
								  : OWN_DESCRIPTORS;
}

static struct gate *make(int listener, int lender, size_t most)
{
	struct gate *gate = xcalloc(1, sizeof *gate);

	gate->listener = listener;
	gate->lender = lender;
	gate->watched_fd = -1;
	gate->most = most;
	gate->max = most_connections();
	for (int i = 0; i < STATE_COUNT; i++)
		TAILQ_INIT(&gate->queues[i]);
	gate->paused_until = PAUSED_CLOSED;
	gate->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (gate->epoll >= 0 && (listener < 0 || resume_listener(gate)))
		return gate;
	gate_free(gate);
	return NULL;
}

struct gate *gate_new(int listener, size_t most)
{
	/*
	 * O_NONBLOCK belongs to all who share the socket: systemd takes it away whenever it runs
	 * ExecReload=. Then this bounds an accept() that lost the race for a connection.
	 */
	const struct timeval limit = {.tv_usec = ACCEPT_LIMIT * 1000L};
	int flags = fcntl(listener, F_GETFL), on = 1;

	if (flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) != 0)
		return NULL;
	/* Connections get it from the listener; a Unix socket has no such option. */
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return make(listener, -1, most);
}

struct gate *gate_borrow(int lender, int listener, size_t most)
{
	return make(lender >= 0 ? listener : -1, lender, most);
}

void gate_free(struct gate *gate)
{
	struct connection *first;

	/* Nothing is taken out of epoll, which a parent's gate shares. */
	for (int i = 0; i < STATE_COUNT; i++) {
		while ((first = TAILQ_FIRST(&gate->queues[i])) != NULL) {
			TAILQ_REMOVE(&gate->queues[i], first, entry);
			close(first->fd);
			forget_taken(gate, first);
			free(first);
		}
	}
	if (gate->epoll >= 0)
		close(gate->epoll);
	free(gate);
}

void gate_set_most(struct gate *gate, size_t most)
{
	gate->most = most;
}

void gate_unwatch(struct gate *gate)
{
	if (gate->watched_fd >= 0)
		epoll_ctl(gate->epoll, EPOLL_CTL_DEL, gate->watched_fd, NULL);
	gate->watched_fd = -1;
	gate->watched = false;
}

bool gate_watch(struct gate *gate, int fd, enum gate_watch how)
{
	static const uint32_t events[] = {[GATE_WATCH_INPUT] = EPOLLIN,
					  [GATE_WATCH_BOTH] = EPOLLIN | EPOLLOUT,
					  [GATE_WATCH_SHARED] = EPOLLIN | EPOLLEXCLUSIVE};

	gate_unwatch(gate);
	gate->watched_fd = fd;
	gate->watched_events = events[how];
	return watch(gate);
}

bool gate_watched(const struct gate *gate)
{
	return gate->watched;
}

void gate_withdraw(struct gate *gate, const char *path)
{
	listen_address_withdraw(gate->listener, path);
	gate->withdrawn = true;
}

void gate_close(struct gate *gate)
{
	pause_listener(gate, PAUSED_CLOSED);
}

void gate_open(struct gate *gate)
{
	if (gate->paused_until == PAUSED_CLOSED)
		resume_or_retry(gate, times_mono_ms());
}

/* Drops those of a queue that have been silent for `limit` ms; when the next one is due, or -1. */
static int64_t drop_late(struct gate *gate, enum state state, int64_t limit, int64_t now)
{
	struct connection *first;

	while ((first = TAILQ_FIRST(&gate->queues[state])) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): release() took the one before out of its queue */
		if (first->heard + limit > now)
			return first->heard + limit;
		drop(gate, first);
	}
	return -1;
}

/* Keeps the sum of what was taken bounded: drops those that have been silent for longest. */
static void bound_taken(struct gate *gate)
{
	struct connection *next = TAILQ_FIRST(&gate->queues[STATE_ARRIVING]), *connection;

	while (gate->taken > TAKEN_MAX && (connection = next) != NULL) {
		next = TAILQ_NEXT(connection, entry);
		if (connection->taken != NULL && buf_len(connection->taken) > 0)
			drop(gate, connection);
	}
}

/* The sooner of two times, of which a negative one is never. */
static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Does what is due; returns the ms until something else is, at most `timeout`; -1: never. */
static int until_next(struct gate *gate, int timeout)
{
	int64_t now = times_mono_ms(), next, wait;

	bound_taken(gate);
	next = sooner(drop_late(gate, STATE_ARRIVING, SILENCE_MAX, now),
		      drop_late(gate, STATE_LINGERING, LINGER_MAX, now));
	if (gate->paused_until > now)
		next = sooner(next, gate->paused_until);
	else if (gate->paused_until > 0 ||
		 (gate->paused_until == PAUSED_FULL && gate->count < gate->max))
		resume_or_retry(gate, now);
	wait = next < 0 ? -1 : next > now ? next - now : 0;
	return (int)sooner(timeout, wait);
}

int gate_wait(struct gate *gate, int timeout, const sigset_t *mask)
{
	struct epoll_event events[EVENTS];
	int count = epoll_pwait(gate->epoll, events, EVENTS, until_next(gate, timeout), mask);

	gate->watched = false;
	if (count < 0 && errno != EINTR)
		return -1;
	for (int i = 0; i < count; i++) {
		struct connection *connection = events[i].data.ptr;
		bool ended = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;

		if (events[i].data.ptr == &watched_mark)
			gate->watched = true;
		else if (events[i].data.ptr == &listener_mark)
			continue;
		else if (connection->state == STATE_LINGERING)
			discard(gate, connection);
		else if (connection->state != STATE_READY)
			look(gate, connection, ended);
	}
	/* After the connections: what is accepted may drop one of them. */
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == &listener_mark && !take_connection(gate))
			return -1;
	}
	return count > 0 ? count : 0;
}

static int take_first(struct gate *gate, enum state state, struct printbuf **taken)
{
	struct connection *first = TAILQ_FIRST(&gate->queues[state]);

	*taken = NULL;
	if (first == NULL)
		return -1;
	if (first->taken != NULL)
		gate->taken -= buf_len(first->taken);
	*taken = first->taken;
	first->taken = NULL;
	return release(gate, first);
}

int gate_next(struct gate *gate, struct printbuf **taken)
{
	return take_first(gate, STATE_READY, taken);
}

int gate_next_young(struct gate *gate, struct printbuf **taken)
{
	return take_first(gate, STATE_ARRIVING, taken);
}

size_t gate_count(const struct gate *gate)
{
	return gate->count;
}

bool gate_expects(const struct gate *gate)
{
	return !TAILQ_EMPTY(&gate->queues[STATE_ARRIVING]);
}
