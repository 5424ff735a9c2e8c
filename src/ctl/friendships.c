/* Friendships. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "ctl/account.h"
#include "ctl/table.h"

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
	directory = account_open(ctl);
	if (directory == NULL)
		return CTL_FAILED;
	wrong = change(directory, &ids[0], &ids[1]);
	if (wrong == NULL)
		account_announce(ctl, ids, 2);
	return account_close(directory, wrong);
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

static void put_friends_json(struct printbuf *out, const struct friends *friends)
{
	buf_puts(out, "[");
	for (size_t i = 0; i < friends->count; i++) {
		const struct friend *friend = &friends->list[i];
		const char *name = friends_name(friends, friend);

		buf_puts(out, i > 0 ? ",\n{\"user_id\":" : "{\"user_id\":");
		userid_put_json(out, &friend->user);
		buf_puts(out, ",\"name\":");
		json_put_string(out, name, strlen(name));
		buf_puts(out, "}");
	}
	buf_puts(out, "]\n");
}

static void print_friends(const struct ctl *ctl, const struct friends *friends)
{
	static const char *const headers[] = {"ID", "NAME", NULL};
	struct table *table;

	if (ctl->json) {
		struct printbuf *out = buf_new();

		put_friends_json(out, friends);
		ctl_print(out);
		printbuf_free(out);
		return;
	}
	table = table_new(headers);
	for (size_t i = 0; i < friends->count; i++) {
		table_add(table, friends->list[i].user.text);
		table_add(table, friends_name(friends, &friends->list[i]));
	}
	table_print(table);
}

enum ctl_exit ctl_friend_list(struct ctl *ctl, char **args, int count)
{
	struct friends friends = {.count = 0};
	struct directory *directory;
	struct userid user;

	(void)count;
	if (!ctl_read_id(args[0], &user))
		return CTL_USAGE;
	directory = account_open(ctl);
	if (directory == NULL)
		return CTL_FAILED;
	if (directory_friends(directory, &user, &friends) != DIRECTORY_OK)
		return account_close(directory, "the directory does not answer");
	print_friends(ctl, &friends);
	if (friends.count == 0)
		account_warn_unknown(ctl, &user);
	friends_free(&friends);
	return account_close(directory, NULL);
}
