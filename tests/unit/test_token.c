/* Tokens: what token_keys_verify() lets through and what it refuses. Key files: test_keys.c. */
#include "unit.h"

#include <stdio.h>

#include <jwt.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "auth/issue.h"
#include "auth/verified.h"
#include "base/alloc.h"
#include "base/base64url.h"
#include "base/buf.h"
#include "base/random.h"
#include "keypair.h"

#define NOW INT64_C(1700000000)
#define SECRET "0123456789abcdef0123456789abcdef"
#define HS256_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD "{\"sub\":\"7\",\"exp\":1700000100}"

/* --- keys, made once for all tests -------------------------------------------------------------*/

static char *secret_file;
static struct pair rsa, rsa_other, p256, p256_other, p384, p521;

static void keys_setup(void)
{
	unit_dir_setup();
	secret_file = unit_write("secret", SECRET "\n", strlen(SECRET) + 1);
	rsa = pair_write(EVP_RSA_gen(2048), "rsa");
	rsa_other = pair_write(EVP_RSA_gen(2048), "rsa-other");
	p256 = pair_write(EVP_EC_gen("P-256"), "p256");
	p256_other = pair_write(EVP_EC_gen("P-256"), "p256-other");
	p384 = pair_write(EVP_EC_gen("P-384"), "p384");
	p521 = pair_write(EVP_EC_gen("P-521"), "p521");
}

static void keys_teardown(void)
{
	struct pair *pairs[] = {&rsa, &rsa_other, &p256, &p256_other, &p384, &p521};

	for (size_t i = 0; i < UNIT_COUNT(pairs); i++)
		pair_free(pairs[i]);
	free(secret_file);
	unit_dir_teardown();
}

/* --- hand-made tokens --------------------------------------------------------------------------*/

static char *hs256_token(const char *header, const char *payload)
{
	return hmac_token(EVP_sha256(), SECRET, strlen(SECRET), header, payload, strlen(payload));
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char text[8192];
	size_t len;

	ck_assert_ptr_nonnull(file);
	len = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[len] = '\0';
	return strdup(text);
}

/* A token that libjwt signs with the PEM private key. */
static char *pem_token(jwt_alg_t algorithm, const struct pair *pair, const char *payload)
{
	char *pem = read_file(pair->private_file), *text;
	jwt_t *jwt;

	ck_assert_int_eq(jwt_new(&jwt), 0);
	ck_assert_int_eq(jwt_add_grants_json(jwt, payload), 0);
	ck_assert_int_eq(jwt_set_alg(jwt, algorithm, (unsigned char *)pem, (int)strlen(pem)), 0);
	text = jwt_encode_str(jwt);
	ck_assert_ptr_nonnull(text);
	jwt_free(jwt);
	free(pem);
	return text;
}

/* --- claims ------------------------------------------------------------------------------------*/

#define OK PROBLEM_NONE
#define INVALID PROBLEM_TOKEN_INVALID
#define EXPIRED PROBLEM_TOKEN_EXPIRED
#define S10 "ssssssssss"
#define S64 S10 S10 S10 S10 S10 S10 "ssss"

