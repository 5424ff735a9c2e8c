#include "auth/issue.h"

#include <string.h>

#include "auth/sign.h"
#include "auth/token_keys_private.h"
#include "base/random.h"

static bool add_text_if_set(jwt_t *jwt, const char *claim, const char *text)
{
	return text[0] == '\0' || jwt_add_grant(jwt, claim, text) == 0;
}

/* Each claim once, or libjwt refuses it: the configuration lets user_claim be none of the others. */
static bool add_claims(jwt_t *jwt, const struct config *config, const struct token *token)
{
	const char *claim = config->auth.user_claim;
	char jti[RANDOM_ID_LEN + 1];

	random_id(jti);
	return jwt_add_grant(jwt, "sub", token->user.text) == 0 &&
	       (strcmp(claim, "sub") == 0 || jwt_add_grant(jwt, claim, token->user.text) == 0) &&
	       add_text_if_set(jwt, "name", token->user_name) &&
	       jwt_add_grant(jwt, "sid", token->name) == 0 && jwt_add_grant(jwt, "jti", jti) == 0 &&
	       add_text_if_set(jwt, "presence", token->watch ? "watch" : "") &&
	       add_text_if_set(jwt, "scope", token->scope) &&
	       add_text_if_set(jwt, "iss", config->auth.issuer) &&
	       add_text_if_set(jwt, "aud", config->auth.audience) &&
	       jwt_add_grant_int(jwt, "iat", token->iat) == 0 &&
	       jwt_add_grant_int(jwt, "exp", token->exp) == 0;
}

char *issue_token(const struct token_keys *keys, struct token *token)
{
	const struct jws_key *signer = keys->ring.signer;
	char word[RANDOM_ID_LEN + 1], *text = NULL;
	jwt_t *jwt;

	if (signer == NULL || (token->name[0] != '\0' && !token_is_name(token->name)))
		return NULL;
	random_id(word);
	token_set_name(token, token->name[0] != '\0' ? token->name : word);
	if (jwt_new(&jwt) != 0)
		return NULL;
	if (add_claims(jwt, keys->config, token))
		text = sign_jwt(jwt, keys->ring.algorithm, signer);
	jwt_free(jwt);
	return text;
}
