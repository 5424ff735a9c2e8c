/* Tokens: what token_verify() lets through, what it refuses, and which keys are taken. */
#include "unit.h"

#include <stdio.h>

#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "auth/token.h"
#include "auth/verified.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/random.h"

#define NOW INT64_C(1700000000)
#define SECRET "0123456789abcdef0123456789abcdef"
#define HS256_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD "{\"sub\":\"7\",\"exp\":1700000100}"

/* --- keys, made once for all tests -------------------------------------------------------------*/

/* The PEM files of one key pair. */
struct pair {
	char *public_file, *private_file;
};

static char *secret_file;
static struct pair rsa, rsa_other, rsa_small, rsa_pss, p256, p256_other, p384, p521, k256;

static char *write_pem(BIO *bio, const char *name, const char *end)
{
	char *data, file[64];
	long len = BIO_get_mem_data(bio, &data);

	snprintf(file, sizeof file, "%s.%s", name, end);
	return unit_write(file, data, (size_t)len);
}

static struct pair write_pair(EVP_PKEY *key, const char *name)
{
	struct pair pair;
	BIO *public_pem = BIO_new(BIO_s_mem()), *private_pem = BIO_new(BIO_s_mem());

	ck_assert_msg(key != NULL, "cannot make the key %s", name);
	ck_assert_int_eq(PEM_write_bio_PUBKEY(public_pem, key), 1);
	ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(private_pem, key, NULL, NULL, 0, NULL, NULL),
			 1);
	pair.public_file = write_pem(public_pem, name, "pub");
	pair.private_file = write_pem(private_pem, name, "key");
	BIO_free(public_pem);
	BIO_free(private_pem);
	EVP_PKEY_free(key);
	return pair;
}

static void pair_free(struct pair *pair)
{
	free(pair->public_file);
	free(pair->private_file);
}

static EVP_PKEY *make_pss(void)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	EVP_PKEY *key = NULL;

	ck_assert_int_eq(EVP_PKEY_keygen_init(context), 1);
	ck_assert_int_eq(EVP_PKEY_generate(context, &key), 1);
	EVP_PKEY_CTX_free(context);
	return key;
}

static void keys_setup(void)
{
	unit_dir_setup();
	secret_file = unit_write("secret", SECRET "\n", strlen(SECRET) + 1);
	rsa = write_pair(EVP_RSA_gen(2048), "rsa");
	rsa_other = write_pair(EVP_RSA_gen(2048), "rsa-other");
	rsa_small = write_pair(EVP_RSA_gen(1024), "rsa-small");
	rsa_pss = write_pair(make_pss(), "rsa-pss");
	p256 = write_pair(EVP_EC_gen("P-256"), "p256");
	p256_other = write_pair(EVP_EC_gen("P-256"), "p256-other");
	p384 = write_pair(EVP_EC_gen("P-384"), "p384");
	p521 = write_pair(EVP_EC_gen("P-521"), "p521");
	k256 = write_pair(EVP_EC_gen("secp256k1"), "k256");
}

static void keys_teardown(void)
{
	struct pair *pairs[] = {&rsa,	     &rsa_other, &rsa_small, &rsa_pss, &p256,
				&p256_other, &p384,	 &p521,	     &k256};

	for (size_t i = 0; i < UNIT_COUNT(pairs); i++)
		pair_free(pairs[i]);
	free(secret_file);
	unit_dir_teardown();
}

static struct config make_config(int algorithm, char *key_file, char *signing_key_file)
{
	static char none[] = "";
	struct config config = {.auth = {.algorithm = algorithm, .leeway = 30}};

	config.auth.key_file = key_file;
	config.auth.signing_key_file = signing_key_file != NULL ? signing_key_file : none;
	config.auth.issuer = none;
	config.auth.audience = none;
	return config;
}

static struct token_keys *open_keys(const struct config *config)
{
	char err[512] = "";
	struct token_keys *keys = token_keys_open(config, err, sizeof err);

	ck_assert_msg(keys != NULL, "keys expected, seen the error: %s", err);
	return keys;
}

