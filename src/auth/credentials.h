/* Where a request carries its token. */
#ifndef PRESENCE_AUTH_CREDENTIALS_H
#define PRESENCE_AUTH_CREDENTIALS_H

#include "auth/token_keys.h"

/*
 * Finds the token of a request (env: NULL-terminated "NAME=VALUE"), in this
 * order: HTTP_AUTHORIZATION, REDIRECT_HTTP_AUTHORIZATION (Apache after a
 * rewrite) with the scheme Bearer in any case (RFC 6750 section 2.1), then the
 * query's token=. Verifies it at `now_ms` as token_keys_verify() does. Also
 * PROBLEM_TOKEN_MISSING when there is none.
 */
enum problem_kind credentials_verify(const struct token_keys *keys, char *const *env,
				     int64_t now_ms, struct token *token, const char **why);

/*
 * The token in the header alone, borrowed from env, of *len bytes; NULL: there is none. For one that is
 * no token of a user.
 */
const char *credentials_bearer(char *const *env, size_t *len);

#endif
