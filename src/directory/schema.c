#include "directory/schema.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "directory/directory_private.h"

static const char schema[] =
#include "directory/schema.sql.inc"
	;

#define EMAIL_SHOWN 254 /* bytes of an address in a sentence */
#define NO_SQL "directory.backend is not sql"

const char *schema_init(struct directory *directory)
{
	struct sql *sql = directory_sql(directory);
	mode_t before;
	bool ok;

	if (sql == NULL)
		return NO_SQL;
	/* A new SQLite file holds password hashes: it is not for everybody. */
	before = umask(027);
	ok = sql_create(sql, schema);
	umask(before);
	return ok ? NULL : sql_error(sql);
}

static void on_found(void *arg, const char *const columns[SQL_COLUMNS_MAX])
{
	struct userid *id = arg;

	if (columns[0] != NULL)
		userid_parse(columns[0], strlen(columns[0]), id);
}

/* Runs a query that gives one id or none ("" in *id). */
static bool find_id(struct sql *sql, enum sql_query query, const char *value, struct userid *id)
{
	const char *values[] = {value};

	id->text[0] = '\0';
	return sql_select(sql, query, values, 1, on_found, id);
}

const char *schema_add_user(struct directory *directory, const char *email, const char *name,
			    const char *password_hash, struct userid *id)
{
	const char *values[] = {email, name, password_hash};
	struct sql *sql = directory_sql(directory);
	int changed;

	if (sql == NULL)
		return NO_SQL;
	if (!find_id(sql, SQL_FIND_EMAIL, email, id))
		return sql_error(sql);
	if (id->text[0] != '\0')
		return "there is an account with this e-mail address";
	if (!sql_execute(sql, SQL_ADD_USER, values, 3, &changed) ||
	    !find_id(sql, SQL_FIND_EMAIL, email, id))
		return sql_error(sql);
	return NULL;
}

struct listing {
	schema_each_user *each;
	void *arg;
};

static void on_user_row(void *arg, const char *const columns[SQL_COLUMNS_MAX])
{
	const struct listing *listing = arg;

	listing->each(listing->arg, columns[0] != NULL ? columns[0] : "",
		      columns[1] != NULL ? columns[1] : "", columns[2] != NULL ? columns[2] : "");
}

const char *schema_list_users(struct directory *directory, schema_each_user *each, void *arg)
{
	struct sql *sql = directory_sql(directory);
	struct listing listing = {each, arg};

	if (sql == NULL)
		return NO_SQL;
	return sql_select(sql, SQL_LIST_USERS, NULL, 0, on_user_row, &listing) ? NULL
									       : sql_error(sql);
}

/* A sentence, valid until the next call of this thread. */
static const char *no_user(const char *text)
{
	static _Thread_local char sentence[EMAIL_SHOWN + 32];

	snprintf(sentence, sizeof sentence, "there is no user %.*s", EMAIL_SHOWN, text);
	return sentence;
}

/* NULL, or what is wrong: valid until the next call of this thread. */
static const char *check_user(struct sql *sql, const struct userid *id)
{
	const char *unknown = no_user(id->text);
	struct userid found;

	/* The schema's ids are integers: PostgreSQL refuses to compare them with others. */
	if (!userid_is_integer(id))
		return unknown;
	if (!find_id(sql, SQL_FIND_USER, id->text, &found))
		return sql_error(sql);
	return found.text[0] != '\0' ? NULL : unknown;
}

const char *schema_find_user(struct directory *directory, const char *text, struct userid *id)
{
	struct sql *sql = directory_sql(directory);

	if (sql == NULL)
		return NO_SQL;
	if (strchr(text, '@') == NULL)
		return userid_parse(text, strlen(text), id) ? check_user(sql, id) : no_user(text);
	if (!find_id(sql, SQL_FIND_EMAIL, text, id))
		return sql_error(sql);
	return id->text[0] != '\0' ? NULL : no_user(text);
}

bool schema_lacks_user(struct directory *directory, const char *text)
{
	struct sql *sql = directory_sql(directory);
	bool is_email = strchr(text, '@') != NULL;
	struct userid id;

	if (sql == NULL)
		return false;
	if (!is_email && (!userid_parse(text, strlen(text), &id) || !userid_is_integer(&id)))
		return true;
	return find_id(sql, is_email ? SQL_FIND_EMAIL : SQL_FIND_USER, text, &id) &&
	       id.text[0] == '\0';
}

/* Runs a query that changes one account. */
static const char *change_user(struct directory *directory, enum sql_query query,
			       const char *const *values, size_t count, const struct userid *id)
{
	struct sql *sql = directory_sql(directory);
	const char *wrong = sql != NULL ? check_user(sql, id) : NO_SQL;
	int changed;

	if (wrong == NULL && !sql_execute(sql, query, values, count, &changed))
		wrong = sql_error(sql);
	return wrong;
}

const char *schema_remove_user(struct directory *directory, const struct userid *id)
{
	const char *values[] = {id->text};

	return change_user(directory, SQL_REMOVE_USER, values, 1, id);
}

const char *schema_set_password(struct directory *directory, const struct userid *id,
				const char *password_hash)
{
	const char *values[] = {password_hash, id->text};

	return change_user(directory, SQL_SET_PASSWORD, values, 2, id);
}

/* Runs `query` on both directions of a friendship between two accounts. */
static const char *change_friends(struct directory *directory, enum sql_query query,
				  const struct userid *a, const struct userid *b, int *changed)
{
	const char *values[] = {a->text, b->text, b->text, a->text};
	struct sql *sql = directory_sql(directory);
	const char *wrong;

	if (sql == NULL)
		return NO_SQL;
	if (userid_equal(a, b))
		return "nobody is a friend of themselves";
	wrong = check_user(sql, a);
	if (wrong == NULL)
		wrong = check_user(sql, b);
	if (wrong == NULL && !sql_execute(sql, query, values, 4, changed))
		wrong = sql_error(sql);
	return wrong;
}

const char *schema_add_friend(struct directory *directory, const struct userid *a,
			      const struct userid *b)
{
	int changed; /* none when they were friends before, which is fine */

	return change_friends(directory, SQL_ADD_FRIEND, a, b, &changed);
}

const char *schema_remove_friend(struct directory *directory, const struct userid *a,
				 const struct userid *b)
{
	int changed = 0;
	const char *wrong = change_friends(directory, SQL_REMOVE_FRIEND, a, b, &changed);

	if (wrong == NULL && changed == 0)
		return "they are not friends";
	return wrong;
}

const char *schema_begin(struct directory *directory)
{
	struct sql *sql = directory_sql(directory);

	if (sql == NULL)
		return NO_SQL;
	return sql_begin(sql) ? NULL : sql_error(sql);
}

const char *schema_commit(struct directory *directory)
{
	struct sql *sql = directory_sql(directory);

	return sql_commit(sql) ? NULL : sql_error(sql);
}

void schema_cancel(struct directory *directory)
{
	sql_rollback(directory_sql(directory));
}
