/* A request from its variables to its answer: what a token may call, HEAD, the request's name. */
#include "unit.h"

#include <stdio.h>

#include "api/request.h"
#include "auth/issue.h"
#include "base/cgi.h"
#include "base/times.h"

static struct config *config;
static struct service *service;
static struct printbuf *out; /* what was written */

static struct problem handler(struct request *request)
{
	buf_puts(request->answer, "{\"ok\":true}");
	return request_done();
}

static const struct route routes[] = {
	{"GET", "/seen", handler, 0},
	{"POST", "/done", handler, 0},
	{"POST", "/asked", handler, ROUTE_WATCH},
	{"POST", "/pushed", handler, ROUTE_SCOPE_PUSH},
	{"GET", "/ruled", handler, ROUTE_SCOPE_ADMIN},
	{"GET", "/open", handler, ROUTE_OPEN},
};

static void setup(void)
{
	char text[512], err[256], *key, *file;

	unit_dir_setup();
	key = unit_write("secret", "0123456789abcdef0123456789abcdef", 32);
	snprintf(text, sizeof text,
		 "auth { key_file = \"%s\" login = external }\ndirectory { backend = none }\n",
		 key);
	file = unit_write("conf", text, strlen(text));
	config = config_load(file, err, sizeof err);
	ck_assert_msg(config != NULL, "%s", err);
	service = service_open(config, err, sizeof err);
	ck_assert_msg(service != NULL, "%s", err);
	out = buf_new();
	free(key);
	free(file);
}

static void teardown(void)
{
	printbuf_free(out);
	service_free(service);
	config_free(config);
	unit_dir_teardown();
}

static size_t read_nothing(void *arg, char *data, size_t size)
{
	(void)arg;
	(void)data;
	(void)size;
	return 0;
}

static void write_out(void *arg, const char *data, size_t len)
{
	(void)arg;
	buf_put(out, data, len);
}

/* Serves a request with a token of user 1, or (scope NULL) without one; the answer is in `out`. */
static void serve(const char *method, const char *path, const char *scope, bool watch,
		  const char *request_id)
{
	const struct transport transport = {read_nothing, write_out, NULL};
	int64_t now = times_wall_ms() / 1000;
	struct token token = {.iat = now, .exp = now + 60, .watch = watch};
	char *env[5], *text;
	int count = 0;

	ck_assert(userid_parse("1", 1, &token.user));
	token_set_scope(&token, scope != NULL ? scope : "");
	text = issue_token(service->keys, &token);
	ck_assert_ptr_nonnull(text);
	ck_assert(asprintf(&env[count++], "REQUEST_METHOD=%s", method) > 0);
	ck_assert(asprintf(&env[count++], "REQUEST_URI=/api%s", path) > 0);
	if (scope != NULL)
		ck_assert(asprintf(&env[count++], "HTTP_AUTHORIZATION=Bearer %s", text) > 0);
	if (request_id != NULL)
		ck_assert(asprintf(&env[count++], "HTTP_X_REQUEST_ID=%s", request_id) > 0);
	env[count] = NULL;
	buf_reset(out);
	request_serve(service, routes, UNIT_COUNT(routes), env, &transport);
	free(text);
	while (count > 0)
		free(env[--count]);
}

static const struct row {
	const char *method, *path, *scope;
	bool watch;
	const char *status, *code; /* code NULL: 200 */
} rows[] = {
	{"GET", "/seen", "", false, "200 OK", NULL},
	{"POST", "/done", "", false, "200 OK", NULL},
	{"GET", "/seen", "", true, "200 OK", NULL},
	{"HEAD", "/seen", "", true, "200 OK", NULL},
	{"POST", "/asked", "", true, "200 OK", NULL},
	{"POST", "/done", "", true, "403 Forbidden", "watch_only"},
	{"GET", "/open", NULL, false, "200 OK", NULL},
	{"POST", "/pushed", "push", false, "200 OK", NULL},
	{"POST", "/pushed", "admin push", false, "200 OK", NULL},
	{"POST", "/pushed", "", false, "403 Forbidden", "scope_missing"},
	{"POST", "/pushed", "admin", false, "403 Forbidden", "scope_missing"},
	{"POST", "/pushed", "pusher", false, "403 Forbidden", "scope_missing"},
	{"POST", "/pushed", "push", true, "403 Forbidden", "watch_only"},
	{"POST", "/pushed", NULL, false, "401 Unauthorized", "token_missing"},
	{"GET", "/ruled", "admin", false, "200 OK", NULL},
	{"GET", "/ruled", "push", false, "403 Forbidden", "scope_missing"},
	{"HEAD", "/ruled", "push", false, "403 Forbidden", "scope_missing"},
};

