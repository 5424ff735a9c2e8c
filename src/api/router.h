/* Which handler a method and a path belong to: a table, and a pure function over it. */
#ifndef PRESENCE_API_ROUTER_H
#define PRESENCE_API_ROUTER_H

#include <stddef.h>

#include "base/problem.h"

struct request;

/* Answers a request: PROBLEM_NONE with the JSON in request->answer, or what to refuse it with. */
typedef struct problem route_handler(struct request *request);

enum route_flag {
	ROUTE_OPEN = 1, /* needs no token */
	ROUTE_BODY = 2, /* takes a JSON object */
	ROUTE_BODY_OPTIONAL = 4, /* takes a JSON object or nothing */
	ROUTE_LOCAL_LOGIN = 8, /* exists only with auth.login = local */
	ROUTE_WATCH = 16, /* a token that only watches may call it, as it may whatever is a GET */
	ROUTE_SCOPE_PUSH = 32, /* the token's scope must hold "push" */
	ROUTE_SCOPE_ADMIN = 64, /* or "admin" */
	ROUTE_LIST = 256, /* takes a body of LIST_BODY_LIMIT bytes */
	ROUTE_PUSH = 128, /* exists only with push.key_file */
	ROUTE_METRICS = 512, /* exists only with metrics.token_file */
};

struct route {
	const char *method;
	const char *path; /* after http.base; one segment may be "{id}" */
	route_handler *handler;
	unsigned flags; /* enum route_flag */
};

enum route_result { ROUTE_FOUND, ROUTE_UNKNOWN_PATH, ROUTE_OTHER_METHOD };

#define ROUTE_ALLOW_MAX 64

struct route_match {
	const struct route *route; /* with ROUTE_FOUND */
	const char *id; /* {id} in the path, still percent-encoded, not terminated; NULL: none */
	size_t id_len;
	char allow[ROUTE_ALLOW_MAX]; /* with OTHER_METHOD: the path's methods, for Allow */
};

/*
 * Looks `path` (percent-encoded, as cgi_path() gives it) up under `base`. Paths
 * are compared as they are written: nothing but {id} may be percent-encoded.
 * Routes that have a flag of `hidden` do not exist. HEAD is found where GET is
 * (RFC 9110 section 9.3.2).
 */
enum route_result router_find(const struct route *routes, size_t count, unsigned hidden,
			      const char *base, const char *method, const char *path,
			      struct route_match *match);

#endif
