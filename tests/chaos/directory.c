/* The directory: an SQLite file, or a PostgreSQL that the programs reach over a way that can be cut. */
#include "chaos.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_dbd.h>
#include <crypt.h>

#include "base/alloc.h"
#include "integration/postgres.h"

#define NEAR_FRIENDS 4 /* on either side, at first */

struct database {
	apr_pool_t *pool;
	const apr_dbd_driver_t *driver;
	apr_dbd_t *handle;
};

static bool is_postgres(const struct chaos *chaos)
{
	return chaos->plan->directory == DIRECTORY_POSTGRES;
}

/* --- our own connection ---------------------------------------------------------------------- */

static struct database *database_open(const char *driver, const char *params)
{
	struct database *database = xcalloc(1, sizeof *database);
	apr_pool_t *pool;

	ck_assert_int_eq(apr_initialize(), APR_SUCCESS);
	ck_assert_int_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
	database->pool = pool;
	ck_assert_int_eq(apr_dbd_init(pool), APR_SUCCESS);
	ck_assert_int_eq(apr_dbd_get_driver(pool, driver, &database->driver), APR_SUCCESS);
	ck_assert_int_eq(apr_dbd_open(database->driver, pool, params, &database->handle),
			 APR_SUCCESS);
	return database;
}

void directory_sql(struct chaos *chaos, const char *format, ...)
{
	struct database *database = chaos->stand.directory;
	va_list args;
	char text[400];
	int changed, status, tries = 0;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	/* A reader may have it locked for a moment. */
	do
		status = apr_dbd_query(database->driver, database->handle, &changed, text);
	while (status != 0 && tries++ < 1000 && (nap(), true));
	ck_assert_msg(status == 0, "%s: %s", text,
		      apr_dbd_error(database->driver, database->handle, status));
}

/* Passwords that are cheap to verify, or nothing else would be done here. */
static void fill(struct chaos *chaos)
{
	const char *hash = crypt(PASSWORD, "$6$rounds=1000$chaos$");

	ck_assert_msg(hash != NULL && *hash == '$', "crypt(3) has no sha512crypt");
	directory_sql(chaos, "BEGIN");
	directory_sql(chaos, "DELETE FROM friends");
	directory_sql(chaos, "DELETE FROM users");
	for (unsigned i = 1; i <= chaos->user_count + 1; i++)
		directory_sql(chaos,
			      "INSERT INTO users (id, email, name, password_hash) "
			      "VALUES (%u, 'chaos%u@example.com', 'User %u', '%s')",
			      i, i, i, hash);
	for (unsigned i = 1; i <= chaos->user_count; i++) {
		for (unsigned j = 1; j <= NEAR_FRIENDS; j++) {
			unsigned other = 1 + (i + j - 1) % chaos->user_count;

			if (other == i || friends_are(chaos, i, other))
				continue;
			chaos->friends[i * (chaos->user_count + 1) + other] = true;
			chaos->friends[other * (chaos->user_count + 1) + i] = true;
			directory_sql(chaos, "INSERT INTO friends VALUES (%u, %u), (%u, %u)", i,
				      other, other, i);
		}
	}
	directory_sql(chaos, "COMMIT");
}

void directory_put_conf(struct chaos *chaos, struct printbuf *conf)
{
	buf_puts(conf, "directory { timeout_ms = 1000 }\n");
	if (is_postgres(chaos))
		buf_putf(conf,
			 "directory { driver = pgsql "
			 "params = \"host=%s user=presence dbname=postgres\" }\n",
			 chaos->stand.stack->dir);
}

void directory_start(struct chaos *chaos)
{
	struct stack *stack = chaos->stand.stack;
	char params[160];
	apr_dbd_results_t *results = NULL;
	struct database *database;

	if (is_postgres(chaos)) {
		postgres_make(stack);
		snprintf(params, sizeof params, "host=%s user=presence dbname=postgres",
			 postgres_dir(stack));
		setenv("PRESENCE_DIRECTORY_PARAMS", params, 1); /* the way there is not made yet */
		CTL(stack, "directory", "init");
		unsetenv("PRESENCE_DIRECTORY_PARAMS");
		chaos->stand.directory = database_open("pgsql", params);
	} else {
		database = database_open("sqlite3", stack_path(stack, "users.db"));
		chaos->stand.directory = database;
		/* A disk that is slow would lock out the readers; apr_dbd_query() wants no row. */
		ck_assert_int_eq(apr_dbd_select(database->driver, database->pool, database->handle,
						&results, "PRAGMA synchronous = OFF", 1),
				 0);
	}
	fill(chaos);
}

void directory_stop(struct chaos *chaos)
{
	struct database *database = chaos->stand.directory;

	apr_dbd_close(database->driver, database->handle);
	if (is_postgres(chaos))
		postgres_stop(chaos->stand.stack);
}

/* --- faults ---------------------------------------------------------------------------------- */

bool directory_lock(struct chaos *chaos)
{
	if (chaos->stand.directory_away)
		return false;
	if (is_postgres(chaos)) {
		directory_sql(chaos, "BEGIN");
		directory_sql(chaos, "LOCK TABLE users, friends IN ACCESS EXCLUSIVE MODE");
	} else {
		directory_sql(chaos, "BEGIN EXCLUSIVE");
	}
	chaos->stand.directory_away = true;
	return true;
}

void directory_unlock(struct chaos *chaos)
{
	directory_sql(chaos, "COMMIT");
	chaos->stand.directory_away = false;
}

bool directory_hang(struct chaos *chaos, enum directory_hang how)
{
	static const enum how cuts[] = {[HANG_LATE] = CUT_LATE, [HANG_DEAD] = CUT_DEAD};

	if (chaos->stand.directory_away || !is_postgres(chaos))
		return false;
	chaos->stand.directory_away = true;
	if (how == HANG_STOPPED)
		postgres_signal(chaos->stand.stack, SIGSTOP);
	else
		network_cut(chaos, ROUTE_DIRECTORY, cuts[how], TO_BOTH);
	return true;
}

void directory_go_on(struct chaos *chaos, enum directory_hang how)
{
	if (how == HANG_STOPPED)
		postgres_signal(chaos->stand.stack, SIGCONT);
	else
		network_mend(chaos, ROUTE_DIRECTORY);
	chaos->stand.directory_away = false;
}
