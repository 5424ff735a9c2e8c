/*
 * Thousands of streams: up to the descriptor limit and beyond it, all killed at once and coming back,
 * thousands that nobody reads. `make check-long`; docs/reliability.md tells what it showed.
 */
#include "swarm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../integration/process.h"

#define COUNT "/api/online-status/count"
#define FIRST 1000 /* the first user's id; user 1 is everybody's friend */
#define FRIENDS 50
#define SITE                                                                               \
	"directory { backend = redis }\nauth { login = external }\napi { children = 4 }\n" \
	"stream { max_streams = 19000 }\nlog { level = info }\n"

static char *unix_target(struct stack *stack)
{
	char *target;

	ck_assert(asprintf(&target, "unix:%s", streamd_socket(stack, 0)) > 0);
	return target;
}

/* Publishes a change of user 1 and waits until each of the clients has it. */
static double change_reaches_all(struct swarm *swarm, const char *id)
{
	int64_t start, limit = now_ms() + patience(30000);

	swarm_forget_changes(swarm);
	start = now_us();
	http_ok(swarm->stack, COUNT, token_for(swarm->stack, id), NULL);
	http_ok(swarm->stack, "/api/auth/logout?all=true", token_for(swarm->stack, id), "");
	while (swarm->changes < 2 * (uint64_t)swarm->ready) {
		swarm_turn(swarm, 10);
		ck_assert_msg(now_ms() < limit, "%llu of %u changes came",
			      (unsigned long long)swarm->changes, 2 * swarm->ready);
	}
	return (double)(now_us() - start) / 1000;
}

START_TEST(streams_up_to_the_descriptor_limit_and_503_beyond)
{
	/* The test's own process has no more than 20,000 descriptors either. */
	enum { DESCRIPTORS = 16384, SPARE = 96, FIT = DESCRIPTORS - SPARE, BEYOND = 1000 };
	struct stack *stack = stack_new(SITE);
	const char *targets[] = {unix_target(stack), NULL};
	struct swarm *swarm;
	struct probe *rest;
	int64_t start;
	long before;

	stack->streamd_nofile = DESCRIPTORS;
	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	befriend(stack, FIRST, FIRST + FIT + BEYOND - 1, FRIENDS);
	swarm = swarm_new(stack, targets, FIRST, FIT + BEYOND);
	rest = probe_http(stack, COUNT, token_for(stack, "2"), 20);
	before = pss_kb(stack->streamd[0]);
	start = now_ms();
	swarm_open(swarm, 0, FIT, 400, 120);
	tell("streams that one process with 16,384 descriptors holds", swarm->ready, "");
	tell("opened in", (double)(now_ms() - start) / 1000, "s");
	tell("memory of presence-streamd for each, 50 friends",
	     (double)(pss_kb(stack->streamd[0]) - before) / FIT, "kB");

	for (unsigned i = FIT; i < FIT + BEYOND; i++) {
		int64_t limit = now_ms() + patience(10000);

		while (!client_open(&swarm->clients[i]))
			swarm_turn(swarm, 1);
		while (swarm->opening > 20 && now_ms() < limit)
			swarm_turn(swarm, 1);
	}
	for (int64_t limit = now_ms() + patience(20000); swarm->opening > 0;) {
		swarm_turn(swarm, 10);
		ck_assert_msg(now_ms() < limit, "%u streams beyond are not answered",
			      swarm->opening);
	}
	tell("streams beyond that were refused with 503", swarm->refused, "");
	ck_assert_uint_eq(swarm->refused, BEYOND);
	ck_assert_uint_eq(swarm->ready, FIT);
	ck_assert_uint_eq(swarm->lost, 0);
	tell("online and offline of a friend of all reach every stream in",
	     change_reaches_all(swarm, "1"), "ms");
	probe_stop(rest);
	figure("REST calls that failed meanwhile", (double)rest->failed, "", 0);
	figure("the slowest REST call", (double)rest->worst_us / 1000, "ms", 5000);
	swarm_free(swarm);
	stack_stop(stack);
}
END_TEST

