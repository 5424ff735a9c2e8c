/* Replies in one piece: they are what hiredis' own reader makes of the same bytes. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/reply.h"

static void check_same(const redisReply *ours, const redisReply *theirs)
{
	ck_assert_int_eq(ours->type, theirs->type);
	ck_assert_int_eq(ours->integer, theirs->integer);
	ck_assert_uint_eq(ours->len, theirs->len);
	ck_assert_uint_eq(ours->elements, theirs->elements);
	ck_assert((ours->str == NULL) == (theirs->str == NULL));
	if (ours->str != NULL)
		ck_assert_mem_eq(ours->str, theirs->str, theirs->len + 1);
	for (size_t i = 0; i < theirs->elements; i++)
		check_same(ours->element[i], theirs->element[i]);
}

/* Both readers are fed the same, `step` bytes at a time; returns how many replies came. */
static size_t compare(const char *bytes, size_t len, size_t step)
{
	redisReader *ours = reply_reader_new(), *theirs = redisReaderCreate();
	void *reply, *expected;
	size_t count = 0;

	for (size_t at = 0; at < len; at += step) {
		size_t part = len - at < step ? len - at : step;

		ck_assert_int_eq(redisReaderFeed(ours, bytes + at, part), REDIS_OK);
		ck_assert_int_eq(redisReaderFeed(theirs, bytes + at, part), REDIS_OK);
		for (;;) {
			ck_assert_int_eq(redisReaderGetReply(ours, &reply),
					 redisReaderGetReply(theirs, &expected));
			ck_assert((reply == NULL) == (expected == NULL));
			if (reply == NULL)
				break;
			check_same(reply, expected);
			reply_free(reply);
			freeReplyObject(expected);
			count++;
		}
	}
	redisReaderFree(ours);
	redisReaderFree(theirs);
	return count;
}

START_TEST(every_kind_of_reply_is_as_hiredis_reads_it)
{
	static const char bytes[] = "+OK\r\n"
				    "-ERR no\r\n"
				    ":-9223372036854775808\r\n"
				    "$0\r\n\r\n"
				    "$3\r\na\0b\r\n"
				    "$-1\r\n"
				    "*-1\r\n"
				    "*0\r\n"
				    "*3\r\n:1\r\n$-1\r\n$2\r\nxy\r\n"
				    "*2\r\n*2\r\n+a\r\n*1\r\n*1\r\n:7\r\n*0\r\n"
				    "*1\r\n-ERR inside\r\n";

	for (size_t step = 1; step <= sizeof bytes - 1; step++)
		ck_assert_uint_eq(compare(bytes, sizeof bytes - 1, step), 11);
}
END_TEST

START_TEST(a_reply_of_any_size_is_whole)
{
	static const size_t sizes[] = {0, 1, 895, 896, 897, 1791, 1792, 1793, 4096, 100000};

	for (size_t i = 0; i < UNIT_COUNT(sizes); i++) {
		for (size_t count = 0; count <= 40; count += 20) {
			struct printbuf *bytes = buf_new();
			char *text = calloc(1, sizes[i] + 1);

			memset(text, 'x', sizes[i]);
			buf_putf(bytes, "*%zu\r\n", count + 1);
			for (size_t k = 0; k < count; k++)
				buf_putf(bytes, "$%zu\r\n%zu\r\n",
					 (size_t)snprintf(NULL, 0, "%zu", k), k);
			buf_putf(bytes, "$%zu\r\n", sizes[i]);
			buf_put(bytes, text, sizes[i]);
			buf_puts(bytes, "\r\n:5\r\n");
			ck_assert_uint_eq(compare(bytes->buf, buf_len(bytes), buf_len(bytes)), 2);
			ck_assert_uint_eq(compare(bytes->buf, buf_len(bytes), 1000), 2);
			printbuf_free(bytes);
			free(text);
		}
	}
}
END_TEST

static unsigned random_state;

static unsigned pick(unsigned below)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 16) % below;
}

/* A reply as Redis might send it: of any kind, at most `depth` arrays in one another. */
static void put_any(struct printbuf *bytes, unsigned depth)
{
	unsigned kind = pick(depth > 0 ? 8 : 5), count = pick(pick(8) == 0 ? 3000 : 40);

	if (kind == 0) {
		buf_putf(bytes, ":%d\r\n", (int)count - 20);
	} else if (kind == 1) {
		buf_puts(bytes, pick(2) == 0 ? "$-1\r\n" : "*-1\r\n");
	} else if (kind == 2) {
		buf_putf(bytes, "%c%.*s\r\n", pick(2) == 0 ? '+' : '-', (int)(count % 40),
			 "a status or an error, of which a line is made");
	} else if (kind < 5) {
		buf_putf(bytes, "$%u\r\n", count);
		while (count-- > 0)
			buf_put(bytes, &(char){(char)pick(256)}, 1);
		buf_puts(bytes, "\r\n");
	} else {
		count %= 12;
		buf_putf(bytes, "*%u\r\n", count);
		while (count-- > 0)
			put_any(bytes, depth - 1);
	}
}

START_TEST(any_replies_in_any_pieces_are_as_hiredis_reads_them)
{
	for (random_state = 1; random_state <= 300;) {
		unsigned seed = random_state, count = 1 + pick(5);
		struct printbuf *bytes = buf_new();
		size_t step;

		for (unsigned i = 0; i < count; i++)
			put_any(bytes, 5);
		step = 1 + pick((unsigned)buf_len(bytes));
		ck_assert_msg(compare(bytes->buf, buf_len(bytes), step) == count,
			      "of seed %u not all %u replies came", seed, count);
		printbuf_free(bytes);
		random_state = seed + 1;
	}
}
END_TEST

/* A sanitizer sees what is left. */
START_TEST(a_reply_that_breaks_off_leaves_nothing_behind)
{
	static const char *const rows[] = {"*3\r\n:1\r\n$2\r\nxy\r\n", "*2\r\n*2\r\n+a\r\n",
					   "*2\r\n:1\r\n!", "*2\r\n:1\r\n:x\r\n"};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++)
		ck_assert_uint_eq(compare(rows[i], strlen(rows[i]), strlen(rows[i])), 0);
	reply_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reply");
	TCase *tcase = tcase_create("reply");

	tcase_add_test(tcase, every_kind_of_reply_is_as_hiredis_reads_it);
	tcase_add_test(tcase, a_reply_of_any_size_is_whole);
	tcase_add_test(tcase, any_replies_in_any_pieces_are_as_hiredis_reads_them);
	tcase_add_test(tcase, a_reply_that_breaks_off_leaves_nothing_behind);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
