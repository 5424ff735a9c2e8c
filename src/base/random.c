#include "base/random.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#define ID_SIZE 16 /* bytes */
#define POOL_SIZE 256 /* what getrandom(2) gives whole */

static void random_bits(unsigned char *bits, int size)
{
	if (RAND_bytes(bits, size) != 1) {
		fputs("presence: no random bytes\n", stderr);
		abort();
	}
}

static void put_hex(char *hex, const unsigned char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * len] = '\0';
}

void random_hex(char hex[RANDOM_HEX_LEN + 1])
{
	static _Thread_local unsigned char pool[POOL_SIZE];
	static _Thread_local size_t left;

	/* Each request takes one: the kernel's cost half of OpenSSL's, and less by the dozen. */
	if (left == 0) {
		if (getrandom(pool, sizeof pool, 0) != sizeof pool)
			random_bits(pool, sizeof pool);
		left = sizeof pool;
	}
	left -= ID_SIZE;
	put_hex(hex, pool + left, ID_SIZE);
}

void random_id(char id[RANDOM_ID_LEN + 1])
{
	unsigned char bits[ID_SIZE], text[25];

	random_bits(bits, sizeof bits);
	EVP_EncodeBlock(text, bits, sizeof bits);
	for (size_t i = 0; i < RANDOM_ID_LEN; i++)
		id[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];
	id[RANDOM_ID_LEN] = '\0';
}

unsigned random_below(unsigned limit)
{
	static unsigned short state[3]; /* a torn one is as random as any */
	static bool is_seeded;

	/* OpenSSL's generator asks for the process' id at each call, in case it was forked. */
	if (!is_seeded)
		is_seeded = RAND_bytes((unsigned char *)state, sizeof state) == 1;
	return (unsigned)(((uint64_t)nrand48(state) * limit) >> 31);
}

static EVP_MD *sha256;

/* Looking an algorithm up by its name costs more than hashing a line with it. */
static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

void hash_name(const char *label, const void *data, size_t len, char name[HASH_NAME_LEN + 1])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	pthread_once(&once, fetch_sha256);
	if (context == NULL || EVP_DigestInit_ex(context, sha256, NULL) != 1 ||
	    EVP_DigestUpdate(context, label, strlen(label)) != 1 ||
	    EVP_DigestUpdate(context, data, len) != 1 ||
	    EVP_DigestFinal_ex(context, digest, NULL) != 1) {
		fputs("presence: SHA-256 failed\n", stderr);
		abort();
	}
	EVP_MD_CTX_free(context);
	put_hex(name, digest, HASH_NAME_LEN / 2);
}
