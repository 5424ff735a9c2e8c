/* Whom the caller of a request may see: [presence] visibility, and blocks. */
#ifndef PRESENCE_API_VISIBILITY_H
#define PRESENCE_API_VISIBILITY_H

#include <stdbool.h>

#include "api/request.h"

/*
 * Loads what visibility_allows() needs, sorted. With visibility = everyone that
 * needs no directory; else it is the caller's friends. Free with friends_free().
 */
struct problem visibility_load(struct request *request, struct friends *sorted);

/* Whether the caller may see `id`; one who may not must find it looks like an unknown user. */
bool visibility_allows(const struct request *request, const struct friends *sorted,
		       const struct userid *id);

/* One whose STATUS is asked for. */
struct watched {
	const struct userid *id; /* borrowed */
	bool hidden; /* from the caller: looks like an unknown user */
	bool guessed; /* to be hidden */
	/* Of snapshot.c: the user's partition, in which MGET it is, and where in that. */
	const struct store *store;
	unsigned part, place;
};

/* Appends the questions for blocks between the caller and `count` users; how many commands. */
size_t visibility_put_blocks(struct request *request, const struct watched *list, size_t count);
/*
 * The answers, from replies[first] on: hides whom a block hides. False: they are
 * malformed.
 */
bool visibility_read_blocks(const struct request *request, size_t first, struct watched *list,
			    size_t count);

#endif
