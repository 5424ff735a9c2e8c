#include "auth/password.h"

#include <stdlib.h>
#include <string.h>

#include <crypt.h>
#include <openssl/crypto.h>

#include "base/alloc.h"

#define PREFIX "$y$" /* yescrypt, at crypt_gensalt's default cost */

/* What an unknown account's password is checked against: yescrypt at the same cost. */
#define DUMMY "$y$j9T$eEM3U4huHBvTCcZI.RoKL0$1p3K/GWZEZK5OPbGhew5JJ5W7js10rWEEpxk1DR6Ws3"

/*
 * crypt(3) of the password with that hash or salt. NULL when the password is
 * CRYPT_MAX_PASSPHRASE_SIZE (512) bytes or longer, or the setting is no good.
 * The caller frees it.
 */
static char *crypt_text(const char *password, const char *setting)
{
	void *data = NULL;
	int size = 0;
	char *result = crypt_ra(password, setting, &data, &size);

	if (result != NULL)
		result = result[0] == '*' ? NULL : xstrdup(result);
	if (data != NULL)
		OPENSSL_cleanse(data, (size_t)size);
	free(data);
	return result;
}

/* Whether the hash is of a method of crypt(5) that still resists guessing: not DES, MD5, NT, ... */
static bool is_supported(const char *hash)
{
	static const char *const prefixes[] = {PREFIX, "$gy$", "$7$", "$2b$",
					       "$2y$", "$2a$", "$6$", "$5$"};

	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
		if (strncmp(hash, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

char *password_hash(const char *password)
{
	char *salt = crypt_gensalt_ra(PREFIX, 0, NULL, 0), *hash;

	if (salt == NULL)
		return NULL;
	hash = crypt_text(password, salt);
	free(salt);
	return hash;
}

static bool equal(const char *a, const char *b)
{
	size_t len = strlen(a);

	return len == strlen(b) && CRYPTO_memcmp(a, b, len) == 0;
}

bool password_verify(const char *password, const char *hash)
{
	char *computed = NULL;
	bool match;

	if (hash != NULL && is_supported(hash))
		computed = crypt_text(password, hash);
	match = computed != NULL && equal(computed, hash);
	/*
	 * No account, or a hash that cannot be checked: take the time nevertheless.
	 * A password that is too long fails at once, here as with any hash.
	 */
	if (computed == NULL)
		computed = crypt_text(password, DUMMY);
	free(computed);
	return match;
}
