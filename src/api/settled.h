/*
 * Whether what Redis holds can be believed. After a wipe, users with open
 * streams look offline until presence-streamd has registered them anew; such an
 * answer is 503, never a false offline.
 */
#ifndef PRESENCE_API_SETTLED_H
#define PRESENCE_API_SETTLED_H

#include <stddef.h>

#include "api/request.h"

/*
 * PROBLEM_NONE, or 503: `reply` is one to status_put_mget() of that partition,
 * asked for together with, and after, what it tells about.
 */
struct problem settled_check(struct request *request, const struct store *store,
			     const redisReply *reply);

/* That 503, for one who knows by other means. */
struct problem settled_refuse(void);

#endif
