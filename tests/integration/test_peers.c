/* Peers that break the protocol, stop in the middle or say nothing. */
#include "calls.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fastcgi.h>

#include "base/buf.h"
#include "wire.h"

static void check_closed(struct stack *stack, const struct printbuf *bytes, const char *what)
{
	struct printbuf *in = buf_new();
	int fd = wire_connect_streamd(stack, 0);

	wire_send(fd, bytes->buf, buf_len(bytes));
	ck_assert_msg(wire_read(fd, in, 0, 5000), "%s: the connection is not closed", what);
	ck_assert_msg(strstr(in->buf, "text/event-stream") == NULL, "%s: a stream began", what);
	close(fd);
	printbuf_free(in);
}

START_TEST(a_request_cut_off_anywhere_harms_nobody)
{
	struct stack *stack = stack_start("");
	struct printbuf *request = buf_new();

	wire_stream_request(request, STREAM, token_for(stack, "1"));
	for (size_t len = 0; len < buf_len(request); len++) {
		int fd = wire_connect_streamd(stack, 0);

		wire_send(fd, request->buf, len);
		close(fd);
	}
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
	struct stack *stack = stack_start("");
	struct printbuf *request = buf_new(), *in = buf_new();
	int fd = wire_connect_streamd(stack, 0);

	wire_stream_request(request, STREAM, token_for(stack, "1"));
	for (size_t i = 0; i < buf_len(request); i++)
		wire_send(fd, request->buf + i, 1);
	ck_assert(wire_read(fd, in, 200, 5000));
	ck_assert_int_eq((unsigned char)in->buf[1], FCGI_STDOUT);
	ck_assert(memmem(in->buf, buf_len(in), "text/event-stream", 17) != NULL);
	close(fd);
	stack_stop(stack);
}
END_TEST

