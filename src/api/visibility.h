/* Whom the caller of a request may see ([presence] visibility). */
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

#endif
