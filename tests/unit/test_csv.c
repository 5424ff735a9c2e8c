/* Comma-separated values: rows, quotes, line numbers, and what is wrong with a line. */
#include "unit.h"

#include <stdio.h>

#include "base/csv.h"

/* A file with this text, open. */
static struct csv open_text(const char *text)
{
	char *name = unit_write("a.csv", text, strlen(text)), err[256];
	struct csv csv;

	ck_assert_msg(csv_open(&csv, name, err, sizeof err), "%s", err);
	free(name);
	return csv;
}

/* Every row as "LINE:field|field;", a wrong one as "LINE!". */
static void check_rows(const char *text, const char *expected)
{
	struct csv csv = open_text(text);
	struct printbuf *seen = buf_new();
	enum csv_result result;

	while ((result = csv_next(&csv)) != CSV_END) {
		buf_putf(seen, "%d%s", csv.line, result == CSV_WRONG ? "!" : ":");
		for (size_t i = 0; result == CSV_ROW && i < csv.count; i++)
			buf_putf(seen, "%s%s", i > 0 ? "|" : "", csv.fields[i]);
		buf_puts(seen, ";");
	}
	ck_assert_msg(strcmp(seen->buf, expected) == 0, "of '%s' expected %s, seen %s", text,
		      expected, seen->buf);
	printbuf_free(seen);
	csv_close(&csv);
}

START_TEST(rows_are_taken_apart)
{
	check_rows("", "");
	check_rows("a", "1:a;");
	check_rows("a,b\nc,d\n", "1:a|b;2:c|d;");
	check_rows("a,b\r\nc,d\r\n", "1:a|b;2:c|d;");
	check_rows("a,\n,b\n", "1:a|;2:|b;");
	check_rows("a,", "1:a|;");
	check_rows("a\r", "1:a;");
	check_rows("\xef\xbb\xbf"
		   "a,b",
		   "1:a|b;");
	check_rows(" a , b ", "1: a | b ;");
}
END_TEST

START_TEST(quotes_hold_commas_lines_and_quotes)
{
	check_rows("\"a,b\",c", "1:a,b|c;");
	check_rows("\"a\"\"b\"", "1:a\"b;");
	check_rows("\"\",\"\"\n", "1:|;");
	check_rows("\"a\nb\",c\nd,e", "1:a\nb|c;3:d|e;");
	check_rows("\"\"\"\"", "1:\";");
}
END_TEST

START_TEST(empty_lines_are_left_out_and_counted)
{
	check_rows("\n\na\n\r\n\nb\n\n", "3:a;6:b;");
}
END_TEST

START_TEST(a_line_that_is_wrong_is_left_out_alone)
{
	check_rows("a\"b\nc", "1!;2:c;");
	check_rows("\"a\"b,c\nd", "1!;2:d;");
	check_rows("a\rb\nc", "1!;2:c;");
	check_rows("a\n\"b\nc\n", "1:a;2!;");
	check_rows("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\na", "1!;2:a;");
}
END_TEST

START_TEST(what_cannot_be_read_is_said)
{
	char err[256];
	struct csv csv;

	ck_assert(!csv_open(&csv, "/nonexistent/x.csv", err, sizeof err));
	ck_assert_str_eq(err, "/nonexistent/x.csv: No such file or directory");
	ck_assert(!csv_open(&csv, "/", err, sizeof err));
	ck_assert_str_eq(err, "/: Is a directory");
}
END_TEST

START_TEST(columns_are_found_by_name)
{
	struct csv csv = open_text("a,b,c\n");

	ck_assert_int_eq(csv_next(&csv), CSV_ROW);
	ck_assert_int_eq(csv_find(&csv, "c"), 2);
	ck_assert_int_eq(csv_find(&csv, "d"), -1);
	csv_close(&csv);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("csv");
	TCase *tcase = tcase_create("csv");

	tcase_add_checked_fixture(tcase, unit_dir_setup, unit_dir_teardown);
	tcase_add_test(tcase, rows_are_taken_apart);
	tcase_add_test(tcase, quotes_hold_commas_lines_and_quotes);
	tcase_add_test(tcase, empty_lines_are_left_out_and_counted);
	tcase_add_test(tcase, a_line_that_is_wrong_is_left_out_alone);
	tcase_add_test(tcase, what_cannot_be_read_is_said);
	tcase_add_test(tcase, columns_are_found_by_name);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
