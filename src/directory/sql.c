#include "directory/sql.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_dbd.h>
#include <apr_general.h>
#include <apr_pools.h>

#include "base/alloc.h"
#include "base/times.h"

/* SQLite's driver tries so often when the file is locked, but not while it prepares. */
#define SQLITE_BUSY 5
#define SQLITE_TRIES 16
#define SQLITE_SLEEP_MS 100 /* between its tries */

static const struct {
	const char *text; /* NULL: the configuration's */
	int columns; /* the rows have at least so many */
} queries[SQL_QUERY_COUNT] = {
	[SQL_ACCOUNT] = {NULL, 3},
	[SQL_FRIENDS] = {NULL, 1},
	[SQL_FIND_USER] = {"SELECT id FROM users WHERE id = %s", 1},
	[SQL_FIND_EMAIL] = {"SELECT id FROM users WHERE lower(email) = lower(%s)", 1},
	[SQL_LIST_USERS] = {"SELECT id, email, name FROM users ORDER BY id", 3},
	/* SQLite would number the rows by itself, PostgreSQL's plain INTEGER does not. */
	[SQL_ADD_USER] = {"INSERT INTO users (id, email, name, password_hash) "
			  "SELECT COALESCE(MAX(id), 0) + 1, %s, %s, %s FROM users",
			  0},
	/* Both directions in one statement: all or nothing without a transaction. */
	[SQL_ADD_FRIEND] = {"INSERT INTO friends (user_id, friend_id) "
			    "SELECT a.id, b.id FROM users a, users b "
			    "WHERE ((a.id = %s AND b.id = %s) OR (a.id = %s AND b.id = %s)) "
			    "AND NOT EXISTS (SELECT 1 FROM friends f "
			    "WHERE f.user_id = a.id AND f.friend_id = b.id)",
			    0},
	[SQL_REMOVE_FRIEND] = {"DELETE FROM friends WHERE (user_id = %s AND friend_id = %s) "
			       "OR (user_id = %s AND friend_id = %s)",
			       0},
	[SQL_REMOVE_USER] = {"DELETE FROM users WHERE id = %s", 0},
	[SQL_SET_PASSWORD] = {"UPDATE users SET password_hash = %s WHERE id = %s", 0},
};

struct sql {
	const apr_dbd_driver_t *driver;
	bool is_sqlite, is_pgsql;
	char *params;
	const char *path; /* SQLite's file (params); NULL for other drivers and for file: URIs */
	char *own[2]; /* SQL_ACCOUNT, SQL_FRIENDS */
	int timeout_ms;

	apr_pool_t *pool; /* of the connection; NULL: not connected */
	apr_dbd_t *handle;
	apr_dbd_prepared_t *prepared[SQL_QUERY_COUNT]; /* NULL: not yet on this connection */
	bool holding; /* in a transaction of sql_hold() */
	bool changing; /* in one of sql_begin() */
	struct stat file; /* what was at `path` when it was opened */
	char error[256];
};

/* APR is the process' own: set up once, never taken down, for a query may still run at exit. */
static apr_pool_t *process_pool;
static apr_status_t process_status;

static void set_up_apr(void)
{
	process_status = apr_initialize();
	if (process_status == APR_SUCCESS)
		process_status = apr_pool_create(&process_pool, NULL);
	if (process_status == APR_SUCCESS)
		process_status = apr_dbd_init(process_pool);
}

/* Notes the first line of what went wrong: libpq tells more after it. */
static bool fail(struct sql *sql, const char *what)
{
	if (what == NULL)
		what = "unknown error";
	snprintf(sql->error, sizeof sql->error, "%.*s", (int)strcspn(what, "\n"), what);
	return false;
}

const char *sql_error(const struct sql *sql)
{
	return sql->error;
}

/* How many placeholders apr_dbd_prepare() will see; -1 when one of them is not for text. */
static int count_placeholders(const char *query)
{
	int count = 0;

	for (const char *c = query; *c != '\0'; c++) {
		if (c[0] != '%')
			continue;
		if (c[1] == '%')
			c++;
		else if (c[1] == 'p')
			return -1; /* %pDb reads a length and more from the values */
		else if (isalpha((unsigned char)c[1]))
			count++;
	}
	return count;
}

