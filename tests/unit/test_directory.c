/* The directory on real SQLite files: its own schema, a site's tables, a database that fails. */
#include "unit.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_dbd.h>
#include <apr_general.h>
#include <apr_pools.h>

#include "base/config.h"
#include "base/log.h"
#include "base/times.h"
#include "directory/schema.h"

#define WAIT_MS 20000 /* for what must happen some time */

static char *database; /* path */
static struct config *config;

/* Makes `config`: the database of the test's directory, and further keys of [directory]. */
static void configure(const char *keys)
{
	char text[2048], err[512];
	char *file;
	int len;

	len = snprintf(text, sizeof text,
		       "auth { key_file = \"unused\" }\n"
		       "directory {\n params = \"%s\"\n %s\n}\n",
		       database, keys);
	ck_assert_int_lt(len, (int)sizeof text);
	file = unit_write("presence.conf", text, (size_t)len);
	config_free(config);
	config = config_load(file, err, sizeof err);
	ck_assert_msg(config != NULL, "configuration: %s", err);
	free(file);
}

static void setup(void)
{
	unit_dir_setup();
	log_setup("test_directory", LOG_LEVEL_ERROR, false);
	database = unit_path("presence.db");
	configure("");
}

static void teardown(void)
{
	config_free(config);
	config = NULL;
	free(database);
	unit_dir_teardown();
}

static struct directory *open_directory(unsigned threads)
{
	char err[512] = "";
	struct directory *directory = directory_open(config, threads, err, sizeof err);

	ck_assert_msg(directory != NULL, "directory_open: %s", err);
	return directory;
}

static void assert_done(const char *wrong, const char *what)
{
	ck_assert_msg(wrong == NULL, "%s: expected success, got: %s", what, wrong);
}

static void assert_refused(const char *wrong, const char *expected)
{
	ck_assert_msg(wrong != NULL, "expected a refusal that says '%s', got success", expected);
	ck_assert_msg(strstr(wrong, expected) != NULL, "expected '%s' in '%s'", expected, wrong);
}

static struct userid id_of(const char *text)
{
	struct userid id;

	ck_assert_msg(userid_parse(text, strlen(text), &id), "'%s' is no user id", text);
	return id;
}

/* --- another program at the database --- */

struct site {
	apr_pool_t *pool;
	const apr_dbd_driver_t *driver;
	apr_dbd_t *handle;
};

static void site_run(struct site *site, const char *statement)
{
	int changed, status;

	status = apr_dbd_query(site->driver, site->handle, &changed, statement);
	ck_assert_msg(status == 0, "%s: %s", statement,
		      apr_dbd_error(site->driver, site->handle, status));
}

/* apr_dbd_query() takes the row of an answer for an error. */
static void site_set(struct site *site, const char *pragma)
{
	apr_dbd_results_t *results = NULL;
	int status = apr_dbd_select(site->driver, site->pool, site->handle, &results, pragma, 1);

	ck_assert_msg(status == 0, "%s: %s", pragma,
		      apr_dbd_error(site->driver, site->handle, status));
}

static struct site site_open(const char *path)
{
	struct site site;

	ck_assert_int_eq(apr_initialize(), APR_SUCCESS);
	ck_assert_int_eq(apr_pool_create(&site.pool, NULL), APR_SUCCESS);
	ck_assert_int_eq(apr_dbd_init(site.pool), APR_SUCCESS);
	ck_assert_int_eq(apr_dbd_get_driver(site.pool, "sqlite3", &site.driver), APR_SUCCESS);
	ck_assert_int_eq(apr_dbd_open(site.driver, site.pool, path, &site.handle), APR_SUCCESS);
	return site;
}

static void site_close(struct site *site)
{
	apr_dbd_close(site->driver, site->handle);
	apr_pool_destroy(site->pool);
}

/* Runs statements, the last one followed by NULL, on the database at `path`. */
static void site_tables(const char *path, ...)
{
	struct site site = site_open(path);
	const char *statement;
	va_list args;

	va_start(args, path);
	while ((statement = va_arg(args, const char *)) != NULL)
		site_run(&site, statement);
	va_end(args);
	site_close(&site);
}

/* --- what a friends list looks like --- */

static char *describe(const struct friends *friends)
{
	static char text[1024];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < friends->count && len < sizeof text; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s", i > 0 ? " " : "",
					friends->list[i].user.text,
					friends_name(friends, &friends->list[i]));
	return text;
}

