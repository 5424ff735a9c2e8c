/*
 * What an attacker writes stays data: in an SSE frame, a header, a log line, a Redis command, SQL.
 * The rows of docs/reliability.md that test_bad_input.c and test_stream.c do not have.
 */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <fastcgi.h>

#include "base/buf.h"
#include "wire.h"

#define COUNT "/api/online-status/count"
#define STREAM "/api/presence/stream"
#define FRIENDS "/api/friends/list"
#define LOGIN "/api/auth/login/json"
#define USERS_PATH "/api/online-status/users"
#define HEARTBEAT "/api/online-status/heartbeat"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* CR, LF, ESC, DEL, U+0085, U+2028, U+2029, bad UTF-8: what may end or change a line somewhere. */
#define EVIL                                                     \
	"x\r\ny\nz\x1b[2J\x7f\xc2\x85 \xe2\x80\xa8 \xe2\x80\xa9" \
	" \xff\xc0\x80\xed\xa0\x80\xf5"

/* The next byte after the UTF-8 sequence at `at` (RFC 3629), NULL when there is none. */
static const unsigned char *after_sequence(const unsigned char *at)
{
	static const struct {
		unsigned char low, high, least, most; /* of the first byte, of the second */
		int more;
	} rows[] = {
		{0x00, 0x7f, 0, 0, 0},	     {0xc2, 0xdf, 0x80, 0xbf, 1},
		{0xe0, 0xe0, 0xa0, 0xbf, 2}, {0xe1, 0xec, 0x80, 0xbf, 2},
		{0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
		{0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3},
		{0xf4, 0xf4, 0x80, 0x8f, 3},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (*at < rows[i].low || *at > rows[i].high)
			continue;
		for (int j = 1; j <= rows[i].more; j++) {
			unsigned char least = j == 1 ? rows[i].least : 0x80;
			unsigned char most = j == 1 ? rows[i].most : 0xbf;

			if (at[j] < least || at[j] > most)
				return NULL;
		}
		return at + 1 + rows[i].more;
	}
	return NULL;
}

static void check_utf8(const char *what, const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
		const unsigned char *next = after_sequence(at);

		ck_assert_msg(next != NULL, "%s: no UTF-8 at byte %zu", what,
			      (size_t)(at - (const unsigned char *)text));
		at = next;
	}
}

/* --- SSE frames --------------------------------------------------------------------------- */

