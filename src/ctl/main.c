/*
 * presencectl: the operator's tool. Options, configuration, then the one
 * command of the table below that the arguments name.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "store/layout.h"

#define YEAR 31536000
#define STREAMS_MAX 100000
#define MANY INT_MAX

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
#define MOVE_FLAGS (FLAG_TO | FLAG_PARTITIONS | FLAG_CHECK | FLAG_CLEAR)
#define NEEDED_FLAGS (FLAG_EMAIL | FLAG_NAME | FLAG_TO) /* by a command that takes them */
#define DOCTOR_FLAGS (FLAG_URL | FLAG_USER | FLAG_STREAMS | FLAG_QUICK)

enum option_kind { TEXT, NUMBER, SWITCH };

/* What belongs to commands; -c, --help and --version are main()'s own. */
static const struct command_option {
	const char *name; /* after "--" */
	enum option_flag flag;
	enum option_kind kind;
	size_t offset; /* in struct ctl: a const char *, an int, a bool */
	long least, most; /* NUMBER */
	const char *argument, *help;
} command_options[] = {
	{"json", FLAG_JSON, SWITCH, offsetof(struct ctl, json), 0, 0, "",
	 "answers in JSON; those not marked above say {\"ok\":true}"},
	{"lifetime", FLAG_LIFETIME, NUMBER, offsetof(struct ctl, lifetime), 1, YEAR, " S",
	 "seconds that the token is valid; default auth.token_lifetime"},
	{"scope", FLAG_SCOPE, TEXT, offsetof(struct ctl, scope), 0, 0, " S",
	 "what else the token allows: push, admin, or \"push admin\""},
	{"watch", FLAG_WATCH, SWITCH, offsetof(struct ctl, watch), 0, 0, "",
	 "a token that sees and makes nobody online"},
	{"email", FLAG_EMAIL, TEXT, offsetof(struct ctl, email), 0, 0, " E",
	 "the new account's e-mail address, with which it logs in"},
	{"name", FLAG_NAME, TEXT, offsetof(struct ctl, name), 0, 0, " N",
	 "the name that friends see"},
	{"url", FLAG_URL, TEXT, offsetof(struct ctl, url), 0, 0, " URL",
	 "where the web server serves the site, for doctor"},
	{"user", FLAG_USER, TEXT, offsetof(struct ctl, user), 0, 0, " ID",
	 "in whose name doctor asks there"},
	{"streams", FLAG_STREAMS, NUMBER, offsetof(struct ctl, streams), 0, STREAMS_MAX, " N",
	 "how many streams doctor opens at a time"},
	{"quick", FLAG_QUICK, SWITCH, offsetof(struct ctl, quick), 0, 0, "",
	 "doctor waits for no heartbeat and opens one stream only"},
	{"to", FLAG_TO, TEXT, offsetof(struct ctl, to), 0, 0, " URL",
	 "where users are moved to, as redis.url has it"},
	{"partitions", FLAG_PARTITIONS, NUMBER, offsetof(struct ctl, partition_count), 1,
	 LAYOUT_PARTITIONS_MAX, " N", "over how many partitions there; default: as many as now"},
	{"check", FLAG_CHECK, SWITCH, offsetof(struct ctl, check), 0, 0, "",
	 "move changes nothing, and tells what differs"},
	{"clear", FLAG_CLEAR, SWITCH, offsetof(struct ctl, clear), 0, 0, "",
	 "move removes the old layout at its end"},
};
#define OPTION_COUNT (sizeof command_options / sizeof command_options[0])