/* --- hand-made tokens --------------------------------------------------------------------------*/

static void put_base64url(struct printbuf *out, const void *data, size_t len)
{
	unsigned char *text = malloc(len * 2 + 4);
	int text_len = EVP_EncodeBlock(text, data, (int)len);

	for (int i = 0; i < text_len && text[i] != '='; i++) {
		char c = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];

		buf_put(out, &c, 1);
	}
	free(text);
}

/* A token of any header and payload, signed with HMAC; the caller frees it. */
static char *hmac_token(const EVP_MD *hash, const void *key, size_t key_len, const char *header,
			const void *payload, size_t payload_len)
{
	struct printbuf *out = buf_new();
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len;

	put_base64url(out, header, strlen(header));
	buf_puts(out, ".");
	put_base64url(out, payload, payload_len);
	HMAC(hash, key, (int)key_len, (unsigned char *)out->buf, buf_len(out), mac, &mac_len);
	buf_puts(out, ".");
	put_base64url(out, mac, mac_len);
	return buf_take(out, NULL);
}

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

/* Verifies (and frees) text and compares the outcome; `row` names the case in a failure. */
static struct token expect(const struct token_keys *keys, char *text, int64_t now,
			   enum problem_kind expected, const char *row)
{
	struct token token = {0};
	const char *why = "accepted";
	enum problem_kind kind = token_verify(keys, text, strlen(text), now, &token, &why);

