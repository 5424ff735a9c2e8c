/* JSON Web Keys (RFC 7517, RFC 7518 section 6). */
#ifndef PRESENCE_AUTH_JWK_H
#define PRESENCE_AUTH_JWK_H

#include <json-c/json.h>

#include "auth/jws.h"

/* A JWK Set; NULL with a static sentence. Free it with jwk_set_free(). */
struct json_object *jwk_set_parse(const char *text, size_t len, const char **why);
void jwk_set_free(struct json_object *set);

size_t jwk_set_count(struct json_object *set);
struct json_object *jwk_set_get(struct json_object *set, size_t index); /* borrowed */

/* Whether it holds a symmetric key or a private part (`k`, `d`). */
bool jwk_set_is_secret(struct json_object *set);

/*
 * Fills a zeroed key, which the caller clears. False with *why NULL when the JWK
 * is for something else (another `kty`, `crv`, `alg` or `use`), which is not a
 * fault (RFC 7517 section 5); with a static sentence when it is malformed or too small.
 */
bool jwk_read(const struct jws_algorithm *algorithm, struct json_object *jwk, struct jws_key *key,
	      const char **why);

#endif