static void assert_friends(struct directory *directory, const char *user, const char *expected)
{
	struct userid id = id_of(user);
	struct friends friends;
	enum directory_result result = directory_friends(directory, &id, &friends);

	ck_assert_msg(result == DIRECTORY_OK, "friends of %s: expected OK, got %d", user, result);
	ck_assert_str_eq(describe(&friends), expected);
	friends_free(&friends);
}

static void assert_unavailable(struct directory *directory)
{
	struct userid id = id_of("1");
	struct friends friends;
	struct account account;
	enum directory_result result = directory_friends(directory, &id, &friends);

	ck_assert_msg(result == DIRECTORY_UNAVAILABLE, "friends: expected UNAVAILABLE, got %d",
		      result);
	result = directory_account(directory, "alice@example.com", &account);
	ck_assert_msg(result == DIRECTORY_UNAVAILABLE, "account: expected UNAVAILABLE, got %d",
		      result);
}

/* Asks until the answer is OK; an answer after WAIT_MS is none. */
static void await_friends(struct directory *directory, const char *user, const char *expected)
{
	int64_t deadline = times_mono_ms() + WAIT_MS;
	struct userid id = id_of(user);
	struct friends friends;

	while (directory_friends(directory, &id, &friends) != DIRECTORY_OK) {
		ck_assert_msg(times_mono_ms() < deadline, "still unavailable after %d ms", WAIT_MS);
		poll(NULL, 0, 10);
	}
	ck_assert_str_eq(describe(&friends), expected);
	friends_free(&friends);
}

static void add_user(struct directory *directory, const char *email, const char *name,
		     const char *expected_id)
{
	struct userid id;

	assert_done(schema_add_user(directory, email, name, "$y$hash", &id), email);
	ck_assert_str_eq(id.text, expected_id);
}

/* Alice 1, Bob 2, Carol 3; Alice is a friend of both. */
static void fill(struct directory *directory)
{
	struct userid alice = id_of("1"), bob = id_of("2"), carol = id_of("3");

	assert_done(schema_init(directory), "init");
	add_user(directory, "alice@example.com", "Alice", "1");
	add_user(directory, "bob@example.com", "Bob", "2");
	add_user(directory, "carol@example.com", "Carol \"C\"", "3");
	assert_done(schema_add_friend(directory, &alice, &carol), "1 and 3");
	assert_done(schema_add_friend(directory, &alice, &bob), "1 and 2");
}

static void on_user(void *arg, const char *id, const char *email, const char *name)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s %s %s;", id, email, name);
}

/* --- calls of an event loop --- */

struct heard {
	int calls;
	enum directory_result result;
	char text[256];
};

static void on_friends(void *arg, enum directory_result result, struct friends *friends)
{
	struct heard *heard = arg;

	heard->calls++;
	heard->result = result;
	snprintf(heard->text, sizeof heard->text, "%s", describe(friends));
	friends_free(friends);
}

static void await_readable(struct directory *directory)
{
	struct pollfd fd = {.fd = directory_fd(directory), .events = POLLIN};

	ck_assert_msg(poll(&fd, 1, WAIT_MS) == 1, "no answer within %d ms", WAIT_MS);
}

static void await_calls(struct directory *directory, const struct heard *heard, int calls)
{
	int64_t deadline = times_mono_ms() + WAIT_MS;

	while (heard->calls < calls) {
		await_readable(directory);
		directory_dispatch(directory);
		ck_assert_msg(times_mono_ms() < deadline, "expected %d answers, heard %d", calls,
			      heard->calls);
	}
}

static struct directory_call *ask(struct directory *directory, const char *user,
				  struct heard *heard)
{
	struct userid id = id_of(user);

	return directory_ask_friends(directory, &id, on_friends, heard);
}

/* --- the schema's own tables --- */

