/* presence-api's processes: the workers that accept and serve, their parent. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fastcgi.h>

#include "calls.h"
#include "process.h"
#include "push.h"
#include "wire.h"

#define WORKERS 4
#define SOON 1500 /* ms in which a request is answered whatever others do */

/* A call waits for a Redis that stands still; so does a worker that tells it of its calls meanwhile. */
#define PATIENT "api { children = 1 }\nredis { timeout_ms = 8000 }"
#define PATIENCE 12000 /* ms */

static const char *api_socket(struct stack *stack)
{
	return stack_path(stack, "api.sock-0"); /* lighttpd adds the number */
}

static int connect_api(struct stack *stack)
{
	int fd = wire_connect(api_socket(stack));

	ck_assert_msg(fd >= 0, "cannot connect to presence-api: %s", strerror(errno));
	return fd;
}

static struct printbuf *request_bytes(struct stack *stack, bool keep)
{
	struct printbuf *bytes = buf_new();

	wire_stream_request(bytes, COUNT, token_for(stack, "1"));
	if (keep)
		bytes->buf[FCGI_HEADER_LEN + 2] = FCGI_KEEP_CONN;
	return bytes;
}

/* Reads one answer, to its END_REQUEST: 16 bytes at its end, of this type. */
static void check_answer(int fd)
{
	struct printbuf *in = buf_new();
	int64_t end = now_ms() + patience(5000);
	char piece[4096];

	while (buf_len(in) < 16 || in->buf[buf_len(in) - 15] != FCGI_END_REQUEST) {
		ssize_t got;

		ck_assert_msg(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1,
				   (int)(end - now_ms())) > 0,
			      "no answer, but %zu bytes", buf_len(in));
		got = read(fd, piece, sizeof piece);
		ck_assert_msg(got > 0, "the connection ends after %zu bytes", buf_len(in));
		buf_put(in, piece, (size_t)got);
	}
	ck_assert_msg(memmem(in->buf, buf_len(in), "Status: 200", 11) != NULL, "not 200: %.*s",
		      (int)buf_len(in) - 8, in->buf + 8);
	printbuf_free(in);
}

static bool has_ended(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

	return got == 0 || (got < 0 && errno != EAGAIN);
}

static void check_serves_soon(struct stack *stack, const char *token)
{
	struct response *response = HTTP(stack, .path = COUNT, .token = token);

	ck_assert_msg(response->status == 200, "status %d: %s", response->status, response->body);
	ck_assert_msg(response->ms < patience(SOON), "an answer took %d ms", response->ms);
}

/* --- the parent's death ----------------------------------------------------------------------- */

/* How many descriptors a process has open. */
static int descriptors_of(pid_t pid)
{
	char path[64];
	DIR *entries;
	int count = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	entries = opendir(path);
	ck_assert_msg(entries != NULL, "cannot read %s: %s", path, strerror(errno));
	while (readdir(entries) != NULL)
		count++;
	closedir(entries);
	return count;
}

/* How many a worker has that has served calls and has nothing to do. */
static int idle_descriptors_of(struct stack *stack, pid_t worker, const char *token)
{
	int least = INT_MAX;

	/* The least: it may not have closed a connection yet whose answer is read. */
	for (int i = 0, count; i < 10; i++) {
		http_ok(stack, COUNT, token, NULL);
		count = descriptors_of(worker);
		least = count < least ? count : least;
	}
	WAIT_UNTIL(descriptors_of(worker) == least,
		   5000); /* that of the last call is closed, too */
	return least;
}

static const int deaths[] = {SIGKILL, SIGSEGV, SIGABRT, SIGBUS};

