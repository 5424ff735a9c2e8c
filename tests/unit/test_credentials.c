/* Where a request carries its token, and which place wins. */
#include "unit.h"

#include <stdio.h>

#include "auth/credentials.h"
#include "auth/issue.h"
#include "base/config.h"

#define NOW INT64_C(1700000000)

static struct config config;
static struct token_keys *keys;
static char *good; /* a token of user 1 */
static char *better; /* a token of user 2 */

static char *issue(const char *user)
{
	struct token token = {.iat = NOW, .exp = NOW + 60};
	char *text;

	ck_assert(userid_parse(user, strlen(user), &token.user));
	text = issue_token(keys, &token);
	ck_assert_ptr_nonnull(text);
	return text;
}

static void setup(void)
{
	static char none[] = "", sub[] = "sub";
	char err[256];

	unit_dir_setup();
	config.auth.key_file = unit_write("secret", "0123456789abcdef0123456789abcdef", 32);
	config.auth.signing_key_file = config.auth.issuer = config.auth.audience = none;
	config.auth.user_claim = sub;
	keys = token_keys_open(&config, err, sizeof err);
	ck_assert_msg(keys != NULL, "%s", err);
	good = issue("1");
	better = issue("2");
}

static void teardown(void)
{
	free(good);
	free(better);
	token_keys_free(keys);
	free(config.auth.key_file);
	unit_dir_teardown();
}

/* In a row's variables, @ stands for the token of user 1 and # for that of user 2. */
static char *expand(const char *text)
{
	struct printbuf *out = buf_new();

	for (; *text != '\0'; text++) {
		if (*text == '@')
			buf_puts(out, good);
		else if (*text == '#')
			buf_puts(out, better);
		else
			buf_put(out, text, 1);
	}
	return buf_take(out, NULL);
}

static const struct row {
	const char *env[3];
	enum problem_kind kind;
	const char *user; /* with PROBLEM_NONE */
} rows[] = {
	{{NULL}, PROBLEM_TOKEN_MISSING, NULL},
	{{"REQUEST_URI=/api/friends/list"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"HTTP_AUTHORIZATION=Bearer @"}, PROBLEM_NONE, "1"},
	{{"HTTP_AUTHORIZATION=bearer @"}, PROBLEM_NONE, "1"},
	{{"HTTP_AUTHORIZATION=BEARER   @  "}, PROBLEM_NONE, "1"},
	{{"REDIRECT_HTTP_AUTHORIZATION=Bearer @"}, PROBLEM_NONE, "1"},
	{{"HTTP_AUTHORIZATION=Bearer @", "REDIRECT_HTTP_AUTHORIZATION=Bearer #"},
	 PROBLEM_NONE,
	 "1"},
	{{"HTTP_AUTHORIZATION=Bearer @", "QUERY_STRING=token=#"}, PROBLEM_NONE, "1"},
	{{"HTTP_AUTHORIZATION=Bearer x", "QUERY_STRING=token=@"}, PROBLEM_TOKEN_INVALID, NULL},
	/* an empty token */
	{{"HTTP_AUTHORIZATION=Bearer"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"HTTP_AUTHORIZATION=Bearer "}, PROBLEM_TOKEN_INVALID, NULL},
	{{"HTTP_AUTHORIZATION=Bearer   ", "QUERY_STRING=token=@"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"QUERY_STRING=token="}, PROBLEM_TOKEN_INVALID, NULL},
	{{"QUERY_STRING=token=&token=@"}, PROBLEM_TOKEN_INVALID, NULL},
	/* other schemes are no bearer token */
	{{"HTTP_AUTHORIZATION="}, PROBLEM_TOKEN_MISSING, NULL},
	{{"HTTP_AUTHORIZATION=Basic dGVzdDp0ZXN0"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"HTTP_AUTHORIZATION=@"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"HTTP_AUTHORIZATION=Bearer@"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"HTTP_AUTHORIZATION=BearerToken @"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"HTTP_AUTHORIZATION= Bearer @"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"HTTP_AUTHORIZATION=Basic dGVzdDp0ZXN0", "QUERY_STRING=token=@"}, PROBLEM_NONE, "1"},
	{{"HTTP_AUTHORIZATION=Basic eA==", "REDIRECT_HTTP_AUTHORIZATION=Bearer #"},
	 PROBLEM_NONE,
	 "2"},
	{{"HTTP_AUTHORIZATION=", "REQUEST_URI=/x?token=@"}, PROBLEM_NONE, "1"},
	/* garbage behind the token */
	{{"HTTP_AUTHORIZATION=Bearer @ @"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"HTTP_AUTHORIZATION=Bearer @,"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"HTTP_AUTHORIZATION=Bearer\t@"}, PROBLEM_TOKEN_MISSING, NULL},
	/* the query */
	{{"REQUEST_URI=/x?token=@"}, PROBLEM_NONE, "1"},
	{{"REQUEST_URI=/x?a=b&token=@&c"}, PROBLEM_NONE, "1"},
	{{"REQUEST_URI=/x?token=@&token=#"}, PROBLEM_NONE, "1"},
	{{"REQUEST_URI=/x?token=@", "QUERY_STRING=token=#"}, PROBLEM_NONE, "1"},
	{{"REQUEST_URI=/x", "QUERY_STRING=token=#"}, PROBLEM_NONE, "2"},
	{{"REQUEST_URI=/x?tokens=@&xtoken=@"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"REQUEST_URI=/x?token"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"REQUEST_URI=/x?Token=@"}, PROBLEM_TOKEN_MISSING, NULL},
	{{"REQUEST_URI=/x?token=@%"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"REQUEST_URI=/x?token=@%2"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"REQUEST_URI=/x?token=@%zz"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"REQUEST_URI=/x?token=@%00"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"REQUEST_URI=/x?token=@+"}, PROBLEM_TOKEN_INVALID, NULL},
	{{"REQUEST_URI=/x?ticket=abc"}, PROBLEM_TOKEN_MISSING, NULL},
};

