/* base64url: RFC 4648 section 10 in the URL-safe alphabet, and that bytes have one spelling. */
#include "unit.h"

#include "base/base64url.h"

static const struct row {
	const char *bytes;
	size_t len;
	const char *text;
} rows[] = {
	{"", 0, ""},
	{"f", 1, "Zg"},
	{"fo", 2, "Zm8"},
	{"foo", 3, "Zm9v"},
	{"foob", 4, "Zm9vYg"},
	{"fooba", 5, "Zm9vYmE"},
	{"foobar", 6, "Zm9vYmFy"},
	{"\0\0\0", 3, "AAAA"},
	{"\xff\xff\xff", 3, "____"},
	{"\xfb\xef\xbe", 3, "----"},
	{"\xff", 1, "_w"},
};

START_TEST(test_both_ways)
{
	const struct row *row = &rows[_i];
	struct printbuf *out = buf_new();
	unsigned char bytes[16];
	size_t len = strlen(row->text), size;

	base64url_put(out, row->bytes, row->len);
	ck_assert_str_eq(out->buf, row->text);
	ck_assert_uint_eq(BASE64URL_DECODED(len), row->len);
	ck_assert(base64url_decode(row->text, len, bytes, &size));
	ck_assert_uint_eq(size, row->len);
	ck_assert_mem_eq(bytes, row->bytes, size);
	printbuf_free(out);
}
END_TEST

static const char *const bad[] = {"A",	   "AAAAA", "Zg==", "Z=",     "Zh", "Zm9",     "Zm-",
				  "Zm9v ", "Zm9+",  "Zm9/", "Zm9v\n", ".",  "\xc3\xa9"};

START_TEST(test_refused)
{
	unsigned char bytes[16];
	size_t size;

	ck_assert_msg(!base64url_decode(bad[_i], strlen(bad[_i]), bytes, &size),
		      "'%s': refused expected, seen %zu bytes", bad[_i], size);
}
END_TEST

static Suite *base64url_suite(void)
{
	Suite *suite = suite_create("base64url");
	TCase *tcase = tcase_create("base64url");

	tcase_add_loop_test(tcase, test_both_ways, 0, UNIT_COUNT(rows));
	tcase_add_loop_test(tcase, test_refused, 0, UNIT_COUNT(bad));
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(base64url_suite());
}
