/* The directory's two questions, asked of one connection: what it answers becomes accounts and friends. */
#ifndef PRESENCE_DIRECTORY_LOOKUP_H
#define PRESENCE_DIRECTORY_LOOKUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "directory/answer.h"
#include "directory/sql.h"
#include "store/blocking.h"

enum lookup_line { LOOKUP_LINE_FAILURE, LOOKUP_LINE_ID, LOOKUP_LINE_CUT, LOOKUP_LINE_COUNT };

#define NAMES_LOGGED 1024

/* Where one thread asks: an SQL database, Redis (backend = redis), or nowhere (none). */
struct lookup_source {
	struct sql *sql;
	struct blocking *redis;
};

/* What the threads share. Starts as zeros with max_friends and prefix set. */
struct lookup {
	size_t max_friends;
	char *prefix; /* of Redis' keys */
	atomic_int_least64_t logged[LOOKUP_LINE_COUNT]; /* monotonic ms of the last line */
	/* The same about a user's name, by the user's hash: two may share a line, none has two. */
	atomic_int_least64_t names_logged[NAMES_LOGGED];
};

/* Whether a line of this kind is due: a database that is away must not fill the log. */
bool lookup_may_log(struct lookup *lookup, enum lookup_line line);

/*
 * Each fills what it was given, which starts as zeros and becomes the caller's.
 * What fails is logged. Without SQL there are no accounts; Redis' friends are
 * the members of user:friends:{id} and have no names.
 */
enum directory_result lookup_account(struct lookup *lookup, const struct lookup_source *source,
				     const char *email, struct account *account);
enum directory_result lookup_friends(struct lookup *lookup, const struct lookup_source *source,
				     const char *user, struct friends *friends);

#endif
