/* Readers that do not read, or not as fast as changes come. */
#include "calls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Publishes changes of user 2, some kB each, so that few of them fill every buffer. */
static void publish_padded(struct stack *stack, int count, int *version)
{
	static char padding[4000];

	memset(padding, 'x', sizeof padding - 1);
	for (int i = 0; i < count; i++)
		redis_int(stack,
			  "PUBLISH user:status:2 {\"user_id\":2,\"is_online\":true,\"status\":"
			  "\"online\",\"version\":%d,\"padding\":\"%s\"}",
			  ++*version, padding);
}

/* Reads up to the change of this version. */
static void read_to_version(struct sse *sse, int version)
{
	struct event *event;

	do
		event = sse_wait(sse, "status_change", 5000);
	while (json_object_get_int(json_at(event->json, "version")) != version);
}

START_TEST(a_slow_reader_is_resynchronised_and_delays_nobody)
{
	struct stack *stack = stack_start("");
	struct sse *slow = sse_open_direct(stack, 0, token_for(stack, "1"));
	struct sse *fast = sse_open_direct(stack, 0, token_for(stack, "3"));
	struct event *event;
	int version = 0, changes = 0;

	sse_ready(slow);
	sse_ready(fast);
	for (int i = 0; i < 40; i++) {
		int64_t start = now_ms();

		publish_padded(stack, 10, &version);
		read_to_version(fast, version);
		ck_assert_msg(now_ms() - start < patience(1000), "10 changes took %lld ms",
			      (long long)(now_ms() - start));
	}
	/* 400 changes of 4 kB are more than socket and queue hold. */
	do {
		event = sse_next(slow, patience(5000));
		ck_assert_msg(event != NULL, "no initial came after %d changes", changes);
		changes += strcmp(event->name, "status_change") == 0;
	} while (strcmp(event->name, "initial") != 0);
	ck_assert_msg(changes < 400, "all changes came: the reader was not slow");
	CHECK_JSON(event->json, "{'2':'<any>','3':'<any>'," NEVER_SEEN_AT(4) "," NEVER_SEEN_AT(
					5) "," NEVER_SEEN_AT(6) "}");
	publish_padded(stack, 1, &version);
	read_to_version(slow, version);
	sse_close(slow);
	sse_close(fast);
	stack_stop(stack);
}
END_TEST

START_TEST(a_slow_reader_behind_the_web_server_is_resynchronised)
{
	struct stack *stack = stack_start("stream { queue_limit = 8192 }");
	struct sse *slow = sse_open(stack, token_for(stack, "1"));
	struct event *event;
	int version = 0, changes = 0;

	sse_ready(slow);
	/* lighttpd stops reading at about 60 kB, but the kernel holds megabytes for a TCP peer. */
	publish_padded(stack, 4000, &version);
	do {
		event = sse_next(slow, patience(10000));
		ck_assert_msg(event != NULL, "no initial came after %d changes", changes);
		changes += strcmp(event->name, "status_change") == 0;
	} while (strcmp(event->name, "initial") != 0);
	ck_assert_int_lt(changes, 4000);
	sse_close(slow);
	stack_stop(stack);
}
END_TEST

START_TEST(a_reader_that_reads_nothing_for_two_heartbeats_is_closed)
{
	struct stack *stack = stack_start(FAST "stream { queue_limit = 8192 }\n");
	struct sse *stuck = sse_open_direct(stack, 0, token_for(stack, "1")), *lazy;
	int version = 0;
	int64_t start = now_ms();

	sse_ready(stuck);
	publish_padded(stack, 400, &version);
	lazy = sse_open_direct(stack, 0, token_for(stack, "3"));
	sse_ready(lazy);
	/* Neither is read from now on, but only the first has a full socket. Its session ends. */
	WAIT_UNTIL(!redis_has(stack, "user:sessions:1"), 2000 + 1000 + 2000 + 2000);
	ck_assert_int_ge(now_ms() - start, 1000);
	ck_assert(sse_wait_end(stuck, 3000));
	for (int i = 0; i < 5; i++)
		sse_wait(lazy, "heartbeat", 3000);
	ck_assert(!sse_ended(lazy));
	sse_close(lazy);
	stack_stop(stack);
}
END_TEST

static int unread(struct sse *sse)
{
	int bytes = 0;

	ck_assert_int_eq(ioctl(sse_fd(sse), FIONREAD, &bytes), 0);
	return bytes;
}

