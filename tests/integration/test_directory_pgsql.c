/*
 * The directory on a real PostgreSQL, started for each test: tables of our own and of a site,
 * integer and text ids, a database that hangs, is away or comes back. docs/integration.md
 */
#include "calls.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "postgres.h"

#define TIMEOUT_MS 1000

static const char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *text_of(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	ck_assert(vasprintf(&text, format, args) > 0);
	va_end(args);
	return text;
}

/* A stack whose directory is the database, which `statements` prepares; nothing else runs yet. */
static struct stack *with_database(const char *conf, const char *statements)
{
	struct stack *stack = stack_new("");
	struct printbuf *text = buf_new();

	postgres_make(stack);
	if (statements != NULL)
		postgres_sql(stack, statements);
	buf_putf(text,
		 "directory { driver = pgsql params = \"host=%s user=presence dbname=postgres\""
		 " timeout_ms = %d }\n%s",
		 postgres_dir(stack), TIMEOUT_MS, conf);
	stack_write_conf(stack, text->buf);
	printbuf_free(text);
	return stack;
}

static void start_rest(struct stack *stack)
{
	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
}

static void stop(struct stack *stack)
{
	if (stack->postgres != 0)
		postgres_stop(stack);
	stack_stop(stack);
}

/* A hash that presencectl makes, as a site has some. */
static const char *password_hash(struct stack *stack)
{
	const char *argv[] = {"sqlite3", stack_path(stack, "users.db"),
			      "SELECT password_hash FROM users WHERE id = 1", NULL};
	char *out;

	ck_assert_int_eq(run(stack, &out, NULL, argv), 0);
	out[strcspn(out, "\n")] = '\0';
	return out;
}

/* --- tables ------------------------------------------------------------------------------- */

START_TEST(our_own_tables_work_in_postgresql)
{
	struct stack *stack = with_database("", NULL);
	const char *token;
	struct sse *sse;

	CTL(stack, "directory", "init");
	CTL(stack, "directory", "init");
	ck_assert_str_eq(CTL_INPUT(stack, PASSWORD "\n", "user", "add", "--email",
				   "anna@example.com", "--name", "Anna"),
			 "1\n");
	ck_assert_str_eq(CTL_INPUT(stack, PASSWORD "\n", "user", "add", "--email",
				   "bob@example.com", "--name", "Bob \xc3\x96"),
			 "2\n");
	CTL(stack, "friend", "add", "1", "2");
	CTL(stack, "friend", "add", "2", "1");
	CHECK_JSON(json_tokener_parse(CTL(stack, "user", "list", "--json")),
		   "[{'user_id':1,'email':'anna@example.com','name':'Anna'},"
		   "{'user_id':2,'email':'bob@example.com','name':'Bob \xc3\x96'}]");
	ck_assert_str_eq(postgres_sql(stack, "SELECT count(*) FROM friends"), "2\n");
	start_rest(stack);
	token = login(stack, "anna@example.com");
	CHECK_JSON(http_ok(stack, FRIENDS_LIST, token, NULL),
		   "[{'user_id':2,'name':'Bob \xc3\x96'}]");
	sse = sse_open(stack, token);
	sse_ready(sse);
	login(stack, "bob@example.com");
	sse_wait_change(sse, "2", true, 5000);
	CTL(stack, "friend", "remove", "2", "1");
	CHECK_JSON(sse_wait(sse, "initial", 5000)->json, "{}");
	check_problem(HTTP(stack, .path = LOGIN,
			   .body = "{\"email\":\"' OR 1=1 --\",\"password\":\"password\"}"),
		      401, "bad_credentials");
	stop(stack);
}
END_TEST

START_TEST(an_import_into_postgresql_is_one_transaction)
{
	static const char *const file =
		"email,name,password\na@example.com,A,s\nb@example.com,B,s\nc@example.com,C,s\n";
	struct stack *stack = with_database("", NULL);
	const char *args[] = {"user", "import", "-", NULL};

	CTL(stack, "directory", "init");
	postgres_sql(stack, "ALTER TABLE users ADD CONSTRAINT no CHECK (email <> 'c@example.com')");
	ck_assert_int_eq(ctl_run(stack, NULL, file, args), 1);
	check_has(ctl_said(stack), "standard input:4: ");
	ck_assert_str_eq(postgres_sql(stack, "SELECT count(*) FROM users"), "0\n");
	postgres_sql(stack, "ALTER TABLE users DROP CONSTRAINT no");
	ck_assert_int_eq(ctl_run(stack, NULL, file, args), 0);
	ck_assert_str_eq(postgres_sql(stack, "SELECT count(*) FROM users"), "3\n");
	CTL(stack, "user", "remove", "b@example.com");
	CTL_INPUT(stack, "another\n", "user", "passwd", "1");
	ck_assert_str_eq(postgres_sql(stack, "SELECT count(*) FROM users"), "2\n");
	stop(stack);
}
END_TEST

