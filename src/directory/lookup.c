#include "directory/lookup.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "store/keys.h"
#include "store/resp.h"

#define LOG_EVERY_MS 10000 /* between two lines of one kind */

bool lookup_may_complain(struct lookup *lookup, enum complaint complaint)
{
	int_least64_t now = times_mono_ms(), last = atomic_load(&lookup->complained[complaint]);

	if (last != 0 && now - last < LOG_EVERY_MS)
		return false;
	/* Of several threads one wins. */
	return atomic_compare_exchange_strong(&lookup->complained[complaint], &last, now);
}

static enum directory_result failed(struct lookup *lookup, const char *query, const char *why)
{
	if (lookup_may_complain(lookup, COMPLAINT_FAILURE))
		log_error("directory: %s: %s", query, why);
	return DIRECTORY_UNAVAILABLE;
}

static bool read_id(struct lookup *lookup, const char *query, const char *text, struct userid *id)
{
	if (text != NULL && userid_parse(text, strlen(text), id))
		return true;
	if (lookup_may_complain(lookup, COMPLAINT_ID))
		log_warn("directory: %s gives '%.80s', which is no user id: left out", query,
			 text != NULL ? text : "NULL");
	return false;
}

struct account_reader {
	struct lookup *lookup;
	struct account *account;
	enum directory_result result;
};

static void on_account_row(void *arg, const char *const columns[SQL_COLUMNS_MAX])
{
	struct account_reader *reader = arg;
	struct account *account = reader->account;

	/* Nobody can log in with an empty hash, so that is as good as no account. */
	if (reader->result == DIRECTORY_OK || columns[1] == NULL || columns[1][0] == '\0' ||
	    !read_id(reader->lookup, "account_query", columns[0], &account->user))
		return;
	account->password_hash = xstrdup(columns[1]);
	account->name = xstrdup(columns[2] != NULL ? columns[2] : "");
	reader->result = DIRECTORY_OK;
}

enum directory_result lookup_account(struct lookup *lookup, const struct lookup_source *source,
				     const char *email, struct account *account)
{
	struct account_reader reader = {lookup, account, DIRECTORY_NOT_FOUND};
	const char *values[] = {email};

	if (source->sql != NULL &&
	    !sql_select(source->sql, SQL_ACCOUNT, values, 1, on_account_row, &reader))
		return failed(lookup, "account_query", sql_error(source->sql));
	return reader.result;
}

struct known {
	struct userid user;
	UT_hash_handle hh;
};

struct friends_reader {
	struct lookup *lookup;
	struct friends *friends;
	struct known *known; /* who is in the list */
	size_t room; /* allocated places in the list */
	bool is_cut;
};

static void append(struct friends_reader *reader, const struct userid *id, const char *name)
{
	struct friends *friends = reader->friends;

	if (friends->count == reader->room) {
		reader->room = reader->room != 0 ? 2 * reader->room : 16;
		friends->list = xrealloc(friends->list, reader->room * sizeof *friends->list);
	}
	friends->list[friends->count].user = *id;
	friends->list[friends->count].name = xstrdup(name);
	friends->count++;
}

static void on_friend_row(void *arg, const char *const columns[SQL_COLUMNS_MAX])
{
	struct friends_reader *reader = arg;
	struct known *known;
	struct userid id;

	if (reader->is_cut || !read_id(reader->lookup, "friends_query", columns[0], &id))
		return;
	HASH_FIND_STR(reader->known, id.text, known);
	if (known != NULL)
		return;
	if (reader->friends->count == reader->lookup->max_friends) {
		reader->is_cut = true;
		return;
	}
	known = xcalloc(1, sizeof *known);
	known->user = id;
	HASH_ADD_STR(reader->known, user.text, known);
	append(reader, &id, columns[1] != NULL ? columns[1] : "");
}

static void forget_known(struct friends_reader *reader)
{
	struct known *known, *next;

	HASH_ITER(hh, reader->known, known, next)
	{
		HASH_DEL(reader->known, known);
		free(known);
	}
}

/* The members of user:friends:{id}; false with blocking_error(). */
static bool read_set(struct friends_reader *reader, struct blocking *redis, const char *user)
{
	struct printbuf *command = buf_new();
	redisReply *reply;
	bool ok;

	resp_begin(command, 2);
	resp_text(command, "SMEMBERS");
	resp_key(command, reader->lookup->prefix, KEY_FRIENDS, user);
	ok = blocking_run(redis, command, 1, &reply);
	printbuf_free(command);
	if (!ok)
		return false;
	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *member = reply->element[i];
		const char *columns[SQL_COLUMNS_MAX] = {NULL};

		if (member->type == REDIS_REPLY_STRING && strlen(member->str) == member->len)
			columns[0] = member->str;
		on_friend_row(reader, columns);
	}
	freeReplyObject(reply);
	return true;
}

enum directory_result lookup_friends(struct lookup *lookup, const struct lookup_source *source,
				     const char *user, struct friends *friends)
{
	struct friends_reader reader = {.lookup = lookup, .friends = friends};
	const char *values[] = {user}, *why = NULL;

	if (source->sql != NULL &&
	    !sql_select(source->sql, SQL_FRIENDS, values, 1, on_friend_row, &reader))
		why = sql_error(source->sql);
	if (source->redis != NULL && !read_set(&reader, source->redis, user))
		why = blocking_error(source->redis);
	forget_known(&reader);
	if (why != NULL)
		return failed(lookup, "friends", why);
	if (reader.is_cut && lookup_may_complain(lookup, COMPLAINT_CUT))
		log_warn("directory: user %s has more than %zu friends: the others are left out",
			 user, lookup->max_friends);
	return DIRECTORY_OK;
}
