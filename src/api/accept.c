/*
 * Signals are let in only while we wait here for a connection: one that came in
 * the midst of a request would break it, and one that came just before a wait
 * must not be missed.
 */
#include "api/accept.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "api/arrival.h"
#include "api/channel.h"
#include "api/gate.h"
#include "base/fcgi.h"
#include "base/log.h"
#include "base/times.h"

#define READ_TIMEOUT 5 /* seconds in which a web server must take a part of its answer */
#define STOP_LIMIT 500 /* ms in which those are served who wait already when we are to stop */
#define LOOK_EVERY 8 /* requests between two looks for a pending signal */

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
#define STOP_SIGNALS (sizeof stop_signals / sizeof stop_signals[0])

static volatile sig_atomic_t stopped;
static sigset_t waiting_mask; /* lets the stop signals in; in use while we wait, and only then */
static int channel_end = -1, channel_epoll = -1; /* with a parent, */
static pid_t parent; /* this one */
static struct gate *gate; /* without one */
static int64_t stop_by; /* ms; 0 until we are to stop */

static struct accept_idle idle; /* run NULL: nothing */

/* The request that is being served. */
static int connection;
static struct arrived arrived;
static struct accept_request request;
static struct printbuf *taken, *body, *records; /* what came, its body, the answer */

static void on_stop(int signo)
{
	(void)signo;
	stopped = 1;
}