START_TEST(what_is_published_is_one_event_or_none)
{
	/* With the length, for the NUL. */
	static const struct {
		const char *text;
		size_t len;
	} dropped[] = {
		{"{\"a\":\"\r\"}", 9},
		{"{\"a\":\"\n\"}", 9},
		{"{\"a\":\"\0\"}", 9},
		{"{}\r\n\r\nevent: bye\r\ndata: {}\r\n", 29},
		{"", 0},
		{"{\"a\":\"\xff\"}", 9},
		{"{\"a\":\"\xc0\xaf\"}", 10},
		{"{\"a\":\"\xed\xa0\x80\"}", 11},
		{"{\"a\":\"\xe2\x80\"}", 10},
		{"{\"a\":\"\xf4\x90\x80\x80\"}", 12},
	};
	/* One line, whatever a browser's JavaScript thinks of U+2028: SSE knows CR and LF alone. */
	static const char *const passed[] = {
		"{\"a\":\"\xe2\x80\xa8\xe2\x80\xa9\xc2\x85\"}",
		"{\"a\":\": comment\"}",
		"{\"a\":\"data: x\"}",
		"{\"a\":\"\xf0\x9f\x92\xa9\"}",
	};
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	for (size_t i = 0; i < COUNT_OF(dropped); i++)
		freeReplyObject(redis_cmd(stack, "PUBLISH user:status:2 %b", dropped[i].text,
					  dropped[i].len));
	for (size_t i = 0; i < COUNT_OF(passed); i++) {
		redis_int(stack, "PUBLISH user:status:2 %s", passed[i]);
		ck_assert_str_eq(sse_wait(sse, "status_change", 5000)->data, passed[i]);
	}
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(what_comes_to_the_inbox_is_checked)
{
	static const char *const texts[] = {
		"",
		"x",
		"[]",
		"{\"type\":\"revoked\",\"tok\":\"*\"}",
		"{\"type\":\"revoked\",\"tok\":\"a\\nb\"}",
		"{\"type\":\"revoked\",\"tok\":\"\xff\"}",
		"{\"type\":\"revoked\",\"tok\":{}}",
		"{\"type\":\"bye\\n\\nevent: bye\"}",
		"{\"type\":\"typing\",\"user_id\":\"2\\n\\nevent: bye\",\"typing\":true}",
		"{\"type\":\"friends_changed\",\"x\":[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]"
		"}",
	};
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct event *event;

	sse_ready(sse);
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		redis_int(stack, "PUBLISH user:inbox:1 %s", texts[i]);
	redis_int(stack, "PUBLISH user:status:2 {\"last\":true}");
	do {
		event = sse_next(sse, patience(5000));
		ck_assert_msg(event != NULL, "the stream has ended");
		ck_assert_msg(strcmp(event->name, "bye") != 0, "a message has ended the stream");
	} while (strcmp(event->name, "status_change") != 0);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_name_in_the_directory_breaks_no_answer)
{
	struct stack *stack = stack_start("");
	struct response *response;
	const char *name;

	/* In SQL as hex: the shell and sqlite3 see none of it. */
	users_sql(stack, "UPDATE users SET name = CAST(x'780d0a1b5b324a7f22275c3c2f7363726970743e"
			 "c285e280a8ffc080' AS TEXT) WHERE id = 2;");
	response = HTTP(stack, .path = FRIENDS, .token = token_for(stack, "1"));
	ck_assert_int_eq(response->status, 200);
	check_utf8("the friends' names", response->body);
	ck_assert_msg(strchr(response->body, '\n') == NULL && strchr(response->body, '\r') == NULL,
		      "a line break in %s", response->body);
	ck_assert_msg(response->json != NULL, "no JSON: %s", response->body);
	name = json_text(json_object_array_get_idx(response->json, 0), "name");
	ck_assert_msg(strncmp(name, "x\r\n\x1b[2J\x7f\"'\\</script>", 20) == 0, "the name is '%s'",
		      name);
	/* Whoever logs in gets it, too, and in a token. */
	response = HTTP(stack, .path = LOGIN,
			.body = "{\"email\":\"user2@example.com\",\"password\":\"" PASSWORD "\"}");
	ck_assert_int_eq(response->status, 200);
	check_utf8("the answer to a login", response->body);
	ck_assert_msg(response->json != NULL, "no JSON: %s", response->body);
	stack_stop(stack);
}
END_TEST

/* --- headers ------------------------------------------------------------------------------ */

/* A request as no web server would pass it on, straight to a socket; the whole answer. */
static struct printbuf *ask(const char *socket, const char *method, const char *uri,
			    const char *name, const char *value)
{
	struct printbuf *params = buf_new(), *bytes = buf_new(), *in = buf_new(), *text = buf_new();
	int fd = wire_connect(socket);

	ck_assert_int_ge(fd, 0);
	wire_pair(params, "REQUEST_METHOD", method);
	wire_pair(params, "REQUEST_URI", uri);
	wire_pair(params, "QUERY_STRING", "");
	if (name != NULL)
		wire_pair(params, name, value);
	wire_begin(bytes, 1, FCGI_RESPONDER, 0);
	wire_record(bytes, FCGI_PARAMS, 1, params->buf, buf_len(params));
	wire_record(bytes, FCGI_PARAMS, 1, NULL, 0);
	wire_record(bytes, FCGI_STDIN, 1, NULL, 0);
	wire_send(fd, bytes->buf, buf_len(bytes));
	ck_assert_msg(wire_read(fd, in, 0, 5000), "no end of the answer");
	close(fd);
	for (size_t at = 0; at + FCGI_HEADER_LEN <= buf_len(in);) {
		const unsigned char *record = (const unsigned char *)in->buf + at;
		size_t len = (size_t)record[4] << 8 | record[5];

		if (record[1] == FCGI_STDOUT)
			buf_put(text, record + FCGI_HEADER_LEN, len);
		at += FCGI_HEADER_LEN + len + record[6];
	}
	printbuf_free(params);
	printbuf_free(bytes);
	printbuf_free(in);
	return text;
}

static void check_one_head(const char *what, const struct printbuf *answer)
{
	const char *end = strstr(answer->buf, "\r\n\r\n");

	ck_assert_msg(end != NULL, "%s: no head in '%s'", what, answer->buf);
	for (const char *line = answer->buf; line < end; line = strstr(line, "\r\n") + 2) {
		size_t len = (size_t)(strstr(line, "\r\n") - line);

		ck_assert_msg(strncasecmp(line, "x-evil", 6) != 0,
			      "%s: a field of the attacker:\n%s", what, answer->buf);
		ck_assert_msg(memchr(line, '\n', len) == NULL && memchr(line, '\r', len) == NULL,
			      "%s: half a line's end in:\n%s", what, answer->buf);
	}
	check_utf8(what, answer->buf);
	/* The body is the JSON of a problem, or there is none. */
	if (end[4] != '\0')
		ck_assert_msg(json_tokener_parse(end + 4) != NULL, "%s: no JSON:\n%s", what,
			      answer->buf);
}

static struct stack *start_with_cors(void)
{
	return stack_start("cors { allow_origins = \"https://a.example\" }\n");
}

START_TEST(no_parameter_of_a_request_becomes_a_field_of_the_answer)
{
	static const char evil[] = "https://a.example\r\nX-Evil: 1\r\n\r\n<script>";
	static const char *const names[] = {
		"HTTP_ORIGIN",
		"HTTP_X_REQUEST_ID",
		"HTTP_AUTHORIZATION",
		"HTTP_ACCESS_CONTROL_REQUEST_HEADERS",
		"HTTP_ACCESS_CONTROL_REQUEST_METHOD",
		"CONTENT_TYPE",
		"CONTENT_LENGTH",
		"REMOTE_ADDR",
		"SERVER_PROTOCOL",
		"HTTP_HOST",
	};
	static const char *const methods[] = {"GET", "OPTIONS", "HEAD", "POST",
					      "GET\r\nX-Evil: 1\r\n"};
	struct stack *stack = start_with_cors();
	const char *sockets[] = {streamd_socket(stack, 0), stack_path(stack, "api.sock-0")};
	static const char *const paths[] = {STREAM, COUNT};

	for (size_t s = 0; s < COUNT_OF(sockets); s++) {
		for (size_t m = 0; m < COUNT_OF(methods); m++) {
			for (size_t n = 0; n < COUNT_OF(names); n++) {
				struct printbuf *answer =
					ask(sockets[s], methods[m], paths[s], names[n], evil);

				check_one_head(names[n], answer);
				printbuf_free(answer);
				answer = ask(sockets[s], methods[m], paths[s], names[n], EVIL);
				check_one_head(names[n], answer);
				printbuf_free(answer);
			}
		}
	}
	stack_stop(stack);
}
END_TEST

START_TEST(no_path_or_query_becomes_a_field_of_the_answer)
{
	static const char *const uris[] = {
		"/api/x\r\nX-Evil: 1\r\n\r\n",
		"/api/x%0d%0aX-Evil:%201",
		"/api/online-status/user/1%0d%0aX-Evil:%201",
		"/api/online-status/online?cursor=%0d%0aX-Evil:1",
		"/api/online-status/online?limit=1\r\nX-Evil: 1",
		"/api/presence/stream?ticket=%0d%0aX-Evil:1",
		"/api/presence/stream?token=\r\nX-Evil: 1",
		"/api/presence/stream?users=1%0d%0aX-Evil:1",
		"/api/" EVIL,
		"/api/presence/stream?ticket=" EVIL,
		"/api/online-status/user/" EVIL,
	};
	struct stack *stack = start_with_cors();
	const char *sockets[] = {streamd_socket(stack, 0), stack_path(stack, "api.sock-0")};

	for (size_t i = 0; i < COUNT_OF(uris); i++) {
		for (size_t s = 0; s < COUNT_OF(sockets); s++) {
			struct printbuf *answer = ask(sockets[s], "GET", uris[i], NULL, NULL);

			check_one_head(uris[i], answer);
			printbuf_free(answer);
		}
	}
	stack_stop(stack);
}
END_TEST

/* --- log lines ---------------------------------------------------------------------------- */

/* time=2026-11-26T15:04:31Z program=presence-api pid=17 level=error msg="…" */
static bool is_line_of_ours(const char *line)
{
	static const char program[] = " program=presence-";

	return strncmp(line, "time=", 5) == 0 && strlen(line) > 25 && line[24] == 'Z' &&
	       strncmp(line + 25, program, sizeof program - 1) == 0;
}

/* Every line of the log is one that we began, and printable. */
static int check_log(struct stack *stack, const char *name, bool ours_alone)
{
	char *text = stack_file(stack, name), *rest = text, *line;
	int lines = 0;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (*line == '\0')
			continue;
		if (!is_line_of_ours(line)) {
			ck_assert_msg(!ours_alone, "%s: a forged line: '%s'", name, line);
			continue;
		}
		lines++;
		for (const char *c = line; *c != '\0'; c++)
			ck_assert_msg((unsigned char)*c >= ' ' && *c != 0x7f,
				      "%s: a control character in '%s'", name, line);
		ck_assert_msg(strstr(line, "\xe2\x80\xa8") == NULL &&
				      strstr(line, "\xe2\x80\xa9") == NULL &&
				      strstr(line, "\xc2\x85") == NULL,
			      "%s: a line end of Unicode's in '%s'", name, line);
		check_utf8(name, line);
	}
	free(text);
	return lines;
}

