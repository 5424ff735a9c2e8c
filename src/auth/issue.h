/* Issuing JSON Web Tokens (RFC 7519). A program that only verifies does without this, and without libjwt. */
#ifndef PRESENCE_AUTH_ISSUE_H
#define PRESENCE_AUTH_ISSUE_H

#include "auth/token_keys.h"

/*
 * Issues what *token says: the user as `sub` (a JSON string) and in the claim
 * that auth.user_claim names, its name as `sid`, a new `jti`, iat, exp, what it
 * has of user_name, scope and watch, and the configured iss and aud. An empty
 * name stands for a new random one, which *token holds afterwards. The caller
 * frees the result. NULL when there is no key to sign with (algorithm RS/ES
 * without signing_key_file), the name is not one, or signing failed.
 */
char *issue_token(const struct token_keys *keys, struct token *token);

#endif
