/*
 * Whether a whole FastCGI request has arrived (FastCGI 1.0, sections 3.3, 5 and
 * 6): a pure function over the bytes that wait on a connection, so that libfcgi,
 * which blocks, is given only what it can read at once.
 */
#ifndef PRESENCE_API_ARRIVAL_H
#define PRESENCE_API_ARRIVAL_H

#include <stddef.h>

enum arrival {
	ARRIVAL_PART, /* more must come, of the parameters too */
	ARRIVAL_BODY, /* the parameters are all there, more of the body must come */
	ARRIVAL_WHOLE,
	ARRIVAL_BAD, /* it will never be a request */
};

/*
 * Looks at the first len bytes of a request: a BEGIN_REQUEST for a responder,
 * PARAMS and STDIN with the empty records that end them. Anything else is BAD,
 * management records too: libfcgi's answer to GET_VALUES overruns its buffer. So
 * are parameters with a length beyond their end: libfcgi aborts on some of these.
 */
enum arrival arrival_of(const unsigned char *bytes, size_t len);

#endif
