#include "auth/sign.h"

/* An empty key would make libjwt sign nothing, with `alg` none (or fail): it never gets one. */
char *sign_jwt(jwt_t *jwt, const struct jws_algorithm *algorithm, const struct jws_key *key)
{
	if (key->secret_len == 0 ||
	    (key->kid != NULL && jwt_add_header(jwt, "kid", key->kid) != 0) ||
	    jwt_set_alg(jwt, jwt_str_alg(algorithm->name), key->secret, (int)key->secret_len) != 0)
		return NULL;
	return jwt_encode_str(jwt);
}
