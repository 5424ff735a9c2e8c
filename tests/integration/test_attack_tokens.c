/*
 * Attacks with tokens and tickets, behind the web server: the rows of docs/reliability.md that
 * test_tokens.c, test_access.c, test_sessions.c and tests/unit/test_token.c do not have.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fastcgi.h>

#include "base/buf.h"
#include "wire.h"

#define COUNT "/api/online-status/count"
#define STREAM "/api/presence/stream"
#define TICKET "/api/presence/ticket"
#define PAYLOAD "{'sub':'1','exp':4102444800}"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Both programs refuse it, and nobody is online by it. */
static void check_refused(struct stack *stack, const char *what, const char *token)
{
	static const char *const paths[] = {COUNT, STREAM};

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct response *response = HTTP(stack, .path = paths[i], .token = token);

		ck_assert_msg(response->status == 401, "%s: %s answers %d: %s", what, paths[i],
			      response->status, response->body);
	}
	ck_assert_msg(redis_int(stack, "SCARD online_users") == 0, "%s: somebody is online", what);
}

START_TEST(no_spelling_of_none_is_taken)
{
	static const char *const names[] = {"none", "None", "nOnE", "NONE", "none ", "", "null"};
	struct stack *stack = stack_start("");
	char header[64];

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char *cut;

		snprintf(header, sizeof header, "{'alg':'%s','typ':'JWT'}", names[i]);
		check_refused(stack, names[i], token_make(header, PAYLOAD, KEY_NONE, NULL));
		check_refused(stack, names[i], token_make(header, PAYLOAD, KEY_HMAC, ""));
		check_refused(stack, names[i],
			      token_make(header, PAYLOAD, KEY_HMAC, stack->secret));
		/* Without the last dot. */
		cut = strdup(token_make(header, PAYLOAD, KEY_NONE, NULL));
		cut[strlen(cut) - 1] = '\0';
		check_refused(stack, names[i], cut);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_signature_of_another_size_is_refused)
{
	static const struct {
		const char *header;
		enum token_key kind;
	} rows[] = {
		{"{'alg':'HS384'}", KEY_HMAC_384}, {"{'alg':'HS512'}", KEY_HMAC_512},
		{"{'alg':'HS256'}", KEY_HMAC_384}, {"{'alg':'HS256'}", KEY_HMAC_512},
		{"{'alg':'hs256'}", KEY_HMAC},	   {"{'alg':'HS256 '}", KEY_HMAC},
	};
	struct stack *stack = stack_start("");

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		check_refused(stack, rows[i].header,
			      token_make(rows[i].header, PAYLOAD, rows[i].kind, stack->secret));
	stack_stop(stack);
}
END_TEST

/* What somebody who knows the public key may take for the HMAC secret. */
static void check_confusion(const char *kind, const char *algorithm)
{
	static const struct {
		const char *alg;
		enum token_key kind;
	} headers[] = {{"HS256", KEY_HMAC}, {"HS384", KEY_HMAC_384}, {"HS512", KEY_HMAC_512}};
	struct stack *stack = stack_new("");
	char *conf, *pem, *spellings[6], name[16], header[64], *out;
	int count = 0;

	make_key_pair(stack, kind, kind);
	ck_assert(asprintf(&conf,
			   "auth { algorithm = %s key_file = \"%s/%s.pub\" login = external }\n",
			   algorithm, stack->dir, kind) > 0);
	stack_write_conf(stack, conf);
	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	snprintf(name, sizeof name, "%s.pub", kind);
	pem = stack_file(stack, name);
	ck_assert_uint_gt(strlen(pem), 100);

	spellings[count++] = pem;
	spellings[count++] = strndup(pem, strlen(pem) - 1); /* no newline at its end */
	ck_assert(asprintf(&spellings[count++], "%s\n", pem) > 0);
	/* With CR LF, as Windows writes it. */
	out = spellings[count++] = calloc(1, 2 * strlen(pem) + 1);
	for (const char *c = pem; *c != '\0'; c++) {
		if (*c == '\n')
			*out++ = '\r';
		*out++ = *c;
	}
	/* The base64 alone, in lines and in one. */
	out = spellings[count++] = strndup(
		strchr(pem, '\n') + 1, (size_t)(strstr(pem, "\n-----END") - strchr(pem, '\n') - 1));
	spellings[count] = calloc(1, strlen(out) + 1);
	for (char *to = spellings[count++]; *out != '\0'; out++) {
		if (*out != '\n')
			*to++ = *out;
	}
	for (int i = 0; i < count; i++) {
		for (size_t j = 0; j < COUNT_OF(headers); j++) {
			snprintf(header, sizeof header, "{'alg':'%s'}", headers[j].alg);
			check_refused(stack, header,
				      token_make(header, PAYLOAD, headers[j].kind, spellings[i]));
			snprintf(header, sizeof header, "{'alg':'%s'}", algorithm);
			check_refused(stack, header,
				      token_make(header, PAYLOAD, headers[j].kind, spellings[i]));
		}
	}
	stack_stop(stack);
}

