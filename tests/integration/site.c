/* What all ways of serving have in common: the site, its sockets, its programs. */
#include "servers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "process.h"
#include "wire.h"

#define WEB_USER "www-data" /* Debian's, of all web servers */
#define BACKLOG 128

/* --- texts and files ---------------------------------------------------------------------- */

const char *text_of(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	ck_assert(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}

static char *read_conf(const char *name)
{
	const char *path = text_of("%s/conf/%s", SRCDIR, name);
	FILE *file = fopen(path, "re");
	struct printbuf *text = buf_new();
	char piece[4096];
	size_t got;

	ck_assert_msg(file != NULL, "cannot read %s", path);
	while ((got = fread(piece, 1, sizeof piece, file)) > 0)
		buf_put(text, piece, got);
	fclose(file);
	return buf_take(text, NULL);
}

char *conf_with(const char *name, const struct change *changes)
{
	char *text = read_conf(name);

	for (; changes->from != NULL; changes++) {
		struct printbuf *out = buf_new();
		const char *rest = text, *at = strstr(text, changes->from);

		ck_assert_msg(at != NULL, "conf/%s has no '%s' any more", name, changes->from);
		for (; at != NULL; at = strstr(rest, changes->from)) {
			buf_put(out, rest, (size_t)(at - rest));
			buf_puts(out, changes->to);
			rest = at + strlen(changes->from);
		}
		buf_puts(out, rest);
		free(text);
		text = buf_take(out, NULL);
	}
	return text;
}

const char *site_user(void)
{
	return geteuid() == 0 ? WEB_USER : NULL;
}

void give(struct stack *stack, const char *name)
{
	const struct passwd *user = site_user() != NULL ? getpwnam(site_user()) : NULL;

	if (site_user() == NULL)
		return;
	ck_assert_msg(user != NULL, "there is no user %s", site_user());
	ck_assert_int_eq(chown(stack_path(stack, name), user->pw_uid, user->pw_gid), 0);
}

const char *site_program(struct site *site, const char *name)
{
	const char *copy = stack_path(site->stack, name);
	const char *argv[] = {"cp", program(name), copy, NULL};

	/* That user may be unable to look into the build's directory. */
	if (site_user() == NULL)
		return program(name);
	if (access(copy, X_OK) != 0)
		ck_assert_int_eq(run(site->stack, NULL, NULL, argv), 0);
	return copy;
}

const char *site_web(struct site *site)
{
	const char *copy = stack_path(site->stack, "web");
	const char *argv[] = {"cp", "-r", SRCDIR "/src/web", copy, NULL};

	if (access(copy, F_OK) != 0)
		ck_assert_int_eq(run(site->stack, NULL, NULL, argv), 0);
	return copy;
}

/* --- sockets that outlive their programs -------------------------------------------------- */

static int open_socket(struct site *site, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", site->stack->dir, name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(chmod(address.sun_path, 0666), 0);
	ck_assert_int_eq(listen(fd, BACKLOG), 0);
	return fd;
}

/* As sd_listen_fds(3) has it, or with fd 0 as FastCGI and StandardInput=socket have it. */
static pid_t start_activated(struct site *site, const char *name, int socket, int fd)
{
	const char *argv[] = {program(name), "-c", stack_path(site->stack, "presence.conf"), NULL};
	const char *log = stack_path(
		site->stack, strcmp(name, "presence-streamd") == 0 ? "streamd0.log" : "api.log");
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0) {
		setpgid(pid, site->stack->group);
		return pid;
	}
	setpgid(0, site->stack->group);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	process_default_signals();
	socket = fcntl(socket, F_DUPFD, 10);
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), 1);
	dup2(1, 2);
	dup2(socket, fd);
	close_range(fd == 0 ? 3 : 4, ~0U, 0);
	if (fd != 0) {
		setenv("LISTEN_FDS", "1", 1);
		setenv("LISTEN_PID", text_of("%d", (int)getpid()), 1);
	}
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

void site_start_streamd(struct site *site)
{
	if (site->stream_socket < 0)
		streamd_start(site->stack, 0);
	else
		site->stack->streamd[0] =
			start_activated(site, "presence-streamd", site->stream_socket, 3);
}

void site_start_api(struct site *site)
{
	site->api = start_activated(site, "presence-api", site->api_socket, 0);
}

/* --- presence-api by itself --------------------------------------------------------------- */

static void wait_for_api(struct site *site)
{
	const char *path = stack_path(site->stack, "api.sock");

	WAIT_UNTIL(wire_answers(path) || !process_lives(site->api), 10000);
	ck_assert_msg(process_lives(site->api), "presence-api did not start");
}

void api_spawn(struct site *site)
{
	const char *argv[] = {"spawn-fcgi", "-n",
			      "-M",	    "0666",
			      "-s",	    stack_path(site->stack, "api.sock"),
			      "--",	    program("presence-api"),
			      "-c",	    stack_path(site->stack, "presence.conf"),
			      NULL};

	site->api = process_start(site->stack, "api", argv, NULL, 0);
	wait_for_api(site);
}

void api_listen(struct site *site)
{
	const char *argv[] = {program("presence-api"), "-c",
			      stack_path(site->stack, "presence.conf"), NULL};
	const char *env[] = {"PRESENCE_API_LISTEN",
			     text_of("unix:%s", stack_path(site->stack, "api.sock")), NULL};

	site->api = process_start(site->stack, "api", argv, env, 0);
	wait_for_api(site);
}

