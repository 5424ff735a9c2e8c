#include "auth/verified.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/alloc.h"

#define TAIL 8 /* characters at a token's end, of its signature: as good as random */

static size_t slot_of(const char *text, size_t len)
{
	size_t sum = 0;

	for (size_t i = len > TAIL ? len - TAIL : 0; i < len; i++)
		sum = sum * 33 + (unsigned char)text[i];
	return sum % VERIFIED_MAX;
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
		forget(set->slots[i]);
		set->slots[i] = NULL;
	}
}

const struct verified *verified_find(const struct verified_set *set, const char *text, size_t len)
{
	const struct verified *known = set->slots[slot_of(text, len)];

	/* In constant time: how long it takes must not tell how much of a token was guessed. */
	if (known == NULL || known->len != len || CRYPTO_memcmp(known->text, text, len) != 0)
		return NULL;
	return known;
}

void verified_add(struct verified_set *set, const char *text, size_t len, const struct token *token,
		  const struct token_dates *dates)
{
	struct verified **slot = &set->slots[slot_of(text, len)];

	if (len > VERIFIED_LEN_MAX)
		return;
	forget(*slot);
	*slot = xmalloc(sizeof **slot + len);
	(*slot)->token = *token;
	(*slot)->dates = *dates;
	(*slot)->len = len;
	memcpy((*slot)->text, text, len);
}