START_TEST(own_tables)
{
	struct directory *directory = open_directory(1);
	struct account account;
	char users[512] = "";
	struct stat info;

	fill(directory);
	assert_done(schema_list_users(directory, on_user, users), "list");
	ck_assert_str_eq(users, "1 alice@example.com Alice;2 bob@example.com Bob;"
				"3 carol@example.com Carol \"C\";");
	ck_assert_int_eq(directory_account(directory, "bob@example.com", &account), DIRECTORY_OK);
	ck_assert_str_eq(account.user.text, "2");
	ck_assert_str_eq(account.name, "Bob");
	ck_assert_str_eq(account.password_hash, "$y$hash");
	account_free(&account);
	ck_assert_int_eq(directory_account(directory, "nobody@example.com", &account),
			 DIRECTORY_NOT_FOUND);
	ck_assert(account.name == NULL && account.password_hash == NULL);
	assert_friends(directory, "1", "2=Bob 3=Carol \"C\"");
	assert_friends(directory, "2", "1=Alice");
	assert_friends(directory, "3", "1=Alice");
	assert_friends(directory, "99", "");
	assert_friends(directory, "anna", "");
	ck_assert_int_eq(stat(database, &info), 0);
	ck_assert_msg((info.st_mode & 0007) == 0, "the new file's mode is %o: open to everybody",
		      info.st_mode & 0777);
	directory_close(directory);
}
END_TEST

START_TEST(init_again_keeps_everything)
{
	struct directory *directory = open_directory(1);

	fill(directory);
	assert_done(schema_init(directory), "init again");
	assert_friends(directory, "1", "2=Bob 3=Carol \"C\"");
	directory_close(directory);
}
END_TEST

START_TEST(friendship_is_mutual)
{
	struct userid alice = id_of("1"), bob = id_of("2"), carol = id_of("3");
	struct directory *directory = open_directory(1);

	fill(directory);
	assert_done(schema_add_friend(directory, &bob, &alice), "friends already");
	assert_friends(directory, "1", "2=Bob 3=Carol \"C\"");
	assert_done(schema_remove_friend(directory, &carol, &alice), "remove");
	assert_friends(directory, "1", "2=Bob");
	assert_friends(directory, "3", "");
	assert_refused(schema_remove_friend(directory, &carol, &alice), "not friends");
	directory_close(directory);
}
END_TEST

START_TEST(nonsense_is_refused)
{
	struct userid alice = id_of("1"), stranger = id_of("77"), word = id_of("anna"), id;
	struct directory *directory = open_directory(1);

	fill(directory);
	assert_refused(schema_add_user(directory, "bob@example.com", "Bob", "x", &id), "e-mail");
	assert_refused(schema_add_friend(directory, &alice, &alice), "themselves");
	assert_refused(schema_add_friend(directory, &alice, &stranger), "no user 77");
	assert_refused(schema_add_friend(directory, &word, &alice), "no user anna");
	assert_friends(directory, "1", "2=Bob 3=Carol \"C\"");
	directory_close(directory);
}
END_TEST

static void assert_account(struct directory *directory, const char *email, const char *id)
{
	struct account account;
	enum directory_result result = directory_account(directory, email, &account);

	ck_assert_msg(result == DIRECTORY_OK, "%s: expected an account, got %d", email, result);
	ck_assert_msg(strcmp(account.user.text, id) == 0, "%s: expected %s, got %s", email, id,
		      account.user.text);
	account_free(&account);
}

START_TEST(an_e_mail_is_one_account_whatever_its_letters)
{
	struct directory *directory = open_directory(1);
	struct account account;
	struct userid id;

	assert_done(schema_init(directory), "init");
	add_user(directory, "Anna@Example.com", "Anna", "1");
	assert_account(directory, "Anna@Example.com", "1");
	assert_account(directory, "anna@example.com", "1");
	assert_account(directory, "ANNA@EXAMPLE.COM", "1");
	ck_assert_int_eq(directory_account(directory, "anna@example.con", &account),
			 DIRECTORY_NOT_FOUND);
	assert_refused(schema_add_user(directory, "aNNA@example.com", "A", "h", &id), "e-mail");
	directory_close(directory);
}
END_TEST

/* The tables of 0.1, where the column was unique as it is spelled. */
#define OLD_USERS                                                                  \
	"CREATE TABLE users (id INTEGER PRIMARY KEY, email VARCHAR(254) NOT NULL " \
	"UNIQUE, name VARCHAR(200) NOT NULL, password_hash VARCHAR(512) NOT NULL)"

START_TEST(older_tables_get_the_index)
{
	struct directory *directory;
	struct site site;
	int changed;

	site_tables(database, OLD_USERS,
		    "INSERT INTO users VALUES (1, 'Anna@example.com', 'Anna', 'h')", NULL);
	directory = open_directory(1);
	assert_account(directory, "anna@example.com", "1"); /* without it, too */
	assert_done(schema_init(directory), "init");
	directory_close(directory);
	site = site_open(database);
	ck_assert_msg(apr_dbd_query(site.driver, site.handle, &changed,
				    "INSERT INTO users VALUES (2, 'anna@example.com', 'A', 'h')") !=
			      0,
		      "the table takes the same e-mail twice");
	site_close(&site);
}
END_TEST