START_TEST(no_log_line_can_be_forged)
{
	struct stack *stack = stack_start("");
	const char *sockets[] = {streamd_socket(stack, 0), stack_path(stack, "api.sock-0")};
	static const char forged[] = "\ntime=2026-01-01T00:00:00Z program=presence-api pid=1 "
				     "level=error msg=\"forged\" " EVIL;
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	char *uri;

	sse_ready(sse);
	/* What the directory, Redis and requests say goes into messages. */
	ck_assert(asprintf(&uri, "/api/%s", forged) > 0);
	for (size_t s = 0; s < COUNT_OF(sockets); s++) {
		printbuf_free(ask(sockets[s], "GET", uri, "HTTP_X_REQUEST_ID", forged));
		printbuf_free(ask(sockets[s], forged, COUNT, "REMOTE_ADDR", forged));
		printbuf_free(ask(sockets[s], "GET", COUNT, "HTTP_X_REQUEST_ID", forged));
	}
	redis_int(stack, "PUBLISH user:status:2 %s", forged);
	redis_int(stack, "PUBLISH user:inbox:1 %s", forged);
	redis_int(stack, "PUBLISH user:inbox:1 {\"type\":\"%s\"}", "x");
	stack_write_conf(stack,
			 "directory { friends_query = \"SELECT "
			 "CAST(x'0a78ff1b5b324a7fc285e280a8' AS TEXT), 'n' WHERE %s <> 'x'\" }\n");
	kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(HTTP(stack, .path = FRIENDS, .token = token_for(stack, "1"))->status == 200 &&
			   strstr(stack_file(stack, "lighttpd.log"), "not a user id") != NULL,
		   10000);
	ck_assert_int_gt(check_log(stack, "lighttpd.log", false), 0);
	ck_assert_int_gt(check_log(stack, "streamd0.log", true), 0);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- Redis -------------------------------------------------------------------------------- */

/* A user id is in a key's name and in a channel's: no glob, no separator, no format. */
START_TEST(no_metacharacter_gets_into_a_key_by_a_user_id)
{
	static const char *const ids[] = {
		"*",	   "a*",	"?",	    "[ab]",    "a\\\\*", "%s",
		"%n%n%n",  "%b",	"{1}",	    "a{b}",    "1 2",	 "a\\r\\nDEL x",
		"a\\tb",   "a/b",	"a,b",	    "$1",      "`id`",	 "a;b",
		"\\u0000", "a\\u2028b", "a\\u0085", "\\u007f", "a'b",	 "a\\\"b",
		"a<b>",	   "(a)",	"a&b",	    "a#b",     "!a",	 "^a",
	};
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");
	char *before, payload[256], body[256];

	http_ok(stack, COUNT, token, NULL);
	before = redis_dump(stack);
	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		struct response *response;

		snprintf(body, sizeof body, "{\"user_ids\":[\"%s\"]}", ids[i]);
		response = HTTP(stack, .path = USERS_PATH, .token = token, .body = body);
		ck_assert_msg(response->status == 400, "%s: status %d", body, response->status);
		/* token_make() takes ' for ", so one id with it is tried above alone. */
		if (strchr(ids[i], '\'') != NULL)
			continue;
		snprintf(payload, sizeof payload, "{'sub':'%s','exp':4102444800}", ids[i]);
		response = HTTP(
			stack, .path = COUNT,
			.token = token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret));
		ck_assert_msg(response->status == 401, "%s: status %d", payload, response->status);
	}
	ck_assert_str_eq(before, redis_dump(stack));
	stack_stop(stack);
}
END_TEST

