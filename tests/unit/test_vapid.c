/* VAPID: the RFC's own example against the verifier used here, and our tokens against the same. */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>

#include <json-c/json.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "auth/vapid.h"
#include "base/base64url.h"

/* RFC 8292 section 2.4 */
#define EXAMPLE                                                                                    \
	"vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQ" \
	"iLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFO" \
	"epC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA, "                    \
	"k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_"                         \
	"RCPCfA5aq9ojSwk5Y2EmClBPs"

#define ORIGIN "https://push.example.net"
#define NOW 1700000000

/* Whether the text stands for exactly `size` bytes. */
static bool read_base64url(const char *text, void *data, size_t size)
{
	unsigned char bytes[512];
	size_t found;

	if (strlen(text) > 600 || !base64url_decode(text, strlen(text), bytes, &found) ||
	    found != size)
		return false;
	memcpy(data, bytes, size);
	return true;
}

static char *key_path;

static void setup(void)
{
	char *pem = vapid_make_key();

	unit_dir_setup();
	ck_assert_ptr_nonnull(pem);
	key_path = unit_write("vapid.pem", pem, strlen(pem));
	free(pem);
}

static void teardown(void)
{
	free(key_path);
	unit_dir_teardown();
}

static struct vapid *open_key(const char *subject)
{
	char err[256] = "";
	struct vapid *vapid = vapid_open(key_path, subject, err, sizeof err);

	ck_assert_msg(vapid != NULL, "%s", err);
	return vapid;
}

/* An independent ES256 verifier (RFC 7518 section 3.4): r and s as they stand. */
static bool is_signed(const char *token, size_t signed_len, const char *signature_text,
		      const char *key_text)
{
	unsigned char point[65], raw[64], *der = NULL;
	char group[] = "P-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	ECDSA_SIG *pair = ECDSA_SIG_new();
	EVP_PKEY *key = NULL;
	int der_len;
	bool ok;

	ck_assert(read_base64url(key_text, point, sizeof point));
	ck_assert(read_base64url(signature_text, raw, sizeof raw));
	ck_assert_int_eq(
		ECDSA_SIG_set0(pair, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL)), 1);
	der_len = i2d_ECDSA_SIG(pair, &der);
	ck_assert_int_eq(EVP_PKEY_fromdata_init(context), 1);
	ck_assert_int_eq(EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
	ck_assert_int_eq(EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, key), 1);
	ok = EVP_DigestVerify(digest, der, (size_t)der_len, (const unsigned char *)token,
			      signed_len) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(pair);
	EVP_MD_CTX_free(digest);
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(key);
	return ok;
}

/* Takes "vapid t=HEADER.CLAIMS.SIGNATURE, k=KEY" apart; the claims, to be released. */
static struct json_object *check_field(const char *field)
{
	char token[1024], key[128], *dot, *claims;
	struct json_object *object;
	size_t size;

	ck_assert_msg(sscanf(field, "vapid t=%1023[^,], k=%127s", token, key) == 2, "%s", field);
	dot = strrchr(token, '.');
	ck_assert(is_signed(token, (size_t)(dot - token), dot + 1, key));
	*dot = '\0';
	claims = strchr(token, '.') + 1;
	size = BASE64URL_DECODED(strlen(claims));
	dot = calloc(1, size + 1);
	ck_assert(read_base64url(claims, dot, size));
	object = json_tokener_parse(dot);
	ck_assert_ptr_nonnull(object);
	free(dot);
	return object;
}

static const char *text_of(struct json_object *object, const char *name)
{
	struct json_object *value;

	ck_assert_msg(json_object_object_get_ex(object, name, &value), "no %s", name);
	return json_object_get_string(value);
}

START_TEST(the_example_of_the_rfc_passes_this_verifier)
{
	struct json_object *claims = check_field(EXAMPLE);

	ck_assert_str_eq(text_of(claims, "aud"), ORIGIN);
	ck_assert_str_eq(text_of(claims, "exp"), "1453523768");
	json_object_put(claims);
}
END_TEST