START_TEST(two_old_accounts_of_one_e_mail_stay_two)
{
	struct directory *directory;

	site_tables(database, OLD_USERS,
		    "INSERT INTO users VALUES (1, 'Anna@example.com', 'Anna', 'h'), "
		    "(2, 'anna@example.com', 'Another', 'h')",
		    NULL);
	directory = open_directory(1);
	assert_account(directory, "Anna@example.com", "1");
	assert_account(directory, "anna@example.com", "2");
	assert_refused(schema_init(directory), "users_email");
	directory_close(directory);
}
END_TEST

START_TEST(injection_is_only_text)
{
	static const char *const attempts[] = {
		"' OR '1'='1",
		"x' OR 1=1 --",
		"\"; DROP TABLE users; --",
		"alice@example.com' --",
		"%s",
		"%",
		"?",
		"$1",
		"\\",
		"' UNION SELECT 1,2,3 --",
	};
	struct directory *directory = open_directory(1);
	struct userid id;

	fill(directory);
	for (size_t i = 0; i < UNIT_COUNT(attempts); i++) {
		struct account account;
		enum directory_result result = directory_account(directory, attempts[i], &account);

		ck_assert_msg(result == DIRECTORY_NOT_FOUND, "%s: expected NOT_FOUND, got %d",
			      attempts[i], result);
	}
	/* As an account's own e-mail and name each is taken as it is. */
	for (size_t i = 0; i < UNIT_COUNT(attempts); i++) {
		struct account account;

		assert_done(schema_add_user(directory, attempts[i], attempts[i], "h", &id),
			    attempts[i]);
		ck_assert_int_eq(directory_account(directory, attempts[i], &account), DIRECTORY_OK);
		ck_assert_str_eq(account.user.text, id.text);
		ck_assert_str_eq(account.name, attempts[i]);
		account_free(&account);
	}
	assert_friends(directory, "1", "2=Bob 3=Carol \"C\"");
	directory_close(directory);
}
END_TEST

/* --- a site's own tables --- */

START_TEST(site_tables_and_queries)
{
	struct directory *directory;
	struct account account;

	site_tables(database, "CREATE TABLE member (login TEXT, mail TEXT, pw TEXT, full TEXT)",
		    "CREATE TABLE pair (x TEXT, y TEXT)",
		    "INSERT INTO member VALUES ('anna', 'a@x', 'h1', NULL), "
		    "('bert', 'b@x', NULL, 'Bert'), ('c.d-e_f', 'c@x', '', 'C')",
		    "INSERT INTO pair VALUES ('anna', 'bert'), ('c.d-e_f', 'anna')", NULL);
	configure("account_query = \"SELECT login, pw, full FROM member WHERE mail = %s\"\n"
		  "friends_query = \"SELECT y, 'right' FROM pair WHERE x = %s UNION ALL "
		  "SELECT x, NULL FROM pair WHERE y = %s AND x LIKE 'c%%' AND x LIKE '%%f'\"");
	directory = open_directory(1);
	assert_friends(directory, "anna", "bert=right c.d-e_f=");
	ck_assert_int_eq(directory_account(directory, "a@x", &account), DIRECTORY_OK);
	ck_assert_str_eq(account.user.text, "anna");
	ck_assert_str_eq(account.name, "");
	account_free(&account);
	/* Nobody logs in without a password. */
	ck_assert_int_eq(directory_account(directory, "b@x", &account), DIRECTORY_NOT_FOUND);
	ck_assert_int_eq(directory_account(directory, "c@x", &account), DIRECTORY_NOT_FOUND);
	directory_close(directory);
}
END_TEST

