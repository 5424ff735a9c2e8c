/* presencectl: the table of its commands, and that of their options. */
#ifndef PRESENCE_CTL_COMMANDS_H
#define PRESENCE_CTL_COMMANDS_H

#include "ctl/ctl.h"

enum option_flag {
	FLAG_JSON = 1,
	FLAG_EMAIL = 2,
	FLAG_NAME = 4,
	FLAG_LIFETIME = 8,
	FLAG_URL = 16,
	FLAG_USER = 32,
	FLAG_STREAMS = 64,
	FLAG_QUICK = 128,
	FLAG_SCOPE = 256,
	FLAG_WATCH = 512,
	FLAG_TO = 1024,
	FLAG_PARTITIONS = 2048,
	FLAG_CHECK = 4096,
	FLAG_CLEAR = 8192,
};

enum option_kind { TEXT, NUMBER, SWITCH };

/* What belongs to commands; -c, --help and --version are main()'s own. */
struct command_option {
	const char *name; /* after "--" */
	enum option_flag flag;
	enum option_kind kind;
	size_t offset; /* in struct ctl: a const char *, an int, a bool */
	long least, most; /* NUMBER */
	const char *argument, *help;
};

struct command {
	const char *name; /* one word or two */
	const char *synopsis; /* what stands after the name */
	int least, most; /* arguments */
	int options; /* the ones it takes, enum option_flag */
	ctl_command *run;
	const char *help;
};

const struct command_option *command_options(size_t *count);
const struct command *commands(size_t *count);

/* Which of its options a command needs. */
int command_needs(const struct command *command);
int command_count_words(const struct command *command);

/*
 * The command that the arguments name; NULL: there is none. *is_first_word: the
 * first argument is the first of two words of one.
 */
const struct command *command_find(char **args, int count, bool *is_first_word);
/* The same; what is wrong with them was said. */
const struct command *command_find_or_refuse(char **args, int count);

#endif
