/* Numbers that somebody else may have written: a peer, or whoever else may write to Redis. */
#ifndef PRESENCE_BASE_NUMBER_H
#define PRESENCE_BASE_NUMBER_H

#include <stdint.h>

/*
 * No number is taken for larger, or for less than -NUMBER_MAX: up to there a double is exact, and so is
 * Lua; and what is computed with a few of them, a thousandfold among it, fits an int64_t.
 */
#define NUMBER_MAX (INT64_C(1) << 53)

/* The nearest number within these bounds. */
int64_t number_bound(int64_t number);

/* The number that a text begins with, within these bounds; 0 when it begins with none. */
double number_read(const char *text);

#endif
