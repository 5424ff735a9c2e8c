/* presencectl: what it says of its commands, its completion in bash, and mistakes around it. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "servers.h"

/* --- help ------------------------------------------------------------------------------------- */

START_TEST(each_command_tells_its_own_usage)
{
	struct stack *stack = stack_new("");
	char *out = CTL(stack, "kick", "-h");

	check_has(out, "usage: presencectl [-c FILE] kick ID\n");
	check_has_not(out, "explain");
	ck_assert_str_eq(CTL(stack, "help", "kick"), out);
	ck_assert_str_eq(CTL(stack, "kick", "1", "--help"), out);
	stack_stop(stack);
}
END_TEST

START_TEST(the_usage_of_a_command_has_its_options)
{
	struct stack *stack = stack_new("");
	char *out = CTL(stack, "help", "user", "add");

	check_has(out, "user add --email E --name N [--json]");
	check_has(out, "--email E");
	check_has_not(out, "--lifetime");
	stack_stop(stack);
}
END_TEST

START_TEST(the_first_of_two_words_tells_of_all_that_begin_with_it)
{
	struct stack *stack = stack_new("");
	char *out = CTL(stack, "friend", "-h");

	check_has(out, "friend add A B");
	check_has(out, "friend remove A B");
	check_has_not(out, "user add");
	stack_stop(stack);
}
END_TEST

START_TEST(the_manual_has_every_command)
{
	struct stack *stack = stack_new("");
	char *manual = source_file("docs/man/presencectl.8"), *help = CTL(stack, "help"), *line;
	int count = 0;

	/* A command stands after two blanks. */
	for (char *save = NULL, *at = help; (line = strtok_r(at, "\n", &save)) != NULL; at = NULL) {
		size_t words;

		if (strcmp(line, "Options") == 0)
			break;
		if (strncmp(line, "  ", 2) != 0 || line[2] == ' ')
			continue;
		/* The name is its words in small letters. */
		words = strspn(line + 2, "abcdefghijklmnopqrstuvwxyz ");
		while (words > 0 && (line + 2)[words - 1] == ' ')
			words--;
		check_has(manual, text_of("Cm %.*s", (int)words, line + 2));
		count++;
	}
	ck_assert_int_gt(count, 20);
	stack_stop(stack);
}
END_TEST

/* In mdoc(7) what follows "Op" to the end of the line is in its brackets, another "Op" too. */
START_TEST(options_in_the_manual_do_not_nest)
{
	struct stack *stack = stack_new("");
	char *manual = source_file("docs/man/presencectl.8"), *save = NULL;

	for (char *line = strtok_r(manual, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *option = strstr(line, " Op ");

		ck_assert_msg(option == NULL || strstr(option + 1, " Op ") == NULL,
			      "one option is within another's brackets: %s", line);
	}
	stack_stop(stack);
}
END_TEST

/* --- completion ------------------------------------------------------------------------------- */

START_TEST(the_completion_that_is_installed_is_that_of_the_commands)
{
	struct stack *stack = stack_new("");

	ck_assert_msg(
		strcmp(source_file("conf/bash-completion/presencectl"), CTL(stack, "completion")) ==
			0,
		"it is another one: presencectl completion > conf/bash-completion/presencectl");
	stack_stop(stack);
}
END_TEST

/* What bash offers for the last of the words, one a line. */
static char *complete(struct stack *stack, const char *words)
{
	const char *script =
		text_of("source %s/conf/bash-completion/presencectl; "
			"COMP_WORDS=(presencectl %s); "
			"COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _presencectl; "
			"printf '%%s\\n' \"${COMPREPLY[@]}\"",
			getenv("ABS_SRCDIR") != NULL ? getenv("ABS_SRCDIR") : ".", words);
	const char *argv[] = {"bash", "-c", script, NULL};
	char *out;

	ck_assert_int_eq(run(stack, &out, NULL, argv), 0);
	return out;
}

START_TEST(bash_completes_commands_and_their_options)
{
	static const struct {
		const char *words, *offered;
	} cases[] = {
		{"expl", "explain\n"},	      {"friend r", "remove\n"},
		{"--json user l", "list\n"},  {"-c x.conf cou", "count\n"},
		{"help dire", "directory\n"}, {"token 1 --l", "--lifetime\n"},
		{"doctor --q", "--quick\n"},  {"count --l", "\n"},
	};
	struct stack *stack = stack_new("");

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_str_eq(complete(stack, cases[i].words), cases[i].offered);
	stack_stop(stack);
}
END_TEST

/* --- mistakes --------------------------------------------------------------------------------- */

START_TEST(a_refused_id_is_told_what_ids_are)
{
	struct stack *stack = stack_new("");

	ck_assert_int_eq(CTL_STATUS(stack, NULL, "kick", "007"), 2);
	check_has(ctl_said(stack), "'007' is not a user id: a whole number from 1 to 2^53-1, or "
				   "1 to 128 of the characters A-Z a-z 0-9 _ . - @ | : + = ~ that");
	stack_stop(stack);
}
END_TEST

START_TEST(a_variable_that_names_no_option_is_warned_about)
{
	struct stack *stack = stack_new("");

	setenv("PRESENCE_REDIS_ULR", "x", 1);
	setenv("PRESENCE_REDIS_TIMEOUT_MS", "900", 1);
	CTL_STATUS(stack, NULL, "count");
	check_has(ctl_said(stack), "PRESENCE_REDIS_ULR in the environment names no option");
	check_has_not(ctl_said(stack), "PRESENCE_REDIS_TIMEOUT_MS");
	check_has_not(ctl_said(stack), "PRESENCE_CONFIG");
	unsetenv("PRESENCE_REDIS_ULR");
	unsetenv("PRESENCE_REDIS_TIMEOUT_MS");
	stack_stop(stack);
}
END_TEST

START_TEST(a_configuration_that_is_not_there_names_the_option_for_another_one)
{
	struct stack *stack = stack_new("");
	const char *argv[] = {program("presencectl"), "-c", "/nonexistent/presence.conf", "count",
			      NULL};

	ck_assert_int_eq(run(stack, NULL, NULL, argv), 2);
	check_has(ctl_said(stack),
		  "/nonexistent/presence.conf: No such file or directory (-c FILE names "
		  "another one)\n");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("usage of presencectl");
	TCase *tcase = harness_case(suite, "usage", 30);

	tcase_add_test(tcase, each_command_tells_its_own_usage);
	tcase_add_test(tcase, the_usage_of_a_command_has_its_options);
	tcase_add_test(tcase, the_first_of_two_words_tells_of_all_that_begin_with_it);
	tcase_add_test(tcase, the_manual_has_every_command);
	tcase_add_test(tcase, options_in_the_manual_do_not_nest);
	tcase_add_test(tcase, the_completion_that_is_installed_is_that_of_the_commands);
	tcase_add_test(tcase, bash_completes_commands_and_their_options);
	tcase_add_test(tcase, a_refused_id_is_told_what_ids_are);
	tcase_add_test(tcase, a_variable_that_names_no_option_is_warned_about);
	tcase_add_test(tcase, a_configuration_that_is_not_there_names_the_option_for_another_one);
	return harness_main(suite);
}
