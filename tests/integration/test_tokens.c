/* Which tokens are taken and which are not, over HTTP: RFC 7519, docs/api.md. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HS256 "{'alg':'HS256','typ':'JWT'}"
#define A64 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Both programs must say the same of a token. */
static void check_taken(struct stack *stack, const char *what, const char *token)
{
	struct response *response = HTTP(stack, .path = COUNT, .token = token);
	struct sse *sse;

	ck_assert_msg(response->status == 200, "%s: presence-api answers %d: %s", what,
		      response->status, response->body);
	sse = sse_open(stack, token);
	ck_assert_msg(sse_status(sse) == 200, "%s: streamd answers %d", what, sse_status(sse));
	sse_wait(sse, "initial", 5000);
	sse_close(sse);
}

static void check_refused(struct stack *stack, const char *what, const char *token,
			  const char *code)
{
	static const char *const paths[] = {COUNT, STREAM};

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct response *response = HTTP(stack, .path = paths[i], .token = token);

		ck_assert_msg(response->status == 401, "%s: %s answers %d: %s", what, paths[i],
			      response->status, response->body);
		check_problem(response, 401, code);
	}
	ck_assert_msg(redis_int(stack, "SCARD online_users") == 0, "%s: somebody is online", what);
}

/* A payload with times: %N in the text stands for now + N hours (%0, %1, %-1). */
static char *payload_of(const char *text)
{
	char *out = malloc(strlen(text) + 256), *at = out;

	while (*text != '\0') {
		char *end;

		if (*text != '%') {
			*at++ = *text++;
			continue;
		}
		at += sprintf(at, "%lld",
			      (long long)time(NULL) + 3600 * strtoll(text + 1, &end, 10));
		text = end;
	}
	*at = '\0';
	return out;
}

static const char *hs256(struct stack *stack, const char *payload)
{
	return token_make(HS256, payload_of(payload), KEY_HMAC, stack->secret);
}

START_TEST(a_token_needs_sub_and_exp_only)
{
	static const char *const payloads[] = {
		"{'sub':'1','exp':%1}",
		"{'sub':1,'exp':%1}",
		"{'sub':9007199254740991,'exp':%1}",
		"{'sub':'anna.b_C-9','exp':%1}",
		"{'sub':'1','exp':%1,'iat':%0,'nbf':%-1,'jti':'j','sid':'s','more':{'a':[1,2]}}",
		"{'sub':'1','exp':%1,'iss':'anybody','aud':['x','y']}",
		"{'sub':'1','exp':99999999999}",
		"{'sub':'1','exp':4102444800.5,'iat':1.6e9,'nbf':600.0}",
		"{'sub':'" A64 A64 "','exp':%1}",
	};
	static const char *const types[] = {"JWT", "jwt", "at+jwt", "application/at+jwt"};
	struct stack *stack = stack_start("");

	for (size_t i = 0; i < COUNT_OF(payloads); i++)
		check_taken(stack, payloads[i], hs256(stack, payloads[i]));
	check_taken(
		stack, "no typ",
		token_make("{'alg':'HS256'}", payload_of(payloads[0]), KEY_HMAC, stack->secret));
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		char header[64];

		snprintf(header, sizeof header, "{'alg':'HS256','typ':'%s'}", types[i]);
		check_taken(stack, header,
			    token_make(header, payload_of(payloads[0]), KEY_HMAC, stack->secret));
	}
	ck_assert(redis_has(stack, "user:online:9007199254740991"));
	ck_assert(redis_has(stack, "user:online:anna.b_C-9"));
	stack_stop(stack);
}
END_TEST

