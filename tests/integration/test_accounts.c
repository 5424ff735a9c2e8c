/* presencectl on accounts and friendships of the directory's own tables. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "servers.h"

static int login_status(struct stack *stack, const char *password)
{
	return HTTP(stack, .path = LOGIN,
		    .body = text_of("{\"email\":\"user1@example.com\",\"password\":\"%s\"}",
				    password))
		->status;
}

/* --- accounts --------------------------------------------------------------------------------- */

START_TEST(a_removed_account_is_gone_with_its_friendships)
{
	struct stack *stack = stack_start("");
	struct sse *friend = sse_open(stack, token_for(stack, "2"));

	check_has(sse_ready(friend)->data, "\"3\":");
	ck_assert_str_eq(CTL(stack, "user", "remove", "3"), "");
	check_has_not(CTL(stack, "user", "list"), "user3@example.com");
	check_has_not(CTL(stack, "friend", "list", "2"), "User 3");
	/* A stream that is open learns of it. */
	check_has_not(sse_wait(friend, "initial", 5000)->data, "\"3\":");
	stack_stop(stack);
}
END_TEST

START_TEST(an_account_is_named_by_its_address_too)
{
	struct stack *stack = stack_start_api("");

	CTL(stack, "user", "remove", "User3@Example.com");
	check_has_not(CTL(stack, "user", "list"), "user3@example.com");
	stack_stop(stack);
}
END_TEST

START_TEST(an_account_that_is_not_there_is_named)
{
	struct stack *stack = stack_new("");

	ck_assert_int_eq(CTL_STATUS(stack, NULL, "user", "remove", "99"), 1);
	check_has(ctl_said(stack), "there is no user 99\n");
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "user", "passwd", "x@example.com"), 1);
	check_has(ctl_said(stack), "there is no user x@example.com\n");
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "user", "remove", "a b"), 1);
	check_has(ctl_said(stack), "there is no user a b\n");
	stack_stop(stack);
}
END_TEST

START_TEST(with_another_password_the_old_one_is_refused)
{
	struct stack *stack = stack_start_api("");

	ck_assert_int_eq(login_status(stack, PASSWORD), 200);
	ck_assert_str_eq(CTL_INPUT(stack, "another secret\n", "user", "passwd", "1"), "");
	ck_assert_int_eq(login_status(stack, PASSWORD), 401);
	ck_assert_int_eq(login_status(stack, "another secret"), 200);
	stack_stop(stack);
}
END_TEST

START_TEST(a_password_that_is_empty_changes_nothing)
{
	struct stack *stack = stack_start_api("");
	const char *args[] = {"user", "passwd", "1", NULL};

	ck_assert_int_eq(ctl_run(stack, NULL, "\n", args), 1);
	ck_assert_int_eq(login_status(stack, PASSWORD), 200);
	stack_stop(stack);
}
END_TEST

START_TEST(accounts_are_a_table_as_wide_as_what_is_in_it)
{
	struct stack *stack = stack_new("");

	users_sql(stack, "UPDATE users SET name = '김철수' WHERE id = 2;"
			 "UPDATE users SET email = 'a@b' WHERE id = 3;");
	check_has(CTL(stack, "user", "list"), "ID  EMAIL              NAME\n"
					      "1   user1@example.com  User 1\n"
					      "2   user2@example.com  김철수\n"
					      "3   a@b                User 3\n");
	stack_stop(stack);
}
END_TEST

/* --- friendships ------------------------------------------------------------------------------ */

START_TEST(friends_are_listed_as_the_directory_has_them)
{
	struct stack *stack = stack_new("");

	users_sql(stack, "DELETE FROM friends WHERE user_id = 1 AND friend_id > 3;");
	ck_assert_str_eq(CTL(stack, "friend", "list", "1"), "ID  NAME\n2   User 2\n3   User 3\n");
	CHECK_JSON(parse_json(CTL(stack, "friend", "list", "1", "--json")),
		   "[{'user_id':2,'name':'User 2'},{'user_id':3,'name':'User 3'}]");
	ck_assert_str_eq(CTL(stack, "friend", "list", "99"), "");
	check_has(ctl_said(stack), "there is no user 99 in the directory");
	stack_stop(stack);
}
END_TEST

/* --- ids that nobody has ---------------------------------------------------------------------- */

START_TEST(a_kick_and_a_token_of_an_unknown_user_are_done_and_say_so)
{
	struct stack *stack = stack_new("");

	redis_start(stack, NULL);
	CTL(stack, "kick", "77");
	check_has(ctl_said(stack), "there is no user 77 in the directory; it is done all the same");
	CTL(stack, "token", "nobody");
	check_has(ctl_said(stack), "there is no user nobody in the directory");
	CTL(stack, "kick", "1");
	CTL(stack, "token", "1");
	check_has_not(ctl_said(stack), "there is no user 1 ");
	stack_stop(stack);
}
END_TEST

