/*
 * Properties of tokens. The input is a header and a payload, a line each, which are signed with our
 * secret: whatever is accepted says what a plain look at its claims says. The input as it is, too,
 * is taken for a token: one that is accepted bears a signature that our secret makes. And for a JWK Set
 * and a PEM text: a key that is taken is one that the algorithm needs.
 */
#include "fuzz.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/jwk.h"
#include "auth/token_keys.h"
#include "base/buf.h"
#include "base/json.h"

#define NOW INT64_C(1700000000)
#define LEEWAY 30
#define SECRET "a secret of the fuzz target, 32 bytes and more"
#define MAC_LEN 32

static const struct token_keys *keys(void)
{
	static struct token_keys *opened;
	char path[FUZZ_PATH_SIZE], key_path[FUZZ_PATH_SIZE], text[256], err[512] = "";
	static struct config *config;
	int key, file;

	if (opened != NULL)
		return opened;
	key = fuzz_file(SECRET, sizeof SECRET - 1, key_path);
	snprintf(text, sizeof text,
		 "auth { key_file = \"%s\" leeway = %d }\ndirectory { params = \"x\" }\n", key_path,
		 LEEWAY);
	file = fuzz_file(text, strlen(text), path);
	config = config_load(path, err, sizeof err);
	if (config != NULL)
		opened = token_keys_open(config, err, sizeof err);
	if (opened == NULL)
		fprintf(stderr, "%s\n", err);
	REQUIRE(opened != NULL);
	close(key);
	close(file);
	return opened;
}

/* RFC 4648 section 5, without padding. */
static void put_base64url(struct printbuf *out, const void *data, size_t len)
{
	unsigned char *text = malloc(len / 3 * 4 + 8);

	REQUIRE(text != NULL);
	EVP_EncodeBlock(text, data, (int)len);
	for (unsigned char *c = text; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	buf_put(out, text, strcspn((char *)text, "="));
	free(text);
}

static void put_signature(struct printbuf *out, const void *input, size_t len)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;

	HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, input, len, mac, &mac_len);
	REQUIRE(mac_len == MAC_LEN);
	put_base64url(out, mac, mac_len);
}

static struct printbuf *sign(const uint8_t *header, size_t header_len, const uint8_t *payload,
			     size_t payload_len)
{
	struct printbuf *token = buf_new(), *signature = buf_new();

	put_base64url(token, header, header_len);
	buf_puts(token, ".");
	put_base64url(token, payload, payload_len);
	put_signature(signature, token->buf, buf_len(token));
	buf_puts(token, ".");
	buf_put(token, signature->buf, buf_len(signature));
	printbuf_free(signature);
	return token;
}

static enum problem_kind verify(const char *text, size_t len, struct token *token)
{
	const char *why = NULL;
	char *exact = malloc(len + 1);
	enum problem_kind kind;

	REQUIRE(exact != NULL);
	memcpy(exact, text, len);
	kind = token_keys_verify(keys(), exact, len, NOW * 1000, token, &why);
	REQUIRE(kind == PROBLEM_NONE || kind == PROBLEM_TOKEN_INVALID ||
		kind == PROBLEM_TOKEN_EXPIRED);
	REQUIRE(kind == PROBLEM_NONE || why != NULL);
	free(exact);
	return kind;
}

static void check_token(const struct token *token)
{
	struct userid again;

	REQUIRE(userid_parse(token->user.text, strlen(token->user.text), &again));
	REQUIRE(token->name[0] != '\0' && strlen(token->name) <= TOKEN_NAME_MAX);
	for (const char *c = token->name; *c != '\0'; c++)
		REQUIRE(*c >= ' ' && *c <= '~');
	REQUIRE(strlen(token->session_id) == TOKEN_SESSION_LEN);
	REQUIRE(strlen(token->user_name) <= TOKEN_USER_NAME_MAX);
}

/* The claims of one that was accepted, by another look at them. */
static void check_claims(const uint8_t *payload, size_t len, const struct token *token,
			 enum problem_kind kind)
{
	const char *why;
	struct json_object *claims = json_parse_object((const char *)payload, len, &why);
	struct json_object *exp = json_member(claims, "exp"), *nbf = json_member(claims, "nbf");
	struct userid subject;

	REQUIRE(claims != NULL);
	REQUIRE(json_object_is_type(exp, json_type_int) ||
		json_object_is_type(exp, json_type_double));
	if (kind == PROBLEM_TOKEN_EXPIRED) {
		REQUIRE(json_object_get_double(exp) <= NOW - LEEWAY + 1);
	} else {
		REQUIRE(json_object_get_double(exp) > NOW - LEEWAY - 1);
		REQUIRE(nbf == NULL || json_object_get_double(nbf) < NOW + LEEWAY + 1);
		REQUIRE(userid_from_subject(json_member(claims, "sub"), &subject));
		REQUIRE(userid_equal(&subject, &token->user));
	}
	json_object_put(claims);
}