static bool check_query(const char *key, const char *query, char *err, size_t errsize)
{
	int count = count_placeholders(query);

	if (count >= 1 && count <= SQL_VALUES_MAX)
		return true;
	snprintf(err, errsize,
		 "directory.%s: the query needs 1 to %d placeholders %%s (a per cent sign is %%%%)",
		 key, SQL_VALUES_MAX);
	return false;
}

/* SQLite's file may be missing (`presencectl directory init` makes it), its directory may not. */
static bool check_sqlite_path(const char *path, char *err, size_t errsize)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path) + 1);
	struct stat info;
	bool ok = false;

	if (slash == NULL ? *path == '\0' : slash[1] == '\0')
		snprintf(err, errsize, "directory.params: the path of an SQLite file is needed");
	else if (stat(parent, &info) != 0)
		snprintf(err, errsize, "directory.params: %s: %s", parent, strerror(errno));
	else if (!S_ISDIR(info.st_mode))
		snprintf(err, errsize, "directory.params: %s is not a directory", parent);
	else
		ok = true;
	free(parent);
	return ok;
}

static bool find_driver(struct sql *sql, const char *name, char *err, size_t errsize)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	apr_status_t status;
	char why[128];

	pthread_once(&once, set_up_apr);
	status = process_status;
	if (status == APR_SUCCESS)
		status = apr_dbd_get_driver(process_pool, name, &sql->driver);
	if (status == APR_SUCCESS)
		return true;
	snprintf(err, errsize, "directory.driver: apr_dbd has no driver '%s' here (%s)", name,
		 apr_strerror(status, why, sizeof why));
	return false;
}

struct sql *sql_new(const struct config *config, char *err, size_t errsize)
{
	struct sql *sql = xcalloc(1, sizeof *sql);

	sql->is_sqlite = strcmp(config->directory.driver, "sqlite3") == 0;
	sql->is_pgsql = strcmp(config->directory.driver, "pgsql") == 0;
	sql->params = xstrdup(config->directory.params);
	if (sql->is_sqlite && strncmp(sql->params, "file:", 5) != 0)
		sql->path = sql->params;
	sql->own[SQL_ACCOUNT] = xstrdup(config->directory.account_query);
	sql->own[SQL_FRIENDS] = xstrdup(config->directory.friends_query);
	sql->timeout_ms = config->directory.timeout_ms;
	if (!check_query("account_query", sql->own[SQL_ACCOUNT], err, errsize) ||
	    !check_query("friends_query", sql->own[SQL_FRIENDS], err, errsize) ||
	    (sql->path != NULL && !check_sqlite_path(sql->path, err, errsize)) ||
	    !find_driver(sql, config->directory.driver, err, errsize)) {
		sql_free(sql);
		return NULL;
	}
	return sql;
}

static void disconnect(struct sql *sql)
{
	if (sql->handle != NULL)
		apr_dbd_close(sql->driver, sql->handle);
	sql->handle = NULL;
	if (sql->pool != NULL)
		apr_pool_destroy(sql->pool);
	sql->pool = NULL;
	sql->holding = sql->changing = false;
	memset(sql->prepared, 0, sizeof sql->prepared);
}

void sql_free(struct sql *sql)
{
	disconnect(sql);
	free(sql->params);
	free(sql->own[SQL_ACCOUNT]);
	free(sql->own[SQL_FRIENDS]);
	free(sql);
}

static bool fail_sql(struct sql *sql, int status)
{
	return fail(sql, apr_dbd_error(sql->driver, sql->handle, status));
}

/* A select, for apr_dbd_query() takes the row that some PRAGMAs answer for an error. */
static bool set_option(struct sql *sql, const char *statement)
{
	apr_dbd_results_t *results = NULL;
	int status = apr_dbd_select(sql->driver, sql->pool, sql->handle, &results, statement, 1);

	return status == 0 || fail_sql(sql, status);
}