	ck_assert_msg(kind == expected, "%s: expected %s, seen %s (%s)", row,
		      problem_code(expected), problem_code(kind), why != NULL ? why : "");
	ck_assert_msg(kind == PROBLEM_NONE || strlen(why) > 10, "%s: no sentence", row);
	free(text);
	return token;
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
	/* exp: required, an integer, leeway 30 */
	{"{\"sub\":\"7\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":\"1700000100\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100.0}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1.7e12}", INVALID},
	{"{\"sub\":\"7\",\"exp\":true}", INVALID},
	{"{\"sub\":\"7\",\"exp\":null}", INVALID},
	{"{\"sub\":\"7\",\"exp\":[1700000100]}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1699999971}", OK},
	{"{\"sub\":\"7\",\"exp\":1699999970}", EXPIRED},
	{"{\"sub\":\"7\",\"exp\":0}", EXPIRED},
	{"{\"sub\":\"7\",\"exp\":-9223372036854775808}", EXPIRED},
	{"{\"sub\":\"7\",\"exp\":9223372036854775807}", OK},
	{"{\"sub\":\"7\",\"exp\":9223372036854775808}", INVALID},
	{"{\"sub\":\"7\",\"exp\":99999999999999999999999999}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1,\"exp\":1700000100}", OK}, /* the last one counts */
	{"{\"sub\":\"7\",\"exp\":1700000100,\"exp\":1}", EXPIRED},
	/* nbf and iat: integers when present */
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000000}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000030}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000031}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":9223372036854775807}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":-5}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":\"0\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":0.5}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":null}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":false}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1700000000}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1800000000}", OK},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":\"1700000000\"}", INVALID},
	{"{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1700000000.5}", INVALID},
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
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);

	expect(keys, hs256_token(HS256_HEADER, row->payload), NOW, row->kind, row->payload);
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
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys;
	char *payload;

	config.auth.issuer = (char *)row->issuer;
	config.auth.audience = (char *)row->audience;
	keys = open_keys(&config);
	ck_assert(asprintf(&payload, "{\"sub\":\"7\",\"exp\":1700000100,%s}", row->claims) > 0);
	expect(keys, hs256_token(HS256_HEADER, payload), NOW, row->kind, payload);
	free(payload);
	/* Only a token with nothing else wrong counts as expired. */
	ck_assert(asprintf(&payload, "{\"sub\":\"7\",\"exp\":1600000000,%s}", row->claims) > 0);
	expect(keys, hs256_token(HS256_HEADER, payload), NOW, row->kind == OK ? EXPIRED : INVALID,
	       payload);
	free(payload);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_fields)
{
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);
	char *text = hs256_token(HS256_HEADER, GOOD), name[HASH_NAME_LEN + 1];
	char session[HASH_NAME_LEN + 1];
	struct token token;

	/* Without sid and jti the name is the hash of the token. */
	hash_name("", text, strlen(text), name);
	hash_name("presence session\n", name, strlen(name), session);
	token = expect(keys, text, NOW, OK, "no sid, no jti");
	ck_assert_str_eq(token.user.text, "7");
	ck_assert_str_eq(token.name, name);
	ck_assert_str_eq(token.session_id, session);
	ck_assert_int_eq(token.exp, 1700000100);
	ck_assert_int_eq(token.iat, 0);

	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":1700000100,\"iat\":1699999999,"
					 "\"jti\":\"j 1\",\"sid\":\"s~1\"}");
	token = expect(keys, text, NOW, OK, "sid and jti");
	ck_assert_str_eq(token.name, "s~1");
	ck_assert_int_eq(token.iat, 1699999999);
	hash_name("presence session\n", "s~1", 3, session);
	ck_assert_str_eq(token.session_id, session);

	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":1700000100,\"jti\":\"j 1\"}");
	ck_assert_str_eq(expect(keys, text, NOW, OK, "jti").name, "j 1");

	/* name is for display: anything else than a short string counts as none. */
	text = hs256_token(HS256_HEADER,
			   "{\"sub\":7,\"exp\":1700000100,\"name\":\"Ann \xc3\xa9\"}");
	ck_assert_str_eq(expect(keys, text, NOW, OK, "name").user_name, "Ann \xc3\xa9");
	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":1700000100,\"name\":7}");
	ck_assert_str_eq(expect(keys, text, NOW, OK, "name 7").user_name, "");
	text = hs256_token(HS256_HEADER,
			   "{\"sub\":7,\"exp\":1700000100,\"name\":\"" S64 S64 S64 S64 "\"}");
	ck_assert_uint_eq(strlen(expect(keys, text, NOW, OK, "256 bytes").user_name), 256);
	text = hs256_token(HS256_HEADER,
			   "{\"sub\":7,\"exp\":1700000100,\"name\":\"" S64 S64 S64 S64 "s\"}");
	ck_assert_str_eq(expect(keys, text, NOW, OK, "257 bytes").user_name, "");

	/* A far exp or iat is cut to a time that fits timers and Redis. */
	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":9223372036854775807,"
					 "\"iat\":9223372036854775807}");
	token = expect(keys, text, NOW, OK, "far exp");
	ck_assert_int_eq(token.exp, 253402300799);
	ck_assert_int_eq(token.iat, 253402300799);
	text = hs256_token(HS256_HEADER, "{\"sub\":7,\"exp\":1700000100,\"iat\":-8}");
	ck_assert_int_eq(expect(keys, text, NOW, OK, "iat before 1970").iat, 0);
	token_keys_free(keys);
}
END_TEST

/* --- header and form ---------------------------------------------------------------------------*/

