/*
 * JSON Web Signatures (RFC 7515) with the algorithms of RFC 7518 section 3,
 * through OpenSSL: the one place where a token is signed or its signature checked.
 */
#ifndef PRESENCE_AUTH_JWS_H
#define PRESENCE_AUTH_JWS_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/types.h>

#include "base/buf.h"
#include "base/config.h"

enum jws_kind { JWS_HMAC, JWS_RSA, JWS_EC };

struct jws_algorithm {
	const char *name; /* in `alg`, case-sensitive (RFC 7515 section 4.1.1) */
	enum jws_kind kind;
	const char *digest; /* OpenSSL's name */
	const char *curve; /* `crv` of RFC 7518 section 6.2.1.1; NULL unless JWS_EC */
	const char *group; /* OpenSSL's name of that curve */
	size_t coordinate; /* bytes of a coordinate, and of each half of a signature; 0 unless JWS_EC */
};

/* Never NULL. */
const struct jws_algorithm *jws_algorithm(enum auth_algorithm algorithm);

/* Zeroed, it holds nothing. */
struct jws_key {
	char *kid; /* NULL: it has no name */
	unsigned char *secret; /* JWS_HMAC */
	size_t secret_len;
	EVP_PKEY *pkey; /* JWS_RSA, JWS_EC: public, or private to sign with */
};

/* Frees what the key holds, not the struct; a secret is overwritten first. */
void jws_key_clear(struct jws_key *key);

/* NULL when the key is of the algorithm's kind, curve and size, else a static sentence. */
const char *jws_key_check(const struct jws_algorithm *algorithm, const struct jws_key *key);

/* Whether these bytes are the key's signature of the len bytes of `input`. */
bool jws_verify(const struct jws_algorithm *algorithm, const struct jws_key *key, const char *input,
		size_t len, const unsigned char *signature, size_t signature_len);

/* Appends "." and the signature of all that `token` holds; false, and nothing appended, on failure. */
bool jws_sign(const struct jws_algorithm *algorithm, const struct jws_key *key,
	      struct printbuf *token);

#endif
