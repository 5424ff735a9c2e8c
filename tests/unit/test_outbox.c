/* An outbox sends its frames in order, whole, whatever the socket takes. */
#include "unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "stream/events.h"
#include "base/fcgi.h"
#include "stream/outbox.h"

static int sockets[2];

static void setup(void)
{
	int small = 4096;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
	setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

static void teardown(void)
{
	close(sockets[0]);
	close(sockets[1]);
}

/* Reads what is there; returns how many bytes that were. */
static size_t drain(struct printbuf *into)
{
	char data[1 << 16];
	ssize_t len;
	size_t total = 0;

	while ((len = read(sockets[1], data, sizeof data)) > 0) {
		buf_put(into, data, (size_t)len);
		total += (size_t)len;
	}
	return total;
}

/* The contents of the FCGI_STDOUT records in `bytes`, which all carry `id`. */
static struct printbuf *contents(const struct printbuf *bytes, uint16_t id)
{
	struct printbuf *out = buf_new();
	const uint8_t *at = (const uint8_t *)bytes->buf, *end = at + buf_len(bytes);

	while (at < end) {
		size_t len = (size_t)at[4] << 8 | at[5];

		ck_assert_int_ge(end - at, 8);
		ck_assert_uint_eq((unsigned)at[2] << 8 | at[3], id);
		buf_put(out, at + 8, len);
		at += 8 + len + at[6];
	}
	ck_assert_ptr_eq(at, end);
	return out;
}

START_TEST(a_shared_frame_carries_each_streams_id)
{
	static const uint16_t ids[] = {1, 513, 65535};
	struct frame *frame = events_frame("e", "x", 1);

	for (size_t i = 0; i < UNIT_COUNT(ids); i++) {
		struct outbox outbox = {0};
		struct printbuf *bytes = buf_new(), *text;
		bool progress;

		outbox_push(&outbox, frame);
		ck_assert_int_eq(outbox_send(&outbox, sockets[0], ids[i], &progress), OUTBOX_EMPTY);
		ck_assert(progress);
		drain(bytes);
		text = contents(bytes, ids[i]);
		ck_assert_str_eq(text->buf, "event: e\ndata: x\n\n");
		printbuf_free(text);
		printbuf_free(bytes);
	}
	ck_assert_uint_eq(frame->references, 1);
	frame_unref(frame);
}
END_TEST

START_TEST(what_is_left_of_the_first_frame_is_told)
{
	static const size_t lengths[] = {3, 4, 65535, 65536, 262144};

	for (size_t i = 0; i < UNIT_COUNT(lengths); i++) {
		struct frame *frame = events_padding(lengths[i]);
		struct outbox outbox = {0};
		struct printbuf *bytes = buf_new(), *text;
		bool progress;

		outbox_push(&outbox, frame);
		ck_assert_uint_eq(outbox_left_of_first(&outbox, frame), frame->len);
		ck_assert_uint_eq(outbox_left_of_first(&outbox, NULL), 0);
		while (outbox_send(&outbox, sockets[0], 1, &progress) == OUTBOX_BLOCKED) {
			drain(bytes);
			ck_assert_uint_eq(outbox_left_of_first(&outbox, frame), outbox.bytes);
		}
		ck_assert_uint_eq(outbox_left_of_first(&outbox, frame), 0);
		drain(bytes);
		text = contents(bytes, 1);
		ck_assert_uint_eq(buf_len(text), lengths[i]);
		printbuf_free(text);
		printbuf_free(bytes);
		frame_unref(frame);
	}
}
END_TEST

START_TEST(made_records_are_sent_as_they_are)
{
	struct printbuf *end = buf_new(), *bytes = buf_new();
	struct outbox outbox = {0};
	struct frame *frame;
	bool progress;

	fcgi_put_end(end, 7);
	frame = frame_of_records(end->buf, buf_len(end));
	outbox_push(&outbox, frame);
	frame_unref(frame);
	outbox_send(&outbox, sockets[0], 9, &progress);
	drain(bytes);
	ck_assert_uint_eq(buf_len(bytes), buf_len(end));
	ck_assert_mem_eq(bytes->buf, end->buf, buf_len(end));
	printbuf_free(end);
	printbuf_free(bytes);
}
END_TEST

START_TEST(what_a_slow_socket_gets_is_whole_and_in_order)
{
	enum { FRAMES = 300 };
	struct printbuf *expected = buf_new(), *bytes = buf_new(), *text;
	struct outbox outbox = {0};
	enum outbox_result result;
	bool progress, was_blocked = false;

	for (int i = 0; i < FRAMES; i++) {
		char data[400];
		struct frame *frame;

		memset(data, 'a' + i % 26, sizeof data);
		frame = events_frame("n", data, (size_t)(1 + i * 7 % 399));
		events_put(expected, "n", data, (size_t)(1 + i * 7 % 399));
		outbox_push(&outbox, frame);
		frame_unref(frame);
	}
	while ((result = outbox_send(&outbox, sockets[0], 3, &progress)) == OUTBOX_BLOCKED) {
		was_blocked = true;
		ck_assert_msg(drain(bytes) > 0, "blocked although the socket is empty");
	}
	ck_assert_int_eq(result, OUTBOX_EMPTY);
	ck_assert_msg(was_blocked, "the socket took everything: the test shows nothing");
	drain(bytes);
	text = contents(bytes, 3);
	ck_assert_uint_eq(buf_len(text), buf_len(expected));
	ck_assert_mem_eq(text->buf, expected->buf, buf_len(expected));
	ck_assert_uint_eq(outbox.bytes, 0);
	ck_assert_ptr_null(outbox.many);
	printbuf_free(text);
	printbuf_free(bytes);
	printbuf_free(expected);
}
END_TEST

START_TEST(dropping_keeps_the_frame_that_has_begun)
{
	struct printbuf *bytes = buf_new(), *text;
	struct outbox outbox = {0};
	char *large = xcalloc(1, 60000);
	struct frame *first, *second = events_frame("second", "2", 1);
	bool progress;

	memset(large, 'x', 60000);
	first = events_frame("first", large, 60000);
	outbox_push(&outbox, first);
	outbox_push(&outbox, second);
	ck_assert_int_eq(outbox_send(&outbox, sockets[0], 1, &progress), OUTBOX_BLOCKED);
	outbox_drop_unsent(&outbox);
	ck_assert_uint_eq(outbox.count, 1);
	ck_assert_uint_eq(second->references, 1);
	do
		drain(bytes);
	while (outbox_send(&outbox, sockets[0], 1, &progress) == OUTBOX_BLOCKED);
	drain(bytes);
	text = contents(bytes, 1);
	ck_assert_uint_eq(buf_len(text), strlen("event: first\ndata: \n\n") + 60000);
	printbuf_free(text);
	printbuf_free(bytes);
	frame_unref(first);
	frame_unref(second);
	free(large);
}
END_TEST

START_TEST(dropping_before_anything_was_sent_empties_the_outbox)
{
	struct outbox outbox = {0};
	struct frame *frame = events_frame("e", "x", 1);

	for (int i = 0; i < 10; i++)
		outbox_push(&outbox, frame);
	outbox_drop_unsent(&outbox);
	ck_assert_uint_eq(outbox.count, 0);
	ck_assert_uint_eq(outbox.bytes, 0);
	ck_assert_uint_eq(frame->references, 1);
	frame_unref(frame);
}
END_TEST

START_TEST(what_is_fleeting_goes_alone_unless_it_has_begun)
{
	enum { FRAMES = 20 };
	struct printbuf *expected = buf_new(), *bytes = buf_new(), *text;
	struct outbox outbox = {0};
	char *large = xcalloc(1, 60000);
	struct frame *first;
	size_t len = 0;
	bool progress;

	memset(large, 'x', 60000);
	first = events_frame("first", large, 60000);
	first->fleeting = true;
	outbox_push(&outbox, first);
	frame_unref(first);
	ck_assert_int_eq(outbox_send(&outbox, sockets[0], 1, &progress), OUTBOX_BLOCKED);
	events_put(expected, "first", large, 60000);
	for (int i = 0; i < FRAMES; i++) {
		char data[2] = {(char)('a' + i), '\0'};
		struct frame *frame = events_frame("n", data, 1);

		frame->fleeting = i % 3 != 1;
		if (!frame->fleeting) {
			events_put(expected, "n", data, 1);
			len += frame->len;
		}
		outbox_push(&outbox, frame);
		frame_unref(frame);
	}
	len += outbox_left_of_first(&outbox, first);
	outbox_drop_fleeting(&outbox);
	ck_assert_uint_eq(outbox.bytes, len);
	do
		drain(bytes);
	while (outbox_send(&outbox, sockets[0], 1, &progress) == OUTBOX_BLOCKED);
	drain(bytes);
	text = contents(bytes, 1);
	ck_assert_uint_eq(buf_len(text), buf_len(expected));
	ck_assert_mem_eq(text->buf, expected->buf, buf_len(expected));
	printbuf_free(text);
	printbuf_free(bytes);
	printbuf_free(expected);
	free(large);
}
END_TEST

START_TEST(an_outbox_of_fleeting_frames_is_empty_without_them)
{
	struct outbox outbox = {0};
	struct frame *frame = events_frame("e", "x", 1);

	frame->fleeting = true;
	for (int i = 0; i < 10; i++)
		outbox_push(&outbox, frame);
	outbox_drop_fleeting(&outbox);
	ck_assert_uint_eq(outbox.count, 0);
	ck_assert_uint_eq(outbox.bytes, 0);
	ck_assert_ptr_null(outbox.many);
	ck_assert_uint_eq(frame->references, 1);
	frame_unref(frame);
}
END_TEST

START_TEST(a_closed_socket_is_an_error)
{
	struct outbox outbox = {0};
	struct frame *frame = events_frame("e", "x", 1);
	bool progress;

	close(sockets[1]);
	outbox_push(&outbox, frame);
	frame_unref(frame);
	ck_assert_int_eq(outbox_send(&outbox, sockets[0], 1, &progress), OUTBOX_ERROR);
	ck_assert(!progress);
	outbox_clear(&outbox);
	sockets[1] = dup(sockets[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outbox");
	TCase *tcase = tcase_create("outbox");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_shared_frame_carries_each_streams_id);
	tcase_add_test(tcase, what_is_left_of_the_first_frame_is_told);
	tcase_add_test(tcase, made_records_are_sent_as_they_are);
	tcase_add_test(tcase, what_a_slow_socket_gets_is_whole_and_in_order);
	tcase_add_test(tcase, dropping_keeps_the_frame_that_has_begun);
	tcase_add_test(tcase, dropping_before_anything_was_sent_empties_the_outbox);
	tcase_add_test(tcase, what_is_fleeting_goes_alone_unless_it_has_begun);
	tcase_add_test(tcase, an_outbox_of_fleeting_frames_is_empty_without_them);
	tcase_add_test(tcase, a_closed_socket_is_an_error);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
