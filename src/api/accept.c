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
#define YOUNG_MAX 16 /* connections that a worker keeps until they are handed over */
#define LOOK_EVERY 8 /* requests between two looks for a pending signal */

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
#define STOP_SIGNALS (sizeof stop_signals / sizeof stop_signals[0])

static volatile sig_atomic_t stopped;
static sigset_t waiting_mask; /* lets the stop signals in; in use while we wait, and only then */
static struct gate *gate;
static bool has_parent; /* this process began with one, */
static pid_t parent_pid;
static int channel = -1; /* to it, while it has something to say */
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
			stopped = 1;
	}
	return stopped;
}

bool accept_init(const struct accept_parent *parent, size_t most)
{
	install_signals();
	taken = buf_new();
	body = buf_new();
	records = buf_new();
	if (parent == NULL) {
		gate = gate_new(ACCEPT_LISTENER, most);
		return gate != NULL;
	}
	has_parent = true;
	parent_pid = getppid();
	channel = parent->channel;
	gate = gate_borrow(parent->lender, ACCEPT_LISTENER, most);
	return gate != NULL && gate_watch(gate, channel, GATE_WATCH_SHARED);
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

/*
 * Leaves to the parent what is on its way, so that nobody waits for what is served
 * here. What it cannot take now stays.
 */
static void hand_over(void)
{
	struct printbuf *came;
	int fd;

	if (channel < 0 || !gate_expects(gate) || channel_is_finished(channel))
		return;
	while ((fd = gate_next_young(gate, &came)) >= 0) {
		bool is_sent = channel_send(channel, fd, CHANNEL_YOUNG, came);

		if (!is_sent)
			gate_admit(gate, fd, came);
		else
			close(fd);
		printbuf_free(came);
		if (!is_sent)
			return;
	}
}

/* No more comes from the parent; it ends, or has ended. */
static void leave_channel(void)
{
	if (getppid() != parent_pid)
		log_warn("the parent is gone: this worker ends");
	gate_unwatch(gate);
	close(channel);
	channel = -1;
	accept_stop();
}

/* The next connection that the parent passes on, or -1. */
static int connection_of_parent(void)
{
	enum channel_word word;
	int fd = channel_receive(channel, &word, taken);

	if (fd == CHANNEL_ENDED)
		leave_channel();
	return fd >= 0 ? fd : -1;
}

/* The next connection with a request to serve, or -1: none is there as far as is known. */
static int connection_there(void)
{
	struct printbuf *came;
	int fd = gate_next(gate, &came);

	if (fd >= 0) {
		printbuf_free(taken);
		taken = came;
	} else if (gate_watched(gate)) {
		fd = connection_of_parent();
	}
	return fd;
}

/* gate_wait(), under the mask that lets signals in. */
static int wait_at_gate(int limit)
{
	int happened = gate_wait(gate, limit, &waiting_mask);

	if (happened < 0)
		log_error("cannot accept any more: %s", strerror(errno));
	if (gate_count(gate) > YOUNG_MAX)
		hand_over();
	return happened;
}

/*
 * How long we go on now that we are to stop, ms: for those who wait in a socket that is
 * ours alone (mod_fcgid), and for what is on its way here. They would be lost with us.
 */
static int stop_wait_ms(void)
{
	int64_t now = times_mono_ms();

	if (stop_by == 0)
		stop_by = now + STOP_LIMIT;
	return stop_by > now ? (int)(stop_by - now) : 0;
}

/*
 * With a parent others accept. They take what is in the channel, too, unless all are to end:
 * then everyone takes until nothing is left in it. False: there is no more to wait for.
 */
static bool wait_to_stop(void)
{
	int limit = stop_wait_ms(), happened;
	bool expects;

	if (has_parent)
		gate_close(gate);
	if (channel >= 0 && channel_is_finished(channel))
		return wait_at_gate(0) >= 0;
	hand_over();
	expects = gate_expects(gate);
	if (limit == 0 || (has_parent && !expects))
		return false;
	happened = wait_at_gate(expects ? limit : 0);
	return happened > 0 || (happened == 0 && expects);
}

/* Waits for what may come; false: the process is to stop. */
static bool wait_for_more(void)
{
	int happened;

	if (is_stopping())
		return wait_to_stop();
	happened = wait_at_gate(idle.run != NULL ? idle.wait_ms(idle.arg) : -1);
	if (happened == 0 && idle.run != NULL)
		idle.run(idle.arg);
	return happened >= 0;
}

/* The next connection with a request to serve, or -1 when the process is to stop. */
static int next_connection(void)
{
	int fd;

	while ((fd = connection_there()) < 0) {
		if (!wait_for_more())
			return -1;
	}
	hand_over();
	return fd;
}

const struct accept_request *accept_next(void)
{
	for (;;) {
		connection = next_connection();
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

/* To the parent, or here: kept for another request, or until its peer has read the answer. */
static void give_back(bool leftover)
{
	enum channel_word word = leftover ? CHANNEL_LEFTOVER : CHANNEL_KEPT;

	if (channel >= 0 && channel_send(channel, connection, word, NULL))
		close(connection);
	else if (leftover)
		gate_linger(gate, connection);
	else
		gate_keep(gate, connection);
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
	gate_free(gate);
}
