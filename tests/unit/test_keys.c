/* Which key files are taken, and which key a token is for. */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "auth/issue.h"
#include "base/base64url.h"
#include "base/buf.h"
#include "keypair.h"

#define NOW INT64_C(1700000000)
#define SECRET "0123456789abcdef0123456789abcdef"
#define OLD_SECRET "fedcba9876543210fedcba9876543210"
#define HEADER "{\"alg\":\"HS256\"}"
#define GOOD "{\"sub\":\"7\",\"exp\":1700000100}"
#define OK PROBLEM_NONE
#define INVALID PROBLEM_TOKEN_INVALID

static char *secret_file;
static struct pair rsa, rsa_other, rsa_small, rsa_pss, p256, p256_other, p384, k256;

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
	rsa = pair_write(EVP_RSA_gen(2048), "rsa");
	rsa_other = pair_write(EVP_RSA_gen(2048), "rsa-other");
	rsa_small = pair_write(EVP_RSA_gen(1024), "rsa-small");
	rsa_pss = pair_write(make_pss(), "rsa-pss");
	p256 = pair_write(EVP_EC_gen("P-256"), "p256");
	p256_other = pair_write(EVP_EC_gen("P-256"), "p256-other");
	p384 = pair_write(EVP_EC_gen("P-384"), "p384");
	k256 = pair_write(EVP_EC_gen("secp256k1"), "k256");
}

static void keys_teardown(void)
{
	struct pair *pairs[] = {&rsa,  &rsa_other,  &rsa_small, &rsa_pss,
				&p256, &p256_other, &p384,	&k256};

	for (size_t i = 0; i < UNIT_COUNT(pairs); i++)
		pair_free(pairs[i]);
	free(secret_file);
	unit_dir_teardown();
}

/* --- one file ----------------------------------------------------------------------------------*/

/* The sentence names the file that is wrong. */
static void expect_refused(int algorithm, const char *key, const char *signing, const char *words)
{
	struct config config = auth_config(algorithm, key, signing);
	char *sentence;

	ck_assert(asprintf(&sentence, "%s: ", signing != NULL ? signing : key) > 0);
	keys_must_fail(&config, sentence);
	keys_must_fail(&config, words);
	free(sentence);
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
			struct config config = auth_config(AUTH_HS512, path, NULL);

			token_keys_free(keys_must_open(&config));
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
	expect_refused(AUTH_RS256, secret_file, NULL, "not hold a PEM public key");
	expect_refused(AUTH_RS256, rsa.private_file, NULL, "not hold a PEM public key");
	expect_refused(AUTH_RS256, rsa_small.public_file, NULL, "2048 bits");
	expect_refused(AUTH_RS256, rsa_pss.public_file, NULL, "not an RSA key");
	expect_refused(AUTH_RS256, p256.public_file, NULL, "not an RSA key");
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
	char *path, *pem;
	long len;

	expect_refused(AUTH_RS256, rsa.public_file, rsa_other.private_file, "does not belong");
	expect_refused(AUTH_ES256, p256.public_file, p256_other.private_file, "does not belong");
	expect_refused(AUTH_RS256, rsa.public_file, rsa.public_file, "not hold a PEM private key");
	expect_refused(AUTH_RS256, rsa.public_file, p256.private_file, "not an RSA key");
	expect_refused(AUTH_RS256, rsa.public_file, rsa_small.private_file, "2048 bits");
	expect_refused(AUTH_ES256, p256.public_file, p384.private_file, "curve");
	path = unit_path("absent");
	expect_refused(AUTH_ES256, p256.public_file, path, "No such file");
	free(path);
	/* A passphrase must not be asked for at the terminal. */
	ck_assert_int_eq(
		PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "pass", 4, NULL, NULL),
		1);
	len = BIO_get_mem_data(bio, &pem);
	path = unit_write("locked.key", pem, (size_t)len);
	expect_refused(AUTH_ES256, p256.public_file, path, "without a passphrase");
	free(path);
	BIO_free(bio);
	EVP_PKEY_free(key);
}
END_TEST

