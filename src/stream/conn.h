/*
 * One FastCGI connection of a web server: records come in, frames go out. It
 * knows no presence. Its owner reads `state`, is marked due (turn.h) when that
 * changes, and acts on it; the end of a request, KEEP_CONN, padding and the
 * protocol's own answers are the connection's affair.
 */
#ifndef PRESENCE_STREAM_CONN_H
#define PRESENCE_STREAM_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include "stream/context.h"
#include "base/fcgi.h"
#include "stream/outbox.h"
#include "stream/state.h"

enum conn_state {
	CONN_READING, /* a request's parameters are coming in */
	CONN_REQUEST, /* they are complete: conn_take_request() */
	CONN_ANSWERING, /* the owner answers */
	CONN_ABORTED, /* the web server gave the request up (FCGI_ABORT_REQUEST) */
	CONN_HALF_CLOSED, /* the peer sends nothing more: how lighttpd tells of a browser that left */
	CONN_ENDING, /* END_REQUEST is queued: then the next request, or the end */
	CONN_DEAD, /* broken, or closed by the peer: to be destroyed */
};
extern const struct state_names conn_states;

enum conn_output {
	OUTPUT_IDLE, /* nothing waits */
	OUTPUT_DUE, /* what waits is sent by conns_flush() */
	OUTPUT_BLOCKED, /* what waits is sent when the socket is writable */
};
extern const struct state_names conn_outputs;

struct conns {
	struct context *context;
	TAILQ_HEAD(conn_list, conn) due; /* those of OUTPUT_DUE */
	unsigned count;
	unsigned max_streams; /* what a web server that asks is told (FCGI_MAX_CONNS) */
};

struct conn {
	struct conns *all;
	struct due *owner;
	TAILQ_ENTRY(conn) link; /* in all->due */
	struct event io;
	int fd;
	enum conn_state state;
	enum conn_output output;
	bool needs_padding; /* something was sent since the last padding */
	struct fcgi_conn fcgi;
	struct outbox outbox;
	unsigned reply_bytes; /* answers of the protocol's own that may wait in the outbox */
	int64_t progress_ms; /* while BLOCKED: when the peer took something last */
};

void conns_init(struct conns *all, struct context *context);

/* Writes what is due, one system call for each connection. */
void conns_flush(struct conns *all);

/* The descriptor, a connected non-blocking socket, is the connection's from then on. */
void conn_open(struct conns *all, struct conn *conn, struct due *owner, int fd);
void conn_close(struct conn *conn); /* closes it at once and frees what it holds */

/* In CONN_REQUEST: the parameters, see fcgi_conn_take_params(). CONN_ANSWERING begins. */
char **conn_take_request(struct conn *conn);

/* Queues a frame, sent at the end of the turn. Nothing for a connection that is dead. */
void conn_send(struct conn *conn, struct frame *frame);
void conn_send_all(struct conn *conn, struct outbox *frames); /* moves them */

/* Sends what waits now, unless the socket is known to take nothing. */
void conn_write_now(struct conn *conn);

/* The request is over: what waits goes out, then CONN_READING or CONN_DEAD follows. */
void conn_end_request(struct conn *conn);

/* Forgets the frames of which nothing is sent yet; returns how many those were. */
unsigned conn_drop_unsent(struct conn *conn);
void conn_drop_fleeting(struct conn *conn); /* of these, the fleeting ones alone */

/* Reads what has come, as it is done when the socket is readable. */
void conn_read_now(struct conn *conn);

/* It was used (FCGI_KEEP_CONN), and of a next request nothing has come. */
bool conn_is_kept(const struct conn *conn);

/* Bytes of the owner's frames that wait; padding is not the reader's fault and is left out. */
size_t conn_waiting(const struct conn *conn);

/* What waits is more than the socket takes. */
bool conn_is_blocked(const struct conn *conn);

/* Nothing waits, and the socket takes more as far as is known. */
bool conn_is_idle(const struct conn *conn);

#endif
