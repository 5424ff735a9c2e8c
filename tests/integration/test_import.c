/* presencectl user import and friend import: all rows of a file, or none, and each mistake with its line. */
#include "base/buf.h"
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"
#include "servers.h"

/* presencectl WHAT import with this text as the file; its exit status. */
static int import(struct stack *stack, const char *what, const char *text, char **out)
{
	stack_write(stack, "import.csv", text);
	return CTL_STATUS(stack, out, what, "import", stack_path(stack, "import.csv"));
}

static long accounts(struct stack *stack)
{
	return (long)json_object_array_length(parse_json(CTL(stack, "user", "list", "--json")));
}

/* Nothing was imported, and this was said. */
static void check_refused(struct stack *stack, const char *what, const char *text, const char *said)
{
	ck_assert_int_eq(import(stack, what, text, NULL), 1);
	check_has(ctl_said(stack), said);
	check_has(ctl_said(stack), "import.csv: nothing was imported\n");
	ck_assert_int_eq(accounts(stack), USERS);
}

static int login_status(struct stack *stack, const char *email, const char *password)
{
	return HTTP(stack, .path = LOGIN,
		    .body = text_of("{\"email\":\"%s\",\"password\":\"%s\"}", email, password))
		->status;
}

/* --- accounts --------------------------------------------------------------------------------- */

START_TEST(imported_accounts_log_in)
{
	struct stack *stack = stack_start_api("");
	char *out;

	ck_assert_int_eq(import(stack, "user",
				"name,email,password\n"
				"\"Kim, Anna\",anna@example.com,secret one\n"
				"Bob,bob@example.com,\"two\"\"s\"\n",
				&out),
			 0);
	ck_assert_str_eq(out, "2 accounts imported\n");
	check_has(CTL(stack, "user", "list"), "anna@example.com   Kim, Anna\n");
	ck_assert_int_eq(login_status(stack, "anna@example.com", "secret one"), 200);
	ck_assert_int_eq(login_status(stack, "bob@example.com", "two\\\"s"), 200);
	stack_stop(stack);
}
END_TEST

START_TEST(accounts_keep_the_hashes_they_had)
{
	struct stack *stack = stack_start_api("");

	/* "secret", as `openssl passwd -6` has it. */
	ck_assert_int_eq(
		import(stack, "user",
		       "email,name,password_hash\n"
		       "c@example.com,C,$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0"
		       "aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1\n",
		       NULL),
		0);
	ck_assert_int_eq(login_status(stack, "c@example.com", "secret"), 200);
	stack_stop(stack);
}
END_TEST

START_TEST(a_file_may_come_from_standard_input)
{
	struct stack *stack = stack_new("");

	ck_assert_str_eq(CTL_INPUT(stack, "email,name,password\nx@example.com,X,secret\n", "user",
				   "import", "-", "--json"),
			 "{\"imported\":1}\n");
	ck_assert_int_eq(accounts(stack), USERS + 1);
	stack_stop(stack);
}
END_TEST

START_TEST(one_wrong_row_keeps_all_others_out)
{
	struct stack *stack = stack_new("");

	check_refused(stack, "user",
		      "email,name,password\na@example.com,A,secret\nb.example.com,B,secret\n",
		      "import.csv:3: 'b.example.com' is not an e-mail address\n");
	stack_stop(stack);
}
END_TEST

START_TEST(each_mistake_is_said_with_its_line)
{
	struct stack *stack = stack_new("");

	check_refused(stack, "user",
		      "email,name,password\n"
		      "a@example.com,,secret\n"
		      "b@example.com,\"B\n\",secret\n"
		      "c@example.com,C,\n"
		      "d@example.com,D\n"
		      "e@example.com,E\"e,secret\n",
		      "import.csv:2: a name is");
	check_has(ctl_said(stack), "import.csv:3: a name is");
	check_has(ctl_said(stack), "import.csv:5: a password is");
	check_has(ctl_said(stack), "import.csv:6: 2 fields instead of 3");
	check_has(ctl_said(stack), "import.csv:7: a quote");
	check_has_not(ctl_said(stack), "secret");
	stack_stop(stack);
}
END_TEST

START_TEST(an_address_that_has_an_account_is_refused)
{
	struct stack *stack = stack_new("");

	check_refused(stack, "user",
		      "email,name,password\na@example.com,A,s\nUSER2@example.com,B,s\n",
		      "import.csv:3: there is an account with the address USER2@example.com\n");
	stack_stop(stack);
}
END_TEST

START_TEST(an_address_that_comes_twice_is_refused)
{
	struct stack *stack = stack_new("");

	check_refused(
		stack, "user",
		"email,name,password\na@example.com,A,s\nb@example.com,B,s\nA@Example.com,A,s\n",
		"import.csv:4: A@Example.com is in line 2, too\n");
	stack_stop(stack);
}
END_TEST

START_TEST(a_column_that_is_missing_is_named)
{
	struct stack *stack = stack_new("");

	check_refused(stack, "user", "email,password\na@example.com,s\n",
		      "import.csv:1: the first line names the columns, and there is no name\n");
	stack_stop(stack);
}
END_TEST

