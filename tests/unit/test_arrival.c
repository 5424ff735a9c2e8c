/* Whether a whole FastCGI request has arrived, for every point at which it may be cut. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include <fastcgi.h>

#include "api/arrival.h"
#include "base/buf.h"

static void put_record(struct printbuf *out, unsigned type, unsigned id, const void *content,
		       size_t len, unsigned padding)
{
	unsigned char header[8] = {FCGI_VERSION_1,
				   (unsigned char)type,
				   (unsigned char)(id >> 8),
				   (unsigned char)id,
				   (unsigned char)(len >> 8),
				   (unsigned char)len,
				   (unsigned char)padding,
				   0};
	static const char zeros[255];

	buf_put(out, header, sizeof header);
	if (len > 0)
		buf_put(out, content, len);
	buf_put(out, zeros, padding);
}

static void put_begin(struct printbuf *out, unsigned id, unsigned role)
{
	unsigned char body[8] = {(unsigned char)(role >> 8), (unsigned char)role};

	put_record(out, FCGI_BEGIN_REQUEST, id, body, sizeof body, 0);
}

static enum arrival arrival(const struct printbuf *bytes, size_t len)
{
	/* A copy of its own size: a sanitizer sees what is read beyond. */
	unsigned char *copy = malloc(len + 1);
	enum arrival result;

	memcpy(copy + 1, bytes->buf, len);
	result = arrival_of(copy + 1, len);
	free(copy);
	return result;
}

/* BEGIN, PARAMS of `params` bytes, STDIN of `body` bytes in records of at most `piece`. */
static struct printbuf *whole(size_t params, size_t body, size_t piece, unsigned padding)
{
	struct printbuf *out = buf_new();
	char *content = calloc(1, 65536);

	put_begin(out, 1, FCGI_RESPONDER);
	for (size_t left = params; left > 0; left -= left < piece ? left : piece)
		put_record(out, FCGI_PARAMS, 1, content, left < piece ? left : piece, padding);
	put_record(out, FCGI_PARAMS, 1, NULL, 0, padding);
	for (size_t left = body; left > 0; left -= left < piece ? left : piece)
		put_record(out, FCGI_STDIN, 1, content, left < piece ? left : piece, padding);
	put_record(out, FCGI_STDIN, 1, NULL, 0, padding);
	free(content);
	return out;
}

START_TEST(a_request_is_whole_with_its_last_byte_and_not_before)
{
	static const struct {
		size_t params, body, piece;
		unsigned padding;
	} rows[] = {{300, 0, 65535, 0}, {300, 0, 65535, 7}, {0, 0, 100, 0},
		    {300, 20, 7, 0},	{300, 20, 7, 1},    {5000, 9000, 4096, 255}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct printbuf *out =
			whole(rows[i].params, rows[i].body, rows[i].piece, rows[i].padding);

		enum arrival expected = ARRIVAL_PART;

		for (size_t len = 0; len < buf_len(out); len++) {
			/* Once the parameters are all there they stay so. */
			if (arrival(out, len) == ARRIVAL_BODY)
				expected = ARRIVAL_BODY;
			ck_assert_msg(arrival(out, len) == expected,
				      "row %zu: %zu of %zu bytes give %d instead of %d", i, len,
				      buf_len(out), arrival(out, len), expected);
		}
		ck_assert_int_eq(expected, ARRIVAL_BODY);
		ck_assert_msg(arrival(out, buf_len(out)) == ARRIVAL_WHOLE,
			      "row %zu: all bytes are not whole", i);
		printbuf_free(out);
	}
}
END_TEST

START_TEST(what_follows_a_request_does_not_matter)
{
	struct printbuf *out = whole(100, 10, 65535, 0);

	buf_puts(out, "garbage that is no record");
	ck_assert_int_eq(arrival(out, buf_len(out)), ARRIVAL_WHOLE);
	printbuf_free(out);
}
END_TEST

START_TEST(what_is_not_a_responders_request_is_refused)
{
	struct printbuf *out = buf_new();
	static const unsigned first[] = {
		FCGI_GET_VALUES, FCGI_PARAMS, FCGI_STDIN, FCGI_ABORT_REQUEST,
		FCGI_DATA,	 0,	      99,	  255};

	for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
		buf_reset(out);
		put_record(out, first[i], first[i] == FCGI_GET_VALUES ? 0 : 1, NULL, 0, 0);
		ck_assert_msg(arrival(out, 8) == ARRIVAL_BAD, "type %u may come first", first[i]);
	}
	buf_reset(out);
	put_begin(out, 1, FCGI_AUTHORIZER);
	ck_assert_int_eq(arrival(out, 16), ARRIVAL_BAD);
	buf_reset(out);
	put_begin(out, 1, FCGI_FILTER);
	ck_assert_int_eq(arrival(out, 16), ARRIVAL_BAD);
	buf_reset(out);
	put_begin(out, 0, FCGI_RESPONDER);
	ck_assert_int_eq(arrival(out, 8), ARRIVAL_BAD);
	/* Another version, another length of BEGIN, a second BEGIN, another request's record. */
	buf_reset(out);
	put_begin(out, 1, FCGI_RESPONDER);
	out->buf[0] = 2;
	ck_assert_int_eq(arrival(out, 8), ARRIVAL_BAD);
	out->buf[0] = 1;
	out->buf[5] = 7;
	ck_assert_int_eq(arrival(out, 8), ARRIVAL_BAD);
	out->buf[5] = 8;
	put_begin(out, 1, FCGI_RESPONDER);
	ck_assert_int_eq(arrival(out, 24), ARRIVAL_BAD);
	buf_reset(out);
	put_begin(out, 1, FCGI_RESPONDER);
	put_record(out, FCGI_PARAMS, 2, "x", 1, 0);
	ck_assert_int_eq(arrival(out, 24), ARRIVAL_BAD);
	printbuf_free(out);
}
END_TEST

