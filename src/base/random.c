#include "base/random.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

void random_word(char word[RANDOM_WORD_LEN + 1])
{
	unsigned char bits[16], text[25];

	if (RAND_bytes(bits, sizeof bits) != 1) {
		fputs("presence: no random bytes\n", stderr);
		abort();
	}
	EVP_EncodeBlock(text, bits, sizeof bits);
	for (size_t i = 0; i < RANDOM_WORD_LEN; i++)
		word[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];
	word[RANDOM_WORD_LEN] = '\0';
}

unsigned random_below(unsigned limit)
{
	uint32_t bits = 0;

	if (RAND_bytes((unsigned char *)&bits, sizeof bits) != 1)
		return 0;
	return (unsigned)(((uint64_t)bits * limit) >> 32);
}

void hash_name(const char *label, const void *data, size_t len, char name[HASH_NAME_LEN + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(context, label, strlen(label)) != 1 ||
	    EVP_DigestUpdate(context, data, len) != 1 ||
	    EVP_DigestFinal_ex(context, digest, NULL) != 1) {
		fputs("presence: SHA-256 failed\n", stderr);
		abort();
	}
	EVP_MD_CTX_free(context);
	for (size_t i = 0; i < HASH_NAME_LEN / 2; i++)
		snprintf(name + 2 * i, 3, "%02x", digest[i]);
}
