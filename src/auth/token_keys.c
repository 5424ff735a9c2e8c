#include "auth/token_keys.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/token_keys_private.h"
#include "auth/verified.h"
#include "base/alloc.h"
#include "base/base64url.h"
#include "base/json.h"
#include "base/random.h"

#define DATE_LIMIT 9007199254740992.0 /* 2^53: below it a double tells seconds apart */

struct token_keys *token_keys_open(const struct config *config, char *err, size_t errsize)
{
	struct token_keys *keys = xcalloc(1, sizeof *keys);

	keys->config = config;
	keys->verified = xcalloc(1, sizeof *keys->verified);
	if (key_ring_load(&keys->ring, config, err, errsize))
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
	key_ring_clear(&keys->ring);
	verified_clear(keys->verified);
	free(keys->verified);
	free(keys);
}

/* --- the form (RFC 7515 section 3.1) -----------------------------------------------------------*/

/* A piece of the token's text: base64url. */
struct part {
	const char *text;
	size_t len;
};

struct compact {
	struct part header, payload, signature;
	size_t signed_len; /* of header.payload */
};

static bool split(const char *text, size_t len, struct compact *compact)
{
	const char *first = memchr(text, '.', len), *end = text + len, *second;

	if (first == NULL)
		return false;
	second = memchr(first + 1, '.', (size_t)(end - first - 1));
	if (second == NULL)
		return false;
	compact->header = (struct part){text, (size_t)(first - text)};
	compact->payload = (struct part){first + 1, (size_t)(second - first - 1)};
	compact->signature = (struct part){second + 1, (size_t)(end - second - 1)};
	compact->signed_len = (size_t)(second - text);
	return compact->header.len > 0 && compact->payload.len > 0 && compact->signature.len > 0;
}

/* The JSON object that a part holds; NULL: it holds none. */
static struct json_object *parse_part(struct part part)
{
	unsigned char json[BASE64URL_DECODED(TOKEN_MAX)];
	const char *why;
	size_t size;

	if (!base64url_decode(part.text, part.len, json, &size))
		return NULL;
	return json_parse_object((char *)json, size, &why);
}

/* --- the header --------------------------------------------------------------------------------*/

static bool equals(struct json_object *value, const char *expected)
{
	const char *text;

	return json_is_text(value, TOKEN_MAX, &text) && strcmp(text, expected) == 0;
}

/*
 * RFC 9068 section 2.1 and RFC 7519 section 5.1: at+jwt or JWT, a media type and
 * so in any case; RFC 7515 section 4.1.9: "application/" may stand before it.
 */
static bool is_type(struct json_object *value)
{
	static const char tree[] = "application/";
	const char *text;

	if (!json_is_text(value, TOKEN_MAX, &text))
		return false;
	if (strncasecmp(text, tree, sizeof tree - 1) == 0)
		text += sizeof tree - 1;
	return strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0;
}

/*
 * NULL or a sentence. The algorithm is the configured one, never the token's
 * choice: else a token made with the public key as HMAC secret would pass.
 */
static const char *check_header(const struct token_keys *keys, struct json_object *header)
{
	if (!equals(json_member(header, "alg"), keys->ring.algorithm->name))
		return "the token's alg is not the configured algorithm";
	/* A member null is there, too: json_member() would not tell it from none. */
	if (json_object_object_get_ex(header, "crit", NULL))
		return "the token's header has a crit";
	if (json_object_object_get_ex(header, "typ", NULL) && !is_type(json_member(header, "typ")))
		return "the token's typ is neither JWT nor at+jwt";
	return NULL;
}

/* NULL, or a sentence: whether one of the keys that `kid` may mean signed it. */
static const char *check_signature(const struct token_keys *keys, struct json_object *header,
				   const char *text, const struct compact *compact)
{
	unsigned char signature[BASE64URL_DECODED(TOKEN_MAX)];
	const struct jws_key *key = NULL;
	const char *kid = NULL;
	bool has_candidate = false;
	size_t size;

	if (json_object_object_get_ex(header, "kid", NULL) &&
	    !json_is_text(json_member(header, "kid"), TOKEN_MAX, &kid))
		return "the token's kid is not a string";
	if (!base64url_decode(compact->signature.text, compact->signature.len, signature, &size))
		return "the token's signature is not base64url";
	while ((key = key_ring_next(&keys->ring, kid, key)) != NULL) {
		has_candidate = true;
		if (jws_verify(keys->ring.algorithm, key, text, compact->signed_len, signature,
			       size))
			return NULL;
	}
	return has_candidate ? "the token's signature is wrong"
			     : "the token's kid is not that of a known key";
}