static const struct claims_row {
	const char *payload;
	enum problem_kind kind;
} claims_rows[] = {
	{GOOD, OK},
	{"{\"sub\":7,\"exp\":1700000100}", OK},
	{"{\"sub\":\"anna\",\"exp\":1700000100,\"role\":{\"a\":[1,2]}}", OK},
	/* exp: required, a NumericDate (RFC 7519 section 2), leeway 30 */
	{"{\"sub\":\"7\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":\"1700000100\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100.0}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000600.5}", OK},
	{"{\"sub\":\"7\",\"exp\":1.9e9}", OK},
	{"{\"sub\":\"7\",\"exp\":1.7e12}", OK},
	{"{\"sub\":\"7\",\"exp\":1699999970.001}", OK},
	{"{\"sub\":\"7\",\"exp\":1699999969.999}", EXPIRED},
	{"{\"sub\":\"7\",\"exp\":0.0}", EXPIRED},
	{"{\"sub\":\"7\",\"exp\":-1}", INVALID},
	{"{\"sub\":\"7\",\"exp\":-0.5}", INVALID},
	{"{\"sub\":\"7\",\"exp\":NaN}", INVALID},
	{"{\"sub\":\"7\",\"exp\":Infinity}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1e999}", INVALID},
	{"{\"sub\":\"7\",\"exp\":9007199254740991}", OK},
	{"{\"sub\":\"7\",\"exp\":9007199254740992}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1e16}", INVALID},
	{"{\"sub\":\"7\",\"exp\":true}", INVALID},
	{"{\"sub\":\"7\",\"exp\":null}", INVALID},
	{"{\"sub\":\"7\",\"exp\":[1700000100]}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1699999971}", OK},
	{"{\"sub\":\"7\",\"exp\":1699999970}", EXPIRED},
	{"{\"sub\":\"7\",\"exp\":0}", EXPIRED},
	{"{\"sub\":\"7\",\"exp\":-9223372036854775808}", INVALID},
	{"{\"sub\":\"7\",\"exp\":9223372036854775807}", INVALID},
	{"{\"sub\":\"7\",\"exp\":9223372036854775808}", INVALID},
	{"{\"sub\":\"7\",\"exp\":99999999999999999999999999}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1,\"exp\":1700000100}", OK}, /* the last one counts */
	{"{\"sub\":\"7\",\"exp\":1700000100,\"exp\":1}", EXPIRED},
	/* nbf and iat: NumericDates when present */
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000000}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000030}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000031}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":9223372036854775807}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":-5}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":\"0\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":0.5}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000030.001}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000029.999}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":null}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":false}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1700000000}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1800000000}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":\"1700000000\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1700000000.5}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":-1}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":null}", INVALID},
	/* sub: a user id */
	{"{\"exp\":1700000100}", INVALID},
	{"{\"sub\":null,\"exp\":1700000100}", INVALID},
	{"{\"sub\":\"\",\"exp\":1700000100}", INVALID},
	{"{\"sub\":0,\"exp\":1700000100}", INVALID},
	{"{\"sub\":-1,\"exp\":1700000100}", INVALID},
	{"{\"sub\":7.0,\"exp\":1700000100}", INVALID},
	{"{\"sub\":\"007\",\"exp\":1700000100}", INVALID},
	{"{\"sub\":9007199254740991,\"exp\":1700000100}", OK},
	{"{\"sub\":9007199254740992,\"exp\":1700000100}", INVALID},
	{"{\"sub\":\"a b\",\"exp\":1700000100}", INVALID},
	{"{\"sub\":\"a\\u0000b\",\"exp\":1700000100}", INVALID},
	{"{\"sub\":[\"7\"],\"exp\":1700000100}", INVALID},
	{"{\"sub\":true,\"exp\":1700000100}", INVALID},
	/* sid and jti: 1 to 128 printable ASCII characters when present */
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":\"s\",\"jti\":\"j\"}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":\"" S64 S64 "\"}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":\"" S64 S64 "s\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":\"\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":5}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":null}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":\"a\\nb\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":\"\xc3\xa9\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"jti\":\"\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"sid\":\"s\",\"jti\":7}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"jti\":\"" S64 S64 "s\"}", INVALID},
	/* the payload: one object, not too deep */
	{"[\"sub\",\"7\",\"exp\",1700000100]", INVALID},
	{"[{\"sub\":\"7\",\"exp\":1700000100}]", INVALID},
	{"\"text\"", INVALID},
	{"7", INVALID},
	{"", INVALID},
	{"{}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100} x", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"x\":[[[[[[[[[[1]]]]]]]]]]}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"x\":\"\xff\"}", INVALID},
};

START_TEST(test_claims)
{
	const struct claims_row *row = &claims_rows[_i];
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);

	token_expect(keys, hs256_token(HS256_HEADER, row->payload), NOW, row->kind, row->payload);
	token_keys_free(keys);
}
END_TEST

static const struct party_row {
	const char *issuer, *audience, *claims;
	enum problem_kind kind;
} party_rows[] = {
	{"", "", "\"iss\":\"other\",\"aud\":[\"x\"]", OK},
	{"me", "", "\"iss\":\"me\"", OK},
	{"me", "", "\"iss\":\"you\"", INVALID},
	{"me", "", "\"iss\":\"me2\"", INVALID},
	{"me", "", "\"iss\":[\"me\"]", INVALID},
	{"me", "", "\"iss\":null", INVALID},
	{"me", "", "\"aud\":\"me\"", INVALID},
	{"", "us", "\"aud\":\"us\"", OK},
	{"", "us", "\"aud\":\"them\"", INVALID},
	{"", "us", "\"aud\":[\"them\",\"us\"]", OK},
	{"", "us", "\"aud\":[\"them\"]", INVALID},
	{"", "us", "\"aud\":[]", INVALID},
	{"", "us", "\"aud\":[7,null,\"us\"]", OK},
	{"", "us", "\"aud\":[[\"us\"]]", INVALID},
	{"", "us", "\"aud\":{\"us\":1}", INVALID},
	{"", "us", "\"aud\":null", INVALID},
	{"", "us", "\"x\":1", INVALID},
	{"me", "us", "\"iss\":\"me\",\"aud\":\"us\"", OK},
	{"me", "us", "\"iss\":\"me\",\"aud\":\"me\"", INVALID},
};