START_TEST(weird_ids_and_doubles_are_left_out)
{
	struct directory *directory;
	struct account account;

	site_tables(database, "CREATE TABLE f (id, name)",
		    "INSERT INTO f VALUES (NULL, 'null'), ('', 'empty'), ('0', 'zero'), "
		    "('007', 'padded'), ('a b', 'blank'), (7, 'seven'), ('7', 'again'), "
		    "('9007199254740992', 'too large'), (9007199254740991, 'largest'), "
		    "('x' || char(10), 'newline'), ('Zoë', 'not ASCII'), ('zoe', NULL), (7, 'z'), "
		    "('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'long')",
		    NULL);
	configure("friends_query = \"SELECT id, name FROM f WHERE %s <> ''\"\n"
		  "account_query = \"SELECT 'no id', 'hash', 'name' WHERE %s <> ''\"");
	directory = open_directory(1);
	assert_friends(directory, "1", "7=seven 9007199254740991=largest zoe=");
	ck_assert_int_eq(directory_account(directory, "a@x", &account), DIRECTORY_NOT_FOUND);
	directory_close(directory);
}
END_TEST

START_TEST(at_most_max_friends)
{
	struct userid id = id_of("1");
	struct directory *directory;
	struct friends friends;

	/* Everyone of 1..300 twice. */
	site_tables(database, "CREATE TABLE f (id INTEGER, name TEXT)",
		    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
		    "WHERE i < 600) INSERT INTO f SELECT (i + 1) / 2, 'n' FROM n",
		    NULL);
	configure("friends_query = \"SELECT id, name FROM f WHERE %s <> '' ORDER BY id\"\n"
		  "max_friends = 299");
	directory = open_directory(1);
	ck_assert_int_eq(directory_friends(directory, &id, &friends), DIRECTORY_OK);
	ck_assert_uint_eq(friends.count, 299);
	ck_assert_str_eq(friends.list[0].user.text, "1");
	ck_assert_str_eq(friends.list[298].user.text, "299");
	friends_free(&friends);
	directory_close(directory);

	configure("friends_query = \"SELECT id, name FROM f WHERE %s <> '' ORDER BY id\"\n"
		  "max_friends = 300");
	directory = open_directory(1);
	ck_assert_int_eq(directory_friends(directory, &id, &friends), DIRECTORY_OK);
	ck_assert_uint_eq(friends.count, 300);
	friends_free(&friends);
	directory_close(directory);
}
END_TEST

START_TEST(refused_at_open)
{
	static const struct {
		const char *keys, *expected;
	} cases[] = {
		{"driver = \"nosuchdb\"", "directory.driver"},
		{"driver = \"../evil\"", "directory.driver"},
		{"friends_query = \"SELECT 1, 'x'\"", "directory.friends_query"},
		{"friends_query = \"SELECT 1, 2 WHERE 'a' LIKE 'a%%'\"", "directory.friends_query"},
		{"account_query = \"SELECT %s%s%s%s%s%s%s%s%s\"", "directory.account_query"},
		{"account_query = \"SELECT 1, 2, 3 WHERE 1 = %pDb\"", "directory.account_query"},
	};
	struct directory *directory;
	char err[512];

	for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
		char keys[512];

		snprintf(keys, sizeof keys, "%s\n}\nauth { login = external\n", cases[i].keys);
		configure(keys);
		directory = directory_open(config, 1, err, sizeof err);
		ck_assert_msg(directory == NULL, "%s: expected a refusal", cases[i].keys);
		ck_assert_msg(strstr(err, cases[i].expected) != NULL, "expected '%s' in '%s'",
			      cases[i].expected, err);
	}
	free(database);
	database = unit_path("missing/presence.db");
	configure("");
	ck_assert(directory_open(config, 1, err, sizeof err) == NULL);
	ck_assert_msg(strstr(err, "directory.params") != NULL, "got '%s'", err);
}
END_TEST

START_TEST(no_directory)
{
	struct directory *directory;
	struct account account;
	struct userid id;

	configure("backend = none\n}\nauth { login = external\n");
	directory = open_directory(1);
	assert_friends(directory, "1", "");
	ck_assert_int_eq(directory_account(directory, "a@x", &account), DIRECTORY_NOT_FOUND);
	assert_refused(schema_init(directory), "not sql");
	assert_refused(schema_add_user(directory, "a@x", "A", "h", &id), "not sql");
	directory_close(directory);
}
END_TEST

/* --- a database that fails --- */

START_TEST(missing_database_appears)
{
	struct directory *directory = open_directory(2), *other;

	assert_unavailable(directory);
	ck_assert_msg(access(database, F_OK) != 0, "asking made the file");
	other = open_directory(1);
	fill(other);
	directory_close(other);
	assert_friends(directory, "2", "1=Alice");
	ck_assert_int_eq(unlink(database), 0);
	assert_unavailable(directory);
	directory_close(directory);
}
END_TEST