/* --- claims ------------------------------------------------------------------------------------*/

/* Tells a claim of the wrong type (BAD) from one that is not there; JSON's null is of no type. */
enum claim { CLAIM_ABSENT, CLAIM_FOUND, CLAIM_BAD };

/* A NumericDate (RFC 7519 section 2) in ms; later than TOKEN_TIME_MAX counts as that. */
static enum claim claim_date(struct json_object *payload, const char *name, int64_t *ms)
{
	struct json_object *value;
	double seconds;

	if (!json_object_object_get_ex(payload, name, &value))
		return CLAIM_ABSENT;
	if (!json_object_is_type(value, json_type_int) &&
	    !json_object_is_type(value, json_type_double))
		return CLAIM_BAD;
	/* Integers that do not fit are saturated by json-c, and so beyond 2^53. */
	seconds = json_object_get_double(value);
	if (!(seconds >= 0 && seconds < DATE_LIMIT))
		return CLAIM_BAD;
	*ms = seconds < (double)TOKEN_TIME_MAX ? (int64_t)floor(seconds * 1000)
					       : TOKEN_TIME_MAX * 1000;
	return CLAIM_FOUND;
}

static enum claim claim_name(struct json_object *payload, const char *name, const char **text)
{
	struct json_object *value;

	if (!json_object_object_get_ex(payload, name, &value))
		return CLAIM_ABSENT;
	return json_is_text(value, TOKEN_NAME_MAX, text) && token_is_name(*text) ? CLAIM_FOUND
										 : CLAIM_BAD;
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

static const char *read_dates(const struct config *config, struct json_object *payload,
			      struct token *token, struct token_dates *dates)
{
	int64_t iat_ms = 0;

	dates->nbf_ms = 0;
	switch (claim_date(payload, "exp", &dates->exp_ms)) {
	case CLAIM_ABSENT:
		return "the token has no exp";
	case CLAIM_BAD:
		return "the token's exp is not a number of seconds, from 0 and below 2^53";
	case CLAIM_FOUND:
		break;
	}
	if (claim_date(payload, "nbf", &dates->nbf_ms) == CLAIM_BAD)
		return "the token's nbf is not a number of seconds, from 0 and below 2^53";
	if (claim_date(payload, "iat", &iat_ms) == CLAIM_BAD)
		return "the token's iat is not a number of seconds, from 0 and below 2^53";
	token->exp = dates->exp_ms / 1000;
	token->iat = iat_ms / 1000;
	token->issued = token->iat;
	if (config->auth.login == LOGIN_EXTERNAL)
		token->issued += config->auth.leeway;
	if (token->issued > TOKEN_TIME_MAX)
		token->issued = TOKEN_TIME_MAX;
	return NULL;
}

/*
 * The name of a token without sid and jti. An ECDSA signature (r, s) has a twin
 * (r, -s) that is as good: what was signed, not the text, is the token then.
 */
static void set_hashed_name(const struct jws_algorithm *algorithm, const char *text, size_t len,
			    size_t signed_len, struct token *token)
{
	char hash[HASH_NAME_LEN + 1];

	hash_name("", text, algorithm->kind == JWS_EC ? signed_len : len, hash);
	token_set_name(token, hash);
}

/* Who it is: the user, and the name that sid or jti gives ("" = neither). NULL or a sentence. */
static const char *read_identity(const struct config *config, struct json_object *payload,
				 struct token *token)
{
	const char *claim = config->auth.user_claim, *sid, *jti, *user_name = NULL;
	enum claim has_sid = claim_name(payload, "sid", &sid);
	enum claim has_jti = claim_name(payload, "jti", &jti);