START_TEST(test_issuer_and_audience)
{
	const struct party_row *row = &party_rows[_i];
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys;
	char *payload;

	config.auth.issuer = (char *)row->issuer;
	config.auth.audience = (char *)row->audience;
	keys = keys_must_open(&config);
	ck_assert(asprintf(&payload, "{\"sub\":\"7\",\"exp\":1700000100,%s}", row->claims) > 0);
	token_expect(keys, hs256_token(HS256_HEADER, payload), NOW, row->kind, payload);
	free(payload);
	/* Only a token with nothing else wrong counts as expired. */
	ck_assert(asprintf(&payload, "{\"sub\":\"7\",\"exp\":1600000000,%s}", row->claims) > 0);
	token_expect(keys, hs256_token(HS256_HEADER, payload), NOW,
		     row->kind == OK ? EXPIRED : INVALID, payload);
	free(payload);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_fields)
{
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	char *text = hs256_token(HS256_HEADER, GOOD), name[HASH_NAME_LEN + 1];
	char session[HASH_NAME_LEN + 1];
	struct token token;

	/* Without sid and jti the name is the hash of the token. */
	hash_name("", text, strlen(text), name);
	hash_name("presence session\n", name, strlen(name), session);
	token = token_expect(keys, text, NOW, OK, "no sid, no jti");
	ck_assert_str_eq(token.user.text, "7");
	ck_assert_str_eq(token.name, name);
	ck_assert_str_eq(token.session_id, session);
	ck_assert_int_eq(token.exp, 1700000100);
	ck_assert_int_eq(token.iat, 0);

	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":1700000100,\"iat\":1699999999,"
					 "\"jti\":\"j 1\",\"sid\":\"s~1\"}");
	token = token_expect(keys, text, NOW, OK, "sid and jti");
	ck_assert_str_eq(token.name, "s~1");
	ck_assert_int_eq(token.iat, 1699999999);
	hash_name("presence session\n", "s~1", 3, session);
	ck_assert_str_eq(token.session_id, session);

	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":1700000100,\"jti\":\"j 1\"}");
	ck_assert_str_eq(token_expect(keys, text, NOW, OK, "jti").name, "j 1");

	/* name is for display: anything else than a short string counts as none. */
	text = hs256_token(HS256_HEADER,
			   "{\"sub\":7,\"exp\":1700000100,\"name\":\"Ann \xc3\xa9\"}");
	ck_assert_str_eq(token_expect(keys, text, NOW, OK, "name").user_name, "Ann \xc3\xa9");
	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":1700000100,\"name\":7}");
	ck_assert_str_eq(token_expect(keys, text, NOW, OK, "name 7").user_name, "");
	text = hs256_token(HS256_HEADER,
			   "{\"sub\":7,\"exp\":1700000100,\"name\":\"" S64 S64 S64 S64 "\"}");
	ck_assert_uint_eq(strlen(token_expect(keys, text, NOW, OK, "256 bytes").user_name), 256);
	text = hs256_token(HS256_HEADER,
			   "{\"sub\":7,\"exp\":1700000100,\"name\":\"" S64 S64 S64 S64 "s\"}");
	ck_assert_str_eq(token_expect(keys, text, NOW, OK, "257 bytes").user_name, "");

	/* A far exp or iat is cut to a time that fits timers and Redis. */
	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":9007199254740991,"
					 "\"iat\":9007199254740991}");
	token = token_expect(keys, text, NOW, OK, "far exp");
	ck_assert_int_eq(token.exp, 253402300799);
	ck_assert_int_eq(token.iat, 253402300799);
	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":1700000100.9,\"iat\":1699999999.9}");
	token = token_expect(keys, text, NOW, OK, "fractions");
	ck_assert_int_eq(token.iat, 1699999999);
	ck_assert_int_eq(token.exp, 1700000100);
	token_keys_free(keys);
}
END_TEST

/* --- another claim for the user, and what the token may -----------------------------------------*/

START_TEST(test_user_claim)
{
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	struct token issued = {.user = {"a@b.example"}, .iat = NOW, .exp = NOW + 60};
	char *text;

	config.auth.user_claim = (char *)"email";
	text = hs256_token(HS256_HEADER, "{\"sub\":\"x y\",\"email\":\"a@b.example\","
					 "\"exp\":1700000100}");
	ck_assert_str_eq(token_expect(keys, text, NOW, OK, "email").user.text, "a@b.example");
	token_expect_words(keys, hs256_token(HS256_HEADER, GOOD), NOW, "user_claim");
	/* What is issued here is taken here. */
	text = issue_token(keys, &issued);
	ck_assert_str_eq(token_expect(keys, text, NOW, OK, "issued").user.text, "a@b.example");
	token_keys_free(keys);
}
END_TEST

static const struct rights_row {
	const char *claims;
	enum problem_kind kind;
	bool watch;
	const char *scope;
} rights_rows[] = {
	{"\"x\":1", OK, false, ""},
	{"\"presence\":\"watch\"", OK, true, ""},
	{"\"presence\":\"Watch\"", INVALID, false, ""},
	{"\"presence\":\"\"", INVALID, false, ""},
	{"\"presence\":null", INVALID, false, ""},
	{"\"presence\":[\"watch\"]", INVALID, false, ""},
	{"\"scope\":\"push\"", OK, false, "push"},
	{"\"scope\":\"openid  push profile\"", OK, false, "openid  push profile"},
	{"\"scope\":\"" S64 S64 S64 S64 "\"", OK, false, S64 S64 S64 S64},
	{"\"scope\":\"" S64 S64 S64 S64 " admin pushy push\"", OK, false, "push admin"},
	{"\"scope\":\"" S64 S64 S64 S64 "s\"", OK, false, ""},
	{"\"scope\":[\"push\"]", OK, false, ""},
	{"\"scope\":\"push\\nadmin\"", OK, false, ""},
	{"\"scope\":null,\"presence\":\"watch\"", OK, true, ""},
};

