/* RFC 3339 times and the clocks. */
#include "unit.h"

#include <time.h>

#include "base/times.h"

START_TEST(test_format)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00Z"},
		{1, "1970-01-01T00:00:01Z"},
		{86399, "1970-01-01T23:59:59Z"},
		{951782400, "2000-02-29T00:00:00Z"},
		{1705833000, "2024-01-21T10:30:00Z"},
		{2147483648, "2038-01-19T03:14:08Z"},
		{4294967296, "2106-02-07T06:28:16Z"},
		{253402300799, "9999-12-31T23:59:59Z"},
		/* clamped */
		{253402300800, "9999-12-31T23:59:59Z"},
		{INT64_MAX, "9999-12-31T23:59:59Z"},
		{-1, "1970-01-01T00:00:00Z"},
		{INT64_MIN, "1970-01-01T00:00:00Z"},
	};
	char text[TIMES_LEN + 1];

	/* UTC, whatever the zone. */
	setenv("TZ", "America/New_York", 1);
	tzset();
	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		times_format(rows[i].seconds, text);
		ck_assert_str_eq(text, rows[i].text);
		ck_assert_msg(times_is_valid(text, strlen(text)), "%s is not valid", text);
	}
}
END_TEST

START_TEST(test_is_valid)
{
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{"2024-01-21T10:30:00Z", true},
		{"0000-01-01T00:00:00Z", true},
		{"9999-12-31T23:59:59Z", true},
		{"2016-12-31T23:59:60Z", true}, /* a leap second */
		{"", false},
		{"2024-01-21T10:30:00", false},
		{"2024-01-21T10:30:00Z ", false},
		{"2024-01-21T10:30:00.0Z", false},
		{"2024-01-21T10:30:00+00:00", false},
		{"2024-01-21 10:30:00Z", false},
		{"2024-01-21t10:30:00Z", false},
		{"2024-01-21T10:30:00z", false},
		{"2024/01/21T10:30:00Z", false},
		{"2024-00-21T10:30:00Z", false},
		{"2024-13-21T10:30:00Z", false},
		{"2024-01-00T10:30:00Z", false},
		{"2024-01-32T10:30:00Z", false},
		{"2024-01-21T24:00:00Z", false},
		{"2024-01-21T10:60:00Z", false},
		{"2024-01-21T10:30:61Z", false},
		{"2024-01-21T10:30:-1Z", false},
		{"20x4-01-21T10:30:00Z", false},
		{"2024-1-021T10:30:00Z", false},
		{"\"024-01-21T10:30:00Z", false},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++)
		ck_assert_msg(times_is_valid(rows[i].text, strlen(rows[i].text)) == rows[i].valid,
			      "'%s': expected %s", rows[i].text,
			      rows[i].valid ? "valid" : "not valid");
	ck_assert_msg(!times_is_valid("2024-01-21T10:30:0\0", TIMES_LEN), "a NUL, yet valid");
}
END_TEST

START_TEST(test_grid)
{
	static const struct {
		int64_t now, period, wait;
	} rows[] = {
		{0, 500, 500},	 {1, 500, 499},	  {250, 500, 250},	   {251, 500, 749},
		{499, 500, 501}, {500, 500, 500}, {123456789, 1000, 1211}, {7, 5, 3},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++)
		ck_assert_int_eq(times_to_grid_ms(rows[i].now, rows[i].period), rows[i].wait);
}
END_TEST

START_TEST(test_clocks)
{
	int64_t wall = times_wall_ms(), mono = times_mono_ms();

	ck_assert_msg(llabs(wall / 1000 - (int64_t)time(NULL)) <= 1, "not ms since 1970: %lld",
		      (long long)wall);
	for (int i = 0; i < 1000; i++) {
		int64_t next = times_mono_ms();

		ck_assert_msg(next >= mono, "the clock ran back");
		mono = next;
	}
}
END_TEST

static Suite *times_suite(void)
{
	Suite *suite = suite_create("times");
	TCase *tcase = tcase_create("times");

	tcase_add_test(tcase, test_format);
	tcase_add_test(tcase, test_is_valid);
	tcase_add_test(tcase, test_grid);
	tcase_add_test(tcase, test_clocks);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(times_suite());
}
