/* One connection to the SQL directory, through apr_dbd: synchronous, for one thread at a time. */
#ifndef PRESENCE_DIRECTORY_SQL_H
#define PRESENCE_DIRECTORY_SQL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"

struct sql;

/* The first two are the site's own (configuration), the others those of conf/schema.sql. */
enum sql_query {
	SQL_ACCOUNT, /* e-mail -> id, password_hash, name */
	SQL_FRIENDS, /* id -> id, name */
	SQL_FIND_USER, /* id -> id */
	SQL_FIND_EMAIL, /* e-mail -> id */
	SQL_LIST_USERS, /* -> id, email, name */
	SQL_ADD_USER, /* e-mail, name, password_hash */
	SQL_ADD_FRIEND, /* a, b, b, a */
	SQL_REMOVE_FRIEND, /* a, b, b, a */
	SQL_REMOVE_USER, /* id; the friendships go with it */
	SQL_SET_PASSWORD, /* password_hash, id */
	SQL_QUERY_COUNT,
};

#define SQL_COLUMNS_MAX 3
#define SQL_VALUES_MAX 8 /* placeholders in one query */

/*
 * Finds the driver and checks what can be checked without the database; NULL
 * with a sentence in err. It connects when first used, and anew after every
 * error: a connection is dropped rather than mended. What it needs of the
 * configuration is copied. Free with sql_free().
 */
struct sql *sql_new(const struct config *config, char *err, size_t errsize);
void sql_free(struct sql *sql);

/* One row: its columns as text, borrowed; NULL for SQL's NULL and after the last column. */
typedef void sql_row(void *arg, const char *const columns[SQL_COLUMNS_MAX]);

/*
 * Runs a query that gives rows. A single value is bound to every placeholder
 * of the query, else there are as many values as placeholders. False, and no
 * row passed on, when it failed: sql_error() says why. A connection that was
 * used before (the server may have closed it) is given a second try.
 */
bool sql_select(struct sql *sql, enum sql_query query, const char *const *values, size_t count,
		sql_row *row, void *arg);

/*
 * Between these two SQLite sees one state of its file, and looks for it and
 * locks it once, not for each query. Other drivers take no notice. An error ends
 * it by itself.
 */
void sql_hold(struct sql *sql);
void sql_release(struct sql *sql);

/* Runs a query that changes rows, once; *changed is how many. */
bool sql_execute(struct sql *sql, enum sql_query query, const char *const *values, size_t count,
		 int *changed);

/*
 * Between these two all changes are made, or none: an error of any query ends it
 * by itself and takes back what was done, after which no other may be run. An
 * sql_rollback() does so, too.
 */
bool sql_begin(struct sql *sql);
bool sql_commit(struct sql *sql);
void sql_rollback(struct sql *sql);

/* Runs statements, each ended by a semicolon and a newline; makes SQLite's file if missing. */
bool sql_create(struct sql *sql, const char *statements);

const char *sql_error(const struct sql *sql);

#endif
