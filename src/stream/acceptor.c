#include "stream/acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "stream/timer.h"

#define ACCEPT_PAUSE_MS 200 /* after the system had no descriptor for us */
#define SPARE_DESCRIPTORS 64 /* for all that is not a stream */
#define SPARE_CONNECTIONS 32 /* beyond max_streams, to refuse with an answer */

/* --- descriptors ----------------------------------------------------------------------------- */

/* Raises the soft limit to the hard one; returns how many streams fit. */
static unsigned fit_streams(unsigned wanted)
{
	struct rlimit limit;
	unsigned fit = wanted;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < (rlim_t)wanted + SPARE_DESCRIPTORS + SPARE_CONNECTIONS)
		fit = limit.rlim_max > SPARE_DESCRIPTORS + SPARE_CONNECTIONS
			      ? (unsigned)limit.rlim_max - SPARE_DESCRIPTORS - SPARE_CONNECTIONS
			      : 1;
	if (fit < wanted)
		log_warn("descriptor limit %llu: at most %u streams instead of max_streams = %u",
			 (unsigned long long)limit.rlim_max, fit, wanted);
	else
		log_info("descriptor limit %llu, at most %u streams",
			 (unsigned long long)limit.rlim_max, fit);
	return fit;
}

void acceptor_set_limit(struct acceptor *acceptor, unsigned wanted)
{
	struct streams *streams = acceptor->streams;

	streams->max = streams->conns.max_streams = fit_streams(wanted);
}

/* --- accepting ------------------------------------------------------------------------------- */

static void set_accepting(struct acceptor *acceptor, bool accepting)
{
	if (acceptor->accepting == accepting || acceptor->listener == NULL)
		return;
	acceptor->accepting = accepting;
	if (accepting)
		evconnlistener_enable(acceptor->listener);
	else
		evconnlistener_disable(acceptor->listener);
}

static bool is_full(const struct acceptor *acceptor)
{
	return acceptor->streams->conns.count >= acceptor->streams->max + SPARE_CONNECTIONS;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
		      int len, void *arg)
{
	struct acceptor *acceptor = arg;

	(void)listener;
	(void)peer;
	(void)len;
	stream_new(acceptor->streams, fd);
	if (is_full(acceptor))
		set_accepting(acceptor, false);
}

/* Transient errors pass by themselves; out of descriptors, the listener rests for a moment. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct acceptor *acceptor = arg;
	int error = errno;

	(void)listener;
	if (error == ECONNABORTED || error == EINTR || error == EAGAIN)
		return;
	log_warn("accept: %s", strerror(error));
	set_accepting(acceptor, false);
	timer_set(acceptor->again, ACCEPT_PAUSE_MS);
}

void acceptor_check_room(struct acceptor *acceptor)
{
	if (!is_full(acceptor) && !event_pending(acceptor->again, EV_TIMEOUT, NULL))
		set_accepting(acceptor, true);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	acceptor_check_room(arg);
}

void acceptor_begin(struct acceptor *acceptor, int64_t ms)
{
	if (ms > 0)
		timer_set(acceptor->again, ms);
	else
		event_active(acceptor->again, EV_TIMEOUT, 0);
}

void acceptor_give_up(struct acceptor *acceptor)
{
	evutil_socket_t listener = evconnlistener_get_fd(acceptor->listener);
	int fd;

	if (!acceptor->is_ours) {
		event_del(acceptor->again);
		acceptor_check_room(acceptor);
		return;
	}
	if (acceptor->path != NULL)
		listen_address_withdraw(listener, acceptor->path);
	/* cppcheck-suppress nullPointer ; accept(2) takes NULL for an address not wanted */
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		stream_new(acceptor->streams, fd);
	evconnlistener_free(acceptor->listener);
	acceptor->listener = NULL;
}

/* --- the acceptor ---------------------------------------------------------------------------- */

void acceptor_init(struct acceptor *acceptor, struct streams *streams, int fd, bool is_ours,
		   const char *path)
{
	struct event_base *base = streams->context->base;

	memset(acceptor, 0, sizeof *acceptor);
	acceptor->streams = streams;
	acceptor->is_ours = is_ours;
	acceptor->path = path;
	acceptor->again = evtimer_new(base, on_again, acceptor);
	evutil_make_socket_nonblocking(fd);
	acceptor->listener = evconnlistener_new(
		base, on_accept, acceptor,
		LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_DISABLED, 0, fd);
	evconnlistener_set_error_cb(acceptor->listener, on_accept_error);
}

void acceptor_clear(struct acceptor *acceptor)
{
	if (acceptor->listener != NULL)
		evconnlistener_free(acceptor->listener);
	event_free(acceptor->again);
}
