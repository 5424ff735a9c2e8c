/* Frames are whole FastCGI records, shared and counted. */
#include "unit.h"

#include "base/alloc.h"
#include "base/fcgi.h"
#include "stream/frame.h"

START_TEST(a_frame_is_its_data_in_records_of_at_most_65535_bytes)
{
	static const size_t lengths[] = {1, 127, 128, 65535, 65536, 131071};

	for (size_t i = 0; i < UNIT_COUNT(lengths); i++) {
		char *data = xcalloc(1, lengths[i]);
		struct frame *frame = frame_new(data, lengths[i]);
		struct printbuf *records = buf_new();

		fcgi_put_stdout(records, 0, data, lengths[i]);
		ck_assert(frame->shared);
		ck_assert_uint_eq(frame->len, buf_len(records));
		ck_assert_mem_eq(frame->records, records->buf, frame->len);
		frame_unref(frame);
		printbuf_free(records);
		free(data);
	}
}
END_TEST

START_TEST(made_records_stay_as_they_are)
{
	struct printbuf *end = buf_new();
	struct frame *frame;

	fcgi_put_end(end, 7);
	frame = frame_of_records(end->buf, buf_len(end));
	ck_assert(!frame->shared);
	ck_assert_uint_eq(frame->len, buf_len(end));
	ck_assert_mem_eq(frame->records, end->buf, frame->len);
	frame_unref(frame);
	printbuf_free(end);
}
END_TEST

START_TEST(a_frame_lives_as_long_as_its_last_reference)
{
	struct frame *frame = frame_new("x", 1);

	ck_assert_uint_eq(frame->references, 1);
	ck_assert_ptr_eq(frame_ref(frame), frame);
	ck_assert_uint_eq(frame->references, 2);
	frame_unref(frame);
	ck_assert_uint_eq(frame->references, 1);
	frame_unref(frame);
	frame_unref(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame");
	TCase *tcase = tcase_create("frame");

	tcase_add_test(tcase, a_frame_is_its_data_in_records_of_at_most_65535_bytes);
	tcase_add_test(tcase, made_records_stay_as_they_are);
	tcase_add_test(tcase, a_frame_lives_as_long_as_its_last_reference);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