START_TEST(missing_tables_appear)
{
	struct directory *directory = open_directory(1);
	char users[64] = "";

	site_tables(database, "CREATE TABLE other (x)", NULL);
	assert_unavailable(directory);
	assert_refused(schema_list_users(directory, on_user, users), "no such table");
	fill(directory);
	assert_friends(directory, "2", "1=Alice");
	/* What was prepared does not outlive a change of its tables; the call works. */
	site_tables(database, "ALTER TABLE users ADD COLUMN age INTEGER", NULL);
	assert_friends(directory, "2", "1=Alice");
	site_tables(database, "ALTER TABLE users RENAME TO people", NULL);
	assert_unavailable(directory);
	site_tables(database, "ALTER TABLE people RENAME TO users", NULL);
	assert_friends(directory, "2", "1=Alice");
	directory_close(directory);
}
END_TEST

START_TEST(replaced_database_is_found)
{
	struct directory *directory = open_directory(1);
	char *fresh = unit_path("fresh.db");

	fill(directory);
	assert_friends(directory, "2", "1=Alice");
	site_tables(fresh, "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)",
		    "CREATE TABLE friends (user_id INTEGER, friend_id INTEGER)",
		    "INSERT INTO users VALUES (5, 'Eve')", "INSERT INTO friends VALUES (2, 5)",
		    NULL);
	ck_assert_int_eq(rename(fresh, database), 0);
	free(fresh);
	assert_friends(directory, "2", "5=Eve");
	directory_close(directory);
}
END_TEST

START_TEST(wrong_queries)
{
	struct directory *directory;

	configure("friends_query = \"SELEKT %s\"\n"
		  "account_query = \"SELECT id, name FROM users WHERE email = %s\"");
	directory = open_directory(1);
	assert_done(schema_init(directory), "init");
	assert_unavailable(directory);
	directory_close(directory);
}
END_TEST

START_TEST(not_a_database)
{
	struct directory *directory = open_directory(1);

	free(unit_write("presence.db", "this is a letter to the editor, and no database\n", 48));
	assert_unavailable(directory);
	directory_close(directory);
}
END_TEST

START_TEST(locked_database)
{
	struct userid id = id_of("2");
	struct directory *directory;
	struct friends friends;
	struct site site;
	int64_t started, took;

	configure("timeout_ms = 300");
	directory = open_directory(1);
	fill(directory);
	site = site_open(database);
	site_run(&site, "BEGIN EXCLUSIVE");
	started = times_mono_ms();
	ck_assert_int_eq(directory_friends(directory, &id, &friends), DIRECTORY_UNAVAILABLE);
	took = times_mono_ms() - started;
	ck_assert_msg(took >= 290 && took < 300 + 700, "expected 300 ms, it took %d", (int)took);
	ck_assert(directory_is_stuck(directory));
	site_run(&site, "COMMIT");
	site_close(&site);
	await_friends(directory, "2", "1=Alice");
	ck_assert(!directory_is_stuck(directory));
	directory_close(directory);
}
END_TEST

/* Somebody else's short lock is waited for, by a new connection and by a used one. */
START_TEST(briefly_locked_database)
{
	struct directory *directory = open_directory(1);
	struct heard heard = {0};
	struct site site;

	fill(directory);
	site = site_open(database);
	for (int i = 1; i <= 2; i++) {
		site_run(&site, "BEGIN EXCLUSIVE");
		ck_assert(ask(directory, "2", &heard) != NULL);
		poll(NULL, 0, 300); /* how long the lock is held, no wait for anything */
		site_run(&site, "COMMIT");
		await_calls(directory, &heard, i);
		ck_assert_int_eq(heard.result, DIRECTORY_OK);
		ck_assert_str_eq(heard.text, "1=Alice");
	}
	site_close(&site);
	directory_close(directory);
}
END_TEST

