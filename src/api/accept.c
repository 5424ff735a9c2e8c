/*
 * Why not FCGX_Accept_r alone: its accept() misses a signal that comes just
 * before it; a signal in the middle of a request breaks that request; and a peer
 * that connects and is silent holds the process for ever. So signals are let in
 * only while we wait here, the connection gets time limits, and libfcgi is given
 * the connection instead of the listening socket.
 */
#include "api/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/times.h"

#define LISTENER 0 /* FCGI_LISTENSOCK_FILENO, FastCGI section 2.2 */
#define PEER_TIMEOUT 5 /* seconds that a web server may be silent in a request */
#define SMALL_ANSWER 8192 /* bytes: a new connection takes them without waiting for the peer */
#define ACCEPT_LIMIT 10 /* ms */
#define STOP_LIMIT 500 /* ms in which those are served who wait already when we are to stop */
#define LOOK_EVERY 8 /* requests between two looks for a pending signal */
#define OUT_OF_DESCRIPTORS_WAIT 100 /* ms */

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
#define STOP_SIGNALS (sizeof stop_signals / sizeof stop_signals[0])

static volatile sig_atomic_t stopped;
static sigset_t waiting_mask; /* lets the stop signals in; in use while we wait, and only then */
static int listener_epoll = -1;
static int64_t stop_by; /* ms; 0 until we are to stop */

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

	signal(SIGPIPE, SIG_IGN);
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

bool accept_init(FCGX_Request *fcgx)
{
	/* Of many workers that wait only one is woken for a connection. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
	/*
	 * O_NONBLOCK belongs to all who share the socket: systemd takes it away whenever it runs
	 * ExecReload=. Then this bounds an accept() that lost the race for a connection.
	 */
	const struct timeval limit = {.tv_usec = ACCEPT_LIMIT * 1000L};
	int flags = fcntl(LISTENER, F_GETFL), on = 1;

	install_signals();
	/* Connections get it from the listener; a Unix socket has no such option. */
	setsockopt(LISTENER, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(LISTENER, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	listener_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (flags < 0 || fcntl(LISTENER, F_SETFL, flags | O_NONBLOCK) != 0 || listener_epoll < 0 ||
	    epoll_ctl(listener_epoll, EPOLL_CTL_ADD, LISTENER, &event) != 0)
		return false;
	/* No listening socket for libfcgi: it must not wait for a connection of its own. */
	return FCGX_Init() == 0 && FCGX_InitRequest(fcgx, -1, 0) == 0;
}

static bool is_out_of_resources(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static bool is_transient(int error)
{
	/* accept(2): what went wrong with the connection that was taken. */
	return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENETDOWN ||
	       error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
	       error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH ||
	       error == EPERM || error == ETIMEDOUT;
}

/* A new connection, or -1 when the process is to stop. */
static int accept_connection(void)
{
	struct timespec pause = {.tv_nsec = OUT_OF_DESCRIPTORS_WAIT * 1000000L};
	struct epoll_event event;
	int fd;

	for (;;) {
		bool stopping = is_stopping();

		/* Whoever waits in a socket that is ours alone (mod_fcgid) would be lost with us. */
		if (stopping && stop_by == 0)
			stop_by = times_mono_ms() + STOP_LIMIT;
		if (stopping && times_mono_ms() > stop_by)
			return -1;
		/* cppcheck-suppress nullPointer ; accept(2) takes NULL for an address not wanted */
		fd = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (stopping)
			return -1;
		if (errno == EAGAIN) {
			epoll_pwait(listener_epoll, &event, 1, -1, &waiting_mask);
		} else if (is_out_of_resources(errno)) {
			log_error("cannot accept: %s", strerror(errno));
			ppoll(NULL, 0, &pause, &waiting_mask);
		} else if (!is_transient(errno)) {
			log_error("cannot accept any more: %s", strerror(errno));
			return -1;
		}
	}
}

static void limit_wait(int fd, int option)
{
	static const struct timeval limit = {.tv_sec = PEER_TIMEOUT};

	setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit);
}

void accept_expect_answer(const FCGX_Request *fcgx, size_t len)
{
	if (len > SMALL_ANSWER || fcgx->keepConnection)
		limit_wait(fcgx->ipcFd, SO_SNDTIMEO);
}

/*
 * With FCGI_KEEP_CONN the connection is still open. Waits for its next request,
 * but gives it up when another connection waits, or the process is to stop.
 */
static bool wait_on_kept(FCGX_Request *fcgx)
{
	struct pollfd both[] = {{.fd = fcgx->ipcFd, .events = POLLIN},
				{.fd = LISTENER, .events = POLLIN}};

	while (!is_stopping() && ppoll(both, 2, NULL, &waiting_mask) < 0 && errno == EINTR)
		continue;
	if (both[0].revents != 0)
		return true;
	close(fcgx->ipcFd);
	fcgx->ipcFd = -1;
	return false;
}

bool accept_next(FCGX_Request *fcgx)
{
	FCGX_Finish_r(fcgx);
	for (;;) {
		if (fcgx->ipcFd < 0 || !wait_on_kept(fcgx)) {
			fcgx->ipcFd = accept_connection();
			if (fcgx->ipcFd < 0)
				return false;
			limit_wait(fcgx->ipcFd, SO_RCVTIMEO);
			/* So that FCGX_Accept_r reads from this connection rather than close it. */
			fcgx->keepConnection = 1;
		}
		if (FCGX_Accept_r(fcgx) == 0)
			return true;
		log_debug("a connection brought no FastCGI request");
	}
}

void accept_end(FCGX_Request *fcgx)
{
	fcgx->keepConnection = 0;
	FCGX_Finish_r(fcgx);
	close(listener_epoll);
}
