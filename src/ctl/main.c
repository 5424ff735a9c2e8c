/*
 * presencectl: the operator's tool. Options, configuration, then the one
 * command of the table in commands.c that the arguments name.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/options.h"
#include "ctl/commands.h"
#include "ctl/help.h"

/* Whether the arguments (after the name) and options are the command's. `given`: enum option_flag. */
static bool check_usage(const struct command *command, int count, int given)
{
	size_t rows;
	const struct command_option *options = command_options(&rows);
	int needed = command_needs(command);

	for (size_t i = 0; i < rows; i++) {
		int flag = options[i].flag;

		/* A command without an answer of its own says {"ok":true}. */
		if ((given & ~command->options & flag) && flag != FLAG_JSON) {
			ctl_refuse("%s: takes no --%s", command->name, options[i].name);
			return false;
		}
		if (needed & ~given & flag) {
			ctl_refuse("%s: needs --%s", command->name, options[i].name);
			return false;
		}
	}
	if (count < command->least || count > command->most) {
		ctl_refuse("usage: " PROGRAM " %s %s", command->name, command->synopsis);
		return false;
	}
	return true;
}

static bool read_number(const struct command_option *option, const char *text, int *number)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < option->least ||
	    value > option->most) {
		ctl_refuse("--%s: '%s' is not a whole number from %ld to %ld", option->name, text,
			   option->least, option->most);
		return false;
	}
	*number = (int)value;
	return true;
}

/* What main() learns from the options. */
struct settings {
	struct ctl ctl;
	const char *file;
	int given; /* enum option_flag */
};

static bool take_option(void *arg, int value, const char *text)
{
	struct settings *settings = arg;
	size_t rows;
	const struct command_option *option = &command_options(&rows)[value - OPTIONS_OWN];
	void *field = (char *)&settings->ctl + option->offset;

	settings->given |= (int)option->flag;
	switch (option->kind) {
	case TEXT:
		*(const char **)field = text;
		return true;
	case NUMBER:
		return read_number(option, text, field);
	case SWITCH:
		*(bool *)field = true;
		return true;
	}
	return false;
}

/* getopt's description of the table; to be freed. */
static struct option *describe_options(void)
{
	size_t rows;
	const struct command_option *options = command_options(&rows);
	struct option *own = xcalloc(rows + 1, sizeof *own);

	for (size_t i = 0; i < rows; i++)
		own[i] =
			(struct option){options[i].name,
					options[i].kind == SWITCH ? no_argument : required_argument,
					NULL, OPTIONS_OWN + (int)i};
	return own;
}

static enum ctl_exit run(const struct command *command, struct ctl *ctl, const char *file,
			 char **args, int count)
{
	char err[1024];
	struct config *config = config_load(file, err, sizeof err);
	enum ctl_exit status;

	if (config == NULL) {
		fprintf(stderr, "%s\n", err);
		return CTL_USAGE;
	}
	log_setup(PROGRAM, (enum log_level)config->log.level, false);
	config_warn_of_variables();
	ctl->config = config;
	ctl->file = file;
	ctl->nodes = nodes_new(config);
	nodes_look_always(ctl->nodes);
	ctl->partitions = partitions_new(config);
	status = command->run(ctl, args, count);
	if (status == CTL_DONE && ctl->json && !(command->options & FLAG_JSON))
		puts("{\"ok\":true}");
	partitions_free(ctl->partitions);
	nodes_free(ctl->nodes);
	config_free(config);
	if (fflush(stdout) != 0 || ferror(stdout))
		return ctl_fail("standard output: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	struct settings settings = {.ctl = {.streams = -1}};
	struct option *own = describe_options();
	const struct options_program program = {PROGRAM, help_print,  true,
						own,	 take_option, &settings};
	const struct command *command;
	int status = options_read(argc, argv, &program, &settings.file), words;
	char **args = argv + optind;
	int count = argc - optind;

	free(own);
	setlocale(LC_CTYPE, "C.UTF-8"); /* for the width of what stands in tables */
	if (status != OPTIONS_GO_ON)
		return status;
	if (count > 0 && strcmp(args[0], "help") == 0)
		return (int)help_command(args + 1, count - 1);
	if (count == 1 && strcmp(args[0], "completion") == 0)
		return (int)completion_print();
	command = command_find_or_refuse(args, count);
	if (command == NULL)
		return CTL_USAGE;
	words = command_count_words(command);
	if (!check_usage(command, count - words, settings.given))
		return CTL_USAGE;
	return (int)run(command, &settings.ctl, settings.file, args + words, count - words);
}