START_TEST(no_spelling_of_an_rsa_public_key_is_a_secret)
{
	check_confusion("rsa", "RS256");
}
END_TEST

START_TEST(no_spelling_of_an_ec_public_key_is_a_secret)
{
	check_confusion("ec", "ES256");
}
END_TEST

START_TEST(empty_and_short_keys_are_refused_at_start)
{
	static const char *const secrets[] = {"", "\n", "secret", "0123456789012345678901234567890",
					      "0123456789012345678901234567890\n"};
	static const char *const programs[] = {"presence-streamd", "presence-api"};
	struct stack *stack = stack_new("api { listen = \"unix:/nowhere/api.sock\" }\n");

	for (size_t i = 0; i < COUNT_OF(secrets); i++) {
		stack_write_secret(stack, "key", secrets[i]);
		ck_assert_int_eq(chmod(stack_path(stack, "key"), 0600), 0);
		for (size_t j = 0; j < COUNT_OF(programs); j++) {
			const char *argv[] = {program(programs[j]), "-c",
					      stack_path(stack, "presence.conf"), NULL};
			char *log;

			stack_write(stack, "run.log", "");
			ck_assert_int_eq(run(stack, NULL, NULL, argv), 2);
			log = stack_file(stack, "run.log");
			ck_assert_msg(strstr(log, "at least 32 bytes") != NULL,
				      "%s with a secret of %zu bytes: %s", programs[j],
				      strlen(secrets[i]), log);
		}
	}
	stack_stop(stack);
}
END_TEST

static const char *token_of_times(struct stack *stack, long long exp, long long nbf)
{
	char payload[256];

	snprintf(payload, sizeof payload, "{'sub':'1','exp':%lld,'nbf':%lld}", exp, nbf);
	return token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
}

