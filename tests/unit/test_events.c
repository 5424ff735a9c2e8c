/* The texts of the events. */
#include "unit.h"

#include "stream/events.h"
#include "base/fcgi.h"

START_TEST(an_event_is_one_name_one_data_line_and_a_blank_one)
{
	struct printbuf *out = buf_new();

	events_put(out, "heartbeat", "{\"time\":1}", 10);
	ck_assert_str_eq(out->buf, "event: heartbeat\ndata: {\"time\":1}\n\n");
	printbuf_free(out);
}
END_TEST

START_TEST(padding_is_a_comment_of_its_length)
{
	static const size_t lengths[] = {3, 4, 65535, 65536, 262144};

	for (size_t i = 0; i < UNIT_COUNT(lengths); i++) {
		struct frame *frame = events_padding(lengths[i]);
		struct printbuf *text = buf_new(), *records = buf_new();

		buf_puts(text, ":");
		memset(buf_extend(text, lengths[i] - 3), ' ', lengths[i] - 3);
		buf_puts(text, "\n\n");
		fcgi_put_stdout(records, 0, text->buf, buf_len(text));
		ck_assert_uint_eq(frame->len, buf_len(records));
		ck_assert_mem_eq(frame->records, records->buf, frame->len);
		printbuf_free(text);
		printbuf_free(records);
		frame_unref(frame);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *tcase = tcase_create("events");

	tcase_add_test(tcase, an_event_is_one_name_one_data_line_and_a_blank_one);
	tcase_add_test(tcase, padding_is_a_comment_of_its_length);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
