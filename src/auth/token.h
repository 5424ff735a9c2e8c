/* What a JSON Web Token (RFC 7519) says. token_keys.h verifies them, issue.h makes them. */
#ifndef PRESENCE_AUTH_TOKEN_H
#define PRESENCE_AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	int64_t exp; /* seconds, rounded down; token_keys_verify() compares it as it stands */
};

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
