/*
 * Requests over FastCGI: waits for connections on fd 0 and lets libfcgi read
 * one request at a time from them.
 */
#ifndef PRESENCE_API_ACCEPT_H
#define PRESENCE_API_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

#include <fcgiapp.h>

/*
 * Prepares the process and *fcgx. From now on SIGTERM, SIGINT, SIGHUP and
 * SIGUSR1 end it between two requests, never in one: they are blocked, so call
 * this before any thread is made. False with errno: fd 0 is not a listening socket.
 */
bool accept_init(FCGX_Request *fcgx);

/*
 * Finishes the request before and waits for the next. True: it is in *fcgx.
 * False: a signal came, or the socket is gone.
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
