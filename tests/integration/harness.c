/* The stand: its configuration, its servers, and the program that runs a suite. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "process.h"
#include "wire.h"

#define ARGS_MAX 24
#define SOCKET_DIR_MAX 60 /* so that DIR/stream0.sock fits into sockaddr_un */

/* The programs under test are checked for leaks, their client is not. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* Made once, before the first test; inherited by the processes of the tests. */
static char template_dir[64];
static bool template_ready;

const char *program(const char *name)
{
	const char *dir = getenv("ABS_BUILDDIR");
	char *path;

	ck_assert(asprintf(&path, "%s/src/%s", dir != NULL ? dir : BUILDDIR, name) > 0);
	return path;
}

static void make_dir(char *dir, size_t size)
{
	const char *base = getenv("TMPDIR");

	if (base == NULL || strlen(base) > SOCKET_DIR_MAX - 20)
		base = "/tmp";
	snprintf(dir, size, "%s/presence-XXXXXX", base);
	ck_assert_msg(mkdtemp(dir) != NULL, "cannot make %s: %s", dir, strerror(errno));
}

const char *stack_path(struct stack *stack, const char *name)
{
	char *path;

	ck_assert(asprintf(&path, "%s/%s", stack->dir, name) > 0);
	return path;
}

static void write_file(struct stack *stack, const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(stack_path(stack, name), "we");

	ck_assert_msg(file != NULL, "cannot write %s/%s", stack->dir, name);
	ck_assert_int_eq(fchmod(fileno(file), mode), 0);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

void stack_write(struct stack *stack, const char *name, const char *text)
{
	write_file(stack, name, text, 0644);
}

void stack_write_secret(struct stack *stack, const char *name, const char *text)
{
	write_file(stack, name, text, 0640);
}

static char *read_whole(const char *path)
{
	struct printbuf *text = buf_new();
	FILE *file = fopen(path, "re");
	char piece[4096];
	size_t got;

	while (file != NULL && (got = fread(piece, 1, sizeof piece, file)) > 0)
		buf_put(text, piece, got);
	if (file != NULL)
		fclose(file);
	return buf_take(text, NULL);
}

char *stack_file(struct stack *stack, const char *name)
{
	return read_whole(stack_path(stack, name));
}

char *source_file(const char *name)
{
	char *path, *text;

	ck_assert(asprintf(&path, SRCDIR "/%s", name) > 0);
	text = read_whole(path);
	ck_assert_msg(*text != '\0', "cannot read %s", path);
	free(path);
	return text;
}

static void copy_file(const char *from, const char *to)
{
	char piece[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC),
	    out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ssize_t got;

	ck_assert_msg(in >= 0 && out >= 0, "cannot copy %s", from);
	while ((got = read(in, piece, sizeof piece)) > 0)
		ck_assert_int_eq(write(out, piece, (size_t)got), got);
	close(in);
	close(out);
}

void stack_write_conf(struct stack *stack, const char *conf)
{
	struct printbuf *text = buf_new();

	buf_putf(text,
		 "redis { url = \"unix://%s/redis.sock\" timeout_ms = 1000 }\n"
		 "auth { key_file = \"%s/key\" leeway = 0 }\n"
		 "directory { params = \"%s/users.db\" }\n"
		 "stream { listen = \"unix:%s/stream0.sock\" mode = 0600 }\n"
		 "api { children = 2 }\n"
		 "log { level = debug }\n%s\n",
		 stack->dir, stack->dir, stack->dir, stack->dir, conf);
	stack_write(stack, "presence.conf", text->buf);
	printbuf_free(text);
}

static void make_secret(struct stack *stack)
{
	unsigned char random[32];

	ck_assert_int_eq(getrandom(random, sizeof random, 0), sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		sprintf(stack->secret + 2 * i, "%02x", random[i]);
	stack_write_secret(stack, "key", stack->secret);
}

/* PRESENCE_REDIS_PARTITIONS=8 make check TESTS=…: programs read it too. */
static unsigned partitions_of_environment(void)
{
	const char *text = getenv("PRESENCE_REDIS_PARTITIONS");

	return text != NULL ? (unsigned)atoi(text) : 1;
}

struct stack *stack_new(const char *conf)
{
	struct stack *stack = xcalloc(1, sizeof *stack);
	char *users;

	stack->base = "/api/";
	stack->servers = 1;
	stack->partitions = partitions_of_environment();
	make_dir(stack->dir, sizeof stack->dir);
	guardian_start(stack);
	make_secret(stack);
	stack_write_conf(stack, conf);
	ck_assert(asprintf(&users, "%s/users.db", template_dir) > 0);
	copy_file(users, stack_path(stack, "users.db"));
	free(users);
	return stack;
}

struct stack *stack_start(const char *conf)
{
	struct stack *stack = stack_new(conf);

	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	return stack;
}

struct stack *stack_start_api(const char *conf)
{
	struct stack *stack = stack_new(conf);

	redis_start(stack, NULL);
	lighttpd_start(stack);
	return stack;
}

static void check_log(struct stack *stack, const char *name)
{
	static const char *const bad[] = {"Sanitizer", "runtime error:", "ssertion"};
	char *text = stack_file(stack, name);

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(strstr(text, bad[i]) == NULL, "%s says '%s'", name, bad[i]);
	free(text);
}

void stack_stop(struct stack *stack)
{
	for (int i = 0; i < STREAMD_MAX; i++) {
		if (stack->streamd[i] != 0)
			ck_assert_int_eq(streamd_end(stack, i, SIGTERM), 0);
	}
	if (stack->lighttpd != 0)
		process_end(&stack->lighttpd, SIGTERM, "lighttpd", 5000);
	for (int i = 0; i < REDIS_MAX; i++) {
		if (redis_pid_at(stack, i) != 0)
			redis_kill_at(stack, i);
	}
	check_log(stack, "streamd0.log");
	check_log(stack, "streamd1.log");
	if (!stack->expects_abort)
		check_log(stack, "lighttpd.log");
	guardian_finish(stack);
}

/* --- servers ------------------------------------------------------------------------------ */

const char *streamd_socket(struct stack *stack, int index)
{
	return stack_path(stack, index == 0 ? "stream0.sock" : "stream1.sock");
}

/* Bytes that a program has logged so far. */
static size_t logged(struct stack *stack, const char *name)
{
	char *text = stack_file(stack, name);
	size_t len = strlen(text);

	free(text);
	return len;
}

/*
 * A stream that opens before Redis has answered hears `degraded` first. `from`: where what the new
 * process logs begins.
 */
static void wait_for_redis(struct stack *stack, const char *name, size_t from)
{
	int64_t end = now_ms() + patience(1000);
	bool told = false;

	while (stack->redis != 0 && !told && now_ms() < end) {
		char *text = stack_file(stack, name);

		told = strstr(text + from, "redis: connected") != NULL ||
		       strstr(text + from, "level=warning msg=\"redis: ") != NULL;
		free(text);
		nap();
	}
}

void streamd_start(struct stack *stack, int index)
{
	const char *conf = stack_path(stack, "presence.conf"),
		   *socket = streamd_socket(stack, index);
	const char *argv[] = {program("presence-streamd"), "-c", conf, NULL};
	const char *log = index == 0 ? "streamd0" : "streamd1";
	const char *log_file = index == 0 ? "streamd0.log" : "streamd1.log";
	size_t from = logged(stack, log_file);
	const char *env[] = {NULL, NULL, NULL};
	char *address;

	ck_assert(asprintf(&address, "unix:%s", socket) > 0);
	if (index > 0) {
		env[0] = "PRESENCE_STREAM_LISTEN";
		env[1] = address;
	}
	stack->streamd[index] = process_start(stack, log, argv, env, stack->streamd_nofile);
	WAIT_UNTIL(wire_answers(socket) || !process_lives(stack->streamd[index]), 10000);
	ck_assert_msg(process_lives(stack->streamd[index]), "presence-streamd did not start");
	wait_for_redis(stack, log_file, from);
	free(address);
}

int streamd_end(struct stack *stack, int index, int signal)
{
	return process_end(&stack->streamd[index], signal, "presence-streamd", 15000);
}

/* The configuration that a site uses, with this stack's places. */
static void put_site_conf(struct printbuf *out, struct stack *stack)
{
	const struct {
		const char *name, *value;
	} variables[] = {
		{"presence_api", program("presence-api")},
		{"presence_conf", stack_path(stack, "presence.conf")},
		{"presence_api_socket", stack_path(stack, "api.sock")},
		{"presence_stream_socket", streamd_socket(stack, 0)},
		{"presence_base", stack->base},
	};
	char *text = source_file("conf/lighttpd.conf"), *rest = text;

	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		const char *value = NULL;

		for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
			size_t len = strlen(variables[i].name);

			if (strncmp(line, "var.", 4) == 0 &&
			    strncmp(line + 4, variables[i].name, len) == 0 &&
			    line[4 + len] == ' ') {
				value = variables[i].value;
				buf_putf(out, "var.%s = \"%s\"\n", variables[i].name, value);
			}
		}
		if (value == NULL)
			buf_putf(out, "%s\n", line);
	}
	free(text);
}

