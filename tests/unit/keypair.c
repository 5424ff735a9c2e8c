#include "keypair.h"

#include <stdio.h>

#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "base/base64url.h"
#include "base/buf.h"
#include "unit.h"

static char *write_pem(BIO *bio, const char *name, const char *end)
{
	char *data, file[64];
	long len = BIO_get_mem_data(bio, &data);

	snprintf(file, sizeof file, "%s.%s", name, end);
	return unit_write(file, data, (size_t)len);
}

struct pair pair_write(EVP_PKEY *key, const char *name)
{
	struct pair pair;
	BIO *public_pem = BIO_new(BIO_s_mem()), *private_pem = BIO_new(BIO_s_mem());

	ck_assert_msg(key != NULL, "cannot make the key %s", name);
	ck_assert_int_eq(PEM_write_bio_PUBKEY(public_pem, key), 1);
	ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(private_pem, key, NULL, NULL, 0, NULL, NULL),
			 1);
	pair.public_file = write_pem(public_pem, name, "pub");
	pair.private_file = write_pem(private_pem, name, "key");
	BIO_free(public_pem);
	BIO_free(private_pem);
	EVP_PKEY_free(key);
	return pair;
}

void pair_free(struct pair *pair)
{
	free(pair->public_file);
	free(pair->private_file);
}

struct config auth_config(int algorithm, const char *key_file, const char *signing_key_file)
{
	struct config config = {.auth = {.algorithm = algorithm, .leeway = 30}};

	config.auth.user_claim = (char *)"sub";
	config.auth.key_file = (char *)key_file;
	config.auth.signing_key_file = (char *)(signing_key_file != NULL ? signing_key_file : "");
	config.auth.issuer = (char *)"";
	config.auth.audience = (char *)"";
	return config;
}

struct token_keys *keys_must_open(const struct config *config)
{
	char err[512] = "";
	struct token_keys *keys = token_keys_open(config, err, sizeof err);

	ck_assert_msg(keys != NULL, "keys expected, seen the error: %s", err);
	return keys;
}

void keys_must_fail(const struct config *config, const char *words)
{
	char err[512] = "";
	struct token_keys *keys = token_keys_open(config, err, sizeof err);

	ck_assert_msg(keys == NULL, "keys refused expected (%s), seen taken", words);
	ck_assert_msg(strstr(err, words) != NULL, "expected '%s', seen '%s'", words, err);
}

char *hmac_token(const EVP_MD *hash, const void *key, size_t key_len, const char *header,
		 const void *payload, size_t payload_len)
{
	struct printbuf *out = buf_new();
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len;

	base64url_put(out, header, strlen(header));
	buf_puts(out, ".");
	base64url_put(out, payload, payload_len);
	HMAC(hash, key, (int)key_len, (unsigned char *)out->buf, buf_len(out), mac, &mac_len);
	buf_puts(out, ".");
	base64url_put(out, mac, mac_len);
	return buf_take(out, NULL);
}

struct token token_expect(const struct token_keys *keys, char *text, int64_t now,
			  enum problem_kind expected, const char *row)
{
	struct token token = {0};
	const char *why = "accepted";
	enum problem_kind kind =
		token_keys_verify(keys, text, strlen(text), now * 1000, &token, &why);

	ck_assert_msg(kind == expected, "%s: expected %s, seen %s (%s)", row,
		      problem_code(expected), problem_code(kind), why != NULL ? why : "");
	ck_assert_msg(kind == PROBLEM_NONE || strlen(why) > 10, "%s: no sentence", row);
	free(text);
	return token;
}

void token_expect_words(const struct token_keys *keys, char *text, int64_t now, const char *words)
{
	struct token token;
	const char *why = "accepted";
	enum problem_kind kind =
		token_keys_verify(keys, text, strlen(text), now * 1000, &token, &why);

	ck_assert_msg(kind != PROBLEM_NONE, "refused expected (%s), seen accepted", words);
	ck_assert_msg(strstr(why, words) != NULL, "expected '%s', seen '%s'", words, why);
	free(text);
}
