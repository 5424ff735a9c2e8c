/* UTF-8 by RFC 3629, and log lines that hold anything. */
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/utf8.h"

static const struct row {
	const char *text;
	size_t len; /* of its first character; 0: none */
	bool is_control;
} rows[] = {
	{"", 0, false},
	{"a", 1, false},
	{" ", 1, false},
	{"\n", 1, true},
	{"\x1b", 1, true},
	{"\x7f", 1, true},
	{"\x80", 0, false},
	{"\xbf", 0, false},
	{"\xc1\xbf", 0, false}, /* overlong */
	{"\xc2", 0, false},
	{"\xc2\x7f", 0, false},
	{"\xc2\x80", 2, true}, /* C1 */
	{"\xc2\x85", 2, true}, /* next line */
	{"\xc2\x9f", 2, true},
	{"\xc2\xa0", 2, false},
	{"\xc3\xa9", 2, false},
	{"\xc3\xa9x", 2, false},
	{"\xe0\x9f\xbf", 0, false}, /* overlong */
	{"\xe0\xa0\x80", 3, false},
	{"\xe2\x80", 0, false},
	{"\xe2\x80\xa7", 3, false},
	{"\xe2\x80\xa8", 3, true},
	{"\xe2\x80\xa9", 3, true},
	{"\xe2\x80\xaa", 3, false},
	{"\xed\x9f\xbf", 3, false},
	{"\xed\xa0\x80", 0, false}, /* a surrogate */
	{"\xef\xbf\xbf", 3, false},
	{"\xf0\x8f\xbf\xbf", 0, false}, /* overlong */
	{"\xf0\x90\x80\x80", 4, false},
	{"\xf0\x9f\x92\xa9", 4, false},
	{"\xf0\x9f\x92", 0, false},
	{"\xf4\x8f\xbf\xbf", 4, false},
	{"\xf4\x90\x80\x80", 0, false}, /* beyond U+10FFFF */
	{"\xf5\x80\x80\x80", 0, false},
	{"\xff", 0, false},
};

START_TEST(a_character_is_told_by_its_bytes)
{
	const struct row *row = &rows[_i];
	size_t len = strlen(row->text);

	ck_assert_uint_eq(utf8_len(row->text, row->text + len), row->len);
	ck_assert_int_eq(utf8_is_valid(row->text, len), row->len > 0 || len == 0);
	if (row->len > 0)
		ck_assert_int_eq(utf8_is_control(row->text, row->len), row->is_control);
}
END_TEST

START_TEST(what_is_not_utf8_is_replaced)
{
	static const char *const texts[][2] = {
		{"", ""},
		{"J\xc3\xbcrgen", "J\xc3\xbcrgen"},
		{"J\xfcrgen", "J\xef\xbf\xbdrgen"},
		{"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd"},
	};

	for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
		struct printbuf *out = buf_new();
		bool valid = utf8_put(out, texts[i][0], strlen(texts[i][0]));

		ck_assert_str_eq(out->buf, texts[i][1]);
		ck_assert_int_eq(valid, strcmp(texts[i][0], texts[i][1]) == 0);
		printbuf_free(out);
	}
}
END_TEST

START_TEST(a_log_line_is_one_line_of_text_whatever_it_holds)
{
	char line[512];
	int saved = dup(STDERR_FILENO), ends[2];
	ssize_t got;

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	log_setup("test", LOG_LEVEL_INFO, false);
	log_info("%s", "a\r\nb\x1b[2J \xc3\xa9 \xe2\x80\xa8 \xc2\x85 \xff \xed\xa0\x80 \xe2\x80");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	got = read(ends[0], line, sizeof line - 1);
	ck_assert_int_gt(got, 0);
	line[got] = '\0';
	close(ends[0]);
	ck_assert_msg(strstr(line, " level=info msg=\"a??b?[2J \xc3\xa9 ? ? ? ??? ??\"\n") != NULL,
		      "%s", line);
	ck_assert_ptr_eq(strchr(line, '\n'), line + got - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("utf8");
	TCase *tcase = tcase_create("utf8");

	tcase_add_loop_test(tcase, a_character_is_told_by_its_bytes, 0, UNIT_COUNT(rows));
	tcase_add_test(tcase, what_is_not_utf8_is_replaced);
	tcase_add_test(tcase, a_log_line_is_one_line_of_text_whatever_it_holds);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