START_TEST(of_tables_that_are_not_ours_nothing_is_said)
{
	struct stack *stack =
		stack_new("directory { account_query = "
			  "\"SELECT id, password_hash, name FROM users WHERE email = %s\" }");

	CTL(stack, "token", "nobody");
	check_has_not(ctl_said(stack), "there is no user");
	stack_stop(stack);
}
END_TEST

/* --- checktoken ------------------------------------------------------------------------------- */

/* What it says of a token that is refused. */
static char *refused(struct stack *stack, const char *token)
{
	char *out;

	ck_assert_int_eq(CTL_STATUS(stack, &out, "checktoken", token), 1);
	check_has_not(out, stack->secret);
	return out;
}

START_TEST(a_good_token_is_told_with_what_it_says)
{
	struct stack *stack = stack_new("");
	char *out;

	redis_start(stack, NULL);
	out = CTL(stack, "checktoken", token_for(stack, "7"));
	check_has(out, "header    {\"alg\":\"HS256\"");
	check_has(out, "payload   {\"sub\":\"7\"");
	check_has(out, "ok    it is good: user 7, for another ");
	CHECK_JSON(parse_json(CTL(stack, "checktoken", token_for(stack, "7"), "--json")),
		   "{'valid':true,'why':null,'user_id':7}");
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_is_read_from_standard_input_as_a_field_of_a_request)
{
	struct stack *stack = stack_new("");

	redis_start(stack, NULL);
	check_has(CTL_INPUT(stack, text_of("Bearer %s\n", token_for(stack, "anna")), "checktoken"),
		  "it is good: user anna");
	stack_stop(stack);
}
END_TEST

START_TEST(the_check_that_fails_is_named)
{
	struct stack *stack = stack_new("auth { issuer = \"https://a.example\" }");
	const char *other = "another secret of at least 32 bytes, of nobody";

	check_has(refused(stack, "a.b"), "FAIL  the token is not of the form");
	check_has(refused(stack, token_make("{'alg':'HS256'}", "{'sub':'7'}", KEY_HMAC, other)),
		  "FAIL  the token's signature is wrong\n");
	check_has(refused(stack, token_make("{'alg':'HS512'}", "{'sub':'7'}", KEY_HMAC_512,
					    stack->secret)),
		  "(auth.algorithm is HS256)");
	check_has(refused(stack, token_make("{'alg':'HS256'}", "{'sub':'7','exp':9999999999}",
					    KEY_HMAC, stack->secret)),
		  "another issuer (auth.issuer is 'https://a.example')");
	check_has(refused(stack, token_make("{'alg':'HS256'}",
					    "{'sub':'7','exp':1,'iss':'https://a.example'}",
					    KEY_HMAC, stack->secret)),
		  "FAIL  the token has expired\n");
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_that_was_logged_out_or_kicked_is_told)
{
	struct stack *stack = stack_start_api("");
	const char *token = token_for(stack, "1"), *kicked = token_for(stack, "2");
	char *out;

	http_ok(stack, LOGOUT, token, "");
	check_has(refused(stack, token), "FAIL  the token was logged out");
	touch(stack, kicked);
	freeReplyObject(redis_cmd(stack, "SET presence:not_before:2 9999999999"));
	check_has(refused(stack, kicked), "FAIL  the token was issued before all");
	ck_assert_int_eq(CTL_STATUS(stack, &out, "checktoken", token, "--json"), 1);
	CHECK_JSON(parse_json(out), "{'valid':false,'why':'the token was logged out'}");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("accounts");
	TCase *tcase = harness_case(suite, "accounts", 30);

	tcase_add_test(tcase, a_removed_account_is_gone_with_its_friendships);
	tcase_add_test(tcase, an_account_is_named_by_its_address_too);
	tcase_add_test(tcase, an_account_that_is_not_there_is_named);
	tcase_add_test(tcase, with_another_password_the_old_one_is_refused);
	tcase_add_test(tcase, a_password_that_is_empty_changes_nothing);
	tcase_add_test(tcase, accounts_are_a_table_as_wide_as_what_is_in_it);
	tcase_add_test(tcase, friends_are_listed_as_the_directory_has_them);
	tcase_add_test(tcase, a_kick_and_a_token_of_an_unknown_user_are_done_and_say_so);
	tcase_add_test(tcase, of_tables_that_are_not_ours_nothing_is_said);
	tcase_add_test(tcase, a_good_token_is_told_with_what_it_says);
	tcase_add_test(tcase, a_token_is_read_from_standard_input_as_a_field_of_a_request);
	tcase_add_test(tcase, the_check_that_fails_is_named);
	tcase_add_test(tcase, a_token_that_was_logged_out_or_kicked_is_told);
	return harness_main(suite);
}
