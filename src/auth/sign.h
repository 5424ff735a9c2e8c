/*
 * Signing JSON Web Tokens (RFC 7519) through libjwt, which builds and signs every token that is
 * issued here: for users (issue_token()) and for push services (vapid.h). Verifying is not libjwt's
 * part: jws.h says why.
 */
#ifndef PRESENCE_AUTH_SIGN_H
#define PRESENCE_AUTH_SIGN_H

#include <jwt.h>

#include "auth/jws.h"

/*
 * The compact form (RFC 7515 section 3.1) of `jwt`, whose claims the caller has
 * added, with `typ` JWT, the algorithm, and the key's name as `kid` where it
 * has one. The key is a secret or a private key and was checked by
 * jws_key_check(). The caller frees the text; NULL when libjwt or OpenSSL fails.
 */
char *sign_jwt(jwt_t *jwt, const struct jws_algorithm *algorithm, const struct jws_key *key);

#endif
