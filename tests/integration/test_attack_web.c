/*
 * Attacks from web pages and against privacy: other origins, what logs and answers give away.
 * The rows of docs/reliability.md that test_access.c, test_rest.c and test_visibility.c do not have.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

#define COUNT "/api/online-status/count"
#define STREAM "/api/presence/stream"
#define FRIENDS "/api/friends/list"
#define LOGIN "/api/auth/login/json"
#define LOGOUT "/api/auth/logout"
#define REFRESH "/api/auth/refresh"
#define TICKET "/api/presence/ticket"
#define USER "/api/online-status/user/"
#define USERS_PATH "/api/online-status/users"
#define HEARTBEAT "/api/online-status/heartbeat"
#define ONLINE "/api/online-status/online"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define ALLOW_ORIGIN "Access-Control-Allow-Origin"
#define ALLOW_CREDENTIALS "Access-Control-Allow-Credentials"
#define SITE "https://a.example"
#define CORS "cors { allow_origins = \"" SITE ", https://b.example:8443\" }\n"

/* --- other origins ------------------------------------------------------------------------ */

static const char *const foreign[] = {
	"https://evil.example",
	"http://a.example",
	"https://a.example.evil",
	"https://evila.example",
	"https://a.example:443",
	"https://a.example:8443",
	"https://b.example",
	"https://A.EXAMPLE",
	"https://a.example/",
	"https://a.example,https://b.example:8443",
	"https://a.example https://evil.example",
	"https://user@a.example",
	"null",
	"*",
	"a.example",
	"https://",
};

static struct response *from_origin(struct stack *stack, const char *method, const char *path,
				    const char *token, const char *origin)
{
	char *header;
	struct response *response;

	ck_assert(asprintf(&header, "Origin: %s", origin) > 0);
	response = HTTP(stack, .method = method, .path = path, .token = token, .header = header);
	free(header);
	return response;
}

START_TEST(no_origin_but_a_listed_one_is_named)
{
	static const char *const paths[] = {COUNT, STREAM, LOGIN, "/api/health", "/api/nothing"};
	static const char *const methods[] = {"GET", "OPTIONS"};
	struct stack *stack = stack_start(CORS);

	for (size_t i = 0; i < COUNT_OF(foreign); i++) {
		for (size_t p = 0; p < COUNT_OF(paths); p++) {
			for (size_t m = 0; m < COUNT_OF(methods); m++) {
				struct response *response =
					from_origin(stack, methods[m], paths[p], NULL, foreign[i]);

				ck_assert_msg(header_of(response->head, ALLOW_ORIGIN) == NULL &&
						      header_of(response->head,
								ALLOW_CREDENTIALS) == NULL,
					      "%s %s from %s:\n%s", methods[m], paths[p],
					      foreign[i], response->head);
			}
		}
	}
	stack_stop(stack);
}
END_TEST

/*
 * There is no cookie and no other credential that a browser adds by itself, so a foreign page cannot
 * act for somebody; whoever has the token may use it from anywhere (docs/api.md). What a foreign
 * page may not do is read the answer.
 */
START_TEST(a_foreign_page_with_a_token_is_answered_and_may_not_read_it)
{
	struct stack *stack = stack_start(CORS);
	const char *token = token_for(stack, "1");
	struct response *response = from_origin(stack, "GET", COUNT, token, "https://evil.example");

	ck_assert_int_eq(response->status, 200);
	ck_assert_ptr_null(header_of(response->head, ALLOW_ORIGIN));
	ck_assert_ptr_null(header_of(response->head, "Set-Cookie"));
	response = HTTP(stack, .path = LOGIN, .header = "Origin: https://evil.example",
			.body = "{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD "\"}");
	ck_assert_int_eq(response->status, 200);
	ck_assert_ptr_null(header_of(response->head, ALLOW_ORIGIN));
	ck_assert_ptr_null(header_of(response->head, "Set-Cookie"));
	/* A cookie is no credential, whatever its name. */
	check_problem(HTTP(stack, .path = COUNT, .header = "Cookie: token=x; access_token=y"), 401,
		      "token_missing");
	stack_stop(stack);
}
END_TEST

