/* Error answers: every kind has its row, and the answer is well-formed CGI with a JSON body. */
#include "unit.h"

#include "base/json.h"
#include "base/problem.h"

static const struct row {
	enum problem_kind kind;
	int status;
	const char *line; /* the Status field */
	const char *code;
	const char *retry_after; /* seconds, or NULL */
} rows[] = {
	{PROBLEM_BAD_REQUEST, 400, "400 Bad Request", "bad_request", NULL},
	{PROBLEM_BAD_JSON, 400, "400 Bad Request", "bad_json", NULL},
	{PROBLEM_BAD_ID, 400, "400 Bad Request", "bad_id", NULL},
	{PROBLEM_BAD_PARAMETER, 400, "400 Bad Request", "bad_parameter", NULL},
	{PROBLEM_TOO_MANY_IDS, 400, "400 Bad Request", "too_many_ids", NULL},
	{PROBLEM_TOKEN_MISSING, 401, "401 Unauthorized", "token_missing", NULL},
	{PROBLEM_TOKEN_INVALID, 401, "401 Unauthorized", "token_invalid", NULL},
	{PROBLEM_TOKEN_EXPIRED, 401, "401 Unauthorized", "token_expired", NULL},
	{PROBLEM_TOKEN_REVOKED, 401, "401 Unauthorized", "token_revoked", NULL},
	{PROBLEM_TICKET_INVALID, 401, "401 Unauthorized", "ticket_invalid", NULL},
	{PROBLEM_BAD_CREDENTIALS, 401, "401 Unauthorized", "bad_credentials", NULL},
	{PROBLEM_WATCH_ONLY, 403, "403 Forbidden", "watch_only", NULL},
	{PROBLEM_SCOPE_MISSING, 403, "403 Forbidden", "scope_missing", NULL},
	{PROBLEM_SHARING_OFF, 403, "403 Forbidden", "sharing_off", NULL},
	{PROBLEM_NOT_FOUND, 404, "404 Not Found", "not_found", NULL},
	{PROBLEM_METHOD_NOT_ALLOWED, 405, "405 Method Not Allowed", "method_not_allowed", NULL},
	{PROBLEM_BODY_TOO_LARGE, 413, "413 Content Too Large", "body_too_large", NULL},
	{PROBLEM_MEDIA_TYPE, 415, "415 Unsupported Media Type", "unsupported_media_type", NULL},
	{PROBLEM_BAD_VALUE, 422, "422 Unprocessable Content", "bad_value", NULL},
	{PROBLEM_TOO_MANY_BLOCKS, 422, "422 Unprocessable Content", "too_many_blocks", NULL},
	{PROBLEM_TOO_MANY_LOGINS, 429, "429 Too Many Requests", "too_many_logins", "300"},
	{PROBLEM_TOO_MANY_STREAMS, 429, "429 Too Many Requests", "too_many_streams", "30"},
	{PROBLEM_TOO_OFTEN, 429, "429 Too Many Requests", "too_often", "30"},
	{PROBLEM_INTERNAL, 500, "500 Internal Server Error", "internal_error", NULL},
	{PROBLEM_STREAMS_UNAVAILABLE, 501, "501 Not Implemented", "streams_unavailable", NULL},
	{PROBLEM_REDIS_UNAVAILABLE, 503, "503 Service Unavailable", "redis_unavailable", "2"},
	{PROBLEM_DIRECTORY_UNAVAILABLE, 503, "503 Service Unavailable", "directory_unavailable",
	 "5"},
	{PROBLEM_SERVER_FULL, 503, "503 Service Unavailable", "server_full", "10"},
	{PROBLEM_QUEUE_FULL, 503, "503 Service Unavailable", "push_queue_full", "10"},
	{PROBLEM_SHUTTING_DOWN, 503, "503 Service Unavailable", "shutting_down", "2"},
};

/* The value of a header field in a CGI answer, NULL when it is not there; the caller frees it. */
static char *field(const char *answer, const char *name)
{
	const char *end = strstr(answer, "\r\n\r\n");
	size_t len = strlen(name);

	for (const char *line = answer; line != NULL && line < end + 2;
	     line = strstr(line, "\r\n") + 2) {
		if (strncmp(line, name, len) == 0 && strncmp(line + len, ": ", 2) == 0)
			return strndup(line + len + 2,
				       (size_t)(strstr(line, "\r\n") - line) - len - 2);
	}
	return NULL;
}

static void expect_field(const char *answer, const char *name, const char *expected)
{
	char *value = field(answer, name);

	ck_assert_msg(expected == NULL ? value == NULL
				       : value != NULL && strcmp(value, expected) == 0,
		      "%s: expected %s, seen %s in\n%s", name, expected != NULL ? expected : "none",
		      value != NULL ? value : "none", answer);
	free(value);
}

static char *answer_of(const struct problem *problem, const char *fields)
{
	struct printbuf *out = buf_new();

	problem_put(out, problem, fields);
	return buf_take(out, NULL);
}

