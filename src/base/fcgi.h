/*
 * The FastCGI 1.0 wire for a responder: pure functions over bytes that know no
 * socket. Numbers of sections are those of the FastCGI specification.
 *
 * One request per connection at a time (we answer FCGI_MPXS_CONNS = 0), as
 * every web server here does, so a connection's state is one request's state.
 */
#ifndef PRESENCE_BASE_FCGI_H
#define PRESENCE_BASE_FCGI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define FCGI_PARAMS_LIMIT 65536 /* bytes of all FCGI_PARAMS content of one request */
#define FCGI_PARAMS_MAX 1024 /* parameters of one request */
#define FCGI_MANAGEMENT_LIMIT 512 /* bytes of content of one management record */

enum fcgi_event {
	FCGI_EVENT_MORE, /* all bytes are used; feed more */
	FCGI_EVENT_REQUEST, /* parameters are complete: fcgi_conn_take_params() */
	FCGI_EVENT_ABORT, /* FCGI_ABORT_REQUEST for the request that runs (5.4) */
	FCGI_EVENT_CLOSE, /* refused a request without FCGI_KEEP_CONN: send `reply`, close */
	FCGI_EVENT_BROKEN, /* the peer broke the protocol or a limit: close the connection */
};

enum fcgi_state { FCGI_STATE_HEADER, FCGI_STATE_CONTENT, FCGI_STATE_PADDING };

/*
 * One connection: 48 bytes, and nothing allocated while a request runs whose
 * parameters are taken. Of its fields the owner reads request_id, keep_conn and
 * stdin_done.
 */
struct fcgi_conn {
	enum fcgi_state state;
	uint8_t header[8]; /* of the record being read */
	uint8_t have; /* bytes of header read so far */
	uint8_t padding; /* bytes of padding still to skip */
	uint16_t left; /* bytes of content still to read */
	uint16_t request_id; /* of the request that runs; 0 = none */
	bool keep_conn; /* FCGI_KEEP_CONN of that request (5.1) */
	bool params_done; /* its empty FCGI_PARAMS has come */
	bool stdin_done; /* its empty FCGI_STDIN has come: the peer has written all of the request */
	struct printbuf *content; /* BEGIN or GET_VALUES so far, or NULL */
	struct printbuf *params; /* FCGI_PARAMS content so far, or NULL */
	char **env; /* the decoded parameters until they are taken, or NULL */
};

void fcgi_conn_init(struct fcgi_conn *conn);
void fcgi_conn_clear(struct fcgi_conn *conn); /* frees what it holds */

/*
 * Reads records from data. Stops at the first event and sets *used to the bytes
 * it took; the caller feeds the rest next, but nothing after CLOSE or BROKEN.
 * Events and answers are the same however the bytes are cut.
 *
 * Answers that the protocol itself asks for are appended to `reply` whatever
 * the event, at most 2 bytes for each byte of data and 1 KiB more:
 * FCGI_GET_VALUES (4.1) with max_conns for FCGI_MAX_CONNS and FCGI_MAX_REQS and
 * 0 for FCGI_MPXS_CONNS, FCGI_UNKNOWN_TYPE (4.2) for other management records,
 * FCGI_END_REQUEST (5.5) with FCGI_UNKNOWN_ROLE for another role than responder
 * and FCGI_CANT_MPX_CONN for a second FCGI_BEGIN_REQUEST while one runs. Records
 * of requests that do not run are skipped (3.3), FCGI_STDIN is read and thrown
 * away.
 *
 * BROKEN: another version, a second BEGIN of the running id, a BEGIN whose
 * content is not 8 bytes, id 0 there, parameters over FCGI_PARAMS_LIMIT or
 * FCGI_PARAMS_MAX, cut off, with lengths beyond their end or after their end,
 * an empty name, a name or value with a NUL, a management record over
 * FCGI_MANAGEMENT_LIMIT, or an FCGI_GET_VALUES that is cut off.
 */
enum fcgi_event fcgi_conn_feed(struct fcgi_conn *conn, unsigned max_conns, const uint8_t *data,
			       size_t len, size_t *used, struct printbuf *reply);

/*
 * After FCGI_EVENT_REQUEST, once: the parameters as a NULL-terminated list of
 * "NAME=VALUE" in one block that the caller frees with free(). Names with '='
 * in them are left out.
 */
char **fcgi_conn_take_params(struct fcgi_conn *conn);

/* The same of `len` bytes of FCGI_PARAMS content that are all there; NULL: they are BROKEN. */
char **fcgi_read_params(const uint8_t *params, size_t len);

/*
 * The running request is over (its END_REQUEST is written). With keep_conn the
 * next BEGIN may come, what is left of the old one is skipped; without it the
 * caller closes.
 */
void fcgi_conn_finish(struct fcgi_conn *conn);

/* Appends data as FCGI_STDOUT records of at most 65535 bytes; none for len 0, that would end it. */
void fcgi_put_stdout(struct printbuf *out, uint16_t request_id, const void *data, size_t len);

/* Appends a request's end: an empty FCGI_STDOUT (3.3), FCGI_END_REQUEST, both statuses 0 (5.5). */
void fcgi_put_end(struct printbuf *out, uint16_t request_id);

/* Sets the request id in each record of a buffer of whole records, so that they can be shared. */
void fcgi_stamp(uint8_t *records, size_t len, uint16_t request_id);

#endif