START_TEST(a_wildcard_never_goes_with_credentials)
{
	static const char *const origins[] = {SITE, "https://evil.example", "null"};
	static const char *const paths[] = {COUNT, STREAM, LOGIN};
	struct stack *stack = stack_start("cors { allow_origins = \"*\" }\n");

	for (size_t i = 0; i < COUNT_OF(origins); i++) {
		for (size_t p = 0; p < COUNT_OF(paths); p++) {
			for (int preflight = 0; preflight < 2; preflight++) {
				struct response *response =
					from_origin(stack, preflight ? "OPTIONS" : "GET", paths[p],
						    NULL, origins[i]);

				ck_assert_str_eq(header_of(response->head, ALLOW_ORIGIN), "*");
				ck_assert_ptr_null(header_of(response->head, ALLOW_CREDENTIALS));
			}
		}
	}
	stack_stop(stack);
}
END_TEST

/* A request with a body that needs no preflight (a form, text/plain) is not taken for JSON. */
START_TEST(a_form_of_a_foreign_page_does_nothing)
{
	static const char *const types[] = {"text/plain", "application/x-www-form-urlencoded",
					    "multipart/form-data", "text/plain;application/json"};
	struct stack *stack = stack_start(CORS);
	char *before = redis_dump(stack);

	for (size_t i = 0; i < COUNT_OF(types); i++)
		check_problem(HTTP(stack, .path = LOGIN, .type = types[i],
				   .header = "Origin: https://evil.example",
				   .body = "{\"email\":\"user1@example.com\",\"password\":"
					   "\"" PASSWORD "\"}"),
			      415, "unsupported_media_type");
	ck_assert_str_eq(before, redis_dump(stack));
	stack_stop(stack);
}
END_TEST

/* --- logs --------------------------------------------------------------------------------- */

/* Lines that lighttpd writes itself are not ours: they may name URLs. */
static void check_absent(struct stack *stack, const char *name, const char *what,
			 const char *secret)
{
	char *text = stack_file(stack, name), *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strstr(line, " presence-") != NULL)
			ck_assert_msg(strstr(line, secret) == NULL, "%s tells %s: %s", name, what,
				      line);
	}
	free(text);
}

static void check_logs(struct stack *stack, const char *what, const char *secret)
{
	check_absent(stack, "lighttpd.log", what, secret);
	check_absent(stack, "streamd0.log", what, secret);
}

/* Its signature: nothing else in a log could be that by chance. */
static const char *signature_of(const char *token)
{
	return strrchr(token, '.') + 1;
}

START_TEST(no_secret_is_in_a_log_line)
{
	struct stack *stack = stack_start(CORS);
	const char *token = token_for(stack, "1"), *revoked = token_for(stack, "2");
	const char *expired = token_until(stack, "1", -1), *ticket, *used, *issued;
	char *path, *forged = strdup(token_for(stack, "3"));
	struct sse *sse;

	/* Every way in, right and wrong, while all is well and while it is not. */
	http_ok(stack, LOGOUT, revoked, "");
	issued = json_text(http_ok(stack, LOGIN, NULL,
				   "{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD
				   "\"}"),
			   "access_token");
	HTTP(stack, .path = LOGIN,
	     .body = "{\"email\":\"user1@example.com\",\"password\":\"wr0ng-secret\"}");
	used = json_text(http_ok(stack, TICKET, token, ""), "ticket");
	ticket = json_text(http_ok(stack, TICKET, token, ""), "ticket");
	ck_assert(asprintf(&path, STREAM "?ticket=%s", used) > 0);
	ck_assert(asprintf(&path, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path) > 0);
	sse_ready(sse_request(stack, path));
	ck_assert_int_eq(sse_status(sse_request(stack, path)), 401);
	forged[strlen(forged) - 2] ^= 1;
	for (int away = 0; away < 2; away++) {
		const char *const tokens[] = {token, revoked, expired, issued, forged};

		for (size_t i = 0; i < COUNT_OF(tokens); i++) {
			HTTP(stack, .path = COUNT, .token = tokens[i]);
			HTTP(stack, .path = FRIENDS, .token = tokens[i]);
			HTTP(stack, .method = "POST", .path = REFRESH, .token = tokens[i]);
			ck_assert(asprintf(&path, COUNT "?token=%s", tokens[i]) > 0);
			HTTP(stack, .path = path);
			HTTP(stack, .path = path, .header = "Authorization: Basic x");
			sse = sse_open(stack, tokens[i]);
			sse_status(sse);
			sse_close(sse);
			sse = sse_open_query(stack, tokens[i]);
			sse_status(sse);
			sse_close(sse);
		}
		if (away == 0)
			redis_kill(stack);
	}
	ck_assert(asprintf(&path, STREAM "?ticket=%s", ticket) > 0);
	HTTP(stack, .path = path);
	redis_start(stack, NULL);
	WAIT_UNTIL(HTTP(stack, .path = COUNT, .token = token)->status == 200, 10000);

	check_logs(stack, "a good token", signature_of(token));
	check_logs(stack, "a token that login issued", signature_of(issued));
	check_logs(stack, "a revoked token", signature_of(revoked));
	check_logs(stack, "an expired token", signature_of(expired));
	check_logs(stack, "a forged token", signature_of(forged));
	check_logs(stack, "a used ticket", used);
	check_logs(stack, "a ticket", ticket);
	check_logs(stack, "a wrong password", "wr0ng-secret");
	check_logs(stack, "the key", stack->secret);
	check_logs(stack, "an e-mail address", "user1@example.com");
	stack_stop(stack);
}
END_TEST

