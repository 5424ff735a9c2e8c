/*
 * JSON Web Signatures (RFC 7515) with the algorithms of RFC 7518 section 3: their keys, and the one
 * place where the signature of somebody's token is checked, through OpenSSL.
 *
 * libjwt signs (sign.h) and does not verify, for what jwt_decode() of 1.10 does:
 * - the header's `alg` chooses how the key is used: with a public key as the HMAC secret, which
 *   everybody has, a forged token passes; with an empty key every token does;
 * - `typ` at+jwt (RFC 9068) is refused, `crit` is not looked at, one signature has many spellings;
 * - exp and nbf are not compared, and claims of a wrong type read as 0;
 * - a token of 16 MB overflows the stack;
 * - it parses the PEM text each time: 0.8 ms for an RS256 token instead of 0.04.
 */
#ifndef PRESENCE_AUTH_JWS_H
#define PRESENCE_AUTH_JWS_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/types.h>

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

#define JWS_KID_MAX 256 /* bytes */

/* Zeroed, it holds nothing. */
struct jws_key {
	char *kid; /* up to JWS_KID_MAX; NULL: it has no name */
	unsigned char *secret; /* JWS_HMAC; or the PEM text of a private key */
	size_t secret_len;
	EVP_PKEY *pkey; /* JWS_RSA, JWS_EC: public, or private to sign with */
	EVP_MAC_CTX *mac; /* JWS_HMAC, once it is ready: made for the secret */
};

/* Frees what the key holds, not the struct; a secret is overwritten first. */
void jws_key_clear(struct jws_key *key);

/*
 * Fill a zeroed key from a PEM text; false when it does not hold one, or a
 * private one that takes a passphrase.
 */
bool jws_key_read_public(struct jws_key *key, const void *pem, size_t len);
bool jws_key_read_private(struct jws_key *key, const void *pem, size_t len);
/* Copies the bytes of a secret into a zeroed key. */
void jws_key_set_secret(struct jws_key *key, const void *secret, size_t len);

/* NULL when the key is of the algorithm's kind, curve and size, else a static sentence. */
const char *jws_key_check(const struct jws_algorithm *algorithm, const struct jws_key *key);

/* Makes a key that has been checked ready to verify with; false: OpenSSL lacks the algorithm. */
bool jws_key_make_ready(const struct jws_algorithm *algorithm, struct jws_key *key);

/* Whether these bytes are the signature of the len bytes of `input` by a key that is ready. */
bool jws_verify(const struct jws_algorithm *algorithm, const struct jws_key *key, const char *input,
		size_t len, const unsigned char *signature, size_t signature_len);

#endif