static void write_lighttpd_conf(struct stack *stack)
{
	struct printbuf *text = buf_new();

	buf_putf(text,
		 "server.document-root = \"%s\"\n"
		 "server.bind = \"127.0.0.1\"\n"
		 "server.port = %d\n"
		 "accesslog.filename = \"/dev/null\"\n"
		 "server.feature-flags += (\"server.graceful-shutdown-timeout\" => 1)\n",
		 stack->dir, stack->port);
	put_site_conf(text, stack);
	stack_write(stack, "lighttpd.conf", text->buf);
	printbuf_free(text);
}

void lighttpd_start(struct stack *stack)
{
	const char *argv[] = {"lighttpd", "-D", "-f", stack_path(stack, "lighttpd.conf"), NULL};

	/* Another process may take the port between our look and lighttpd's bind. */
	for (int attempt = 0; attempt < 3; attempt++) {
		stack->port = free_port();
		write_lighttpd_conf(stack);
		stack->lighttpd = process_start(stack, "lighttpd", argv, NULL, 0);
		WAIT_UNTIL(port_answers(stack->port) || !process_lives(stack->lighttpd), 10000);
		if (process_lives(stack->lighttpd)) {
			/*
			 * Answered when presence-api has started. Before its exec it would
			 * take lighttpd's SIGTERM with lighttpd's own handler, and stay.
			 */
			HTTP(stack, .path = stack->base);
			return;
		}
		process_end(&stack->lighttpd, 0, "lighttpd", 1000);
	}
	ck_abort_msg("lighttpd did not start");
}