static void check_header(const uint8_t *header, size_t len)
{
	char *text = strndup((const char *)header, len);
	struct json_object *fields, *value = NULL;

	REQUIRE(text != NULL);
	fields = json_tokener_parse(text);
	REQUIRE(json_object_object_get_ex(fields, "alg", &value));
	REQUIRE(strcmp(json_object_get_string(value), "HS256") == 0);
	REQUIRE(!json_object_object_get_ex(fields, "crit", &value));
	json_object_put(fields);
	free(text);
}

static void check_signed(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	size_t header_len = end != NULL ? (size_t)(end - data) : size;
	const uint8_t *payload = end != NULL ? end + 1 : data;
	size_t payload_len = end != NULL ? size - header_len - 1 : 0;
	struct printbuf *text = sign(data, header_len, payload, payload_len);
	struct token token, again;
	enum problem_kind kind = verify(text->buf, buf_len(text), &token);

	REQUIRE(buf_len(text) <= TOKEN_MAX || kind == PROBLEM_TOKEN_INVALID);
	if (kind != PROBLEM_TOKEN_INVALID) {
		check_header(data, header_len);
		check_claims(payload, payload_len, &token, kind);
	}
	if (kind == PROBLEM_NONE) {
		check_token(&token);
		REQUIRE(verify(text->buf, buf_len(text), &again) == PROBLEM_NONE);
		REQUIRE(strcmp(token.name, again.name) == 0 && token.exp == again.exp);
		/* One bit more or less in the signature. */
		text->buf[buf_len(text) - 2] ^= 1;
		REQUIRE(verify(text->buf, buf_len(text), &again) == PROBLEM_TOKEN_INVALID);
	}
	printbuf_free(text);
}

/* As it came over the wire. */
static void check_raw(const uint8_t *data, size_t size)
{
	struct token token;
	struct printbuf *signature;
	const uint8_t *dot;

	if (verify((const char *)data, size, &token) != PROBLEM_NONE)
		return;
	check_token(&token);
	dot = memrchr(data, '.', size);
	REQUIRE(dot != NULL);
	signature = buf_new();
	put_signature(signature, data, (size_t)(dot - data));
	REQUIRE((size_t)(data + size - dot) - 1 == buf_len(signature) &&
		memcmp(dot + 1, signature->buf, buf_len(signature)) == 0);
	printbuf_free(signature);
}

/* One that was taken: it is of its kind, and a false signature is none. */
static void check_key(const struct jws_algorithm *algorithm, struct jws_key *key)
{
	static const unsigned char zeros[512];

	REQUIRE(jws_key_check(algorithm, key) == NULL);
	REQUIRE((key->secret != NULL) == (algorithm->kind == JWS_HMAC));
	REQUIRE((key->pkey != NULL) == (algorithm->kind != JWS_HMAC));
	REQUIRE(key->kid == NULL || strlen(key->kid) <= JWS_KID_MAX);
	if (jws_key_make_ready(algorithm, key))
		REQUIRE(!jws_verify(algorithm, key, "a", 1, zeros, 2 * algorithm->coordinate));
}

static void check_jwk_set(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	struct json_object *set = jwk_set_parse((const char *)data, size, &why);

	REQUIRE(set != NULL || strlen(why) > 10);
	for (size_t i = 0; set != NULL && i < jwk_set_count(set); i++) {
		for (enum auth_algorithm which = AUTH_HS256; which <= AUTH_ES512; which++) {
			const struct jws_algorithm *algorithm = jws_algorithm(which);
			struct jws_key key = {.kid = NULL};

			if (jwk_read(algorithm, jwk_set_get(set, i), &key, &why))
				check_key(algorithm, &key);
			else
				REQUIRE(why == NULL || strlen(why) > 10);
			jws_key_clear(&key);
		}
	}
	if (set != NULL) {
		jwk_set_is_secret(set);
		jwk_set_free(set);
	}
}

static void check_pem(const uint8_t *data, size_t size)
{
	static const char begin[] = "-----BEGIN"; /* for all else OpenSSL takes its time */
	struct jws_key key = {.kid = NULL};

	if (size < sizeof begin || memcmp(data, begin, sizeof begin - 1) != 0)
		return;
	REQUIRE(jws_key_read_public(&key, data, size) == (key.pkey != NULL));
	jws_key_clear(&key);
	REQUIRE(jws_key_read_private(&key, data, size) == (key.pkey != NULL));
	jws_key_clear(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_signed(data, size);
	check_raw(data, size);
	check_jwk_set(data, size);
	check_pem(data, size);
	return 0;
}
