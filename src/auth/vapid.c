#include "auth/vapid.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "auth/sign.h"
#include "base/alloc.h"
#include "base/base64url.h"
#include "base/buf.h"
#include "base/secret.h"

#define LIFETIME (VAPID_REUSE + 3600) /* seconds: longer than it is used, shorter than 24 h */
#define POINT_LEN 65 /* an uncompressed point on P-256 */
#define POINT_TEXT_LEN 87 /* the same in base64url */

/* A token in use. */
struct signed_token {
	char *origin; /* NULL: unused */
	char *authorization;
	int64_t made; /* seconds */
};

struct vapid {
	struct jws_key key;
	char *subject;
	char public_key[POINT_TEXT_LEN + 1];
	struct signed_token tokens[VAPID_ORIGINS_MAX];
	size_t next; /* the place that is used next when all are taken */
};

void vapid_free(struct vapid *vapid)
{
	if (vapid == NULL)
		return;
	for (size_t i = 0; i < VAPID_ORIGINS_MAX; i++) {
		free(vapid->tokens[i].origin);
		free(vapid->tokens[i].authorization);
	}
	jws_key_clear(&vapid->key);
	free(vapid->subject);
	free(vapid);
}

/* --- the key --------------------------------------------------------------------------------- */

static bool read_key(struct jws_key *key, const char *path, char *err, size_t errsize)
{
	struct secret_file file;
	bool ok;

	if (!secret_file_read(&file, path, err, errsize))
		return false;
	ok = secret_file_is_private(&file, path, err, errsize);
	if (ok && (!jws_key_read_private(key, file.data, file.len) ||
		   jws_key_check(jws_algorithm(AUTH_ES256), key) != NULL)) {
		snprintf(err, errsize,
			 "push.key_file: %s is not the PEM of a private key on P-256 "
			 "(presencectl push key makes one)",
			 path);
		ok = false;
	}
	secret_file_clear(&file);
	return ok;
}

static bool write_public_key(struct vapid *vapid)
{
	unsigned char point[POINT_LEN];
	struct printbuf *text;
	size_t len;

	/* A PEM file may ask for the compressed form. */
	if (EVP_PKEY_set_utf8_string_param(
		    vapid->key.pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
		    OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) != 1 ||
	    EVP_PKEY_get_octet_string_param(vapid->key.pkey, OSSL_PKEY_PARAM_PUB_KEY, point,
					    sizeof point, &len) != 1 ||
	    len != sizeof point)
		return false;
	text = buf_new();
	base64url_put(text, point, sizeof point);
	memcpy(vapid->public_key, text->buf, buf_len(text) + 1);
	printbuf_free(text);
	return true;
}

struct vapid *vapid_open(const char *key_file, const char *subject, char *err, size_t errsize)
{
	struct vapid *vapid = xcalloc(1, sizeof *vapid);

	vapid->subject = xstrdup(subject);
	if (read_key(&vapid->key, key_file, err, errsize)) {
		if (write_public_key(vapid))
			return vapid;
		snprintf(err, errsize, "push.key_file: %s: OpenSSL cannot use this key", key_file);
	}
	vapid_free(vapid);
	return NULL;
}

const char *vapid_public_key(const struct vapid *vapid)
{
	return vapid->public_key;
}

char *vapid_make_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *out = BIO_new(BIO_s_mem());
	char *text, *pem = NULL;
	long len;

	if (key != NULL && out != NULL &&
	    PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1) {
		len = BIO_get_mem_data(out, &text);
		pem = xstrndup(text, (size_t)len);
	}
	BIO_free(out);
	EVP_PKEY_free(key);
	return pem;
}

/* --- tokens ---------------------------------------------------------------------------------- */

/* "vapid t=TOKEN, k=KEY" (RFC 8292 section 3), which the caller frees; NULL: not signed. */
static char *make_authorization(const struct vapid *vapid, const char *origin, int64_t now)
{
	char *token = NULL;
	struct printbuf *line;
	jwt_t *jwt;

	if (jwt_new(&jwt) != 0)
		return NULL;
	/* RFC 8292 section 2 */
	if (jwt_add_grant(jwt, "aud", origin) == 0 &&
	    jwt_add_grant_int(jwt, "exp", now + LIFETIME) == 0 &&
	    (vapid->subject[0] == '\0' || jwt_add_grant(jwt, "sub", vapid->subject) == 0))
		token = sign_jwt(jwt, jws_algorithm(AUTH_ES256), &vapid->key);
	jwt_free(jwt);
	if (token == NULL)
		return NULL;
	line = buf_new();
	buf_putf(line, "vapid t=%s, k=%s", token, vapid->public_key);
	free(token);
	return buf_take(line, NULL);
}

/* The place of an origin: its own, a free one, or the one whose turn it is. */
static struct signed_token *find_token(struct vapid *vapid, const char *origin)
{
	struct signed_token *unused = NULL;

	for (size_t i = 0; i < VAPID_ORIGINS_MAX; i++) {
		struct signed_token *token = &vapid->tokens[i];

		if (token->origin != NULL && strcmp(token->origin, origin) == 0)
			return token;
		if (token->origin == NULL && unused == NULL)
			unused = token;
	}
	if (unused == NULL) {
		unused = &vapid->tokens[vapid->next];
		vapid->next = (vapid->next + 1) % VAPID_ORIGINS_MAX;
	}
	return unused;
}

const char *vapid_authorization(struct vapid *vapid, const char *origin, int64_t now)
{
	struct signed_token *token = find_token(vapid, origin);
	char *line, *name;

	/* A clock that was set back makes the token's end lie too far ahead. */
	if (token->origin != NULL && strcmp(token->origin, origin) == 0 && now >= token->made &&
	    now - token->made < VAPID_REUSE)
		return token->authorization;
	line = make_authorization(vapid, origin, now);
	if (line == NULL)
		return NULL;
	name = xstrdup(origin);
	free(token->origin);
	free(token->authorization);
	*token = (struct signed_token){.origin = name, .authorization = line, .made = now};
	return line;
}
