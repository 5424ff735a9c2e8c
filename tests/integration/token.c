/* Tokens made by hand, so that each part of them can be wrong. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/times.h"

#define SIGNATURE_MAX 1024

/* RFC 4648 section 5, without padding. */
static void put_base64url(struct printbuf *out, const unsigned char *data, size_t len)
{
	unsigned char *text = xmalloc(len / 3 * 4 + 8);

	EVP_EncodeBlock(text, data, (int)len);
	for (unsigned char *c = text; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	buf_put(out, text, strcspn((char *)text, "="));
	free(text);
}

static char *double_quotes(const char *text)
{
	char *copy = xstrdup(text);

	for (char *c = copy; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	return copy;
}

static void put_part(struct printbuf *out, const char *text)
{
	char *json = double_quotes(text);

	put_base64url(out, (unsigned char *)json, strlen(json));
	free(json);
}

static EVP_PKEY *read_private_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	ck_assert_ptr_nonnull(key);
	BIO_free(bio);
	return key;
}

/* RFC 7518 section 3.4: r and s side by side, 32 bytes each, instead of DER. */
static size_t flat_ecdsa(unsigned char *signature, size_t len)
{
	const unsigned char *at = signature;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);

	ck_assert_ptr_nonnull(pair);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + 32, 32);
	ECDSA_SIG_free(pair);
	return 64;
}

static size_t sign_with_key(const char *pem, const struct printbuf *input, unsigned char *signature)
{
	EVP_PKEY *key = read_private_key(pem);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t len = SIGNATURE_MAX;

	ck_assert_int_eq(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
	ck_assert_int_eq(EVP_DigestSign(context, signature, &len, (unsigned char *)input->buf,
					buf_len(input)),
			 1);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return len;
}

const char *token_make(const char *header, const char *payload, enum token_key kind,
		       const char *key)
{
	struct printbuf *token = buf_new();
	unsigned char signature[SIGNATURE_MAX];
	unsigned hmac_len = 0;
	size_t len = 0;

	put_part(token, header);
	buf_puts(token, ".");
	put_part(token, payload);
	if (kind == KEY_HMAC || kind == KEY_HMAC_384 || kind == KEY_HMAC_512) {
		HMAC(kind == KEY_HMAC	    ? EVP_sha256()
		     : kind == KEY_HMAC_384 ? EVP_sha384()
					    : EVP_sha512(),
		     key, (int)strlen(key), (unsigned char *)token->buf, buf_len(token), signature,
		     &hmac_len);
		len = hmac_len;
	} else if (kind != KEY_NONE) {
		len = sign_with_key(key, token, signature);
	}
	if (kind == KEY_EC)
		len = flat_ecdsa(signature, len);
	buf_puts(token, ".");
	put_base64url(token, signature, len);
	return buf_take(token, NULL);
}

const char *token_until(struct stack *stack, const char *id, int lifetime)
{
	unsigned long long random;
	/* Not time(): its clock lags a little, and Redis compares seconds. */
	long long now = (long long)(times_wall_ms() / 1000);
	char payload[256];

	ck_assert_int_eq(getrandom(&random, sizeof random, 0), sizeof random);
	snprintf(payload, sizeof payload,
		 "{'sub':'%s','sid':'sid%016llx','jti':'jti%016llx','iat':%lld,'exp':%lld}", id,
		 random, random, now, now + lifetime);
	return token_make("{'alg':'HS256','typ':'JWT'}", payload, KEY_HMAC, stack->secret);
}

const char *token_for(struct stack *stack, const char *id)
{
	return token_until(stack, id, 3600);
}

struct json_object *token_payload(const char *token)
{
	const char *start = strchr(token, '.') + 1;
	size_t len = strcspn(start, "."), padded = (len + 3) / 4 * 4;
	unsigned char *text = xmalloc(padded + 1), *json = xcalloc(1, padded + 1);
	struct json_object *payload;

	memset(text, '=', padded);
	for (size_t i = 0; i < len; i++)
		text[i] = (unsigned char)(start[i] == '-' ? '+' : start[i] == '_' ? '/' : start[i]);
	ck_assert_int_gt(EVP_DecodeBlock(json, text, (int)padded), 0);
	payload = json_tokener_parse((char *)json);
	ck_assert_msg(payload != NULL, "the payload is no JSON: %s", json);
	free(text);
	free(json);
	return payload;
}

char *make_key_pair(struct stack *stack, const char *kind, const char *name)
{
	EVP_PKEY *key = strcmp(kind, "rsa") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	BIO *private = BIO_new(BIO_s_mem()), *public = BIO_new(BIO_s_mem());
	char file[64], *text;
	struct printbuf *pem = buf_new();
	long len;

	ck_assert_ptr_nonnull(key);
	ck_assert_int_eq(PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL), 1);
	ck_assert_int_eq(PEM_write_bio_PUBKEY(public, key), 1);
	len = BIO_get_mem_data(public, &text);
	buf_put(pem, text, (size_t)len);
	snprintf(file, sizeof file, "%s.pub", name);
	stack_write(stack, file, pem->buf);
	buf_reset(pem);
	len = BIO_get_mem_data(private, &text);
	buf_put(pem, text, (size_t)len);
	snprintf(file, sizeof file, "%s.pem", name);
	stack_write_secret(stack, file, pem->buf);
	BIO_free(private);
	BIO_free(public);
	EVP_PKEY_free(key);
	return buf_take(pem, NULL);
}