START_TEST(a_sites_tables_with_integer_ids_are_used_by_configuration_alone)
{
	struct stack *stack = with_database(
		"directory {\n"
		" account_query = \"SELECT member_no, secret, nick FROM members "
		"WHERE lower(mail) = lower(%s) AND NOT blocked\"\n"
		" friends_query = \"SELECT m.member_no, m.nick FROM contacts c JOIN members m ON "
		"m.member_no = CASE WHEN c.one = CAST(%s AS BIGINT) THEN c.other ELSE c.one END "
		"WHERE c.one = CAST(%s AS BIGINT) OR c.other = CAST(%s AS BIGINT) ORDER BY 1\"\n}",
		"CREATE TABLE members (member_no BIGINT PRIMARY KEY, mail TEXT, secret TEXT, nick "
		"TEXT,"
		" blocked BOOLEAN DEFAULT false);"
		"CREATE TABLE contacts (one BIGINT, other BIGINT);"
		"INSERT INTO members VALUES (9007199254740991, 'Max@Example.com', '', 'Max', "
		"false),"
		" (2, 'two@example.com', NULL, NULL, false),"
		" (3, 'three@example.com', '', 'Three', true);"
		"INSERT INTO contacts VALUES (9007199254740991, 2), (3, 9007199254740991);");
	const char *token;

	postgres_sql(stack, text_of("UPDATE members SET secret = '%s' WHERE member_no > 2",
				    password_hash(stack)));
	start_rest(stack);
	token = login(stack, "max@example.COM");
	CHECK_JSON(http_ok(stack, FRIENDS_LIST, token, NULL),
		   "[{'user_id':2,'name':''},{'user_id':3,'name':'Three'}]");
	CHECK_JSON(http_ok(stack, FRIENDS_LIST, token_for(stack, "3"), NULL),
		   "[{'user_id':9007199254740991,'name':'Max'}]");
	CHECK_JSON(http_ok(stack, FRIENDS_LIST, token_for(stack, "4"), NULL), "[]");
	CHECK_JSON(sse_ready(sse_open(stack, token_for(stack, "2")))->json,
		   "{'9007199254740991':{'user_id':9007199254740991,'is_online':true,"
		   "'status':'online','last_activity':'<time>','version':'<version>'}}");
	/* Blocked, or without a password: as if there were no such account. */
	check_problem(HTTP(stack, .path = LOGIN,
			   .body = "{\"email\":\"three@example.com\",\"password\":\"password\"}"),
		      401, "bad_credentials");
	check_problem(HTTP(stack, .path = LOGIN,
			   .body = "{\"email\":\"two@example.com\",\"password\":\"\"}"),
		      400, "bad_parameter");
	check_problem(HTTP(stack, .path = LOGIN,
			   .body = "{\"email\":\"two@example.com\",\"password\":\"password\"}"),
		      401, "bad_credentials");
	stop(stack);
}
END_TEST