static unsigned count_at(const struct swarm *swarm, long long version)
{
	unsigned count = 0;

	for (unsigned i = 0; i < swarm->count; i++)
		count += swarm->clients[i].version == version;
	return count;
}

/* Faster than all can be told of each: everybody ends with the last, and others are served meanwhile. */
START_TEST(a_user_whom_all_watch_changes_all_the_time)
{
	enum { STREAMS = 15000, CHANGES = 300 };
	struct stack *stack = stack_new(SITE);
	const char *targets[] = {unix_target(stack), NULL};
	struct swarm *swarm;
	struct sse *other;
	int64_t start, opened, limit;

	redis_start(stack, NULL);
	streamd_start(stack, 0);
	befriend(stack, FIRST, FIRST + STREAMS - 1, 1);
	swarm = swarm_new(stack, targets, FIRST, STREAMS);
	swarm_open(swarm, 0, STREAMS, 400, 120);
	swarm_forget_changes(swarm);
	start = now_us();
	for (int version = 1; version <= CHANGES; version++) {
		redis_int(stack, "PUBLISH user:status:1 {\"user_id\":1,\"version\":%d}", version);
		swarm_turn(swarm, 1);
	}
	opened = now_us();
	other = sse_open_direct(stack, 0, token_for(stack, "2"));
	sse_ready(other);
	opened = now_us() - opened;
	sse_close(other);
	limit = now_ms() + patience(60000);
	while (count_at(swarm, CHANGES) < STREAMS) {
		for (int i = 0; i < 100; i++)
			swarm_turn(swarm, 1);
		ck_assert_msg(now_ms() < limit, "%u of %u have the last change",
			      count_at(swarm, CHANGES), STREAMS);
	}
	tell("300 changes of a user whom 15,000 streams watch: all have the last in",
	     (double)(now_us() - start) / 1000, "ms");
	tell("changes that a stream was told of", (double)swarm->changes / STREAMS, "");
	figure("a stream that opened meanwhile", (double)opened / 1000, "ms", 2000);
	for (unsigned i = 0; i < STREAMS; i++)
		ck_assert_msg(!swarm->clients[i].went_back, "user %u was told backwards",
			      swarm->clients[i].user);
	ck_assert_uint_eq(swarm->lost, 0);
	swarm_free(swarm);
	stack_stop(stack);
}
END_TEST

/* One lighttpd accepts nobody above nine tenths of 20,000 descriptors, and a stream takes two. */
static char *second_lighttpd(struct stack *stack, pid_t *pid)
{
	char *text = stack_file(stack, "lighttpd.conf"), *port, *out, old[64], new[64];
	const char *argv[] = {"lighttpd", "-D", "-f", stack_path(stack, "lighttpd2.conf"), NULL};
	int number = free_port();
	char *at;

	snprintf(old, sizeof old, "server.port = %d", stack->port);
	snprintf(new, sizeof new, "server.port = %d", number);
	at = strstr(text, old);
	ck_assert_ptr_nonnull(at);
	ck_assert(asprintf(&out, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old)) > 0);
	/* Its own presence-api, too. */
	at = strstr(out, "api.sock");
	ck_assert_ptr_nonnull(at);
	memcpy(at, "apj.sock", 8);
	stack_write(stack, "lighttpd2.conf", out);
	*pid = process_start(stack, "lighttpd2", argv, NULL, 0);
	WAIT_UNTIL(port_answers(number), 10000);
	ck_assert(asprintf(&port, "%d", number) > 0);
	return port;
}

static void forget_initials(struct swarm *swarm)
{
	for (unsigned i = 0; i < swarm->count; i++)
		swarm->clients[i].opened = 0;
}

/* How many clients had an `initial` since then. */
static unsigned count_back(const struct swarm *swarm)
{
	unsigned count = 0;

	for (unsigned i = 0; i < swarm->count; i++)
		count += swarm->clients[i].opened > 0;
	return count;
}

