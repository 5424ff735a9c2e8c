/* Which origins may read an answer: exact ones with credentials, all without, or none. */
#include "unit.h"

#include "base/cors.h"

static char *fields(const char *allowed, const char *origin)
{
	struct printbuf *out = buf_new();

	cors_put_fields(out, allowed, origin);
	return buf_take(out, NULL);
}

#define EXPOSE "Access-Control-Expose-Headers: Retry-After, WWW-Authenticate\r\n"
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

START_TEST(a_preflight_is_answered_with_what_is_allowed)
{
	struct printbuf *out = buf_new();

	cors_put_options(out, "https://a.example", "https://a.example", "GET, OPTIONS");
	ck_assert_str_eq(
		out->buf,
		"Status: 204 No Content\r\nAllow: GET, OPTIONS\r\n"
		"Cache-Control: no-store\r\n" EXACT(
			"https://a.example") "Access-Control-Allow-Methods: GET, OPTIONS\r\n"
					     "Access-Control-Allow-Headers: Authorization, "
					     "Content-Type\r\n"
					     "Access-Control-Max-Age: 600\r\n\r\n");
	printbuf_free(out);
}
END_TEST

START_TEST(a_foreign_preflight_is_told_nothing)
{
	struct printbuf *out = buf_new();

	cors_put_options(out, "https://a.example", "https://b.example", "GET, OPTIONS");
	ck_assert_ptr_null(strstr(out->buf, "Access-Control"));
	printbuf_free(out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cors");
	TCase *tcase = tcase_create("cors");

	tcase_add_loop_test(tcase, only_allowed_origins_are_named, 0, (int)UNIT_COUNT(rows));
	tcase_add_test(tcase, a_preflight_is_answered_with_what_is_allowed);
	tcase_add_test(tcase, a_foreign_preflight_is_told_nothing);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
