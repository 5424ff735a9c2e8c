/* Whether the nodes that redis.url names are of one Redis Cluster. */
#ifndef PRESENCE_STORE_KIN_H
#define PRESENCE_STORE_KIN_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/config.h"

/*
 * Asks each of them, and waits; nothing where it names no cluster. False with a sentence in why: one is no node of a cluster, or two know
 * nothing of each other. Those that are away are as good as right.
 */
bool kin_check(const struct config *config, char *why, size_t size);

/* Whether some node is in both of two answers to CLUSTER SLOTS, which are arrays. */
bool kin_have_common(const redisReply *one, const redisReply *other);

#endif
