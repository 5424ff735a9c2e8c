#include "ctl/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "auth/password.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/config_options.h"
#include "store/inbox.h"

#define EMAIL_MAX 254
#define ANNOUNCED 500 /* users told of at a time */

/* --- the directory --------------------------------------------------------------------------- */

struct directory *account_open(struct ctl *ctl)
{
	char err[512];
	struct directory *directory = directory_open(ctl->config, 1, err, sizeof err);

	if (directory == NULL)
		ctl_fail("%s", err);
	return directory;
}

enum ctl_exit account_close(struct directory *directory, const char *wrong)
{
	enum ctl_exit status = wrong == NULL ? CTL_DONE : ctl_fail("%s", wrong);

	directory_close(directory);
	return status;
}

/* Whether the accounts are those of conf/schema.sql, as far as the configuration tells. */
static bool has_own_tables(const struct config *config)
{
	return config->directory.backend == DIRECTORY_SQL &&
	       strcmp(config->directory.account_query,
		      config_row_find("directory", "account_query")->name.fallback) == 0;
}

void account_warn_unknown(struct ctl *ctl, const struct userid *id)
{
	char err[512];
	struct directory *directory = has_own_tables(ctl->config)
					      ? directory_open(ctl->config, 1, err, sizeof err)
					      : NULL;

	if (directory == NULL)
		return;
	if (schema_lacks_user(directory, id->text))
		ctl_fail("there is no user %s in the directory; it is done all the same", id->text);
	directory_close(directory);
}

/* --- what is given --------------------------------------------------------------------------- */

/* Whether text is 1..max bytes of UTF-8 without control characters. */
static bool is_plain_text(const char *text, size_t max)
{
	struct printbuf *json = buf_new();
	struct json_object *object;
	const char *why;

	/* The JSON parser knows UTF-8. */
	buf_puts(json, "{\"text\":");
	json_put_string(json, text, strlen(text));
	buf_puts(json, "}");
	object = json_parse_object(json->buf, buf_len(json), &why);
	printbuf_free(json);
	if (object == NULL)
		return false;
	json_object_put(object);
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	}
	return *text != '\0' && strlen(text) <= max;
}

bool account_is_email(const char *text)
{
	const char *at = strrchr(text, '@');

	return is_plain_text(text, EMAIL_MAX) && strchr(text, ' ') == NULL && at != NULL &&
	       at > text && at[1] != '\0';
}

bool account_is_name(const char *text)
{
	return is_plain_text(text, ACCOUNT_NAME_MAX);
}

/* Echo of the terminal on or off; returns whether standard input is one. */
static bool set_echo(bool on)
{
	struct termios terminal;

	if (tcgetattr(STDIN_FILENO, &terminal) != 0)
		return false;
	if (on)
		terminal.c_lflag |= ECHO;
	else
		terminal.c_lflag &= ~(tcflag_t)ECHO;
	return tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal) == 0;
}

/* The first line of standard input, of size ACCOUNT_PASSWORD_MAX + 3 to see one that is too long. */
static bool read_password(char *line, int size)
{
	bool is_terminal = set_echo(false), ok;

	if (is_terminal)
		fputs("Password: ", stderr);
	ok = fgets(line, size, stdin) != NULL;
	if (is_terminal) {
		set_echo(true);
		fputc('\n', stderr);
	}
	if (ok)
		line[strcspn(line, "\r\n")] = '\0';
	if (ok && *line != '\0' && strlen(line) <= ACCOUNT_PASSWORD_MAX)
		return true;
	ctl_fail("the password is the first line of standard input, 1 to %d bytes",
		 ACCOUNT_PASSWORD_MAX);
	return false;
}

char *account_read_password(void)
{
	char password[ACCOUNT_PASSWORD_MAX + 3], *hash;

	if (!read_password(password, sizeof password))
		return NULL;
	hash = password_hash(password);
	explicit_bzero(password, sizeof password);
	if (hash == NULL)
		ctl_fail("crypt(3) does not take this password");
	return hash;
}

/* --- streams --------------------------------------------------------------------------------- */

static bool announce_some(struct ctl *ctl, const struct userid *ids, size_t count)
{
	redisReply *replies[ANNOUNCED];

	nodes_begin(ctl->nodes);
	for (size_t i = 0; i < count; i++) {
		const struct store *store = partitions_of(ctl->partitions, &ids[i]);

		inbox_put_friends_changed(nodes_to(ctl->nodes, store), store, &ids[i]);
	}
	if (!nodes_run(ctl->nodes, count, replies))
		return false;
	blocking_free_replies(replies, count);
	return true;
}

void account_announce(struct ctl *ctl, const struct userid *ids, size_t count)
{
	for (size_t i = 0; i < count; i += ANNOUNCED) {
		size_t left = count - i;

		if (announce_some(ctl, ids + i, left < ANNOUNCED ? left : ANNOUNCED))
			continue;
		ctl_fail("it is done, but open streams have not been told, for Redis is away: %s",
			 nodes_error(ctl->nodes));
		return;
	}
}
