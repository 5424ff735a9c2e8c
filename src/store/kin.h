/* Whether the servers that redis.url names belong together. */
#ifndef PRESENCE_STORE_KIN_H
#define PRESENCE_STORE_KIN_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/config.h"

/*
 * Asks each of them, and waits. False with a sentence in why: one is no node of a cluster, or two are of
 * different ones; or, outside a cluster, one holds users in another layout (layout_key.h), as where several servers stand
 * in another order, or where there is but one partition now. Those that are away, or keep others waiting, are as
 * good as right.
 */
bool kin_check(const struct config *config, char *why, size_t size);

/* Whether some node is in both of two answers to CLUSTER SLOTS, which are arrays. */
bool kin_have_common(const redisReply *one, const redisReply *other);

#endif