void lighttpd_change(struct stack *stack, const char *from, const char *to)
{
	const char *argv[] = {"lighttpd", "-D", "-f", stack_path(stack, "lighttpd.conf"), NULL};
	char *text = stack_file(stack, "lighttpd.conf"), *changed;
	char *at = from != NULL ? strstr(text, from) : text + strlen(text);

	ck_assert_msg(at != NULL, "no '%s' in lighttpd.conf", from);
	ck_assert(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to,
			   at + (from != NULL ? strlen(from) : 0)) > 0);
	stack_write(stack, "lighttpd.conf", changed);
	process_end(&stack->lighttpd, SIGTERM, "lighttpd", 5000);
	WAIT_UNTIL(!port_answers(stack->port), 5000);
	stack->lighttpd = process_start(stack, "lighttpd", argv, NULL, 0);
	WAIT_UNTIL(port_answers(stack->port) || !process_lives(stack->lighttpd), 5000);
	ck_assert_msg(process_lives(stack->lighttpd), "lighttpd did not start");
	free(text);
	free(changed);
}

void users_sql(struct stack *stack, const char *sql)
{
	const char *argv[] = {"sqlite3", stack_path(stack, "users.db"), sql, NULL};

	ck_assert_int_eq(run(stack, NULL, NULL, argv), 0);
}

pid_t api_parent(struct stack *stack)
{
	pid_t parent = 0;

	WAIT_UNTIL(children_of(stack->lighttpd, &parent, 1) == 1, 5000);
	return parent;
}

/* --- presencectl, texts, random numbers --------------------------------------------------- */

int ctl_run(struct stack *stack, char **out, const char *input, const char *const args[])
{
	const char *argv[ARGS_MAX] = {program("presencectl"), "-c",
				      stack_path(stack, "presence.conf")};

	for (int i = 0; args[i] != NULL; i++) {
		ck_assert_int_lt(i, ARGS_MAX - 4);
		argv[3 + i] = args[i];
	}
	return run(stack, out, input, argv);
}

