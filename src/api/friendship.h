/* Friends of one another: each is in the other's list. Blocks are another matter: visibility.h. */
#ifndef PRESENCE_API_FRIENDSHIP_H
#define PRESENCE_API_FRIENDSHIP_H

#include <stdbool.h>

#include "api/request.h"

/* The friend `id` in a list, or NULL. */
const struct friend *friendship_find(const struct friends *friends, const struct userid *id);

/*
 * Whether the caller, whose list is `own`, and `id`, who may be anybody, are
 * friends of one another. The directory is asked once, whoever `id` is, so that no
 * time tells more than the caller's own list.
 */
struct problem friendship_is_mutual(struct request *request, const struct friends *own,
				    const struct userid *id, bool *is_mutual);

#endif
