/* Error answers: RFC 9457 application/problem+json, each with a stable code. */
#ifndef PRESENCE_BASE_PROBLEM_H
#define PRESENCE_BASE_PROBLEM_H

#include "base/buf.h"

/* PROBLEM_NONE is "no error"; the table in problem.c holds status, code and title of the others. */
enum problem_kind {
	PROBLEM_NONE,
	PROBLEM_BAD_REQUEST, /* 400 bad_request */
	PROBLEM_BAD_JSON, /* 400 bad_json */
	PROBLEM_BAD_ID, /* 400 bad_id */
	PROBLEM_BAD_PARAMETER, /* 400 bad_parameter */
	PROBLEM_TOO_MANY_IDS, /* 400 too_many_ids */
	PROBLEM_TOKEN_MISSING, /* 401 token_missing */
	PROBLEM_TOKEN_INVALID, /* 401 token_invalid */
	PROBLEM_TOKEN_EXPIRED, /* 401 token_expired */
	PROBLEM_TOKEN_REVOKED, /* 401 token_revoked */
	PROBLEM_TICKET_INVALID, /* 401 ticket_invalid */
	PROBLEM_BAD_CREDENTIALS, /* 401 bad_credentials */
	PROBLEM_WATCH_ONLY, /* 403 watch_only */
	PROBLEM_SCOPE_MISSING, /* 403 scope_missing */
	PROBLEM_SHARING_OFF, /* 403 sharing_off */
	PROBLEM_NOT_FOUND, /* 404 not_found */
	PROBLEM_METHOD_NOT_ALLOWED, /* 405 method_not_allowed */
	PROBLEM_BODY_TOO_LARGE, /* 413 body_too_large */
	PROBLEM_MEDIA_TYPE, /* 415 unsupported_media_type */
	PROBLEM_BAD_VALUE, /* 422 bad_value */
	PROBLEM_TOO_MANY_BLOCKS, /* 422 too_many_blocks */
	PROBLEM_TOO_MANY_LOGINS, /* 429 too_many_logins */
	PROBLEM_TOO_MANY_STREAMS, /* 429 too_many_streams */
	PROBLEM_TOO_OFTEN, /* 429 too_often */
	PROBLEM_INTERNAL, /* 500 internal_error */
	PROBLEM_STREAMS_UNAVAILABLE, /* 501 streams_unavailable */
	PROBLEM_REDIS_UNAVAILABLE, /* 503 redis_unavailable */
	PROBLEM_DIRECTORY_UNAVAILABLE, /* 503 directory_unavailable */
	PROBLEM_SERVER_FULL, /* 503 server_full */
	PROBLEM_QUEUE_FULL, /* 503 push_queue_full */
	PROBLEM_SHUTTING_DOWN, /* 503 shutting_down */
};

struct problem {
	enum problem_kind kind;
	const char *detail; /* a sentence for people, or NULL for the title alone */
	const char *allow; /* with METHOD_NOT_ALLOWED: the Allow field's value */
	int retry_after; /* seconds for 429 and 503; 0 = the table's */
	const char *request_id; /* cgi_request_id() */
};

int problem_status(enum problem_kind kind);
const char *problem_code(enum problem_kind kind);
const char *problem_title(enum problem_kind kind);

/*
 * Appends a whole CGI answer (RFC 3875 section 6): Status, header fields and
 * the JSON body, with WWW-Authenticate (RFC 6750 section 3), Retry-After and
 * Allow where they belong. `fields` is further header lines, each ended by
 * CR LF, or "".
 */
void problem_put(struct printbuf *out, const struct problem *problem, const char *fields);

#endif