static const struct header_row {
	const char *header;
	enum problem_kind kind;
} header_rows[] = {
	{"{\"alg\":\"HS256\"}", OK},
	{"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"1\"}", OK},
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
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);

	expect(keys, hs256_token(row->header, GOOD), NOW, row->kind, row->header);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_form)
{
	static const char *const rows[] = {
		"",	".",	"..",	"...",	   "a",	   "a.b",     "a.b.c",
		".b.c", "a..c", "a.b.", "a.b.c.d", "====", "a b.c.d", "\xff.\xff.\xff",
	};
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);
	char *good = hs256_token(HS256_HEADER, GOOD), *text;

	for (size_t i = 0; i < UNIT_COUNT(rows); i++)
		expect(keys, strdup(rows[i]), NOW, INVALID, rows[i]);
	/* Cut off anywhere, or with any one character changed, it fails. */
	for (size_t i = 0; i < strlen(good); i++) {
		expect(keys, strndup(good, i), NOW, INVALID, "cut off");
		text = strdup(good);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		expect(keys, text, NOW, INVALID, "one character changed");
	}
	for (const char *end = "=\n .A"; *end != '\0'; end++) {
		ck_assert(asprintf(&text, "%s%c", good, *end) > 0);
		expect(keys, text, NOW, INVALID, text);
	}
	free(good);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_length_cap)
{
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);
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
		expect(keys, text, NOW, len <= TOKEN_MAX ? OK : INVALID, "length");
		free(payload);
	}
	ck_assert_msg(largest >= TOKEN_MAX - 1, "no token of the limit's length was tried");
	/* One that would overflow the stack inside libjwt. */
	huge = malloc(64 << 20);
	memset(huge, 'A', 64 << 20);
	ck_assert_int_eq(token_verify(keys, huge, 64 << 20, NOW, &token, &why), INVALID);
	free(huge);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_text_is_not_terminated)
{
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);
	char *text = hs256_token(HS256_HEADER, GOOD), *exact;
	size_t len = strlen(text);
	struct token token;
	const char *why;

	exact = malloc(len);
	memcpy(exact, text, len);
	ck_assert_int_eq(token_verify(keys, exact, len, NOW, &token, &why), OK);
	exact[len / 2] = '\0';
	ck_assert_int_eq(token_verify(keys, exact, len, NOW, &token, &why), INVALID);
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
		struct config config = make_config(rows[i].algorithm, secret_file, NULL);
		struct token_keys *keys = open_keys(&config);

		for (size_t j = 0; j < UNIT_COUNT(rows); j++)
			expect(keys,
			       hmac_token(rows[j].hash(), SECRET, strlen(SECRET), rows[j].header,
					  GOOD, strlen(GOOD)),
			       NOW, i == j ? OK : INVALID, rows[j].header);
		expect(keys,
		       hmac_token(rows[i].hash(), SECRET "\n", strlen(SECRET) + 1, rows[i].header,
				  GOOD, strlen(GOOD)),
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
			make_config(rows[i].algorithm, rows[i].pair->public_file, NULL);
		struct token_keys *keys = open_keys(&config);

		for (size_t j = 0; j < UNIT_COUNT(rows); j++)
			expect(keys, pem_token(rows[j].jwt, rows[j].pair, GOOD), NOW,
			       i == j ? OK : INVALID, jwt_alg_str(rows[j].jwt));
		expect(keys, pem_token(rows[i].jwt, i < 3 ? &rsa_other : &p256_other, GOOD), NOW,
		       INVALID, "another key");
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
			make_config(rows[i].algorithm, rows[i].pair->public_file, NULL);
		struct token_keys *keys = open_keys(&config);
		char *pem = read_file(rows[i].pair->public_file), *text;
		jwt_t *jwt = NULL;

		text = hmac_token(EVP_sha256(), pem, strlen(pem), HS256_HEADER, GOOD, strlen(GOOD));
		ck_assert_msg(jwt_decode(&jwt, text, (unsigned char *)pem, (int)strlen(pem)) == 0,
			      "libjwt refuses it itself: this test tests nothing");
		jwt_free(jwt);
		expect(keys, text, NOW, INVALID, "HS256 with the public PEM as secret");
		expect(keys,
		       hmac_token(EVP_sha256(), "", 0, "{\"alg\":\"none\"}", GOOD, strlen(GOOD)),
		       NOW, INVALID, "none");
		free(pem);
		token_keys_free(keys);
	}
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
			make_config(rows[i].algorithm, rows[i].pair->public_file, NULL);
		struct token_keys *keys = open_keys(&config);
		char *text = pem_token(rows[i].jwt, rows[i].pair, GOOD), *other;
		size_t end = strlen(text) - 1;

		for (const char *c = alphabet; *c != '\0'; c++) {
			if (*c == text[end])
				continue;
			other = strdup(text);
			other[end] = *c;
			expect(keys, other, NOW, INVALID, "another last character");
		}
		for (const char *c = "=.!\n"; *c != '\0'; c++) {
			ck_assert(asprintf(&other, "%.*s%c%s", (int)end, text, *c, text + end) > 0);
			expect(keys, other, NOW, INVALID, "a character that is no base64url");
		}
		expect(keys, text, NOW, OK, "as issued");
		token_keys_free(keys);
	}
}
END_TEST

