/*
 * presencectl: the operator's tool. Options, configuration, then the one
 * command of the table below that the arguments name.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/log.h"

#define YEAR 31536000
#define STREAMS_MAX 100000
#define MANY INT_MAX

enum flag {
	FLAG_JSON = 1,
	FLAG_EMAIL = 2,
	FLAG_NAME = 4,
	FLAG_LIFETIME = 8,
	FLAG_URL = 16,
	FLAG_USER = 32,
	FLAG_STREAMS = 64,
	FLAG_QUICK = 128,
};
#define DOCTOR_FLAGS (FLAG_URL | FLAG_USER | FLAG_STREAMS | FLAG_QUICK)

static const struct command {
	const char *name; /* one word or two */
	const char *synopsis; /* what stands behind the name */
	int least, most; /* arguments */
	int options; /* the ones it takes; --email and --name it needs, then */
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
	{"explain", "VIEWER ID", 2, 2, FLAG_JSON, ctl_explain,
	 "Why the user ID looks to VIEWER as it does: friendship and visibility, the sessions\n"
	 "of ID and what Redis derives from them, revocations, who sweeps. Ends with one\n"
	 "sentence that sums it up."},
	{"kick", "ID", 1, 1, 0, ctl_kick,
	 "Ends every session of the user, closes the streams, and refuses every token issued\n"
	 "before now. A new login works."},
	{"sweep", "", 0, 0, 0, ctl_sweep,
	 "Takes expired users offline now, as presence-streamd does by itself."},
	{"token", "ID", 1, 1, FLAG_JSON | FLAG_LIFETIME, ctl_token,
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
	{"doctor", "", 0, 0, FLAG_JSON | DOCTOR_FLAGS, ctl_doctor,
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

static void say(const char *format, va_list args)
{
	fputs(PROGRAM ": ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

enum ctl_exit ctl_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CTL_FAILED;
}

enum ctl_exit ctl_refuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	fputs("Try '" PROGRAM " --help'.\n", stderr);
	return CTL_USAGE;
}

bool ctl_read_id(const char *text, struct userid *id)
{
	if (userid_parse(text, strlen(text), id))
		return true;
	ctl_refuse("'%s' is no user id: a whole number from 1 to 2^53-1, or 1 to 64 of the "
		   "characters A-Z a-z 0-9 _ . - that are not all digits",
		   text);
	return false;
}

struct userid *ctl_read_ids(char **args, int count)
{
	struct userid *ids = xcalloc((size_t)count, sizeof *ids);

	for (int i = 0; i < count; i++) {
		if (!ctl_read_id(args[i], &ids[i])) {
			free(ids);
			return NULL;
		}
	}
	return ids;
}

/* Where Redis is, without the password that the URL may hold. */
static void put_place(char *place, size_t size, const char *url)
{
	struct redis_address address;

	*place = '\0';
	if (redis_address_parse(url, &address) != NULL)
		return;
	if (address.path != NULL)
		snprintf(place, size, "%s", address.path);
	else
		snprintf(place, size, "%s:%d", address.host, address.port);
	redis_address_free(&address);
}

bool ctl_run(struct ctl *ctl, const struct printbuf *pipeline, size_t count, redisReply **replies)
{
	char place[256];

	if (blocking_run(ctl->redis, pipeline, count, replies))
		return true;
	put_place(place, sizeof place, ctl->config->redis.url);
	ctl_fail("Redis at %s: %s", place, blocking_error(ctl->redis));
	return false;
}

void ctl_print(struct printbuf *out)
{
	fwrite(out->buf, 1, buf_len(out), stdout);
	buf_reset(out);
}

/* Text of several lines, each indented. */
static void print_indented(const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		printf("      %.*s\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void print_help(void)
{
	printf("usage: " PROGRAM " [-c FILE] [--json] COMMAND [ARGUMENT...]\n"
	       "\n"
	       "Looks into a running presence service and looks after its accounts. It reads the\n"
	       "same configuration as presence-api and presence-streamd and talks to Redis and to\n"
	       "the directory by itself; neither of the two needs to run.\n"
	       "\n"
	       "Commands\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *command = &commands[i];

		printf("\n  %s%s%s%s%s%s\n", command->name, *command->synopsis != '\0' ? " " : "",
		       command->synopsis, command->options & FLAG_LIFETIME ? " [--lifetime S]" : "",
		       command->options & FLAG_URL
			       ? " [--url URL [--user ID] [--streams N] [--quick]]"
			       : "",
		       command->options & FLAG_JSON ? " [--json]" : "");
		print_indented(command->help);
	}
	printf("\n"
	       "Options\n"
	       "\n"
	       "  -c, --config FILE   the configuration; default $PRESENCE_CONFIG, else\n"
	       "                      %s\n"
	       "      --json          answers in JSON; those not marked above say {\"ok\":true}\n"
	       "      --lifetime S    seconds that the token is valid; default "
	       "auth.token_lifetime\n"
	       "      --email E       the new account's e-mail address, with which it logs in\n"
	       "      --name N        the name that friends see\n"
	       "      --url URL       where the web server serves the site, for doctor\n"
	       "      --user ID       in whose name doctor asks there\n"
	       "      --streams N     how many streams doctor opens at a time\n"
	       "      --quick         doctor waits for no heartbeat and opens one stream only\n"
	       "      --help          this text\n"
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
	       " token 1)\"\n",
	       config_default_file());
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

/* Whether the arguments (behind the name) and options are the command's. `given`: enum flag. */
static bool check_usage(const struct command *command, int count, int given)
{
	static const struct {
		int option;
		const char *name;
	} names[] = {{FLAG_EMAIL, "--email"}, {FLAG_NAME, "--name"}, {FLAG_LIFETIME, "--lifetime"},
		     {FLAG_URL, "--url"},     {FLAG_USER, "--user"}, {FLAG_STREAMS, "--streams"},
		     {FLAG_QUICK, "--quick"}};
	int needed = command->options & (FLAG_EMAIL | FLAG_NAME);

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (given & ~command->options & names[i].option) {
			ctl_refuse("%s: takes no %s", command->name, names[i].name);
			return false;
		}
		if (needed & ~given & names[i].option) {
			ctl_refuse("%s: needs %s", command->name, names[i].name);
			return false;
		}
	}
	if (count < command->least || count > command->most) {
		ctl_refuse("usage: " PROGRAM " %s %s", command->name, command->synopsis);
		return false;
	}
	return true;
}

static bool read_number(const char *option, const char *text, long least, long most, int *number)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
		ctl_refuse("%s: '%s' is not a whole number from %ld to %ld", option, text, least,
			   most);
		return false;
	}
	*number = (int)value;
	return true;
}

/* What main() learns from the options. */
struct settings {
	const char *file;
	int given; /* enum flag */
};

/* Reads the options, which may stand anywhere. Returns -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct ctl *ctl, struct settings *settings)
{
	enum { HELP = 256, VERSION_OPTION };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, FLAG_JSON},
		{"email", required_argument, NULL, FLAG_EMAIL},
		{"name", required_argument, NULL, FLAG_NAME},
		{"lifetime", required_argument, NULL, FLAG_LIFETIME},
		{"url", required_argument, NULL, FLAG_URL},
		{"user", required_argument, NULL, FLAG_USER},
		{"streams", required_argument, NULL, FLAG_STREAMS},
		{"quick", no_argument, NULL, FLAG_QUICK},
		{"help", no_argument, NULL, HELP},
		{"version", no_argument, NULL, VERSION_OPTION},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			settings->file = optarg;
			continue;
		case FLAG_JSON:
			ctl->json = true;
			break;
		case FLAG_EMAIL:
			ctl->email = optarg;
			break;
		case FLAG_NAME:
			ctl->name = optarg;
			break;
		case FLAG_LIFETIME:
			if (!read_number("--lifetime", optarg, 1, YEAR, &ctl->lifetime))
				return CTL_USAGE;
			break;
		case FLAG_URL:
			ctl->url = optarg;
			break;
		case FLAG_USER:
			ctl->user = optarg;
			break;
		case FLAG_STREAMS:
			if (!read_number("--streams", optarg, 0, STREAMS_MAX, &ctl->streams))
				return CTL_USAGE;
			break;
		case FLAG_QUICK:
			ctl->quick = true;
			break;
		case HELP:
			print_help();
			return CTL_DONE;
		case VERSION_OPTION:
			printf(PROGRAM " %s\n", PACKAGE_VERSION);
			return CTL_DONE;
		default: /* getopt has said what is wrong */
			fputs("Try '" PROGRAM " --help'.\n", stderr);
			return CTL_USAGE;
		}
		settings->given |= option;
	}
	return -1;
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
	ctl->redis = blocking_new(config);
	status = command->run(ctl, args, count);
	if (status == CTL_DONE && ctl->json && !(command->options & FLAG_JSON))
		puts("{\"ok\":true}");
	blocking_free(ctl->redis);
	config_free(config);
	if (fflush(stdout) != 0 || ferror(stdout))
		return ctl_fail("standard output: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	struct settings settings = {.file = config_default_file()};
	struct ctl ctl = {.streams = -1};
	const struct command *command;
	int status = read_options(argc, argv, &ctl, &settings), words;

	if (status >= 0)
		return status;
	command = find_command(argv + optind, argc - optind);
	if (command == NULL)
		return CTL_USAGE;
	words = count_words(command->name);
	if (!check_usage(command, argc - optind - words, settings.given))
		return CTL_USAGE;
	return (int)run(command, &ctl, settings.file, argv + optind + words, argc - optind - words);
}
