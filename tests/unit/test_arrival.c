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

		for (size_t len = 0; len < buf_len(out); len++)
			ck_assert_msg(arrival(out, len) == ARRIVAL_PART,
				      "row %zu: %zu of %zu bytes give %d instead of part", i, len,
				      buf_len(out), arrival(out, len));
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

int main(void)
{
	Suite *suite = suite_create("arrival");
	TCase *tcase = tcase_create("arrival");

	tcase_add_test(tcase, a_request_is_whole_with_its_last_byte_and_not_before);
	tcase_add_test(tcase, what_follows_a_request_does_not_matter);
	tcase_add_test(tcase, what_is_not_a_responders_request_is_refused);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
