/* Cross-origin requests (WHATWG Fetch, CORS protocol): which header fields an answer gets. */
#ifndef PRESENCE_BASE_CORS_H
#define PRESENCE_BASE_CORS_H

#include "base/buf.h"

/*
 * Appends the fields of an answer to a request that came with `origin` (its
 * Origin field, NULL when it had none). `allowed` is [cors] allow_origins: exact
 * origins, comma separated, whose pages may send credentials; or "*" for all,
 * without. Nothing but Vary for an origin that is not allowed, and nothing at
 * all when `allowed` is empty.
 */
void cors_put_fields(struct printbuf *out, const char *allowed, const char *origin);

/*
 * Appends a whole CGI answer to OPTIONS: 204, Allow, and for a preflight of an
 * allowed origin what it may do: use any method, and send the header fields that
 * it asks for. `requested` is its Access-Control-Request-Headers, or NULL; one
 * that is not a list of names, or a very long one, is not repeated. `methods` as
 * in Allow: "GET, OPTIONS". `fields` is what cors_put_fields() wrote for this request,
 * with further header lines or without.
 */
void cors_put_options(struct printbuf *out, const char *allowed, const char *origin,
		      const char *requested, const char *methods, const char *fields);

#endif
