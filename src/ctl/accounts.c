/* Accounts in the directory's own tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "ctl/account.h"
#include "ctl/table.h"

enum ctl_exit ctl_directory_init(struct ctl *ctl, char **args, int count)
{
	struct directory *directory = account_open(ctl);

	(void)args, (void)count;
	if (directory == NULL)
		return CTL_FAILED;
	return account_close(directory, schema_init(directory));
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
	struct directory *directory;
	const char *wrong;
	struct userid id;
	char *hash;

	(void)args, (void)count;
	if (!account_is_email(ctl->email))
		return ctl_refuse("--email: '%s' is not an e-mail address", ctl->email);
	if (!account_is_name(ctl->name))
		return ctl_refuse("--name: a name is 1 to %d bytes of text", ACCOUNT_NAME_MAX);
	hash = account_read_password();
	directory = hash != NULL ? account_open(ctl) : NULL;
	if (directory == NULL) {
		free(hash);
		return CTL_FAILED;
	}
	wrong = schema_add_user(directory, ctl->email, ctl->name, hash, &id);
	free(hash);
	if (wrong == NULL)
		print_new_user(ctl, &id);
	return account_close(directory, wrong);
}

/* The friends' ids, and the user's own at their end; to be freed. *count: how many. */
static struct userid *find_concerned(struct directory *directory, const struct userid *user,
				     size_t *count)
{
	struct friends friends = {.count = 0};
	struct userid *ids;

	if (directory_friends(directory, user, &friends) != DIRECTORY_OK)
		friends.count =
			0; /* their streams learn of it within a heartbeat or with the next */
	ids = xcalloc(friends.count + 1, sizeof *ids);
	for (size_t i = 0; i < friends.count; i++)
		ids[i] = friends.list[i].user;
	ids[friends.count] = *user;
	*count = friends.count + 1;
	friends_free(&friends);
	return ids;
}

enum ctl_exit ctl_user_remove(struct ctl *ctl, char **args, int count)
{
	struct directory *directory = account_open(ctl);
	struct userid user, *concerned;
	const char *wrong;
	size_t concerned_count;

	(void)count;
	if (directory == NULL)
		return CTL_FAILED;
	wrong = schema_find_user(directory, args[0], &user);
	if (wrong != NULL)
		return account_close(directory, wrong);
	concerned = find_concerned(directory, &user, &concerned_count);
	wrong = schema_remove_user(directory, &user);
	if (wrong == NULL)
		account_announce(ctl, concerned, concerned_count);
	free(concerned);
	return account_close(directory, wrong);
}

enum ctl_exit ctl_user_passwd(struct ctl *ctl, char **args, int count)
{
	struct directory *directory = account_open(ctl);
	struct userid user;
	const char *wrong;
	char *hash;

	(void)count;
	if (directory == NULL)
		return CTL_FAILED;
	wrong = schema_find_user(directory, args[0], &user);
	if (wrong != NULL)
		return account_close(directory, wrong);
	hash = account_read_password();
	if (hash != NULL)
		wrong = schema_set_password(directory, &user, hash);
	if (hash == NULL) {
		directory_close(directory);
		return CTL_FAILED;
	}
	free(hash);
	return account_close(directory, wrong);
}

struct user_list {
	bool is_first;
	struct printbuf *json; /* NULL: a table */
	struct table *table;
};

static void on_user(void *arg, const char *id, const char *email, const char *name)
{
	struct user_list *list = arg;
	struct userid user;

	if (!userid_parse(id, strlen(id), &user))
		return;
	if (list->json != NULL) {
		buf_puts(list->json, list->is_first ? "{\"user_id\":" : ",\n{\"user_id\":");
		userid_put_json(list->json, &user);
		buf_puts(list->json, ",\"email\":");
		json_put_string(list->json, email, strlen(email));
		buf_puts(list->json, ",\"name\":");
		json_put_string(list->json, name, strlen(name));
		buf_puts(list->json, "}");
		list->is_first = false;
		return;
	}
	table_add(list->table, id);
	table_add(list->table, email);
	table_add(list->table, name);
}

enum ctl_exit ctl_user_list(struct ctl *ctl, char **args, int count)
{
	static const char *const headers[] = {"ID", "EMAIL", "NAME", NULL};
	struct user_list list = {.is_first = true};
	struct directory *directory = account_open(ctl);
	const char *wrong;

	(void)args, (void)count;
	if (directory == NULL)
		return CTL_FAILED;
	list.json = ctl->json ? buf_new() : NULL;
	list.table = table_new(headers);
	wrong = schema_list_users(directory, on_user, &list);
	if (wrong != NULL || ctl->json)
		table_free(list.table);
	else
		table_print(list.table);
	if (wrong == NULL && ctl->json) {
		printf("[");
		ctl_print(list.json);
		printf("]\n");
	}
	printbuf_free(list.json);
	return account_close(directory, wrong);
}