START_TEST(a_token_may_call_what_it_is_for)
{
	const struct row *row = &rows[_i];
	char status[64], code[64];

	serve(row->method, row->path, row->scope, row->watch, NULL);
	snprintf(status, sizeof status, "Status: %s\r\n", row->status);
	ck_assert_msg(strncmp(out->buf, status, strlen(status)) == 0,
		      "%s %s, scope %s%s: expected %s, seen %s", row->method, row->path,
		      row->scope != NULL ? row->scope : "(no token)", row->watch ? ", watch" : "",
		      row->status, out->buf);
	if (row->code == NULL || strcmp(row->method, "HEAD") == 0)
		return;
	snprintf(code, sizeof code, "\"code\":\"%s\"", row->code);
	ck_assert_msg(strstr(out->buf, code) != NULL, "no %s in %s", code, out->buf);
}
END_TEST

START_TEST(a_missing_scope_is_told_by_the_challenge)
{
	serve("POST", "/pushed", "", false, NULL);
	ck_assert_ptr_nonnull(strstr(out->buf, "WWW-Authenticate: Bearer realm=\"presence\", "
					       "error=\"insufficient_scope\"\r\n"));
}
END_TEST

/* The value of X-Request-Id in the answer. */
static void seen_id(char id[CGI_REQUEST_ID_MAX + 1])
{
	const char *field = strstr(out->buf, "\r\nX-Request-Id: ");

	ck_assert_msg(field != NULL, "no X-Request-Id in %s", out->buf);
	ck_assert_int_eq(sscanf(field, "\r\nX-Request-Id: %128[^\r]\r\n", id), 1);
}

/* An error with that name, of which the body tells, too. */
static void check_error(const char *id)
{
	char member[CGI_REQUEST_ID_MAX + 32], seen[CGI_REQUEST_ID_MAX + 1];

	seen_id(seen);
	ck_assert_str_eq(seen, id);
	snprintf(member, sizeof member, ",\"request_id\":\"%s\"}", id);
	ck_assert_msg(strstr(out->buf, member) != NULL, "no %s in %s", member, out->buf);
}

START_TEST(an_answer_tells_the_requests_name)
{
	char long_id[CGI_REQUEST_ID_MAX + 1];

	serve("GET", "/nothing", "", false, "7f3a-9.B_c~+/=:@");
	check_error("7f3a-9.B_c~+/=:@");
	memset(long_id, 'a', sizeof long_id - 1);
	long_id[sizeof long_id - 1] = '\0';
	serve("GET", "/nothing", "", false, long_id);
	check_error(long_id);
	serve("GET", "/seen", "", false, "abc");
	ck_assert_ptr_nonnull(strstr(out->buf, "\r\nX-Request-Id: abc\r\n"));
	serve("OPTIONS", "/seen", "", false, "abc");
	ck_assert_ptr_nonnull(strstr(out->buf, "\r\nX-Request-Id: abc\r\n"));
}
END_TEST

START_TEST(a_request_that_brings_no_name_gets_one)
{
	char long_id[CGI_REQUEST_ID_MAX + 2], last[CGI_REQUEST_ID_MAX + 1] = "";
	const char *const ids[] = {NULL,   "",	       "a b",	   "a\"b",
				   "a\nb", "\xc3\xa9", "<script>", long_id};

	memset(long_id, 'a', sizeof long_id - 1);
	long_id[sizeof long_id - 1] = '\0';
	for (size_t i = 0; i < UNIT_COUNT(ids); i++) {
		char id[CGI_REQUEST_ID_MAX + 1];

		serve("GET", "/nothing", "", false, ids[i]);
		seen_id(id);
		check_error(id);
		ck_assert_uint_eq(strlen(id), 32);
		ck_assert_uint_eq(strspn(id, "0123456789abcdef"), 32);
		ck_assert_str_ne(id, last);
		memcpy(last, id, sizeof last);
	}
}
END_TEST

START_TEST(head_is_get_without_the_body)
{
	static const char *const paths[] = {"/seen", "/open", "/nothing", "/done"};

	for (size_t i = 0; i < UNIT_COUNT(paths); i++) {
		serve("HEAD", paths[i], "", false, NULL);
		ck_assert_msg(strstr(out->buf, "\r\n\r\n") == out->buf + buf_len(out) - 4,
			      "HEAD %s has a body: %s", paths[i], out->buf);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request");
	TCase *tcase = tcase_create("request");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_token_may_call_what_it_is_for, 0, (int)UNIT_COUNT(rows));
	tcase_add_test(tcase, a_missing_scope_is_told_by_the_challenge);
	tcase_add_test(tcase, an_answer_tells_the_requests_name);
	tcase_add_test(tcase, a_request_that_brings_no_name_gets_one);
	tcase_add_test(tcase, head_is_get_without_the_body);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