START_TEST(a_parent_that_dies_is_started_again)
{
	struct stack *stack = stack_start_api("api { children = 4 }");
	const char *token = token_for(stack, "1");
	pid_t parent = api_parent(stack), workers[8];
	int count;

	stack->expects_abort = true;
	WAIT_UNTIL(children_of(parent, workers, 8) == WORKERS, 5000);
	count = children_of(parent, workers, 8);
	for (int i = 0; i < 2 * WORKERS; i++)
		check_serves_soon(stack, token);
	kill(parent, deaths[_i]);
	WAIT_UNTIL(HTTP(stack, .path = COUNT, .token = token)->status == 200 &&
			   api_parent(stack) != parent,
		   10000);
	for (int i = 0; i < 20; i++)
		check_serves_soon(stack, token);
	for (int i = 0; i < count; i++)
		WAIT_UNTIL(!process_runs(workers[i]), 5000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_request_under_way_is_finished_when_the_parent_dies)
{
	struct stack *stack = stack_start_api(PATIENT);
	const char *token = token_for(stack, "1");
	pid_t parent = api_parent(stack), worker;
	struct sse *request;
	char *text;
	int idle;

	ck_assert_int_eq(children_of(parent, &worker, 1), 1);
	idle = idle_descriptors_of(stack, worker, token);
	signal_and_wait_stopped(stack->redis);
	ck_assert(asprintf(&text,
			   "GET " COUNT " HTTP/1.1\r\nHost: localhost\r\n"
			   "Authorization: Bearer %s\r\n\r\n",
			   token) > 0);
	request = sse_request(stack, text);
	WAIT_UNTIL(descriptors_of(worker) > idle, PATIENCE); /* it has the connection */
	kill(parent, SIGKILL);
	WAIT_UNTIL(api_parent(stack) != parent, 10000);
	kill(stack->redis, SIGCONT);
	ck_assert_int_eq(sse_status(request), 200);
	sse_close(request);
	/* lighttpd cannot end a program that it has forked and that is not there yet. */
	http_ok(stack, COUNT, token, NULL);
	stack_stop(stack);
}
END_TEST

/* --- peers that do nothing --------------------------------------------------------------------- */

static const struct crowd {
	int peers;
	const char *conf; /* children = 0: no parent, as mod_fcgid has it */
	bool is_confined; /* workers may not borrow the listener */
} crowds[] = {
	{16, "api { children = 4 }", false},
	{64, "api { children = 4 }", false},
	/* Between a program's end and the next one lighttpd has nobody to ask. */
	{16, "api { children = 0 max_requests = 0 }", false},
	{16, "api { children = 4 }", true},
};
#define CROWDS 4
#define CROWD_MAX 64

/* What this process starts from now on may not take descriptors of another one, as in a container. */
static void forbid_borrowing(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_getfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = sizeof rules / sizeof rules[0], .filter = rules};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

static struct stack *start_for(const struct crowd *crowd)
{
	if (crowd->is_confined)
		forbid_borrowing();
	return stack_start_api(crowd->conf);
}

START_TEST(silent_peers_delay_nobody)
{
	struct stack *stack = start_for(&crowds[_i]);
	const char *token = token_for(stack, "1");
	struct printbuf *bytes = request_bytes(stack, false);
	int fds[CROWD_MAX], crowd = crowds[_i].peers;

	/* Nothing, one byte, a header, and all kinds of parts of a request. */
	for (int i = 0; i < crowd; i++) {
		size_t len = i % 3 == 0	  ? 0
			     : i % 3 == 1 ? 1
					  : (size_t)i * buf_len(bytes) / (size_t)crowd;

		fds[i] = connect_api(stack);
		wire_send(fds[i], bytes->buf, len);
		check_serves_soon(stack, token);
	}
	/* Until the last of them has been dropped. */
	for (int i = 0; i < crowd; i++) {
		for (int64_t end = now_ms() + patience(20000); !has_ended(fds[i]);) {
			ck_assert_msg(now_ms() < end, "silent peer %d of %d is not dropped", i,
				      crowd);
			check_serves_soon(stack, token);
		}
		close(fds[i]);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(peers_that_do_not_close_after_their_answer_delay_nobody)
{
	struct stack *stack = start_for(&crowds[_i]);
	const char *token = token_for(stack, "1");
	struct printbuf *bytes = request_bytes(stack, false);
	int fds[CROWD_MAX], crowd = crowds[_i].peers;

	for (int i = 0; i < crowd; i++) {
		fds[i] = connect_api(stack);
		wire_send(fds[i], bytes->buf, buf_len(bytes));
		check_serves_soon(stack, token);
	}
	for (int i = 0; i < crowd; i++) {
		check_answer(fds[i]);
		WAIT_UNTIL(has_ended(fds[i]), 5000);
		close(fds[i]);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(kept_connections_hold_no_worker)
{
	struct stack *stack = start_for(&crowds[_i]);
	const char *token = token_for(stack, "1");
	struct printbuf *bytes = request_bytes(stack, true);
	int fds[CROWD_MAX], crowd = crowds[_i].peers;

	for (int i = 0; i < crowd; i++) {
		fds[i] = connect_api(stack);
		wire_send(fds[i], bytes->buf, buf_len(bytes));
		check_answer(fds[i]);
		check_serves_soon(stack, token);
	}
	/* Each is still open, and some are in the middle of their next request. */
	for (int i = 0; i < crowd; i += 2)
		wire_send(fds[i], bytes->buf, buf_len(bytes) / 2);
	for (int i = 0; i < 20; i++)
		check_serves_soon(stack, token);
	for (int i = 1; i < crowd; i += 2) {
		wire_send(fds[i], bytes->buf, buf_len(bytes));
		check_answer(fds[i]);
	}
	for (int i = 0; i < crowd; i++)
		close(fds[i]);
	stack_stop(stack);
}
END_TEST

/* Half a request on each of the connections. */
static void send_halves(struct stack *stack, int *fds, int count, const struct printbuf *bytes)
{
	for (int i = 0; i < count; i++) {
		fds[i] = connect_api(stack);
		wire_send(fds[i], bytes->buf, buf_len(bytes) / 2);
	}
}

static void send_rests_and_check(const int *fds, int count, const struct printbuf *bytes)
{
	size_t half = buf_len(bytes) / 2;

	for (int i = 0; i < count; i++)
		wire_send(fds[i], bytes->buf + half, buf_len(bytes) - half);
	for (int i = 0; i < count; i++) {
		check_answer(fds[i]);
		close(fds[i]);
	}
}

/* Each call is a worker's last, and finds the halves of others in it. */
START_TEST(no_half_of_a_request_is_lost_with_a_worker)
{
	enum { HALVES = 40 };
	struct stack *stack = stack_start_api("api { children = 2 max_requests = 1 }");
	const char *token = token_for(stack, "1");
	struct printbuf *bytes = request_bytes(stack, false);
	pid_t workers[8];
	int fds[HALVES], count;

	for (int i = 0; i < HALVES; i += 4) {
		send_halves(stack, fds + i, 4, bytes);
		check_serves_soon(stack, token);
	}
	/* So it is when the workers are replaced. */
	count = children_of(api_parent(stack), workers, 8);
	kill(api_parent(stack), SIGHUP);
	for (int i = 0; i < count; i++)
		WAIT_UNTIL(!process_runs(workers[i]), 10000);
	send_rests_and_check(fds, HALVES, bytes);
	stack_stop(stack);
}
END_TEST

/* The others' halves are with the parent when a worker begins to serve. */
START_TEST(a_worker_that_is_killed_takes_its_own_request_alone)
{
	struct stack *stack = stack_start_api(PATIENT);
	struct printbuf *bytes = request_bytes(stack, false);
	pid_t worker;
	int fds[10], served, idle;

	ck_assert_int_eq(children_of(api_parent(stack), &worker, 1), 1);
	idle = idle_descriptors_of(stack, worker, token_for(stack, "1"));
	signal_and_wait_stopped(stack->redis);
	send_halves(stack, fds, 10, bytes);
	/* With nothing to serve it waits for them. */
	WAIT_UNTIL(descriptors_of(worker) >= idle + 10, PATIENCE);
	served = connect_api(stack);
	wire_send(served, bytes->buf, buf_len(bytes));
	WAIT_UNTIL(descriptors_of(worker) <= idle + 1, 5000);
	kill(worker, SIGKILL);
	WAIT_UNTIL(has_ended(served), 5000);
	kill(stack->redis, SIGCONT);
	send_rests_and_check(fds, 10, bytes);
	close(served);
	stack_stop(stack);
}
END_TEST

/* As HAProxy does it when it is reloaded: with the request, or after its answer. */
START_TEST(an_abort_takes_no_answer_back)
{
	static const uint8_t abort_request[FCGI_HEADER_LEN] = {FCGI_VERSION_1, FCGI_ABORT_REQUEST,
							       0, 1};
	struct stack *stack = stack_start_api("api { children = 1 }");
	struct printbuf *bytes = request_bytes(stack, true);

	for (int early = 0; early < 2; early++) {
		int fd = connect_api(stack);
		struct pollfd readable = {.fd = fd, .events = POLLIN};

		if (early)
			buf_put(bytes, abort_request, sizeof abort_request);
		wire_send(fd, bytes->buf, buf_len(bytes));
		if (!early) {
			ck_assert_int_eq(poll(&readable, 1, patience(5000)), 1);
			ck_assert_msg(send(fd, abort_request, sizeof abort_request, MSG_NOSIGNAL) ==
					      sizeof abort_request,
				      "the connection is closed too soon: %s", strerror(errno));
		}
		check_answer(fd);
		close(fd);
	}
	stack_stop(stack);
}
END_TEST

/* A POST of STATUS_USERS with a body of `len` bytes, in STDIN records of at most `piece`. */
static struct printbuf *post_bytes(struct stack *stack, size_t len, size_t piece)
{
	struct printbuf *out = buf_new(), *params = buf_new(), *value = buf_new();
	char *body = calloc(1, len);

	memset(body, ' ', len);
	memcpy(body, "{\"user_ids\":[2]", 15);
	body[len - 1] = '}';
	wire_pair(params, "REQUEST_METHOD", "POST");
	wire_pair(params, "REQUEST_URI", STATUS_USERS);
	wire_pair(params, "CONTENT_TYPE", "application/json");
	buf_putf(value, "%zu", len);
	wire_pair(params, "CONTENT_LENGTH", value->buf);
	buf_reset(value);
	buf_putf(value, "Bearer %s", token_for(stack, "1"));
	wire_pair(params, "HTTP_AUTHORIZATION", value->buf);
	wire_begin(out, 1, FCGI_RESPONDER, 0);
	wire_record(out, FCGI_PARAMS, 1, params->buf, buf_len(params));
	wire_record(out, FCGI_PARAMS, 1, NULL, 0);
	for (size_t at = 0; at < len; at += piece)
		wire_record(out, FCGI_STDIN, 1, body + at, len - at < piece ? len - at : piece);
	wire_record(out, FCGI_STDIN, 1, NULL, 0);
	free(body);
	return out;
}

/* Sends it as one does who waits for poll(2) to say that there is capacity. */
static void send_pieces(int fd, const struct printbuf *bytes, size_t piece)
{
	for (size_t at = 0; at < buf_len(bytes); at += piece) {
		struct pollfd out = {.fd = fd, .events = POLLOUT};
		size_t left = buf_len(bytes) - at;

		ck_assert_msg(poll(&out, 1, patience(3000)) == 1 && (out.revents & POLLOUT) != 0,
			      "nothing is taken after %zu of %zu bytes", at, buf_len(bytes));
		ck_assert_int_gt(
			send(fd, bytes->buf + at, left < piece ? left : piece, MSG_NOSIGNAL), 0);
	}
}

START_TEST(a_request_may_come_in_pieces_of_any_size)
{
	static const struct {
		size_t body, record, piece;
	} rows[] = {{100, 65535, 1},
		    {100, 1, 7},
		    {65536, 8192, 8200},
		    {65536, 65535, 1000},
		    {65536, 500, 100000}};
	struct stack *stack = stack_start_api("api { children = 4 }");

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct printbuf *bytes = post_bytes(stack, rows[i].body, rows[i].record);
		int fd = connect_api(stack);

		send_pieces(fd, bytes, rows[i].piece);
		check_answer(fd);
		WAIT_UNTIL(has_ended(fd), 1000);
		close(fd);
		printbuf_free(bytes);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_body_that_is_refused_is_not_in_the_way_of_the_answer)
{
	struct stack *stack = stack_start_api("api { body_limit = 70000 }");
	struct printbuf *bytes = post_bytes(stack, 1000000, 8192), *in = buf_new();
	int fd = connect_api(stack);

	send_pieces(fd, bytes, 8200);
	ck_assert_msg(wire_read(fd, in, 0, 5000), "no end after %zu bytes", buf_len(in));
	ck_assert_msg(memmem(in->buf, buf_len(in), "Status: 413", 11) != NULL, "not 413");
	close(fd);
	stack_stop(stack);
}
END_TEST

/* --- HEAD --------------------------------------------------------------------------------------- */

/* What a responder writes, without the records around it. */
static struct printbuf *answer_of(struct stack *stack, const char *method, const char *path,
				  const char *token)
{
	struct printbuf *request = buf_new(), *in = buf_new(), *answer = buf_new();
	int fd = connect_api(stack);

	wire_request(request, method, path, token);
	wire_send(fd, request->buf, buf_len(request));
	ck_assert_msg(wire_read(fd, in, 0, 5000), "no end after %zu bytes", buf_len(in));
	for (size_t at = 0; at + FCGI_HEADER_LEN <= buf_len(in);) {
		const unsigned char *header = (const unsigned char *)in->buf + at;
		size_t len = (size_t)header[4] << 8 | header[5];

		if (header[1] == FCGI_STDOUT)
			buf_put(answer, header + FCGI_HEADER_LEN, len);
		at += FCGI_HEADER_LEN + len + header[6];
	}
	close(fd);
	printbuf_free(request);
	printbuf_free(in);
	return answer;
}

static void check_head(struct stack *stack, const char *path, const char *token, int status)
{
	struct printbuf *seen = answer_of(stack, "HEAD", path, token);
	const char *end = strstr(seen->buf, "\r\n\r\n");
	int said = 0;

	sscanf(seen->buf, "Status: %d", &said);
	ck_assert_msg(said == status, "HEAD %s: %d expected, seen %s", path, status, seen->buf);
	ck_assert_msg(end != NULL && end[4] == '\0', "HEAD %s has a body: %s", path, seen->buf);
	printbuf_free(seen);
}

START_TEST(head_never_has_a_body)
{
	struct stack *stack = push_stack_new("");
	struct call_route routes[CALL_ROUTES_MAX];
	size_t count = call_routes(routes);
	const char *token = admin_token(stack);

	redis_start(stack, NULL);
	lighttpd_start(stack);
	for (size_t i = 0; i < count; i++) {
		const char *path = routes[i].path;
		bool is_open = strcmp(path, HEALTH) == 0 || strcmp(path, PUSH_KEY) == 0;
		bool is_away = strcmp(path, METRICS) == 0; /* it takes an option */
		bool is_stream = strncmp(path, STREAM, strlen(STREAM)) == 0;
		int status = is_stream ? 501 : is_away ? 404 : 200;

		if (!call_route_has(&routes[i], "HEAD")) {
			check_head(stack, path, token, 405);
			continue;
		}
		check_head(stack, path, token, status);
		check_head(stack, path, "garbage", is_open || status != 200 ? status : 401);
	}
	check_head(stack, STATUS_USER "%20", token, 400);
	check_head(stack, "/api/nothing", token, 404);
	redis_kill(stack);
	check_head(stack, COUNT, token, 503);
	stack_stop(stack);
}
END_TEST

/* --- signals ----------------------------------------------------------------------------------- */

/*
 * A program on a socket of its own, with signals that whoever starts it ignores and
 * blocks, and a limit of descriptors (0: as it is).
 */
static pid_t start_program(struct stack *stack, const char *name, const char *socket, int nofile)
{
	const char *argv[] = {"env",
			      "--ignore-signal=HUP,INT,TERM,CHLD,USR1,ALRM",
			      "--block-signal=HUP,INT,TERM,CHLD",
			      program(name),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      NULL};
	char *address;
	pid_t pid;

	ck_assert(asprintf(&address, "unix:%s", socket) > 0);
	pid = process_start(stack, name, argv,
			    (const char *[]){strcmp(name, "presence-api") == 0
						     ? "PRESENCE_API_LISTEN"
						     : "PRESENCE_STREAM_LISTEN",
					     address, NULL},
			    nofile);
	WAIT_UNTIL(socket_listens(socket) || !process_lives(pid), 5000);
	ck_assert_msg(process_lives(pid), "%s did not start", name);
	free(address);
	return pid;
}

START_TEST(of_too_many_silent_peers_the_longest_silent_one_goes)
{
	enum { LIMIT = 160, SILENT = 400 };
	struct stack *stack = stack_new("api { children = 2 }");
	const char *socket = stack_path(stack, "own.sock");
	struct printbuf *bytes = request_bytes(stack, false);
	int fds[SILENT], open = 0;
	pid_t pid;

	redis_start(stack, NULL);
	pid = start_program(stack, "presence-api", socket, LIMIT);
	for (int i = 0; i < SILENT; i++) {
		fds[i] = wire_connect(socket);
		ck_assert_msg(fds[i] >= 0, "peer %d: %s", i, strerror(errno));
		wire_send(fds[i], bytes->buf, (size_t)i % 2);
		if (i % 20 == 0) {
			int fd = wire_connect(socket);

			wire_send(fd, bytes->buf, buf_len(bytes));
			check_answer(fd);
			close(fd);
		}
	}
	WAIT_UNTIL(has_ended(fds[0]), 5000);
	for (int i = 0; i < SILENT; i++)
		open += !has_ended(fds[i]);
	ck_assert_msg(open < LIMIT, "%d connections are open with a limit of %d", open, LIMIT);
	for (int i = 0; i < SILENT; i++)
		close(fds[i]);
	ck_assert_int_eq(process_end(&pid, SIGTERM, "presence-api", 5000), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(api_ends_whatever_signals_it_inherited_as_ignored)
{
	struct stack *stack = stack_new("api { children = 4 }");
	const char *socket = stack_path(stack, "own.sock");
	struct printbuf *bytes = request_bytes(stack, false);
	pid_t workers[8], again[8], pid;
	int fd;

	redis_start(stack, NULL);
	pid = start_program(stack, "presence-api", socket, 0);
	WAIT_UNTIL(children_of(pid, workers, 8) == WORKERS, 5000);
	fd = wire_connect(socket);
	wire_send(fd, bytes->buf, buf_len(bytes));
	check_answer(fd);
	close(fd);
	/* SIGHUP replaces the workers, which takes SIGHUP, SIGTERM and SIGCHLD. */
	kill(pid, SIGHUP);
	for (int i = 0; i < WORKERS; i++)
		WAIT_UNTIL(!process_runs(workers[i]), 10000);
	WAIT_UNTIL(children_of(pid, again, 8) == WORKERS, 5000);
	ck_assert_int_eq(process_end(&pid, SIGTERM, "presence-api", 5000), 0);
	ck_assert_ptr_null(strstr(stack_file(stack, "presence-api.log"), "does not end"));
	stack_stop(stack);
}
END_TEST

/* lighttpd looks at once, and would take a socket that answers for somebody else's, for good. */
START_TEST(the_socket_is_gone_with_the_parent_whatever_the_workers_do)
{
	struct stack *stack = stack_new("api { children = 4 }");
	const char *socket = stack_path(stack, "own.sock");
	struct printbuf *bytes = request_bytes(stack, false);
	pid_t workers[8], pid;
	int count;

	redis_start(stack, NULL);
	pid = start_program(stack, "presence-api", socket, 0);
	WAIT_UNTIL(children_of(pid, workers, 8) == WORKERS, 5000);
	for (int i = 0; i < 20; i++) {
		int fd = wire_connect(socket);

		wire_send(fd, bytes->buf, buf_len(bytes));
		check_answer(fd);
		close(fd);
	}
	count = children_of(pid, workers, 8);
	for (int i = 0; i < count; i++)
		kill(workers[i], SIGSTOP);
	ck_assert_int_eq(process_end(&pid, SIGKILL, "presence-api", 5000), 128 + SIGKILL);
	ck_assert_msg(wire_connect(socket) < 0, "somebody still listens");
	for (int i = 0; i < count; i++)
		kill(workers[i], SIGCONT);
	for (int i = 0; i < count; i++)
		WAIT_UNTIL(!process_runs(workers[i]), 5000);
	stack_stop(stack);
}
END_TEST

/* With the workers and with the parent. */
START_TEST(what_is_on_its_way_when_api_is_told_to_end_is_answered)
{
	enum { HALVES = 20 };
	struct stack *stack = stack_new("api { children = 2 }");
	const char *socket = stack_path(stack, "own.sock");
	struct printbuf *bytes = request_bytes(stack, false);
	int fds[HALVES];
	pid_t pid;

	redis_start(stack, NULL);
	pid = start_program(stack, "presence-api", socket, 0);
	for (int i = 0; i < HALVES; i++) {
		fds[i] = wire_connect(socket);
		wire_send(fds[i], bytes->buf, buf_len(bytes) / 2);
	}
	kill(pid, SIGTERM);
	WAIT_UNTIL(!wire_answers(socket), 5000);
	send_rests_and_check(fds, HALVES, bytes);
	ck_assert_int_eq(process_end(&pid, 0, "presence-api", 5000), 0);
	stack_stop(stack);
}
END_TEST

/* Without a parent nobody else takes those who wait. */
START_TEST(all_who_wait_are_served_when_max_requests_is_reached)
{
	enum { WAITING = 40 };
	struct stack *stack = stack_start_api("api { children = 0 max_requests = 3 }");
	struct printbuf *bytes = request_bytes(stack, false);
	pid_t pid = api_parent(stack);
	int fds[WAITING];

	kill(pid, SIGSTOP); /* it sleeps, and does nothing more from here on */
	for (int i = 0; i < WAITING; i++) {
		fds[i] = connect_api(stack);
		wire_send(fds[i], bytes->buf, buf_len(bytes));
	}
	kill(pid, SIGCONT);
	for (int i = 0; i < WAITING; i++) {
		check_answer(fds[i]);
		close(fds[i]);
	}
	WAIT_UNTIL(!process_runs(pid), 5000);
	stack_stop(stack);
}
END_TEST

/* Its first child is the check of its configuration, long before it serves. */
START_TEST(api_that_is_told_to_end_while_it_starts_has_not_failed)
{
	struct stack *stack = stack_new("api { children = 4 }");
	char *address;
	pid_t child, pid;

	redis_start(stack, NULL);
	ck_assert(asprintf(&address, "unix:%s", stack_path(stack, "own.sock")) > 0);
	pid = process_start(stack, "presence-api",
			    (const char *const[]){program("presence-api"), "-c",
						  stack_path(stack, "presence.conf"), NULL},
			    (const char *const[]){"PRESENCE_API_LISTEN", address, NULL}, 0);
	free(address);
	WAIT_UNTIL(children_of(pid, &child, 1) == 1, 5000);
	ck_assert_int_eq(process_end(&pid, SIGTERM, "presence-api", 5000), 0);
	ck_assert_ptr_null(strstr(stack_file(stack, "presence-api.log"), "ended by signal"));
	stack_stop(stack);
}
END_TEST

START_TEST(streamd_ends_whatever_signals_it_inherited_as_ignored)
{
	struct stack *stack = stack_new("stream { drain = 1 }");
	pid_t pid;

	redis_start(stack, NULL);
	pid = start_program(stack, "presence-streamd", stack_path(stack, "own.sock"), 0);
	/* Its loop runs. */
	WAIT_UNTIL(strstr(stack_file(stack, "presence-streamd.log"), "connected") != NULL, 5000);
	kill(pid, SIGHUP);
	WAIT_UNTIL(strstr(stack_file(stack, "presence-streamd.log"), "read again") != NULL, 5000);
	ck_assert_int_eq(process_end(&pid, SIGTERM, "presence-streamd", 5000), 0);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("workers");
	TCase *death = harness_case(suite, "the parent's death", 60);
	TCase *silence = harness_case(suite, "peers that do nothing", 120);
	TCase *head = harness_case(suite, "HEAD", 30);
	TCase *signals = harness_case(suite, "signals", 60);

	tcase_add_loop_test(death, a_parent_that_dies_is_started_again, 0,
			    sizeof deaths / sizeof deaths[0]);
	tcase_add_test(death, a_request_under_way_is_finished_when_the_parent_dies);
	tcase_add_loop_test(silence, silent_peers_delay_nobody, 0, CROWDS);
	tcase_add_loop_test(silence, peers_that_do_not_close_after_their_answer_delay_nobody, 0,
			    CROWDS);
	tcase_add_loop_test(silence, kept_connections_hold_no_worker, 0, CROWDS);
	tcase_add_test(silence, no_half_of_a_request_is_lost_with_a_worker);
	tcase_add_test(silence, a_worker_that_is_killed_takes_its_own_request_alone);
	tcase_add_test(silence, an_abort_takes_no_answer_back);
	tcase_add_test(silence, of_too_many_silent_peers_the_longest_silent_one_goes);
	tcase_add_test(silence, a_request_may_come_in_pieces_of_any_size);
	tcase_add_test(silence, a_body_that_is_refused_is_not_in_the_way_of_the_answer);
	tcase_add_test(head, head_never_has_a_body);
	tcase_add_test(signals, api_ends_whatever_signals_it_inherited_as_ignored);
	tcase_add_test(signals, the_socket_is_gone_with_the_parent_whatever_the_workers_do);
	tcase_add_test(signals, what_is_on_its_way_when_api_is_told_to_end_is_answered);
	tcase_add_test(signals, all_who_wait_are_served_when_max_requests_is_reached);
	tcase_add_test(signals, api_that_is_told_to_end_while_it_starts_has_not_failed);
	tcase_add_test(signals, streamd_ends_whatever_signals_it_inherited_as_ignored);
	return harness_main(suite);
}
