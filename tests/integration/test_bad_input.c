/* What presence-api refuses, and that nothing changes then: docs/api.md. */
#include "calls.h"
#include "servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Sends a request that must be refused and must change nothing in Redis. */
static void check_refused(struct stack *stack, const char *what, const struct request *request,
			  int status, const char *code)
{
	char *before = redis_dump(stack), *after;
	struct response *response = http_send(stack, request);

	ck_assert_msg(response->status == status, "%s: status %d instead of %d %s: %s", what,
		      response->status, status, code, response->body);
	check_problem(response, status, code);
	after = redis_dump(stack);
	ck_assert_msg(strcmp(before, after) == 0, "%s: Redis held\n%s\nand now\n%s", what, before,
		      after);
	free(before);
	free(after);
}

static const struct call {
	const char *method, *path;
} calls[] = {
	{"POST", LOGOUT},	  {"GET", FRIENDS_LIST},   {"POST", STATUS_USERS},
	{"GET", STATUS_USER "2"}, {"GET", STATUS_FRIENDS}, {"POST", HEARTBEAT},
	{"GET", COUNT},		  {"GET", ONLINE_LIST},	   {"POST", TYPING},
};

static void refuse_token(struct stack *stack, const char *what, const char *token,
			 const char *header, const char *code)
{
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		struct request request = {.method = calls[i].method,
					  .path = calls[i].path,
					  .token = token,
					  .header = header};

		check_refused(stack, what, &request, 401, code);
	}
}

START_TEST(every_call_refuses_a_request_without_a_valid_token)
{
	struct stack *stack = stack_start_api("");
	const char *good = token_for(stack, "1");
	char *cut, *header;

	refuse_token(stack, "no token", NULL, NULL, "token_missing");
	refuse_token(stack, "empty token", "", NULL, NULL);
	refuse_token(stack, "garbage", "garbage", NULL, "token_invalid");
	refuse_token(stack, "three empty parts", "..", NULL, "token_invalid");
	ck_assert(asprintf(&cut, "%.*s", (int)strlen(good) - 3, good) > 0);
	refuse_token(stack, "signature cut off", cut, NULL, "token_invalid");
	ck_assert(asprintf(&cut, "%.*s", (int)(strrchr(good, '.') - good + 1), good) > 0);
	refuse_token(stack, "no signature", cut, NULL, "token_invalid");
	refuse_token(stack, "expired", token_until(stack, "1", -1), NULL, "token_expired");
	refuse_token(stack, "foreign",
		     token_make("{'alg':'HS256'}", "{'sub':'1','exp':4102444800}", KEY_HMAC,
				"another secret of at least 32 bytes"),
		     NULL, "token_invalid");
	ck_assert(asprintf(&header, "Authorization: Basic %s", good) > 0);
	refuse_token(stack, "another scheme", NULL, header, "token_missing");
	stack_stop(stack);
}
END_TEST

START_TEST(a_refused_token_is_told_by_the_challenge)
{
	struct stack *stack = stack_start_api("");
	struct response *none = HTTP(stack, .path = COUNT);
	struct response *expired = HTTP(stack, .path = COUNT, .token = token_until(stack, "1", -1));

	/* RFC 6750 section 3.1: no error code when no token came. */
	ck_assert(strstr(header_of(none->head, "WWW-Authenticate"), "error=") == NULL);
	ck_assert(strstr(header_of(expired->head, "WWW-Authenticate"), "error=\"invalid_token\"") !=
		  NULL);
	stack_stop(stack);
}
END_TEST

static void refuse_bodies(struct stack *stack, const char *path, const char *token,
			  const char *const *bodies, size_t count, const char *code)
{
	for (size_t i = 0; i < count; i++) {
		struct request request = {.path = path, .token = token, .body = bodies[i]};

		check_refused(stack, bodies[i], &request, 400, code);
	}
}

static const char *const not_json[] = {
	"x",
	"{",
	"{}}",
	"{} {}",
	"[",
	"{\"user_ids\":[1,2]",
	"{\"user_ids\":[1,]}",
	"{'user_ids':[1]}",
	"{user_ids:[1]}",
	"{\"user_ids\":[NaN]}",
	"{\"user_ids\":[0x1]}",
	"{\"user_ids\":[1]}x",
	"{\"user_ids\":[\"\x01\"]}",
	"{\"user_ids\":[\"\xff\"]}",
	"{\"a\":1 \"b\":2}",
	"nul",
	" ",
	"{\"user_ids\":[[[[[[[[[[[[1]]]]]]]]]]]]}",
};

