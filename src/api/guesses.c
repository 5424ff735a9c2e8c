#include "api/guesses.h"

/* FNV-1a. */
static uint64_t add_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	while (*text++ != '\0');
	return hash;
}

static uint64_t hash_of(const struct userid *caller, const struct userid *user)
{
	uint64_t hash = add_text(add_text(0xcbf29ce484222325, caller->text), user->text);

	return hash != 0 ? hash : 1;
}

bool guesses_has(const struct guesses *guesses, const struct userid *caller,
		 const struct userid *user)
{
	uint64_t hash = hash_of(caller, user);

	return guesses->slots[hash % GUESSES_MAX] == hash;
}

void guesses_note(struct guesses *guesses, const struct userid *caller, const struct userid *user,
		  bool hidden)
{
	uint64_t hash = hash_of(caller, user), *slot = &guesses->slots[hash % GUESSES_MAX];

	if (hidden)
		*slot = hash;
	else if (*slot == hash)
		*slot = 0;
}