START_TEST(times_far_out_and_below_zero_are_no_way_around)
{
	static const char *const refused[] = {
		"{'sub':'1','exp':-1}",
		"{'sub':'1','exp':0}",
		"{'sub':'1','exp':-9223372036854775808}",
		"{'sub':'1','exp':-99999999999999999999}",
		"{'sub':'1','exp':4102444800,'nbf':9223372036854775807}",
		"{'sub':'1','exp':4102444800,'nbf':99999999999999999999}",
		"{'sub':'1','exp':4102444800,'nbf':4102444799.5}",
		"{'sub':'1','exp':'Infinity'}",
		"{'sub':'1','exp':9007199254740992}",
		"{'sub':'1','exp':9223372036854775807}",
		"{'sub':'1','exp':4102444800,'nbf':-1}",
		"{'sub':'1','exp':4102444800,'nbf':-9223372036854775808}",
		"{'sub':'1','exp':4102444800,'iat':-1}",
	};
	static const char *const taken[] = {
		"{'sub':'1','exp':9007199254740991}",
		"{'sub':'1','exp':1.9e12}",
		"{'sub':'1','exp':4102444800,'nbf':0}",
		"{'sub':'1','exp':4102444800,'iat':9007199254740991}",
	};
	struct stack *stack = stack_start("");

	for (size_t i = 0; i < COUNT_OF(refused); i++)
		check_refused(stack, refused[i],
			      token_make("{'alg':'HS256'}", refused[i], KEY_HMAC, stack->secret));
	for (size_t i = 0; i < COUNT_OF(taken); i++) {
		const char *token =
			token_make("{'alg':'HS256'}", taken[i], KEY_HMAC, stack->secret);
		int rest = HTTP(stack, .path = COUNT, .token = token)->status;
		struct sse *sse = sse_open(stack, token);

		ck_assert_msg(rest == 200, "%s: status %d", taken[i], rest);
		/* A far end overflows no timer: the stream stays. */
		sse_ready(sse);
		sse_close(sse);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_is_good_until_the_second_of_its_exp)
{
	struct stack *stack = stack_start("");
	long long now = (long long)time(NULL);
	const char *token = token_of_times(stack, now + 2, now);
	struct timespec after;

	ck_assert_int_eq(HTTP(stack, .path = COUNT, .token = token)->status, 200);
	WAIT_UNTIL(HTTP(stack, .path = COUNT, .token = token)->status == 401, 4000);
	clock_gettime(CLOCK_REALTIME, &after); /* time() is some ms late */
	ck_assert_msg(after.tv_sec >= now + 2, "refused before its exp");
	check_problem(HTTP(stack, .path = STREAM, .token = token), 401, "token_expired");
	check_problem(HTTP(stack, .path = COUNT,
			   .token = token_of_times(stack, now + 9000, (long long)time(NULL) + 60)),
		      401, "token_invalid");
	stack_stop(stack);
}
END_TEST

/* Who a token is for the two programs; "" when they refuse it. */
static void check_same_user(struct stack *stack, const char *header, const char *payload)
{
	const char *token = token_make(header, payload, KEY_HMAC, stack->secret);
	struct response *rest = HTTP(stack, .path = COUNT, .token = token);
	struct sse *sse = sse_open(stack, token);
	char name[128];

	ck_assert_msg(rest->status == sse_status(sse), "%s%s: presence-api %d, streamd %d", header,
		      payload, rest->status, sse_status(sse));
	if (rest->status == 200) {
		struct event *event = sse_wait(sse, "connected", 5000);

		snprintf(name, sizeof name, "user:online:%s", json_text(event->json, "user_id"));
		/* The one user whom presence-api has made online is the stream's. */
		ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 1);
		ck_assert_msg(redis_has(stack, name), "%s: %s is not online", payload, name);
	}
	sse_close(sse);
	/* All users: a Redis without an epoch would be one that was wiped, which shows nobody at first. */
	redis_int(stack, "EVAL %s 0",
		  "for _, key in ipairs(redis.call('KEYS', '*')) do "
		  "if key ~= 'presence:epoch' and key ~= 'presence:swept' then redis.call('DEL', "
		  "key) end "
		  "end return 1");
}

START_TEST(of_duplicate_claims_both_programs_make_the_same)
{
	static const char *const payloads[] = {
		"{'sub':'1','sub':'2','exp':4102444800}",
		"{'sub':'2','exp':4102444800,'sub':'1'}",
		"{'sub':'1','exp':1,'exp':4102444800}",
		"{'sub':'1','exp':4102444800,'exp':1}",
		"{'sub':'1','exp':4102444800,'nbf':1,'nbf':4102444800}",
	};
	struct stack *stack = stack_start("");

	for (size_t i = 0; i < COUNT_OF(payloads); i++)
		check_same_user(stack, "{'alg':'HS256'}", payloads[i]);
	check_same_user(stack, "{'alg':'none','alg':'HS256'}", PAYLOAD);
	check_same_user(stack, "{'alg':'HS256','alg':'none'}", PAYLOAD);
	check_same_user(stack, "{'alg':'HS256','crit':['x'],'crit':null}", PAYLOAD);
	stack_stop(stack);
}
END_TEST

/* --- sizes -------------------------------------------------------------------------------- */

static const char *token_of_size(struct stack *stack, size_t size)
{
	char *payload = malloc(size + 64), *end;

	ck_assert_ptr_nonnull(payload);
	end = payload + sprintf(payload, "{'sub':'1','exp':4102444800,'x':'");
	memset(end, 'x', size);
	strcpy(end + size, "'}");
	return token_make("{'alg':'HS256'}", payload, KEY_HMAC, stack->secret);
}

/* A request for COUNT with this token, as a web server without limits would pass it on. */
static struct printbuf *direct_request(const char *path, const char *token)
{
	struct printbuf *params = buf_new(), *bytes = buf_new(), *bearer = buf_new();