static bool set_options(struct sql *sql)
{
	char statement[64];
	int pause;

	if (sql->is_sqlite) {
		/* When the file is locked each try waits so long: all of them about timeout_ms. */
		pause = sql->timeout_ms / SQLITE_TRIES - SQLITE_SLEEP_MS;
		snprintf(statement, sizeof statement, "PRAGMA busy_timeout = %d",
			 pause > 50 ? pause : 50);
		return set_option(sql, "PRAGMA foreign_keys = ON") && set_option(sql, statement);
	}
	if (sql->is_pgsql) {
		/* The server then ends what nobody waits for any more. */
		snprintf(statement, sizeof statement, "SET statement_timeout = %d",
			 sql->timeout_ms);
		return set_option(sql, statement);
	}
	return true;
}

static bool connect_now(struct sql *sql, bool create)
{
	const char *why = NULL;

	/* Opening a file that is not there would leave an empty one. */
	if (sql->path != NULL && !create && stat(sql->path, &sql->file) != 0) {
		snprintf(sql->error, sizeof sql->error, "%s: %s", sql->path, strerror(errno));
		return false;
	}
	if (apr_pool_create(&sql->pool, NULL) != APR_SUCCESS)
		return fail(sql, "out of memory");
	if (apr_dbd_open_ex(sql->driver, sql->pool, sql->params, &sql->handle, &why) !=
	    APR_SUCCESS) {
		sql->handle = NULL;
		fail(sql, why != NULL ? why : "cannot connect");
	} else if (set_options(sql)) {
		return true;
	}
	disconnect(sql);
	return false;
}

/* SQLite would go on reading a file that was removed or replaced. */
static bool is_replaced(const struct sql *sql)
{
	struct stat now;

	return sql->path != NULL && (stat(sql->path, &now) != 0 || now.st_dev != sql->file.st_dev ||
				     now.st_ino != sql->file.st_ino);
}

static bool ensure_connected(struct sql *sql)
{
	if (sql->handle != NULL && !sql->holding && !sql->changing && is_replaced(sql))
		disconnect(sql);
	return sql->handle != NULL || connect_now(sql, false);
}

static bool prepare(struct sql *sql, enum sql_query query)
{
	const char *text = queries[query].text != NULL ? queries[query].text : sql->own[query];
	int status, tries = 0;

	if (sql->prepared[query] != NULL)
		return true;
	/*
	 * Without a label the pgsql driver leaves the types of the values to the
	 * server, so that an id fits an integer column as well as a text one.
	 */
	do {
		status = apr_dbd_prepare(sql->driver, sql->pool, sql->handle, text, NULL,
					 &sql->prepared[query]);
	} while (sql->is_sqlite && status == SQLITE_BUSY && ++tries < SQLITE_TRIES);
	if (status == 0)
		return true;
	sql->prepared[query] = NULL;
	return fail_sql(sql, status);
}

/* The values as apr_dbd wants them: at least as many as the query has placeholders. */
static void spread(const char *const *values, size_t count, const char *bound[SQL_VALUES_MAX])
{
	for (size_t i = 0; i < SQL_VALUES_MAX; i++)
		bound[i] = count == 1 ? values[0] : i < count ? values[i] : NULL;
}

static void pass_rows(struct sql *sql, apr_pool_t *pool, apr_dbd_results_t *results, sql_row *row,
		      void *arg)
{
	apr_dbd_row_t *current = NULL;
	int count = apr_dbd_num_cols(sql->driver, results);

	while (apr_dbd_get_row(sql->driver, pool, results, &current, -1) == 0) {
		const char *columns[SQL_COLUMNS_MAX] = {NULL};

		for (int i = 0; i < SQL_COLUMNS_MAX && i < count; i++)
			columns[i] = apr_dbd_get_entry(sql->driver, current, i);
		row(arg, columns);
	}
}

