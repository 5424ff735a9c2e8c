/* The tables of conf/schema.sql, as presencectl makes and fills them in an SQL directory. */
#ifndef PRESENCE_DIRECTORY_SCHEMA_H
#define PRESENCE_DIRECTORY_SCHEMA_H

#include "directory/directory.h"

/*
 * Each returns NULL, or a sentence saying what went wrong, valid until the next
 * call. They run in the caller's thread, for as long as the database takes.
 */
const char *schema_init(struct directory *directory);
const char *schema_add_user(struct directory *directory, const char *email, const char *name,
			    const char *password_hash, struct userid *id);
/* The account of an id, or of an e-mail address. */
const char *schema_find_user(struct directory *directory, const char *text, struct userid *id);
/* Whether the tables were asked for such a text and have no such account. */
bool schema_lacks_user(struct directory *directory, const char *text);
/* With all its friendships. */
const char *schema_remove_user(struct directory *directory, const struct userid *id);
const char *schema_set_password(struct directory *directory, const struct userid *id,
				const char *password_hash);
typedef void schema_each_user(void *arg, const char *id, const char *email, const char *name);
const char *schema_list_users(struct directory *directory, schema_each_user *each, void *arg);
/* Both directions at once: friendship is mutual in the schema's own tables. */
const char *schema_add_friend(struct directory *directory, const struct userid *a,
			      const struct userid *b);
const char *schema_remove_friend(struct directory *directory, const struct userid *a,
				 const struct userid *b);

/* What is done between these two is done as a whole, or, after any error and at schema_cancel(), not at all. */
const char *schema_begin(struct directory *directory);
const char *schema_commit(struct directory *directory);
void schema_cancel(struct directory *directory);

#endif
