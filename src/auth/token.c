#include "auth/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "auth/verified.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/random.h"

#define KEY_FILE_MAX 65536
#define HMAC_KEY_MIN 32 /* bytes; RFC 7518 section 3.2 */
#define RSA_BITS_MIN 2048 /* RFC 7518 section 3.3 */
#define TIME_MAX INT64_C(253402300799) /* year 9999: a far exp cannot overflow a timer or TTL */

enum key_kind { KEY_HMAC, KEY_RSA, KEY_EC };

/* In the order of enum auth_algorithm. */
static const struct algorithm {
	jwt_alg_t jwt;
	enum key_kind kind;
	const char *curve; /* OpenSSL's name of the curve of RFC 7518 section 3.4 */
} algorithms[] = {
	[AUTH_HS256] = {JWT_ALG_HS256, KEY_HMAC, NULL},
	[AUTH_HS384] = {JWT_ALG_HS384, KEY_HMAC, NULL},
	[AUTH_HS512] = {JWT_ALG_HS512, KEY_HMAC, NULL},
	[AUTH_RS256] = {JWT_ALG_RS256, KEY_RSA, NULL},
	[AUTH_RS384] = {JWT_ALG_RS384, KEY_RSA, NULL},
	[AUTH_RS512] = {JWT_ALG_RS512, KEY_RSA, NULL},
	[AUTH_ES256] = {JWT_ALG_ES256, KEY_EC, "prime256v1"},
	[AUTH_ES384] = {JWT_ALG_ES384, KEY_EC, "secp384r1"},
	[AUTH_ES512] = {JWT_ALG_ES512, KEY_EC, "secp521r1"},
};

struct key {
	unsigned char *data; /* the HMAC secret or PEM text; NULL: there is none */
	int len;
};

struct token_keys {
	const struct config *config; /* borrowed */
	const struct algorithm *algorithm;
	struct key verifying;
	struct key signing; /* RS/ES only; HMAC signs with the verifying key */
	struct verified_set *verified; /* with these keys */
};

/* --- keys --------------------------------------------------------------------------------------*/

static void key_clear(struct key *key)
{
	if (key->data != NULL)
		OPENSSL_cleanse(key->data, (size_t)key->len);
	free(key->data);
	key->data = NULL;
}

static bool fail(char *err, size_t errsize, const char *file, const char *what)
{
	snprintf(err, errsize, "%s: %s", file, what);
	return false;
}

static bool key_read(struct key *key, const char *file, char *err, size_t errsize)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return fail(err, errsize, file, strerror(errno));
	key->data = xmalloc(KEY_FILE_MAX);
	key->len = 0;
	while ((got = read(fd, key->data + key->len, (size_t)(KEY_FILE_MAX - key->len))) > 0)
		key->len += (int)got;
	if (got < 0)
		fail(err, errsize, file, strerror(errno));
	else if (key->len == KEY_FILE_MAX)
		fail(err, errsize, file, "too large for a key file");
	close(fd);
	return got == 0 && key->len < KEY_FILE_MAX;
}

static const char *check_secret(struct key *key)
{
	static const char pem[] = "-----BEGIN ";

	if (key->len > 0 && key->data[key->len - 1] == '\n')
		key->len--;
	if (key->len < HMAC_KEY_MIN)
		return "an HMAC secret has at least 32 bytes";
	/* A public key as secret would let everybody issue tokens. */
	if (memcmp(key->data, pem, sizeof pem - 1) == 0)
		return "holds a PEM key, but the algorithm takes an HMAC secret";
	return NULL;
}

/* OpenSSL would ask the terminal, here and later inside libjwt: such a key is refused instead. */
static int no_passphrase(char *buf, int size, int writing, void *user)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)user;
	return -1;
}

/* What libjwt leaves unchecked: the kind and size of a key. NULL or a sentence. */
static const char *check_pem(const struct algorithm *algorithm, const struct key *key,
			     bool private_key)
{
	BIO *bio = BIO_new_mem_buf(key->data, key->len);
	char curve[64] = "";
	const char *why = NULL;
	EVP_PKEY *pkey;

	pkey = private_key ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
			   : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	if (pkey == NULL)
		why = private_key ? "holds no PEM private key without a passphrase"
				  : "holds no PEM public key (BEGIN PUBLIC KEY)";
	else if (algorithm->kind == KEY_RSA && EVP_PKEY_get_id(pkey) != EVP_PKEY_RSA)
		why = "is no RSA key, which the algorithm needs";
	else if (algorithm->kind == KEY_RSA && EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN)
		why = "an RSA key has at least 2048 bits";
	else if (algorithm->kind == KEY_EC &&
		 (EVP_PKEY_get_id(pkey) != EVP_PKEY_EC ||
		  EVP_PKEY_get_group_name(pkey, curve, sizeof curve, NULL) != 1 ||
		  strcmp(curve, algorithm->curve) != 0))
		why = "is no EC key on the algorithm's curve (P-256, P-384 or P-521)";
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return why;
}

