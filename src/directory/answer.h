/* What the directory answers. */
#ifndef PRESENCE_DIRECTORY_ANSWER_H
#define PRESENCE_DIRECTORY_ANSWER_H

#include <stddef.h>

#include "base/buf.h"
#include "base/userid.h"

enum directory_result {
	DIRECTORY_OK,
	DIRECTORY_NOT_FOUND, /* no such account, or one without a password */
	DIRECTORY_UNAVAILABLE, /* error, time-out, or too many calls waiting */
};

struct account {
	struct userid user;
	char *password_hash;
	char *name;
};

struct friend
{
	struct userid user;
	size_t name; /* where in `names` it is */
};

/*
 * Distinct friends in the query's order; rows whose id is not a user id are left
 * out and logged. Two pieces of memory however many friends there are: a stream
 * that opens asks for them.
 */
struct friends {
	struct friend *list;
	size_t count;
	struct printbuf *names; /* NUL-terminated, one after the other; NULL without friends */
};

static inline const char *friends_name(const struct friends *friends, const struct friend *friend)
{
	return friends->names->buf + friend->name;
}

/* Each frees what the struct holds, not the struct, and empties it. */
void account_free(struct account *account);
void friends_free(struct friends *friends);

#endif
