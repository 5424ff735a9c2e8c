/*
 * Limits that hold in a test's time and on any machine: docs/reliability.md. Those that take minutes
 * are in tests/long.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "wire.h"

#define COUNT "/api/online-status/count"
#define STREAM "/api/presence/stream"

/* --- streams up to the limit and beyond --------------------------------------------------- */

START_TEST(beyond_the_descriptor_limit_streams_get_503_and_the_others_go_on)
{
	/* streamd keeps 96 of its descriptors for what is no stream, see src/stream/server.c. */
	enum { DESCRIPTORS = 128, FIT = 32, BEYOND = 20 };
	struct stack *stack = stack_new("presence { max_sessions = 1000 }\n"
					"stream { max_streams_per_user = 1000 }\n");
	struct sse *streams[FIT], *freed = NULL;

	stack->streamd_nofile = DESCRIPTORS;
	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	for (int i = 0; i < FIT; i++)
		streams[i] = sse_open(stack, token_for(stack, "1"));
	for (int i = 0; i < FIT; i++)
		sse_ready(streams[i]);
	for (int i = 0; i < BEYOND; i++)
		check_problem(HTTP(stack, .path = STREAM, .token = token_for(stack, "3")), 503,
			      "server_full");
	/* Everybody else is served as before. */
	http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	for (int i = 0; i < FIT; i++)
		sse_wait_change(streams[i], "2", true, 5000);
	/* A place that is freed is taken. */
	sse_close(streams[0]);
	WAIT_UNTIL((freed != NULL ? sse_close(freed) : (void)0,
		    freed = sse_open(stack, token_for(stack, "3")), sse_status(freed) == 200),
		   5000);
	sse_ready(freed);
	for (int i = 1; i < FIT; i++)
		sse_close(streams[i]);
	stack_stop(stack);
}
END_TEST

/* --- peers that say nothing or one byte --------------------------------------------------- */

enum { PEERS = 64 }; /* of each kind; there are 2 workers */

static void check_silent_peers(const char *socket, struct stack *stack)
{
	int silent[PEERS], chatty[PEERS];
	const char *token = token_for(stack, "1");
	struct sse *sse;

	for (int i = 0; i < PEERS; i++) {
		WAIT_UNTIL((silent[i] = wire_connect(socket)) >= 0, 10000);
		WAIT_UNTIL((chatty[i] = wire_connect(socket)) >= 0, 10000);
		wire_send(chatty[i], "\1", 1); /* the version of a record that never comes */
	}
	/* http_ok() itself waits 10 s at most; here are more than 2 for each worker. */
	for (int i = 0; i < 10; i++)
		http_ok(stack, COUNT, token, NULL);
	sse = sse_open(stack, token_for(stack, "2"));
	sse_ready(sse);
	sse_close(sse);
	for (int i = 0; i < PEERS; i++) {
		close(silent[i]);
		close(chatty[i]);
	}
	http_ok(stack, COUNT, token, NULL);
}

START_TEST(silent_and_one_byte_peers_of_streamd_delay_nobody)
{
	struct stack *stack = stack_start("");

	check_silent_peers(streamd_socket(stack, 0), stack);
	stack_stop(stack);
}
END_TEST

START_TEST(silent_and_one_byte_peers_of_the_api_delay_nobody)
{
	struct stack *stack = stack_start("");

	check_silent_peers(stack_path(stack, "api.sock-0"), stack);
	stack_stop(stack);
}
END_TEST

/* --- readers that do not read ------------------------------------------------------------- */

START_TEST(a_client_that_never_reads_costs_at_most_queue_limit)
{
	enum { READERS = 20, QUEUE_KB = 64, MESSAGES = 2000, MESSAGE = 4000 };
	struct stack *stack = stack_new("presence { max_sessions = 1000 heartbeat = 30 }\n"
					"stream { max_streams_per_user = 1000 }\n");
	struct sse *readers[READERS], *witness;
	char padding[MESSAGE];
	long before, after;

	redis_start(stack, NULL);
	streamd_start(stack, 0);
	memset(padding, 'x', sizeof padding - 1);
	padding[sizeof padding - 1] = '\0';
	for (int i = 0; i < READERS; i++) {
		readers[i] = sse_open_direct(stack, 0, token_for(stack, "1"));
		sse_ready(readers[i]);
	}
	witness = sse_open_direct(stack, 0, token_for(stack, "3"));
	sse_ready(witness);
	before = resident_kb(stack->streamd[0]);
	/* 8 MB for each of them. */
	for (int i = 0; i < MESSAGES; i++) {
		redis_int(stack, "PUBLISH user:status:2 {\"version\":%d,\"x\":\"%s\"}", i, padding);
		while (i % 50 == 0) {
			struct event *event = sse_wait(witness, "status_change", 5000);

			if (json_object_get_int(json_at(event->json, "version")) == i)
				break;
		}
	}
	after = resident_kb(stack->streamd[0]);
	/* Half as much again for what the allocator keeps. Sanitizers keep all that was freed. */
	if (getenv("SANITIZE") == NULL || *getenv("SANITIZE") == '\0')
		ck_assert_msg(after - before <= READERS * QUEUE_KB * 3 / 2,
			      "%d readers have made streamd grow from %ld kB to %ld kB", READERS,
			      before, after);
	for (int i = 0; i < READERS; i++)
		sse_close(readers[i]);
	sse_close(witness);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limits");
	TCase *tcase = harness_case(suite, "limits", 60);

	tcase_add_test(tcase, beyond_the_descriptor_limit_streams_get_503_and_the_others_go_on);
	tcase_add_test(tcase, silent_and_one_byte_peers_of_streamd_delay_nobody);
	tcase_add_test(tcase, silent_and_one_byte_peers_of_the_api_delay_nobody);
	tcase_add_test(tcase, a_client_that_never_reads_costs_at_most_queue_limit);
	return harness_main(suite);
}
