/*
 * Accounts and friendships from a file, all of them or none: first every row is
 * looked at, and what is wrong is said with its line; then all is done in one
 * transaction.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/password.h"
#include "base/alloc.h"
#include "ctl/account.h"
#include "base/csv.h"
#include "ctl/progress.h"

#define WRONG_TOLD 20 /* mistakes that are said; of others how many there are */

struct row {
	int line;
	const char *email, *name, *password; /* of an account; the password may be a hash */
	char *hash; /* NULL: not made yet */
	const char *texts[2]; /* of a friendship: who */
	struct userid ids[2];
};

struct import {
	struct ctl *ctl;
	const char *file;
	struct csv csv;
	struct directory *directory;
	bool has_hashes;
	struct row *rows;
	size_t count;
	unsigned long long wrong;
};

/* Counts what is wrong, and says so with its line. */
static void refuse(struct import *import, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct import *import, int line, const char *format, ...)
{
	char *text;
	va_list args;

	if (++import->wrong > WRONG_TOLD)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = xstrdup("");
	va_end(args);
	ctl_fail("%s:%d: %s", import->file, line, text);
	free(text);
}

static enum ctl_exit stop(const struct import *import)
{
	if (import->wrong > WRONG_TOLD)
		ctl_fail("and %llu more", import->wrong - WRONG_TOLD);
	return ctl_fail("%s: nothing was imported", import->file);
}

/* --- reading --------------------------------------------------------------------------------- */

/* The first row, which names the columns. */
static bool read_header(struct import *import)
{
	enum csv_result result = csv_next(&import->csv);

	if (result == CSV_WRONG)
		refuse(import, import->csv.line, "%s", import->csv.why);
	return result != CSV_WRONG;
}

/* Where the columns of these names are; false: one is missing, which was said. */
static bool find_columns(struct import *import, const char *const names[], size_t count,
			 int *columns)
{
	for (size_t i = 0; i < count; i++) {
		columns[i] = csv_find(&import->csv, names[i]);
		if (columns[i] < 0)
			refuse(import, import->csv.line,
			       "the first line names the columns, and there is no %s", names[i]);
	}
	return import->wrong == 0;
}

/* The rows after the header; `fill` takes the columns of each. */
static void read_rows(struct import *import, const int *columns,
		      void (*fill)(struct import *import, struct row *row, const int *columns))
{
	size_t width = import->csv.count, capacity = 0;
	enum csv_result result;

	while ((result = csv_next(&import->csv)) != CSV_END) {
		if (result == CSV_WRONG) {
			refuse(import, import->csv.line, "%s", import->csv.why);
			continue;
		}
		if (import->csv.count != width) {
			refuse(import, import->csv.line, "%zu fields instead of %zu",
			       import->csv.count, width);
			continue;
		}
		if (import->count == capacity) {
			capacity = capacity * 2 + 64;
			import->rows = xrealloc(import->rows, capacity * sizeof *import->rows);
		}
		import->rows[import->count] = (struct row){.line = import->csv.line};
		fill(import, &import->rows[import->count++], columns);
	}
}

static enum ctl_exit import_file(struct ctl *ctl, const char *file,
				 enum ctl_exit (*run)(struct import *import))
{
	struct import import = {.ctl = ctl,
				.file = strcmp(file, "-") == 0 ? "standard input" : file};
	enum ctl_exit status = CTL_FAILED;
	char err[512];

	if (!csv_open(&import.csv, file, err, sizeof err))
		return ctl_fail("%s", err);
	import.directory = account_open(ctl);
	if (import.directory != NULL) {
		status = run(&import);
		directory_close(import.directory);
	}
	for (size_t i = 0; i < import.count; i++)
		free(import.rows[i].hash);
	free(import.rows);
	csv_close(&import.csv);
	return status;
}

static void print_sum(const struct import *import, const char *what)
{
	if (import->ctl->json)
		printf("{\"imported\":%zu}\n", import->count);
	else
		printf("%zu %s imported\n", import->count, what);
}