START_TEST(test_rights)
{
	const struct rights_row *row = &rights_rows[_i];
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	struct token token, again;
	char *payload;

	ck_assert(asprintf(&payload, "{\"sub\":\"7\",\"exp\":1700000100,%s}", row->claims) > 0);
	token = token_expect(keys, hs256_token(HS256_HEADER, payload), NOW, row->kind, payload);
	if (row->kind == OK) {
		ck_assert_int_eq(token.watch, row->watch);
		ck_assert_str_eq(token.scope, row->scope);
		/* A token that is issued from it may the same. */
		again = token_expect(keys, issue_token(keys, &token), NOW, OK, "issued from it");
		ck_assert_int_eq(again.watch, row->watch);
		ck_assert_str_eq(again.scope, row->scope);
	}
	free(payload);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_has_scope)
{
	struct token token = {.scope = " admin  pushy "};

	ck_assert(token_has_scope(&token, "admin"));
	ck_assert(token_has_scope(&token, "pushy"));
	ck_assert(!token_has_scope(&token, "push"));
	ck_assert(!token_has_scope(&token, ""));
}
END_TEST

/* --- header and form ---------------------------------------------------------------------------*/

static const struct header_row {
	const char *header;
	enum problem_kind kind;
} header_rows[] = {
	{"{\"alg\":\"HS256\"}", OK},
	{"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"1\"}", OK},
	{"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", OK},
	{"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", OK}, /* RFC 9068 section 2.1 */
	{"{\"alg\":\"HS256\",\"typ\":\"AT+JWT\"}", OK},
	{"{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}", OK},
	{"{\"alg\":\"HS256\",\"typ\":\"Application/at+JWT\"}", OK},
	{"{\"alg\":\"HS256\",\"typ\":\"application/jwt\"}", OK},
	{"{\"alg\":\"HS256\",\"typ\":\"JWS\"}", INVALID},
	{"{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}", INVALID},
	{"{\"alg\":\"HS256\",\"typ\":\"text/at+jwt\"}", INVALID},
	{"{\"alg\":\"HS256\",\"typ\":\"application/\"}", INVALID},
	{"{\"alg\":\"HS256\",\"typ\":\"\"}", INVALID},
	{"{\"alg\":\"HS256\",\"typ\":null}", INVALID},
	{"{\"alg\":\"HS256\",\"typ\":7}", INVALID},
	{"{\"alg\":\"HS256\",\"typ\":\"JWT\\u0000\"}", INVALID},
	{"{\"typ\":\"JWT\"}", INVALID},
	{"{\"alg\":\"none\"}", INVALID},
	{"{\"alg\":\"None\",\"typ\":\"JWT\"}", INVALID},
	{"{\"alg\":\"\"}", INVALID},
	{"{\"alg\":null}", INVALID},
	{"{\"alg\":256}", INVALID},
	{"{\"alg\":\"hs256\"}", INVALID}, /* RFC 7515 section 4.1.1: case-sensitive */
	{"{\"alg\":\"HS256\",\"alg\":\"none\"}", INVALID},
	{"{\"alg\":\"HS384\"}", INVALID},
	{"{\"alg\":\"RS256\"}", INVALID},
	{"{\"alg\":\"ES256\"}", INVALID},
	{"{\"alg\":\"PS256\"}", INVALID},
	{"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", INVALID},
	{"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", INVALID},
	{"{\"alg\":\"HS256\",\"crit\":[]}", INVALID},
	{"{\"alg\":\"HS256\",\"crit\":\"exp\"}", INVALID},
	{"{\"alg\":\"HS256\",\"crit\":null}", INVALID},
	{"[\"HS256\"]", INVALID},
	{"\"HS256\"", INVALID},
	{"{", INVALID},
	{"", INVALID},
};

START_TEST(test_header)
{
	const struct header_row *row = &header_rows[_i];
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);

	token_expect(keys, hs256_token(row->header, GOOD), NOW, row->kind, row->header);
	token_keys_free(keys);
}
END_TEST

/* Whoever issues tokens must see what is wrong with one. */
static const struct words_row {
	const char *header, *payload, *words;
} words_rows[] = {
	{"{\"alg\":\"HS512\"}", GOOD, "alg"},
	{"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", GOOD, "crit"},
	{"{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", GOOD, "typ"},
	{"{\"alg\":\"HS256\",\"kid\":7}", GOOD, "kid"},
	{"[]", GOOD, "header"},
	{HS256_HEADER, "[]", "payload"},
	{HS256_HEADER, "{\"sub\":\"7\"}", "exp"},
	{HS256_HEADER, "{\"sub\":\"7\",\"exp\":\"1700000100\"}", "exp"},
	{HS256_HEADER, "{\"sub\":\"7\",\"exp\":1}", "expired"},
	{HS256_HEADER, "{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":\"\"}", "nbf"},
	{HS256_HEADER, "{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000099}", "nbf"},
	{HS256_HEADER, "{\"sub\":\"7\",\"exp\":1700000100,\"iat\":null}", "iat"},
	{HS256_HEADER, "{\"sub\":\"a b\",\"exp\":1700000100}", "sub"},
	{HS256_HEADER, "{\"sub\":\"7\",\"exp\":1700000100,\"sid\":\"\"}", "sid"},
	{HS256_HEADER, "{\"sub\":\"7\",\"exp\":1700000100,\"jti\":7}", "jti"},
	{HS256_HEADER, "{\"sub\":\"7\",\"exp\":1700000100,\"presence\":\"all\"}", "presence"},
};

START_TEST(test_a_refusal_names_the_check)
{
	const struct words_row *row = &words_rows[_i];
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);

	token_expect_words(keys, hs256_token(row->header, row->payload), NOW, row->words);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_a_wrong_signature_is_named)
{
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);

	token_expect_words(keys,
			   hmac_token(EVP_sha256(), "another", 7, HS256_HEADER, GOOD, strlen(GOOD)),
			   NOW, "signature");
	token_keys_free(keys);
}
END_TEST