/* A query that the database does not end: other calls do not wait for it, nor does close. */
START_TEST(hung_query)
{
	struct userid id = id_of("2");
	struct directory *directory;
	struct friends friends;
	int64_t started, asked, took;

	site_tables(database, "CREATE TABLE t (x)", NULL);
	configure("timeout_ms = 1500\n"
		  "friends_query = \"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 "
		  "FROM n) SELECT i, '' FROM n WHERE i < 0 AND %s <> ''\"");
	directory = open_directory(1);
	started = times_mono_ms();
	ck_assert_int_eq(directory_friends(directory, &id, &friends), DIRECTORY_UNAVAILABLE);
	ck_assert(directory_is_stuck(directory));
	asked = times_mono_ms();
	ck_assert_int_eq(directory_friends(directory, &id, &friends), DIRECTORY_UNAVAILABLE);
	took = times_mono_ms() - asked;
	ck_assert_msg(took < 1000, "expected an answer at once, it took %d ms", (int)took);
	directory_close(directory);
	took = times_mono_ms() - started;
	ck_assert_msg(took < 6000, "expected an end after 1.7 s, it took %d ms", (int)took);
}
END_TEST

/* --- for event loops --- */

START_TEST(asked_without_waiting)
{
	struct directory *directory = open_directory(2);
	struct heard heard = {0};

	ck_assert(ask(directory, "1", &heard) != NULL);
	await_calls(directory, &heard, 1);
	ck_assert_int_eq(heard.result, DIRECTORY_UNAVAILABLE);
	fill(directory);
	ck_assert(ask(directory, "1", &heard) != NULL);
	await_calls(directory, &heard, 2);
	ck_assert_int_eq(heard.result, DIRECTORY_OK);
	ck_assert_str_eq(heard.text, "2=Bob 3=Carol \"C\"");
	for (int i = 0; i < 500; i++)
		ck_assert(ask(directory, "2", &heard) != NULL);
	await_calls(directory, &heard, 502);
	ck_assert_str_eq(heard.text, "1=Alice");
	directory_dispatch(directory);
	ck_assert_int_eq(heard.calls, 502);
	directory_close(directory);
}
END_TEST

START_TEST(a_change_is_seen_by_every_call_made_after_it)
{
	struct directory *directory = open_directory(1);
	struct heard before = {0}, after = {0};
	struct userid alice = id_of("1"), bob = id_of("2");
	struct site site;

	fill(directory);
	/* Here a writer need not wait until the readers' transaction is over. */
	site = site_open(database);
	site_set(&site, "PRAGMA journal_mode = WAL");
	site_close(&site);
	for (int i = 0; i < 20; i++) {
		/* They share a transaction, which the next call must not get into. */
		for (int k = 0; k < 50; k++)
			ck_assert_ptr_nonnull(ask(directory, "1", &before));
		assert_done(schema_remove_friend(directory, &alice, &bob), "removed");
		ck_assert_ptr_nonnull(ask(directory, "1", &after));
		await_calls(directory, &after, i + 1);
		ck_assert_str_eq(after.text, "3=Carol \"C\"");
		assert_done(schema_add_friend(directory, &alice, &bob), "added");
	}
	ck_assert_int_eq(before.calls, 20 * 50);
	ck_assert_int_eq(before.result, DIRECTORY_OK);
	directory_close(directory);
}
END_TEST

START_TEST(cancelled_calls)
{
	struct directory *directory = open_directory(1);
	struct heard cancelled = {0}, heard = {0};
	struct directory_call *calls[3];
	struct directory_call *answered;
	struct site site;

	fill(directory);
	/* Answered, but not dispatched yet. */
	answered = ask(directory, "1", &cancelled);
	await_readable(directory);
	directory_cancel(answered);
	directory_dispatch(directory);
	ck_assert_int_eq(cancelled.calls, 0);
	/* Running (or just about to), and two queued behind it. */
	site = site_open(database);
	site_run(&site, "BEGIN EXCLUSIVE");
	for (int i = 0; i < 3; i++)
		calls[i] = ask(directory, "1", &cancelled);
	ck_assert(ask(directory, "2", &heard) != NULL);
	for (int i = 0; i < 3; i++)
		directory_cancel(calls[i]);
	site_run(&site, "COMMIT");
	site_close(&site);
	await_calls(directory, &heard, 1);
	ck_assert_int_eq(heard.result, DIRECTORY_OK);
	ck_assert_str_eq(heard.text, "1=Alice");
	ck_assert_int_eq(cancelled.calls, 0);
	directory_close(directory);
}
END_TEST

/* One callback cancels the call of another whose answer waits too. */
struct pair {
	struct directory_call *other;
	int calls;
};

static void on_first(void *arg, enum directory_result result, struct friends *friends)
{
	struct pair *pair = arg;

	(void)result;
	pair->calls++;
	friends_free(friends);
	if (pair->other != NULL)
		directory_cancel(pair->other);
	pair->other = NULL;
}

