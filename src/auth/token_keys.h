/* The keys of [auth], and the one place where JSON Web Tokens (RFC 7519) are verified with them. */
#ifndef PRESENCE_AUTH_TOKEN_KEYS_H
#define PRESENCE_AUTH_TOKEN_KEYS_H

#include "auth/token.h"
#include "base/config.h"
#include "base/problem.h"

struct token_keys;

/*
 * Reads and checks the key files of the configuration's [auth] (keys.h). NULL
 * with a sentence in err. Free with token_keys_free(). The configuration must
 * outlive the keys.
 */
struct token_keys *token_keys_open(const struct config *config, char *err, size_t errsize);
void token_keys_free(struct token_keys *keys);
/* From now on the keys look at this configuration, which must say the same of them. */
void token_keys_use(struct token_keys *keys, const struct config *config);

/*
 * Verifies the compact form of a token at `now_ms` (of this host's clock).
 * Returns PROBLEM_NONE and fills *token, or PROBLEM_TOKEN_INVALID or
 * PROBLEM_TOKEN_EXPIRED with a static sentence in *why that names the check
 * which failed. Revocation is Redis' to say, not checked here.
 *
 * Checked: length; header and payload JSON objects; `alg` exactly the configured
 * one; no `crit` (RFC 7515 section 4.1.11); `typ` JWT, at+jwt (RFC 9068 section
 * 2.1) or absent; `kid` one of ours where our keys have names; the signature;
 * `exp` required, `nbf` and `iat` when present, NumericDates (RFC 7519 section
 * 2: a fraction is allowed), from 0 and below 2^53; leeway; iss and aud (a string or an
 * array of them) when configured; the user's claim a user id; `sid` and `jti`
 * strings of 1..TOKEN_NAME_MAX printable ASCII characters when present;
 * `presence` "watch" when present. Of a text that was verified a moment ago
 * only the times are checked again (verified.h).
 */
enum problem_kind token_keys_verify(const struct token_keys *keys, const char *text, size_t len,
				    int64_t now_ms, struct token *token, const char **why);

#endif