/* Whether the signing key belongs to the verifying one: sign and verify once. */
static bool keys_match(const struct token_keys *keys)
{
	const struct userid user = {"1"};
	struct token token;
	const char *why;
	char *text = token_issue(keys, &user, NULL, NULL, 0, 1, &token);
	bool match = text != NULL &&
		     token_verify(keys, text, strlen(text), 0, &token, &why) == PROBLEM_NONE;

	free(text);
	return match;
}

static bool keys_load(struct token_keys *keys, char *err, size_t errsize)
{
	const struct algorithm *algorithm = keys->algorithm;
	const char *file = keys->config->auth.key_file, *why;

	if (!key_read(&keys->verifying, file, err, errsize))
		return false;
	why = algorithm->kind == KEY_HMAC ? check_secret(&keys->verifying)
					  : check_pem(algorithm, &keys->verifying, false);
	if (why != NULL)
		return fail(err, errsize, file, why);

	file = keys->config->auth.signing_key_file;
	if (algorithm->kind == KEY_HMAC || *file == '\0')
		return true;
	if (!key_read(&keys->signing, file, err, errsize))
		return false;
	why = check_pem(algorithm, &keys->signing, true);
	if (why == NULL && !keys_match(keys))
		why = "does not belong to the public key in auth.key_file";
	return why == NULL || fail(err, errsize, file, why);
}

struct token_keys *token_keys_open(const struct config *config, char *err, size_t errsize)
{
	struct token_keys *keys = xcalloc(1, sizeof *keys);

	keys->config = config;
	keys->algorithm = &algorithms[config->auth.algorithm];
	keys->verified = xcalloc(1, sizeof *keys->verified);
	if (keys_load(keys, err, errsize))
		return keys;
	token_keys_free(keys);
	return NULL;
}

void token_keys_use(struct token_keys *keys, const struct config *config)
{
	keys->config = config;
}

void token_keys_free(struct token_keys *keys)
{
	if (keys == NULL)
		return;
	key_clear(&keys->verifying);
	key_clear(&keys->signing);
	verified_clear(keys->verified);
	free(keys->verified);
	free(keys);
}

/* --- verifying ---------------------------------------------------------------------------------*/

static int base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/*
 * Whether text is three parts of base64url (RFC 7515 section 3.1), the last one
 * with its unused bits zero. libjwt skips other characters and ignores those
 * bits, so one signature would have many spellings, each with another tok.
 */
static bool is_compact(const char *text, size_t len)
{
	static const int unused[4] = {0, -1, 15, 3}; /* by the part's length modulo 4 */
	size_t parts = 1, start = 0;
	int last = -1;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.') {
			if (i == start)
				return false;
			parts++;
			start = i + 1;
			continue;
		}
		last = base64url_value(text[i]);
		if (last < 0)
			return false;
	}
	return parts == 3 && len > start && (len - start) % 4 != 1 &&
	       (last & unused[(len - start) % 4]) == 0;
}

/* Tells a claim of the wrong type (BAD) from one that is not there; JSON's null is of no type. */
enum claim { CLAIM_ABSENT, CLAIM_FOUND, CLAIM_BAD };

static enum claim claim_seconds(struct json_object *payload, const char *name, int64_t *seconds)
{
	struct json_object *value;

	if (!json_object_object_get_ex(payload, name, &value))
		return CLAIM_ABSENT;
	if (!json_object_is_type(value, json_type_int))
		return CLAIM_BAD;
	*seconds = json_object_get_int64(value);
	if (*seconds < 0)
		*seconds = 0;
	else if (*seconds > TIME_MAX)
		*seconds = TIME_MAX;
	return CLAIM_FOUND;
}

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > TOKEN_NAME_MAX)
		return false;
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

static enum claim claim_name(struct json_object *payload, const char *name, const char **text)
{
	struct json_object *value;

	if (!json_object_object_get_ex(payload, name, &value))
		return CLAIM_ABSENT;
	return json_is_text(value, TOKEN_NAME_MAX, text) && is_name(*text) ? CLAIM_FOUND
									   : CLAIM_BAD;
}

static bool equals(struct json_object *value, const char *expected)
{
	const char *text;

	return json_is_text(value, TOKEN_MAX, &text) && strcmp(text, expected) == 0;
}

