/* The directory's two questions, asked of one SQL connection: rows become accounts and friends. */
#ifndef PRESENCE_DIRECTORY_LOOKUP_H
#define PRESENCE_DIRECTORY_LOOKUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "directory/directory.h"
#include "directory/sql.h"

enum complaint { COMPLAINT_FAILURE, COMPLAINT_ID, COMPLAINT_CUT, COMPLAINT_COUNT };

/* What the threads share. Starts as zeros with max_friends set. */
struct lookup {
	size_t max_friends;
	atomic_int_least64_t complained[COMPLAINT_COUNT]; /* monotonic ms of the last line */
};

/* Whether a line of this kind is due: a database that is away must not fill the log. */
bool lookup_may_complain(struct lookup *lookup, enum complaint complaint);

/*
 * Each fills what it was given, which starts as zeros and becomes the caller's.
 * What fails is logged. sql NULL (backend = none): no accounts, no friends.
 */
enum directory_result lookup_account(struct lookup *lookup, struct sql *sql, const char *email,
				     struct account *account);
enum directory_result lookup_friends(struct lookup *lookup, struct sql *sql, const char *user,
				     struct friends *friends);

#endif