	buf_putf(bearer, "Bearer ");
	buf_put(bearer, token, strlen(token));
	wire_pair(params, "REQUEST_METHOD", "GET");
	wire_pair(params, "REQUEST_URI", path);
	wire_pair(params, "HTTP_AUTHORIZATION", bearer->buf);
	wire_begin(bytes, 1, FCGI_RESPONDER, 0);
	for (size_t at = 0, part; at < buf_len(params); at += part) {
		part = buf_len(params) - at < FCGI_MAX_LENGTH ? buf_len(params) - at
							      : FCGI_MAX_LENGTH;
		wire_record(bytes, FCGI_PARAMS, 1, params->buf + at, part);
	}
	wire_record(bytes, FCGI_PARAMS, 1, NULL, 0);
	wire_record(bytes, FCGI_STDIN, 1, NULL, 0);
	printbuf_free(params);
	printbuf_free(bearer);
	return bytes;
}

START_TEST(tokens_of_8_KB_1_MB_and_16_MB_are_refused_and_cost_nobody)
{
	static const size_t sizes[] = {8192, 1 << 20, 16 << 20};
	struct stack *stack = stack_start("");
	const char *good = token_for(stack, "2"),
		   *sockets[] = {streamd_socket(stack, 0), stack_path(stack, "api.sock-0")};
	pid_t streamd = stack->streamd[0];

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		const char *token = token_of_size(stack, sizes[i]);

		for (size_t j = 0; j < COUNT_OF(sockets); j++) {
			struct printbuf *bytes = direct_request(j == 0 ? STREAM : COUNT, token),
					*in = buf_new();
			int fd = wire_connect(sockets[j]);

			ck_assert_int_ge(fd, 0);
			wire_send(fd, bytes->buf, buf_len(bytes));
			/* An answer or a closed connection, but no acceptance. */
			ck_assert_msg(wire_read(fd, in, 0, 10000), "%s: no end of the answer",
				      sockets[j]);
			ck_assert_msg(buf_len(in) == 0 || memmem(in->buf, buf_len(in),
								 "Status: 401", 11) != NULL,
				      "%s, %zu bytes: %.*s", sockets[j], sizes[i], 200,
				      in->buf + 8);
			close(fd);
			printbuf_free(bytes);
			printbuf_free(in);
		}
		http_ok(stack, COUNT, good, NULL);
	}
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 1);
	ck_assert_int_eq(stack->streamd[0], streamd);
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_of_1_MB_in_the_query_is_refused)
{
	struct stack *stack = stack_start("");
	const char *token = token_of_size(stack, 1 << 20);
	struct sse *sse;
	char *text;

	ck_assert(asprintf(&text, "GET " COUNT "?token=%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
			   token) > 0);
	sse = sse_request(stack, text);
	/* The web server may cut the connection while we still send. */
	ck_assert_msg(sse_wait_end(sse, 5000) || sse_status(sse) >= 400, "it is not refused");
	http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 1);
	stack_stop(stack);
}
END_TEST

/* --- tickets ------------------------------------------------------------------------------ */

static const char *ticket_of(struct stack *stack, const char *token)
{
	return json_text(http_ok(stack, TICKET, token, ""), "ticket");
}

static struct sse *open_with(struct stack *stack, const char *ticket, const char *token)
{
	char *text;

	ck_assert(asprintf(&text,
			   "GET " STREAM "?ticket=%s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n",
			   ticket, token != NULL ? "Authorization: Bearer " : "",
			   token != NULL ? token : "", token != NULL ? "\r\n" : "") > 0);
	return sse_request(stack, text);
}

START_TEST(another_users_ticket_makes_nobody_that_user)
{
	struct stack *stack = stack_start("");
	const char *mine = token_for(stack, "1"), *ticket = ticket_of(stack, token_for(stack, "2"));
	struct sse *sse = open_with(stack, ticket, mine);

	/* With a token of one's own one is oneself, and the ticket is not used up. */
	ck_assert_str_eq(json_text(sse_wait(sse, "connected", 5000)->json, "user_id"), "1");
	sse_close(sse);
	sse = open_with(stack, ticket, NULL);
	ck_assert_str_eq(json_text(sse_wait(sse, "connected", 5000)->json, "user_id"), "2");
	sse_close(sse);
	/* A bad token is not mended by a good ticket. */
	ck_assert_int_eq(sse_status(open_with(stack, ticket_of(stack, mine), "garbage")), 401);
	stack_stop(stack);
}
END_TEST

