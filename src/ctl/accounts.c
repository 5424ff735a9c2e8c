/* Tokens, and the accounts and friendships of the directory's own tables. */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "auth/password.h"
#include "auth/issue.h"
#include "base/json.h"
#include "base/times.h"
#include "directory/schema.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"

#define EMAIL_MAX 254
#define NAME_MAX_BYTES 200
#define PASSWORD_MAX 511 /* bytes; crypt(3) takes no more */

/* --- token --- */

static void print_token(const struct ctl *ctl, const char *text, const struct userid *id,
			int64_t lifetime)
{
	struct printbuf *out = buf_new();

	if (ctl->json) {
		buf_puts(out, "{\"access_token\":");
		json_put_string(out, text, strlen(text));
		buf_putf(out, ",\"token_type\":\"bearer\",\"expires_in\":%d,\"user_id\":",
			 (int)lifetime);
		userid_put_json(out, id);
		buf_puts(out, "}\n");
	} else {
		buf_putf(out, "%s\n", text);
	}
	ctl_print(out);
	printbuf_free(out);
}

/* Redis' clock, with which iat is compared, in seconds; this host's where Redis does not answer. */
static int64_t issue_time(struct ctl *ctl)
{
	struct printbuf *command = ctl_begin(ctl, partitions_at(ctl->partitions, 0));
	int64_t now = times_wall_ms() / 1000;
	redisReply *reply;

	resp_begin(command, 1);
	resp_text(command, "TIME");
	if (nodes_run(ctl->nodes, 1, &reply)) {
		if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
			now = strtoll(reply->element[0]->str, NULL, 10);
		reply_free(reply);
	}
	return now;
}

enum ctl_exit ctl_token(struct ctl *ctl, char **args, int count)
{
	int lifetime = ctl->lifetime != 0 ? ctl->lifetime : ctl->config->auth.token_lifetime;
	struct token token = {.iat = issue_time(ctl)};
	struct token_keys *keys;
	char err[512], *text;

	(void)count;
	if (!ctl_read_id(args[0], &token.user))
		return CTL_USAGE;
	keys = token_keys_open(ctl->config, err, sizeof err);
	if (keys == NULL)
		return ctl_fail("%s", err);
	token.exp = times_wall_ms() / 1000 + lifetime;
	token.watch = ctl->watch;
	if (ctl->scope != NULL)
		token_set_scope(&token, ctl->scope);
	if (ctl->scope != NULL && strcmp(token.scope, ctl->scope) != 0) {
		token_keys_free(keys);
		return ctl_refuse("--scope: '%s' is not a list of words", ctl->scope);
	}
	text = issue_token(keys, &token);
	token_keys_free(keys);
	if (text == NULL)
		return ctl_fail("there is no key to sign with: auth.signing_key_file");
	print_token(ctl, text, &token.user, lifetime);
	free(text);
	return CTL_DONE;
}

/* --- the directory --- */

/* NULL after saying what is wrong. */
static struct directory *open_directory(struct ctl *ctl)
{
	char err[512];
	struct directory *directory = directory_open(ctl->config, 1, err, sizeof err);

	if (directory == NULL)
		ctl_fail("%s", err);
	return directory;
}

/* Says what went wrong, if anything did, and closes the directory. */
static enum ctl_exit close_directory(struct directory *directory, const char *wrong)
{
	enum ctl_exit status = wrong == NULL ? CTL_DONE : ctl_fail("%s", wrong);

	directory_close(directory);
	return status;
}

enum ctl_exit ctl_directory_init(struct ctl *ctl, char **args, int count)
{
	struct directory *directory = open_directory(ctl);

	(void)args, (void)count;
	if (directory == NULL)
		return CTL_FAILED;
	return close_directory(directory, schema_init(directory));
}

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

static bool is_email(const char *text)
{
	const char *at = strrchr(text, '@');

	return is_plain_text(text, EMAIL_MAX) && strchr(text, ' ') == NULL && at != NULL &&
	       at > text && at[1] != '\0';
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

/* The first line of standard input, of size PASSWORD_MAX + 3 to see one that is too long. */
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
	if (ok && *line != '\0' && strlen(line) <= PASSWORD_MAX)
		return true;
	ctl_fail("the password is the first line of standard input, 1 to %d bytes", PASSWORD_MAX);
	return false;
}

