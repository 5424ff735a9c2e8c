/*
 * Attacks from the machine itself: whose files and sockets are whose, what the programs may do. The
 * rows of docs/reliability.md that test_systemd.c, test_deb.sh and test_hardening.sh do not have.
 */
#include "harness.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "process.h"
#include "wire.h"

#define COUNT "/api/online-status/count"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NOBODY 65534

static unsigned mode_of(const char *path)
{
	struct stat info;

	ck_assert_msg(stat(path, &info) == 0, "no %s", path);
	return info.st_mode & 07777;
}

START_TEST(sockets_are_0660_whatever_the_umask)
{
	static const unsigned masks[] = {0, 022, 0777};

	for (size_t i = 0; i < COUNT_OF(masks); i++) {
		struct stack *stack = stack_new("stream { mode = 0660 }\n");
		const char *api = stack_path(stack, "own.sock"), *address;
		char *text;
		pid_t pid;
		mode_t mask;

		ck_assert(asprintf(&text, "unix:%s", api) > 0);
		address = text;
		redis_start(stack, NULL);
		mask = umask(masks[i]);
		streamd_start(stack, 0);
		pid = process_start(stack, "api",
				    (const char *const[]){program("presence-api"), "-c",
							  stack_path(stack, "presence.conf"), NULL},
				    (const char *const[]){"PRESENCE_API_LISTEN", address, NULL}, 0);
		WAIT_UNTIL(access(api, F_OK) == 0 && mode_of(api) == 0660, 5000);
		/* Before that SIGTERM would end it by the system's default. */
		WAIT_UNTIL(strstr(stack_file(stack, "api.log"), "keeping") != NULL, 5000);
		umask(mask);
		ck_assert_uint_eq(mode_of(streamd_socket(stack, 0)), 0660);
		ck_assert_int_eq(process_end(&pid, SIGTERM, "presence-api", 10000), 0);
		stack_stop(stack);
	}
}
END_TEST

static int give_to_nobody(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return lchown(path, NOBODY, NOBODY);
}

/* Root without a capability, or somebody else without any right: nothing but its files is needed. */
static pid_t start_confined(struct stack *stack, const char *log, const char *name,
			    const char *const env[])
{
	const char *argv[] = {"setpriv",
			      "--reuid=65534",
			      "--regid=65534",
			      "--clear-groups",
			      "--no-new-privs",
			      "--bounding-set=-all",
			      "--inh-caps=-all",
			      program(name),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      NULL};

	return process_start(stack, log, argv, env, 0);
}

/* Fields of /proc/PID/status. */
static const char *status_field(pid_t pid, const char *field)
{
	static char line[256];
	char path[64];
	FILE *file;
	bool found = false;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (!found && fgets(line, sizeof line, file) != NULL)
		found = strncmp(line, field, strlen(field)) == 0;
	fclose(file);
	ck_assert_msg(found, "no %s of process %d", field, (int)pid);
	return line + strlen(field);
}

static void check_confined(pid_t pid)
{
	ck_assert_int_eq(atoi(status_field(pid, "Uid:")), NOBODY);
	ck_assert_int_eq(atoi(status_field(pid, "NoNewPrivs:")), 1);
	ck_assert_uint_eq(strtoull(status_field(pid, "CapEff:"), NULL, 16), 0);
	ck_assert_uint_eq(strtoull(status_field(pid, "CapBnd:"), NULL, 16), 0);
}

START_TEST(both_programs_serve_as_nobody_without_a_capability)
{
	struct stack *stack;
	char *address;
	pid_t api;
	struct sse *sse;

	if (geteuid() != 0) /* then every test runs without privileges */
		return;
	stack = stack_new("");
	redis_start(stack, NULL);
	ck_assert_int_eq(nftw(stack->dir, give_to_nobody, 16, FTW_PHYS), 0);
	ck_assert(asprintf(&address, "unix:%s", stack_path(stack, "api.sock")) > 0);
	stack->streamd[0] = start_confined(stack, "streamd0", "presence-streamd", NULL);
	api = start_confined(stack, "api", "presence-api",
			     (const char *const[]){"PRESENCE_API_LISTEN", address, NULL});
	WAIT_UNTIL(access(stack_path(stack, "api.sock"), F_OK) == 0, 10000);
	WAIT_UNTIL(access(streamd_socket(stack, 0), F_OK) == 0, 10000);
	/* The web server is somebody else; it only connects. */
	lighttpd_start(stack);
	lighttpd_change(stack, "\"bin-path\" => var.presence_api + \" -c \" + var.presence_conf,",
			"");
	lighttpd_change(stack, "\"max-procs\" => 1,", "");
	WAIT_UNTIL(strstr(stack_file(stack, "api.log"), "keeping") != NULL, 5000);
	http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	http_ok(stack, "/api/friends/list", token_for(stack, "2"), NULL);
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	sse_close(sse);
	check_confined(stack->streamd[0]);
	check_confined(api);
	ck_assert_int_eq(process_end(&api, SIGTERM, "presence-api", 10000), 0);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attacks from the machine");
	TCase *tcase = harness_case(suite, "machine", 60);

	tcase_add_test(tcase, sockets_are_0660_whatever_the_umask);
	tcase_add_test(tcase, both_programs_serve_as_nobody_without_a_capability);
	return harness_main(suite);
}