START_TEST(nine_thousand_streams_killed_at_once_come_back)
{
	enum { STREAMS = 9000 };
	struct stack *stack = stack_start(SITE);
	pid_t second;
	char *port;
	const char *targets[3] = {NULL};
	struct swarm *swarm;
	struct probe *rest;
	int64_t killed, back;

	ck_assert(asprintf(&port, "%d", stack->port) > 0);
	targets[0] = port;
	targets[1] = second_lighttpd(stack, &second);
	befriend(stack, FIRST, FIRST + STREAMS - 1, FRIENDS);
	swarm = swarm_new(stack, targets, FIRST, STREAMS);
	swarm_open(swarm, 0, STREAMS, 400, 120);
	rest = probe_http(stack, COUNT, token_for(stack, "2"), 10);
	swarm->comes_back = true;
	forget_initials(swarm); /* there may have been several, if Redis was slow meanwhile */
	killed = now_ms();
	streamd_end(stack, 0, SIGKILL);
	streamd_start(stack, 0);
	while (count_back(swarm) < STREAMS) {
		swarm_turn(swarm, 5);
		ck_assert_msg(now_ms() - killed < patience(60000), "%u of %u are back",
			      count_back(swarm), STREAMS);
	}
	back = now_ms();
	probe_stop(rest);
	figure("9,000 streams: a fresh initial for everybody after the kill",
	       (double)(back - killed) / 1000, "s", 15);
	tell("connections that were refused or lost on the way back",
	     swarm->lost + swarm->refused - STREAMS, "");
	tell("REST calls meanwhile", (double)rest->asked, "");
	figure("REST calls that failed", (double)rest->failed, "", 0);
	figure("the slowest REST call", (double)rest->worst_us / 1000, "ms", 5000);
	tell("online and offline of a friend of all reach every stream in",
	     change_reaches_all(swarm, "1"), "ms");
	swarm_free(swarm);
	process_end(&second, SIGTERM, "lighttpd", 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(readers_that_never_read_cost_at_most_queue_limit)
{
	enum { READERS = 1000, QUEUE_KB = 64, MESSAGES = 3000, MESSAGE = 3000 };
	struct stack *stack = stack_new(SITE);
	const char *targets[] = {unix_target(stack), NULL};
	struct swarm *swarm;
	struct sse *witness;
	char padding[MESSAGE];
	long before;

	redis_start(stack, NULL);
	streamd_start(stack, 0);
	befriend(stack, FIRST, FIRST + READERS, 1);
	swarm = swarm_new(stack, targets, FIRST, READERS);
	swarm_open(swarm, 0, READERS, 400, 60);
	swarm->is_deaf = true;
	witness = sse_open_direct(stack, 0, token_for(stack, "2000"));
	sse_ready(witness);
	before = pss_kb(stack->streamd[0]);
	memset(padding, 'x', sizeof padding - 1);
	padding[sizeof padding - 1] = '\0';
	for (int i = 0; i < MESSAGES; i++) {
		redis_int(stack, "PUBLISH user:status:1 {\"version\":%d,\"x\":\"%s\"}", i, padding);
		while (i % 10 == 0) { /* so that none waits in Redis */
			struct event *event = sse_wait(witness, "status_change", 5000);

			if (json_object_get_int(json_at(event->json, "version")) == i)
				break;
		}
	}
	tell("sent to each of 1,000 readers that do not read", MESSAGES * (double)MESSAGE / 1e6,
	     "MB");
	figure("memory of presence-streamd for each of them",
	       (double)(pss_kb(stack->streamd[0]) - before) / READERS, "kB", QUEUE_KB);
	sse_close(witness);
	swarm_free(swarm);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("thousands of streams");
	TCase *tcase = harness_case(suite, "streams", 600);

	stretch_timeouts();
	tcase_add_test(tcase, streams_up_to_the_descriptor_limit_and_503_beyond);
	tcase_add_test(tcase, nine_thousand_streams_killed_at_once_come_back);
	tcase_add_test(tcase, readers_that_never_read_cost_at_most_queue_limit);
	tcase = harness_case(suite, "watchers", 300);
	tcase_add_test(tcase, a_user_whom_all_watch_changes_all_the_time);
	return harness_main(suite);
}