static const char *const not_an_object[] = {"null", "true", "1", "\"text\"", "[]", "[1,2]"};

START_TEST(a_body_that_is_no_json_object_is_refused)
{
	static const char *const paths[] = {STATUS_USERS, HEARTBEAT, LOGIN};
	struct stack *stack = stack_start_api("");

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		const char *token = token_for(stack, "1");

		refuse_bodies(stack, paths[i], token, not_json, COUNT_OF(not_json), "bad_json");
		refuse_bodies(stack, paths[i], token, not_an_object, COUNT_OF(not_an_object),
			      "bad_json");
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_body_with_a_nul_is_refused)
{
	static const char body[] = "{\"user_ids\":[1]}\0";
	static const char inside[] = "{\"user_ids\":[\"a\0b\"]}";
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	check_refused(stack, "NUL behind",
		      &(struct request){.path = STATUS_USERS,
					.token = token,
					.body = body,
					.body_len = sizeof body},
		      400, "bad_json");
	check_refused(stack, "NUL inside",
		      &(struct request){.path = STATUS_USERS,
					.token = token,
					.body = inside,
					.body_len = sizeof inside - 1},
		      400, "bad_json");
	stack_stop(stack);
}
END_TEST

START_TEST(user_ids_must_be_a_list)
{
	static const char *const bodies[] = {
		"{}",
		"{\"user_ids\":null}",
		"{\"user_ids\":1}",
		"{\"user_ids\":\"1\"}",
		"{\"user_ids\":{}}",
		"{\"user_ids\":true}",
		"{\"users\":[1]}",
		"{\"USER_IDS\":[1]}",
	};
	struct stack *stack = stack_start_api("");

	refuse_bodies(stack, STATUS_USERS, token_for(stack, "1"), bodies, COUNT_OF(bodies), NULL);
	stack_stop(stack);
}
END_TEST

#define ID_64 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg"
#define ID_129 ID_64 ID_64 "x"