	if (!userid_from_subject(json_member(payload, claim), &token->user))
		return strcmp(claim, "sub") == 0
			       ? "the token's sub is not a user id"
			       : "the token's claim that auth.user_claim names is not a user id";
	if (has_sid == CLAIM_BAD)
		return "the token's sid is not 1 to 128 printable characters";
	if (has_jti == CLAIM_BAD)
		return "the token's jti is not 1 to 128 printable characters";
	json_is_text(json_member(payload, "name"), TOKEN_USER_NAME_MAX, &user_name);
	token_set_user_name(token, user_name);
	token->name[0] = '\0';
	if (has_sid == CLAIM_FOUND)
		token_set_name(token, sid);
	else if (has_jti == CLAIM_FOUND)
		token_set_name(token, jti);
	return NULL;
}

/* What it may: NULL or a sentence. A token that was to be less than a whole one is never taken for it. */
static const char *read_rights(struct json_object *payload, struct token *token)
{
	const char *scope = "";

	token->watch = json_object_object_get_ex(payload, "presence", NULL);
	if (token->watch && !equals(json_member(payload, "presence"), "watch"))
		return "the token's presence is not \"watch\"";
	json_is_text(json_member(payload, "scope"), TOKEN_MAX, &scope);
	token_set_scope(token, scope);
	return NULL;
}

/* Everything but the times against the clock. NULL or a sentence. */
static const char *read_claims(const struct config *config, struct json_object *payload,
			       struct token *token, struct token_dates *dates)
{
	const char *why = read_dates(config, payload, token, dates);

	if (why != NULL)
		return why;
	if (config->auth.issuer[0] != '\0' &&
	    !equals(json_member(payload, "iss"), config->auth.issuer))
		return "the token's iss is another issuer";
	if (config->auth.audience[0] != '\0' &&
	    !is_for(json_member(payload, "aud"), config->auth.audience))
		return "the token's aud is another audience";
	why = read_identity(config, payload, token);
	return why != NULL ? why : read_rights(payload, token);
}

/* --- verifying ---------------------------------------------------------------------------------*/

/* Comes last: PROBLEM_TOKEN_EXPIRED means that nothing else is wrong. */
static enum problem_kind check_dates(const struct config *config, const struct token_dates *dates,
				     int64_t now_ms, const char **why)
{
	int64_t leeway_ms = (int64_t)config->auth.leeway * 1000;

	if (dates->nbf_ms > now_ms + leeway_ms) {
		*why = "the token's nbf is still to come";
		return PROBLEM_TOKEN_INVALID;
	}
	if (dates->exp_ms <= now_ms - leeway_ms) {
		*why = "the token has expired";
		return PROBLEM_TOKEN_EXPIRED;
	}
	return PROBLEM_NONE;
}

/* Form, header and signature. NULL or a sentence. */
static const char *check_text(const struct token_keys *keys, const char *text, size_t len,
			      struct compact *compact)
{
	struct json_object *header;
	const char *why;

	if (len > TOKEN_MAX)
		return "the token is longer than 8192 bytes";
	if (!split(text, len, compact))
		return "the token is not of the form header.payload.signature";
	header = parse_part(compact->header);
	if (header == NULL)
		return "the token's header is not a JSON object in base64url";
	why = check_header(keys, header);
	if (why == NULL)
		why = check_signature(keys, header, text, compact);
	json_object_put(header);
	return why;
}

static const char *check_payload(const struct token_keys *keys, const char *text, size_t len,
				 const struct compact *compact, struct token *token,
				 struct token_dates *dates)
{
	struct json_object *payload = parse_part(compact->payload);
	const char *why;

	if (payload == NULL)
		return "the token's payload is not a JSON object in base64url";
	why = read_claims(keys->config, payload, token, dates);
	json_object_put(payload);
	if (why == NULL && token->name[0] == '\0')
		set_hashed_name(keys->ring.algorithm, text, len, compact->signed_len, token);
	return why;
}

enum problem_kind token_keys_verify(const struct token_keys *keys, const char *text, size_t len,
				    int64_t now_ms, struct token *token, const char **why)
{
	const struct verified *known = verified_find(keys->verified, text, len);
	struct token_dates dates;
	struct compact compact;
	enum problem_kind kind;

	if (known != NULL) {
		*token = known->token;
		return check_dates(keys->config, &known->dates, now_ms, why);
	}
	*why = check_text(keys, text, len, &compact);
	if (*why == NULL)
		*why = check_payload(keys, text, len, &compact, token, &dates);
	if (*why != NULL)
		return PROBLEM_TOKEN_INVALID;
	kind = check_dates(keys->config, &dates, now_ms, why);
	if (kind == PROBLEM_NONE)
		verified_add(keys->verified, text, len, token, &dates);
	return kind;
}