START_TEST(test_places)
{
	const struct row *row = &rows[_i];
	char *env[UNIT_COUNT(row->env) + 1] = {NULL};
	struct token token = {0};
	const char *why = "";
	enum problem_kind kind;

	for (size_t i = 0; i < UNIT_COUNT(row->env) && row->env[i] != NULL; i++)
		env[i] = expand(row->env[i]);
	kind = credentials_verify(keys, env, NOW * 1000, &token, &why);
	ck_assert_msg(kind == row->kind, "%s: expected %s, seen %s (%s)", row->env[0],
		      problem_code(row->kind), problem_code(kind), why != NULL ? why : "");
	if (kind == PROBLEM_NONE)
		ck_assert_str_eq(token.user.text, row->user);
	else
		ck_assert_msg(strlen(why) > 10, "%s: no sentence", row->env[0]);
	for (size_t i = 0; env[i] != NULL; i++)
		free(env[i]);
}
END_TEST

START_TEST(test_escaped_token)
{
	struct printbuf *uri = buf_new();
	char *env[2] = {NULL, NULL};
	struct token token;
	const char *why;

	buf_puts(uri, "REQUEST_URI=/x?token=");
	for (const char *c = good; *c != '\0'; c++)
		buf_putf(uri, "%%%02x", (unsigned char)*c);
	env[0] = buf_take(uri, NULL);
	ck_assert_int_eq(credentials_verify(keys, env, NOW * 1000, &token, &why), PROBLEM_NONE);
	free(env[0]);
}
END_TEST

START_TEST(test_overlong)
{
	static const char *const names[] = {"HTTP_AUTHORIZATION=Bearer ", "QUERY_STRING=token="};
	static const size_t lengths[] = {TOKEN_MAX, TOKEN_MAX + 1, TOKEN_MAX + 2, 1 << 20};

	for (size_t i = 0; i < UNIT_COUNT(names); i++) {
		for (size_t j = 0; j < UNIT_COUNT(lengths); j++) {
			size_t start = strlen(names[i]);
			char *env[2] = {malloc(start + lengths[j] + 1), NULL};
			struct token token;
			const char *why;

			memcpy(env[0], names[i], start);
			memset(env[0] + start, 'a', lengths[j]);
			env[0][start + lengths[j]] = '\0';
			ck_assert_msg(credentials_verify(keys, env, NOW * 1000, &token, &why) ==
					      PROBLEM_TOKEN_INVALID,
				      "%s with %zu bytes is not invalid", names[i], lengths[j]);
			free(env[0]);
		}
	}
}
END_TEST

START_TEST(test_expired)
{
	char *env[2] = {expand("HTTP_AUTHORIZATION=Bearer @"), NULL};
	struct token token;
	const char *why;

	ck_assert_int_eq(credentials_verify(keys, env, (NOW + 60) * 1000, &token, &why),
			 PROBLEM_TOKEN_EXPIRED);
	free(env[0]);
}
END_TEST

static Suite *credentials_suite(void)
{
	Suite *suite = suite_create("credentials");
	TCase *tcase = tcase_create("credentials");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, test_places, 0, UNIT_COUNT(rows));
	tcase_add_test(tcase, test_escaped_token);
	tcase_add_test(tcase, test_overlong);
	tcase_add_test(tcase, test_expired);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(credentials_suite());
}