static void install_signals(void)
{
	struct sigaction action = {.sa_handler = on_stop};
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < STOP_SIGNALS; i++) {
		sigaction(stop_signals[i], &action, NULL);
		sigaddset(&blocked, stop_signals[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, &waiting_mask);
	for (size_t i = 0; i < STOP_SIGNALS; i++)
		sigdelset(&waiting_mask, stop_signals[i]);
}

/* Where requests follow each other so closely that we never wait, a signal stays pending. */
static bool is_stopping(void)
{
	static unsigned calls;
	sigset_t pending;

	if (calls++ % LOOK_EVERY != 0 || sigpending(&pending) != 0)
		return stopped;
	for (size_t i = 0; i < STOP_SIGNALS; i++) {
		if (sigismember(&pending, stop_signals[i]))
			return true;
	}
	return stopped;
}

/*
 * Whether we are to stop and have had time for those who wait already: in a socket
 * that is ours alone (mod_fcgid) they would be lost with us.
 */
static bool is_late(bool stopping)
{
	if (stopping && stop_by == 0)
		stop_by = times_mono_ms() + STOP_LIMIT;
	return stopping && times_mono_ms() >= stop_by;
}

static bool open_channel(int channel)
{
	/* Of many workers that wait only one is woken for a connection. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	channel_end = channel;
	parent = getppid();
	channel_epoll = epoll_create1(EPOLL_CLOEXEC);
	return channel_epoll >= 0 && epoll_ctl(channel_epoll, EPOLL_CTL_ADD, channel, &event) == 0;
}

bool accept_init(int channel, size_t most)
{
	install_signals();
	taken = buf_new();
	body = buf_new();
	records = buf_new();
	if (channel >= 0)
		return open_channel(channel);
	gate = gate_new(ACCEPT_LISTENER, most);
	return gate != NULL;
}

void accept_stop(void)
{
	stopped = 1;
}

void accept_when_idle(const struct accept_idle *what)
{
	idle = *what;
}

/* --- the way in ------------------------------------------------------------------------------ */

/* For how long to wait until there is nothing to do, ms; -1: for ever. */
static int idle_ms(void)
{
	return idle.run != NULL ? idle.wait_ms(idle.arg) : -1;
}

static void be_idle(void)
{
	if (idle.run != NULL)
		idle.run(idle.arg);
}

/*
 * The next connection that the parent passes on, or -1 when the process is to stop:
 * alone at once, for others take what is in the channel, and with all others when
 * nothing is left in it.
 */
static int connection_of_parent(void)
{
	struct epoll_event event;
	enum channel_word word;
	int fd;

	do {
		if (is_stopping() && !channel_is_finished(channel_end))
			return -1;
		if (epoll_pwait(channel_epoll, &event, 1, idle_ms(), &waiting_mask) == 0)
			be_idle();
		fd = channel_receive(channel_end, &word, taken);
	} while (fd == CHANNEL_EMPTY);
	if (fd == CHANNEL_ENDED && getppid() != parent)
		log_warn("the parent is gone: this worker ends");
	return fd == CHANNEL_ENDED ? -1 : fd;
}

/* Waits for what the gate expects, or, when we are not to stop, for anything. False: no more. */
static bool wait_at_gate(bool stopping)
{
	bool expects = gate_expects(gate);
	int limit = !stopping ? idle_ms() : expects ? (int)(stop_by - times_mono_ms()) : 0;
	int happened = gate_wait(gate, limit < -1 ? 0 : limit, &waiting_mask);

	if (happened == 0 && !stopping)
		be_idle();
	if (happened < 0)
		log_error("cannot accept any more: %s", strerror(errno));
	return happened > 0 || (happened == 0 && (!stopping || expects));
}

/* The next one from the listener, or -1 when the process is to stop. */
static int connection_of_gate(void)
{
	struct printbuf *came;
	bool stopping;

	do {
		int fd = gate_next(gate, &came);

		if (fd >= 0) {
			printbuf_free(taken);
			taken = came;
			return fd;
		}
		stopping = is_stopping();
	} while (!is_late(stopping) && wait_at_gate(stopping));
	return -1;
}

const struct accept_request *accept_next(void)
{
	for (;;) {
		connection = gate != NULL ? connection_of_gate() : connection_of_parent();
		if (connection < 0)
			return NULL;
		buf_reset(body);
		if (arrival_read((const uint8_t *)taken->buf, buf_len(taken), &arrived, body))
			break;
		log_debug("a connection brought no FastCGI request");
		close(connection);
	}
	request = (struct accept_request){arrived.env, body->buf, buf_len(body)};
	return &request;
}

/* --- the way out ----------------------------------------------------------------------------- */

/* Mostly the connection takes all at once; a peer that does not read must not hold us for ever. */
static bool send_records(void)
{
	static const struct timeval limit = {.tv_sec = READ_TIMEOUT};
	int flags = MSG_NOSIGNAL | MSG_DONTWAIT;

	for (size_t sent = 0; sent < buf_len(records);) {
		ssize_t put = send(connection, records->buf + sent, buf_len(records) - sent, flags);

		if (put >= 0) {
			sent += (size_t)put;
		} else if (errno == EAGAIN && (flags & MSG_DONTWAIT) != 0) {
			setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
			flags = MSG_NOSIGNAL;
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* Back to where it came from: kept for another request, or until its peer has read the answer. */
static void give_back(bool leftover)
{
	if (gate == NULL) {
		channel_send(channel_end, connection, leftover ? CHANNEL_LEFTOVER : CHANNEL_KEPT,
			     NULL);
		close(connection);
	} else if (leftover) {
		gate_linger(gate, connection);
	} else {
		gate_keep(gate, connection);
	}
}

void accept_answer(const char *answer, size_t len)
{
	bool is_sent;

	buf_reset(records);
	fcgi_put_stdout(records, arrived.id, answer, len);
	fcgi_put_end(records, arrived.id);
	is_sent = send_records();
	/* With bytes unread, closing would take the answer back. */
	if (is_sent && (arrived.is_cut || arrived.keep_conn))
		give_back(arrived.is_cut);
	else
		close(connection);
	free(arrived.env);
}

void accept_end(void)
{
	printbuf_free(taken);
	printbuf_free(body);
	printbuf_free(records);
	if (gate != NULL)
		gate_free(gate);
	else
		close(channel_epoll);
}
