/*
 * Requests over FastCGI: accepts connections until a request has arrived on one
 * (gate.h), takes the request apart, and answers. With a parent, what is on its way
 * when there is something to serve is left to it, and comes back when it is whole
 * (channel.h).
 */
#ifndef PRESENCE_API_ACCEPT_H
#define PRESENCE_API_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

#define ACCEPT_LISTENER 0 /* FCGI_LISTENSOCK_FILENO, FastCGI section 2.2 */

struct accept_request {
	char *const *env; /* NULL-terminated "NAME=VALUE" */
	/* Of a request that is larger than the gate takes, the beginning. */
	const char *body;
	size_t body_len;
};

/* A worker's parent. */
struct accept_parent {
	int channel; /* to it */
	int lender; /* by which its listener is borrowed (lender.h); -1: it accepts */
};

/*
 * Prepares the process. Connections come from the parent, or (NULL) from the
 * listening socket ACCEPT_LISTENER, with requests of up to `most` bytes (gate.h). From
 * now on SIGTERM, SIGINT, SIGHUP and SIGUSR1 end the process between two requests, never
 * in one: they are blocked, so call this before any thread is made. False with errno.
 */
bool accept_init(const struct accept_parent *parent, size_t most);

/*
 * What is to be done when nothing came for some time: `wait_ms` tells for how long, -1
 * for never, `run` does it. No request that has arrived waits for it.
 */
struct accept_idle {
	int (*wait_ms)(void *arg);
	void (*run)(void *arg);
	void *arg;
};
void accept_when_idle(const struct accept_idle *what);

/*
 * Waits for the next request, which is valid until accept_answer(). NULL: a signal
 * came, the parent is gone, or the socket is.
 */
const struct accept_request *accept_next(void);

/*
 * Does what a signal does: accept_next() goes on to return those who wait already,
 * unless others take them, until it says NULL.
 */
void accept_stop(void);

/*
 * The whole answer (RFC 3875 section 6) to the request, once. A peer that does not
 * read it holds the process for some seconds.
 */
void accept_answer(const char *answer, size_t len);

void accept_end(void);

#endif