/* Ids of identity providers, in every place where an id is split off, formatted or compared. */
START_TEST(ids_of_identity_providers_are_whole_everywhere)
{
	static const char *const ids[] = {
		"auth0|5f7c", "google-oauth2:117", "user+tag@example.com", "s:t:x:y", "a=b~c",
		A64 A64,
	};
	struct stack *stack =
		stack_start("directory { backend = redis }\nauth { login = external }\n");

	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		const char *id = ids[i], *token = token_for(stack, id);
		char path[512] = "/api/online-status/user/", *at = path + strlen(path), *text;
		struct sse *sse = sse_open(stack, token), *watcher;
		struct event *event;

		sse_ready(sse);
		for (const char *c = id; *c != '\0'; c++)
			at += sprintf(at, "%%%02X", (unsigned char)*c);
		text = redis_text(stack, "GET user:online:%s", id);
		ck_assert_msg(text != NULL, "%s is not online", id);
		ck_assert_str_eq(json_text(http_ok(stack, path, token, NULL), "user_id"), id);
		snprintf(path, sizeof path, "/api/online-status/user/%s", id);
		ck_assert_str_eq(json_text(http_ok(stack, path, token, NULL), "user_id"), id);
		/* A friend sees the change, and who it was. */
		redis_int(stack, "SADD user:friends:watcher%d %s", (int)i, id);
		snprintf(path, sizeof path, "watcher%zu", i);
		watcher = sse_open(stack, token_for(stack, path));
		sse_ready(watcher);
		ck_assert(HTTP(stack, .path = "/api/auth/logout", .method = "POST", .token = token)
				  ->status == 200);
		event = sse_wait_change(watcher, id, false, 5000);
		ck_assert_str_eq(json_text(event->json, "user_id"), id);
		ck_assert_msg(sse_wait_end(sse, 5000), "%s: the stream does not end", id);
		sse_close(watcher);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_of_integer_and_of_string_sub_are_one_user)
{
	struct stack *stack = stack_start("");

	check_taken(stack, "integer", hs256(stack, "{'sub':7,'exp':%1}"));
	check_taken(stack, "string", hs256(stack, "{'sub':'7','exp':%1}"));
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 1);
	stack_stop(stack);
}
END_TEST

START_TEST(wrong_claims_are_refused)
{
	static const char *const payloads[] = {
		"{'sub':'1'}",
		"{'sub':'1','exp':null}",
		"{'sub':'1','exp':'4102444800'}",
		"{'sub':'1','exp':-1}",
		"{'sub':'1','exp':9007199254740992}",
		"{'sub':'1','exp':1e999}",
		"{'sub':'1','exp':NaN}",
		"{'sub':'1','exp':true}",
		"{'sub':'1','exp':[4102444800]}",
		"{'sub':'1','exp':%1,'nbf':%1}",
		"{'sub':'1','exp':%1,'nbf':'0'}",
		"{'sub':'1','exp':%1,'iat':'0'}",
		"{'exp':%1}",
		"{'sub':null,'exp':%1}",
		"{'sub':'','exp':%1}",
		"{'sub':0,'exp':%1}",
		"{'sub':-1,'exp':%1}",
		"{'sub':1.5,'exp':%1}",
		"{'sub':true,'exp':%1}",
		"{'sub':'01','exp':%1}",
		"{'sub':'0','exp':%1}",
		"{'sub':9007199254740992,'exp':%1}",
		"{'sub':'9007199254740992','exp':%1}",
		"{'sub':99999999999999999999,'exp':%1}",
		"{'sub':'a b','exp':%1}",
		"{'sub':'1\\u00002','exp':%1}",
		"{'sub':'1\\n','exp':%1}",
		"{'sub':['1'],'exp':%1}",
		"{'sub':'" A64 A64 "a','exp':%1}",
		"{'sub':'1','exp':%1,'sid':1}",
		"{'sub':'1','exp':%1,'sid':''}",
		"{'sub':'1','exp':%1,'sid':'a\\nb'}",
		"{'sub':'1','exp':%1,'jti':{}}",
		"[{'sub':'1','exp':%1}]",
		"'text'",
		"1",
		"{'sub':'1','exp':%1",
		"",
	};
	struct stack *stack = stack_start("");

	for (size_t i = 0; i < COUNT_OF(payloads); i++)
		check_refused(stack, payloads[i], hs256(stack, payloads[i]), "token_invalid");
	check_refused(stack, "expired", hs256(stack, "{'sub':'1','exp':%-1}"), "token_expired");
	stack_stop(stack);
}
END_TEST

START_TEST(leeway_forgives_clocks_that_differ)
{
	struct stack *stack = stack_start("auth { leeway = 3000 }\n");
	char payload[128];
	long long now = (long long)time(NULL);

	snprintf(payload, sizeof payload, "{'sub':'1','exp':%lld}", now - 1000);
	ck_assert_int_eq(HTTP(stack, .path = COUNT, .token = hs256(stack, payload))->status, 200);
	snprintf(payload, sizeof payload, "{'sub':'1','exp':%lld,'nbf':%lld}", now + 9000,
		 now + 1000);
	ck_assert_int_eq(HTTP(stack, .path = COUNT, .token = hs256(stack, payload))->status, 200);
	snprintf(payload, sizeof payload, "{'sub':'1','exp':%lld}", now - 4000);
	check_problem(HTTP(stack, .path = COUNT, .token = hs256(stack, payload)), 401,
		      "token_expired");
	stack_stop(stack);
}
END_TEST