START_TEST(test_form)
{
	static const char *const rows[] = {
		"",	".",	"..",	"...",	   "a",	   "a.b",     "a.b.c",
		".b.c", "a..c", "a.b.", "a.b.c.d", "====", "a b.c.d", "\xff.\xff.\xff",
	};
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	char *good = hs256_token(HS256_HEADER, GOOD), *text;

	for (size_t i = 0; i < UNIT_COUNT(rows); i++)
		token_expect(keys, strdup(rows[i]), NOW, INVALID, rows[i]);
	/* Cut off anywhere, or with any one character changed, it fails. */
	for (size_t i = 0; i < strlen(good); i++) {
		token_expect(keys, strndup(good, i), NOW, INVALID, "cut off");
		text = strdup(good);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		token_expect(keys, text, NOW, INVALID, "one character changed");
	}
	for (const char *end = "=\n .A"; *end != '\0'; end++) {
		ck_assert(asprintf(&text, "%s%c", good, *end) > 0);
		token_expect(keys, text, NOW, INVALID, text);
	}
	free(good);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_length_cap)
{
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	size_t pads[] = {6050, 5900, 12000}, largest = 0;
	const char *why;
	struct token token;
	char *huge;

	/* The largest payload whose token still fits, and the next one. */
	for (size_t pad = pads[1]; pad < pads[0] + 100; pad++) {
		char *payload, *text;
		size_t len;

		ck_assert(asprintf(&payload, "{\"sub\":7,\"exp\":1700000100,\"x\":\"%0*d\"}",
				   (int)pad, 0) > 0);
		text = hs256_token(HS256_HEADER, payload);
		len = strlen(text);
		if (len <= TOKEN_MAX && len > largest)
			largest = len;
		token_expect(keys, text, NOW, len <= TOKEN_MAX ? OK : INVALID, "length");
		free(payload);
	}
	ck_assert_msg(largest >= TOKEN_MAX - 1, "no token of the limit's length was tried");
	/* One that would overflow the stack inside libjwt, which never sees it. */
	huge = malloc(64 << 20);
	memset(huge, 'A', 64 << 20);
	ck_assert_int_eq(token_keys_verify(keys, huge, 64 << 20, NOW * 1000, &token, &why),
			 INVALID);
	free(huge);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_text_is_not_terminated)
{
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	char *text = hs256_token(HS256_HEADER, GOOD), *exact;
	size_t len = strlen(text);
	struct token token;
	const char *why;

	exact = malloc(len);
	memcpy(exact, text, len);
	ck_assert_int_eq(token_keys_verify(keys, exact, len, NOW * 1000, &token, &why), OK);
	exact[len / 2] = '\0';
	ck_assert_int_eq(token_keys_verify(keys, exact, len, NOW * 1000, &token, &why), INVALID);
	free(exact);
	free(text);
	token_keys_free(keys);
}
END_TEST

/* --- algorithms --------------------------------------------------------------------------------*/

START_TEST(test_hmac_algorithms)
{
	static const struct {
		int algorithm;
		const char *header;
		const EVP_MD *(*hash)(void);
	} rows[] = {
		{AUTH_HS256, "{\"alg\":\"HS256\"}", EVP_sha256},
		{AUTH_HS384, "{\"alg\":\"HS384\"}", EVP_sha384},
		{AUTH_HS512, "{\"alg\":\"HS512\"}", EVP_sha512},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct config config = auth_config(rows[i].algorithm, secret_file, NULL);
		struct token_keys *keys = keys_must_open(&config);

		for (size_t j = 0; j < UNIT_COUNT(rows); j++)
			token_expect(keys,
				     hmac_token(rows[j].hash(), SECRET, strlen(SECRET),
						rows[j].header, GOOD, strlen(GOOD)),
				     NOW, i == j ? OK : INVALID, rows[j].header);
		token_expect(keys,
			     hmac_token(rows[i].hash(), SECRET "\n", strlen(SECRET) + 1,
					rows[i].header, GOOD, strlen(GOOD)),
			     NOW, INVALID, "the newline is not part of the secret");
		token_keys_free(keys);
	}
}
END_TEST

START_TEST(test_pem_algorithms)
{
	const struct {
		int algorithm;
		jwt_alg_t jwt;
		const struct pair *pair;
	} rows[] = {
		{AUTH_RS256, JWT_ALG_RS256, &rsa},  {AUTH_RS384, JWT_ALG_RS384, &rsa},
		{AUTH_RS512, JWT_ALG_RS512, &rsa},  {AUTH_ES256, JWT_ALG_ES256, &p256},
		{AUTH_ES384, JWT_ALG_ES384, &p384}, {AUTH_ES512, JWT_ALG_ES512, &p521},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct config config =
			auth_config(rows[i].algorithm, rows[i].pair->public_file, NULL);
		struct token_keys *keys = keys_must_open(&config);

		for (size_t j = 0; j < UNIT_COUNT(rows); j++)
			token_expect(keys, pem_token(rows[j].jwt, rows[j].pair, GOOD), NOW,
				     i == j ? OK : INVALID, jwt_alg_str(rows[j].jwt));
		token_expect(keys, pem_token(rows[i].jwt, i < 3 ? &rsa_other : &p256_other, GOOD),
			     NOW, INVALID, "another key");
		token_keys_free(keys);
	}
}
END_TEST

