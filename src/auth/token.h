/* JSON Web Tokens (RFC 7519): the one place where they are verified and issued. */
#ifndef PRESENCE_AUTH_TOKEN_H
#define PRESENCE_AUTH_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/problem.h"
#include "base/userid.h"

#define TOKEN_MAX 8192 /* bytes of a token; libjwt overflows the stack on huge ones */
#define TOKEN_NAME_MAX 128
#define TOKEN_SESSION_LEN 32
#define TOKEN_USER_NAME_MAX 256

/* A verified token. */
struct token {
	struct userid user; /* `sub` */
	char name[TOKEN_NAME_MAX + 1]; /* tok: `sid`, else `jti`, else a hash of the token */
	char session_id[TOKEN_SESSION_LEN + 1]; /* shown to its owner; a hash of the name */
	char user_name[TOKEN_USER_NAME_MAX + 1]; /* `name` of OpenID Connect; "" when it has none */
	int64_t iat; /* seconds; 0 when the token has none */
	int64_t exp; /* seconds */
};

struct token_keys;

/*
 * Reads and checks the key files of the configuration's [auth]. NULL with a
 * sentence in err: file missing, HMAC secret under 32 bytes, no PEM public key
 * of the algorithm's kind, RSA under 2048 bits. One newline at the end of an
 * HMAC secret's file is not part of it. Free with token_keys_free(). The
 * configuration must outlive the keys.
 */
struct token_keys *token_keys_open(const struct config *config, char *err, size_t errsize);
void token_keys_free(struct token_keys *keys);
/* From now on the keys look at this configuration, which must say the same of them. */
void token_keys_use(struct token_keys *keys, const struct config *config);

/*
 * Verifies the compact form of a token at `now` (seconds). Returns
 * PROBLEM_NONE and fills *token, or PROBLEM_TOKEN_INVALID or
 * PROBLEM_TOKEN_EXPIRED with a static sentence in *why. Revocation is Redis'
 * to say, not checked here.
 *
 * Checked: length, signature, alg exactly the configured one, no `crit`
 * (RFC 7515 section 4.1.11), payload an object, `exp` required and an integer,
 * `nbf` and `iat` integers when present, leeway, iss and aud (a string or an
 * array of them) when configured, `sub` a user id, `sid` and `jti` strings of
 * 1..TOKEN_NAME_MAX printable ASCII characters when present. Of a text that was
 * verified a moment ago only the times are checked again (verified.h).
 */
enum problem_kind token_verify(const struct token_keys *keys, const char *text, size_t len,
			       int64_t now, struct token *token, const char **why);

/*
 * Issues a token of `lifetime` seconds with sub (a JSON string), sid, jti, iat,
 * exp and the configured iss and aud. `user_name` (NULL: none; one that is too
 * long or no UTF-8 is left out) goes into `name`. `sid` NULL: a new random one. The caller
 * frees the result; *token tells what it says. NULL when there is no key to
 * sign with (algorithm RS/ES without signing_key_file), or signing failed.
 */
char *token_issue(const struct token_keys *keys, const struct userid *user, const char *user_name,
		  const char *sid, int64_t now, int64_t lifetime, struct token *token);

/* Sets the name (1..TOKEN_NAME_MAX bytes) and the session_id that goes with it. */
void token_set_name(struct token *token, const char *name);

#endif
