/* JSON Web Tokens (RFC 7519): the one place where they are verified and issued. */
#ifndef PRESENCE_AUTH_TOKEN_H
#define PRESENCE_AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/problem.h"
#include "base/userid.h"

#define TOKEN_MAX 8192 /* bytes of a token */
#define TOKEN_NAME_MAX 128
#define TOKEN_SESSION_LEN 32
#define TOKEN_USER_NAME_MAX 256
#define TOKEN_SCOPE_MAX 256
#define TOKEN_TIME_MAX INT64_C(253402300799) /* year 9999: in ms, too, far from an overflow */

/* A verified token. */
struct token {
	struct userid user; /* `sub`, or the claim that auth.user_claim names */
	char name[TOKEN_NAME_MAX + 1]; /* tok: `sid`, else `jti`, else a hash of the token */
	char session_id[TOKEN_SESSION_LEN + 1]; /* shown to its owner; a hash of the name */
	char user_name[TOKEN_USER_NAME_MAX + 1]; /* `name` of OpenID Connect; "" when it has none */
	char scope[TOKEN_SCOPE_MAX +
		   1]; /* words with a blank between (RFC 8693 section 4.2); or "" */
	bool watch; /* `"presence":"watch"`: it sees, and makes nobody online */
	int64_t iat; /* seconds, rounded down; 0 when the token has none */
	/*
	 * iat as Redis compares it when every token of a user is revoked. Those of our login have
	 * Redis' time; with auth.login = external the issuer's clock may be late, so that its tokens
	 * count as issued `leeway` later.
	 */
	int64_t issued;
	int64_t exp; /* seconds, rounded down; token_verify() compares it as it stands */
};

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
enum problem_kind token_verify(const struct token_keys *keys, const char *text, size_t len,
			       int64_t now_ms, struct token *token, const char **why);

/*
 * Issues what *token says: the user as `sub` (a JSON string) and in the claim
 * that auth.user_claim names, its name as `sid`, a new `jti`, iat, exp, what it
 * has of user_name, scope and watch, and the configured iss and aud. An empty
 * name stands for a new random one, which *token holds afterwards. The caller
 * frees the result. NULL when there is no key to sign with (algorithm RS/ES
 * without signing_key_file), the name is not one, or signing failed.
 */
char *token_issue(const struct token_keys *keys, struct token *token);

/* Whether the text is 1..TOKEN_NAME_MAX printable ASCII characters. */
bool token_is_name(const char *text);
/* The session_id that goes with a name. */
void token_session_id(const char *name, char session_id[TOKEN_SESSION_LEN + 1]);

/* Sets the name, which token_is_name(), and the session_id that goes with it. */
void token_set_name(struct token *token, const char *name);
/* Sets the name for people; NULL, one that is too long or not UTF-8 counts as none. */
void token_set_user_name(struct token *token, const char *user_name);
/*
 * Sets the scope from a claim's text. Of one longer than TOKEN_SCOPE_MAX only
 * the words that mean something here (push, admin) are kept; a text with other
 * characters than RFC 8693 allows gives none.
 */
void token_set_scope(struct token *token, const char *scope);
/* Whether the scope holds that word. */
bool token_has_scope(const struct token *token, const char *word);

#endif
