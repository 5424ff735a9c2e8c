#include "ctl/commands.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "store/layout.h"

#define YEAR 31536000
#define STREAMS_MAX 100000
#define MANY INT_MAX

#define MOVE_FLAGS (FLAG_TO | FLAG_PARTITIONS | FLAG_CHECK | FLAG_CLEAR)
/* A command that takes one of these needs it. */
#define NEEDED_FLAGS (FLAG_EMAIL | FLAG_NAME | FLAG_TO)
#define DOCTOR_FLAGS (FLAG_URL | FLAG_USER | FLAG_STREAMS | FLAG_QUICK)

static const struct command_option option_table[] = {
	{"json", FLAG_JSON, SWITCH, offsetof(struct ctl, json), 0, 0, "",
	 "answers in JSON; a command without an answer says {\"ok\":true}"},
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

static const struct command command_table[] = {
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
	{"stats", "", 0, 0, FLAG_JSON, ctl_stats,
	 "The figures of the whole service, as GET /api/metrics tells them: a line for each, of a\n"
	 "time how often it was measured and what half and 99 % stayed below, in seconds. Without\n"
	 "the sums over all servers of Redis, and with status 1, while one of several is away."},
	{"token", "ID [--lifetime S] [--scope S] [--watch]", 1, 1,
	 FLAG_JSON | FLAG_LIFETIME | FLAG_SCOPE | FLAG_WATCH, ctl_token,
	 "A token for the user, on standard output, for trying things out or for a service\n"
	 "that acts in the user's name."},
	{"checktoken", "[TOKEN]", 0, 1, FLAG_JSON, ctl_checktoken,
	 "Whether a token is let in, and else which check fails; before that what the token says\n"
	 "of itself. Without TOKEN it is the first line of standard input, where no other user\n"
	 "of this machine can see it."},
	{"user add", "--email E --name N", 0, 0, FLAG_JSON | FLAG_EMAIL | FLAG_NAME, ctl_user_add,
	 "An account; its password is the first line of standard input. Prints the new id."},
	{"user remove", "USER", 1, 1, 0, ctl_user_remove,
	 "Removes an account, named by its id or e-mail address, and its friendships. Friends'\n"
	 "open streams learn of it. Then: forget ID."},
	{"user passwd", "USER", 1, 1, 0, ctl_user_passwd,
	 "Gives an account another password: the first line of standard input. To end what is\n"
	 "open: kick ID."},
	{"user list", "", 0, 0, FLAG_JSON, ctl_user_list, "Every account."},
	{"user import", "FILE", 1, 1, FLAG_JSON, ctl_user_import,
	 "Accounts from a file of comma-separated values, - being standard input: all of them, "
	 "or,\n"
	 "when one line is wrong, none. The first line names the columns: email, name, and "
	 "password\n"
	 "or password_hash, as crypt(5) has it."},
	{"friend add", "A B", 2, 2, 0, ctl_friend_add,
	 "Makes two users friends of one another. Their open streams learn of it."},
	{"friend remove", "A B", 2, 2, 0, ctl_friend_remove, "Ends a friendship, likewise."},
	{"friend import", "FILE", 1, 1, FLAG_JSON, ctl_friend_import,
	 "Friendships from such a file, likewise. The columns are user and friend, each an id or "
	 "an\n"
	 "e-mail address. Open streams learn of it."},
	{"friend list", "ID", 1, 1, FLAG_JSON, ctl_friend_list,
	 "The user's friends, as friends_query has them."},
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

const struct command_option *command_options(size_t *count)
{
	*count = sizeof option_table / sizeof option_table[0];
	return option_table;
}

const struct command *commands(size_t *count)
{
	*count = sizeof command_table / sizeof command_table[0];
	return command_table;
}

int command_needs(const struct command *command)
{
	return command->options & NEEDED_FLAGS;
}

int command_count_words(const struct command *command)
{
	return strchr(command->name, ' ') != NULL ? 2 : 1;
}

const struct command *command_find(char **args, int count, bool *is_first_word)
{
	size_t rows;
	const struct command *table = commands(&rows);

	*is_first_word = false;
	for (size_t i = 0; count > 0 && i < rows; i++) {
		const char *name = table[i].name;
		size_t len = strcspn(name, " ");

		if (strlen(args[0]) != len || strncmp(args[0], name, len) != 0)
			continue;
		if (command_count_words(&table[i]) == 1)
			return &table[i];
		*is_first_word = true;
		if (count > 1 && strcmp(args[1], name + len + 1) == 0)
			return &table[i];
	}
	return NULL;
}

const struct command *command_find_or_refuse(char **args, int count)
{
	bool is_first_word;
	const struct command *command = command_find(args, count, &is_first_word);

	if (command != NULL)
		return command;
	if (count == 0)
		ctl_refuse("a command is missing");
	else if (is_first_word && count == 1)
		ctl_refuse("%s: what about it? A second word is missing", args[0]);
	else
		ctl_refuse("there is no command '%s%s%s'", args[0], is_first_word ? " " : "",
			   is_first_word ? args[1] : "");
	return NULL;
}