START_TEST(a_sites_tables_with_text_ids_are_used_by_configuration_alone)
{
	struct stack *stack = with_database(
		"directory {\n"
		" account_query = \"SELECT login, secret, login FROM people WHERE mail = %s\"\n"
		" friends_query = \"SELECT b, b FROM likes WHERE a = %s AND b LIKE '%%' ORDER BY "
		"b\""
		"\n}\npresence { visibility = friends }",
		"CREATE TABLE people (login TEXT, mail TEXT, secret TEXT);"
		"CREATE TABLE likes (a TEXT, b TEXT);"
		"INSERT INTO people VALUES ('anna.b', 'anna@example.com', '');"
		"INSERT INTO likes VALUES ('anna.b', '7'), ('anna.b', 'bob-c'), ('anna.b', 'no "
		"id!'),"
		" ('anna.b', NULL), ('anna.b', 'bob-c'), ('bob-c', 'anna.b');");
	const char *token;

	postgres_sql(stack, text_of("UPDATE people SET secret = '%s'", password_hash(stack)));
	start_rest(stack);
	token = login(stack, "anna@example.com");
	CHECK_JSON(http_ok(stack, FRIENDS_LIST, token, NULL),
		   "[{'user_id':7,'name':'7'},{'user_id':'bob-c','name':'bob-c'}]");
	CHECK_JSON(
		http_ok(stack, "/api/online-status/user/anna.b", token_for(stack, "bob-c"), NULL),
		"{'user_id':'anna.b','is_online':true,'status':'online',"
		"'last_activity':'<time>','version':'<version>'}");
	CHECK_JSON(http_ok(stack, "/api/online-status/user/anna.b", token_for(stack, "7"), NULL),
		   "{'user_id':'anna.b','is_online':false,'status':'offline','last_seen':null,"
		   "'version':0}");
	stop(stack);
}
END_TEST

/* --- a database in trouble ---------------------------------------------------------------- */

/* friends_of() sleeps for those who are in `slow`; every other one of 1..6 is a friend. */
#define SLEEPY                                                                                    \
	"CREATE TABLE slow (id TEXT);"                                                            \
	"CREATE FUNCTION friends_of(who TEXT) RETURNS TABLE (id INTEGER, name TEXT) AS $$ BEGIN " \
	"IF EXISTS (SELECT 1 FROM slow WHERE slow.id = who) THEN PERFORM pg_sleep(60); END IF; "  \
	"RETURN QUERY SELECT n, 'User ' || n FROM generate_series(1, 6) n WHERE n::TEXT <> who; " \
	"END $$ LANGUAGE plpgsql;"
#define SLEEPY_QUERY "directory { friends_query = \"SELECT id, name FROM friends_of(%s)\" }\n"

static void check_unavailable(struct stack *stack, const char *id)
{
	struct response *response =
		HTTP(stack, .path = FRIENDS_LIST, .token = token_for(stack, id));

	check_problem(response, 503, "directory_unavailable");
	ck_assert_msg(response->ms < TIMEOUT_MS + patience(1500), "the answer took %d ms",
		      response->ms);
}

START_TEST(a_query_that_hangs_is_given_up_in_time_and_delays_nobody)
{
	struct stack *stack = with_database(SLEEPY_QUERY "api { children = 4 }", SLEEPY);
	struct sse *watcher, *hanging[6];
	int64_t start;

	start_rest(stack);
	watcher = sse_open(stack, token_for(stack, "1"));
	sse_ready(watcher);
	postgres_sql(stack, "INSERT INTO slow VALUES ('5')");
	check_unavailable(stack, "5");
	start = now_ms();
	for (int i = 0; i < 6; i++)
		hanging[i] = sse_open(stack, token_for(stack, "5"));
	/* Meanwhile the others' events come and REST calls are answered. */
	http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	sse_wait_change(watcher, "2", true, 5000);
	http_ok(stack, FRIENDS_LIST, token_for(stack, "2"), NULL);
	ck_assert_msg(now_ms() - start < patience(TIMEOUT_MS), "it took %d ms",
		      (int)(now_ms() - start));
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(sse_status(hanging[i]), 503);
		ck_assert_int_gt(atoi(sse_header(hanging[i], "Retry-After")), 0);
	}
	ck_assert_msg(now_ms() - start < TIMEOUT_MS + patience(2000), "503 after %d ms",
		      (int)(now_ms() - start));
	/* The server itself ended what nobody waits for. */
	WAIT_UNTIL(
		strcmp(postgres_sql(stack,
				    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
				    "AND query LIKE '%friends_of%' AND pid <> pg_backend_pid()"),
		       "0\n") == 0,
		10000);
	postgres_sql(stack, "DELETE FROM slow");
	sse_ready(sse_open(stack, token_for(stack, "5")));
	http_ok(stack, FRIENDS_LIST, token_for(stack, "5"), NULL);
	stop(stack);
}
END_TEST

