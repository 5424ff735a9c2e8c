/* CGI variables: parameters, the path and the query. */
#include "unit.h"

#include "base/cgi.h"

START_TEST(test_param)
{
	char *env[] = {(char *)"REQUEST_METHOD=GET",
		       (char *)"EMPTY=",
		       (char *)"PATH=a=b",
		       (char *)"NOEQUALS",
		       (char *)"TWICE=1",
		       (char *)"TWICE=2",
		       NULL};
	char *none[] = {NULL};

	ck_assert_pstr_eq(cgi_param(env, "REQUEST_METHOD"), "GET");
	ck_assert_pstr_eq(cgi_param(env, "EMPTY"), "");
	ck_assert_pstr_eq(cgi_param(env, "PATH"), "a=b");
	ck_assert_pstr_eq(cgi_param(env, "TWICE"), "1");
	ck_assert_pstr_eq(cgi_param(env, "REQUEST"), NULL);
	ck_assert_pstr_eq(cgi_param(env, "REQUEST_METHOD2"), NULL);
	ck_assert_pstr_eq(cgi_param(env, "NOEQUALS"), NULL);
	ck_assert_pstr_eq(cgi_param(env, "request_method"), NULL);
	ck_assert_pstr_eq(cgi_param(none, "EMPTY"), NULL);
}
END_TEST

START_TEST(test_path)
{
	static const struct {
		const char *uri;
		const char *path; /* NULL: refused */
	} rows[] = {
		{"REQUEST_URI=/", "/"},
		{"REQUEST_URI=/api/health", "/api/health"},
		{"REQUEST_URI=/api/health?", "/api/health"},
		{"REQUEST_URI=/a?b?c#d", "/a"},
		{"REQUEST_URI=/a#b", "/a"},
		{"REQUEST_URI=/a%2Fb%20c", "/a%2Fb%20c"},
		{"REQUEST_URI=//a//b/", "//a//b/"},
		{"REQUEST_URI=/a?u=http://b/c", "/a"},
		{"REQUEST_URI=/a://b/c", "/a://b/c"},
		{"REQUEST_URI=http://example.com/a/b?c", "/a/b"},
		{"REQUEST_URI=https://example.com", "/"},
		{"REQUEST_URI=https://example.com?a=/b", "/"},
		{"REQUEST_URI=https://example.com#/b", "/"},
		{"REQUEST_URI=", NULL},
		{"REQUEST_URI=*", NULL},
		{"REQUEST_URI=a/b", NULL},
		{"REQUEST_URI=?a=b", NULL},
		{"OTHER=/a", NULL},
	};
	char path[64];

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		char *env[] = {(char *)rows[i].uri, NULL};
		bool found = cgi_path(env, path, sizeof path);

		ck_assert_msg(found == (rows[i].path != NULL), "%s: expected %s", rows[i].uri,
			      rows[i].path != NULL ? rows[i].path : "no path");
		if (found)
			ck_assert_str_eq(path, rows[i].path);
	}
}
END_TEST

START_TEST(test_path_size)
{
	char *env[] = {(char *)"REQUEST_URI=/abc?def", NULL}, path[5];

	ck_assert(cgi_path(env, path, 5));
	ck_assert_str_eq(path, "/abc");
	ck_assert_msg(!cgi_path(env, path, 4), "four bytes with the NUL do not fit into 4");
}
END_TEST

static const struct query_row {
	const char *first, *second; /* variables; second may be NULL */
	enum cgi_query outcome;
	const char *value;
} query_rows[] = {
	{"REQUEST_URI=/", NULL, CGI_QUERY_ABSENT, NULL},
	{"REQUEST_URI=/?", NULL, CGI_QUERY_ABSENT, NULL},
	{"REQUEST_URI=/?q", NULL, CGI_QUERY_ABSENT, NULL},
	{"REQUEST_URI=/?qq=1&xq=2&Q=3&=4", NULL, CGI_QUERY_ABSENT, NULL},
	{"REQUEST_URI=/?a=1#&q=1", NULL, CGI_QUERY_ABSENT, NULL},
	{"REQUEST_URI=/q=1", NULL, CGI_QUERY_ABSENT, NULL},
	{"REQUEST_URI=/?q=", NULL, CGI_QUERY_FOUND, ""},
	{"REQUEST_URI=/?q=1", NULL, CGI_QUERY_FOUND, "1"},
	{"REQUEST_URI=/?q=1#x", NULL, CGI_QUERY_FOUND, "1"},
	{"REQUEST_URI=/?a=b&q=1&q=2", NULL, CGI_QUERY_FOUND, "1"},
	{"REQUEST_URI=/?&&q=1&", NULL, CGI_QUERY_FOUND, "1"},
	{"REQUEST_URI=/?q=a=b?c", NULL, CGI_QUERY_FOUND, "a=b?c"},
	{"REQUEST_URI=/?q=a+b%20%2Bd%26", NULL, CGI_QUERY_FOUND, "a b +d&"},
	{"REQUEST_URI=/?q=%e2%82%AC", NULL, CGI_QUERY_FOUND, "\xe2\x82\xac"},
	{"REQUEST_URI=/?q=1234567", NULL, CGI_QUERY_FOUND, "1234567"},
	{"REQUEST_URI=/?q=12345678", NULL, CGI_QUERY_BAD, NULL},
	{"REQUEST_URI=/?q=%41%41%41%41%41%41%41", NULL, CGI_QUERY_FOUND, "AAAAAAA"},
	{"REQUEST_URI=/?q=%", NULL, CGI_QUERY_BAD, NULL},
	{"REQUEST_URI=/?q=%4", NULL, CGI_QUERY_BAD, NULL},
	{"REQUEST_URI=/?q=%4&1", NULL, CGI_QUERY_BAD, NULL},
	{"REQUEST_URI=/?q=%g1", NULL, CGI_QUERY_BAD, NULL},
	{"REQUEST_URI=/?q=%1g", NULL, CGI_QUERY_BAD, NULL},
	{"REQUEST_URI=/?q=%00", NULL, CGI_QUERY_BAD, NULL},
	{"REQUEST_URI=/?q=a%00b", NULL, CGI_QUERY_BAD, NULL},
	{"QUERY_STRING=q=1", NULL, CGI_QUERY_FOUND, "1"},
	{"QUERY_STRING=", NULL, CGI_QUERY_ABSENT, NULL},
	{"REQUEST_URI=/", "QUERY_STRING=q=1", CGI_QUERY_FOUND, "1"},
	{"REQUEST_URI=/?q=1", "QUERY_STRING=q=2", CGI_QUERY_FOUND, "1"},
	{"REQUEST_URI=/?a=1", "QUERY_STRING=q=2", CGI_QUERY_ABSENT, NULL},
	{"OTHER=q=1", NULL, CGI_QUERY_ABSENT, NULL},
};