/* The classic: the public key, which everybody has, as the secret of an HMAC token. */
START_TEST(test_algorithm_confusion)
{
	const struct {
		int algorithm;
		const struct pair *pair;
	} rows[] = {{AUTH_RS256, &rsa}, {AUTH_ES256, &p256}};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct config config =
			auth_config(rows[i].algorithm, rows[i].pair->public_file, NULL);
		struct token_keys *keys = keys_must_open(&config);
		char *pem = read_file(rows[i].pair->public_file), *text;
		jwt_t *jwt = NULL;

		text = hmac_token(EVP_sha256(), pem, strlen(pem), HS256_HEADER, GOOD, strlen(GOOD));
		ck_assert_msg(jwt_decode(&jwt, text, (unsigned char *)pem, (int)strlen(pem)) == 0,
			      "libjwt refuses it itself: this test tests nothing");
		jwt_free(jwt);
		token_expect(keys, text, NOW, INVALID, "HS256 with the public PEM as secret");
		token_expect(
			keys,
			hmac_token(EVP_sha256(), "", 0, "{\"alg\":\"none\"}", GOOD, strlen(GOOD)),
			NOW, INVALID, "none");
		free(pem);
		token_keys_free(keys);
	}
}
END_TEST

/* (r, s) and (r, n - s) are both signatures of one text: that is one token, with one name. */
START_TEST(test_twin_signatures_are_one_token)
{
	struct config config = auth_config(AUTH_ES256, p256.public_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	char *text = pem_token(JWT_ALG_ES256, &p256, GOOD);
	char *dot = strrchr(text, '.');
	unsigned char signature[64];
	BIGNUM *n = NULL, *s = NULL;
	struct token first, second;
	struct printbuf *twin = buf_new();
	size_t len;

	ck_assert(base64url_decode(dot + 1, strlen(dot + 1), signature, &len) && len == 64);
	BN_hex2bn(&n, "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551");
	s = BN_bin2bn(signature + 32, 32, NULL);
	ck_assert_int_eq(BN_sub(s, n, s), 1);
	ck_assert_int_eq(BN_bn2binpad(s, signature + 32, 32), 32);
	buf_put(twin, text, (size_t)(dot - text) + 1);
	base64url_put(twin, signature, 64);
	ck_assert_str_ne(text, twin->buf);
	first = token_expect(keys, text, NOW, OK, "as signed");
	second = token_expect(keys, buf_take(twin, NULL), NOW, OK, "with the twin");
	ck_assert_str_eq(first.name, second.name);
	BN_free(n);
	BN_free(s);
	token_keys_free(keys);
}
END_TEST

/* One signature has one spelling: else a revoked token without sid and jti had another name. */
START_TEST(test_signature_has_one_spelling)
{
	const struct {
		int algorithm;
		jwt_alg_t jwt;
		const struct pair *pair;
	} rows[] = {{AUTH_RS256, JWT_ALG_RS256, &rsa}, {AUTH_ES256, JWT_ALG_ES256, &p256}};
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct config config =
			auth_config(rows[i].algorithm, rows[i].pair->public_file, NULL);
		struct token_keys *keys = keys_must_open(&config);
		char *text = pem_token(rows[i].jwt, rows[i].pair, GOOD), *other;
		size_t end = strlen(text) - 1;

		for (const char *c = alphabet; *c != '\0'; c++) {
			if (*c == text[end])
				continue;
			other = strdup(text);
			other[end] = *c;
			token_expect(keys, other, NOW, INVALID, "another last character");
		}
		for (const char *c = "=.!\n"; *c != '\0'; c++) {
			ck_assert(asprintf(&other, "%.*s%c%s", (int)end, text, *c, text + end) > 0);
			token_expect(keys, other, NOW, INVALID,
				     "a character that is not base64url");
		}
		token_expect(keys, text, NOW, OK, "as issued");
		token_keys_free(keys);
	}
}
END_TEST

/* --- issuing -----------------------------------------------------------------------------------*/

/* A token for the user from NOW on; `sid` NULL: a new one. */
static struct token make_token(const char *user, const char *sid, int lifetime)
{
	struct token token = {.iat = NOW, .exp = NOW + lifetime};

	snprintf(token.user.text, sizeof token.user.text, "%s", user);
	if (sid != NULL)
		memcpy(token.name, sid, strlen(sid) + 1);
	return token;
}

