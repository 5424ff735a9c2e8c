#include "ctl/help.h"

#include <stdio.h>
#include <string.h>

#include "ctl/commands.h"

#define ARGUMENT_COLUMN 14

/* --- help ------------------------------------------------------------------------------------ */

/* Text of several lines, each indented. */
static void print_indented(const char *indent, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		printf("%s%.*s\n", indent, (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void print_synopsis(const struct command *command)
{
	printf("%s%s%s%s\n", command->name, *command->synopsis != '\0' ? " " : "",
	       command->synopsis, command->options & FLAG_JSON ? " [--json]" : "");
}

static void print_option(const struct command_option *option)
{
	printf("      --%s%-*s%s\n", option->name, ARGUMENT_COLUMN - (int)strlen(option->name),
	       option->argument, option->help);
}

/* Those of a set, enum option_flag. */
static void print_options(int flags)
{
	size_t count;
	const struct command_option *options = command_options(&count);

	for (size_t i = 0; i < count; i++) {
		if (options[i].flag & flags)
			print_option(&options[i]);
	}
}

static void print_usage(const struct command *command)
{
	printf("usage: " PROGRAM " [-c FILE] ");
	print_synopsis(command);
	printf("\n");
	print_indented("  ", command->help);
	if (command->options != 0) {
		printf("\nOptions\n\n");
		print_options(command->options);
	}
}

/* Every command whose name begins with that word, one after the other. */
static void print_usages(const char *word)
{
	size_t count, len = strlen(word);
	const struct command *list = commands(&count);
	bool is_first = true;

	for (size_t i = 0; i < count; i++) {
		if (strncmp(list[i].name, word, len) != 0 || list[i].name[len] != ' ')
			continue;
		printf("%s", is_first ? "" : "\n");
		print_usage(&list[i]);
		is_first = false;
	}
}

static void print_all(void)
{
	size_t count;
	const struct command *list = commands(&count);

	printf("usage: " PROGRAM " [-c FILE] [--json] COMMAND [ARGUMENT...]\n"
	       "       " PROGRAM " help COMMAND\n"
	       "\n"
	       "Looks into a running presence service and looks after its accounts. It reads the\n"
	       "same configuration as presence-api and presence-streamd and talks to Redis and to\n"
	       "the directory by itself; neither of the two needs to run.\n"
	       "\n"
	       "Commands\n");
	for (size_t i = 0; i < count; i++) {
		printf("\n  ");
		print_synopsis(&list[i]);
		print_indented("      ", list[i].help);
	}
	printf("\n"
	       "Options\n"
	       "\n"
	       "  -c, --config FILE   the configuration; default $PRESENCE_CONFIG, else\n"
	       "                      %s\n",
	       config_default_file());
	print_options(~0);
	printf("  -h, --help          this text; after a command: about it\n"
	       "      --version       the version\n"
	       "  --                  ends the options, for an id that starts with '-'\n"
	       "\n"
	       "Exit status\n"
	       "\n"
	       "  0  done\n"
	       "  1  failed: Redis or the database is away, there is no such user, doctor found\n"
	       "     something, ...\n"
	       "  2  wrong arguments or a bad configuration\n"
	       "\n"
	       "Examples\n"
	       "\n"
	       "  " PROGRAM " directory init\n"
	       "  echo 'a secret' | " PROGRAM " user add --email anna@example.com --name Anna\n"
	       "  " PROGRAM " friend add 1 2\n"
	       "  " PROGRAM " status 1 2 3\n"
	       "  " PROGRAM " watch --json | jq .user_id\n"
	       "  " PROGRAM " doctor --url http://localhost:8000\n"
	       "  curl -N \"http://localhost:8000/api/presence/stream?token=$(" PROGRAM
	       " token 1)\"\n");
}

static bool print_about(char **args, int count)
{
	bool is_first_word;
	const struct command *command = command_find(args, count, &is_first_word);

	if (command != NULL)
		print_usage(command);
	else if (is_first_word && count == 1)
		print_usages(args[0]);
	else
		return false;
	return true;
}

void help_print(char **args, int count)
{
	if (!print_about(args, count))
		print_all();
}

enum ctl_exit help_command(char **args, int count)
{
	if (count == 0)
		print_all();
	else if (!print_about(args, count))
		return command_find_or_refuse(args, count) == NULL ? CTL_USAGE : CTL_DONE;
	return CTL_DONE;
}

/* --- completion ------------------------------------------------------------------------------ */

/* The options that take an argument, as a pattern of bash: "--to|--email". */
static void print_argument_options(void)
{
	size_t count;
	const struct command_option *options = command_options(&count);
	bool is_first = true;

	for (size_t i = 0; i < count; i++) {
		if (options[i].kind == SWITCH)
			continue;
		printf("%s--%s", is_first ? "" : "|", options[i].name);
		is_first = false;
	}
}

/* Whether a command before it begins with the same word. */
static bool is_repeated(const struct command *list, size_t index, size_t len)
{
	for (size_t i = 0; i < index; i++) {
		if (strncmp(list[i].name, list[index].name, len + 1) == 0)
			return true;
	}
	return false;
}

static void print_first_words(const struct command *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strcspn(list[i].name, " ");

		if (!is_repeated(list, i, len))
			printf("%.*s ", (int)len, list[i].name);
	}
	printf("help completion");
}

/* For each first word the second ones. */
static void print_second_words(const struct command *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strcspn(list[i].name, " ");
		bool is_first = true;

		if (list[i].name[len] == '\0' || is_repeated(list, i, len))
			continue;
		printf("\t%.*s) words=\"", (int)len, list[i].name);
		for (size_t j = i; j < count; j++) {
			if (strncmp(list[j].name, list[i].name, len + 1) != 0)
				continue;
			printf("%s%s", is_first ? "" : " ", list[j].name + len + 1);
			is_first = false;
		}
		printf("\" ;;\n");
	}
}

/* The options of a command that has some of its own. */
static void print_option_words(const struct command *command)
{
	size_t count;
	const struct command_option *options = command_options(&count);

	if ((command->options & ~FLAG_JSON) == 0)
		return;
	printf("\t\"%s\"*) options+=\"", command->name);
	for (size_t i = 0; i < count; i++) {
		if ((command->options & options[i].flag) && options[i].flag != FLAG_JSON)
			printf(" --%s", options[i].name);
	}
	printf("\" ;;\n");
}

/* Finds out which word is completed: $current of $command, unless it belongs to an option. */
static void print_parsing(void)
{
	printf("\tlocal current=${COMP_WORDS[COMP_CWORD]} command= words= i\n"
	       "\tlocal options=\"--config --help --json --version\"\n"
	       "\n"
	       "\tCOMPREPLY=()\n"
	       "\tcase ${COMP_WORDS[COMP_CWORD - 1]} in\n"
	       "\t-c|--config) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n\t");
	print_argument_options();
	printf(") return ;;\n"
	       "\tesac\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t-c|--config|");
	print_argument_options();
	printf(") i=$((i + 1)) ;;\n"
	       "\t\t-*) ;;\n"
	       "\t\thelp) ;; # of the words that follow\n"
	       "\t\t*) command+=\"${command:+ }${COMP_WORDS[i]}\" ;;\n"
	       "\t\tesac\n"
	       "\tdone\n");
}

enum ctl_exit completion_print(void)
{
	size_t count;
	const struct command *list = commands(&count);

	printf("# bash completion of " PROGRAM "(8), as `" PROGRAM " completion` prints it\n"
	       "_" PROGRAM "()\n"
	       "{\n");
	print_parsing();
	printf("\tcase $command in\n"
	       "\t\"\") words=\"");
	print_first_words(list, count);
	printf("\" ;;\n");
	print_second_words(list, count);
	printf("\t*\" import\") COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
	       "\tesac\n"
	       "\tcase $command in\n");
	for (size_t i = 0; i < count; i++)
		print_option_words(&list[i]);
	printf("\tesac\n"
	       "\t[[ $current == -* ]] && words=$options\n"
	       "\t[[ -n $words ]] && COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
	       "}\n"
	       "complete -F _" PROGRAM " " PROGRAM "\n");
	return CTL_DONE;
}