START_TEST(redis_holds_neither_tokens_nor_passwords)
{
	struct stack *stack = stack_start("");
	const char *token = json_text(http_ok(stack, LOGIN, NULL,
					      "{\"email\":\"user1@example.com\",\"password\":"
					      "\"" PASSWORD "\"}"),
				      "access_token");
	const char *unnamed = token_make("{'alg':'HS256'}", "{'sub':'2','exp':4102444800}",
					 KEY_HMAC, stack->secret);
	char *dump;

	http_ok(stack, TICKET, token, "");
	http_ok(stack, TICKET, unnamed, "");
	sse_ready(sse_open(stack, token));
	HTTP(stack, .path = LOGIN,
	     .body = "{\"email\":\"user1@example.com\",\"password\":\"wr0ng-secret\"}");
	dump = redis_dump(stack);
	check_has_not(dump, signature_of(token));
	check_has_not(dump, signature_of(unnamed));
	check_has_not(dump, "wr0ng-secret");
	check_has_not(dump, "user1@example.com");
	stack_stop(stack);
}
END_TEST

/* --- who exists, who is online ------------------------------------------------------------ */

#define SAME_ID "X-Request-Id: same"

/* The answer but for the time of day. */
static char *comparable(const struct response *response)
{
	struct printbuf *out = buf_new();
	char *head = strdup(response->head), *rest = head, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncasecmp(line, "date:", 5) != 0)
			buf_putf(out, "%s\n", line);
	}
	buf_puts(out, response->body);
	free(head);
	return buf_take(out, NULL);
}

START_TEST(no_answer_to_a_login_tells_whether_the_account_exists)
{
	static const char *const passwords[] = {"wrong", "", "\\u00e9", "a\\nb"};
	struct stack *stack = stack_start_api("");
	char body[256];

	for (size_t i = 0; i < COUNT_OF(passwords); i++) {
		const char *answers[2];

		for (int exists = 0; exists < 2; exists++) {
			snprintf(body, sizeof body,
				 "{\"email\":\"%s@example.com\",\"password\":\"%s\"}",
				 exists ? "user1" : "nobody", passwords[i]);
			answers[exists] = comparable(
				HTTP(stack, .path = LOGIN, .body = body, .header = SAME_ID));
		}
		ck_assert_msg(strcmp(answers[0], answers[1]) == 0, "nobody:\n%s\nuser1:\n%s",
			      answers[0], answers[1]);
	}
	stack_stop(stack);
}
END_TEST

