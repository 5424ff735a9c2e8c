/* What may go wrong: peers that break the protocol, Redis away or unwilling, processes that die. */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <fastcgi.h>

#include "base/buf.h"
#include "wire.h"

#define COUNT "/api/online-status/count"
#define STREAM "/api/presence/stream"

/* --- a peer that breaks the protocol ------------------------------------------------------ */

static int connect_streamd(struct stack *stack)
{
	int fd = wire_connect(streamd_socket(stack, 0));

	ck_assert_msg(fd >= 0, "cannot connect to streamd: %s", strerror(errno));
	return fd;
}

/* The same process still serves, and at once. */
static void check_serves(struct stack *stack)
{
	struct sse *sse;
	int64_t start = now_ms();

	ck_assert_int_eq(kill(stack->streamd[0], 0), 0);
	sse = sse_open_direct(stack, 0, token_for(stack, "6"));
	sse_ready(sse);
	ck_assert_msg(now_ms() - start < patience(1500), "a stream took %lld ms to open",
		      (long long)(now_ms() - start));
	sse_close(sse);
}

static void check_closed(struct stack *stack, const struct printbuf *bytes, const char *what)
{
	struct printbuf *in = buf_new();
	int fd = connect_streamd(stack);

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
		int fd = connect_streamd(stack);

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
	int fd = connect_streamd(stack);

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
	int fd = connect_streamd(stack);

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
	int fd = connect_streamd(stack);

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
	int fd = connect_streamd(stack);

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
		int fd = connect_streamd(stack);

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
	int fd = connect_streamd(stack);

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
		fds[i] = connect_streamd(stack);
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

/* xorshift64: a failure is repeated with TEST_SEED. */
static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 20) % limit;
}

static void seed_random(void)
{
	const char *seed = getenv("TEST_SEED");

	random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 2654435761U;
	fprintf(stderr, "TEST_SEED=%llu\n", (unsigned long long)random_state);
}

