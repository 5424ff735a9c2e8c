#include "base/problem.h"

#include <string.h>

#include "base/json.h"

static const struct row {
	int status;
	const char *code, *title;
	int retry_after; /* seconds, 0 = no Retry-After */
} rows[] = {
	[PROBLEM_NONE] = {200, "ok", "OK", 0},
	[PROBLEM_BAD_REQUEST] = {400, "bad_request", "The request is malformed", 0},
	[PROBLEM_BAD_JSON] = {400, "bad_json", "The body is not the JSON this call takes", 0},
	[PROBLEM_BAD_ID] = {400, "bad_id", "Not a user id", 0},
	[PROBLEM_BAD_PARAMETER] = {400, "bad_parameter", "A parameter has no valid value", 0},
	[PROBLEM_TOO_MANY_IDS] = {400, "too_many_ids", "Too many ids in one request", 0},
	[PROBLEM_TOKEN_MISSING] = {401, "token_missing", "A token is required", 0},
	[PROBLEM_TOKEN_INVALID] = {401, "token_invalid", "The token is not valid", 0},
	[PROBLEM_TOKEN_EXPIRED] = {401, "token_expired", "The token has expired", 0},
	[PROBLEM_TOKEN_REVOKED] = {401, "token_revoked", "The token was revoked", 0},
	[PROBLEM_TICKET_INVALID] = {401, "ticket_invalid", "The ticket is unknown, used or expired",
				    0},
	[PROBLEM_BAD_CREDENTIALS] = {401, "bad_credentials", "The e-mail or password is wrong", 0},
	[PROBLEM_WATCH_ONLY] = {403, "watch_only", "The token may only watch", 0},
	[PROBLEM_SCOPE_MISSING] = {403, "scope_missing", "The token's scope lacks what this takes",
				   0},
	[PROBLEM_SHARING_OFF] = {403, "sharing_off", "The user does not share a place", 0},
	[PROBLEM_NOT_FOUND] = {404, "not_found", "There is no such resource", 0},
	[PROBLEM_METHOD_NOT_ALLOWED] = {405, "method_not_allowed",
					"The resource does not take this method", 0},
	[PROBLEM_BODY_TOO_LARGE] = {413, "body_too_large", "The body is too large", 0},
	[PROBLEM_MEDIA_TYPE] = {415, "unsupported_media_type", "The body must be application/json",
				0},
	[PROBLEM_BAD_VALUE] = {422, "bad_value", "A value is not acceptable", 0},
	[PROBLEM_TOO_MANY_BLOCKS] = {422, "too_many_blocks", "Too many users are blocked", 0},
	[PROBLEM_TOO_MANY_LOGINS] = {429, "too_many_logins", "Too many failed logins", 300},
	[PROBLEM_TOO_MANY_STREAMS] = {429, "too_many_streams", "Too many streams of this user", 30},
	[PROBLEM_TOO_OFTEN] = {429, "too_often", "Too many changes in a short time", 30},
	[PROBLEM_INTERNAL] = {500, "internal_error", "The server failed", 0},
	[PROBLEM_STREAMS_UNAVAILABLE] = {501, "streams_unavailable",
					 "This server has no streams: poll instead", 0},
	[PROBLEM_REDIS_UNAVAILABLE] = {503, "redis_unavailable", "Redis does not answer", 2},
	[PROBLEM_DIRECTORY_UNAVAILABLE] = {503, "directory_unavailable",
					   "The directory does not answer", 5},
	[PROBLEM_SERVER_FULL] = {503, "server_full", "No further stream fits here", 10},
	[PROBLEM_QUEUE_FULL] = {503, "push_queue_full", "Too many notifications wait", 10},
	[PROBLEM_SHUTTING_DOWN] = {503, "shutting_down", "The server is about to stop", 2},
};

int problem_status(enum problem_kind kind)
{
	return rows[kind].status;
}

const char *problem_code(enum problem_kind kind)
{
	return rows[kind].code;
}

const char *problem_title(enum problem_kind kind)
{
	return rows[kind].title;
}

static const char *reason_phrase(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 422:
		return "Unprocessable Content";
	case 429:
		return "Too Many Requests";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	default:
		return "Service Unavailable";
	}
}

/* RFC 6750 section 3: a request without a token gets the bare challenge. */
static void put_challenge(struct printbuf *out, enum problem_kind kind)
{
	buf_puts(out, "WWW-Authenticate: Bearer realm=\"presence\"");
	if (kind == PROBLEM_TOKEN_INVALID || kind == PROBLEM_TOKEN_EXPIRED ||
	    kind == PROBLEM_TOKEN_REVOKED)
		buf_putf(out, ", error=\"invalid_token\", error_description=\"%s\"",
			 rows[kind].title);
	if (kind == PROBLEM_SCOPE_MISSING)
		buf_puts(out, ", error=\"insufficient_scope\"");
	buf_puts(out, "\r\n");
}

void problem_put(struct printbuf *out, const struct problem *problem, const char *fields)
{
	const struct row *row = &rows[problem->kind];
	const char *detail = problem->detail != NULL ? problem->detail : row->title;
	int retry_after = problem->retry_after > 0 ? problem->retry_after : row->retry_after;

	buf_putf(out, "Status: %d %s\r\n", row->status, reason_phrase(row->status));
	buf_puts(out, "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n");
	if (row->status == 401 || problem->kind == PROBLEM_SCOPE_MISSING)
		put_challenge(out, problem->kind);
	if (problem->allow != NULL)
		buf_putf(out, "Allow: %s\r\n", problem->allow);
	if (retry_after > 0)
		buf_putf(out, "Retry-After: %d\r\n", retry_after);
	buf_puts(out, fields);
	buf_putf(out, "\r\n{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":",
		 row->title, row->status);
	json_put_string(out, detail, strlen(detail));
	buf_putf(out, ",\"code\":\"%s\",\"request_id\":", row->code);
	json_put_string(out, problem->request_id, strlen(problem->request_id));
	buf_puts(out, "}");
}
