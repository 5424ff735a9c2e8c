/* The keys of [auth]: which files hold them, and which of them a token is for. */
#ifndef PRESENCE_AUTH_KEYS_H
#define PRESENCE_AUTH_KEYS_H

#include "auth/jws.h"
#include "base/config.h"

#define KEYS_MAX 32 /* keys that verify: a token without `kid` may try them all */

struct key_ring {
	const struct jws_algorithm *algorithm;
	struct jws_key keys[KEYS_MAX]; /* that verify, in the order of key_file */
	size_t count;
	struct jws_key private_key; /* of signing_key_file; RS/ES only */
	const struct jws_key *signer; /* private_key or, with HMAC, the first of keys; NULL: none */
};

/*
 * Reads auth.key_file (files separated by commas: secrets, PEM public keys, or
 * JWK Sets, whose names end in .json) and auth.signing_key_file, into a zeroed
 * ring. False with a sentence in err: a file is missing, holds no key of the
 * algorithm, one that is too small, or is a secret open to all users. Clear the
 * ring in either case.
 */
bool key_ring_load(struct key_ring *ring, const struct config *config, char *err, size_t errsize);
void key_ring_clear(struct key_ring *ring);

/*
 * The next key after `previous` (NULL: the first) that a token with this `kid`
 * (NULL: it has none) may be signed with: keys of that name, and keys without one.
 */
const struct jws_key *key_ring_next(const struct key_ring *ring, const char *kid,
				    const struct jws_key *previous);

#endif
