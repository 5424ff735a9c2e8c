/* Processes that die, run out of descriptors, or get another configuration. */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "process.h"
#include "wire.h"

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

static pid_t start_api(struct stack *stack, const char *socket, int children)
{
	const char *argv[] = {program("presence-api"), "-c", stack_path(stack, "presence.conf"),
			      NULL};
	pid_t workers[8], pid;
	char *address;

	ck_assert(asprintf(&address, "unix:%s", socket) > 0);
	pid = process_start(stack, "api", argv,
			    (const char *const[]){"PRESENCE_API_LISTEN", address, NULL}, 0);
	WAIT_UNTIL(wire_answers(socket) && children_of(pid, workers, 8) == children, 10000);
	free(address);
	return pid;
}

static void send_requests(const char *socket, int *fds, int count)
{
	struct printbuf *request = buf_new();

	wire_request(request, "GET", "/api/health", NULL);
	for (int i = 0; i < count; i++) {
		fds[i] = wire_connect(socket);
		ck_assert_int_ge(fds[i], 0);
		wire_send(fds[i], request->buf, buf_len(request));
	}
	printbuf_free(request);
}

static void check_answers(const int *fds, int count)
{
	for (int i = 0; i < count; i++) {
		struct printbuf *answer = buf_new();

		wire_read(fds[i], answer, 0, 10000);
		ck_assert_msg(memmem(answer->buf, buf_len(answer), "Status: 200", 11) != NULL,
			      "%d: not 200, but: %.*s", i, (int)buf_len(answer), answer->buf);
		printbuf_free(answer);
		close(fds[i]);
	}
}

/* A web server that would wait in the socket of a process that ends asks another one at once instead. */
START_TEST(who_connected_before_api_was_told_to_stop_is_answered_and_nobody_later_waits)
{
	enum { CLIENTS = 10 };
	struct stack *stack = stack_new("api { children = 2 }\nredis { timeout_ms = 20000 }");
	const char *socket = stack_path(stack, "own.sock");
	int fds[CLIENTS];
	pid_t pid;

	redis_start(stack, NULL);
	pid = start_api(stack, socket, 2);
	signal_and_wait_stopped(pid);
	send_requests(socket, fds, CLIENTS);
	/* While Redis says nothing the workers do not end. */
	signal_and_wait_stopped(stack->redis);
	kill(pid, SIGTERM);
	kill(pid, SIGCONT);
	WAIT_UNTIL(!wire_answers(socket), 5000);
	ck_assert_msg(process_runs(pid), "it has ended, and with it the requests");
	kill(stack->redis, SIGCONT);
	check_answers(fds, CLIENTS);
	ck_assert_int_eq(process_end(&pid, 0, "presence-api", 10000), 0);
	stack_stop(stack);
}
END_TEST

/* Keeps Redis busy: whoever asks waits for some 150 ms. */
static pid_t start_busy_redis(struct stack *stack)
{
	static const char script[] =
		"local function us() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end "
		"local e = us() + 150000 while us() < e do end";
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		freeReplyObject(redis_cmd(stack, "EVAL %s 0", script));
}

