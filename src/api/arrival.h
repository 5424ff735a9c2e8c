/*
 * A FastCGI request that has arrived (FastCGI 1.0, sections 3.3, 5 and 6): pure
 * functions over the bytes that came on a connection. One tells whether all of it
 * is there, so that nobody waits for the rest; the other takes it apart.
 */
#ifndef PRESENCE_API_ARRIVAL_H
#define PRESENCE_API_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum arrival {
	ARRIVAL_PART, /* more must come, of the parameters too */
	ARRIVAL_BODY, /* the parameters are all there, more of the body must come */
	ARRIVAL_WHOLE,
	ARRIVAL_BAD, /* it will never be a request */
};

/*
 * Looks at the records in the first len bytes of a request: a BEGIN_REQUEST for a
 * responder, PARAMS and STDIN with the empty records that end them. Anything else
 * is BAD. The parameters themselves are arrival_read()'s.
 */
enum arrival arrival_of(const uint8_t *bytes, size_t len);

struct arrived {
	uint16_t id;
	bool keep_conn; /* FCGI_KEEP_CONN: another request may follow the answer */
	bool is_cut; /* there is more of it than was given, or something stands after it */
	char **env; /* NULL-terminated "NAME=VALUE", in one block that the caller frees */
};

/*
 * Takes a request apart and appends the body's bytes to `body`. False, and nothing
 * to free: it is neither BODY nor WHOLE, or its parameters break a rule of fcgi.h.
 */
bool arrival_read(const uint8_t *bytes, size_t len, struct arrived *arrived, struct printbuf *body);

#endif
