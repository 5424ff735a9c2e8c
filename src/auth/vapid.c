#include "auth/vapid.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>

#include "base/alloc.h"
#include "base/base64url.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/secret.h"

#define LIFETIME (VAPID_REUSE + 3600) /* seconds: longer than it is used, shorter than 24 h */
#define POINT_LEN 65 /* an uncompressed point on P-256 */
#define POINT_TEXT_LEN 87 /* the same in base64url */
#define HALF_LEN 32 /* r and s of a signature */
#define SIGNATURE_MAX 128 /* bytes in DER */

/* A token in use. */
struct signed_token {
	char *origin; /* NULL: unused */
	char *authorization;
	int64_t made; /* seconds */
};

struct vapid {
	EVP_PKEY *key;
	EVP_MD *sha256;
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
	EVP_PKEY_free(vapid->key);
	EVP_MD_free(vapid->sha256);
	free(vapid->subject);
	free(vapid);
}

/* --- the key --------------------------------------------------------------------------------- */

/* The key in a PEM text, if it is a private one on P-256, or NULL. */
static EVP_PKEY *parse_key(const struct secret_file *file)
{
	BIO *in = BIO_new_mem_buf(file->data, (int)file->len);
	/* No pass phrase, and nobody to ask for one. */
	EVP_PKEY *key = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"") : NULL;
	char group[32] = "";

	BIO_free(in);
	if (key != NULL && EVP_PKEY_is_a(key, "EC") == 1 &&
	    EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
	    strcmp(group, "prime256v1") == 0)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static EVP_PKEY *read_key(const char *path, char *err, size_t errsize)
{
	struct secret_file file;
	EVP_PKEY *key = NULL;

	if (!secret_file_read(&file, path, err, errsize))
		return NULL;
	if (secret_file_is_private(&file, path, err, errsize)) {
		key = parse_key(&file);
		if (key == NULL)
			snprintf(err, errsize,
				 "push.key_file: %s is not the PEM of a private key on P-256 "
				 "(presencectl push key makes one)",
				 path);
	}
	secret_file_clear(&file);
	return key;
}

static bool write_public_key(struct vapid *vapid)
{
	unsigned char point[POINT_LEN];
	struct printbuf *text;
	size_t len;

	/* A PEM file may ask for the compressed form. */
	if (EVP_PKEY_set_utf8_string_param(vapid->key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
					   OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) !=
		    1 ||
	    EVP_PKEY_get_octet_string_param(vapid->key, OSSL_PKEY_PARAM_PUB_KEY, point,
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
	EVP_PKEY *key = read_key(key_file, err, errsize);
	struct vapid *vapid;

	if (key == NULL)
		return NULL;
	vapid = xcalloc(1, sizeof *vapid);
	vapid->key = key;
	vapid->subject = xstrdup(subject);
	vapid->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (vapid->sha256 != NULL && write_public_key(vapid))
		return vapid;
	snprintf(err, errsize, "push.key_file: %s: OpenSSL cannot use this key", key_file);
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

/* Turns DER into r and s, each of 32 bytes (RFC 7518 section 3.4). */
static bool der_to_raw(const unsigned char *der, size_t len, unsigned char raw[2 * HALF_LEN])
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, HALF_LEN) == HALF_LEN &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + HALF_LEN, HALF_LEN) == HALF_LEN;

	ECDSA_SIG_free(pair);
	return ok;
}

static bool sign(const struct vapid *vapid, const struct printbuf *text,
		 unsigned char raw[2 * HALF_LEN])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char der[SIGNATURE_MAX];
	size_t len = sizeof der;
	bool ok = context != NULL &&
		  EVP_DigestSignInit_ex(context, NULL, EVP_MD_get0_name(vapid->sha256), NULL, NULL,
					vapid->key, NULL) == 1 &&
		  EVP_DigestSign(context, der, &len, (const unsigned char *)text->buf,
				 buf_len(text)) == 1 &&
		  der_to_raw(der, len, raw);

	EVP_MD_CTX_free(context);
	return ok;
}

/* RFC 8292 section 2: aud, exp, sub. */
static void put_claims(struct printbuf *out, const struct vapid *vapid, const char *origin,
		       int64_t now)
{
	struct printbuf *claims = buf_new();

	buf_puts(claims, "{\"aud\":");
	json_put_string(claims, origin, strlen(origin));
	buf_putf(claims, ",\"exp\":%" PRId64, now + LIFETIME);
	if (vapid->subject[0] != '\0') {
		buf_puts(claims, ",\"sub\":");
		json_put_string(claims, vapid->subject, strlen(vapid->subject));
	}
	buf_puts(claims, "}");
	base64url_put(out, claims->buf, buf_len(claims));
	printbuf_free(claims);
}

/* "vapid t=TOKEN, k=KEY" (RFC 8292 section 3), which the caller frees; NULL: not signed. */
static char *make_authorization(const struct vapid *vapid, const char *origin, int64_t now)
{
	static const char header[] = "{\"typ\":\"JWT\",\"alg\":\"ES256\"}";
	struct printbuf *token = buf_new(), *line;
	unsigned char raw[2 * HALF_LEN];

	base64url_put(token, header, sizeof header - 1);
	buf_puts(token, ".");
	put_claims(token, vapid, origin, now);
	if (!sign(vapid, token, raw)) {
		printbuf_free(token);
		return NULL;
	}
	line = buf_new();
	buf_puts(token, ".");
	base64url_put(token, raw, sizeof raw);
	buf_putf(line, "vapid t=%s, k=%s", token->buf, vapid->public_key);
	printbuf_free(token);
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