static const struct mode_row {
	mode_t mode;
	bool good;
} modes[] = {{0400, true},  {0600, true},  {0640, true},  {0440, true}, {0644, false},
	     {0604, false}, {0666, false}, {0602, false}, {0641, false}};

START_TEST(test_a_secret_open_to_all_is_refused)
{
	const struct mode_row *row = &modes[_i];
	char words[8];

	snprintf(words, sizeof words, "%04o", (unsigned)row->mode);
	for (int signing = 0; signing < 2; signing++) {
		char *file = signing ? rsa.private_file : secret_file;
		struct config config = signing ? auth_config(AUTH_RS256, rsa.public_file, file)
					       : auth_config(AUTH_HS256, file, NULL);

		ck_assert_int_eq(chmod(file, row->mode), 0);
		if (row->good) {
			token_keys_free(keys_must_open(&config));
		} else {
			keys_must_fail(&config, words);
			keys_must_fail(&config, file);
		}
		ck_assert_int_eq(chmod(file, 0600), 0);
	}
}
END_TEST

START_TEST(test_a_public_key_may_be_open_to_all)
{
	struct config config = auth_config(AUTH_RS256, rsa.public_file, NULL);

	ck_assert_int_eq(chmod(rsa.public_file, 0644), 0);
	token_keys_free(keys_must_open(&config));
}
END_TEST

/* --- several files -----------------------------------------------------------------------------*/

static char *old_token(void)
{
	return hmac_token(EVP_sha256(), OLD_SECRET, strlen(OLD_SECRET), HEADER, GOOD, strlen(GOOD));
}

START_TEST(test_the_first_file_signs_and_all_verify)
{
	char *old = unit_write("old", OLD_SECRET, strlen(OLD_SECRET)), *both;
	struct config config = auth_config(AUTH_HS256, secret_file, NULL);
	struct token_keys *alone = keys_must_open(&config), *keys;
	struct token token = {.user = {"7"}, .iat = NOW, .exp = NOW + 60};

	ck_assert(asprintf(&both, " %s ,\t%s ", secret_file, old) > 0);
	config.auth.key_file = both;
	keys = keys_must_open(&config);
	token_expect_words(alone, old_token(), NOW, "signature");
	token_expect(keys, old_token(), NOW, OK, "the second key verifies");
	token_expect(alone, issue_token(keys, &token), NOW, OK, "the first key signs");
	token_expect(keys, hmac_token(EVP_sha256(), SECRET "x", 33, HEADER, GOOD, strlen(GOOD)),
		     NOW, INVALID, "a third key");
	token_keys_free(alone);
	token_keys_free(keys);
	free(both);
	free(old);
}
END_TEST

START_TEST(test_the_private_key_is_of_any_public_one)
{
	struct token token = {.user = {"7"}, .iat = NOW, .exp = NOW + 60};
	struct config config;
	struct token_keys *keys;
	char *both;

	ck_assert(asprintf(&both, "%s,%s", rsa.public_file, rsa_other.public_file) > 0);
	config = auth_config(AUTH_RS256, both, rsa_other.private_file);
	keys = keys_must_open(&config);
	token_expect(keys, issue_token(keys, &token), NOW, OK, "signed by the second");
	token_keys_free(keys);
	free(both);
}
END_TEST

START_TEST(test_every_file_of_a_list_is_checked)
{
	char *small = unit_write("small", SECRET, 31), *list;
	struct config config;

	static const char *const empty[] = {"%s,", ",%s", "%s, ,%s"};

	ck_assert(asprintf(&list, "%s,%s", secret_file, small) > 0);
	config = auth_config(AUTH_HS256, list, NULL);
	keys_must_fail(&config, "small: an HMAC secret has at least 32 bytes");
	free(list);
	ck_assert(asprintf(&list, "%s,%s", rsa.public_file, rsa_small.public_file) > 0);
	config = auth_config(AUTH_RS256, list, NULL);
	keys_must_fail(&config, "rsa-small.pub: an RSA key has at least 2048 bits");
	free(list);
	for (size_t i = 0; i < UNIT_COUNT(empty); i++) {
		struct printbuf *text = buf_new();

		for (const char *c = empty[i]; *c != '\0'; c++)
			buf_puts(text, *c == '%'   ? secret_file
				       : *c == 's' ? ""
				       : *c == ',' ? ","
						   : " ");
		config = auth_config(AUTH_HS256, text->buf, NULL);
		keys_must_fail(&config, "auth.key_file: a file's name is empty");
		printbuf_free(text);
	}
	free(small);
}
END_TEST