START_TEST(cancelled_by_a_callback)
{
	struct directory *directory = open_directory(1);
	struct userid id = id_of("1");
	struct pair pair = {0};
	int64_t deadline = times_mono_ms() + WAIT_MS;

	fill(directory);
	ck_assert(directory_ask_friends(directory, &id, on_first, &pair) != NULL);
	pair.other = directory_ask_friends(directory, &id, on_first, &pair);
	while (pair.calls == 0 && times_mono_ms() < deadline) {
		await_readable(directory);
		directory_dispatch(directory);
	}
	/* Its thread may have held the other one: what it answers is answered before this call. */
	assert_friends(directory, "2", "1=Alice");
	directory_dispatch(directory);
	ck_assert_int_eq(pair.calls, 1);
	directory_close(directory);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
	struct directory *directory;
	struct heard heard = {0};
	struct site site;
	int count = 0;

	directory = open_directory(1);
	fill(directory);
	site = site_open(database);
	site_run(&site, "BEGIN EXCLUSIVE");
	/* The thread takes one out now and then. */
	while (count < 2 * DIRECTORY_QUEUE_MAX && ask(directory, "1", &heard) != NULL)
		count++;
	ck_assert_int_ge(count, DIRECTORY_QUEUE_MAX);
	ck_assert_int_lt(count, 2 * DIRECTORY_QUEUE_MAX);
	assert_unavailable(directory);
	site_run(&site, "COMMIT");
	site_close(&site);
	directory_close(directory);
	ck_assert_int_eq(heard.calls, 0);
}
END_TEST

START_TEST(closed_with_calls_in_flight)
{
	struct directory *directory;
	struct heard heard = {0};

	for (int round = 0; round < 50; round++) {
		directory = open_directory(4);
		if (round == 0)
			fill(directory);
		for (int i = 0; i < round; i++)
			ck_assert(ask(directory, "1", &heard) != NULL);
		directory_close(directory);
	}
	ck_assert_int_eq(heard.calls, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("directory");
	TCase *own = tcase_create("own tables"), *site = tcase_create("a site's tables"),
	      *failing = tcase_create("failing database"), *loop = tcase_create("event loop");

	tcase_add_checked_fixture(own, setup, teardown);
	tcase_add_test(own, own_tables);
	tcase_add_test(own, init_again_keeps_everything);
	tcase_add_test(own, friendship_is_mutual);
	tcase_add_test(own, nonsense_is_refused);
	tcase_add_test(own, an_e_mail_is_one_account_whatever_its_letters);
	tcase_add_test(own, older_tables_get_the_index);
	tcase_add_test(own, two_old_accounts_of_one_e_mail_stay_two);
	tcase_add_test(own, injection_is_only_text);
	suite_add_tcase(suite, own);

	tcase_add_checked_fixture(site, setup, teardown);
	tcase_add_test(site, site_tables_and_queries);
	tcase_add_test(site, weird_ids_and_doubles_are_left_out);
	tcase_add_test(site, at_most_max_friends);
	tcase_add_test(site, refused_at_open);
	tcase_add_test(site, no_directory);
	suite_add_tcase(suite, site);

	tcase_add_checked_fixture(failing, setup, teardown);
	tcase_set_timeout(failing, 60);
	tcase_add_test(failing, missing_database_appears);
	tcase_add_test(failing, missing_tables_appear);
	tcase_add_test(failing, replaced_database_is_found);
	tcase_add_test(failing, wrong_queries);
	tcase_add_test(failing, not_a_database);
	tcase_add_test(failing, locked_database);
	tcase_add_test(failing, briefly_locked_database);
	tcase_add_test(failing, hung_query);
	suite_add_tcase(suite, failing);

	tcase_add_checked_fixture(loop, setup, teardown);
	tcase_set_timeout(loop, 60);
	tcase_add_test(loop, asked_without_waiting);
	tcase_add_test(loop, a_change_is_seen_by_every_call_made_after_it);
	tcase_add_test(loop, cancelled_calls);
	tcase_add_test(loop, cancelled_by_a_callback);
	tcase_add_test(loop, the_queue_is_bounded);
	tcase_add_test(loop, closed_with_calls_in_flight);
	suite_add_tcase(suite, loop);
	return unit_run(suite);
}