START_TEST(wrong_headers_and_signatures_are_refused)
{
	static const char *const headers[] = {
		"{'alg':'none'}",
		"{'alg':'None'}",
		"{'alg':'HS384'}",
		"{'alg':'HS512'}",
		"{'alg':'RS256'}",
		"{'alg':'ES256'}",
		"{'alg':''}",
		"{'alg':null}",
		"{'alg':1}",
		"{}",
		"[]",
		"{'alg':'HS256','crit':['exp']}",
		"{'alg':'HS256','crit':[]}",
		"{'alg':'HS256','crit':['b64'],'b64':false}",
		"{'alg':'HS256'",
		"",
	};
	struct stack *stack = stack_start("");
	const char *payload = payload_of("{'sub':'1','exp':%1}");
	char *tampered;
	const char *good = hs256(stack, "{'sub':'1','exp':%1}");

	for (size_t i = 0; i < COUNT_OF(headers); i++) {
		check_refused(stack, headers[i],
			      token_make(headers[i], payload, KEY_HMAC, stack->secret),
			      "token_invalid");
		check_refused(stack, headers[i], token_make(headers[i], payload, KEY_NONE, NULL),
			      "token_invalid");
	}
	check_refused(stack, "another secret",
		      token_make(HS256, payload, KEY_HMAC, "another secret of 32 bytes or more"),
		      "token_invalid");
	check_refused(stack, "an empty secret", token_make(HS256, payload, KEY_HMAC, ""),
		      "token_invalid");
	check_refused(stack, "unsigned", token_make(HS256, payload, KEY_NONE, NULL),
		      "token_invalid");

	tampered = strdup(good);
	tampered[strcspn(tampered, ".") + 5] ^= 1;
	check_refused(stack, "tampered payload", tampered, "token_invalid");
	ck_assert(asprintf(&tampered, "%s.%s", good, good) > 0);
	check_refused(stack, "too many parts", tampered, "token_invalid");
	ck_assert(asprintf(&tampered, "%s=", good) > 0);
	check_refused(stack, "padding", tampered, "token_invalid");

	stack_stop(stack);
}
END_TEST