START_TEST(a_token_says_for_whom_how_long_and_from_whom)
{
	struct vapid *vapid = open_key("mailto:push@example.com");
	const char *field = vapid_authorization(vapid, ORIGIN, NOW);
	struct json_object *claims = check_field(field);
	long long left = atoll(text_of(claims, "exp")) - NOW;

	ck_assert_str_eq(text_of(claims, "aud"), ORIGIN);
	ck_assert_str_eq(text_of(claims, "sub"), "mailto:push@example.com");
	ck_assert_msg(left > VAPID_REUSE && left <= 86400, "it lives %lld s", left);
	ck_assert_int_eq(json_object_object_length(claims), 3);
	ck_assert_ptr_nonnull(strstr(field, vapid_public_key(vapid)));
	json_object_put(claims);
	vapid_free(vapid);
}
END_TEST

START_TEST(without_a_subject_the_claim_is_missing)
{
	struct vapid *vapid = open_key("");
	struct json_object *claims = check_field(vapid_authorization(vapid, ORIGIN, NOW));

	ck_assert_int_eq(json_object_object_length(claims), 2);
	json_object_put(claims);
	vapid_free(vapid);
}
END_TEST

START_TEST(a_token_serves_its_origin_for_twelve_hours)
{
	struct vapid *vapid = open_key("");
	char *first = strdup(vapid_authorization(vapid, ORIGIN, NOW));

	ck_assert_str_eq(vapid_authorization(vapid, ORIGIN, NOW + VAPID_REUSE - 1), first);
	ck_assert_str_ne(vapid_authorization(vapid, "https://other.example.net", NOW), first);
	ck_assert_str_eq(vapid_authorization(vapid, ORIGIN, NOW), first);
	ck_assert_str_ne(vapid_authorization(vapid, ORIGIN, NOW + VAPID_REUSE), first);
	/* The clock was set back: the token at hand would be valid for too long. */
	ck_assert_str_ne(vapid_authorization(vapid, ORIGIN, NOW - 1), first);
	free(first);
	vapid_free(vapid);
}
END_TEST

START_TEST(many_origins_each_get_their_own)
{
	struct vapid *vapid = open_key("");

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2 * VAPID_ORIGINS_MAX; i++) {
			char origin[64];
			struct json_object *claims;

			snprintf(origin, sizeof origin, "https://p%d.example.net", i);
			claims = check_field(vapid_authorization(vapid, origin, NOW));
			ck_assert_str_eq(text_of(claims, "aud"), origin);
			json_object_put(claims);
		}
	}
	vapid_free(vapid);
}
END_TEST

START_TEST(a_file_that_is_no_such_key_is_refused_by_name)
{
	static const char p384[] =
		"-----BEGIN EC PRIVATE KEY-----\nMIGkAgEBBDA=\n-----END EC PRIVATE "
		"KEY-----\n";
	char err[256], *path = unit_write("other.pem", p384, strlen(p384));

	ck_assert_ptr_null(vapid_open(path, "", err, sizeof err));
	ck_assert_msg(strstr(err, path) != NULL && strstr(err, "P-256") != NULL, "%s", err);
	ck_assert_ptr_null(vapid_open("/nowhere/key.pem", "", err, sizeof err));
	ck_assert_msg(strstr(err, "/nowhere/key.pem: No such file") != NULL, "%s", err);
	ck_assert_int_eq(chmod(key_path, 0644), 0);
	ck_assert_ptr_null(vapid_open(key_path, "", err, sizeof err));
	ck_assert_msg(strstr(err, "0644") != NULL, "%s", err);
	free(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vapid");
	TCase *tcase = tcase_create("vapid");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_example_of_the_rfc_passes_this_verifier);
	tcase_add_test(tcase, a_token_says_for_whom_how_long_and_from_whom);
	tcase_add_test(tcase, without_a_subject_the_claim_is_missing);
	tcase_add_test(tcase, a_token_serves_its_origin_for_twelve_hours);
	tcase_add_test(tcase, many_origins_each_get_their_own);
	tcase_add_test(tcase, a_file_that_is_no_such_key_is_refused_by_name);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
