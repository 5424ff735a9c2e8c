#include "auth/password.h"

#include <stdlib.h>
#include <string.h>

#include <crypt.h>
#include <openssl/crypto.h>

#include "base/alloc.h"

#define PREFIX "$y$" /* yescrypt, at crypt_gensalt's default cost */

/*
 * What an unknown account's password is checked against, so that the time tells
 * nothing: at first yescrypt at the same cost, then a setting like those of the
 * site's own hashes, which may be cheaper or dearer.
 */
static char dummy[CRYPT_OUTPUT_SIZE] = "$y$j9T$eEM3U4huHBvTCcZI.RoKL0$";
static bool is_dummy_fixed;

/*
 * crypt(3) of the password with that hash or salt. NULL when the password is
 * CRYPT_MAX_PASSPHRASE_SIZE (512) bytes or longer, or the setting is not one.
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

/* Bytes of method, cost and salt: of all but what comes of the password. */
static size_t setting_len(const char *hash)
{
	/* bcrypt's salt has 22 characters and no end of its own: $2b$NN$ and these. */
	return hash[1] == '2' ? 29 : (size_t)(strrchr(hash, '$') + 1 - hash);
}

static void set_dummy(const char *hash)
{
	size_t len = setting_len(hash);

	if (len <= strlen(hash) && len < sizeof dummy) {
		memcpy(dummy, hash, len);
		dummy[len] = '\0';
	}
}

bool password_set_dummy(const char *hash)
{
	is_dummy_fixed = *hash != '\0';
	if (!is_dummy_fixed)
		return true;
	if (!is_supported(hash) || setting_len(hash) > strlen(hash) ||
	    crypt_checksalt(hash) == CRYPT_SALT_INVALID)
		return false;
	set_dummy(hash);
	return true;
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
	if (computed != NULL && !is_dummy_fixed)
		set_dummy(hash);
	/*
	 * No account, or a hash that cannot be checked: take the time nevertheless.
	 * A password that is too long fails at once, here as with any hash.
	 */
	if (computed == NULL)
		computed = crypt_text(password, dummy);
	free(computed);
	return match;
}