static const struct command {
	const char *name; /* one word or two */
	const char *synopsis; /* what stands after the name */
	int least, most; /* arguments */
	int options; /* the ones it takes; those of NEEDED_FLAGS it needs, then */
	ctl_command *run;
	const char *help;
} commands[] = {
	{"status", "ID...", 1, MANY, FLAG_JSON, ctl_status,
	 "Whether each user is online, and when last active. An unknown user is offline."},
	{"online", "", 0, 0, FLAG_JSON, ctl_online,
	 "The id of every user who is online, one a line, in no order. One may come twice\n"
	 "while others come and go."},
	{"count", "", 0, 0, FLAG_JSON, ctl_count, "How many users are online."},
	{"watch", "[ID...]", 0, MANY, FLAG_JSON, ctl_watch,
	 "A line for each change as it happens, of everybody or of these users: time, id,\n"
	 "status, reason. Ends with Ctrl-C, or when Redis is lost. With --json: the messages\n"
	 "as they are published."},
	{"sessions", "ID", 1, 1, FLAG_JSON, ctl_sessions,
	 "What keeps the user online: a session for each token and each stream, and how long\n"
	 "it lasts unless it is renewed. \"closing\": its stream has closed, it waits for the\n"
	 "grace to pass."},
	{"blocks", "ID", 1, 1, FLAG_JSON, ctl_blocks,
	 "Whom the user blocks, one id a line. With --json also who blocks the user."},
	{"state", "ID", 1, 1, FLAG_JSON, ctl_state,
	 "The state that the user chose, and how many of the tokens with a live session are\n"
	 "idle. What others see of it: status and explain."},
	{"settings", "ID", 1, 1, FLAG_JSON, ctl_settings,
	 "What the user lets others learn, with what the site's own rule makes of it."},
	{"explain", "VIEWER ID", 2, 2, FLAG_JSON, ctl_explain,
	 "Why the user ID looks to VIEWER as it does: friendship, visibility and blocks, the\n"
	 "sessions of ID and what Redis derives from them, revocations, who sweeps. Ends with one\n"
	 "sentence that sums it up."},
	{"kick", "ID", 1, 1, 0, ctl_kick,
	 "Ends every session of the user, closes the streams, and refuses every token issued\n"
	 "before now. A new login works."},
	{"forget", "ID", 1, 1, 0, ctl_forget,
	 "Removes all that Redis holds about the user, in one pass over all keys, and refuses\n"
	 "every token issued by now. The directory is left alone: delete the account there\n"
	 "first. May be repeated."},
	{"export", "ID", 1, 1, FLAG_JSON, ctl_export,
	 "All that Redis holds about the user, in JSON, but for what gives access, what others\n"
	 "chose (who blocks the user) and where the user is."},
	{"move", "--to URL [--partitions N] [--check] [--clear]", 0, 0, FLAG_JSON | MOVE_FLAGS,
	 ctl_move,
	 "Copies what users chose, their blocks, subscriptions and versions, when they were last\n"
	 "seen and which tokens are refused to other servers, or to another number of partitions;\n"
	 "then compares all of it. Sessions are not copied, they come back by themselves. May be\n"
	 "repeated. --clear ends with removing the old layout, for servers that both of them use."},
	{"sweep", "", 0, 0, 0, ctl_sweep,
	 "Takes expired users offline now, as presence-streamd does by itself."},
	{"token", "ID [--lifetime S] [--scope S] [--watch]", 1, 1,
	 FLAG_JSON | FLAG_LIFETIME | FLAG_SCOPE | FLAG_WATCH, ctl_token,
	 "A token for the user, on standard output, for trying things out or for a service\n"
	 "that acts in the user's name."},
	{"user add", "--email E --name N", 0, 0, FLAG_JSON | FLAG_EMAIL | FLAG_NAME, ctl_user_add,
	 "An account; its password is the first line of standard input. Prints the new id."},
	{"user list", "", 0, 0, FLAG_JSON, ctl_user_list, "Every account."},
	{"friend add", "A B", 2, 2, 0, ctl_friend_add,
	 "Makes two users friends of one another. Their open streams learn of it."},
	{"friend remove", "A B", 2, 2, 0, ctl_friend_remove, "Ends a friendship, likewise."},
	{"directory init", "", 0, 0, 0, ctl_directory_init,
	 "Makes the tables for accounts and friends where they are missing. Not needed by a\n"
	 "site with tables of its own; user and friend are for these tables only."},
	{"push key", "", 0, 0, 0, ctl_push_key,
	 "A new private key for [push] key_file, on standard output. Browsers subscribe with its\n"
	 "public key: with another one they have to subscribe anew."},
	{"push state", "", 0, 0, FLAG_JSON, ctl_push_state,
	 "How many notifications are to be sent and how many wait, and what became of all\n"
	 "others so far."},
	{"doctor", "[--url URL [--user ID] [--streams N] [--quick]]", 0, 0,
	 FLAG_JSON | DOCTOR_FLAGS, ctl_doctor,
	 "Checks the configuration, the keys, Redis, the directory, presence-streamd and, with\n"
	 "--url, the web server in front. A line for each check begins with ok, warn or FAIL and\n"
	 "ends with what to change; exit status 1 when one failed. --url is the site without\n"
	 "[http] base, as in https://www.example.com. It calls and opens a stream, in the name of\n"
	 "user 2147483647 or --user's, who is online for that moment; sees whether events\n"
	 "arrive at once and waits for a heartbeat; then opens 200 streams at a time (at most\n"
	 "max_streams), in the names of the users below 2147483647, and sees whether calls are\n"
	 "still answered. As root and on the web server's own machine it finds more."},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/* Text of several lines, each indented. */
static void print_indented(const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		printf("      %.*s\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void print_command(const struct command *command)
{
	printf("\n  %s%s%s%s\n", command->name, *command->synopsis != '\0' ? " " : "",
	       command->synopsis, command->options & FLAG_JSON ? " [--json]" : "");
	print_indented(command->help);
}

static void print_help(void)
{
	printf("usage: " PROGRAM " [-c FILE] [--json] COMMAND [ARGUMENT...]\n"
	       "       " PROGRAM " help COMMAND\n"
	       "\n"
	       "Looks into a running presence service and looks after its accounts. It reads the\n"
	       "same configuration as presence-api and presence-streamd and talks to Redis and to\n"
	       "the directory by itself; neither of the two needs to run.\n"
	       "\n"
	       "Commands\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		print_command(&commands[i]);
	printf("\n"
	       "Options\n"
	       "\n"
	       "  -c, --config FILE   the configuration; default $PRESENCE_CONFIG, else\n"
	       "                      %s\n",
	       config_default_file());
	for (size_t i = 0; i < OPTION_COUNT; i++)
		printf("      --%s%-*s%s\n", command_options[i].name,
		       14 - (int)strlen(command_options[i].name), command_options[i].argument,
		       command_options[i].help);
	printf("  -h, --help          this text\n"
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

static int count_words(const char *name)
{
	return strchr(name, ' ') != NULL ? 2 : 1;
}

/* The command that the arguments name, or NULL after saying what is wrong. */
static const struct command *find_command(char **args, int count)
{
	bool is_first_word = false;

	for (size_t i = 0; count > 0 && i < COMMAND_COUNT; i++) {
		const char *name = commands[i].name;
		size_t len = strcspn(name, " ");

		if (strlen(args[0]) != len || strncmp(args[0], name, len) != 0)
			continue;
		is_first_word = true;
		if (count_words(name) == 1 || (count > 1 && strcmp(args[1], name + len + 1) == 0))
			return &commands[i];
	}
	if (count == 0)
		ctl_refuse("a command is missing");
	else if (is_first_word && count == 1)
		ctl_refuse("%s: what about it? A second word is missing", args[0]);
	else
		ctl_refuse("there is no command '%s%s%s'", args[0], is_first_word ? " " : "",
			   is_first_word ? args[1] : "");
	return NULL;
}

/* presencectl help [COMMAND] */
static enum ctl_exit help(char **args, int count)
{
	const struct command *command;

	if (count == 0) {
		print_help();
		return CTL_DONE;
	}
	command = find_command(args, count);
	if (command == NULL)
		return CTL_USAGE;
	print_command(command);
	return CTL_DONE;
}

/* Whether the arguments (after the name) and options are the command's. `given`: enum option_flag. */
static bool check_usage(const struct command *command, int count, int given)
{
	int needed = command->options & NEEDED_FLAGS;

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		int flag = command_options[i].flag;

		/* A command without an answer of its own says {"ok":true}. */
		if ((given & ~command->options & flag) && flag != FLAG_JSON) {
			ctl_refuse("%s: takes no --%s", command->name, command_options[i].name);
			return false;
		}
		if (needed & ~given & flag) {
			ctl_refuse("%s: needs --%s", command->name, command_options[i].name);
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
	const struct command_option *option = &command_options[value - OPTIONS_OWN];
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

/* getopt's description of the table. */
static const struct option *describe_options(void)
{
	static struct option own[OPTION_COUNT + 1];

	for (size_t i = 0; i < OPTION_COUNT; i++)
		own[i] = (struct option){command_options[i].name,
					 command_options[i].kind == SWITCH ? no_argument
									   : required_argument,
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
	ctl->config = config;
	ctl->file = file;
	ctl->nodes = nodes_new(config);
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
	const struct options_program program = {PROGRAM,     print_help, true, describe_options(),
						take_option, &settings};
	const struct command *command;
	int status = options_read(argc, argv, &program, &settings.file), words;

	if (status != OPTIONS_GO_ON)
		return status;
	if (optind < argc && strcmp(argv[optind], "help") == 0)
		return help(argv + optind + 1, argc - optind - 1);
	command = find_command(argv + optind, argc - optind);
	if (command == NULL)
		return CTL_USAGE;
	words = count_words(command->name);
	if (!check_usage(command, argc - optind - words, settings.given))
		return CTL_USAGE;
	return (int)run(command, &settings.ctl, settings.file, argv + optind + words,
			argc - optind - words);
}