START_TEST(huge_parameter_lengths_are_refused)
{
	static const unsigned char lengths[][8] = {
		{0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfe},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x80, 0x00, 0x00, 0x01, 0xff, 0xff, 0xff, 0xff},
		{0x80, 0x01, 0x00, 0x00, 0x80, 0x01, 0x00, 0x00},
	};
	struct stack *stack = stack_start("");

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct printbuf *bytes = buf_new();

		wire_begin(bytes, 1, FCGI_RESPONDER, 0);
		wire_record(bytes, FCGI_PARAMS, 1, lengths[i], sizeof lengths[i]);
		wire_record(bytes, FCGI_PARAMS, 1, NULL, 0);
		wire_record(bytes, FCGI_STDIN, 1, NULL, 0);
		check_closed(stack, bytes, "lengths");
		printbuf_free(bytes);
	}
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(endless_parameters_are_refused)
{
	struct stack *stack = stack_start("");
	struct printbuf *bytes = buf_new(), *params = buf_new();
	char value[60001];

	memset(value, 'v', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	wire_pair(params, "HTTP_X", value);
	wire_begin(bytes, 1, FCGI_RESPONDER, 0);
	for (int i = 0; i < 100; i++)
		wire_record(bytes, FCGI_PARAMS, 1, params->buf, buf_len(params));
	check_closed(stack, bytes, "6 MB of parameters");
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(management_records_are_answered)
{
	struct stack *stack = stack_start("");
	struct printbuf *bytes = buf_new(), *names = buf_new(), *in = buf_new();
	int fd = wire_connect_streamd(stack, 0);

	for (int i = 0; i < 8; i++)
		wire_pair(names, FCGI_MAX_CONNS, "");
	wire_record(bytes, FCGI_GET_VALUES, 0, names->buf, buf_len(names));
	wire_send(fd, bytes->buf, buf_len(bytes));
	ck_assert(wire_read(fd, in, 8, 3000));
	ck_assert_int_eq((unsigned char)in->buf[1], FCGI_GET_VALUES_RESULT);
	ck_assert(
		wire_read(fd, in,
			  8 + (size_t)((unsigned char)in->buf[4] << 8 | (unsigned char)in->buf[5]) +
				  (unsigned char)in->buf[6],
			  3000));
	ck_assert(memmem(in->buf, buf_len(in), FCGI_MAX_CONNS, strlen(FCGI_MAX_CONNS)) != NULL);

	buf_reset(bytes);
	buf_reset(in);
	wire_record(bytes, 77, 0, "what", 4);
	wire_send(fd, bytes->buf, buf_len(bytes));
	ck_assert(wire_read(fd, in, 16, 3000));
	ck_assert_int_eq((unsigned char)in->buf[1], FCGI_UNKNOWN_TYPE);
	ck_assert_int_eq((unsigned char)in->buf[8], 77);
	close(fd);
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(another_version_is_refused)
{
	struct stack *stack = stack_start("");
	struct printbuf *bytes = buf_new();

	wire_stream_request(bytes, STREAM, token_for(stack, "1"));
	bytes->buf[0] = 2;
	check_closed(stack, bytes, "version 2");
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

/* Reads an FCGI_END_REQUEST of this protocol status for request `id`. */
static void check_end_request(int fd, unsigned id, unsigned status)
{
	struct printbuf *in = buf_new();

	ck_assert(wire_read(fd, in, 16, 3000));
	ck_assert_int_eq((unsigned char)in->buf[1], FCGI_END_REQUEST);
	ck_assert_int_eq((unsigned char)in->buf[3], id);
	ck_assert_int_eq((unsigned char)in->buf[12], status);
	printbuf_free(in);
}

START_TEST(another_role_is_refused)
{
	struct stack *stack = stack_start("");
	struct printbuf *bytes = buf_new();
	int fd = wire_connect_streamd(stack, 0);

	wire_begin(bytes, 1, FCGI_AUTHORIZER, FCGI_KEEP_CONN);
	wire_send(fd, bytes->buf, buf_len(bytes));
	check_end_request(fd, 1, FCGI_UNKNOWN_ROLE);
	close(fd);
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(a_second_request_on_a_connection_is_refused)
{
	struct stack *stack = stack_start("");
	struct printbuf *bytes = buf_new();
	int fd = wire_connect_streamd(stack, 0);

	wire_begin(bytes, 1, FCGI_RESPONDER, 0);
	wire_begin(bytes, 2, FCGI_RESPONDER, 0);
	wire_send(fd, bytes->buf, buf_len(bytes));
	check_end_request(fd, 2, FCGI_CANT_MPX_CONN);
	close(fd);
	buf_reset(bytes);
	wire_begin(bytes, 1, FCGI_RESPONDER, 0);
	wire_begin(bytes, 1, FCGI_RESPONDER, 0);
	check_closed(stack, bytes, "the same request twice");
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(a_request_without_method_or_uri_gets_no_stream)
{
	static const char *const names[] = {"REQUEST_METHOD", "REQUEST_URI"};
	struct stack *stack = stack_start("");

	for (int missing = 0; missing < 3; missing++) {
		struct printbuf *bytes = buf_new(), *params = buf_new(), *in = buf_new();
		int fd = wire_connect_streamd(stack, 0);

		for (int i = 0; i < 2; i++) {
			if (missing != 2 && missing != i)
				wire_pair(params, names[i], i == 0 ? "GET" : STREAM);
		}
		wire_begin(bytes, 1, FCGI_RESPONDER, 0);
		if (buf_len(params) > 0)
			wire_record(bytes, FCGI_PARAMS, 1, params->buf, buf_len(params));
		wire_record(bytes, FCGI_PARAMS, 1, NULL, 0);
		wire_record(bytes, FCGI_STDIN, 1, NULL, 0);
		wire_send(fd, bytes->buf, buf_len(bytes));
		ck_assert(wire_read(fd, in, 0, 3000));
		ck_assert(memmem(in->buf, buf_len(in), "Status: 4", 9) != NULL || buf_len(in) == 0);
		close(fd);
	}
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(an_aborted_request_ends_its_session)
{
	struct stack *stack = stack_start("presence { grace = 0 }");
	struct printbuf *bytes = buf_new();
	struct sse *sse = sse_open_direct(stack, 0, token_for(stack, "1"));

	sse_ready(sse);
	wire_record(bytes, FCGI_ABORT_REQUEST, 1, NULL, 0);
	wire_send(sse_fd(sse), bytes->buf, buf_len(bytes));
	ck_assert_msg(sse_wait_end(sse, 3000), "no end after FCGI_ABORT_REQUEST");
	WAIT_UNTIL(!redis_has(stack, "user:online:1"), 3000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_kept_connection_serves_another_request)
{
	struct stack *stack = stack_start("");
	struct printbuf *bytes = buf_new(), *params = buf_new(), *in = buf_new();
	int fd = wire_connect_streamd(stack, 0);

	wire_pair(params, "REQUEST_METHOD", "POST");
	wire_pair(params, "REQUEST_URI", STREAM);
	wire_begin(bytes, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	wire_record(bytes, FCGI_PARAMS, 1, params->buf, buf_len(params));
	wire_record(bytes, FCGI_PARAMS, 1, NULL, 0);
	wire_record(bytes, FCGI_STDIN, 1, NULL, 0);
	for (int i = 0; i < 3; i++) {
		int64_t end = now_ms() + patience(3000);

		buf_reset(in);
		wire_send(fd, bytes->buf, buf_len(bytes));
		while (memmem(in->buf, buf_len(in), "\1\3\0\1", 4) == NULL) {
			ck_assert_msg(now_ms() < end, "request %d was not ended", i + 1);
			wire_read(fd, in, buf_len(in) + 1, 100);
		}
		ck_assert(memmem(in->buf, buf_len(in), "Status: 405", 11) != NULL);
		wire_read(fd, in, buf_len(in) + 8, 50); /* the rest of the last record */
	}
	close(fd);
	stack_stop(stack);
}
END_TEST

START_TEST(silent_peers_delay_nobody)
{
	enum { SILENT = 100 };
	struct stack *stack = stack_start("");
	struct printbuf *request = buf_new();
	int fds[SILENT];

	wire_stream_request(request, STREAM, token_for(stack, "1"));
	for (int i = 0; i < SILENT; i++) {
		fds[i] = wire_connect_streamd(stack, 0);
		wire_send(fds[i], request->buf, (size_t)i * buf_len(request) / SILENT);
	}
	for (int i = 0; i < 5; i++)
		check_serves(stack);
	for (int i = 0; i < SILENT; i++)
		close(fds[i]);
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(garbage_harms_nobody)
{
	enum { PEERS = 500 };
	struct stack *stack = stack_start("");
	struct printbuf *request = buf_new();

	seed_from_environment();
	wire_stream_request(request, STREAM, token_for(stack, "1"));
	for (int i = 0; i < PEERS; i++) {
		char bytes[2000];
		size_t len = buf_len(request) < sizeof bytes ? buf_len(request) : sizeof bytes;
		int fd = wire_connect_streamd(stack, 0);

		memcpy(bytes, request->buf, len);
		if (i % 2 == 0) {
			len = seeded_below(sizeof bytes);
			for (size_t j = 0; j < len; j++)
				bytes[j] = (char)seeded_below(256);
		} else {
			for (unsigned flips = 1 + seeded_below(6); flips > 0; flips--)
				bytes[seeded_below((unsigned)len)] = (char)seeded_below(256);
		}
		wire_send(fd, bytes, len);
		close(fd);
		if (i % 100 == 0)
			check_serves(stack);
	}
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(crafted_lengths_cost_the_api_nothing)
{
	static const unsigned char lengths[8] = {0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfe};
	struct stack *stack = stack_start("");
	struct printbuf *bytes = buf_new();
	const char *token = token_for(stack, "1");

	wire_begin(bytes, 1, FCGI_RESPONDER, 0);
	wire_record(bytes, FCGI_PARAMS, 1, lengths, sizeof lengths);
	/* A whole request, or it would reach no worker. */
	wire_record(bytes, FCGI_PARAMS, 1, NULL, 0);
	wire_record(bytes, FCGI_STDIN, 1, NULL, 0);
	for (int i = 0; i < 4; i++) {
		int fd = wire_connect(
			stack_path(stack, "api.sock-0")); /* lighttpd adds the number */

		ck_assert_int_ge(fd, 0);
		wire_send(fd, bytes->buf, buf_len(bytes));
		close(fd);
	}
	for (int i = 0; i < 20; i++)
		http_ok(stack, COUNT, token, NULL);
	ck_assert_ptr_null(strstr(stack_file(stack, "lighttpd.log"), "was ended by signal"));
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("peers");
	TCase *tcase = harness_case(suite, "peers", 40);

	tcase_add_test(tcase, a_request_cut_off_anywhere_harms_nobody);
	tcase_add_test(tcase, a_request_may_come_byte_by_byte);
	tcase_add_test(tcase, huge_parameter_lengths_are_refused);
	tcase_add_test(tcase, endless_parameters_are_refused);
	tcase_add_test(tcase, management_records_are_answered);
	tcase_add_test(tcase, another_version_is_refused);
	tcase_add_test(tcase, another_role_is_refused);
	tcase_add_test(tcase, a_second_request_on_a_connection_is_refused);
	tcase_add_test(tcase, a_request_without_method_or_uri_gets_no_stream);
	tcase_add_test(tcase, an_aborted_request_ends_its_session);
	tcase_add_test(tcase, a_kept_connection_serves_another_request);
	tcase_add_test(tcase, silent_peers_delay_nobody);
	tcase_add_test(tcase, garbage_harms_nobody);
	tcase_add_test(tcase, crafted_lengths_cost_the_api_nothing);
	return harness_main(suite);
}