START_TEST(padding_follows_what_is_sent_and_counts_in_no_queue)
{
	struct stack *stack = stack_start("stream { padding = 262144 queue_limit = 4096 }");
	struct sse *sse = sse_open_direct(stack, 0, token_for(stack, "1"));

	sse_ready(sse);
	touch(stack, token_for(stack, "2"));
	/* More than the socket holds: what comes now waits for the padding to go. */
	WAIT_UNTIL(unread(sse) > 50000, 5000);
	touch(stack, token_for(stack, "3"));
	touch(stack, token_for(stack, "4"));
	ck_assert_str_eq(json_text(sse_expect(sse, "status_change", 5000)->json, "user_id"), "2");
	ck_assert_str_eq(json_text(sse_expect(sse, "status_change", 5000)->json, "user_id"), "3");
	ck_assert_str_eq(json_text(sse_expect(sse, "status_change", 5000)->json, "user_id"), "4");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_slow_reader_gets_its_own_status_again)
{
	struct stack *stack = stack_start("stream { queue_limit = 65536 }");
	const char *anna = token_for(stack, "1");
	struct sse *slow = sse_open_direct(stack, 0, anna);
	struct event *event;
	int version = 0, before;
	bool is_resynchronised = false;

	sse_ready(slow);
	/* Once the socket is full, the own STATUS waits in the queue, and what follows overruns that. */
	do {
		before = unread(slow);
		publish_padded(stack, 2, &version);
		redis_int(stack, "PUBLISH user:inbox:1 {}");
	} while (unread(slow) > before);
	HTTP(stack, .method = "PUT", .path = "/api/presence/status", .token = anna,
	     .body = "{\"status\":\"busy\"}");
	publish_padded(stack, 100, &version);
	do {
		event = sse_next(slow, patience(5000));
		ck_assert_msg(event != NULL, "the own STATUS did not come%s",
			      is_resynchronised ? " after initial" : ", nor initial");
		is_resynchronised = is_resynchronised || strcmp(event->name, "initial") == 0;
	} while (strcmp(event->name, "self") != 0 ||
		 strcmp(json_text(event->json, "status"), "busy") != 0);
	sse_close(slow);
	stack_stop(stack);
}
END_TEST

#define TYPES "{\"type\":\"typing\",\"user_id\":3,\"typing\":true}"

/* Reads all changes up to this version, each of which must come; how many tell that somebody types. */
static int read_all_to_version(struct sse *sse, int version)
{
	int typing = 0;

	for (int next = 1; next <= version;) {
		struct event *event = sse_next(sse, patience(5000));

		ck_assert_msg(event != NULL, "no change %d of %d came", next, version);
		ck_assert_msg(strcmp(event->name, "initial") != 0,
			      "the reader was resynchronised after change %d", next - 1);
		typing += strcmp(event->name, "typing") == 0;
		/* The other reader's coming online may be told, too. */
		if (strcmp(event->name, "status_change") == 0 &&
		    json_object_get_int(json_at(event->json, "user_id")) == 2) {
			ck_assert_int_eq(json_object_get_int(json_at(event->json, "version")),
					 next);
			next++;
		}
	}
	return typing;
}

START_TEST(a_slow_reader_loses_who_types_and_nothing_else)
{
	struct stack *stack = stack_start("stream { queue_limit = 65536 }");
	struct sse *fast = sse_open_direct(stack, 0, token_for(stack, "4")), *slow;
	int version = 0, before, typing, full = 0;

	sse_ready(fast); /* first: it is a friend, of whom the other would hear */
	slow = sse_open_direct(stack, 0, token_for(stack, "1"));
	sse_ready(slow);
	do { /* until the socket is full, and stays so: the system may make room once more */
		before = unread(slow);
		publish_padded(stack, 2, &version);
		read_to_version(fast, version);
		full = unread(slow) > before ? 0 : full + 1;
	} while (full < 3);
	for (int i = 0; i < 3000; i++) /* several times the queue */
		redis_int(stack, "PUBLISH user:inbox:1 %s", TYPES);
	publish_padded(stack, 5, &version);
	typing = read_all_to_version(slow, version);
	ck_assert_msg(typing == 0, "%d events came that tell of somebody typing", typing);
	/* Who reads again is told again. */
	redis_int(stack, "PUBLISH user:inbox:1 %s", TYPES);
	sse_wait(slow, "typing", 5000);
	stack_stop(stack);
}
END_TEST

/* Many at once, so that they wait in the queue when the socket is full. */
START_TEST(who_types_makes_room_for_changes)
{
	struct stack *stack = stack_start("stream { queue_limit = 16384 }");
	struct sse *fast = sse_open_direct(stack, 0, token_for(stack, "4")), *slow;
	int version = 0, before;

	sse_ready(fast); /* first: see above */
	slow = sse_open_direct(stack, 0, token_for(stack, "1"));
	sse_ready(slow);
	do {
		before = unread(slow);
		redis_int(stack, "EVAL %s 0 %s",
			  "for i = 1, 100 do redis.call('PUBLISH', 'user:inbox:1', ARGV[1]) end "
			  "return 1",
			  TYPES);
		redis_int(stack, "PUBLISH user:inbox:4 %s", TYPES);
		sse_wait(fast, "typing", 5000);
	} while (unread(slow) > before);
	publish_padded(stack, 3, &version); /* of the 16 kB; a fourth would be too much */
	read_all_to_version(slow, version);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("slow readers");
	TCase *tcase = harness_case(suite, "slow readers", 60);

	tcase_add_test(tcase, a_slow_reader_is_resynchronised_and_delays_nobody);
	tcase_add_test(tcase, a_slow_reader_behind_the_web_server_is_resynchronised);
	tcase_add_test(tcase, a_reader_that_reads_nothing_for_two_heartbeats_is_closed);
	tcase_add_test(tcase, a_slow_reader_gets_its_own_status_again);
	tcase_add_test(tcase, a_slow_reader_loses_who_types_and_nothing_else);
	tcase_add_test(tcase, who_types_makes_room_for_changes);
	tcase_add_test(tcase, padding_follows_what_is_sent_and_counts_in_no_queue);
	return harness_main(suite);
}