/* All rows in one transaction, or none. */
static enum ctl_exit add_all(struct import *import, const char *what,
			     const char *(*add)(struct directory *directory, const struct row *row))
{
	const char *wrong = schema_begin(import->directory);
	struct progress progress;

	if (wrong != NULL) {
		ctl_fail("%s", wrong);
		return stop(import);
	}
	progress_begin(&progress, what, import->count);
	for (size_t i = 0; i < import->count && import->wrong == 0; i++) {
		wrong = add(import->directory, &import->rows[i]);
		if (wrong != NULL)
			refuse(import, import->rows[i].line, "%s", wrong);
		progress_add(&progress, 1);
	}
	progress_end(&progress);
	if (import->wrong > 0) {
		schema_cancel(import->directory);
		return stop(import);
	}
	wrong = schema_commit(import->directory);
	if (wrong == NULL)
		return CTL_DONE;
	ctl_fail("%s", wrong);
	return stop(import);
}

/* --- accounts -------------------------------------------------------------------------------- */

enum { EMAIL, NAME, PASSWORD, USER_COLUMNS };

static void fill_user(struct import *import, struct row *row, const int *columns)
{
	row->email = import->csv.fields[columns[EMAIL]];
	row->name = import->csv.fields[columns[NAME]];
	row->password = import->csv.fields[columns[PASSWORD]];
	if (!account_is_email(row->email))
		refuse(import, row->line, "'%s' is not an e-mail address", row->email);
	if (!account_is_name(row->name))
		refuse(import, row->line, "a name is 1 to %d bytes of text", ACCOUNT_NAME_MAX);
	/* What is wrong with a password is said without it. */
	if (import->has_hashes && !password_set_dummy(row->password))
		refuse(import, row->line, "the password_hash is none of crypt(5) that is accepted");
	if (!import->has_hashes &&
	    (*row->password == '\0' || strlen(row->password) > ACCOUNT_PASSWORD_MAX))
		refuse(import, row->line, "a password is 1 to %d bytes", ACCOUNT_PASSWORD_MAX);
}

static bool read_users(struct import *import)
{
	const char *names[USER_COLUMNS] = {"email", "name", "password"};
	int columns[USER_COLUMNS];

	if (!read_header(import))
		return false;
	import->has_hashes = csv_find(&import->csv, "password_hash") >= 0;
	if (import->has_hashes)
		names[PASSWORD] = "password_hash";
	if (!find_columns(import, names, USER_COLUMNS, columns))
		return false;
	read_rows(import, columns, fill_user);
	return import->wrong == 0;
}

static int by_email(const void *a, const void *b)
{
	const struct row *one = *(const struct row *const *)a,
			 *other = *(const struct row *const *)b;
	int order = strcasecmp(one->email, other->email);

	return order != 0 ? order : (one->line > other->line) - (one->line < other->line);
}

/* Addresses that come twice. */
static void check_twice(struct import *import)
{
	const struct row **sorted = xcalloc(import->count + 1, sizeof *sorted);

	for (size_t i = 0; i < import->count; i++)
		sorted[i] = &import->rows[i];
	qsort(sorted, import->count, sizeof *sorted, by_email);
	for (size_t i = 1; i < import->count; i++) {
		if (strcasecmp(sorted[i - 1]->email, sorted[i]->email) == 0)
			refuse(import, sorted[i]->line, "%s is in line %d, too", sorted[i]->email,
			       sorted[i - 1]->line);
	}
	free(sorted);
}

/* Addresses that have an account already. False: the directory does not answer, which was said. */
static bool check_taken(struct import *import)
{
	for (size_t i = 0; i < import->count; i++) {
		const struct row *row = &import->rows[i];
		struct userid id;
		const char *wrong = schema_find_user(import->directory, row->email, &id);

		if (wrong == NULL) {
			refuse(import, row->line, "there is an account with the address %s",
			       row->email);
		} else if (!schema_lacks_user(import->directory, row->email)) {
			ctl_fail("%s", wrong);
			return false;
		}
	}
	return true;
}