START_TEST(test_the_number_of_keys_is_bounded)
{
	struct printbuf *list = buf_new();
	struct config config;

	for (int i = 0; i < 33; i++)
		buf_putf(list, "%s%s", i > 0 ? "," : "", secret_file);
	config = auth_config(AUTH_HS256, list->buf, NULL);
	keys_must_fail(&config, "more keys than can be kept");
	printbuf_free(list);
}
END_TEST

/* --- JWK Sets ----------------------------------------------------------------------------------*/

static void put_number(struct printbuf *out, EVP_PKEY *key, const char *param, const char *name,
		       int size)
{
	unsigned char bytes[1024];
	BIGNUM *number = NULL;
	int len;

	ck_assert_int_eq(EVP_PKEY_get_bn_param(key, param, &number), 1);
	len = BN_bn2binpad(number, bytes, size > 0 ? size : BN_num_bytes(number));
	ck_assert_int_gt(len, 0);
	buf_putf(out, ",\"%s\":\"", name);
	base64url_put(out, bytes, (size_t)len);
	buf_puts(out, "\"");
	BN_free(number);
}

/* Appends a public key's JWK with further members (each after a comma) at its end. */
static void put_jwk(struct printbuf *out, const char *public_file, const char *more)
{
	FILE *file = fopen(public_file, "r");
	EVP_PKEY *key = PEM_read_PUBKEY(file, NULL, NULL, NULL);
	int bits;

	fclose(file);
	ck_assert_ptr_nonnull(key);
	bits = EVP_PKEY_get_bits(key);
	if (EVP_PKEY_get_id(key) == EVP_PKEY_RSA) {
		buf_puts(out, "{\"kty\":\"RSA\"");
		put_number(out, key, OSSL_PKEY_PARAM_RSA_N, "n", 0);
		put_number(out, key, OSSL_PKEY_PARAM_RSA_E, "e", 0);
	} else {
		buf_putf(out, "{\"kty\":\"EC\",\"crv\":\"P-%d\"", bits);
		put_number(out, key, OSSL_PKEY_PARAM_EC_PUB_X, "x", (bits + 7) / 8);
		put_number(out, key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", (bits + 7) / 8);
	}
	buf_putf(out, "%s}", more);
	EVP_PKEY_free(key);
}

static char *write_set(struct printbuf *keys)
{
	struct printbuf *set = buf_new();
	char *path;

	buf_putf(set, "{\"keys\":[%s]}\n", keys->buf);
	path = unit_write("set.json", set->buf, buf_len(set));
	printbuf_free(set);
	printbuf_free(keys);
	return path;
}

static void put_secret_jwk(struct printbuf *out, const char *secret, const char *more)
{
	buf_puts(out, "{\"kty\":\"oct\",\"k\":\"");
	base64url_put(out, secret, strlen(secret));
	buf_putf(out, "\"%s}", more);
}

static char *hs256_of(const char *secret, const char *kid)
{
	char *header, *text;

	ck_assert(asprintf(&header, "{\"alg\":\"HS256\"%s%s%s}", kid != NULL ? ",\"kid\":\"" : "",
			   kid != NULL ? kid : "", kid != NULL ? "\"" : "") > 0);
	text = hmac_token(EVP_sha256(), secret, strlen(secret), header, GOOD, strlen(GOOD));
	free(header);
	return text;
}

START_TEST(test_a_kid_chooses_the_key)
{
	struct printbuf *set = buf_new();
	struct token token = {.user = {"7"}, .iat = NOW, .exp = NOW + 60};
	struct config config, one;
	struct token_keys *keys, *first;
	char *path;

	put_secret_jwk(set, SECRET, ",\"kid\":\"new\"");
	buf_puts(set, ",");
	put_secret_jwk(set, OLD_SECRET, ",\"kid\":\"old\",\"use\":\"sig\",\"alg\":\"HS256\"");
	path = write_set(set);
	config = auth_config(AUTH_HS256, path, NULL);
	keys = keys_must_open(&config);
	token_expect(keys, hs256_of(SECRET, "new"), NOW, OK, "new");
	token_expect(keys, hs256_of(OLD_SECRET, "old"), NOW, OK, "old");
	token_expect_words(keys, hs256_of(OLD_SECRET, "new"), NOW, "signature");
	token_expect_words(keys, hs256_of(SECRET, "older"), NOW, "kid is not that of a known key");
	token_expect_words(keys, hs256_of(SECRET, ""), NOW, "kid is not that of a known key");
	token_expect(keys, hs256_of(OLD_SECRET, NULL), NOW, OK, "without a kid all are tried");
	/* The first signs, and says which it was. */
	one = auth_config(AUTH_HS256, secret_file, NULL);
	first = keys_must_open(&one);
	token_expect(first, issue_token(keys, &token), NOW, OK, "signed by the first");
	token_keys_free(first);
	token_keys_free(keys);
	free(path);
}
END_TEST

/* Fails the test unless the token's header is this JSON. */
static void expect_header(const char *token, const char *expected)
{
	unsigned char json[512];
	size_t len;

	ck_assert(base64url_decode(token, strcspn(token, "."), json, &len) && len < sizeof json);
	json[len] = '\0';
	ck_assert_str_eq((char *)json, expected);
}

START_TEST(test_public_jwks)
{
	static const struct {
		int algorithm;
		struct pair *pair;
		const char *header;
	} rows[] = {
		{AUTH_RS256, &rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"JWT\"}"},
		{AUTH_RS512, &rsa, "{\"alg\":\"RS512\",\"kid\":\"rsa\",\"typ\":\"JWT\"}"},
		{AUTH_ES256, &p256, "{\"alg\":\"ES256\",\"kid\":\"p256\",\"typ\":\"JWT\"}"},
		{AUTH_ES384, &p384, "{\"alg\":\"ES384\",\"kid\":\"p384\",\"typ\":\"JWT\"}"},
	};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		struct printbuf *set = buf_new();
		struct token token = {.user = {"7"}, .iat = NOW, .exp = NOW + 60};
		struct config config;
		struct token_keys *keys;
		char *path, *text;

		/* The others, of another kind or curve or use, are passed over. */
		put_jwk(set, p256_other.public_file, ",\"kid\":\"enc\",\"use\":\"enc\"");
		buf_puts(set, ",{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"},7,");
		put_jwk(set, rsa.public_file, ",\"kid\":\"rsa\"");
		buf_puts(set, ",");
		put_jwk(set, p256.public_file, ",\"kid\":\"p256\"");
		buf_puts(set, ",");
		put_jwk(set, p384.public_file, ",\"kid\":\"p384\"");
		path = write_set(set);
		ck_assert_int_eq(chmod(path, 0644), 0); /* public */
		config = auth_config(rows[i].algorithm, path, rows[i].pair->private_file);
		keys = keys_must_open(&config);
		text = issue_token(keys, &token);
		ck_assert_ptr_nonnull(text);
		expect_header(text, rows[i].header);
		token_expect(keys, text, NOW, OK, "signed by the private key");
		token_keys_free(keys);
		free(path);
	}
}
END_TEST