/* --- opening keys ------------------------------------------------------------------------------*/

static void expect_refused(int algorithm, char *key, char *signing, const char *sentence)
{
	struct config config = make_config(algorithm, key, signing);
	char err[512] = "";
	struct token_keys *keys = token_keys_open(&config, err, sizeof err);

	ck_assert_msg(keys == NULL, "keys refused expected (%s), seen taken", sentence);
	ck_assert_msg(strstr(err, sentence) != NULL, "expected '%s', seen '%s'", sentence, err);
	ck_assert_msg(strncmp(err, signing != NULL ? signing : key,
			      strlen(signing != NULL ? signing : key)) == 0,
		      "expected the file's name first, seen '%s'", err);
}

START_TEST(test_secret_files)
{
	static const struct {
		const char *data;
		size_t len;
		bool good;
	} rows[] = {
		{"", 0, false},
		{"\n", 1, false},
		{SECRET, 31, false},
		{"0123456789abcdef0123456789abcde\n", 32, false},
		{SECRET, 32, true},
		{SECRET "\n", 33, true},
		{SECRET "\n\n", 34, true},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 32, true},
	};
	char *big = calloc(1, 70000), *path;

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		path = unit_write("try", rows[i].data, rows[i].len);
		if (rows[i].good) {
			struct config config = make_config(AUTH_HS512, path, NULL);

			token_keys_free(open_keys(&config));
		} else {
			expect_refused(AUTH_HS256, path, NULL, "at least 32 bytes");
		}
		free(path);
	}
	path = unit_write("try", big, 70000);
	expect_refused(AUTH_HS256, path, NULL, "too large");
	free(path);
	free(big);
	path = unit_path("absent");
	expect_refused(AUTH_HS256, path, NULL, "No such file");
	free(path);
	path = unit_path(".");
	expect_refused(AUTH_HS256, path, NULL, "directory");
	free(path);
	expect_refused(AUTH_HS256, rsa.public_file, NULL, "PEM");
	token_keys_free(NULL);
}
END_TEST

START_TEST(test_public_keys)
{
	expect_refused(AUTH_RS256, secret_file, NULL, "no PEM public key");
	expect_refused(AUTH_RS256, rsa.private_file, NULL, "no PEM public key");
	expect_refused(AUTH_RS256, rsa_small.public_file, NULL, "2048 bits");
	expect_refused(AUTH_RS256, rsa_pss.public_file, NULL, "no RSA key");
	expect_refused(AUTH_RS256, p256.public_file, NULL, "no RSA key");
	expect_refused(AUTH_ES256, rsa.public_file, NULL, "curve");
	expect_refused(AUTH_ES256, p384.public_file, NULL, "curve");
	expect_refused(AUTH_ES256, k256.public_file, NULL, "curve");
	expect_refused(AUTH_ES384, p256.public_file, NULL, "curve");
	expect_refused(AUTH_ES512, p384.public_file, NULL, "curve");
}
END_TEST

START_TEST(test_signing_keys)
{
	BIO *bio = BIO_new(BIO_s_mem());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	char *path;

	expect_refused(AUTH_RS256, rsa.public_file, rsa_other.private_file, "does not belong");
	expect_refused(AUTH_ES256, p256.public_file, p256_other.private_file, "does not belong");
	expect_refused(AUTH_RS256, rsa.public_file, rsa.public_file, "no PEM private key");
	expect_refused(AUTH_RS256, rsa.public_file, p256.private_file, "no RSA key");
	expect_refused(AUTH_RS256, rsa.public_file, rsa_small.private_file, "2048 bits");
	expect_refused(AUTH_ES256, p256.public_file, p384.private_file, "curve");
	path = unit_path("absent");
	expect_refused(AUTH_ES256, p256.public_file, path, "No such file");
	free(path);
	/* A passphrase must not be asked for at the terminal. */
	ck_assert_int_eq(
		PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "pass", 4, NULL, NULL),
		1);
	path = write_pem(bio, "locked", "key");
	expect_refused(AUTH_ES256, p256.public_file, path, "without a passphrase");
	free(path);
	BIO_free(bio);
	EVP_PKEY_free(key);
}
END_TEST