/* With more behind it, or a broken escape, a good ticket is none, and stays good. */
START_TEST(a_ticket_with_anything_behind_it_is_refused)
{
	static const char *const tails[] = {"x",    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
					    "%",    "%4",
					    "%zz",  "%00",
					    "%00x", "%20",
					    "+",    "&ticket="};
	struct stack *stack = stack_start("");
	const char *ticket = ticket_of(stack, token_for(stack, "1"));
	struct sse *sse;
	char *text;

	for (size_t i = 0; i + 1 < COUNT_OF(tails); i++) {
		ck_assert(asprintf(&text, "%s%s", ticket, tails[i]) > 0);
		sse = open_with(stack, text, NULL);
		ck_assert_msg(sse_status(sse) == 401 || sse_status(sse) == 400,
			      "a ticket and '%s': status %d", tails[i], sse_status(sse));
		sse_close(sse);
		free(text);
	}
	/* The first of two parameters counts. */
	ck_assert(asprintf(&text, "%s%s", ticket, tails[COUNT_OF(tails) - 1]) > 0);
	sse = open_with(stack, text, NULL);
	sse_ready(sse);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* What somebody who can write into Redis may have put there is checked like a token. */
START_TEST(a_forged_ticket_in_redis_opens_no_stream_it_should_not)
{
	static const char *const values[] = {
		"",
		"x",
		"{}",
		"[]",
		"{\"sub\":1}",
		"{\"sub\":\"a b\",\"tok\":\"t\",\"iat\":0,\"exp\":4102444800}",
		"{\"sub\":1,\"tok\":\"\",\"iat\":0,\"exp\":4102444800}",
		"{\"sub\":1,\"tok\":\"a\\nb\",\"iat\":0,\"exp\":4102444800}",
		"{\"sub\":1,\"tok\":\"t\",\"iat\":0,\"exp\":1}",
		"{\"sub\":1,\"tok\":\"t\",\"iat\":0,\"exp\":-9223372036854775808}",
		"{\"sub\":1,\"tok\":\"t\",\"iat\":0,\"exp\":\"4102444800\"}",
	};
	struct stack *stack = stack_start("");
	struct sse *sse;

	for (size_t i = 0; i < COUNT_OF(values); i++) {
		freeReplyObject(redis_cmd(stack, "SET presence:ticket:AAAAAAAAAAAAAAAAAAAAAA %s",
					  values[i]));
		sse = open_with(stack, "AAAAAAAAAAAAAAAAAAAAAA", NULL);
		ck_assert_msg(sse_status(sse) == 401, "%s: status %d", values[i], sse_status(sse));
		sse_close(sse);
	}
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	/* A far exp overflows no timer: refused, or a stream that stays. */
	freeReplyObject(redis_cmd(stack, "SET presence:ticket:AAAAAAAAAAAAAAAAAAAAAA %s",
				  "{\"sub\":1,\"tok\":\"t\",\"iat\":0,"
				  "\"exp\":9223372036854775807}"));
	sse = open_with(stack, "AAAAAAAAAAAAAAAAAAAAAA", NULL);
	if (sse_status(sse) == 200)
		sse_ready(sse);
	else
		ck_assert_int_eq(sse_status(sse), 401);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attacks with tokens");
	TCase *tcase = harness_case(suite, "tokens", 60);

	tcase_add_test(tcase, no_spelling_of_none_is_taken);
	tcase_add_test(tcase, a_signature_of_another_size_is_refused);
	tcase_add_test(tcase, no_spelling_of_an_rsa_public_key_is_a_secret);
	tcase_add_test(tcase, no_spelling_of_an_ec_public_key_is_a_secret);
	tcase_add_test(tcase, empty_and_short_keys_are_refused_at_start);
	tcase_add_test(tcase, times_far_out_and_below_zero_are_no_way_around);
	tcase_add_test(tcase, a_token_is_good_until_the_second_of_its_exp);
	tcase_add_test(tcase, of_duplicate_claims_both_programs_make_the_same);
	tcase_add_test(tcase, tokens_of_8_KB_1_MB_and_16_MB_are_refused_and_cost_nobody);
	tcase_add_test(tcase, a_token_of_1_MB_in_the_query_is_refused);

	tcase = harness_case(suite, "tickets", 40);
	tcase_add_test(tcase, another_users_ticket_makes_nobody_that_user);
	tcase_add_test(tcase, a_ticket_with_anything_behind_it_is_refused);
	tcase_add_test(tcase, a_forged_ticket_in_redis_opens_no_stream_it_should_not);
	return harness_main(suite);
}