START_TEST(what_api_has_taken_is_answered_before_it_ends_however_long_that_takes)
{
	enum { CLIENTS = 20 }; /* of one worker, some seconds */
	struct stack *stack = stack_new("api { children = 1 }\nredis { timeout_ms = 20000 }");
	const char *socket = stack_path(stack, "own.sock");
	pid_t pid, busy;
	int fds[CLIENTS];

	redis_start(stack, NULL);
	pid = start_api(stack, socket, 1);
	busy = start_busy_redis(stack);
	send_requests(socket, fds, CLIENTS);
	kill(pid, SIGTERM);
	check_answers(fds, CLIENTS);
	ck_assert_int_eq(process_end(&pid, 0, "presence-api", 10000), 0);
	process_end(&busy, SIGKILL, "the busy client", 5000);
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
	static const char *const programs[] = {"presence-api", "presence-streamd", "presence-pushd",
					       "presencectl"};
	struct stack *stack = stack_new("presence {\n heartbeat = never\n}\n");

	for (size_t i = 0; i < 4; i++) {
		const char *argv[] = {program(programs[i]), "-c",
				      stack_path(stack, "presence.conf"), i == 3 ? "count" : NULL,
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

/* How many lines warn of it. */
static int warnings_of(struct stack *stack, const char *log, const char *name)
{
	char *text;
	int count = 0;

	ck_assert(asprintf(&text, "level=warning msg=\"%s in the environment names no option",
			   name) > 0);
	for (const char *at = stack_file(stack, log); (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

START_TEST(a_variable_that_names_no_option_is_warned_about_once)
{
	static const char *const logs[] = {"streamd0.log", "lighttpd.log"};
	struct stack *stack;

	setenv("PRESENCE_REDIS_ULR", "x", 1);
	stack = stack_start("");
	http_ok(stack, COUNT, token_for(stack, "1"), NULL);
	for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
		WAIT_UNTIL(warnings_of(stack, logs[i], "PRESENCE_REDIS_ULR") > 0, 5000);
		ck_assert_int_eq(warnings_of(stack, logs[i], "PRESENCE_REDIS_ULR"), 1);
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

/* --- the stand itself ----------------------------------------------------------------------- */

/* Signals 1 to 31: those above are the C library's own. */
static void check_signals(const char *status)
{
	unsigned long long blocked = ~0ULL, ignored = ~0ULL;

	sscanf(status, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored);
	ck_assert_msg(((blocked | ignored) & 0x7fffffff) == 0, "blocked or ignored:\n%s", status);
}

START_TEST(programs_start_with_default_signals_whatever_the_tests_inherited)
{
	struct stack *stack = stack_new("");
	const char *argv[] = {"grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status", NULL};
	sigset_t all;
	char *out;
	pid_t pid;

	/* As nohup and a shell's background leave them, and worse. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	ck_assert_int_eq(run(stack, &out, NULL, argv), 0);
	check_signals(out);
	pid = process_start(stack, "signals", argv, NULL, 0);
	ck_assert_int_eq(process_end(&pid, 0, "grep", 5000), 0);
	check_signals(stack_file(stack, "signals.log"));
	stack_stop(stack);
}
END_TEST

/* Its output, or with a failure what it says on standard error; the exit status. */
static int say(struct stack *stack, const char *name, const char *option, char **out)
{
	const char *argv[] = {"sh", "-c", "\"$0\" \"$1\" 2>&1", program(name), option, NULL};

	return run(stack, out, NULL, argv);
}

START_TEST(every_program_reads_its_command_line_alike)
{
	static const char *const names[] = {"presence-api", "presence-streamd", "presence-pushd",
					    "presencectl"};
	static const char *const helps[] = {"-h", "--help"};
	static const char *const wrong[] = {"--nothing", "-x", "nothing", "--config"};
	struct stack *stack = stack_new("");
	char *out;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		for (size_t j = 0; j < 2; j++) {
			ck_assert_int_eq(say(stack, names[i], helps[j], &out), 0);
			check_has(out, "usage: ");
			check_has(out, names[i]);
			check_has(out, "--config FILE");
		}
		ck_assert_int_eq(say(stack, names[i], "--version", &out), 0);
		check_has(out, names[i]);
		for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
			int status = say(stack, names[i], wrong[j], &out);

			ck_assert_msg(status == 2, "%s %s: status %d", names[i], wrong[j], status);
			check_has(out, "--help'.\n");
		}
	}
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("processes");
	TCase *tcase = harness_case(suite, "processes", 60);

	tcase_add_test(tcase, killed_workers_are_replaced);
	tcase_add_test(
		tcase,
		who_connected_before_api_was_told_to_stop_is_answered_and_nobody_later_waits);
	tcase_add_test(tcase,
		       what_api_has_taken_is_answered_before_it_ends_however_long_that_takes);
	tcase_add_test(tcase, streams_over_the_descriptor_limit_are_refused_cleanly);
	tcase_add_test(tcase, a_bad_configuration_is_refused_at_start);
	tcase_add_test(tcase, a_variable_that_names_no_option_is_warned_about_once);
	tcase_add_test(tcase, a_bad_configuration_at_sighup_changes_nothing);
	tcase_add_test(tcase, sighup_takes_new_values_and_fails_no_request);

	tcase = harness_case(suite, "stand", 20);
	tcase_add_test(tcase, programs_start_with_default_signals_whatever_the_tests_inherited);
	tcase_add_test(tcase, every_program_reads_its_command_line_alike);
	return harness_main(suite);
}
