/*
 * Whom callers could not see when they asked last. What Redis holds of a hidden
 * user takes a little longer to fetch than nothing, and whom a block hides is
 * known only with the same answer; so who was hidden before is guessed to be so
 * again, and nothing is fetched. Wrong guesses cost a second question. A worker
 * has its own, of the latest; a guess is never an answer.
 */
#ifndef PRESENCE_API_GUESSES_H
#define PRESENCE_API_GUESSES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/userid.h"

#define GUESSES_MAX 4096

struct guesses {
	uint64_t slots[GUESSES_MAX]; /* hashes of caller and user, each at its place; 0 = none */
};

bool guesses_has(const struct guesses *guesses, const struct userid *caller,
		 const struct userid *user);
void guesses_note(struct guesses *guesses, const struct userid *caller, const struct userid *user,
		  bool hidden);

#endif
