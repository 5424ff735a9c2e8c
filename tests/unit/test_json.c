/* JSON: what the strict parser takes and refuses, and escaping on the way out. */
#include "unit.h"

#include "base/json.h"

static const struct row {
	const char *text;
	size_t len;
	bool good;
} rows[] = {
#define GOOD(text)                           \
	{                                    \
		text, sizeof(text) - 1, true \
	}
#define BAD(text)                             \
	{                                     \
		text, sizeof(text) - 1, false \
	}
	GOOD("{}"),
	GOOD(" \t\r\n{ } \t\r\n"),
	GOOD("{\"a\":1}"),
	GOOD("{\"a\":-0.5e+10,\"b\":1E-2,\"c\":1e5}"),
	GOOD("{\"a\":true,\"b\":false,\"c\":null}"),
	GOOD("{\"a\":[1,\"x\",{}],\"b\":[]}"),
	GOOD("{\"\":\"\"}"),
	GOOD("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}"),
	GOOD("{\"a\":\"\\\\u0000\"}"), /* a backslash and letters, no NUL */
	GOOD("{\"a\":\"\\\\ud800\"}"), /* likewise */
	BAD("{\"a\":\"\\ud800\"}"), /* half a pair */
	BAD("{\"a\":\"\\uDBFFx\"}"),
	BAD("{\"a\":\"\\udc00\\ud800\"}"),
	BAD("{\"a\":\"\\ud800\\ud800\"}"),
	BAD("{\"a\":\"\\ud800\\u0041\"}"),
	GOOD("{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}"),
	GOOD("{\"a\":\"NaN Infinity 'x' //\"}"),
	GOOD("{\"a\":1,\"a\":2}"),
	GOOD("{\"a\":[[[[[[1]]]]]]}"),
	/* not one object */
	BAD(""),
	BAD(" "),
	BAD("1"),
	BAD("\"a\""),
	BAD("null"),
	BAD("true"),
	BAD("[]"),
	BAD("[{}]"),
	BAD("{}{}"),
	BAD("{} x"),
	BAD("{},"),
	BAD("{}\0"),
	BAD("\0{}"),
	BAD("{\"a\":1}\v"),
	BAD("\xef\xbb\xbf{}"), /* a byte order mark */
	/* cut off */
	BAD("{"),
	BAD("{\"a"),
	BAD("{\"a\""),
	BAD("{\"a\":"),
	BAD("{\"a\":1"),
	BAD("{\"a\":tru"),
	BAD("{\"a\":\"\\"),
	BAD("{\"a\":\"\\u00"),
	BAD("{\"a\":[1"),
	/* what json-c would let through */
	BAD("{\"a\":NaN}"),
	BAD("{\"a\":nan}"),
	BAD("{\"a\":Infinity}"),
	BAD("{\"a\":-Infinity}"),
	BAD("{'a':1}"),
	BAD("{\"a\":'x'}"),
	BAD("{\"a\":True}"),
	BAD("{\"a\":TRUE}"),
	BAD("{\"a\":Null}"),
	BAD("{\"a\":undefined}"),
	BAD("{\"a\":\"x\ny\"}"),
	BAD("{\"a\":\"x\ty\"}"),
	BAD("{\"a\":\"\x01\"}"),
	BAD("{\"a\":\"\0\"}"),
	BAD("{\"a\":\"1\\u00002\"}"),
	BAD("{\"id\\u0000x\":1}"),
	BAD("{\"a\":1}/**/"),
	BAD("/**/{\"a\":1}"),
	BAD("{\"a\"/*x*/:1}"),
	BAD("{\"a\":1}//"),
	/* plain mistakes */
	BAD("{a:1}"),
	BAD("{\"a\":1,}"),
	BAD("{,}"),
	BAD("{\"a\":[1,]}"),
	BAD("{\"a\":[,1]}"),
	BAD("{\"a\":[1 2]}"),
	BAD("{\"a\" 1}"),
	BAD("{\"a\":1 \"b\":2}"),
	BAD("{\"a\"::1}"),
	BAD("{1:2}"),
	BAD("{\"a\":01}"),
	BAD("{\"a\":-01}"),
	BAD("{\"a\":00}"),
	BAD("{\"a\":1.}"),
	BAD("{\"a\":.5}"),
	BAD("{\"a\":+1}"),
	BAD("{\"a\":-}"),
	BAD("{\"a\":--1}"),
	BAD("{\"a\":1e}"),
	BAD("{\"a\":1e+}"),
	BAD("{\"a\":1ee5}"),
	BAD("{\"a\":1.5.5}"),
	BAD("{\"a\":1-2}"),
	BAD("{\"a\":0x10}"),
	BAD("{\"a\":1a}"),
	BAD("{\"a\":truefalse}"),
	BAD("{\"a\":\"\\x41\"}"),
	BAD("{\"a\":\"\\u12g4\"}"),
	/* not UTF-8 */
	BAD("{\"a\":\"\xff\"}"),
	BAD("{\"a\":\"\xc3\"}"),
	BAD("{\"a\":\"\xc0\xaf\"}"),
	BAD("{\"\x80\":1}"),
	BAD("{\"a\":\"\xc1\xbf\"}"),
	BAD("{\"a\":\"\xe0\x9f\xbf\"}"),
	BAD("{\"a\":\"\xed\xa0\x80\"}"), /* a surrogate */
	BAD("{\"a\":\"\xf0\x8f\xbf\xbf\"}"),
	BAD("{\"a\":\"\xf4\x90\x80\x80\"}"), /* beyond U+10FFFF */
	BAD("{\"a\":\"\xf5\x80\x80\x80\"}"),
	BAD("{\"a\":\"\xe2\x82\"}"),
	BAD("{\"a\":\"\xe2\x82x\"}"),
	BAD("{\"a\":\"\xe2\x82"),
	BAD("{\"a\":\"\\\xff\"}"),
	GOOD("{\"a\":"
	     "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf"
	     "\xbf\""
	     "}"),
	/* too deep: the ninth level */
	BAD("{\"a\":[[[[[[[[[1]]]]]]]]]}"),
	BAD("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}}"),
};