START_TEST(what_is_no_user_id_is_refused)
{
	static const char *const ids[] = {
		"1.9",
		"1.0",
		"1e3",
		"-1",
		"0",
		"-0",
		"9007199254740992",
		"18446744073709551617",
		"99999999999999999999999999",
		"true",
		"false",
		"null",
		"[]",
		"[1]",
		"{}",
		"\"\"",
		"\"1\"",
		"\"01\"",
		"\"0\"",
		"\"-\\u00e9\"",
		"\"a b\"",
		"\"a/b\"",
		"\"a*\"",
		"\"a;b\"",
		"\"a\\nb\"",
		"\"" ID_129 "\"",
		"\"\xc3\xa9\"",
	};
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		struct request request = {.path = STATUS_USERS, .token = token};
		char *body;

		ck_assert(asprintf(&body, "{\"user_ids\":[2,%s]}", ids[i]) > 0);
		request.body = body;
		check_refused(stack, body, &request, 400, "bad_id");
		free(body);
	}
	/* An escaped NUL may be refused as JSON or as an id, but not be cut to "1". */
	check_refused(stack, "1 and NUL",
		      &(struct request){.path = STATUS_USERS,
					.token = token,
					.body = "{\"user_ids\":[\"1\\u00002\"]}"},
		      400, NULL);
	check_refused(stack, "a member's name with NUL",
		      &(struct request){.path = STATUS_USERS,
					.token = token,
					.body = "{\"user_ids\\u0000x\":[1]}"},
		      400, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(what_is_no_user_id_in_the_path_is_refused)
{
	static const char *const plain[] = {
		"0", "01", "9007199254740992", "99999999999999999999", ID_129, "a*", "a;b",
	};
	/* The web server may refuse a broken escape itself, or decode it first. */
	static const char *const escaped[] = {
		"a%20b", "a%00b", "1%00", "%", "%zz", "%c3%a9", "a%2fb", "%2e%2e%2f",
	};
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");
	char *before = redis_dump(stack), path[256];

	for (size_t i = 0; i < COUNT_OF(plain); i++) {
		snprintf(path, sizeof path, STATUS_USER "%s", plain[i]);
		check_refused(stack, path, &(struct request){.path = path, .token = token}, 400,
			      "bad_id");
	}
	for (size_t i = 0; i < COUNT_OF(escaped); i++) {
		struct response *response;

		snprintf(path, sizeof path, STATUS_USER "%s", escaped[i]);
		response = HTTP(stack, .path = path, .token = token);
		ck_assert_msg(response->status == 400 || response->status == 404,
			      "%s: status %d: %s", path, response->status, response->body);
		ck_assert_str_eq(before, redis_dump(stack));
	}
	stack_stop(stack);
}
END_TEST

START_TEST(more_ids_than_max_batch_are_refused)
{
	struct stack *stack = stack_start_api("presence { max_batch = 3 }");
	const char *token = token_for(stack, "1");

	check_refused(stack, "four",
		      &(struct request){.path = STATUS_USERS,
					.token = token,
					.body = "{\"user_ids\":[1,2,3,4]}"},
		      400, "too_many_ids");
	http_ok(stack, STATUS_USERS, token, "{\"user_ids\":[1,2,3]}");
	stack_stop(stack);
}
END_TEST

START_TEST(a_body_over_the_limit_is_refused)
{
	struct stack *stack = stack_start_api("api { body_limit = 1024 }");
	const char *token = token_for(stack, "1");
	char body[1026];

	memset(body, ' ', sizeof body);
	memcpy(body, "{\"user_ids\":[2]", 15);
	body[1024] = '}';
	body[1025] = '\0';
	check_refused(stack, "one byte too many",
		      &(struct request){.path = STATUS_USERS, .token = token, .body = body}, 413,
		      "body_too_large");
	body[1023] = '}';
	body[1024] = '\0';
	http_ok(stack, STATUS_USERS, token, body);
	stack_stop(stack);
}
END_TEST

START_TEST(a_huge_body_is_refused)
{
	struct stack *stack = stack_start_api("");
	size_t len = 1000 << 10; /* the web server's own limit is a little higher */
	char *body = malloc(len);

	memset(body, '[', len);
	check_refused(stack, "1 MB",
		      &(struct request){.path = STATUS_USERS,
					.token = token_for(stack, "1"),
					.body = body,
					.body_len = len},
		      413, "body_too_large");
	free(body);
	stack_stop(stack);
}
END_TEST

START_TEST(an_unknown_path_is_not_found)
{
	static const char *const paths[] = {
		"/api/",
		"/api/nothing",
		"/api/online-status",
		"/api/online-status/",
		"/api/online-status/user",
		STATUS_USER,
		STATUS_USER "2/more",
		COUNT "/",
		COUNT "x",
		"/api/API/health",
		"/api/HEALTH",
		"/api//health",
		"/api/auth",
		LOGIN "/x",
	};
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	for (size_t i = 0; i < COUNT_OF(paths); i++)
		check_refused(stack, paths[i], &(struct request){.path = paths[i], .token = token},
			      404, "not_found");
	stack_stop(stack);
}
END_TEST

START_TEST(login_answers_404_when_tokens_come_from_elsewhere)
{
	struct stack *stack = stack_start_api("auth { login = external }");

	check_problem(HTTP(stack, .path = LOGIN, .body = CREDENTIALS), 404, "not_found");
	http_ok(stack, COUNT, token_for(stack, "1"), NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(another_content_type_is_refused)
{
	static const char *const types[] = {"text/plain",
					    "application/x-www-form-urlencoded",
					    "application/jsonp",
					    "application/xml",
					    "json",
					    ""};
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	for (size_t i = 0; i < COUNT_OF(types); i++)
		check_refused(stack, types[i],
			      &(struct request){.path = STATUS_USERS,
						.token = token,
						.body = "{\"user_ids\":[1]}",
						.type = types[i]},
			      415, "unsupported_media_type");
	ck_assert_int_eq(HTTP(stack, .path = STATUS_USERS, .token = token,
			      .body = "{\"user_ids\":[1]}",
			      .type = "Application/JSON; charset=utf-8")
				 ->status,
			 200);
	stack_stop(stack);
}
END_TEST

/* --- what the calls of section "Calls" name ---------------------------------------------------- */

#define WORD_65 ID_64 "x"
#define TEN_LETTERS "abcdefghij"
#define LETTERS_100                                                                         \
	TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS \
		TEN_LETTERS TEN_LETTERS TEN_LETTERS
#define TEN_EMOJI                                                                          \
	"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80" \
	"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
#define EMOJI_100                                                                                 \
	TEN_EMOJI TEN_EMOJI TEN_EMOJI TEN_EMOJI TEN_EMOJI TEN_EMOJI TEN_EMOJI TEN_EMOJI TEN_EMOJI \
		TEN_EMOJI

static const struct {
	const char *method, *path, *body;
	int status;
	const char *code, *field; /* NULL: none is named */
} bad_bodies[] = {
	{"PUT", STATE, "", 400, "bad_json", NULL},
	{"PUT", STATE, "null", 400, "bad_json", NULL},
	{"PUT", STATE, "{}", 422, "bad_value", "status"},
	{"PUT", STATE, "{\"status\":null}", 422, "bad_value", "status"},
	{"PUT", STATE, "{\"status\":\"asleep\"}", 422, "bad_value", "status"},
	{"PUT", STATE, "{\"status\":\"offline\"}", 422, "bad_value", "status"},
	{"PUT", STATE, "{\"status\":\"Busy\"}", 422, "bad_value", "status"},
	{"PUT", STATE, "{\"status\":1}", 422, "bad_value", "status"},
	{"PUT", STATE, "{\"status\":[\"busy\"]}", 422, "bad_value", "status"},
#define SAYS(text) "{\"status\":\"busy\",\"text\":" text "}"
	{"PUT", STATE, SAYS("7"), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("{}"), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"" EMOJI_100 "x\""), 422, "bad_value", "text"}, /* 401 bytes */
	{"PUT", STATE, SAYS("\"" LETTERS_100 "x\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\\nb\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\\u007fb\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\\u0085b\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\\u2028b\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\\u2029b\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\xe2\x80\xa8z\""), 422, "bad_value", "text"}, /* U+2028 */
	{"PUT", STATE, SAYS("\"a\\u202ab\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\\u202eb\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\\u2066b\""), 422, "bad_value", "text"},
	{"PUT", STATE, SAYS("\"a\\u2069b\""), 422, "bad_value", "text"},
	/* No JSON at all: not UTF-8, a surrogate, half a pair, a control. */
	{"PUT", STATE, SAYS("\"\xff\""), 400, "bad_json", "text"},
	{"PUT", STATE, SAYS("\"\xed\xa0\x80\""), 400, "bad_json", "text"},
	{"PUT", STATE, SAYS("\"\\ud83d\""), 400, "bad_json", "text"},
	{"PUT", STATE, SAYS("\"a\x01\""), 400, "bad_json", "text"},
	{"PUT", STATE, "{\"status\":\"busy\",\"emoji\":7}", 422, "bad_value", "emoji"},
	{"PUT", STATE, "{\"status\":\"busy\",\"emoji\":\"" WORD_65 "\"}", 422, "bad_value",
	 "emoji"},
	{"PUT", STATE, "{\"status\":\"busy\",\"emoji\":\"\\t\"}", 422, "bad_value", "emoji"},
	{"PUT", STATE, "{\"status\":\"busy\",\"emoji\":\"\\u202e\"}", 422, "bad_value", "emoji"},
	{"PUT", STATE, "{\"status\":\"busy\",\"emoji\":\"\xc0\"}", 400, "bad_json", "emoji"},
#define HOLDS(seconds) "{\"status\":\"busy\",\"expires_in\":" seconds "}"
	{"PUT", STATE, HOLDS("0"), 422, "bad_value", "expires_in"},
	{"PUT", STATE, HOLDS("-1"), 422, "bad_value", "expires_in"},
	{"PUT", STATE, HOLDS("7776001"), 422, "bad_value", "expires_in"},
	{"PUT", STATE, HOLDS("99999999999999999999"), 422, "bad_value", "expires_in"},
	{"PUT", STATE, HOLDS("1.5"), 422, "bad_value", "expires_in"},
	{"PUT", STATE, HOLDS("\"60\""), 422, "bad_value", "expires_in"},
	{"PUT", STATE, HOLDS("true"), 422, "bad_value", "expires_in"},
	{"PUT", SETTINGS, "[]", 400, "bad_json", NULL},
	{"PUT", SETTINGS, "{\"last_seen\":\"never\"}", 422, "bad_value", "last_seen"},
	{"PUT", SETTINGS, "{\"last_seen\":2}", 422, "bad_value", "last_seen"},
	{"PUT", SETTINGS, "{\"typing\":1}", 422, "bad_value", "typing"},
	{"PUT", SETTINGS, "{\"typing\":\"true\"}", 422, "bad_value", "typing"},
	{"PUT", SETTINGS, "{\"nearby\":true}", 422, "bad_value", "nearby"},
	{"PUT", SETTINGS, "{\"nearby\":\"everyone\"}", 422, "bad_value", "nearby"},
	{"PUT", SETTINGS, "{\"last_seen\":\"coarse\",\"nearby\":\"\"}", 422, "bad_value", "nearby"},
	{"POST", HEARTBEAT, "{\"idle\":1}", 422, "bad_value", "idle"},
	{"POST", HEARTBEAT, "{\"idle\":\"true\"}", 422, "bad_value", "idle"},
	{"POST", TICKET, "{\"idle\":0}", 422, "bad_value", "idle"},
	{"POST", TICKET, "{\"users\":[],\"friends\":\"no\"}", 422, "bad_value", "friends"},
	{"PUT", BLOCKS "1", NULL, 422, "bad_value", NULL}, /* oneself */
	{"PUT", BLOCKS "a%2Fb", NULL, 400, "bad_id", NULL},
	{"DELETE", BLOCKS "0", NULL, 400, "bad_id", NULL},
	{"POST", TYPING, "", 400, "bad_json", NULL},
	{"POST", TYPING, "[]", 400, "bad_json", NULL},
	{"POST", TYPING, "{}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":null,\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":\"2\",\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":-2,\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":\"a b\",\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":{\"id\":2},\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":[],\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":[2,3,4,5,6,7],\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":[2,\"a/b\"],\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":[[2]],\"typing\":true}", 422, "bad_value", "to"},
	{"POST", TYPING, "{\"to\":2}", 422, "bad_value", "typing"},
	{"POST", TYPING, "{\"to\":2,\"typing\":1}", 422, "bad_value", "typing"},
	{"POST", TYPING, "{\"to\":2,\"typing\":\"true\"}", 422, "bad_value", "typing"},
	{"POST", TYPING, "{\"to\":2,\"typing\":null}", 422, "bad_value", "typing"},
#define IN(text) "{\"to\":2,\"typing\":true,\"conversation\":" text "}"
	{"POST", TYPING, IN("7"), 422, "bad_value", "conversation"},
	{"POST", TYPING, IN("\"\""), 422, "bad_value", "conversation"},
	{"POST", TYPING, IN("\"" WORD_65 "\""), 422, "bad_value", "conversation"},
	{"POST", TYPING, IN("\"a b\""), 422, "bad_value", "conversation"},
	{"POST", TYPING, IN("\"a/b\""), 422, "bad_value", "conversation"},
	{"POST", TYPING, IN("\"a\\nb\""), 422, "bad_value", "conversation"},
	{"POST", TYPING, IN("\"\xc3\xa9\""), 422, "bad_value", "conversation"},
	{"POST", TYPING, IN("[\"a\"]"), 422, "bad_value", "conversation"},
	{"PUT", LOCATION, "", 400, "bad_json", NULL},
	{"PUT", LOCATION, "{\"lat\":NaN,\"lon\":0}", 400, "bad_json", NULL},
	{"PUT", LOCATION, "{\"lat\":0,\"lon\":Infinity}", 400, "bad_json", NULL},
	{"PUT", LOCATION, "{}", 422, "bad_value", "lat"},
	{"PUT", LOCATION, "{\"lon\":0}", 422, "bad_value", "lat"},
	{"PUT", LOCATION, "{\"lat\":\"1\",\"lon\":0}", 422, "bad_value", "lat"},
	{"PUT", LOCATION, "{\"lat\":null,\"lon\":0}", 422, "bad_value", "lat"},
	{"PUT", LOCATION, "{\"lat\":true,\"lon\":0}", 422, "bad_value", "lat"},
	{"PUT", LOCATION, "{\"lat\":90.0001,\"lon\":0}", 422, "bad_value", "lat"},
	{"PUT", LOCATION, "{\"lat\":-91,\"lon\":0}", 422, "bad_value", "lat"},
	{"PUT", LOCATION, "{\"lat\":1e999,\"lon\":0}", 422, "bad_value", "lat"},
	{"PUT", LOCATION, "{\"lat\":0}", 422, "bad_value", "lon"},
	{"PUT", LOCATION, "{\"lat\":0,\"lon\":[0]}", 422, "bad_value", "lon"},
	{"PUT", LOCATION, "{\"lat\":0,\"lon\":180.0001}", 422, "bad_value", "lon"},
	{"PUT", LOCATION, "{\"lat\":0,\"lon\":-99999999999999999999}", 422, "bad_value", "lon"},
};

START_TEST(what_is_wrong_in_a_body_is_named_and_changes_nothing)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");

	for (size_t i = 0; i < COUNT_OF(bad_bodies); i++) {
		struct request request = {.method = bad_bodies[i].method,
					  .path = bad_bodies[i].path,
					  .token = token,
					  .body = bad_bodies[i].body};

		check_refused(stack, request.body != NULL ? request.body : request.path, &request,
			      bad_bodies[i].status, bad_bodies[i].code);
		if (bad_bodies[i].field != NULL)
			check_has(json_text(http_send(stack, &request)->json, "detail"),
				  text_of("\"%s\"", bad_bodies[i].field));
	}
	stack_stop(stack);
}
END_TEST

/* --- what comes from the site's own tables -------------------------------------------------- */

#define LATIN1 "CAST(X'4AFC7267656E' AS TEXT)" /* Jürgen */
#define REPLACED "J\xef\xbf\xbdrgen"

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		count++;
	return count;
}

START_TEST(a_name_that_is_not_utf8_is_replaced_everywhere)
{
	struct stack *stack = stack_start_api("api { children = 1 }");
	struct json_object *friends, *login;
	const char *token;

	users_sql(stack, "UPDATE users SET name = " LATIN1 " WHERE id = 2;");
	for (int i = 0; i < 3; i++) {
		friends = http_ok(stack, FRIENDS_LIST, token_for(stack, "1"), NULL);
		CHECK_JSON(json_object_array_get_idx(friends, 0),
			   "{'user_id':2,'name':'" REPLACED "'}");
	}
	login = http_ok(stack, LOGIN, NULL,
			"{\"email\":\"user2@example.com\",\"password\":\"" PASSWORD "\"}");
	ck_assert_str_eq(json_text(json_at(login, "user"), "name"), REPLACED);
	token = json_text(login, "access_token");
	ck_assert_str_eq(json_text(token_payload(token), "name"), REPLACED);
	http_ok(stack, COUNT, token, NULL);
	/* The operator is told, once. */
	ck_assert_uint_eq(
		count_of(stack_file(stack, "lighttpd.log"), "the name of user 2 is not UTF-8"), 1);
	check_has(CTL(stack, "user", "list"), REPLACED);
	check_has(CTL(stack, "user", "list", "--json"), "\"" REPLACED "\"");
	stack_stop(stack);
}
END_TEST

START_TEST(bad_cursors_and_limits_are_refused)
{
	static const char *const queries[] = {
		"limit=0",
		"limit=-1",
		"limit=10001",
		"limit=1.5",
		"limit=x",
		"limit=",
		"limit=99999999999999999999",
		"limit=+1",
		"limit=%201",
		"cursor=x",
		"cursor=-1",
		"cursor=1.5",
		"cursor=99999999999999999999999999",
		"cursor=1%20",
		"cursor=1x",
	};
	/* These the web server may refuse itself. */
	static const char *const escaped[] = {
		"limit=%zz", "limit=1%00", "limit=%", "cursor=%00", "cursor=1%0d%0a2",
	};
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1");
	char path[128];

	for (size_t i = 0; i < COUNT_OF(queries); i++) {
		snprintf(path, sizeof path, ONLINE_LIST "?%s", queries[i]);
		check_refused(stack, path, &(struct request){.path = path, .token = token}, 400,
			      "bad_parameter");
	}
	for (size_t i = 0; i < COUNT_OF(escaped); i++) {
		snprintf(path, sizeof path, ONLINE_LIST "?%s", escaped[i]);
		ck_assert_msg(HTTP(stack, .path = path, .token = token)->status == 400,
			      "%s is not refused", path);
	}
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(a_bad_websocket_session_is_refused)
{
	char too_long[200], *body = too_long;
	const char *bodies[] = {
		"{\"websocket_session\":1}",
		"{\"websocket_session\":true}",
		"{\"websocket_session\":null}",
		"{\"websocket_session\":[]}",
		"{\"websocket_session\":\"\"}",
		"{\"websocket_session\":\"a\\nb\"}",
		"{\"websocket_session\":\"a\\u0000\"}",
		"{\"websocket_session\":\"a\\u007f\"}",
		body,
	};
	struct stack *stack = stack_start_api("");
	char session[130];

	memset(session, 'x', sizeof session - 1);
	session[129] = '\0';
	snprintf(too_long, sizeof too_long, "{\"websocket_session\":\"%s\"}", session);
	refuse_bodies(stack, HEARTBEAT, token_for(stack, "1"), bodies, COUNT_OF(bodies), NULL);
	session[128] = '\0';
	snprintf(too_long, sizeof too_long, "{\"websocket_session\":\"%s\"}", session);
	http_ok(stack, HEARTBEAT, token_for(stack, "1"), too_long);
	stack_stop(stack);
}
END_TEST

START_TEST(a_login_without_email_or_password_is_refused)
{
	static const char *const bodies[] = {
		"{}",
		"{\"email\":\"user1@example.com\"}",
		"{\"password\":\"password\"}",
		"{\"email\":1,\"password\":\"password\"}",
		"{\"email\":\"user1@example.com\",\"password\":1}",
		"{\"email\":null,\"password\":null}",
		"{\"email\":[],\"password\":{}}",
		"{\"email\":\"user1@example.com\\u0000\",\"password\":\"password\"}",
		"{\"email\":\"user1@example.com\",\"password\":\"password\\u0000\"}",
	};
	struct stack *stack = stack_start_api("");

	refuse_bodies(stack, LOGIN, NULL, bodies, COUNT_OF(bodies), NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(a_login_that_is_sql_finds_nobody)
{
	struct stack *stack = stack_start_api("");

	check_problem(
		HTTP(stack, .path = LOGIN,
		     .body = "{\"email\":\"user1@example.com' OR '1'='1\",\"password\":\"" PASSWORD
			     "\"}"),
		401, "bad_credentials");
	check_problem(HTTP(stack, .path = LOGIN,
			   .body = "{\"email\":\"' OR 1=1 --\",\"password\":\"" PASSWORD "\"}"),
		      401, "bad_credentials");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bad input");
	TCase *tcase = harness_case(suite, "bad input", 60);

	tcase_add_test(tcase, every_call_refuses_a_request_without_a_valid_token);
	tcase_add_test(tcase, a_refused_token_is_told_by_the_challenge);
	tcase_add_test(tcase, a_body_that_is_no_json_object_is_refused);
	tcase_add_test(tcase, a_body_with_a_nul_is_refused);
	tcase_add_test(tcase, user_ids_must_be_a_list);
	tcase_add_test(tcase, what_is_no_user_id_is_refused);
	tcase_add_test(tcase, what_is_no_user_id_in_the_path_is_refused);
	tcase_add_test(tcase, more_ids_than_max_batch_are_refused);
	tcase_add_test(tcase, a_body_over_the_limit_is_refused);
	tcase_add_test(tcase, a_huge_body_is_refused);
	tcase_add_test(tcase, an_unknown_path_is_not_found);
	tcase_add_test(tcase, login_answers_404_when_tokens_come_from_elsewhere);
	tcase_add_test(tcase, another_content_type_is_refused);
	tcase_add_test(tcase, what_is_wrong_in_a_body_is_named_and_changes_nothing);
	tcase_add_test(tcase, a_name_that_is_not_utf8_is_replaced_everywhere);
	tcase_add_test(tcase, bad_cursors_and_limits_are_refused);
	tcase_add_test(tcase, a_bad_websocket_session_is_refused);
	tcase_add_test(tcase, a_login_without_email_or_password_is_refused);
	tcase_add_test(tcase, a_login_that_is_sql_finds_nobody);
	return harness_main(suite);
}
