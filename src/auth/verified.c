#include "auth/verified.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/alloc.h"

#define TAIL 8 /* characters at a token's end, of its signature: as good as random */

static size_t place_of(const char *text, size_t len)
{
	size_t place = 0;

	for (size_t i = len > TAIL ? len - TAIL : 0; i < len; i++)
		place = place * 33 + (unsigned char)text[i];
	return place % VERIFIED_MAX;
}

static void forget(struct verified *known)
{
	if (known != NULL)
		OPENSSL_cleanse(known->text, known->len);
	free(known);
}

void verified_clear(struct verified_set *set)
{
	for (size_t i = 0; i < VERIFIED_MAX; i++) {
		forget(set->places[i]);
		set->places[i] = NULL;
	}
}

const struct verified *verified_find(const struct verified_set *set, const char *text, size_t len)
{
	const struct verified *known = set->places[place_of(text, len)];

	/* In constant time: how long it takes must not tell how much of a token was guessed. */
	if (known == NULL || known->len != len || CRYPTO_memcmp(known->text, text, len) != 0)
		return NULL;
	return known;
}

void verified_add(struct verified_set *set, const char *text, size_t len, const struct token *token,
		  const struct token_dates *dates)
{
	struct verified **place = &set->places[place_of(text, len)];

	if (len > VERIFIED_LEN_MAX)
		return;
	forget(*place);
	*place = xmalloc(sizeof **place + len);
	(*place)->token = *token;
	(*place)->dates = *dates;
	(*place)->len = len;
	memcpy((*place)->text, text, len);
}
