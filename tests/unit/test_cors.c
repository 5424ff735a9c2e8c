/* Which origins may read an answer: exact ones with credentials, all without, or none. */
#include "unit.h"

#include "base/cors.h"

static char *fields(const char *allowed, const char *origin)
{
	struct printbuf *out = buf_new();

	cors_put_fields(out, allowed, origin);
	return buf_take(out, NULL);
}

#define EXPOSE "Access-Control-Expose-Headers: Retry-After, WWW-Authenticate, X-Request-Id\r\n"
#define EXACT(origin)                                                 \
	"Vary: Origin\r\nAccess-Control-Allow-Origin: " origin "\r\n" \
	"Access-Control-Allow-Credentials: true\r\n" EXPOSE

static const struct {
	const char *allowed, *origin, *expected;
} rows[] = {
	{"", NULL, ""},
	{"", "https://a.example", ""},
	{"*", NULL, "Vary: Origin\r\n"},
	{"*", "https://a.example", "Access-Control-Allow-Origin: *\r\n" EXPOSE},
	{"https://a.example", "https://a.example", EXACT("https://a.example")},
	{"https://a.example, https://b.example", "https://b.example", EXACT("https://b.example")},
	{"https://a.example,https://b.example", "https://a.example", EXACT("https://a.example")},
	{"https://a.example", NULL, "Vary: Origin\r\n"},
	{"https://a.example", "https://a.example.evil.test", "Vary: Origin\r\n"},
	{"https://a.example", "https://a.exampl", "Vary: Origin\r\n"},
	{"https://a.example", "http://a.example", "Vary: Origin\r\n"},
	{"https://a.example", "https://A.example", "Vary: Origin\r\n"},
	{"https://a.example", "null", "Vary: Origin\r\n"},
	{"https://a.example", "", "Vary: Origin\r\n"},
	{"https://a.example, *", "https://c.example", "Vary: Origin\r\n"},
};

START_TEST(only_allowed_origins_are_named)
{
	char *seen = fields(rows[_i].allowed, rows[_i].origin);

	ck_assert_msg(strcmp(seen, rows[_i].expected) == 0,
		      "allow_origins '%s', origin '%s': expected '%s', seen '%s'", rows[_i].allowed,
		      rows[_i].origin != NULL ? rows[_i].origin : "(none)", rows[_i].expected,
		      seen);
	free(seen);
}
END_TEST

/* What a preflight of an allowed origin is answered. */
static char *preflight(const char *requested)
{
	struct printbuf *out = buf_new();
	char *own = fields("https://a.example", "https://a.example");

	cors_put_options(out, "https://a.example", "https://a.example", requested, "GET, OPTIONS",
			 own);
	free(own);
	return buf_take(out, NULL);
}

#define PREFLIGHT(names)                                                                      \
	"Status: 204 No Content\r\nAllow: GET, OPTIONS\r\nCache-Control: no-store\r\n" EXACT( \
		"https://a.example") "Vary: Access-Control-Request-Headers\r\n"               \
				     "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, "   \
				     "DELETE, OPTIONS\r\n"                                    \
				     "Access-Control-Allow-Headers: " names "\r\n"            \
				     "Access-Control-Max-Age: 600\r\n\r\n"
#define OWN PREFLIGHT("Authorization, Content-Type")

static const struct {
	const char *requested, *expected;
} preflights[] = {
	{NULL, OWN},
	{"", OWN},
	{", ,", OWN},
	{"authorization", PREFLIGHT("authorization")},
	{"cache-control,last-event-id,x-requested-with,traceparent",
	 PREFLIGHT("cache-control,last-event-id,x-requested-with,traceparent")},
	{"a, b,\tc", PREFLIGHT("a, b,\tc")},
	{"!#$%&'*+-.^_`|~", PREFLIGHT("!#$%&'*+-.^_`|~")},
	{"a\r\nSet-Cookie: b", OWN},
	{"a:b", OWN},
	{"a\"b", OWN},
	{"a\x7f", OWN},
	{"\xc3\xa9", OWN},
	{"a(b)", OWN},
};

START_TEST(a_preflight_gets_the_names_that_it_asks_for)
{
	char *seen = preflight(preflights[_i].requested);

	ck_assert_str_eq(seen, preflights[_i].expected);
	free(seen);
}
END_TEST

START_TEST(a_very_long_list_of_names_is_not_repeated)
{
	char names[1026], *seen;

	memset(names, 'a', sizeof names);
	names[1024] = '\0';
	seen = preflight(names);
	ck_assert_ptr_nonnull(strstr(seen, names));
	free(seen);
	names[1024] = 'a';
	names[1025] = '\0';
	seen = preflight(names);
	ck_assert_str_eq(seen, OWN);
	free(seen);
}
END_TEST

START_TEST(a_foreign_preflight_is_told_nothing)
{
	struct printbuf *out = buf_new();
	char *own = fields("https://a.example", "https://b.example");

	cors_put_options(out, "https://a.example", "https://b.example", "x-a", "GET, OPTIONS", own);
	ck_assert_ptr_null(strstr(out->buf, "Access-Control"));
	free(own);
	printbuf_free(out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cors");
	TCase *tcase = tcase_create("cors");

	tcase_add_loop_test(tcase, only_allowed_origins_are_named, 0, (int)UNIT_COUNT(rows));
	tcase_add_loop_test(tcase, a_preflight_gets_the_names_that_it_asks_for, 0,
			    (int)UNIT_COUNT(preflights));
	tcase_add_test(tcase, a_very_long_list_of_names_is_not_repeated);
	tcase_add_test(tcase, a_foreign_preflight_is_told_nothing);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
