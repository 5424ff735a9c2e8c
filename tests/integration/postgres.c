/* A PostgreSQL of the stand's own. */
#include "postgres.h"

#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"

#define DATABASE_USER "postgres" /* PostgreSQL refuses to run as root */
#define ARGS_MAX 24

/* A program of the newest PostgreSQL here. */
static const char *program_of(const char *name)
{
	char pattern[128];
	glob_t found;
	const char *path;

	snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", name);
	ck_assert_msg(glob(pattern, 0, NULL, &found) == 0,
		      "there is no %s; is PostgreSQL installed (./bootstrap --tests)?", name);
	path = strdup(found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	return path;
}

/* Prepares argv for a server's program; as another user when we are root. */
static void server_argv(const char *argv[ARGS_MAX], const char *const program_argv[])
{
	static const char *const as_user[] = {"setpriv", "--reuid=" DATABASE_USER,
					      "--regid=" DATABASE_USER, "--clear-groups", NULL};
	int count = 0;

	for (int i = 0; geteuid() == 0 && as_user[i] != NULL; i++)
		argv[count++] = as_user[i];
	for (int i = 0; program_argv[i] != NULL; i++)
		argv[count++] = program_argv[i];
	argv[count] = NULL;
}

const char *postgres_dir(struct stack *stack)
{
	return stack_path(stack, "pg");
}

char *postgres_sql(struct stack *stack, const char *statements)
{
	const char *argv[] = {program_of("psql"),
			      "-h",
			      postgres_dir(stack),
			      "-U",
			      "presence",
			      "-d",
			      "postgres",
			      "-v",
			      "ON_ERROR_STOP=1",
			      "-qAtX",
			      "-c",
			      statements,
			      NULL};
	char *out;
	int status = run(stack, &out, NULL, argv);

	ck_assert_msg(status == 0, "psql: exit status %d: %s\n%s", status, statements,
		      stack_file(stack, "run.log"));
	return out;
}

static bool answers(struct stack *stack)
{
	const char *argv[] = {program_of("pg_isready"),
			      "-q",
			      "-h",
			      postgres_dir(stack),
			      "-U",
			      "presence",
			      "-d",
			      "postgres",
			      NULL};

	return run(stack, NULL, NULL, argv) == 0;
}

void postgres_start(struct stack *stack)
{
	const char *server[] = {program_of("postgres"),
				"-F",
				"-D",
				postgres_dir(stack),
				"-k",
				postgres_dir(stack),
				"-c",
				"listen_addresses=",
				NULL};
	const char *argv[ARGS_MAX];

	server_argv(argv, server);
	stack->postgres = process_start(stack, "postgres", argv, NULL, 0);
	WAIT_UNTIL(answers(stack) || !process_lives(stack->postgres), 20000);
	ck_assert_msg(process_lives(stack->postgres), "PostgreSQL did not start");
}

void postgres_stop(struct stack *stack)
{
	ck_assert_int_eq(process_end(&stack->postgres, SIGINT, "PostgreSQL", 20000), 0);
}

void postgres_signal(struct stack *stack, int number)
{
	pid_t list[64];
	int count = children_of(stack->postgres, list, 64);

	kill(stack->postgres, number);
	for (int i = 0; i < count; i++)
		kill(list[i], number);
}

void postgres_make(struct stack *stack)
{
	const char *server[] = {program_of("initdb"),
				"-D",
				postgres_dir(stack),
				"-U",
				"presence",
				"-A",
				"trust",
				"-E",
				"UTF8",
				"--no-locale",
				"--no-sync",
				NULL};
	const char *argv[ARGS_MAX];
	struct passwd *user = getpwnam(DATABASE_USER);

	ck_assert_int_eq(mkdir(postgres_dir(stack), 0700), 0);
	if (geteuid() == 0) {
		ck_assert_msg(user != NULL, "there is no user %s", DATABASE_USER);
		ck_assert_int_eq(chmod(stack->dir, 0711), 0);
		ck_assert_int_eq(chown(postgres_dir(stack), user->pw_uid, user->pw_gid), 0);
	}
	server_argv(argv, server);
	ck_assert_msg(run(stack, NULL, NULL, argv) == 0, "initdb: %s",
		      stack_file(stack, "run.log"));
	postgres_start(stack);
}