/* Throttled alike, after as many attempts, and told so alike. */
START_TEST(no_throttle_tells_whether_the_account_exists)
{
	struct stack *stack = stack_start_api("");
	int refused[2] = {0};

	for (int exists = 0; exists < 2; exists++) {
		const char *body = exists ? "{\"email\":\"user1@example.com\",\"password\":\"x\"}"
					  : "{\"email\":\"nobody@example.com\",\"password\":\"x\"}";

		while (HTTP(stack, .path = LOGIN, .body = body)->status == 401)
			ck_assert_int_lt(++refused[exists], 100);
		check_problem(HTTP(stack, .path = LOGIN, .body = body), 429, "too_many_logins");
		freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	}
	ck_assert_int_eq(refused[0], refused[1]);
	stack_stop(stack);
}
END_TEST

static const char *status_of(struct stack *stack, const char *viewer, const char *id)
{
	char path[64], *text, *at;

	snprintf(path, sizeof path, USER "%s", id);
	text = comparable(HTTP(stack, .path = path, .token = viewer, .header = SAME_ID));
	/* All of these ids have two digits. */
	while ((at = strstr(text, id)) != NULL)
		memcpy(at, "##", 2);
	return text;
}

/* Unknown, hidden, hidden and online, hidden and gone: for a stranger one and the same. */
START_TEST(under_visibility_friends_a_stranger_learns_nothing_by_any_call)
{
	static const char *const hidden[] = {"77", "78", "79"};
	struct stack *stack = stack_start("presence { visibility = friends }\n");
	const char *viewer = token_for(stack, "1"), *unknown, *gone = token_for(stack, "78");
	struct listener *listener;
	struct sse *sse = sse_open(stack, viewer);
	struct json_object *before, *after;
	char body[128];

	sse_ready(sse);
	unknown = status_of(stack, viewer, "99");
	before = http_ok(stack, ONLINE, viewer, NULL);
	listener = listener_open(stack, "user:status:*");
	http_ok(stack, COUNT, token_for(stack, "77"), NULL); /* is online */
	http_ok(stack, COUNT, gone, NULL);
	http_ok(stack, LOGOUT, gone, ""); /* was */
	sse_ready(sse_open(stack, token_for(stack, "79"))); /* has a stream */
	ck_assert_ptr_nonnull(listener_next(listener, 3000)); /* so something was published */
	for (size_t i = 0; i < COUNT_OF(hidden); i++) {
		const char *seen = status_of(stack, viewer, hidden[i]);

		ck_assert_msg(strcmp(seen, unknown) == 0, "unknown:\n%s\nhidden:\n%s", unknown,
			      seen);
		snprintf(body, sizeof body, "{\"user_ids\":[%s,99]}", hidden[i]);
		CHECK_JSON(json_at(http_ok(stack, USERS_PATH, viewer, body), hidden[i]),
			   "{'user_id':'<int>','is_online':false,'status':'offline',"
			   "'last_seen':null,'version':0}");
	}
	after = http_ok(stack, ONLINE, viewer, NULL);
	ck_assert_msg(json_object_equal(before, after), "the online list has changed: %s",
		      json_object_to_json_string(after));
	/* Nor does the stream: the next change it tells is a friend's. */
	http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	ck_assert_str_eq(json_text(sse_wait(sse, "status_change", 5000)->json, "user_id"), "2");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attacks from the web");
	TCase *tcase = harness_case(suite, "origins", 60);

	tcase_add_test(tcase, no_origin_but_a_listed_one_is_named);
	tcase_add_test(tcase, a_foreign_page_with_a_token_is_answered_and_may_not_read_it);
	tcase_add_test(tcase, a_wildcard_never_goes_with_credentials);
	tcase_add_test(tcase, a_form_of_a_foreign_page_does_nothing);

	tcase = harness_case(suite, "privacy", 60);
	tcase_add_test(tcase, no_secret_is_in_a_log_line);
	tcase_add_test(tcase, redis_holds_neither_tokens_nor_passwords);
	tcase_add_test(tcase, no_answer_to_a_login_tells_whether_the_account_exists);
	tcase_add_test(tcase, no_throttle_tells_whether_the_account_exists);
	tcase_add_test(tcase, under_visibility_friends_a_stranger_learns_nothing_by_any_call);
	return harness_main(suite);
}
