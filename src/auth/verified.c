#include "auth/verified.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/alloc.h"

#define TAIL 8 /* characters at a token's end, of its signature: as good as random */

static size_t row_of(const char *text, size_t len)
{
	size_t sum = 0;

	for (size_t i = len > TAIL ? len - TAIL : 0; i < len; i++)
		sum = sum * 33 + (unsigned char)text[i];
	return sum % (VERIFIED_MAX / VERIFIED_WAYS);
}

static void forget(struct verified *known)
{
	if (known != NULL)
		OPENSSL_cleanse(known->text, known->len);
	free(known);
}

void verified_clear(struct verified_set *set)
{
	struct verified **slots = set->rows[0];

	for (size_t i = 0; i < VERIFIED_MAX; i++) {
		forget(slots[i]);
		slots[i] = NULL;
	}
}

/* In constant time: how long it takes must not tell how much of a token was guessed. */
static bool is_text(const struct verified *known, const char *text, size_t len)
{
	return known != NULL && known->len == len && CRYPTO_memcmp(known->text, text, len) == 0;
}

const struct verified *verified_find(const struct verified_set *set, const char *text, size_t len)
{
	struct verified *const *row = set->rows[row_of(text, len)];

	for (size_t i = 0; i < VERIFIED_WAYS; i++) {
		if (is_text(row[i], text, len))
			return row[i];
	}
	return NULL;
}

void verified_add(struct verified_set *set, const char *text, size_t len, const struct token *token,
		  const struct token_dates *dates)
{
	struct verified **row = set->rows[row_of(text, len)];

	if (len > VERIFIED_LEN_MAX)
		return;
	forget(row[VERIFIED_WAYS - 1]);
	memmove(row + 1, row, (VERIFIED_WAYS - 1) * sizeof row[0]);
	row[0] = xmalloc(sizeof *row[0] + len);
	row[0]->token = *token;
	row[0]->dates = *dates;
	row[0]->len = len;
	memcpy(row[0]->text, text, len);
}