START_TEST(a_large_token_within_the_limit_is_taken)
{
	struct stack *stack = stack_start("");
	char payload[6000];

	snprintf(payload, sizeof payload, "{'sub':'1','exp':4102444800,'x':'%05000d'}", 7);
	check_taken(stack, "7 KB", token_make(HS256, payload, KEY_HMAC, stack->secret));
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_over_the_limit_is_refused)
{
	struct stack *stack = stack_start("");
	char payload[8000];
	const char *token;
	struct sse *sse;
	int status;

	snprintf(payload, sizeof payload, "{'sub':'1','exp':4102444800,'x':'%07000d'}", 7);
	token = token_make(HS256, payload, KEY_HMAC, stack->secret);
	ck_assert_uint_gt(strlen(token), 9000);
	/* The web server may find the field too large itself. */
	status = HTTP(stack, .path = COUNT, .token = token)->status;
	ck_assert_msg(status == 401 || status == 431, "status %d", status);
	sse = sse_open_direct(stack, 0, token);
	ck_assert_int_eq(sse_status(sse), 401);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(issuer_and_audience_are_checked_when_configured)
{
	static const char *const good[] = {
		"{'sub':'1','exp':%1,'iss':'https://id.example','aud':'presence'}",
		"{'sub':'1','exp':%1,'iss':'https://id.example','aud':['x','presence']}",
	};
	static const char *const bad[] = {
		"{'sub':'1','exp':%1}",
		"{'sub':'1','exp':%1,'iss':'https://id.example'}",
		"{'sub':'1','exp':%1,'aud':'presence'}",
		"{'sub':'1','exp':%1,'iss':'https://id.example/','aud':'presence'}",
		"{'sub':'1','exp':%1,'iss':['https://id.example'],'aud':'presence'}",
		"{'sub':'1','exp':%1,'iss':'https://id.example','aud':'Presence'}",
		"{'sub':'1','exp':%1,'iss':'https://id.example','aud':['x']}",
		"{'sub':'1','exp':%1,'iss':'https://id.example','aud':[]}",
		"{'sub':'1','exp':%1,'iss':'https://id.example','aud':{'presence':1}}",
	};
	struct stack *stack =
		stack_start("auth { issuer = \"https://id.example\" audience = \"presence\" }");

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		check_refused(stack, bad[i], hs256(stack, bad[i]), "token_invalid");
	for (size_t i = 0; i < COUNT_OF(good); i++)
		check_taken(stack, good[i], hs256(stack, good[i]));
	/* What login issues is taken, too. */
	check_taken(stack, "of login",
		    json_text(http_ok(stack, "/api/auth/login/json", NULL,
				      "{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD
				      "\"}"),
			      "access_token"));
	stack_stop(stack);
}
END_TEST

/* A stack whose tokens are verified with a public key. */
static struct stack *start_with_keys(const char *kind, const char *algorithm, char **private_key)
{
	struct stack *stack = stack_new("");
	char *conf;

	*private_key = make_key_pair(stack, kind, kind);
	ck_assert(asprintf(&conf,
			   "auth { algorithm = %s key_file = \"%s/%s.pub\" "
			   "signing_key_file = \"%s/%s.pem\" }\n",
			   algorithm, stack->dir, kind, stack->dir, kind) > 0);
	stack_write_conf(stack, conf);
	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	return stack;
}

static void check_public_keys(const char *kind, const char *algorithm, enum token_key type)
{
	const char *payload = payload_of("{'sub':'1','exp':%1}");
	char *private_key, *other, *public_key, header[64], file[16];
	struct stack *stack = start_with_keys(kind, algorithm, &private_key);

	other = make_key_pair(stack, kind, "other");
	snprintf(file, sizeof file, "%s.pub", kind);
	public_key = stack_file(stack, file);
	snprintf(header, sizeof header, "{'alg':'%s','typ':'JWT'}", algorithm);

	/* The public key as an HMAC secret: whoever reads it could sign. */
	check_refused(stack, "the public key as secret",
		      token_make(HS256, payload, KEY_HMAC, public_key), "token_invalid");
	check_refused(stack, "the public key as secret, named otherwise",
		      token_make(header, payload, KEY_HMAC, public_key), "token_invalid");
	check_refused(stack, "another key", token_make(header, payload, type, other),
		      "token_invalid");
	check_refused(stack, "unsigned", token_make(header, payload, KEY_NONE, NULL),
		      "token_invalid");
	check_refused(stack, "none", token_make("{'alg':'none'}", payload, KEY_NONE, NULL),
		      "token_invalid");
	check_taken(stack, algorithm, token_make(header, payload, type, private_key));
	check_taken(stack, "of login",
		    json_text(http_ok(stack, "/api/auth/login/json", NULL,
				      "{\"email\":\"user1@example.com\",\"password\":\"" PASSWORD
				      "\"}"),
			      "access_token"));
	stack_stop(stack);
}

START_TEST(rs256_is_verified_with_the_public_key_and_nothing_else)
{
	check_public_keys("rsa", "RS256", KEY_RSA);
}
END_TEST

START_TEST(es256_is_verified_with_the_public_key_and_nothing_else)
{
	check_public_keys("ec", "ES256", KEY_EC);
}
END_TEST

START_TEST(the_sid_then_the_jti_name_a_token)
{
	struct stack *stack = stack_start("");

	/* A refreshed token of the same sid is the same device. */
	check_taken(stack, "sid", hs256(stack, "{'sub':'1','exp':%1,'sid':'S','jti':'one'}"));
	check_taken(stack, "sid", hs256(stack, "{'sub':'1','exp':%1,'sid':'S','jti':'two'}"));
	ck_assert_int_eq(redis_int(stack, "ZSCORE user:sessions:1 t:S") > 0, 1);
	check_taken(stack, "jti", hs256(stack, "{'sub':'2','exp':%1,'jti':'J'}"));
	ck_assert_int_eq(redis_int(stack, "ZSCORE user:sessions:2 t:J") > 0, 1);
	ck_assert_int_eq(HTTP(stack, .method = "POST", .path = "/api/auth/logout",
			      .token = hs256(stack, "{'sub':'1','exp':%1,'sid':'S','jti':'three'}"))
				 ->status,
			 200);
	check_problem(HTTP(stack, .path = COUNT,
			   .token = hs256(stack, "{'sub':'1','exp':%1,'sid':'S','jti':'one'}")),
		      401, "token_revoked");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tokens");
	TCase *tcase = harness_case(suite, "tokens", 40);

	tcase_add_test(tcase, ids_of_identity_providers_are_whole_everywhere);
	tcase_add_test(tcase, a_token_needs_sub_and_exp_only);
	tcase_add_test(tcase, a_token_of_integer_and_of_string_sub_are_one_user);
	tcase_add_test(tcase, wrong_claims_are_refused);
	tcase_add_test(tcase, leeway_forgives_clocks_that_differ);
	tcase_add_test(tcase, wrong_headers_and_signatures_are_refused);
	tcase_add_test(tcase, a_large_token_within_the_limit_is_taken);
	tcase_add_test(tcase, a_token_over_the_limit_is_refused);
	tcase_add_test(tcase, issuer_and_audience_are_checked_when_configured);
	tcase_add_test(tcase, rs256_is_verified_with_the_public_key_and_nothing_else);
	tcase_add_test(tcase, es256_is_verified_with_the_public_key_and_nothing_else);
	tcase_add_test(tcase, the_sid_then_the_jti_name_a_token);
	return harness_main(suite);
}