static const char *token_of(struct stack *stack, const char *id, const char *sid)
{
	char payload[256];

	snprintf(payload, sizeof payload, "{'sub':'%s','sid':'%s','exp':4102444800}", id, sid);
	return token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
}

/* A token's name is any printable text: it stands for itself, in keys and in messages. */
START_TEST(a_token_named_like_a_pattern_ends_itself_alone)
{
	static const char *const names[] = {"*",     "?*",   "[a-z]*", "%s%n",	"{1}",
					    "a b c", "../2", "2/x",    "\\\\*", "$(id)"};
	struct stack *stack = stack_start("");
	const char *other = token_of(stack, "1", "other"), *user2 = token_of(stack, "2", "x");
	struct sse *sse;

	http_ok(stack, COUNT, user2, NULL);
	sse = sse_open(stack, other);
	sse_ready(sse);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *token = token_of(stack, "1", names[i]);

		http_ok(stack, COUNT, token, NULL);
		http_ok(stack, HEARTBEAT, token, "{\"websocket_session\":\"%s *?[a]{b} $1\"}");
		ck_assert_str_eq(redis_text(stack, "GET user:websocket:1"), "%s *?[a]{b} $1");
		http_ok(stack, "/api/auth/logout", token, "");
		check_problem(HTTP(stack, .path = COUNT, .token = token), 401, "token_revoked");
		http_ok(stack, COUNT, other, NULL);
		http_ok(stack, COUNT, user2, NULL);
	}
	redis_int(stack, "PUBLISH user:status:3 {\"last\":true}");
	ck_assert_str_eq(sse_wait(sse, "status_change", 5000)->data, "{\"last\":true}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- SQL ---------------------------------------------------------------------------------- */

START_TEST(no_email_is_sql_or_a_format)
{
	static const char *const emails[] = {
		"' OR '1'='1",
		"user1@example.com' --",
		"user1@example.com\\u0027 OR 1=1 --",
		"x' UNION SELECT id, password_hash, name FROM users --",
		"user1@example.com'; DROP TABLE users; --",
		"\\\"; DROP TABLE users; --",
		"%s%s%s%n%n",
		"%d",
		"%",
		"_____@example.com",
		"user%@example.com",
		"user1@example.com\\\\",
		"\\r\\nuser1@example.com",
		"user1@example.com\\u2028",
	};
	struct stack *stack = stack_start("");
	char body[256];

	for (size_t i = 0; i < COUNT_OF(emails); i++) {
		struct response *response;

		snprintf(body, sizeof body, "{\"email\":\"%s\",\"password\":\"" PASSWORD "\"}",
			 emails[i]);
		response = HTTP(stack, .path = LOGIN, .body = body);
		/* The address is throttled some time. */
		ck_assert_msg(response->status == 401 || response->status == 429,
			      "%s: status %d: %s", body, response->status, response->body);
	}
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	http_ok(stack, LOGIN, NULL,
		"{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD "\"}");
	stack_stop(stack);
}
END_TEST

START_TEST(no_user_id_is_sql)
{
	/* What the alphabet of ids leaves of SQL, as far as it is one. */
	static const char *const ids[] = {"1.0",  "1-0",     "0x1", "1e0", "1--",   "null",
					  "1--x", "user_id", "1=1", "1|1", "a@b~c", "+1"};
	struct stack *stack = stack_start("");

	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		const char *token = token_of(stack, ids[i], "s");
		struct response *response = HTTP(stack, .path = FRIENDS, .token = token);
		struct sse *sse;

		if (response->status == 401) /* not an id at all */
			continue;
		ck_assert_int_eq(response->status, 200);
		CHECK_JSON(response->json, "[]");
		sse = sse_open(stack, token);
		CHECK_JSON(sse_ready(sse)->json, "{}");
		sse_close(sse);
	}
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("injection");
	TCase *tcase = harness_case(suite, "injection", 60);

	tcase_add_test(tcase, what_is_published_is_one_event_or_none);
	tcase_add_test(tcase, what_comes_to_the_inbox_is_checked);
	tcase_add_test(tcase, a_name_in_the_directory_breaks_no_answer);
	tcase_add_test(tcase, no_parameter_of_a_request_becomes_a_field_of_the_answer);
	tcase_add_test(tcase, no_path_or_query_becomes_a_field_of_the_answer);
	tcase_add_test(tcase, no_log_line_can_be_forged);
	tcase_add_test(tcase, no_metacharacter_gets_into_a_key_by_a_user_id);
	tcase_add_test(tcase, a_token_named_like_a_pattern_ends_itself_alone);
	tcase_add_test(tcase, no_email_is_sql_or_a_format);
	tcase_add_test(tcase, no_user_id_is_sql);
	return harness_main(suite);
}
