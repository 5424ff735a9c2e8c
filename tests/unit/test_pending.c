/* Who waits for answers hears them in the order of the questions, and a burst of them leaves no memory behind. */
#include "unit.h"

#include "base/buf.h"
#include "stream/pending.h"

#define MANY 5000

static size_t heard[MANY + 1], count;

static void on_reply(void *arg, const redisReply *reply)
{
	ck_assert_ptr_null(reply);
	heard[count++] = (size_t)arg;
}

static void push(struct pending_ring *ring, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		pending_push(ring, on_reply, (void *)i);
}

static void check_next(struct pending_ring *ring, size_t expected)
{
	struct pending oldest = pending_pop(ring);

	ck_assert_uint_eq((size_t)oldest.arg, expected);
}

START_TEST(the_oldest_comes_first_also_when_the_ring_grows_in_the_midst)
{
	struct pending_ring ring = {NULL};

	push(&ring, 0, 60);
	for (size_t i = 0; i < 50; i++)
		check_next(&ring, i);
	push(&ring, 60, MANY);
	for (size_t i = 50; i < MANY; i++)
		check_next(&ring, i);
	ck_assert_uint_eq(ring.count, 0);
	ck_assert_int_eq(pending_oldest_ms(&ring), INT64_MAX);
	pending_free(&ring);
}
END_TEST

START_TEST(what_is_dropped_is_heard_once_and_in_order)
{
	struct pending_ring ring = {NULL};

	count = 0;
	push(&ring, 0, MANY);
	pending_drop(&ring);
	ck_assert_uint_eq(count, MANY);
	for (size_t i = 0; i < MANY; i++)
		ck_assert_uint_eq(heard[i], i);
	pending_free(&ring);
}
END_TEST

START_TEST(a_burst_leaves_no_memory_behind)
{
	struct pending_ring ring = {NULL};
	struct printbuf *buf = buf_new();

	push(&ring, 0, MANY);
	pending_drop(&ring);
	ck_assert_msg(ring.capacity < MANY, "nobody waits, and there is room for %zu",
		      ring.capacity);
	push(&ring, 0, 3); /* it can be used on */
	check_next(&ring, 0);
	pending_free(&ring);

	memset(buf_extend(buf, 100 * BUF_KEPT), 'x', 100 * BUF_KEPT);
	buf_release(buf);
	ck_assert_uint_eq(buf_len(buf), 0);
	ck_assert_msg(buf->size <= BUF_KEPT, "an empty buffer keeps %d bytes", buf->size);
	buf_puts(buf, "more");
	ck_assert_str_eq(buf->buf, "more");
	printbuf_free(buf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pending");
	TCase *tcase = tcase_create("pending");

	tcase_add_test(tcase, the_oldest_comes_first_also_when_the_ring_grows_in_the_midst);
	tcase_add_test(tcase, what_is_dropped_is_heard_once_and_in_order);
	tcase_add_test(tcase, a_burst_leaves_no_memory_behind);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