static struct arrived arrived;
static struct printbuf *body;

static bool take_apart(const struct printbuf *bytes, size_t len)
{
	unsigned char *copy = malloc(len + 1);
	bool is_read;

	memcpy(copy + 1, bytes->buf, len);
	arrived = (struct arrived){.env = NULL};
	body = buf_new();
	is_read = arrival_read(copy + 1, len, &arrived, body);
	free(copy);
	return is_read;
}

static void forget(void)
{
	free(arrived.env);
	printbuf_free(body);
}

/* BEGIN with FCGI_KEEP_CONN, A=b, and a body of 26 letters, each cut into pieces. */
static struct printbuf *request(size_t piece)
{
	static const char params[] = "\1\1Ab", letters[] = "abcdefghijklmnopqrstuvwxyz";
	struct printbuf *out = buf_new();

	put_begin(out, 258, FCGI_RESPONDER);
	out->buf[FCGI_HEADER_LEN + 2] = FCGI_KEEP_CONN;
	for (size_t at = 0; at < 4; at += piece)
		put_record(out, FCGI_PARAMS, 258, params + at, piece < 4 - at ? piece : 4 - at, 5);
	put_record(out, FCGI_PARAMS, 258, NULL, 0, 3);
	for (size_t at = 0; at < 26; at += piece)
		put_record(out, FCGI_STDIN, 258, letters + at, piece < 26 - at ? piece : 26 - at,
			   at % 3 == 0 ? 7 : 0);
	put_record(out, FCGI_STDIN, 258, NULL, 0, 2);
	return out;
}

START_TEST(a_request_is_taken_apart_however_its_records_are_cut)
{
	for (size_t piece = 1; piece <= 27; piece++) {
		struct printbuf *out = request(piece);

		ck_assert(take_apart(out, buf_len(out)));
		ck_assert_uint_eq(arrived.id, 258);
		ck_assert(arrived.keep_conn);
		ck_assert(!arrived.is_cut);
		ck_assert_str_eq(arrived.env[0], "A=b");
		ck_assert_ptr_null(arrived.env[1]);
		ck_assert_str_eq(body->buf, "abcdefghijklmnopqrstuvwxyz");
		forget();
		printbuf_free(out);
	}
}
END_TEST

START_TEST(what_is_missing_or_too_much_is_told)
{
	struct printbuf *out = request(4);
	size_t len = buf_len(out), first = 0;

	while (arrival(out, first) != ARRIVAL_BODY)
		first++;
	for (size_t part = first; part < len; part++) {
		ck_assert(take_apart(out, part));
		ck_assert_msg(arrived.is_cut, "%zu of %zu bytes are all", part, len);
		ck_assert(strncmp(body->buf, "abcdefghijklmnopqrstuvwxyz", buf_len(body)) == 0);
		forget();
	}
	buf_puts(out, "x");
	ck_assert(take_apart(out, len + 1));
	ck_assert(arrived.is_cut);
	ck_assert_str_eq(body->buf, "abcdefghijklmnopqrstuvwxyz");
	forget();
	printbuf_free(out);
}
END_TEST

START_TEST(parameters_that_are_malformed_are_no_request)
{
	static const struct {
		const char *content;
		size_t len;
		bool is_good;
	} rows[] = {
		{"", 0, true},
		{"\0\0", 2, false},
		{"\1\1Ab", 4, true},
		{"\1\1Ab\1\0C", 7, true},
		{"\x80\0\0\1\x80\0\0\1Ab", 10, true},
		{"\1", 1, false},
		{"\1\1A", 3, false},
		{"\2\1Ab", 4, false},
		{"\1\1Ab\1", 5, false},
		{"\x80\0\0", 3, false},
		{"\x80\0\0\1", 4, false},
		{"\xff\xff\xff\xff\xff\xff\xff\xff", 8, false},
		{"\xff\xff\xff\xfe\xff\xff\xff\xfe"
		 "Ab",
		 10, false},
		{"\1\x80\0\1\0A", 6, false},
		{"\x80\0\1\0\1A", 6, false},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		for (size_t piece = 1; piece <= 10; piece++) {
			struct printbuf *out = buf_new();

			put_begin(out, 1, FCGI_RESPONDER);
			for (size_t at = 0; at < rows[i].len; at += piece)
				put_record(out, FCGI_PARAMS, 1, rows[i].content + at,
					   rows[i].len - at < piece ? rows[i].len - at : piece, 3);
			put_record(out, FCGI_PARAMS, 1, NULL, 0, 0);
			ck_assert_int_eq(arrival(out, buf_len(out)), ARRIVAL_BODY);
			ck_assert_msg(take_apart(out, buf_len(out)) == rows[i].is_good,
				      "row %zu in pieces of %zu", i, piece);
			forget();
			printbuf_free(out);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arrival");
	TCase *tcase = tcase_create("arrival");

	tcase_add_test(tcase, a_request_is_whole_with_its_last_byte_and_not_before);
	tcase_add_test(tcase, what_follows_a_request_does_not_matter);
	tcase_add_test(tcase, what_is_not_a_responders_request_is_refused);
	tcase_add_test(tcase, a_request_is_taken_apart_however_its_records_are_cut);
	tcase_add_test(tcase, what_is_missing_or_too_much_is_told);
	tcase_add_test(tcase, parameters_that_are_malformed_are_no_request);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