char *ctl_ok(const char *file, int line, struct stack *stack, const char *input,
	     const char *const args[])
{
	char *out = NULL;
	int status = ctl_run(stack, &out, input, args);

	ck_assert_msg(status == 0, "%s:%d: presencectl %s %s: exit status %d\n%s%s", file, line,
		      args[0], args[1] != NULL ? args[1] : "", status, out,
		      stack_file(stack, "run.log"));
	return out;
}

char *ctl_said(struct stack *stack)
{
	return stack_file(stack, "run.log");
}

/* Of a log the end, for Check ends the whole program where a message has more than 8 KiB. */
void check_part(const char *file, int line, const char *text, const char *part, bool wanted)
{
	size_t len = strlen(text), shown = len < 4096 ? len : 4096;

	if ((strstr(text, part) != NULL) != wanted)
		ck_abort_msg("%s:%d: %s'%s' in:\n%s%s", file, line, wanted ? "no " : "", part,
			     shown < len ? "..." : "", text + len - shown);
}

struct json_object *parse_json(const char *text)
{
	struct json_object *json = json_tokener_parse(text);

	ck_assert_msg(json != NULL, "not JSON: %s", text);
	return json;
}

static uint64_t seeded_state; /* xorshift64 */

void seed_from_environment(void)
{
	const char *seed = getenv("TEST_SEED");

	seeded_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 2654435761U;
	fprintf(stderr, "TEST_SEED=%llu\n", (unsigned long long)seeded_state);
}

unsigned seeded_below(unsigned limit)
{
	seeded_state ^= seeded_state << 13;
	seeded_state ^= seeded_state >> 7;
	seeded_state ^= seeded_state << 17;
	return (unsigned)(seeded_state >> 20) % limit;
}

/* --- running a suite ---------------------------------------------------------------------- */

/* One directory for all tests: hashing passwords takes its time. Runs in the suite's own process.
 */
static void make_template(void)
{
	struct stack stack = {.dir = ""};

	if (template_ready)
		return;
	if (template_dir[0] != '\0') /* the making of it failed */
		remove_tree(template_dir);
	make_dir(template_dir, sizeof template_dir);
	memcpy(stack.dir, template_dir, sizeof stack.dir);
	make_secret(&stack);
	stack_write_conf(&stack, "");
	CTL(&stack, "directory", "init");
	for (int i = 1; i <= USERS; i++) {
		char email[32], name[32];

		snprintf(email, sizeof email, "user%d@example.com", i);
		snprintf(name, sizeof name, "User %d", i);
		CTL_INPUT(&stack, PASSWORD "\n", "user", "add", "--email", email, "--name", name);
		for (int j = 1; j < i; j++) {
			char a[12], b[12];

			snprintf(a, sizeof a, "%d", i);
			snprintf(b, sizeof b, "%d", j);
			CTL(&stack, "friend", "add", a, b);
		}
	}
	template_ready = true;
}

TCase *harness_case(Suite *suite, const char *name, int seconds)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, patience(seconds * 1000) / 1000.0);
	tcase_add_unchecked_fixture(tcase, make_template, NULL);
	suite_add_tcase(suite, tcase);
	return tcase;
}

static int run_all(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	signal(SIGPIPE, SIG_IGN);
	srunner_run_all(runner, getenv("CK_VERBOSITY") != NULL ? CK_ENV : CK_VERBOSE);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (template_dir[0] != '\0')
		remove_tree(template_dir);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * What init(8) is elsewhere: orphans come to this process and are reaped at once. The
 * one that runs the tests cannot, for Check waits for a test by its pid; and mod_cgid
 * looks six seconds for a program that has ended but is a zombie. The exit status of
 * `child`, when nothing is left.
 */
static int reap_all(pid_t child)
{
	int result = EXIT_FAILURE, status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR) {
		if (pid == child && WIFEXITED(status))
			result = WEXITSTATUS(status);
	}
	return result;
}

int harness_main(Suite *suite)
{
	pid_t child;

	http_keep_answers();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	child = fork();
	if (child < 0)
		return EXIT_FAILURE;
	if (child > 0)
		return reap_all(child);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return run_all(suite);
}
