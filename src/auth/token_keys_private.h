/* What token_keys.c, which verifies, and issue.c share. */
#ifndef PRESENCE_AUTH_TOKEN_KEYS_PRIVATE_H
#define PRESENCE_AUTH_TOKEN_KEYS_PRIVATE_H

#include "auth/keys.h"
#include "auth/token_keys.h"

struct verified_set;

struct token_keys {
	const struct config *config; /* borrowed */
	struct key_ring ring;
	struct verified_set *verified; /* with these keys */
};

#endif
