#include "directory/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "base/utf8.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"

#define LOG_EVERY_MS 10000 /* between two lines of one kind */
#define NAME_LOG_EVERY_MS 3600000 /* between two lines about the name of one user */

bool lookup_may_log(struct lookup *lookup, enum lookup_line line)
{
	int_least64_t now = times_mono_ms(), last = atomic_load(&lookup->logged[line]);

	if (last != 0 && now - last < LOG_EVERY_MS)
		return false;
	/* Of several threads one wins. */
	return atomic_compare_exchange_strong(&lookup->logged[line], &last, now);
}

static enum directory_result failed(struct lookup *lookup, const char *query, const char *why)
{
	if (lookup_may_log(lookup, LOOKUP_LINE_FAILURE))
		log_error("directory: %s: %s", query, why);
	return DIRECTORY_UNAVAILABLE;
}

static bool read_id(struct lookup *lookup, const char *query, const char *text, struct userid *id)
{
	if (text != NULL && userid_parse(text, strlen(text), id))
		return true;
	if (lookup_may_log(lookup, LOOKUP_LINE_ID))
		log_warn("directory: %s gives '%.80s', which is not a user id: left out", query,
			 text != NULL ? text : "NULL");
	return false;
}

/* A name in another encoding than UTF-8 is a fault of the connection's parameters, or of the table. */
static void put_name(struct lookup *lookup, const struct userid *user, struct printbuf *out,
		     const char *name)
{
	int_least64_t now = times_mono_ms(), last = 0;
	atomic_int_least64_t *logged = &lookup->names_logged[userid_hash(user) % NAMES_LOGGED];

	if (utf8_put(out, name, strlen(name)))
		return;
	last = atomic_load(logged);
	if ((last == 0 || now - last >= NAME_LOG_EVERY_MS) &&
	    atomic_compare_exchange_strong(logged, &last, now))
		log_warn("directory: the name of user %s is not UTF-8: characters in it are "
			 "replaced",
			 user->text);
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
	struct printbuf *name;

	/* Nobody can log in with an empty hash, so that is as good as no account. */
	if (reader->result == DIRECTORY_OK || columns[1] == NULL || columns[1][0] == '\0' ||
	    !read_id(reader->lookup, "account_query", columns[0], &account->user))
		return;
	account->password_hash = xstrdup(columns[1]);
	name = buf_new();
	put_name(reader->lookup, &account->user, name, columns[2] != NULL ? columns[2] : "");
	account->name = buf_take(name, NULL);
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

#define FIRST_CAPACITY 64 /* of a list that grows */

struct friends_reader {
	struct lookup *lookup;
	struct friends *friends;
	size_t capacity; /* of the list */
	bool is_cut;
};

/* By id; equal ones in the order of the list. */
static int compare_ids(const void *a, const void *b)
{
	const struct friend *one = *(struct friend *const *)a, *other = *(struct friend *const *)b;
	int order = strcmp(one->user.text, other->user.text);

	return order != 0 ? order : one < other ? -1 : 1;
}

/* Leaves the first of each user, at most max_friends. */
static void remove_repeated(struct friends_reader *reader)
{
	struct friends *friends = reader->friends;
	struct friend **sorted = xcalloc(friends->count + 1, sizeof *sorted);
	size_t kept = 0;

	for (size_t i = 0; i < friends->count; i++)
		sorted[i] = &friends->list[i];
	qsort(sorted, friends->count, sizeof *sorted, compare_ids);
	/* From the end, so that what an entry is compared with still has its id. */
	for (size_t i = friends->count; i-- > 1;) {
		if (userid_equal(&sorted[i]->user, &sorted[i - 1]->user))
			sorted[i]->user.text[0] = '\0';
	}
	free(sorted);
	for (size_t i = 0; i < friends->count; i++) {
		if (friends->list[i].user.text[0] == '\0')
			continue;
		reader->is_cut = kept == reader->lookup->max_friends;
		if (reader->is_cut)
			break;
		friends->list[kept++] = friends->list[i];
	}
	friends->count = kept;
}

static void append(struct friends_reader *reader, const struct userid *id, const char *name)
{
	struct friends *friends = reader->friends;
	struct friend *friend;

	if (friends->count == reader->capacity) {
		reader->capacity = reader->capacity != 0 ? 2 * reader->capacity : FIRST_CAPACITY;
		friends->list = xrealloc(friends->list, reader->capacity * sizeof *friends->list);
	}
	if (friends->names == NULL)
		friends->names = buf_new();
	friend = &friends->list[friends->count++];
	friend->user = *id;
	friend->name = buf_len(friends->names);
	put_name(reader->lookup, id, friends->names, name);
	buf_put(friends->names, "", 1);
}

static void on_friend_row(void *arg, const char *const columns[SQL_COLUMNS_MAX])
{
	struct friends_reader *reader = arg;
	struct userid id;

	if (reader->is_cut || !read_id(reader->lookup, "friends_query", columns[0], &id))
		return;
	append(reader, &id, columns[1] != NULL ? columns[1] : "");
	/* However often a query repeats a row, no more than so many are held. */
	if (reader->friends->count == 2 * reader->lookup->max_friends)
		remove_repeated(reader);
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
	reply_free(reply);
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
	if (why != NULL)
		return failed(lookup, "friends", why);
	if (!reader.is_cut)
		remove_repeated(&reader);
	if (reader.is_cut && lookup_may_log(lookup, LOOKUP_LINE_CUT))
		log_warn("directory: user %s has more than %zu friends: the others are left out",
			 user, lookup->max_friends);
	return DIRECTORY_OK;
}