/* `aud` is one string or an array of them (RFC 7519 section 4.1.3). */
static bool is_for(struct json_object *audience, const char *expected)
{
	if (!json_object_is_type(audience, json_type_array))
		return equals(audience, expected);
	for (size_t i = 0; i < json_object_array_length(audience); i++) {
		if (equals(json_object_array_get_idx(audience, i), expected))
			return true;
	}
	return false;
}

void token_set_name(struct token *token, const char *name)
{
	memcpy(token->name, name, strlen(name) + 1);
	hash_name("presence session\n", name, strlen(name), token->session_id);
}

static void set_user_name(struct token *token, const char *user_name)
{
	if (user_name == NULL || strlen(user_name) > TOKEN_USER_NAME_MAX)
		user_name = "";
	memcpy(token->user_name, user_name, strlen(user_name) + 1);
}

/* Who it is: sub, and the name from sid, jti or the token itself. NULL or a sentence. */
static const char *read_identity(struct json_object *payload, const char *text, size_t len,
				 struct token *token)
{
	const char *sid, *jti, *user_name = NULL;
	char hash[HASH_NAME_LEN + 1];
	enum claim has_sid = claim_name(payload, "sid", &sid);
	enum claim has_jti = claim_name(payload, "jti", &jti);

	if (!userid_from_subject(json_member(payload, "sub"), &token->user))
		return "the token's sub is no user id";
	if (has_sid == CLAIM_BAD || has_jti == CLAIM_BAD)
		return "the token's sid or jti is not 1 to 128 printable characters";
	json_is_text(json_member(payload, "name"), TOKEN_USER_NAME_MAX, &user_name);
	set_user_name(token, user_name);
	if (has_sid == CLAIM_FOUND) {
		token_set_name(token, sid);
	} else if (has_jti == CLAIM_FOUND) {
		token_set_name(token, jti);
	} else {
		hash_name("", text, len, hash);
		token_set_name(token, hash);
	}
	return NULL;
}

/* Everything but the times against the clock. NULL or a sentence. */
static const char *read_claims(const struct config *config, struct json_object *payload,
			       const char *text, size_t len, struct token *token,
			       int64_t *not_before)
{
	token->iat = *not_before = 0;
	if (claim_seconds(payload, "exp", &token->exp) != CLAIM_FOUND)
		return "the token's exp is missing or no integer";
	if (claim_seconds(payload, "nbf", not_before) == CLAIM_BAD ||
	    claim_seconds(payload, "iat", &token->iat) == CLAIM_BAD)
		return "the token's nbf or iat is no integer";
	if (config->auth.issuer[0] != '\0' &&
	    !equals(json_member(payload, "iss"), config->auth.issuer))
		return "the token is from another issuer";
	if (config->auth.audience[0] != '\0' &&
	    !is_for(json_member(payload, "aud"), config->auth.audience))
		return "the token is for another audience";
	return read_identity(payload, text, len, token);
}

/* Comes last: PROBLEM_TOKEN_EXPIRED means that nothing else is wrong. */
static enum problem_kind check_times(const struct config *config, const struct token *token,
				     int64_t not_before, int64_t now, const char **why)
{
	if (not_before > now + config->auth.leeway) {
		*why = "the token is not valid yet";
		return PROBLEM_TOKEN_INVALID;
	}
	if (token->exp <= now - config->auth.leeway) {
		*why = "the token has expired";
		return PROBLEM_TOKEN_EXPIRED;
	}
	return PROBLEM_NONE;
}

/*
 * Whether it is signed with that algorithm, in its very spelling (libjwt ignores
 * case). Else a token made with the public key as HMAC secret would pass.
 */
static bool is_algorithm(jwt_t *jwt, jwt_alg_t expected)
{
	const char *name = jwt_get_header(jwt, "alg");

	return jwt_get_alg(jwt) == expected && name != NULL &&
	       strcmp(name, jwt_alg_str(expected)) == 0;
}

/* Whether the header has the member `crit`, whatever its value: we know no extension. */
static bool has_critical(jwt_t *jwt)
{
	char *value = jwt_get_headers_json(jwt, "crit");
	bool has = value != NULL;

	free(value);
	return has;
}

/*
 * The payload of a token whose form is_compact() has checked. Not from libjwt,
 * which would write anew what it has parsed: these are the bytes that were signed.
 */
static struct json_object *parse_payload(const char *text, const char **why)
{
	const char *part = strchr(text, '.') + 1;
	size_t len = strcspn(part, "."), padded = (len + 3) / 4 * 4;
	char padded_part[TOKEN_MAX + 4], json[TOKEN_MAX + 4];
	int got;

