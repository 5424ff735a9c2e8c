/* A set of partitions: a bit for each. Its size is the same for all sets of a process. */
#ifndef PRESENCE_STREAM_PARTSET_H
#define PRESENCE_STREAM_PARTSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/layout.h"

#define PARTSET_BITS 64 /* of a word */
#define PARTSET_WORDS_MAX (LAYOUT_PARTITIONS_MAX / PARTSET_BITS)

/* The words of a set of `count` partitions. */
static inline size_t partset_words(unsigned count)
{
	return (count + PARTSET_BITS - 1) / PARTSET_BITS;
}

static inline void partset_add(uint64_t *set, unsigned number)
{
	set[number / PARTSET_BITS] |= UINT64_C(1) << number % PARTSET_BITS;
}

static inline void partset_remove(uint64_t *set, unsigned number)
{
	set[number / PARTSET_BITS] &= ~(UINT64_C(1) << number % PARTSET_BITS);
}

static inline bool partset_has(const uint64_t *set, unsigned number)
{
	return (set[number / PARTSET_BITS] >> number % PARTSET_BITS & 1) != 0;
}

/* Whether some partition is in both. */
static inline bool partset_meets(const uint64_t *one, const uint64_t *other, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		if ((one[i] & other[i]) != 0)
			return true;
	}
	return false;
}

#endif