START_TEST(a_server_that_stands_still_is_told_in_time)
{
	struct stack *stack = with_database(SLEEPY_QUERY, SLEEPY);
	struct sse *watcher, *late;

	/* A worker that leaves a hung thread behind leaves behind what libpq has in hand, too. */
	stack->expects_abort = true;
	start_rest(stack);
	watcher = sse_open(stack, token_for(stack, "1"));
	sse_ready(watcher);
	http_ok(stack, FRIENDS_LIST, token_for(stack, "2"), NULL);
	postgres_signal(stack, SIGSTOP);
	for (int i = 0; i < 4; i++)
		check_unavailable(stack, "2");
	late = sse_open(stack, token_for(stack, "2"));
	ck_assert_int_eq(sse_status(late), 503);
	http_ok(stack, COUNT, token_for(stack, "3"), NULL);
	sse_wait_change(watcher, "3", true, 5000);
	postgres_signal(stack, SIGCONT);
	WAIT_UNTIL(HTTP(stack, .path = FRIENDS_LIST, .token = token_for(stack, "2"))->status == 200,
		   10000);
	WAIT_UNTIL(sse_status(sse_open(stack, token_for(stack, "2"))) == 200, 10000);
	stop(stack);
}
END_TEST

START_TEST(a_database_that_was_restarted_is_found_again)
{
	struct stack *stack = with_database(SLEEPY_QUERY, SLEEPY);
	struct sse *watcher;

	start_rest(stack);
	watcher = sse_open(stack, token_for(stack, "1"));
	sse_ready(watcher);
	postgres_stop(stack);
	check_unavailable(stack, "2");
	ck_assert_int_eq(sse_status(sse_open(stack, token_for(stack, "2"))), 503);
	redis_int(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}");
	http_ok(stack, COUNT, token_for(stack, "3"), NULL);
	sse_wait_change(watcher, "3", true, 5000);
	postgres_start(stack);
	/* At once, without a first failure. */
	for (int i = 0; i < 4; i++)
		http_ok(stack, FRIENDS_LIST, token_for(stack, "2"), NULL);
	sse_ready(sse_open(stack, token_for(stack, "2")));
	stop(stack);
}
END_TEST

START_TEST(connections_that_the_server_closed_cost_no_request)
{
	struct stack *stack = with_database(SLEEPY_QUERY, SLEEPY);

	start_rest(stack);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++) {
			http_ok(stack, FRIENDS_LIST, token_for(stack, "2"), NULL);
			sse_close(sse_open(stack, token_for(stack, "3")));
		}
		postgres_sql(stack,
			     "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
			     "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
	}
	http_ok(stack, FRIENDS_LIST, token_for(stack, "2"), NULL);
	sse_ready(sse_open(stack, token_for(stack, "2")));
	stop(stack);
}
END_TEST

START_TEST(the_database_may_come_last)
{
	struct stack *stack = with_database(SLEEPY_QUERY, SLEEPY);

	postgres_stop(stack);
	start_rest(stack);
	check_unavailable(stack, "2");
	check_problem(HTTP(stack, .path = LOGIN,
			   .body = "{\"email\":\"x@example.com\",\"password\":\"password\"}"),
		      503, "directory_unavailable");
	http_ok(stack, COUNT, token_for(stack, "2"), NULL);
	postgres_start(stack);
	http_ok(stack, FRIENDS_LIST, token_for(stack, "2"), NULL);
	sse_ready(sse_open(stack, token_for(stack, "2")));
	stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("directory on PostgreSQL");
	TCase *tcase = harness_case(suite, "tables", 60);

	tcase_add_test(tcase, our_own_tables_work_in_postgresql);
	tcase_add_test(tcase, an_import_into_postgresql_is_one_transaction);
	tcase_add_test(tcase, a_sites_tables_with_integer_ids_are_used_by_configuration_alone);
	tcase_add_test(tcase, a_sites_tables_with_text_ids_are_used_by_configuration_alone);

	tcase = harness_case(suite, "in trouble", 90);
	tcase_add_test(tcase, a_query_that_hangs_is_given_up_in_time_and_delays_nobody);
	tcase_add_test(tcase, a_server_that_stands_still_is_told_in_time);
	tcase_add_test(tcase, a_database_that_was_restarted_is_found_again);
	tcase_add_test(tcase, connections_that_the_server_closed_cost_no_request);
	tcase_add_test(tcase, the_database_may_come_last);
	return harness_main(suite);
}
