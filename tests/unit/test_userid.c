/* User ids from text, from JSON and from a token's subject. */
#include "unit.h"

#include "base/userid.h"

#define S10 "abcdefghij"
#define S60 S10 S10 S10 S10 S10 S10

static const struct row {
	const char *text;
	size_t len;
	bool good, integer;
} rows[] = {
#define GOOD(text, integer)                           \
	{                                             \
		text, sizeof(text) - 1, true, integer \
	}
#define BAD(text)                                    \
	{                                            \
		text, sizeof(text) - 1, false, false \
	}
	GOOD("1", true),
	GOOD("7", true),
	GOOD("1234567890", true),
	GOOD("9007199254740991", true),
	GOOD("a", false),
	GOOD("Z", false),
	GOOD("_", false),
	GOOD(".", false),
	GOOD("-", false),
	GOOD("-1", false),
	GOOD("1.0", false),
	GOOD("1e3", false),
	GOOD("0x1", false),
	GOOD("007a", false),
	GOOD("anna.b-c_D9", false),
	GOOD(S60 "abcd", false),
	GOOD(S60 S60 "abcdefgh", false),
	GOOD("auth0|5f7c", false),
	GOOD("google-oauth2:117", false),
	GOOD("user@example.com", false),
	GOOD("a+b=c~d", false),
	GOOD("|", false),
	GOOD(":", false),
	GOOD("1:2", false),
	GOOD("+1", false),
	GOOD("1=", false),
	GOOD("6f1ed002-ab05-4c5e-9a4b-1e0ab5cd2a5e", false),
	BAD(""),
	BAD("0"),
	BAD("00"),
	BAD("01"),
	BAD("007"),
	BAD("9007199254740992"),
	BAD("9999999999999999"),
	BAD("10000000000000000"),
	BAD("99999999999999999999999999999999"),
	BAD(S60 S60 "abcdefghi"),
	BAD(" 1"),
	BAD("1 "),
	BAD("a b"),
	BAD("a?"),
	BAD("a[b]"),
	BAD("a\\"),
	BAD("a%20b"),
	BAD("a,b"),
	BAD("a'b"),
	BAD("a&b"),
	BAD("a#b"),
	BAD("a/b"),
	BAD("a*"),
	BAD("a\0b"),
	BAD("1\0"),
	BAD("a\n"),
	BAD("\xc3\xa9"),
	BAD("\"a\""),
	BAD("{a}"),
};

START_TEST(test_parse)
{
	const struct row *row = &rows[_i];
	struct userid id = {"untouched"};
	char *exact = malloc(row->len + 1); /* not terminated: the length alone counts */

	memcpy(exact, row->text, row->len);
	exact[row->len] = '9';
	ck_assert_msg(userid_parse(exact, row->len, &id) == row->good, "'%s' (%zu): expected %s",
		      row->text, row->len, row->good ? "an id" : "no id");
	free(exact);
	if (!row->good) {
		ck_assert_str_eq(id.text, "untouched");
		return;
	}
	ck_assert_str_eq(id.text, row->text);
	ck_assert_msg(userid_is_integer(&id) == row->integer, "%s: expected %s", id.text,
		      row->integer ? "an integer" : "a string");
}
END_TEST