/* --- issuing -----------------------------------------------------------------------------------*/

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
	const struct userid user = {"anna"};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct config config = make_config(rows[i].algorithm, rows[i].key, rows[i].signing);
		struct token issued, again, seen;
		struct token_keys *keys;
		char *text, *next;

		config.auth.issuer = (char *)"https://example.com \"x\"";
		config.auth.audience = (char *)"presence";
		keys = open_keys(&config);
		text = token_issue(keys, &user, NULL, NULL, NOW, 3600, &issued);
		ck_assert_ptr_nonnull(text);
		next = token_issue(keys, &user, NULL, issued.name, NOW, 3600, &again);
		ck_assert_ptr_nonnull(next);
		ck_assert_msg(strcmp(text, next) != 0, "two tokens of one sid are the same text");
		expect(keys, strdup(text), NOW + 3630, EXPIRED, "after its life");
		seen = expect(keys, text, NOW + 3629, OK, "in its life");
		ck_assert_str_eq(seen.user.text, "anna");
		ck_assert_int_eq(seen.iat, NOW);
		ck_assert_int_eq(seen.exp, NOW + 3600);
		ck_assert_uint_eq(strlen(seen.name), RANDOM_WORD_LEN);
		ck_assert_mem_eq(&seen.name, &issued.name, strlen(seen.name) + 1);
		ck_assert_str_eq(seen.session_id, issued.session_id);
		ck_assert_int_eq(issued.exp, seen.exp);
		seen = expect(keys, next, NOW, OK, "of the same sid");
		ck_assert_str_eq(seen.name, issued.name);
		ck_assert_str_eq(again.session_id, issued.session_id);
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
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);
	const struct userid user = {"1"};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct token issued, seen;
		char *text = token_issue(keys, &user, rows[i].name, NULL, NOW, 60, &issued);

		ck_assert_msg(text != NULL, "row %zu: no token", i);
		seen = expect(keys, text, NOW, OK, rows[i].seen);
		ck_assert_str_eq(seen.user_name, rows[i].seen);
		ck_assert_str_eq(issued.user_name, rows[i].seen);
	}
	token_keys_free(keys);
}
END_TEST

START_TEST(test_use_another_configuration)
{
	struct config config = make_config(AUTH_HS256, secret_file, NULL), other = config;
	struct token_keys *keys = open_keys(&config);

	other.auth.leeway = 0;
	other.auth.issuer = (char *)"me";
	token_keys_use(keys, &other);
	expect(keys, hs256_token(HS256_HEADER, GOOD), NOW, INVALID, "no iss");
	expect(keys, hs256_token(HS256_HEADER, "{\"sub\":7,\"iss\":\"me\",\"exp\":1700000000}"),
	       NOW, EXPIRED, "no leeway");
	token_keys_use(keys, &config);
	expect(keys, hs256_token(HS256_HEADER, GOOD), NOW, OK, "the first configuration");
	token_keys_free(keys);
}
END_TEST

START_TEST(test_issue_refused)
{
	struct config config = make_config(AUTH_RS256, rsa.public_file, NULL);
	struct token_keys *keys = open_keys(&config);
	const struct userid user = {"1"};
	struct token token;

	ck_assert_msg(token_issue(keys, &user, NULL, NULL, NOW, 60, &token) == NULL,
		      "NULL expected without a signing key, seen a token");
	token_keys_free(keys);

	config = make_config(AUTH_HS256, secret_file, NULL);
	keys = open_keys(&config);
	ck_assert_ptr_null(token_issue(keys, &user, NULL, "", NOW, 60, &token));
	ck_assert_ptr_null(token_issue(keys, &user, NULL, S64 S64 "s", NOW, 60, &token));
	ck_assert_ptr_null(token_issue(keys, &user, NULL, "a\nb", NOW, 60, &token));
	token_keys_free(keys);
}
END_TEST