static bool run_select(struct sql *sql, enum sql_query query, const char **bound, sql_row *row,
		       void *arg)
{
	apr_dbd_results_t *results = NULL;
	apr_pool_t *pool;
	int status, columns;
	bool ok = false;

	if (!prepare(sql, query))
		return false;
	if (apr_pool_create(&pool, sql->pool) != APR_SUCCESS)
		return fail(sql, "out of memory");
	/* "Random access" has the whole answer fetched, and errors told, before the first row. */
	status = apr_dbd_pselect(sql->driver, pool, sql->handle, &results, sql->prepared[query], 1,
				 0, bound);
	if (status != 0) {
		fail_sql(sql, status);
	} else {
		columns = apr_dbd_num_cols(sql->driver, results);
		ok = columns >= queries[query].columns;
		if (ok)
			pass_rows(sql, pool, results, row, arg);
		else
			snprintf(sql->error, sizeof sql->error,
				 "the query gives %d columns where %d are needed", columns,
				 queries[query].columns);
	}
	apr_pool_destroy(pool);
	return ok;
}

bool sql_select(struct sql *sql, enum sql_query query, const char *const *values, size_t count,
		sql_row *row, void *arg)
{
	const char *bound[SQL_VALUES_MAX];
	int64_t started = times_mono_ms();
	/* A second try would be outside of the transaction. */
	bool used_before = sql->handle != NULL && !sql->changing;

	spread(values, count, bound);
	if (!ensure_connected(sql))
		return false;
	if (run_select(sql, query, bound, row, arg))
		return true;
	disconnect(sql);
	/* The server closed the connection, or the tables have changed: not after a time-out. */
	if (used_before && times_mono_ms() - started < sql->timeout_ms / 2) {
		if (connect_now(sql, false) && run_select(sql, query, bound, row, arg))
			return true;
		disconnect(sql);
	}
	return false;
}

bool sql_execute(struct sql *sql, enum sql_query query, const char *const *values, size_t count,
		 int *changed)
{
	const char *bound[SQL_VALUES_MAX];
	apr_pool_t *pool;
	int status;

	spread(values, count, bound);
	if (!ensure_connected(sql))
		return false;
	if (!prepare(sql, query) || apr_pool_create(&pool, sql->pool) != APR_SUCCESS) {
		disconnect(sql);
		return false;
	}
	status = apr_dbd_pquery(sql->driver, pool, sql->handle, changed, sql->prepared[query], 0,
				bound);
	apr_pool_destroy(pool);
	if (status == 0)
		return true;
	fail_sql(sql, status);
	disconnect(sql);
	return false;
}

/* apr_dbd's own transactions begin with a lock against every writer. */
static bool run_plain(struct sql *sql, const char *statement)
{
	int changed, status = apr_dbd_query(sql->driver, sql->handle, &changed, statement);

	return status == 0 || fail_sql(sql, status);
}

void sql_hold(struct sql *sql)
{
	if (sql->is_sqlite && !sql->holding && ensure_connected(sql))
		sql->holding = run_plain(sql, "BEGIN");
}

void sql_release(struct sql *sql)
{
	if (sql->holding && !run_plain(sql, "COMMIT"))
		disconnect(sql);
	sql->holding = false;
}

bool sql_begin(struct sql *sql)
{
	/* IMMEDIATE: SQLite would else find only at the first change that another process writes. */
	sql->changing = ensure_connected(sql) &&
			run_plain(sql, sql->is_sqlite ? "BEGIN IMMEDIATE" : "BEGIN");
	return sql->changing;
}

bool sql_commit(struct sql *sql)
{
	bool ok = sql->changing && run_plain(sql, "COMMIT");

	if (!ok)
		disconnect(sql);
	sql->changing = false;
	return ok;
}

void sql_rollback(struct sql *sql)
{
	if (sql->changing)
		disconnect(sql);
}

static bool run_statement(struct sql *sql, const char *text, size_t len)
{
	char *statement = xstrndup(text, len);
	bool ok = run_plain(sql, statement);

	free(statement);
	return ok;
}

bool sql_create(struct sql *sql, const char *statements)
{
	const char *end;
	bool ok;

	disconnect(sql);
	ok = connect_now(sql, true);
	/* One by one: SQLite's driver takes white space after the last one for an error. */
	for (; ok && (end = strstr(statements, ";\n")) != NULL; statements = end + 2)
		ok = run_statement(sql, statements, (size_t)(end - statements) + 1);
	disconnect(sql); /* the next connection knows the file */
	return ok;
}
