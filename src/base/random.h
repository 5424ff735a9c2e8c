/* Random ids and hashes for names: OpenSSL underneath. */
#ifndef PRESENCE_BASE_RANDOM_H
#define PRESENCE_BASE_RANDOM_H

#include <stddef.h>

#define RANDOM_ID_LEN 22 /* base64url characters of 128 random bits */
#define RANDOM_HEX_LEN 32
#define HASH_NAME_LEN 32 /* hex digits of 128 bits */

/* 128 random bits in base64url; never fails (without randomness the process aborts). */
void random_id(char id[RANDOM_ID_LEN + 1]);

/* The same in lower-case hex, to tell requests apart: a fork() after the first goes on with the same ones. */
void random_hex(char hex[RANDOM_HEX_LEN + 1]);

/* A random number from 0 to limit - 1 (limit > 0): for jitter, not for secrets. */
unsigned random_below(unsigned limit);

/* The first 128 bits of the SHA-256 of `label` and the data, in lower-case hex. */
void hash_name(const char *label, const void *data, size_t len, char name[HASH_NAME_LEN + 1]);

#endif