START_TEST(test_issue)
{
	const struct {
		int algorithm;
		char *key, *signing;
	} rows[] = {
		{AUTH_HS256, secret_file, NULL},
		{AUTH_HS384, secret_file, NULL},
		{AUTH_HS512, secret_file, rsa.private_file}, /* HMAC has no second key */
		{AUTH_RS256, rsa.public_file, rsa.private_file},
		{AUTH_RS384, rsa.public_file, rsa.private_file},
		{AUTH_RS512, rsa.public_file, rsa.private_file},
		{AUTH_ES256, p256.public_file, p256.private_file},
		{AUTH_ES384, p384.public_file, p384.private_file},
		{AUTH_ES512, p521.public_file, p521.private_file},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct config config = auth_config(rows[i].algorithm, rows[i].key, rows[i].signing);
		struct token issued, again, seen;
		struct token_keys *keys;
		char *text, *next;

		config.auth.issuer = (char *)"https://example.com \"x\"";
		config.auth.audience = (char *)"presence";
		keys = keys_must_open(&config);
		issued = make_token("anna", NULL, 3600);
		text = issue_token(keys, &issued);
		ck_assert_ptr_nonnull(text);
		again = make_token("anna", issued.name, 3600);
		next = issue_token(keys, &again);
		ck_assert_ptr_nonnull(next);
		ck_assert_msg(strcmp(text, next) != 0, "two tokens of one sid are the same text");
		token_expect(keys, strdup(text), NOW + 3630, EXPIRED, "after its life");
		seen = token_expect(keys, text, NOW + 3629, OK, "in its life");
		ck_assert_str_eq(seen.user.text, "anna");
		ck_assert_int_eq(seen.iat, NOW);
		ck_assert_int_eq(seen.exp, NOW + 3600);
		ck_assert_uint_eq(strlen(seen.name), RANDOM_ID_LEN);
		ck_assert_mem_eq(&seen.name, &issued.name, strlen(seen.name) + 1);
		ck_assert_str_eq(seen.session_id, issued.session_id);
		ck_assert_int_eq(issued.exp, seen.exp);
		seen = token_expect(keys, next, NOW, OK, "of the same sid");
		ck_assert_str_eq(seen.name, issued.name);
		ck_assert_str_eq(again.session_id, issued.session_id);
		token_keys_free(keys);
	}
}
END_TEST

/* A number of a signature has a zero first in one of 256 cases, on P-521 in half of them. */
START_TEST(test_every_ecdsa_signature_has_its_full_length)
{
	const struct {
		int algorithm;
		struct pair *pair;
		size_t len;
	} rows[] = {{AUTH_ES256, &p256, 86}, {AUTH_ES512, &p521, 176}};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct config config = auth_config(rows[i].algorithm, rows[i].pair->public_file,
						   rows[i].pair->private_file);
		struct token_keys *keys = keys_must_open(&config);

		for (int n = 0; n < 600; n++) {
			struct token issued = make_token("7", NULL, 60);
			char *text = issue_token(keys, &issued);

			ck_assert_uint_eq(strlen(strrchr(text, '.') + 1), rows[i].len);
			token_expect(keys, text, NOW, OK, "issued");
		}
		token_keys_free(keys);
	}
}
END_TEST

START_TEST(test_issue_user_name)
{
	static const struct {
		const char *name, *seen;
	} rows[] = {
		{NULL, ""},
		{"", ""},
		{"Ann \"\\ \xc3\xa9", "Ann \"\\ \xc3\xa9"},
		{S64 S64 S64 S64, S64 S64 S64 S64},
		{S64 S64 S64 S64 "s", ""},
		{"latin1 \xe9", ""},
	};
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct token issued = make_token("1", NULL, 60), seen;
		char *text;

		token_set_user_name(&issued, rows[i].name);
		text = issue_token(keys, &issued);
		ck_assert_msg(text != NULL, "row %zu: no token", i);
		seen = token_expect(keys, text, NOW, OK, rows[i].seen);
		ck_assert_str_eq(seen.user_name, rows[i].seen);
		ck_assert_str_eq(issued.user_name, rows[i].seen);
	}
	token_keys_free(keys);
}
END_TEST

START_TEST(test_use_another_configuration)
{
	struct config config = auth_config(AUTH_HS256, secret_file, NULL), other = config;
	struct token_keys *keys = keys_must_open(&config);

	other.auth.leeway = 0;
	other.auth.issuer = (char *)"me";
	token_keys_use(keys, &other);
	token_expect(keys, hs256_token(HS256_HEADER, GOOD), NOW, INVALID, "no iss");
	token_expect(keys,
		     hs256_token(HS256_HEADER, "{\"sub\":7,\"iss\":\"me\",\"exp\":1700000000}"),
		     NOW, EXPIRED, "no leeway");
	token_keys_use(keys, &config);
	token_expect(keys, hs256_token(HS256_HEADER, GOOD), NOW, OK, "the first configuration");
	token_keys_free(keys);
}
END_TEST

