#include "auth/jws.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "base/alloc.h"
#include "base/base64url.h"

#define HMAC_KEY_MIN 32 /* bytes; RFC 7518 section 3.2 */
#define RSA_BITS_MIN 2048 /* RFC 7518 section 3.3 */
#define COORDINATE_MAX 66 /* bytes, of P-521 */
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
	memset(key, 0, sizeof *key);
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

static bool make_mac(const struct jws_algorithm *algorithm, const struct jws_key *key,
		     const char *input, size_t len, unsigned char mac[EVP_MAX_MD_SIZE],
		     size_t *mac_len)
{
	return EVP_Q_mac(NULL, "HMAC", NULL, algorithm->digest, NULL, key->secret, key->secret_len,
			 (const unsigned char *)input, len, mac, EVP_MAX_MD_SIZE, mac_len) != NULL;
}

static bool verify_mac(const struct jws_algorithm *algorithm, const struct jws_key *key,
		       const char *input, size_t len, const unsigned char *signature,
		       size_t signature_len)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	size_t mac_len;

	return make_mac(algorithm, key, input, len, mac, &mac_len) && mac_len == signature_len &&
	       CRYPTO_memcmp(mac, signature, mac_len) == 0;
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

static bool from_der(const struct jws_algorithm *algorithm, const unsigned char *der, size_t len,
		     unsigned char flat[2 * COORDINATE_MAX])
{
	int half = (int)algorithm->coordinate;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), flat, half) == half &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(pair), flat + half, half) == half;

	ECDSA_SIG_free(pair);
	return ok;
}

/* --- both --------------------------------------------------------------------------------------*/

bool jws_verify(const struct jws_algorithm *algorithm, const struct jws_key *key, const char *input,
		size_t len, const unsigned char *signature, size_t signature_len)
{
	unsigned char der[DER_MAX];
	EVP_MD_CTX *context;
	bool ok;

	if (algorithm->kind == JWS_HMAC)
		return verify_mac(algorithm, key, input, len, signature, signature_len);
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

/* Signs with a private key; the caller frees the bytes. NULL on failure. */
static unsigned char *sign_with_pkey(const struct jws_algorithm *algorithm,
				     const struct jws_key *key, const struct printbuf *input,
				     size_t *len)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char *signature, flat[2 * COORDINATE_MAX];
	bool ok;

	*len = (size_t)EVP_PKEY_get_size(key->pkey);
	signature = xmalloc(*len > sizeof flat ? *len : sizeof flat);
	ok = context != NULL &&
	     EVP_DigestSignInit_ex(context, NULL, algorithm->digest, NULL, NULL, key->pkey, NULL) ==
		     1 &&
	     EVP_DigestSign(context, signature, len, (const unsigned char *)input->buf,
			    buf_len(input)) == 1;
	EVP_MD_CTX_free(context);
	if (ok && algorithm->kind == JWS_EC) {
		ok = from_der(algorithm, signature, *len, flat);
		*len = 2 * algorithm->coordinate;
		memcpy(signature, flat, *len);
	}
	if (ok)
		return signature;
	free(signature);
	return NULL;
}

bool jws_sign(const struct jws_algorithm *algorithm, const struct jws_key *key,
	      struct printbuf *token)
{
	unsigned char mac[EVP_MAX_MD_SIZE], *signature;
	size_t len;

	if (algorithm->kind == JWS_HMAC) {
		if (!make_mac(algorithm, key, token->buf, buf_len(token), mac, &len))
			return false;
		buf_puts(token, ".");
		base64url_put(token, mac, len);
		return true;
	}
	signature = sign_with_pkey(algorithm, key, token, &len);
	if (signature == NULL)
		return false;
	buf_puts(token, ".");
	base64url_put(token, signature, len);
	free(signature);
	return true;
}
