/*
 * Tokens that were verified a moment ago. A page asks several things in a row
 * with the same token: the very same text needs no second look at its
 * signature and claims, only at the clock. What the set forgets is verified anew.
 */
#ifndef PRESENCE_AUTH_VERIFIED_H
#define PRESENCE_AUTH_VERIFIED_H

#include <stddef.h>
#include <stdint.h>

#include "auth/token.h"

#define VERIFIED_MAX 1024 /* tokens in a set: about 1.5 MB at most */
#define VERIFIED_LEN_MAX 512 /* bytes; longer ones are not kept */

/* What the clock is compared with: ms, fractions included. */
struct token_dates {
	int64_t nbf_ms; /* 0 when the token has none */
	int64_t exp_ms;
};

struct verified {
	struct token token;
	struct token_dates dates;
	size_t len;
	char text[];
};

#define VERIFIED_WAYS 8 /* tokens that may be kept with a common hash, the newest first */

/* Belongs to one set of keys, and to one thread; zeroed memory is an empty set. */
struct verified_set {
	struct verified *rows[VERIFIED_MAX / VERIFIED_WAYS][VERIFIED_WAYS];
};

void verified_clear(struct verified_set *set);

/* What is known of this text, valid until the next call; NULL: nothing. */
const struct verified *verified_find(const struct verified_set *set, const char *text, size_t len);

/* Keeps a token that was verified and is not there, instead of an older one perhaps. */
void verified_add(struct verified_set *set, const char *text, size_t len, const struct token *token,
		  const struct token_dates *dates);

#endif