/* Parses a copy that ends where its memory ends, so that reading behind it is found. */
static struct json_object *parse(const char *text, size_t len, const char **why)
{
	char *exact = malloc(len != 0 ? len : 1);
	struct json_object *object;

	memcpy(exact, text, len);
	object = json_parse_object(exact, len, why);
	free(exact);
	return object;
}

START_TEST(test_parse)
{
	const struct row *row = &rows[_i];
	const char *why = NULL;
	struct json_object *object = parse(row->text, row->len, &why);

	ck_assert_msg((object != NULL) == row->good, "%s: expected %s, seen %s", row->text,
		      row->good ? "an object" : "an error", object != NULL ? "an object" : why);
	ck_assert_msg(object != NULL || (why != NULL && *why != '\0'), "%s: no sentence",
		      row->text);
	json_object_put(object);
}
END_TEST

/* Depth 8 is the limit: json_parse_object says so, whatever the containers. */
START_TEST(test_depth)
{
	for (int depth = 1; depth <= 12; depth++) {
		struct printbuf *text = buf_new();
		const char *why;
		struct json_object *object;

		buf_puts(text, "{\"a\":");
		for (int i = 1; i < depth; i++)
			buf_puts(text, "[");
		for (int i = 1; i < depth; i++)
			buf_puts(text, "]");
		buf_puts(text, depth == 1 ? "1}" : "}");
		object = parse(text->buf, buf_len(text), &why);
		ck_assert_msg((object != NULL) == (depth <= JSON_DEPTH_MAX),
			      "%d levels: expected %s", depth,
			      depth <= JSON_DEPTH_MAX ? "an object" : "an error");
		json_object_put(object);
		printbuf_free(text);
	}
}
END_TEST

START_TEST(test_every_prefix_is_an_error)
{
	static const char text[] =
		"{\"a\":[1,-2.5e3,\"x\\n\\u00e9\xc3\xa9\",true,null],\"b\":{\"c\":false}}";
	const char *why;
	struct json_object *object;

	for (size_t len = 0; len < sizeof text - 1; len++) {
		object = parse(text, len, &why);
		ck_assert_msg(object == NULL, "%.*s: expected an error", (int)len, text);
	}
	object = parse(text, sizeof text - 1, &why);
	ck_assert_ptr_nonnull(object);
	json_object_put(object);
}
END_TEST

START_TEST(test_large)
{
	struct printbuf *text = buf_new();
	const char *why = "";
	struct json_object *object;

	buf_puts(text, "{\"user_ids\":[1");
	for (int i = 0; i < 100000; i++)
		buf_puts(text, ",9007199254740991");
	buf_puts(text, "]}");
	object = parse(text->buf, buf_len(text), &why);
	ck_assert_msg(object != NULL, "a large object: %s", why);
	ck_assert_uint_eq(json_object_array_length(json_member(object, "user_ids")), 100001);
	json_object_put(object);
	printbuf_free(text);
}
END_TEST

