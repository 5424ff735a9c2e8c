/*
 * Why not FCGX_Accept_r alone: its accept() misses a signal that comes just
 * before it; a signal in the middle of a request breaks that request; a peer that
 * connects and is silent holds the process for ever, and one that does not close
 * its end after the answer for two seconds and more. So signals are let in only
 * while we wait here, libfcgi is given a connection on which the whole request is
 * there, and closing it is left to us.
 */
#include "api/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/channel.h"
#include "api/gate.h"
#include "base/log.h"
#include "base/times.h"

#define ARRIVED_TIMEOUT 1 /* seconds to read what has arrived: never, unless libfcgi wants more */
#define READ_TIMEOUT 5 /* seconds in which a web server must take a part of its answer */
#define SMALL_ANSWER 8192 /* bytes: a new connection takes them without waiting for the peer */
#define STOP_LIMIT 500 /* ms in which those are served who wait already when we are to stop */
#define LOOK_EVERY 8 /* requests between two looks for a pending signal */

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
#define STOP_SIGNALS (sizeof stop_signals / sizeof stop_signals[0])

static volatile sig_atomic_t stopped;
static sigset_t waiting_mask; /* lets the stop signals in; in use while we wait, and only then */
static int channel_end = -1, channel_epoll = -1; /* with a parent */
static struct gate *gate; /* without one */
static int64_t stop_by; /* ms; 0 until we are to stop */
/*
 * A request that was taken from its connection is in a file, which libfcgi reads in
 * the connection's place until it is to write; -1: no such request.
 */
static int set_aside = -1;
static bool was_taken; /* this request was */
static bool was_cut; /* and there is more of it than the gate takes */
static size_t most_taken; /* bytes */
static bool is_kept; /* the peer wants to use its connection again (FCGI_KEEP_CONN) */

static void on_stop(int signo)
{
	(void)signo;
	stopped = 1;
}

/* Before FCGX_Init, which keeps handlers that are there. */
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
	channel_epoll = epoll_create1(EPOLL_CLOEXEC);
	return channel_epoll >= 0 && epoll_ctl(channel_epoll, EPOLL_CTL_ADD, channel, &event) == 0;
}

bool accept_init(FCGX_Request *fcgx, int channel, size_t most)
{
	install_signals();
	most_taken = most;
	if (channel >= 0) {
		if (!open_channel(channel))
			return false;
	} else {
		gate = gate_new(ACCEPT_LISTENER, most);
		if (gate == NULL)
			return false;
	}
	/* After an error libfcgi closes the connection itself, and would wait for its peer. */
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 1);
	/* No listening socket for libfcgi: it must not wait for a connection of its own. */
	return FCGX_Init() == 0 && FCGX_InitRequest(fcgx, -1, 0) == 0;
}

/* --- connections ----------------------------------------------------------------------------- */

/* The next one that the parent passes on, or -1 when the process is to stop. */
static int connection_of_parent(int *taken)
{
	struct epoll_event event;
	enum channel_word word;

	for (;;) {
		bool stopping = is_stopping();
		int fd = is_late(stopping) ? CHANNEL_EMPTY
					   : channel_receive(channel_end, taken, &word);

		if (fd >= 0)
			return fd;
		if (fd == CHANNEL_ENDED)
			log_warn("the parent is gone: this worker ends");
		if (fd == CHANNEL_ENDED || stopping)
			return -1;
		epoll_pwait(channel_epoll, &event, 1, -1, &waiting_mask);
	}
}

/* Waits for what the gate expects, or, when we are not to stop, for anything. False: no more. */
static bool wait_at_gate(bool stopping)
{
	bool expects = gate_expects(gate);
	int limit = !stopping ? -1 : expects ? (int)(stop_by - times_mono_ms()) : 0;
	int happened = gate_wait(gate, limit < -1 ? 0 : limit, &waiting_mask);

	if (happened < 0)
		log_error("cannot accept any more: %s", strerror(errno));
	return happened > 0 || (happened == 0 && (!stopping || expects));
}