START_TEST(garbage_harms_nobody)
{
	enum { PEERS = 500 };
	struct stack *stack = stack_start("");
	struct printbuf *request = buf_new();

	seed_random();
	wire_stream_request(request, STREAM, token_for(stack, "1"));
	for (int i = 0; i < PEERS; i++) {
		char bytes[2000];
		size_t len = buf_len(request) < sizeof bytes ? buf_len(request) : sizeof bytes;
		int fd = connect_streamd(stack);

		memcpy(bytes, request->buf, len);
		if (i % 2 == 0) {
			len = random_below(sizeof bytes);
			for (size_t j = 0; j < len; j++)
				bytes[j] = (char)random_below(256);
		} else {
			for (unsigned flips = 1 + random_below(6); flips > 0; flips--)
				bytes[random_below((unsigned)len)] = (char)random_below(256);
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

START_TEST(crafted_lengths_cost_the_api_one_worker_at_most)
{
	static const unsigned char lengths[8] = {0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfe};
	struct stack *stack = stack_start("");
	struct printbuf *bytes = buf_new();
	const char *token = token_for(stack, "1");

	stack->expects_abort = true;
	wire_begin(bytes, 1, FCGI_RESPONDER, 0);
	wire_record(bytes, FCGI_PARAMS, 1, lengths, sizeof lengths);
	for (int i = 0; i < 4; i++) {
		int fd = wire_connect(
			stack_path(stack, "api.sock-0")); /* lighttpd adds the number */

		ck_assert_int_ge(fd, 0);
		wire_send(fd, bytes->buf, buf_len(bytes));
		close(fd);
	}
	WAIT_UNTIL(HTTP(stack, .path = COUNT, .token = token)->status == 200, 5000);
	for (int i = 0; i < 20; i++)
		http_ok(stack, COUNT, token, NULL);
	stack_stop(stack);
}
END_TEST

/* --- Redis away or unwilling -------------------------------------------------------------- */

/* With timeout_ms = 1000: every call says so in time. */
static void check_unavailable(struct stack *stack, const char *token)
{
	static const char *const gets[] = {COUNT, "/api/online-status/user/2",
					   "/api/online-status/friends",
					   "/api/online-status/online"};
	struct response *response;

	for (size_t i = 0; i < sizeof gets / sizeof gets[0]; i++) {
		response = HTTP(stack, .path = gets[i], .token = token);
		check_problem(response, 503, "redis_unavailable");
		ck_assert_msg(response->ms < 1000 + patience(1000), "%s: 503 only after %d ms",
			      gets[i], response->ms);
	}
	response = HTTP(stack, .path = "/api/online-status/users", .token = token,
			.body = "{\"user_ids\":[2]}");
	check_problem(response, 503, "redis_unavailable");
	response = HTTP(stack, .method = "POST", .path = "/api/auth/logout", .token = token);
	check_problem(response, 503, "redis_unavailable");
	response = HTTP(stack, .path = "/api/auth/login/json",
			.body = "{\"email\":\"user2@example.com\",\"password\":\"" PASSWORD "\"}");
	check_problem(response, 503, "redis_unavailable");
}

static void check_health_fails(struct stack *stack)
{
	struct response *response = HTTP(stack, .path = "/api/health");

	ck_assert_msg(response->status == 503, "health: status %d: %s", response->status,
		      response->body);
	ck_assert_msg(response->ms < 1000 + patience(1000), "health: only after %d ms",
		      response->ms);
}

/* A stream opened now: 200, and `degraded` rather than a false picture. */
static struct sse *open_degraded(struct stack *stack)
{
	struct sse *sse = sse_open(stack, token_for(stack, "4"));
	struct event *event;

	ck_assert_int_eq(sse_status(sse), 200);
	event = sse_next(sse, patience(3000));
	ck_assert_msg(event != NULL && strcmp(event->name, "connected") == 0, "not connected");
	event = sse_next(sse, patience(8000));
	ck_assert_msg(event != NULL && strcmp(event->name, "degraded") == 0,
		      "%s instead of degraded", event != NULL ? event->name : "nothing");
	return sse;
}

/* Everything works again, nothing was restarted. */
static void check_recovers(struct stack *stack, struct sse *degraded)
{
	const char *token = token_for(stack, "1"), *friend = token_for(stack, "2");
	struct sse *sse;

	WAIT_UNTIL(HTTP(stack, .path = COUNT, .token = token)->status == 200, 10000);
	for (int i = 0; i < 10; i++)
		http_ok(stack, COUNT, token, NULL);
	http_ok(stack, "/api/health", NULL, NULL);
	if (degraded != NULL)
		sse_wait(degraded, "initial", 15000);
	sse = sse_open(stack, token);
	sse_ready(sse);
	http_ok(stack, COUNT, friend, NULL);
	http_ok(stack, "/api/auth/logout", friend, "");
	sse_wait_change(sse, "2", false, 5000);
	if (degraded != NULL) {
		sse_wait_change(degraded, "2", false, 5000);
		sse_close(degraded);
	}
	sse_close(sse);
}

START_TEST(everything_starts_without_redis_and_recovers_with_it)
{
	struct stack *stack = stack_new(FAST);
	struct sse *sse;

	streamd_start(stack, 0);
	lighttpd_start(stack);
	check_unavailable(stack, token_for(stack, "1"));
	check_health_fails(stack);
	sse = open_degraded(stack);
	redis_start(stack, NULL);
	check_recovers(stack, sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_killed_redis_is_told_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse;

	http_ok(stack, COUNT, token, NULL);
	redis_kill(stack);
	check_unavailable(stack, token);
	check_health_fails(stack);
	sse = open_degraded(stack);
	redis_start(stack, NULL);
	check_recovers(stack, sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_silent_redis_is_told_in_time_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse;

	http_ok(stack, COUNT, token, NULL);
	signal_and_wait_stopped(stack->redis);
	check_unavailable(stack, token);
	check_health_fails(stack);
	sse = open_degraded(stack);
	kill(stack->redis, SIGCONT);
	check_recovers(stack, sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_read_only_replica_is_told_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");

	http_ok(stack, COUNT, token, NULL);
	freeReplyObject(redis_cmd(stack, "REPLICAOF 127.0.0.1 1"));
	check_unavailable(stack, token);
	freeReplyObject(redis_cmd(stack, "REPLICAOF NO ONE"));
	check_recovers(stack, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(a_full_redis_is_told_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");

	http_ok(stack, COUNT, token, NULL);
	freeReplyObject(redis_cmd(stack, "CONFIG SET maxmemory 1"));
	check_unavailable(stack, token);
	freeReplyObject(redis_cmd(stack, "CONFIG SET maxmemory 0"));
	check_recovers(stack, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(a_wrong_redis_password_is_told_and_survived)
{
	struct stack *stack = stack_new("");
	char *conf;
	struct sse *sse;

	ck_assert(asprintf(&conf, FAST "redis { url = \"unix://:wrong@%s/redis.sock\" }\n",
			   stack->dir) > 0);
	stack_write_conf(stack, conf);
	redis_start(stack, "--requirepass right");
	streamd_start(stack, 0);
	lighttpd_start(stack);
	check_unavailable(stack, token_for(stack, "1"));
	sse = open_degraded(stack);
	freeReplyObject(redis_cmd(stack, "AUTH right"));
	freeReplyObject(redis_cmd(stack, "CONFIG SET requirepass wrong"));
	check_recovers(stack, sse);
	stack_stop(stack);
}
END_TEST

START_TEST(scripts_are_loaded_again_after_they_were_flushed)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token_for(stack, "3"));

	sse_ready(sse);
	http_ok(stack, COUNT, token, NULL);
	freeReplyObject(redis_cmd(stack, "SCRIPT FLUSH"));
	http_ok(stack, COUNT, token, NULL);
	freeReplyObject(redis_cmd(stack, "SCRIPT FLUSH"));
	http_ok(stack, "/api/auth/logout", token, "");
	sse_wait_change(sse, "1", false, 3000);
	freeReplyObject(redis_cmd(stack, "SCRIPT FLUSH"));
	sse_close(sse);
	WAIT_UNTIL(!redis_has(stack, "user:online:3"), 1000 + 2000 + 2000);
	check_recovers(stack, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(foreign_keys_of_another_type_are_told_and_survived)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");

	freeReplyObject(redis_cmd(stack, "LPUSH online_users x"));
	ck_assert_int_eq(HTTP(stack, .path = COUNT, .token = token)->status, 503);
	freeReplyObject(redis_cmd(stack, "DEL online_users"));
	freeReplyObject(redis_cmd(stack, "SET user:online:2 garbage"));
	freeReplyObject(redis_cmd(stack, "SET user:last_seen:2 garbage"));
	http_ok(stack, "/api/online-status/user/2", token, NULL);
	freeReplyObject(redis_cmd(stack, "DEL user:online:2 user:last_seen:2"));
	check_recovers(stack, NULL);
	stack_stop(stack);
}
END_TEST

START_TEST(a_broken_directory_is_told)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");

	stack_write(stack, "users.db",
		    "this is no database, and long enough to be noticed as none");
	check_problem(HTTP(stack, .path = "/api/friends/list", .token = token), 503,
		      "directory_unavailable");
	http_ok(stack, COUNT, token, NULL);
	stack_stop(stack);
}
END_TEST

/* --- processes that die, descriptors that run out ------------------------------------------ */

START_TEST(killed_workers_are_replaced)
{
	enum { KILLS = 9 }; /* one that dies young is replaced later and later */
	struct stack *stack = stack_start("api { children = 3 }");
	const char *token = token_for(stack, "1");
	pid_t parent = api_parent(stack), workers[8];
	int failed = 0;

	for (int i = 0; i < KILLS; i++) {
		WAIT_UNTIL(children_of(parent, workers, 8) == 3, 5000);
		kill(workers[i % 3], SIGKILL);
		for (int j = 0; j < 5; j++)
			failed += HTTP(stack, .path = COUNT, .token = token)->status != 200;
	}
	/* A request that was on the killed worker is lost, others are not. */
	ck_assert_int_le(failed, KILLS);
	WAIT_UNTIL(children_of(parent, workers, 8) == 3, 5000);
	for (int i = 0; i < 50; i++)
		http_ok(stack, COUNT, token, NULL);
	ck_assert_int_eq(api_parent(stack), parent);
	stack_stop(stack);
}
END_TEST

START_TEST(streams_over_the_descriptor_limit_are_refused_cleanly)
{
	enum { STREAMS = 150 };
	struct stack *stack = stack_new(FAST "presence { max_sessions = 1000 }\n"
					     "stream { max_streams_per_user = 1000 }\n");
	struct sse *streams[STREAMS];
	int open = 0;
	pid_t pid;

	stack->streamd_nofile = 128;
	redis_start(stack, NULL);
	streamd_start(stack, 0);
	pid = stack->streamd[0];
	for (int i = 0; i < STREAMS; i++)
		streams[i] = sse_open_direct(stack, 0, token_for(stack, "1"));
	for (int i = 0; i < STREAMS; i++) {
		struct event *event;

		/* A stream, a refusal, a closed connection or none accepted yet. */
		while ((event = sse_next(streams[i], 50)) != NULL)
			open += strcmp(event->name, "initial") == 0;
	}
	ck_assert_msg(open >= 20 && open < 128, "%d streams are open with 128 descriptors", open);
	for (int i = 0; i < STREAMS; i++)
		sse_close(streams[i]);
	WAIT_UNTIL(!redis_has(stack, "user:online:1"), 5000);
	ck_assert_int_eq(stack->streamd[0], pid);
	check_serves(stack);
	stack_stop(stack);
}
END_TEST

START_TEST(a_bad_configuration_is_refused_at_start)
{
	static const char *const programs[] = {"presence-api", "presence-streamd", "presencectl"};
	struct stack *stack = stack_new("presence {\n heartbeat = never\n}\n");

	for (size_t i = 0; i < 3; i++) {
		const char *argv[] = {program(programs[i]), "-c",
				      stack_path(stack, "presence.conf"), i == 2 ? "count" : NULL,
				      NULL};
		char *log, *at;

		stack_write(stack, "run.log", "");
		ck_assert_int_eq(run(stack, NULL, NULL, argv), 2);
		log = stack_file(stack, "run.log");
		at = strstr(log, "presence.conf:8: ");
		ck_assert_msg(at != NULL, "%s says: %s", programs[i], log);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_bad_configuration_at_sighup_changes_nothing)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token);

	sse_ready(sse);
	http_ok(stack, COUNT, token, NULL); /* all have started */
	stack_write(stack, "presence.conf", "presence { heartbeat = never }\n");
	kill(stack->streamd[0], SIGHUP);
	kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"), "presence.conf:1:") != NULL, 3000);
	sse_wait(sse, "heartbeat", 3000);
	for (int i = 0; i < 20; i++)
		http_ok(stack, COUNT, token, NULL);
	ck_assert(!sse_ended(sse));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(sighup_takes_new_values_and_fails_no_request)
{
	struct stack *stack = stack_start("presence { heartbeat = 30 online_ttl = 100 }");
	const char *token = token_for(stack, "1");
	struct sse *sse;

	CHECK_JSON(http_ok(stack, "/api/online-status/heartbeat", token, ""),
		   "{'ok':true,'expires_in':100}");
	stack_write_conf(stack, "presence { heartbeat = 20 online_ttl = 200 }");
	kill(stack->streamd[0], SIGHUP);
	kill(api_parent(stack), SIGHUP);
	WAIT_UNTIL(json_object_get_int(
			   json_at(http_ok(stack, "/api/online-status/heartbeat", token, ""),
				   "expires_in")) == 200,
		   5000);
	for (int64_t end = now_ms() + patience(5000);;) {
		struct event *event;

		sse = sse_open(stack, token);
		event = sse_wait(sse, "connected", 3000);
		sse_close(sse);
		if (json_object_get_int(json_at(event->json, "heartbeat")) == 20)
			break;
		ck_assert_msg(now_ms() < end, "streamd still has the old heartbeat");
	}
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("faults");
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
	tcase_add_test(tcase, crafted_lengths_cost_the_api_one_worker_at_most);

	tcase = harness_case(suite, "redis", 60);
	tcase_add_test(tcase, everything_starts_without_redis_and_recovers_with_it);
	tcase_add_test(tcase, a_killed_redis_is_told_and_survived);
	tcase_add_test(tcase, a_silent_redis_is_told_in_time_and_survived);
	tcase_add_test(tcase, a_read_only_replica_is_told_and_survived);
	tcase_add_test(tcase, a_full_redis_is_told_and_survived);
	tcase_add_test(tcase, a_wrong_redis_password_is_told_and_survived);
	tcase_add_test(tcase, scripts_are_loaded_again_after_they_were_flushed);
	tcase_add_test(tcase, foreign_keys_of_another_type_are_told_and_survived);
	tcase_add_test(tcase, a_broken_directory_is_told);

	tcase = harness_case(suite, "processes", 60);
	tcase_add_test(tcase, killed_workers_are_replaced);
	tcase_add_test(tcase, streams_over_the_descriptor_limit_are_refused_cleanly);
	tcase_add_test(tcase, a_bad_configuration_is_refused_at_start);
	tcase_add_test(tcase, a_bad_configuration_at_sighup_changes_nothing);
	tcase_add_test(tcase, sighup_takes_new_values_and_fails_no_request);
	return harness_main(suite);
}