	for (size_t i = 0; i < padded; i++) {
		char c = i < len ? part[i] : '=';

		padded_part[i] = c == '-' ? '+' : c == '_' ? '/' : c;
	}
	got = EVP_DecodeBlock((unsigned char *)json, (unsigned char *)padded_part, (int)padded);
	if (len % 4 == 1 || got < 0) {
		*why = "the payload is not base64url";
		return NULL;
	}
	return json_parse_object(json, (size_t)got - (padded - len), why);
}

/* The verified payload, or NULL with a sentence. libjwt believes the header's alg: checked here. */
static struct json_object *decode(const struct token_keys *keys, const char *text, const char **why)
{
	struct json_object *payload = NULL;
	jwt_t *jwt = NULL;

	if (jwt_decode(&jwt, text, keys->verifying.data, keys->verifying.len) != 0) {
		*why = "the token's form or signature is wrong";
		return NULL;
	}
	if (!is_algorithm(jwt, keys->algorithm->jwt)) {
		*why = "the token is signed with another algorithm";
	} else if (has_critical(jwt)) {
		*why = "the token's header has a crit";
	} else {
		payload = parse_payload(text, why);
		if (payload == NULL)
			*why = "the token's payload is no JSON object";
	}
	jwt_free(jwt);
	return payload;
}

enum problem_kind token_verify(const struct token_keys *keys, const char *text, size_t len,
			       int64_t now, struct token *token, const char **why)
{
	const struct verified *known = verified_find(keys->verified, text, len);
	char copy[TOKEN_MAX + 1];
	struct json_object *payload;
	enum problem_kind kind;
	int64_t not_before;

	if (known != NULL) {
		*token = known->token;
		return check_times(keys->config, token, known->not_before, now, why);
	}
	if (len > TOKEN_MAX || !is_compact(text, len)) {
		*why = len > TOKEN_MAX ? "the token is too long"
				       : "the token is not of the form header.payload.signature";
		return PROBLEM_TOKEN_INVALID;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	payload = decode(keys, copy, why);
	if (payload == NULL)
		return PROBLEM_TOKEN_INVALID;
	*why = read_claims(keys->config, payload, text, len, token, &not_before);
	json_object_put(payload);
	if (*why != NULL)
		return PROBLEM_TOKEN_INVALID;
	kind = check_times(keys->config, token, not_before, now, why);
	if (kind == PROBLEM_NONE)
		verified_add(keys->verified, text, len, token, not_before);
	return kind;
}

/* --- issuing -----------------------------------------------------------------------------------*/

static bool add_claims(jwt_t *jwt, const struct config *config, const struct token *token)
{
	char jti[RANDOM_WORD_LEN + 1];

	random_word(jti);
	return jwt_add_grant(jwt, "sub", token->user.text) == 0 &&
	       jwt_add_grant(jwt, "sid", token->name) == 0 && jwt_add_grant(jwt, "jti", jti) == 0 &&
	       jwt_add_grant_int(jwt, "iat", token->iat) == 0 &&
	       jwt_add_grant_int(jwt, "exp", token->exp) == 0 &&
	       (config->auth.issuer[0] == '\0' ||
		jwt_add_grant(jwt, "iss", config->auth.issuer) == 0) &&
	       (config->auth.audience[0] == '\0' ||
		jwt_add_grant(jwt, "aud", config->auth.audience) == 0);
}

char *token_issue(const struct token_keys *keys, const struct userid *user, const char *user_name,
		  const char *sid, int64_t now, int64_t lifetime, struct token *token)
{
	const struct key *key =
		keys->algorithm->kind == KEY_HMAC ? &keys->verifying : &keys->signing;
	char word[RANDOM_WORD_LEN + 1], *text = NULL;
	jwt_t *jwt = NULL;

	if (key->data == NULL || (sid != NULL && !is_name(sid)) || jwt_new(&jwt) != 0)
		return NULL;
	random_word(word);
	token->user = *user;
	set_user_name(token, user_name);
	token->iat = now;
	token->exp = now + lifetime;
	token_set_name(token, sid != NULL ? sid : word);
	/* jansson, inside, takes UTF-8 only; a name in another encoding is no reason to fail. */
	if (token->user_name[0] != '\0' && jwt_add_grant(jwt, "name", token->user_name) != 0)
		token->user_name[0] = '\0';
	if (add_claims(jwt, keys->config, token) &&
	    jwt_set_alg(jwt, keys->algorithm->jwt, key->data, key->len) == 0)
		text = jwt_encode_str(jwt);
	jwt_free(jwt);
	return text;
}
