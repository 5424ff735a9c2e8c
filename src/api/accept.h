/*
 * Requests over FastCGI: waits for connections on which one has arrived, its own
 * or the parent's (channel.h), and lets libfcgi read it.
 */
#ifndef PRESENCE_API_ACCEPT_H
#define PRESENCE_API_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

#include <fcgiapp.h>

#define ACCEPT_LISTENER 0 /* FCGI_LISTENSOCK_FILENO, FastCGI section 2.2 */

/*
 * Prepares the process and *fcgx. Connections come from the parent's channel, or
 * (channel -1) from the listening socket ACCEPT_LISTENER, with requests of up to
 * `most` bytes (gate.h). From now on SIGTERM,
 * SIGINT, SIGHUP and SIGUSR1 end the process between two requests, never in one:
 * they are blocked, so call this before any thread is made. False with errno.
 */
bool accept_init(FCGX_Request *fcgx, int channel, size_t most);

/*
 * Finishes the request before and waits for the next. True: it is in *fcgx.
 * False: a signal came, the parent is gone, or the socket is.
 */
bool accept_next(FCGX_Request *fcgx);

/*
 * Before len bytes are written: a peer that does not read them must not hold the
 * process for ever. A small answer on a new connection needs no system call.
 */
void accept_expect_answer(const FCGX_Request *fcgx, size_t len);

/* Finishes the last request and frees what *fcgx holds. */
void accept_end(FCGX_Request *fcgx);

#endif