START_TEST(test_issue_refused)
{
	struct config config = auth_config(AUTH_RS256, rsa.public_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	struct token token = make_token("1", NULL, 60);

	ck_assert_msg(issue_token(keys, &token) == NULL,
		      "NULL expected without a signing key, seen a token");
	token_keys_free(keys);

	config = auth_config(AUTH_HS256, secret_file, NULL);
	keys = keys_must_open(&config);
	token = make_token("1", "a\nb", 60);
	ck_assert_ptr_null(issue_token(keys, &token));
	token_keys_free(keys);
}
END_TEST

/* --- the same text again -----------------------------------------------------------------------*/

START_TEST(test_known_text_is_judged_by_the_clock)
{
	static const char payload[] =
		"{\"sub\":\"7\",\"sid\":\"s\",\"name\":\"Zo\",\"iat\":1699999990,"
		"\"nbf\":1699999995,\"exp\":1700000100}";
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	char *text = hs256_token(HS256_HEADER, payload);
	struct token first = token_expect(keys, xstrdup(text), NOW, OK, "first");
	struct token again = token_expect(keys, xstrdup(text), NOW + 1, OK, "again");

	ck_assert_str_eq(again.user.text, "7");
	ck_assert_str_eq(again.name, "s");
	ck_assert_str_eq(again.user_name, "Zo");
	ck_assert_str_eq(again.session_id, first.session_id);
	ck_assert_int_eq(again.iat, 1699999990);
	ck_assert_int_eq(again.exp, 1700000100);
	token_expect(keys, xstrdup(text), 1700000129, OK, "in the leeway");
	token_expect(keys, xstrdup(text), 1700000130, EXPIRED, "after the leeway");
	token_expect(keys, xstrdup(text), 1699999964, INVALID, "before nbf");
	token_expect(keys, text, NOW, OK, "the clock is right again");
	token_keys_free(keys);
}
END_TEST

START_TEST(test_known_text_vouches_for_no_other)
{
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config), *others;
	char *text = hs256_token(HS256_HEADER, GOOD), *other;
	size_t len = strlen(text);

	token_expect(keys, xstrdup(text), NOW, OK, "the text itself");
	for (size_t i = 0; i < len; i++) {
		other = xstrdup(text);
		other[i] = other[i] == 'A' ? 'B' : 'A';
		token_expect(keys, other, NOW, INVALID, "one character is another");
	}
	token_expect(keys, xstrndup(text, len - 1), NOW, INVALID, "shorter");
	ck_assert(asprintf(&other, "%sA", text) > 0);
	token_expect(keys, other, NOW, INVALID, "longer");

	config.auth.issuer = (char *)"somebody";
	others = keys_must_open(&config);
	token_expect(others, text, NOW, INVALID, "other keys know nothing of it");
	token_keys_free(others);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_more_tokens_than_are_kept)
{
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = keys_must_open(&config);
	char payload[64], id[8];

	for (int round = 0; round < 2; round++) {
		for (int i = 1; i <= 2 * VERIFIED_MAX; i++) {
			snprintf(id, sizeof id, "%d", i);
			snprintf(payload, sizeof payload, "{\"sub\":\"%d\",\"exp\":1700000100}", i);
			ck_assert_str_eq(token_expect(keys, hs256_token(HS256_HEADER, payload), NOW,
						      OK, payload)
						 .user.text,
					 id);
		}
	}
	token_keys_free(keys);
}
END_TEST

START_TEST(test_tokens_with_a_common_hash_are_kept_together)
{
	static struct verified_set set;
	const struct token token = {.name = "t"};
	const struct token_dates dates = {.exp_ms = NOW};
	char texts[VERIFIED_WAYS + 1][16];

	for (size_t i = 0; i <= VERIFIED_WAYS; i++) {
		snprintf(texts[i], sizeof texts[i], "%zu.same-end", i);
		verified_add(&set, texts[i], strlen(texts[i]), &token, &dates);
	}
	ck_assert_ptr_null(verified_find(&set, texts[0], strlen(texts[0])));
	for (size_t i = 1; i <= VERIFIED_WAYS; i++)
		ck_assert_msg(verified_find(&set, texts[i], strlen(texts[i])) != NULL, "%s",
			      texts[i]);
	verified_clear(&set);
	ck_assert_ptr_null(verified_find(&set, texts[1], strlen(texts[1])));
}
END_TEST

static Suite *token_suite(void)
{
	Suite *suite = suite_create("token");
	TCase *tcase = tcase_create("verify");

	tcase_add_unchecked_fixture(tcase, keys_setup, keys_teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, test_claims, 0, UNIT_COUNT(claims_rows));
	tcase_add_loop_test(tcase, test_issuer_and_audience, 0, UNIT_COUNT(party_rows));
	tcase_add_test(tcase, test_fields);
	tcase_add_test(tcase, test_known_text_is_judged_by_the_clock);
	tcase_add_test(tcase, test_known_text_vouches_for_no_other);
	tcase_add_test(tcase, test_more_tokens_than_are_kept);
	tcase_add_test(tcase, test_tokens_with_a_common_hash_are_kept_together);
	tcase_add_loop_test(tcase, test_header, 0, UNIT_COUNT(header_rows));
	tcase_add_loop_test(tcase, test_a_refusal_names_the_check, 0, UNIT_COUNT(words_rows));
	tcase_add_test(tcase, test_a_wrong_signature_is_named);
	tcase_add_test(tcase, test_user_claim);
	tcase_add_loop_test(tcase, test_rights, 0, UNIT_COUNT(rights_rows));
	tcase_add_test(tcase, test_has_scope);
	tcase_add_test(tcase, test_twin_signatures_are_one_token);
	tcase_add_test(tcase, test_form);
	tcase_add_test(tcase, test_length_cap);
	tcase_add_test(tcase, test_text_is_not_terminated);
	tcase_add_test(tcase, test_hmac_algorithms);
	tcase_add_test(tcase, test_pem_algorithms);
	tcase_add_test(tcase, test_algorithm_confusion);
	tcase_add_test(tcase, test_signature_has_one_spelling);
	tcase_add_test(tcase, test_issue);
	tcase_add_test(tcase, test_every_ecdsa_signature_has_its_full_length);
	tcase_add_test(tcase, test_issue_user_name);
	tcase_add_test(tcase, test_use_another_configuration);
	tcase_add_test(tcase, test_issue_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(token_suite());
}