START_TEST(test_query)
{
	const struct query_row *row = &query_rows[_i];
	char *env[] = {(char *)row->first, (char *)row->second, NULL}, value[8 + 1] = "xxxxxxxx";
	enum cgi_query outcome = cgi_query_get(env, "q", value, sizeof value - 1);

	ck_assert_msg(outcome == row->outcome, "%s: expected %d, seen %d", row->first, row->outcome,
		      outcome);
	/* Neither what was there before nor the half of a value. */
	ck_assert_str_eq(value, outcome == CGI_QUERY_FOUND ? row->value : "");
}
END_TEST

START_TEST(a_flag_is_true_or_false)
{
	static const struct {
		const char *uri;
		bool ok, flag; /* which was true */
	} rows[] = {
		{"REQUEST_URI=/", true, true},
		{"REQUEST_URI=/?q=true", true, true},
		{"REQUEST_URI=/?q=false", true, false},
		{"REQUEST_URI=/?q=%66alse", true, false},
		{"REQUEST_URI=/?q=falsey", false, false},
		{"REQUEST_URI=/?q=1", false, false},
		{"REQUEST_URI=/?q=", false, false},
		{"REQUEST_URI=/?q=True", false, false},
		{"REQUEST_URI=/?q=%zz", false, false},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		char *env[] = {(char *)rows[i].uri, NULL};
		bool flag = true;

		ck_assert_msg(cgi_query_flag(env, "q", &flag) == rows[i].ok, "%s", rows[i].uri);
		ck_assert_msg(!rows[i].ok || flag == rows[i].flag, "%s", rows[i].uri);
	}
}
END_TEST

START_TEST(test_decode)
{
	static const struct {
		const char *text;
		const char *decoded; /* NULL: refused */
	} rows[] = {
		{"", ""},	  {"abc", "abc"},   {"a+b", "a+b"}, {"%61%62%63", "abc"},
		{"%25%2f", "%/"}, {"%2525", "%25"}, {"%", NULL},    {"a%2", NULL},
		{"%zz", NULL},	  {"%00", NULL},    {"%%41", NULL},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		char *text = strdup(rows[i].text);
		bool decoded = cgi_decode(text);

		ck_assert_msg(decoded == (rows[i].decoded != NULL), "%s: expected %s", rows[i].text,
			      rows[i].decoded != NULL ? rows[i].decoded : "an error");
		if (decoded)
			ck_assert_str_eq(text, rows[i].decoded);
		free(text);
	}
}
END_TEST

START_TEST(an_answer_to_head_ends_with_its_fields)
{
	static const char *const rows[][2] = {
		{"Status: 200 OK\r\nA: b\r\n\r\n{\"a\":1}\r\n\r\n",
		 "Status: 200 OK\r\nA: b\r\n\r\n"},
		{"Status: 204 No Content\r\n\r\n", "Status: 204 No Content\r\n\r\n"},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct printbuf *answer = buf_new();

		buf_puts(answer, rows[i][0]);
		cgi_drop_body(answer);
		ck_assert_str_eq(answer->buf, rows[i][1]);
		ck_assert_uint_eq(buf_len(answer), strlen(rows[i][1]));
		printbuf_free(answer);
	}
}
END_TEST

static Suite *cgi_suite(void)
{
	Suite *suite = suite_create("cgi");
	TCase *tcase = tcase_create("cgi");

	tcase_add_test(tcase, test_param);
	tcase_add_test(tcase, test_path);
	tcase_add_test(tcase, test_path_size);
	tcase_add_loop_test(tcase, test_query, 0, UNIT_COUNT(query_rows));
	tcase_add_test(tcase, a_flag_is_true_or_false);
	tcase_add_test(tcase, test_decode);
	tcase_add_test(tcase, an_answer_to_head_ends_with_its_fields);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(cgi_suite());
}
