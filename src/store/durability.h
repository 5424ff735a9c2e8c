/*
 * Whether Redis keeps what is data and not only presence: chosen states, settings, blocks, push
 * subscriptions, and which tokens are refused.
 */
#ifndef PRESENCE_STORE_DURABILITY_H
#define PRESENCE_STORE_DURABILITY_H

#include <stdbool.h>

#include "store/blocking.h"

#define DURABILITY_POLICY "set maxmemory-policy noeviction in redis.conf"
#define DURABILITY_SAVING "set appendonly yes in redis.conf"

struct durability {
	bool evicts; /* drops keys when it is full: there is a limit, and the policy is another */
	char policy[64]; /* maxmemory-policy */
	bool forgets; /* neither appendonly nor save: all is gone with the process */
};

/*
 * Asks with INFO and CONFIG GET. What Redis' ACL does not let us ask, or a
 * Redis that is away does not answer, counts as well set up.
 */
void durability_ask(struct blocking *redis, struct durability *durability);

/* Logs a warning for each that is not well set up. */
void durability_warn(const struct durability *durability);

#endif