/* --- the web server ----------------------------------------------------------------------- */

/* Another process may take the port between our look and the web server's bind. */
pid_t web_on_port(struct site *site, void (*write)(struct site *site), const char *const argv[])
{
	for (int attempt = 0; attempt < 3; attempt++) {
		pid_t pid;

		site->stack->port = free_port();
		write(site);
		pid = process_start(site->stack, argv[0], argv, NULL, 0);
		WAIT_UNTIL(port_answers(site->stack->port) || !process_lives(pid), 10000);
		if (process_lives(pid))
			return pid;
		process_end(&pid, 0, argv[0], 1000);
	}
	ck_abort_msg("%s did not start; is it installed (./bootstrap --tests)?", argv[0]);
}

void web_start(struct site *site, void (*write)(struct site *site), const char *const argv[])
{
	for (size_t i = 0; argv[i] != NULL; i++) {
		ck_assert_uint_lt(i + 1, sizeof site->web / sizeof site->web[0]);
		site->web[i] = argv[i];
	}
	site->stack->lighttpd = web_on_port(site, write, argv);
}

void site_change(struct site *site, const char *file, const char *from, const char *to)
{
	struct stack *stack = site->stack;
	const char *text = from != NULL ? stack_file(stack, file) : NULL;
	const char *at = from != NULL ? strstr(text, from) : NULL;

	ck_assert_msg(from == NULL || at != NULL, "no '%s' in %s:\n%s", from, file, text);
	if (from != NULL)
		stack_write(stack, file,
			    text_of("%.*s%s%s", (int)(at - text), text, to, at + strlen(from)));
	process_end(&stack->lighttpd, SIGTERM, site->web[0], 10000);
	WAIT_UNTIL(!port_answers(stack->port), 5000);
	stack->lighttpd = process_start(stack, site->web[0], site->web, NULL, site->nofile);
	WAIT_UNTIL(port_answers(stack->port) || !process_lives(stack->lighttpd), 10000);
	ck_assert_msg(process_lives(stack->lighttpd), "%s did not start:\n%s", site->web[0],
		      stack_file(stack, text_of("%s.log", site->web[0])));
}

/* --- the site ----------------------------------------------------------------------------- */

struct site *site_new(const struct server *server, const char *conf, int silence)
{
	struct site *site = xcalloc(1, sizeof *site);

	/* The web server's user must be able to use what is in the stand's directory. */
	if (site_user() != NULL) {
		umask(022);
		conf = text_of("stream { mode = 0666 }\n%s", conf);
	}
	site->stack = stack_new(conf);
	site->server = server;
	site->silence = silence;
	site->slots = 20;
	site->streams = 50;
	site->lifetime = 200;
	site->padding = 66000;
	site->api_socket = site->stream_socket = -1;
	give(site->stack, "");
	give(site->stack, "key");
	give(site->stack, "users.db");
	return site;
}

void site_run(struct site *site)
{
	unsigned traits = site->server->traits;

	redis_start(site->stack, site_user() != NULL ? "--unixsocketperm 777" : NULL);
	if (traits & HOLDS_SOCKETS) {
		site->api_socket = open_socket(site, "api.sock");
		site->stream_socket = open_socket(site, "stream0.sock");
	}
	if ((traits & (STREAMS | STARTS_STREAMD)) == STREAMS)
		site_start_streamd(site);
	site->server->start(site);
}

struct site *site_start(const struct server *server, const char *conf, int silence)
{
	struct site *site = site_new(server, conf, silence);

	site_run(site);
	return site;
}

/* What the programs under test wrote where the web server wanted it. */
static void check_logs(struct site *site)
{
	static const char *const names[] = {"api.log", "apache-error.log", "apache2.log"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *text = stack_file(site->stack, names[i]);

		ck_assert_msg(strstr(text, "Sanitizer") == NULL &&
				      strstr(text, "runtime error:") == NULL,
			      "a sanitizer speaks in %s:\n%s", names[i], text);
	}
}

void site_stop(struct site *site)
{
	if (site->front != 0)
		process_end(&site->front, SIGTERM, "the second web server", 5000);
	if (site->api != 0)
		ck_assert_int_eq(process_end(&site->api, SIGTERM, "presence-api", 15000), 0);
	check_logs(site);
	stack_stop(site->stack);
}

/* The kernel keeps the first 15 bytes of a program's name. */
static bool is_program(pid_t pid, const char *program)
{
	FILE *file = fopen(text_of("/proc/%d/comm", (int)pid), "re");
	char name[32] = "";
	bool is;

	if (file == NULL)
		return false;
	is = fgets(name, sizeof name, file) != NULL &&
	     strcspn(name, "\n") == strnlen(program, 15) &&
	     strncmp(name, program, strcspn(name, "\n")) == 0;
	fclose(file);
	return is;
}

int site_processes(struct site *site, const char *program, pid_t *list, int max)
{
	DIR *entries = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	ck_assert_ptr_nonnull(entries);
	while ((entry = readdir(entries)) != NULL && count < max) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 0 && getpgid(pid) == site->stack->group && process_runs(pid) &&
		    is_program(pid, program))
			list[count++] = pid;
	}
	closedir(entries);
	return count;
}

int site_streamds(struct site *site, pid_t *list, int max)
{
	return site_processes(site, "presence-streamd", list, max);
}