/* Takes its time: a hash is made to be slow. */
static void make_hashes(struct import *import)
{
	struct progress progress;

	progress_begin(&progress, "passwords hashed", import->count);
	for (size_t i = 0; i < import->count; i++) {
		struct row *row = &import->rows[i];

		row->hash = password_hash(row->password);
		if (row->hash == NULL)
			refuse(import, row->line, "crypt(3) does not take this password");
		progress_add(&progress, 1);
	}
	progress_end(&progress);
}

static const char *add_user(struct directory *directory, const struct row *row)
{
	struct userid id;

	return schema_add_user(directory, row->email, row->name,
			       row->hash != NULL ? row->hash : row->password, &id);
}

static enum ctl_exit import_users(struct import *import)
{
	enum ctl_exit status;

	if (!read_users(import))
		return stop(import);
	check_twice(import);
	if (!check_taken(import) || import->wrong > 0)
		return stop(import);
	if (!import->has_hashes)
		make_hashes(import);
	if (import->wrong > 0)
		return stop(import);
	status = add_all(import, "accounts added", add_user);
	if (status == CTL_DONE)
		print_sum(import, "accounts");
	return status;
}

enum ctl_exit ctl_user_import(struct ctl *ctl, char **args, int count)
{
	(void)count;
	return import_file(ctl, args[0], import_users);
}

/* --- friendships ----------------------------------------------------------------------------- */

static void fill_friendship(struct import *import, struct row *row, const int *columns)
{
	for (int i = 0; i < 2; i++)
		row->texts[i] = import->csv.fields[columns[i]];
}

/* Who they are. False: the directory does not answer, which was said. */
static bool find_friends(struct import *import)
{
	for (size_t i = 0; i < import->count; i++) {
		struct row *row = &import->rows[i];

		for (int k = 0; k < 2; k++) {
			const char *wrong =
				schema_find_user(import->directory, row->texts[k], &row->ids[k]);

			if (wrong != NULL && !schema_lacks_user(import->directory, row->texts[k])) {
				ctl_fail("%s", wrong);
				return false;
			}
			if (wrong != NULL)
				refuse(import, row->line, "%s", wrong);
		}
		if (userid_equal(&row->ids[0], &row->ids[1]) && row->ids[0].text[0] != '\0')
			refuse(import, row->line, "nobody is a friend of themselves");
	}
	return true;
}

static const char *add_friendship(struct directory *directory, const struct row *row)
{
	return schema_add_friend(directory, &row->ids[0], &row->ids[1]);
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct userid *)a)->text, ((const struct userid *)b)->text);
}

/* Everybody once. */
static void announce(const struct import *import)
{
	struct userid *ids = xcalloc(import->count * 2 + 1, sizeof *ids);
	size_t count = 0, distinct = 0;

	for (size_t i = 0; i < import->count; i++) {
		ids[count++] = import->rows[i].ids[0];
		ids[count++] = import->rows[i].ids[1];
	}
	qsort(ids, count, sizeof *ids, by_id);
	for (size_t i = 0; i < count; i++) {
		if (distinct == 0 || !userid_equal(&ids[distinct - 1], &ids[i]))
			ids[distinct++] = ids[i];
	}
	account_announce(import->ctl, ids, distinct);
	free(ids);
}

static enum ctl_exit import_friendships(struct import *import)
{
	static const char *const names[] = {"user", "friend"};
	enum ctl_exit status;
	int columns[2];

	if (!read_header(import) || !find_columns(import, names, 2, columns))
		return stop(import);
	read_rows(import, columns, fill_friendship);
	if (!find_friends(import) || import->wrong > 0)
		return stop(import);
	status = add_all(import, "friendships added", add_friendship);
	if (status != CTL_DONE)
		return status;
	announce(import);
	print_sum(import, "friendships");
	return CTL_DONE;
}

enum ctl_exit ctl_friend_import(struct ctl *ctl, char **args, int count)
{
	(void)count;
	return import_file(ctl, args[0], import_friendships);
}
