/* Connections on their way between presence-api's processes. */
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/channel.h"

static int ends[2], pair[2];

static void setup(void)
{
	ck_assert(channel_open(ends));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static struct printbuf *bytes_of(size_t len)
{
	struct printbuf *bytes = buf_new();

	for (size_t i = 0; i < len; i++)
		buf_put(bytes, &(char){(char)(i * 7)}, 1);
	return bytes;
}

/* Up to the size of a message, and more, which goes in a file. */
static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 200000};

START_TEST(a_connection_comes_with_what_was_taken_from_it)
{
	static const enum channel_word words[] = {CHANNEL_REQUEST, CHANNEL_YOUNG, CHANNEL_KEPT,
						  CHANNEL_LEFTOVER};
	struct printbuf *sent = bytes_of(sizes[_i]), *came = bytes_of(3);
	enum channel_word word;
	char byte;

	for (size_t i = 0; i < UNIT_COUNT(words); i++) {
		int fd;

		ck_assert(channel_send(ends[0], pair[0], words[i], sent));
		fd = channel_receive(ends[1], &word, came);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(word, words[i]);
		ck_assert_uint_eq(buf_len(came), sizes[_i]);
		ck_assert_mem_eq(came->buf, sent->buf, sizes[_i]);
		ck_assert_int_eq(write(fd, "x", 1), 1);
		ck_assert_int_eq(read(pair[1], &byte, 1), 1);
		close(fd);
	}
	printbuf_free(sent);
	printbuf_free(came);
}
END_TEST

START_TEST(a_full_channel_refuses_and_loses_nothing)
{
	struct printbuf *sent = bytes_of(1000), *came = buf_new();
	enum channel_word word;
	int count = 0, fd;

	while (channel_send(ends[1], pair[0], CHANNEL_YOUNG, sent))
		count++;
	ck_assert_msg(errno == EAGAIN || errno == ETOOMANYREFS, "refused: %s", strerror(errno));
	ck_assert_int_gt(count, 0);
	for (; (fd = channel_receive(ends[0], &word, came)) >= 0; count--) {
		ck_assert_uint_eq(buf_len(came), 1000);
		close(fd);
	}
	ck_assert_int_eq(fd, CHANNEL_EMPTY);
	ck_assert_int_eq(count, 0);
	ck_assert(channel_send(ends[1], pair[0], CHANNEL_YOUNG, sent));
	printbuf_free(sent);
	printbuf_free(came);
}
END_TEST

START_TEST(what_is_left_comes_before_the_end)
{
	bool dies = _i == 1; /* else it finishes, and may still receive */
	struct printbuf *came = buf_new();
	enum channel_word word;

	ck_assert(!channel_is_finished(ends[1]));
	ck_assert_int_eq(channel_receive(ends[1], &word, came), CHANNEL_EMPTY);
	ck_assert(channel_send(ends[0], pair[0], CHANNEL_REQUEST, NULL));
	if (dies)
		close(ends[0]);
	else
		channel_finish(ends[0]);
	ck_assert(channel_is_finished(ends[1]));
	ck_assert_int_ge(channel_receive(ends[1], &word, came), 0);
	ck_assert_int_eq(channel_receive(ends[1], &word, came), CHANNEL_ENDED);
	ck_assert_int_eq(channel_send(ends[1], pair[0], CHANNEL_KEPT, NULL), !dies);
	printbuf_free(came);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("channel");
	TCase *tcase = tcase_create("channel");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, a_connection_comes_with_what_was_taken_from_it, 0,
			    UNIT_COUNT(sizes));
	tcase_add_test(tcase, a_full_channel_refuses_and_loses_nothing);
	tcase_add_loop_test(tcase, what_is_left_comes_before_the_end, 0, 2);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