static struct json_object *body_of(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n"), *why = "";
	struct json_object *object;

	ck_assert_msg(body != NULL, "no end of the header in\n%s", answer);
	object = json_parse_object(body + 4, strlen(body + 4), &why);
	ck_assert_msg(object != NULL, "%s: %s", why, body);
	return object;
}

static void expect_member(struct json_object *body, const char *name, const char *expected)
{
	ck_assert_msg(json_object_is_type(json_member(body, name), json_type_string),
		      "no string %s", name);
	ck_assert_str_eq(json_object_get_string(json_member(body, name)), expected);
}

START_TEST(test_kinds)
{
	const struct row *row = &rows[_i];
	struct problem problem = {.kind = row->kind, .request_id = "r-1"};
	char *answer = answer_of(&problem, "");
	struct json_object *body = body_of(answer);
	char *challenge = field(answer, "WWW-Authenticate");

	ck_assert_int_eq(problem_status(row->kind), row->status);
	ck_assert_str_eq(problem_code(row->kind), row->code);
	ck_assert_msg(strncmp(answer, "Status: ", 8) == 0, "no Status first in\n%s", answer);
	expect_field(answer, "Status", row->line);
	expect_field(answer, "Content-Type", "application/problem+json");
	expect_field(answer, "Cache-Control", "no-store");
	expect_field(answer, "Retry-After", row->retry_after);
	expect_field(answer, "Allow", NULL);
	ck_assert_msg(
		(challenge != NULL) == (row->status == 401 || row->kind == PROBLEM_SCOPE_MISSING),
		"%s: WWW-Authenticate is %s", row->code, challenge != NULL ? challenge : "missing");
	ck_assert(challenge == NULL || strncmp(challenge, "Bearer", 6) == 0);
	free(challenge);

	expect_member(body, "type", "about:blank");
	expect_member(body, "code", row->code);
	expect_member(body, "title", problem_title(row->kind));
	expect_member(body, "detail", problem_title(row->kind));
	ck_assert_int_eq(json_object_get_int(json_member(body, "status")), row->status);
	expect_member(body, "request_id", "r-1");
	ck_assert_int_eq(json_object_object_length(body), 6);
	json_object_put(body);
	free(answer);
}
END_TEST

START_TEST(test_every_kind_is_tested)
{
	ck_assert_uint_eq(UNIT_COUNT(rows), PROBLEM_SHUTTING_DOWN);
	for (size_t i = 0; i < UNIT_COUNT(rows); i++)
		ck_assert_uint_eq(rows[i].kind, i + 1);
}
END_TEST

/* RFC 6750 section 3.1: no error code where no token came. */
START_TEST(test_challenge)
{
	static const struct {
		enum problem_kind kind;
		bool invalid_token;
	} challenges[] = {
		{PROBLEM_TOKEN_MISSING, false},	 {PROBLEM_TOKEN_INVALID, true},
		{PROBLEM_TOKEN_EXPIRED, true},	 {PROBLEM_TOKEN_REVOKED, true},
		{PROBLEM_TICKET_INVALID, false}, {PROBLEM_BAD_CREDENTIALS, false},
	};

	for (size_t i = 0; i < UNIT_COUNT(challenges); i++) {
		struct problem problem = {.kind = challenges[i].kind, .request_id = "r-1"};
		char *answer = answer_of(&problem, "");
		char *challenge = field(answer, "WWW-Authenticate");
		bool seen = strstr(challenge, "error=\"invalid_token\"") != NULL;

		ck_assert_msg(seen == challenges[i].invalid_token, "%s: seen %s",
			      problem_code(problem.kind), challenge);
		free(challenge);
		free(answer);
	}
}
END_TEST

START_TEST(test_details)
{
	struct problem problem = {
		.request_id = "r-1",
		.kind = PROBLEM_METHOD_NOT_ALLOWED,
		.detail = "only \"GET\"\r\nSet-Cookie: x\\y \xc3\xa9",
		.allow = "GET, HEAD",
	};
	char *answer = answer_of(&problem, "Access-Control-Allow-Origin: *\r\nVary: Origin\r\n");
	struct json_object *body = body_of(answer);

	expect_field(answer, "Allow", "GET, HEAD");
	expect_field(answer, "Access-Control-Allow-Origin", "*");
	expect_field(answer, "Vary", "Origin");
	expect_field(answer, "Set-Cookie", NULL);
	expect_member(body, "detail", problem.detail);
	json_object_put(body);
	free(answer);

	problem = (struct problem){
		.kind = PROBLEM_TOO_MANY_LOGINS, .retry_after = 17, .request_id = "r-1"};
	answer = answer_of(&problem, "");
	expect_field(answer, "Retry-After", "17");
	free(answer);
}
END_TEST

static Suite *problem_suite(void)
{
	Suite *suite = suite_create("problem");
	TCase *tcase = tcase_create("problem");

	tcase_add_loop_test(tcase, test_kinds, 0, UNIT_COUNT(rows));
	tcase_add_test(tcase, test_every_kind_is_tested);
	tcase_add_test(tcase, test_challenge);
	tcase_add_test(tcase, test_details);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(problem_suite());
}