START_TEST(a_hash_that_is_none_is_refused_and_not_shown)
{
	struct stack *stack = stack_new("");

	check_refused(stack, "user", "email,name,password_hash\na@example.com,A,plainpassword\n",
		      "import.csv:2: the password_hash is none");
	check_has_not(ctl_said(stack), "plainpassword");
	stack_stop(stack);
}
END_TEST

START_TEST(of_very_many_mistakes_the_first_are_said)
{
	struct stack *stack = stack_new("");
	struct printbuf *text = buf_new();

	buf_puts(text, "email,name,password\n");
	for (int i = 0; i < 50; i++)
		buf_puts(text, "x,X,s\n");
	check_refused(stack, "user", text->buf, "and 30 more\n");
	check_has_not(ctl_said(stack), "import.csv:22:");
	printbuf_free(text);
	stack_stop(stack);
}
END_TEST

/* An error in the middle of the transaction: what was added before goes, too. */
START_TEST(what_the_database_refuses_takes_all_back)
{
	struct stack *stack = stack_new("");

	users_sql(stack,
		  "CREATE TRIGGER no BEFORE INSERT ON users WHEN NEW.email = 'c@example.com' "
		  "BEGIN SELECT RAISE(ABORT, 'no more'); END;");
	check_refused(
		stack, "user",
		"email,name,password\na@example.com,A,s\nb@example.com,B,s\nc@example.com,C,s\n",
		"import.csv:4: ");
	stack_stop(stack);
}
END_TEST

START_TEST(on_a_terminal_a_bar_shows_how_far_the_import_is)
{
	struct stack *stack = stack_new("");
	const char *command =
		text_of("exec %s -c %s user import %s", program("presencectl"),
			stack_path(stack, "presence.conf"), stack_path(stack, "import.csv"));
	const char *argv[] = {"script", "-qfec", command, "/dev/null", NULL};
	pid_t pid;

	stack_write(stack, "import.csv", "email,name,password\na@example.com,A,s\n");
	pid = process_start(stack, "terminal", argv, NULL, 0);
	ck_assert_int_eq(process_end(&pid, 0, "script", 10000), 0);
	check_has(stack_file(stack, "terminal.log"),
		  "[##############################] 100 %  1 accounts added");
	stack_stop(stack);
}
END_TEST

/* --- friendships ------------------------------------------------------------------------------ */

static struct stack *start_without_friends(void)
{
	struct stack *stack = stack_start("");

	users_sql(stack, "DELETE FROM friends;");
	return stack;
}

START_TEST(imported_friends_see_one_another)
{
	struct stack *stack = start_without_friends();
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	char *out;

	check_has_not(sse_ready(sse)->data, "\"2\":");
	ck_assert_int_eq(import(stack, "friend",
				"user,friend\n1,2\nuser1@example.com,User3@example.com\n", &out),
			 0);
	ck_assert_str_eq(out, "2 friendships imported\n");
	ck_assert_str_eq(CTL(stack, "friend", "list", "1"), "ID  NAME\n2   User 2\n3   User 3\n");
	ck_assert_str_eq(CTL(stack, "friend", "list", "3"), "ID  NAME\n1   User 1\n");
	check_has(sse_wait(sse, "initial", 5000)->data, "\"2\":");
	stack_stop(stack);
}
END_TEST

START_TEST(a_friendship_with_nobody_keeps_all_others_out)
{
	struct stack *stack = start_without_friends();

	check_refused(stack, "friend", "user,friend\n1,2\n1,99\n",
		      "import.csv:3: there is no user 99\n");
	check_refused(stack, "friend", "user,friend\n1,2\n3,nobody@example.com\n",
		      "import.csv:3: there is no user nobody@example.com\n");
	ck_assert_str_eq(CTL(stack, "friend", "list", "1"), "");
	stack_stop(stack);
}
END_TEST

START_TEST(nobody_is_imported_as_their_own_friend)
{
	struct stack *stack = start_without_friends();

	check_refused(stack, "friend", "user,friend\n2,user2@example.com\n",
		      "import.csv:2: nobody is a friend of themselves\n");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("import");
	TCase *users = harness_case(suite, "accounts", 30);
	TCase *friends = harness_case(suite, "friendships", 30);

	tcase_add_test(users, imported_accounts_log_in);
	tcase_add_test(users, accounts_keep_the_hashes_they_had);
	tcase_add_test(users, a_file_may_come_from_standard_input);
	tcase_add_test(users, one_wrong_row_keeps_all_others_out);
	tcase_add_test(users, each_mistake_is_said_with_its_line);
	tcase_add_test(users, an_address_that_has_an_account_is_refused);
	tcase_add_test(users, an_address_that_comes_twice_is_refused);
	tcase_add_test(users, a_column_that_is_missing_is_named);
	tcase_add_test(users, a_hash_that_is_none_is_refused_and_not_shown);
	tcase_add_test(users, of_very_many_mistakes_the_first_are_said);
	tcase_add_test(users, what_the_database_refuses_takes_all_back);
	tcase_add_test(users, on_a_terminal_a_bar_shows_how_far_the_import_is);
	tcase_add_test(friends, imported_friends_see_one_another);
	tcase_add_test(friends, a_friendship_with_nobody_keeps_all_others_out);
	tcase_add_test(friends, nobody_is_imported_as_their_own_friend);
	return harness_main(suite);
}