START_TEST(test_members)
{
	static const char json[] = "{\"n\":null,\"s\":\"abc\",\"i\":1,\"d\":1,\"d\":2,\"e\":\"\"}";
	const char *why, *text;
	struct json_object *object = parse(json, sizeof json - 1, &why);

	ck_assert_ptr_nonnull(object);
	ck_assert_ptr_null(json_member(object, "absent"));
	ck_assert_ptr_null(json_member(object, "n"));
	ck_assert_int_eq(json_object_get_int(json_member(object, "d")), 2);
	ck_assert(json_is_text(json_member(object, "s"), 3, &text));
	ck_assert_str_eq(text, "abc");
	ck_assert_msg(!json_is_text(json_member(object, "s"), 2, &text), "too long, yet taken");
	ck_assert(json_is_text(json_member(object, "e"), 0, &text));
	ck_assert(!json_is_text(json_member(object, "i"), 10, &text));
	ck_assert(!json_is_text(NULL, 10, &text));
	json_object_put(object);
	object = json_object_new_string_len("a\0b", 3);
	ck_assert_msg(!json_is_text(object, 10, &text), "a text with a NUL, yet taken");
	json_object_put(object);
}
END_TEST

START_TEST(test_put_string)
{
	static const struct {
		const char *text;
		size_t len;
		const char *json;
	} strings[] = {
		{"", 0, "\"\""},
		{"abc", 3, "\"abc\""},
		{"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
		{"\"", 1, "\"\\\"\""},
		{"\n\r\t", 3, "\"\\u000a\\u000d\\u0009\""},
		{"a\0b", 3, "\"a\\u0000b\""},
		{"\x1f\x7f", 2, "\"\\u001f\x7f\""},
		{"\xc3\xa9", 2, "\"\xc3\xa9\""},
		/* What is not UTF-8: Latin-1, a lone surrogate, an overlong NUL, a cut character. */
		{"J\xfcrgen", 6, "\"J\xef\xbf\xbdrgen\""},
		{"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xff\"\xc3", 3, "\"\xef\xbf\xbd\\\"\xef\xbf\xbd\""},
	};

	for (size_t i = 0; i < UNIT_COUNT(strings); i++) {
		struct printbuf *buf = buf_new();

		json_put_string(buf, strings[i].text, strings[i].len);
		ck_assert_str_eq(buf->buf, strings[i].json);
		printbuf_free(buf);
	}
}
END_TEST

START_TEST(the_member_that_stops_to_be_json_is_named)
{
	static const struct {
		const char *text, *member;
	} refused[] = {
		{"{\"text\":\"\xff\"}", "text"},
		{"{\"a\":\"b\",\"text\":\"\\ud800\"}", "text"},
		{"{\"user_ids\":[\"a\",\"\x01\"]}", "user_ids"},
		{"{\"a\":NaN}", "a"},
		{"{\"a\":1}", NULL}, /* nothing is wrong */
		{"{\"\xff\":1}", NULL},
		{"{\"A b\":\"\xff\"}", NULL},
		{"{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":\"\xff\"}", NULL},
		{"\xff", NULL},
		{"", NULL},
	};
	char member[JSON_MEMBER_MAX + 1];

	for (size_t i = 0; i < UNIT_COUNT(refused); i++) {
		bool is_named =
			json_refused_member(refused[i].text, strlen(refused[i].text), member);

		ck_assert_msg(is_named == (refused[i].member != NULL), "%s", refused[i].text);
		if (is_named)
			ck_assert_str_eq(member, refused[i].member);
	}
}
END_TEST

START_TEST(a_byte_order_mark_is_named)
{
	const char *why = NULL;

	ck_assert_ptr_null(json_parse_object("\xef\xbb\xbf{}", 5, &why));
	ck_assert_str_eq(why, "a byte order mark before it");
}
END_TEST

static Suite *json_suite(void)
{
	Suite *suite = suite_create("json");
	TCase *tcase = tcase_create("json");

	tcase_add_loop_test(tcase, test_parse, 0, UNIT_COUNT(rows));
	tcase_add_test(tcase, test_depth);
	tcase_add_test(tcase, test_every_prefix_is_an_error);
	tcase_add_test(tcase, test_large);
	tcase_add_test(tcase, test_members);
	tcase_add_test(tcase, test_put_string);
	tcase_add_test(tcase, the_member_that_stops_to_be_json_is_named);
	tcase_add_test(tcase, a_byte_order_mark_is_named);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(json_suite());
}
