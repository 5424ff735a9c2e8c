#include "auth/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "auth/jwk.h"
#include "base/alloc.h"
#include "base/secret.h"

static bool fail(char *err, size_t errsize, const char *file, const char *what)
{
	snprintf(err, errsize, "%s: %s", file, what);
	return false;
}

/* The next free key; NULL, with a sentence in err, when there are too many. */
static struct jws_key *ring_add(struct key_ring *ring, const char *file, char *err, size_t errsize)
{
	if (ring->count < KEYS_MAX)
		return &ring->keys[ring->count++];
	fail(err, errsize, file, "auth.key_file names more keys than can be kept (32)");
	return NULL;
}

/* --- one file ----------------------------------------------------------------------------------*/

/* NULL, or a sentence. One newline at the end is not part of the secret. */
static const char *read_secret(const struct secret_file *file, struct jws_key *key)
{
	static const char pem[] = "-----BEGIN ";
	size_t len = file->len;

	/* A public key as secret would let everybody issue tokens. */
	if (strncmp((const char *)file->data, pem, sizeof pem - 1) == 0)
		return "holds a PEM key, but the algorithm takes an HMAC secret";
	if (len > 0 && file->data[len - 1] == '\n')
		len--;
	jws_key_set_secret(key, file->data, len);
	return NULL;
}

/* NULL, or a sentence. */
static const char *read_pem(const struct secret_file *file, struct jws_key *key)
{
	return jws_key_read_public(key, file->data, file->len)
		       ? NULL
		       : "does not hold a PEM public key (BEGIN PUBLIC KEY)";
}

/* A file of one key. */
static bool load_key(struct key_ring *ring, const char *path, const struct secret_file *file,
		     char *err, size_t errsize)
{
	bool is_secret = ring->algorithm->kind == JWS_HMAC;
	struct jws_key *key;
	const char *why;

	if (is_secret && !secret_file_is_private(file, path, err, errsize))
		return false;
	key = ring_add(ring, path, err, errsize);
	if (key == NULL)
		return false;
	why = is_secret ? read_secret(file, key) : read_pem(file, key);
	if (why == NULL)
		why = jws_key_check(ring->algorithm, key);
	return why == NULL || fail(err, errsize, path, why);
}

/* A JWK Set (RFC 7517 section 5): keys of other kinds and for other uses are passed over. */
static bool load_set(struct key_ring *ring, const char *path, const struct secret_file *file,
		     char *err, size_t errsize)
{
	size_t before = ring->count;
	struct json_object *set;
	const char *why = NULL;
	bool ok = true;

	set = jwk_set_parse((const char *)file->data, file->len, &why);
	if (set == NULL)
		return fail(err, errsize, path, why);
	if (jwk_set_is_secret(set))
		ok = secret_file_is_private(file, path, err, errsize);
	for (size_t i = 0; ok && i < jwk_set_count(set); i++) {
		struct jws_key key = {.kid = NULL}, *kept;

		if (!jwk_read(ring->algorithm, jwk_set_get(set, i), &key, &why)) {
			ok = why == NULL || fail(err, errsize, path, why);
			continue;
		}
		kept = ring_add(ring, path, err, errsize);
		ok = kept != NULL;
		if (ok)
			*kept = key;
		else
			jws_key_clear(&key);
	}
	jwk_set_free(set);
	if (ok && ring->count == before)
		return fail(err, errsize, path, "holds no key for the algorithm");
	return ok;
}

static bool is_set(const char *path)
{
	size_t len = strlen(path), end = sizeof ".json" - 1;

	return len >= end && strcmp(path + len - end, ".json") == 0;
}

static bool load_file(struct key_ring *ring, const char *path, char *err, size_t errsize)
{
	struct secret_file file;
	bool ok;

	if (!secret_file_read(&file, path, err, errsize))
		return false;
	ok = is_set(path) ? load_set(ring, path, &file, err, errsize)
			  : load_key(ring, path, &file, err, errsize);
	secret_file_clear(&file);
	return ok;
}

/* --- all of them -------------------------------------------------------------------------------*/

/* `list` is names separated by commas, with blanks around them perhaps. */
static bool load_files(struct key_ring *ring, const char *list, char *err, size_t errsize)
{
	bool ok = true;

	while (ok) {
		size_t len = strcspn(list, ",");
		const char *start = list + strspn(list, " \t");
		const char *end = list + len;
		char *path;

		while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (end <= start)
			return fail(err, errsize, "auth.key_file", "a file's name is empty");
		path = xstrndup(start, (size_t)(end - start));
		ok = load_file(ring, path, err, errsize);
		free(path);
		if (list[len] == '\0')
			break;
		list += len + 1;
	}
	return ok;
}

/* The private key, and which of the public ones belongs to it: that one's name goes into tokens. */
static bool load_private_key(struct key_ring *ring, const char *path, char *err, size_t errsize)
{
	struct jws_key *key = &ring->private_key;
	struct secret_file file;
	const char *why = NULL;
	bool ok;

	if (!secret_file_read(&file, path, err, errsize))
		return false;
	ok = secret_file_is_private(&file, path, err, errsize);
	if (ok)
		why = jws_key_read_private(key, file.data, file.len)
			      ? jws_key_check(ring->algorithm, key)
			      : "does not hold a PEM private key without a passphrase";
	secret_file_clear(&file);
	if (!ok)
		return false;
	if (why != NULL)
		return fail(err, errsize, path, why);
	for (size_t i = 0; i < ring->count; i++) {
		if (EVP_PKEY_eq(ring->keys[i].pkey, key->pkey) != 1)
			continue;
		if (ring->keys[i].kid != NULL)
			key->kid = xstrdup(ring->keys[i].kid);
		ring->signer = key;
		return true;
	}
	return fail(err, errsize, path, "does not belong to a public key in auth.key_file");
}

bool key_ring_load(struct key_ring *ring, const struct config *config, char *err, size_t errsize)
{
	ring->algorithm = jws_algorithm((enum auth_algorithm)config->auth.algorithm);
	if (!load_files(ring, config->auth.key_file, err, errsize))
		return false;
	for (size_t i = 0; i < ring->count; i++) {
		if (!jws_key_make_ready(ring->algorithm, &ring->keys[i]))
			return fail(err, errsize, config->auth.key_file,
				    "OpenSSL lacks the algorithm");
	}
	if (ring->algorithm->kind == JWS_HMAC) {
		ring->signer = &ring->keys[0];
		return true;
	}
	return config->auth.signing_key_file[0] == '\0' ||
	       load_private_key(ring, config->auth.signing_key_file, err, errsize);
}

void key_ring_clear(struct key_ring *ring)
{
	for (size_t i = 0; i < ring->count; i++)
		jws_key_clear(&ring->keys[i]);
	jws_key_clear(&ring->private_key);
	memset(ring, 0, sizeof *ring);
}

const struct jws_key *key_ring_next(const struct key_ring *ring, const char *kid,
				    const struct jws_key *previous)
{
	const struct jws_key *key = previous != NULL ? previous + 1 : ring->keys;

	for (; key < ring->keys + ring->count; key++) {
		if (kid == NULL || key->kid == NULL || strcmp(key->kid, kid) == 0)
			return key;
	}
	return NULL;
}
