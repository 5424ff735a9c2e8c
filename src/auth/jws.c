#include "auth/jws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>

#include "base/alloc.h"

#define HMAC_KEY_MIN 32 /* bytes; RFC 7518 section 3.2 */
#define RSA_BITS_MIN 2048 /* RFC 7518 section 3.3 */
#define DER_MAX 160 /* bytes of an ECDSA signature in DER, of P-521 */

static const struct jws_algorithm algorithms[] = {
	[AUTH_HS256] = {"HS256", JWS_HMAC, "SHA256", NULL, NULL, 0},
	[AUTH_HS384] = {"HS384", JWS_HMAC, "SHA384", NULL, NULL, 0},
	[AUTH_HS512] = {"HS512", JWS_HMAC, "SHA512", NULL, NULL, 0},
	[AUTH_RS256] = {"RS256", JWS_RSA, "SHA256", NULL, NULL, 0},
	[AUTH_RS384] = {"RS384", JWS_RSA, "SHA384", NULL, NULL, 0},
	[AUTH_RS512] = {"RS512", JWS_RSA, "SHA512", NULL, NULL, 0},
	[AUTH_ES256] = {"ES256", JWS_EC, "SHA256", "P-256", "prime256v1", 32},
	[AUTH_ES384] = {"ES384", JWS_EC, "SHA384", "P-384", "secp384r1", 48},
	[AUTH_ES512] = {"ES512", JWS_EC, "SHA512", "P-521", "secp521r1", 66},
};

const struct jws_algorithm *jws_algorithm(enum auth_algorithm algorithm)
{
	return &algorithms[algorithm];
}

/* --- keys --------------------------------------------------------------------------------------*/

void jws_key_clear(struct jws_key *key)
{
	if (key->secret != NULL)
		OPENSSL_cleanse(key->secret, key->secret_len);
	free(key->secret);
	free(key->kid);
	EVP_PKEY_free(key->pkey);
	EVP_MAC_CTX_free(key->mac);
	memset(key, 0, sizeof *key);
}

/* OpenSSL would ask the terminal, and libjwt again at each use: such a key is refused instead. */
static int no_passphrase(char *buf, int size, int writing, void *user)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)user;
	return -1;
}

bool jws_key_read_public(struct jws_key *key, const void *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);

	key->pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return key->pkey != NULL;
}

bool jws_key_read_private(struct jws_key *key, const void *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);

	key->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (key->pkey == NULL)
		return false;
	jws_key_set_secret(key, pem, len);
	return true;
}

void jws_key_set_secret(struct jws_key *key, const void *secret, size_t len)
{
	key->secret = xmalloc(len + 1);
	memcpy(key->secret, secret, len);
	key->secret_len = len;
}

const char *jws_key_check(const struct jws_algorithm *algorithm, const struct jws_key *key)
{
	char group[64] = "";

	switch (algorithm->kind) {
	case JWS_HMAC:
		return key->secret_len < HMAC_KEY_MIN ? "an HMAC secret has at least 32 bytes"
						      : NULL;
	case JWS_RSA:
		/* The type of RSA-PSS keys is another one. */
		if (EVP_PKEY_get_id(key->pkey) != EVP_PKEY_RSA)
			return "is not an RSA key, which the algorithm needs";
		return EVP_PKEY_get_bits(key->pkey) < RSA_BITS_MIN
			       ? "an RSA key has at least 2048 bits"
			       : NULL;
	case JWS_EC:
		break;
	}
	if (EVP_PKEY_get_id(key->pkey) != EVP_PKEY_EC ||
	    EVP_PKEY_get_group_name(key->pkey, group, sizeof group, NULL) != 1 ||
	    strcmp(group, algorithm->group) != 0)
		return "is not an EC key on the algorithm's curve (P-256, P-384 or P-521)";
	return NULL;
}

/* --- HMAC (RFC 7518 section 3.2) ---------------------------------------------------------------*/

/* Once for a key: to look the algorithm up takes OpenSSL longer than to compute with it. */
bool jws_key_make_ready(const struct jws_algorithm *algorithm, struct jws_key *key)
{
	OSSL_PARAM params[2];
	char digest[16];
	EVP_MAC *hmac;

	if (algorithm->kind != JWS_HMAC)
		return true;
	snprintf(digest, sizeof digest, "%s", algorithm->digest);
	params[0] = OSSL_PARAM_construct_utf8_string("digest", digest, 0); /* measures the text */
	params[1] = OSSL_PARAM_construct_end();
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	key->mac = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	return key->mac != NULL &&
	       EVP_MAC_init(key->mac, key->secret, key->secret_len, params) == 1;
}

static bool verify_mac(const struct jws_key *key, const char *input, size_t len,
		       const unsigned char *signature, size_t signature_len)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	size_t mac_len;

	return EVP_MAC_init(key->mac, NULL, 0, NULL) == 1 &&
	       EVP_MAC_update(key->mac, (const unsigned char *)input, len) == 1 &&
	       EVP_MAC_final(key->mac, mac, &mac_len, sizeof mac) == 1 &&
	       mac_len == signature_len && CRYPTO_memcmp(mac, signature, mac_len) == 0;
}

/* --- ECDSA (RFC 7518 section 3.4): both numbers side by side, where OpenSSL has DER ------------*/

/* Returns the length in DER; 0 when it is not such a signature. */
static size_t to_der(const struct jws_algorithm *algorithm, const unsigned char *signature,
		     size_t len, unsigned char der[DER_MAX])
{
	size_t half = algorithm->coordinate;
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r, *s;
	int der_len = 0;

	if (pair != NULL && len == 2 * half) {
		r = BN_bin2bn(signature, (int)half, NULL);
		s = BN_bin2bn(signature + half, (int)half, NULL);
		if (r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
			der_len = i2d_ECDSA_SIG(pair, &der);
		} else {
			BN_free(r);
			BN_free(s);
		}
	}
	ECDSA_SIG_free(pair);
	return der_len > 0 ? (size_t)der_len : 0;
}

/* --- all of them --------------------------------------------------------------------------------------*/

bool jws_verify(const struct jws_algorithm *algorithm, const struct jws_key *key, const char *input,
		size_t len, const unsigned char *signature, size_t signature_len)
{
	unsigned char der[DER_MAX];
	EVP_MD_CTX *context;
	bool ok;

	if (algorithm->kind == JWS_HMAC)
		return verify_mac(key, input, len, signature, signature_len);
	if (algorithm->kind == JWS_EC) {
		signature_len = to_der(algorithm, signature, signature_len, der);
		signature = der;
	}
	context = EVP_MD_CTX_new();
	ok = context != NULL && signature_len > 0 &&
	     EVP_DigestVerifyInit_ex(context, NULL, algorithm->digest, NULL, NULL, key->pkey,
				     NULL) == 1 &&
	     EVP_DigestVerify(context, signature, signature_len, (const unsigned char *)input,
			      len) == 1;
	EVP_MD_CTX_free(context);
	return ok;
}