/* The next one from the listener, or -1 when the process is to stop. */
static int connection_of_gate(int *taken)
{
	bool stopping;

	do {
		int fd = gate_next(gate, taken);

		if (fd >= 0)
			return fd;
		stopping = is_stopping();
	} while (!is_late(stopping) && wait_at_gate(stopping));
	return -1;
}

static void limit_wait(int fd, int option, int seconds)
{
	const struct timeval limit = {.tv_sec = seconds};

	setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit);
}

/* From now on libfcgi has the connection. */
static void put_back(const FCGX_Request *fcgx)
{
	if (set_aside < 0)
		return;
	if (fcgx->ipcFd >= 0)
		dup3(set_aside, fcgx->ipcFd, O_CLOEXEC);
	close(set_aside);
	set_aside = -1;
}

void accept_expect_answer(const FCGX_Request *fcgx, size_t len)
{
	put_back(fcgx);
	if (len > SMALL_ANSWER || is_kept)
		limit_wait(fcgx->ipcFd, SO_SNDTIMEO, READ_TIMEOUT);
}

/* Back to where it came from: kept for another request, or until its peer has read the answer. */
static void give_back(int fd, bool leftover)
{
	if (gate == NULL) {
		channel_send(channel_end, fd, -1, leftover ? CHANNEL_LEFTOVER : CHANNEL_KEPT);
		close(fd);
	} else if (leftover) {
		gate_linger(gate, fd);
	} else {
		gate_keep(gate, fd);
	}
}

/* Reads what the handler left of the body: it must not stand before the next request. */
static void skip_body(FCGX_Request *fcgx)
{
	char waste[8192];
	int got = (int)sizeof waste;

	while (got == (int)sizeof waste)
		got = FCGX_GetStr(waste, (int)sizeof waste, fcgx->in);
}

/* Finishes the request, if there is one; its connection is ours again, unless it failed. */
static void finish(FCGX_Request *fcgx)
{
	bool again = is_kept;
	int fd, unread = 0;

	if (is_kept && !was_taken)
		skip_body(fcgx);
	put_back(fcgx);
	/* So that libfcgi leaves the connection open. */
	fcgx->keepConnection = 1;
	FCGX_Finish_r(fcgx);
	fd = fcgx->ipcFd;
	fcgx->ipcFd = -1;
	is_kept = false;
	if (fd < 0)
		return;
	/* What is still there cannot be the next request, which is sent after the answer. */
	if (was_cut || (ioctl(fd, FIONREAD, &unread) == 0 && unread > 0))
		give_back(fd, true);
	else if (again)
		give_back(fd, false);
	else
		close(fd);
}

/* Gives libfcgi a connection to read from, without which it would close it. */
static void hand_over(FCGX_Request *fcgx, int fd, int taken)
{
	struct stat info;

	was_taken = taken >= 0;
	was_cut = was_taken && fstat(taken, &info) == 0 && (size_t)info.st_size >= most_taken;
	if (was_taken)
		set_aside = fd;
	else
		limit_wait(fd, SO_RCVTIMEO, ARRIVED_TIMEOUT);
	fcgx->ipcFd = was_taken ? taken : fd;
	fcgx->keepConnection = 1;
}

bool accept_next(FCGX_Request *fcgx)
{
	finish(fcgx);
	for (;;) {
		int taken;
		int fd = gate != NULL ? connection_of_gate(&taken) : connection_of_parent(&taken);

		if (fd < 0)
			return false;
		hand_over(fcgx, fd, taken);
		if (FCGX_Accept_r(fcgx) == 0) {
			is_kept = fcgx->keepConnection != 0;
			return true;
		}
		log_debug("a connection brought no FastCGI request");
		finish(fcgx);
	}
}

void accept_end(FCGX_Request *fcgx)
{
	finish(fcgx);
	if (gate != NULL)
		gate_free(gate);
	else
		close(channel_epoll);
}
