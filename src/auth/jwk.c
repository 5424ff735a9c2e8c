#include "auth/jwk.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "base/alloc.h"
#include "base/base64url.h"
#include "base/json.h"
#include "base/secret.h"

#define COORDINATE_MAX 66 /* bytes, of P-521 */

static const char malformed[] = "a key of the JWK Set is malformed";

struct json_object *jwk_set_parse(const char *text, size_t len, const char **why)
{
	struct json_object *set = json_parse_object(text, len, why), *keys;

	if (set == NULL) {
		*why = "is not a JWK Set: not one JSON object";
		return NULL;
	}
	keys = json_member(set, "keys");
	if (json_object_is_type(keys, json_type_array))
		return set;
	jwk_set_free(set);
	*why = "is not a JWK Set: it has no array \"keys\"";
	return NULL;
}

/* Overwrites the texts: json-c frees them as they are. */
static void wipe(struct json_object *value)
{
	if (json_object_is_type(value, json_type_string))
		OPENSSL_cleanse((char *)json_object_get_string(value),
				(size_t)json_object_get_string_len(value));
}

void jwk_set_free(struct json_object *set)
{
	for (size_t i = 0; i < jwk_set_count(set); i++) {
		wipe(json_member(jwk_set_get(set, i), "k"));
		wipe(json_member(jwk_set_get(set, i), "d"));
	}
	json_object_put(set);
}

size_t jwk_set_count(struct json_object *set)
{
	struct json_object *keys = json_member(set, "keys");

	return json_object_is_type(keys, json_type_array) ? json_object_array_length(keys) : 0;
}

struct json_object *jwk_set_get(struct json_object *set, size_t index)
{
	return json_object_array_get_idx(json_member(set, "keys"), index);
}

bool jwk_set_is_secret(struct json_object *set)
{
	for (size_t i = 0; i < jwk_set_count(set); i++) {
		struct json_object *jwk = jwk_set_get(set, i);

		if (json_member(jwk, "k") != NULL || json_member(jwk, "d") != NULL)
			return true;
	}
	return false;
}

static bool is_text(struct json_object *jwk, const char *name, const char *expected)
{
	const char *text;

	return json_is_text(json_member(jwk, name), SECRET_FILE_MAX, &text) &&
	       strcmp(text, expected) == 0;
}

/* Whether it is for these signatures at all. */
static bool is_meant(const struct jws_algorithm *algorithm, struct json_object *jwk)
{
	static const char *const types[] = {[JWS_HMAC] = "oct", [JWS_RSA] = "RSA", [JWS_EC] = "EC"};

	return is_text(jwk, "kty", types[algorithm->kind]) &&
	       (json_member(jwk, "use") == NULL || is_text(jwk, "use", "sig")) &&
	       (json_member(jwk, "alg") == NULL || is_text(jwk, "alg", algorithm->name)) &&
	       (algorithm->kind != JWS_EC || is_text(jwk, "crv", algorithm->curve));
}

/* A member's bytes, which the caller frees; NULL, and none, when it is missing or not base64url. */
static unsigned char *read_bytes(struct json_object *jwk, const char *name, size_t *len)
{
	unsigned char *bytes;
	const char *text;

	*len = 0;
	if (!json_is_text(json_member(jwk, name), SECRET_FILE_MAX, &text) || *text == '\0')
		return NULL;
	bytes = xmalloc(BASE64URL_DECODED(strlen(text)));
	if (base64url_decode(text, strlen(text), bytes, len))
		return bytes;
	free(bytes);
	*len = 0;
	return NULL;
}

static EVP_PKEY *make_pkey(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (params == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(params);
	return pkey;
}

/* RFC 7518 section 6.3.1. */
static EVP_PKEY *read_rsa(struct json_object *jwk)
{
	size_t n_len = 0, e_len = 0;
	unsigned char *n_bytes = read_bytes(jwk, "n", &n_len),
		      *e_bytes = read_bytes(jwk, "e", &e_len);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_bin2bn(n_bytes, (int)n_len, NULL), *e = BN_bin2bn(e_bytes, (int)e_len, NULL);
	EVP_PKEY *pkey = NULL;

	if (n_bytes != NULL && e_bytes != NULL && OSSL_PARAM_BLD_push_BN(build, "n", n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, "e", e) == 1)
		pkey = make_pkey("RSA", build);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	free(n_bytes);
	free(e_bytes);
	return pkey;
}

/* RFC 7518 section 6.2.1: each coordinate has the curve's full length. */
static EVP_PKEY *read_ec(const struct jws_algorithm *algorithm, struct json_object *jwk)
{
	unsigned char point[1 + 2 * COORDINATE_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
	size_t size = algorithm->coordinate, x_len = 0, y_len = 0;
	unsigned char *x = read_bytes(jwk, "x", &x_len), *y = read_bytes(jwk, "y", &y_len);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;

	if (x != NULL && y != NULL && x_len == size && y_len == size) {
		memcpy(point + 1, x, size);
		memcpy(point + 1 + size, y, size);
		if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME,
						    algorithm->group, 0) == 1 &&
		    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
						     1 + 2 * size) == 1)
			pkey = make_pkey("EC", build);
	}
	OSSL_PARAM_BLD_free(build);
	free(x);
	free(y);
	return pkey;
}

bool jwk_read(const struct jws_algorithm *algorithm, struct json_object *jwk, struct jws_key *key,
	      const char **why)
{
	struct json_object *kid = json_member(jwk, "kid");
	const char *text = NULL;
	bool has_key;

	*why = NULL;
	if (!json_object_is_type(jwk, json_type_object) || !is_meant(algorithm, jwk))
		return false;
	if (algorithm->kind == JWS_HMAC)
		key->secret = read_bytes(jwk, "k", &key->secret_len);
	else
		key->pkey = algorithm->kind == JWS_RSA ? read_rsa(jwk) : read_ec(algorithm, jwk);
	has_key = key->secret != NULL || key->pkey != NULL;
	if (kid != NULL && json_is_text(kid, JWS_KID_MAX, &text))
		key->kid = xstrdup(text);
	if (!has_key || (kid != NULL && key->kid == NULL))
		*why = malformed;
	else
		*why = jws_key_check(algorithm, key);
	if (*why == NULL)
		return true;
	jws_key_clear(key);
	return false;
}
