/* Keys and hand-made tokens for unit tests. */
#ifndef PRESENCE_TESTS_KEYPAIR_H
#define PRESENCE_TESTS_KEYPAIR_H

#include <openssl/evp.h>

#include "auth/token_keys.h"
#include "base/config.h"

/* The PEM files of one key pair. */
struct pair {
	char *public_file, *private_file;
};

/* Writes NAME.pub and NAME.key into the test's directory; frees the key. */
struct pair pair_write(EVP_PKEY *key, const char *name);
void pair_free(struct pair *pair);

/* A configuration of [auth] alone, leeway 30; borrows the names (NULL: empty). */
struct config auth_config(int algorithm, const char *key_file, const char *signing_key_file);

/* Opens the configuration's keys, or fails the test. */
struct token_keys *keys_must_open(const struct config *config);
/* Fails the test unless they are refused with these words. */
void keys_must_fail(const struct config *config, const char *words);

/* A token of any header and payload, signed with HMAC; the caller frees it. */
char *hmac_token(const EVP_MD *hash, const void *key, size_t key_len, const char *header,
		 const void *payload, size_t payload_len);

/* Verifies (and frees) text at `now` seconds and compares the outcome; `row` names the case. */
struct token token_expect(const struct token_keys *keys, char *text, int64_t now,
			  enum problem_kind expected, const char *row);
/* The same for one that is refused, with a sentence that holds these words. */
void token_expect_words(const struct token_keys *keys, char *text, int64_t now, const char *words);

#endif