static const struct json_row {
	const char *json;
	const char *id; /* NULL: refused by userid_from_json */
	const char *subject; /* the same of userid_from_subject */
} json_rows[] = {
	{"1", "1", "1"},
	{"9007199254740991", "9007199254740991", "9007199254740991"},
	{"9007199254740992", NULL, NULL},
	{"9223372036854775807", NULL, NULL},
	{"18446744073709551615", NULL, NULL},
	{"99999999999999999999999", NULL, NULL},
	{"0", NULL, NULL},
	{"-1", NULL, NULL},
	{"-99999999999999999999999", NULL, NULL},
	{"1.0", NULL, NULL},
	{"1.5", NULL, NULL},
	{"1e2", NULL, NULL},
	{"true", NULL, NULL},
	{"null", NULL, NULL},
	{"[1]", NULL, NULL},
	{"{\"a\":1}", NULL, NULL},
	{"\"anna\"", "anna", "anna"},
	{"\"1\"", NULL, "1"},
	{"\"9007199254740991\"", NULL, "9007199254740991"},
	{"\"9007199254740992\"", NULL, NULL},
	{"\"12abc\"", "12abc", "12abc"},
	{"\"01\"", NULL, NULL},
	{"\"0\"", NULL, NULL},
	{"\"\"", NULL, NULL},
	{"\"1\\u00002\"", NULL, NULL},
	{"\"a\\u0000\"", NULL, NULL},
	{"\"a b\"", NULL, NULL},
};

START_TEST(test_json)
{
	const struct json_row *row = &json_rows[_i];
	struct json_object *value = json_tokener_parse(row->json);
	struct userid id = {"untouched"};

	ck_assert_msg(userid_from_json(value, &id) == (row->id != NULL), "%s: expected %s",
		      row->json, row->id != NULL ? "an id" : "no id");
	ck_assert_str_eq(id.text, row->id != NULL ? row->id : "untouched");
	memcpy(id.text, "untouched", sizeof "untouched");
	ck_assert_msg(userid_from_subject(value, &id) == (row->subject != NULL),
		      "%s as subject: expected %s", row->json,
		      row->subject != NULL ? "an id" : "no id");
	ck_assert_str_eq(id.text, row->subject != NULL ? row->subject : "untouched");
	json_object_put(value);
}
END_TEST

START_TEST(test_put_json)
{
	struct printbuf *buf = buf_new();
	struct userid number, word;

	ck_assert(userid_parse("42", 2, &number));
	ck_assert(userid_parse("4-2", 3, &word));
	userid_put_json(buf, &number);
	buf_puts(buf, ",");
	userid_put_json(buf, &word);
	ck_assert_str_eq(buf->buf, "42,\"4-2\"");
	ck_assert(userid_equal(&number, &number));
	ck_assert(!userid_equal(&number, &word));
	printbuf_free(buf);
}
END_TEST

START_TEST(a_word_is_of_the_characters_of_ids_and_no_longer_than_it_may_be)
{
	ck_assert(userid_is_word("a", 1));
	ck_assert(userid_is_word("007", 3));
	ck_assert(userid_is_word("room|7.a:b@c+d=e~f_g-h", 64));
	ck_assert(!userid_is_word("", 64));
	ck_assert(!userid_is_word("ab", 1));
	ck_assert(!userid_is_word("a b", 64));
	ck_assert(!userid_is_word("a\n", 64));
	ck_assert(!userid_is_word("\xc3\xa9", 64));
}
END_TEST

START_TEST(distinct_ids_are_sorted_and_each_there_once)
{
	struct userid ids[] = {{"b"}, {"10"}, {"b"}, {"9"}, {"10"}};

	ck_assert_uint_eq(userid_distinct(ids, UNIT_COUNT(ids)), 3);
	ck_assert_str_eq(ids[0].text, "10");
	ck_assert_str_eq(ids[1].text, "9");
	ck_assert_str_eq(ids[2].text, "b");
	ck_assert_uint_eq(userid_distinct(ids, 0), 0);
}
END_TEST

static Suite *userid_suite(void)
{
	Suite *suite = suite_create("userid");
	TCase *tcase = tcase_create("userid");

	tcase_add_loop_test(tcase, test_parse, 0, UNIT_COUNT(rows));
	tcase_add_loop_test(tcase, test_json, 0, UNIT_COUNT(json_rows));
	tcase_add_test(tcase, test_put_json);
	tcase_add_test(tcase, a_word_is_of_the_characters_of_ids_and_no_longer_than_it_may_be);
	tcase_add_test(tcase, distinct_ids_are_sorted_and_each_there_once);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(userid_suite());
}