static void print_new_user(const struct ctl *ctl, const struct userid *id)
{
	struct printbuf *out = buf_new();

	if (ctl->json) {
		buf_puts(out, "{\"user_id\":");
		userid_put_json(out, id);
		buf_puts(out, "}\n");
	} else {
		buf_putf(out, "%s\n", id->text);
	}
	ctl_print(out);
	printbuf_free(out);
}

enum ctl_exit ctl_user_add(struct ctl *ctl, char **args, int count)
{
	char password[PASSWORD_MAX + 3], *hash;
	struct directory *directory;
	const char *wrong;
	struct userid id;

	(void)args, (void)count;
	if (!is_email(ctl->email))
		return ctl_refuse("--email: '%s' is not an e-mail address", ctl->email);
	if (!is_plain_text(ctl->name, NAME_MAX_BYTES))
		return ctl_refuse("--name: a name is 1 to %d bytes of text", NAME_MAX_BYTES);
	if (!read_password(password, sizeof password))
		return CTL_FAILED;
	directory = open_directory(ctl);
	if (directory == NULL)
		return CTL_FAILED;
	hash = password_hash(password);
	explicit_bzero(password, sizeof password);
	if (hash == NULL)
		return close_directory(directory, "crypt(3) does not take this password");
	wrong = schema_add_user(directory, ctl->email, ctl->name, hash, &id);
	free(hash);
	if (wrong == NULL)
		print_new_user(ctl, &id);
	return close_directory(directory, wrong);
}

struct user_list {
	bool json, is_first;
	struct printbuf *out;
};

static void on_user(void *arg, const char *id, const char *email, const char *name)
{
	struct user_list *list = arg;
	struct userid user;

	if (!userid_parse(id, strlen(id), &user))
		return;
	if (list->json) {
		buf_puts(list->out, list->is_first ? "{\"user_id\":" : ",\n{\"user_id\":");
		userid_put_json(list->out, &user);
		buf_puts(list->out, ",\"email\":");
		json_put_string(list->out, email, strlen(email));
		buf_puts(list->out, ",\"name\":");
		json_put_string(list->out, name, strlen(name));
		buf_puts(list->out, "}");
	} else {
		buf_putf(list->out, "%6s  %-30s  %s\n", id, email, name);
	}
	list->is_first = false;
}

enum ctl_exit ctl_user_list(struct ctl *ctl, char **args, int count)
{
	struct user_list list = {.json = ctl->json, .is_first = true};
	struct directory *directory = open_directory(ctl);
	const char *wrong;

	(void)args, (void)count;
	if (directory == NULL)
		return CTL_FAILED;
	list.out = buf_new();
	buf_puts(list.out, ctl->json ? "[" : "");
	wrong = schema_list_users(directory, on_user, &list);
	buf_puts(list.out, ctl->json ? "]\n" : "");
	if (wrong == NULL)
		ctl_print(list.out);
	printbuf_free(list.out);
	return close_directory(directory, wrong);
}

/* Tells the open streams of both; the change itself is done and stays when Redis is away. */
static void announce(struct ctl *ctl, const struct userid ids[2])
{
	redisReply *replies[2];

	nodes_begin(ctl->nodes);
	for (int i = 0; i < 2; i++) {
		const struct store *store = partitions_of(ctl->partitions, &ids[i]);

		store_put_friends_changed(nodes_to(ctl->nodes, store), store, &ids[i]);
	}
	if (nodes_run(ctl->nodes, 2, replies))
		blocking_free_replies(replies, 2);
	else
		ctl_fail("it is done, but open streams have not been told, for Redis is away: %s",
			 nodes_error(ctl->nodes));
}

static enum ctl_exit change_friends(struct ctl *ctl, char **args,
				    const char *(*change)(struct directory *directory,
							  const struct userid *a,
							  const struct userid *b))
{
	struct directory *directory;
	struct userid ids[2];
	const char *wrong;

	if (!ctl_read_id(args[0], &ids[0]) || !ctl_read_id(args[1], &ids[1]))
		return CTL_USAGE;
	directory = open_directory(ctl);
	if (directory == NULL)
		return CTL_FAILED;
	wrong = change(directory, &ids[0], &ids[1]);
	if (wrong == NULL)
		announce(ctl, ids);
	return close_directory(directory, wrong);
}

enum ctl_exit ctl_friend_add(struct ctl *ctl, char **args, int count)
{
	(void)count;
	return change_friends(ctl, args, schema_add_friend);
}

enum ctl_exit ctl_friend_remove(struct ctl *ctl, char **args, int count)
{
	(void)count;
	return change_friends(ctl, args, schema_remove_friend);
}