/* --- the same text again -----------------------------------------------------------------------*/

START_TEST(test_known_text_is_judged_by_the_clock)
{
	static const char payload[] =
		"{\"sub\":\"7\",\"sid\":\"s\",\"name\":\"Zo\",\"iat\":1699999990,"
		"\"nbf\":1699999995,\"exp\":1700000100}";
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);
	char *text = hs256_token(HS256_HEADER, payload);
	struct token first = expect(keys, xstrdup(text), NOW, OK, "first");
	struct token again = expect(keys, xstrdup(text), NOW + 1, OK, "again");

	ck_assert_str_eq(again.user.text, "7");
	ck_assert_str_eq(again.name, "s");
	ck_assert_str_eq(again.user_name, "Zo");
	ck_assert_str_eq(again.session_id, first.session_id);
	ck_assert_int_eq(again.iat, 1699999990);
	ck_assert_int_eq(again.exp, 1700000100);
	expect(keys, xstrdup(text), 1700000129, OK, "in the leeway");
	expect(keys, xstrdup(text), 1700000130, EXPIRED, "behind the leeway");
	expect(keys, xstrdup(text), 1699999964, INVALID, "before nbf");
	expect(keys, text, NOW, OK, "the clock is right again");
	token_keys_free(keys);
}
END_TEST

START_TEST(test_known_text_vouches_for_no_other)
{
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config), *others;
	char *text = hs256_token(HS256_HEADER, GOOD), *other;
	size_t len = strlen(text);

	expect(keys, xstrdup(text), NOW, OK, "the text itself");
	for (size_t i = 0; i < len; i++) {
		other = xstrdup(text);
		other[i] = other[i] == 'A' ? 'B' : 'A';
		expect(keys, other, NOW, INVALID, "one character is another");
	}
	expect(keys, xstrndup(text, len - 1), NOW, INVALID, "shorter");
	ck_assert(asprintf(&other, "%sA", text) > 0);
	expect(keys, other, NOW, INVALID, "longer");

	config.auth.issuer = (char *)"somebody";
	others = open_keys(&config);
	expect(others, text, NOW, INVALID, "other keys know nothing of it");
	token_keys_free(others);
	token_keys_free(keys);
}
END_TEST

START_TEST(test_more_tokens_than_are_kept)
{
	struct config config = make_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *keys = open_keys(&config);
	char payload[64], id[8];

	for (int round = 0; round < 2; round++) {
		for (int i = 1; i <= 2 * VERIFIED_MAX; i++) {
			snprintf(id, sizeof id, "%d", i);
			snprintf(payload, sizeof payload, "{\"sub\":\"%d\",\"exp\":1700000100}", i);
			ck_assert_str_eq(
				expect(keys, hs256_token(HS256_HEADER, payload), NOW, OK, payload)
					.user.text,
				id);
		}
	}
	token_keys_free(keys);
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
	tcase_add_loop_test(tcase, test_header, 0, UNIT_COUNT(header_rows));
	tcase_add_test(tcase, test_form);
	tcase_add_test(tcase, test_length_cap);
	tcase_add_test(tcase, test_text_is_not_terminated);
	tcase_add_test(tcase, test_hmac_algorithms);
	tcase_add_test(tcase, test_pem_algorithms);
	tcase_add_test(tcase, test_algorithm_confusion);
	tcase_add_test(tcase, test_signature_has_one_spelling);
	tcase_add_test(tcase, test_secret_files);
	tcase_add_test(tcase, test_public_keys);
	tcase_add_test(tcase, test_signing_keys);
	tcase_add_test(tcase, test_issue);
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