/* RFC 7515 appendix A.1: the signature is good, so what is refused is that nobody is named. */
START_TEST(test_the_example_of_rfc_7515)
{
	static const char set[] =
		"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
		"1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}]}";
	static const char token[] =
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz"
		"ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU"
		"1p1r_wW1gFWFOEjXk";
	char *path = unit_write("rfc.json", set, strlen(set));
	struct config config = auth_config(AUTH_HS256, path, NULL);
	struct token_keys *keys = keys_must_open(&config);

	token_expect_words(keys, strdup(token), NOW, "sub is not a user id");
	token_keys_free(keys);
	free(path);
}
END_TEST

static const struct set_row {
	int algorithm;
	const char *set, *words;
} bad_sets[] = {
	{AUTH_HS256, "", "not a JWK Set"},
	{AUTH_HS256, "[]", "not a JWK Set"},
	{AUTH_HS256, "{}", "no array \"keys\""},
	{AUTH_HS256, "{\"keys\":{}}", "no array \"keys\""},
	{AUTH_HS256, "{\"keys\":[]}", "holds no key for the algorithm"},
	{AUTH_HS256, "{\"keys\":[{\"kty\":\"RSA\"}]}", "holds no key for the algorithm"},
	{AUTH_HS256, "{\"keys\":[{\"kty\":\"oct\"}]}", "malformed"},
	{AUTH_HS256, "{\"keys\":[{\"kty\":\"oct\",\"k\":7}]}", "malformed"},
	{AUTH_HS256, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"a+b/\"}]}", "malformed"},
	{AUTH_HS256, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "at least 32 bytes"},
	{AUTH_HS256,
	 "{\"keys\":[{\"kty\":\"oct\",\"kid\":7,"
	 "\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
	 "malformed"},
	{AUTH_HS384,
	 "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\","
	 "\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
	 "holds no key for the algorithm"},
	{AUTH_RS256, "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\"}]}", "malformed"},
	{AUTH_RS256, "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "2048 bits"},
	{AUTH_ES256,
	 "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
	 "malformed"},
	/* Of the right length, but not on the curve. */
	{AUTH_ES256,
	 "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
	 "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
	 "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}",
	 "malformed"},
};

START_TEST(test_bad_sets)
{
	const struct set_row *row = &bad_sets[_i];
	char *path = unit_write("bad.json", row->set, strlen(row->set));
	struct config config = auth_config(row->algorithm, path, NULL);

	keys_must_fail(&config, row->words);
	free(path);
}
END_TEST

START_TEST(test_a_set_with_a_secret_is_a_secret_file)
{
	struct printbuf *set = buf_new();
	struct config config;
	char *path;

	put_jwk(set, rsa.public_file, ",\"d\":\"AAAA\"");
	path = write_set(set);
	config = auth_config(AUTH_RS256, path, NULL);
	token_keys_free(keys_must_open(&config));
	ck_assert_int_eq(chmod(path, 0644), 0);
	keys_must_fail(&config, "0644");
	free(path);
	set = buf_new();
	put_secret_jwk(set, SECRET, "");
	path = write_set(set);
	config = auth_config(AUTH_HS256, path, NULL);
	ck_assert_int_eq(chmod(path, 0604), 0);
	keys_must_fail(&config, "0604");
	free(path);
}
END_TEST

static Suite *keys_suite(void)
{
	Suite *suite = suite_create("keys");
	TCase *tcase = tcase_create("keys");

	tcase_add_unchecked_fixture(tcase, keys_setup, keys_teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_secret_files);
	tcase_add_test(tcase, test_public_keys);
	tcase_add_test(tcase, test_signing_keys);
	tcase_add_loop_test(tcase, test_a_secret_open_to_all_is_refused, 0, UNIT_COUNT(modes));
	tcase_add_test(tcase, test_a_public_key_may_be_open_to_all);
	tcase_add_test(tcase, test_the_first_file_signs_and_all_verify);
	tcase_add_test(tcase, test_the_private_key_is_of_any_public_one);
	tcase_add_test(tcase, test_every_file_of_a_list_is_checked);
	tcase_add_test(tcase, test_the_number_of_keys_is_bounded);
	tcase_add_test(tcase, test_a_kid_chooses_the_key);
	tcase_add_test(tcase, test_public_jwks);
	tcase_add_test(tcase, test_the_example_of_rfc_7515);
	tcase_add_loop_test(tcase, test_bad_sets, 0, UNIT_COUNT(bad_sets));
	tcase_add_test(tcase, test_a_set_with_a_secret_is_a_secret_file);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(keys_suite());
}
