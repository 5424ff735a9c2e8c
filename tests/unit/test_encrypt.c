/* Push messages' encryption: the RFCs' own examples, byte for byte, and what is refused. */
#include "unit.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "base/base64url.h"
#include "push/encrypt.h"

/* RFC 8291 section 5 and appendix A */
#define PLAIN "When I grow up, I want to be a watermelon"
#define SENDER_PRIVATE "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
#define SENDER_PUBLIC                                                          \
	"BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz" \
	"AC8wEqKK6PBru3jl7A8"
#define RECEIVER_PUBLIC                                                        \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7V" \
	"d8pZGH6SRpkNtoIAiw4"
#define SALT "DGv6ra1nlYgDCS1FRnbzlw"
#define AUTH "BTBZMqHH6r4Tts7J_aSIgg"
#define MESSAGE                                                            \
	"DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml" \
	"mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT" \
	"pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"

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

static struct encryptor *encryptor;

static void setup(void)
{
	encryptor = encryptor_new();
	ck_assert_ptr_nonnull(encryptor);
}

static void teardown(void)
{
	encryptor_free(encryptor);
}

static void read_text(const char *text, void *data, size_t size)
{
	ck_assert_msg(read_base64url(text, data, size), "'%s' is not of %zu bytes", text, size);
}

/* A key pair from its parts. */
static EVP_PKEY *make_pair(const char *private_text, const char *public_text)
{
	unsigned char private_key[32], public_key[65];
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pair = NULL;
	OSSL_PARAM *params;
	BIGNUM *number;

	read_text(private_text, private_key, sizeof private_key);
	read_text(public_text, public_key, sizeof public_key);
	number = BN_bin2bn(private_key, sizeof private_key, NULL);
	OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
	OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, public_key,
					 sizeof public_key);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number);
	params = OSSL_PARAM_BLD_to_param(build);
	ck_assert_int_eq(EVP_PKEY_fromdata_init(context), 1);
	ck_assert_int_eq(EVP_PKEY_fromdata(context, &pair, EVP_PKEY_KEYPAIR, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(context);
	BN_free(number);
	return pair;
}

static void read_keys(struct push_keys *keys)
{
	read_text(RECEIVER_PUBLIC, keys->p256dh, sizeof keys->p256dh);
	read_text(AUTH, keys->auth, sizeof keys->auth);
}

static void check_text(const struct printbuf *body, const char *expected)
{
	struct printbuf *text = buf_new();

	base64url_put(text, body->buf, buf_len(body));
	ck_assert_str_eq(text->buf, expected);
	printbuf_free(text);
}

START_TEST(the_example_of_rfc_8188_comes_out_byte_for_byte)
{
	static const char plain[] = "I am the walrus";
	unsigned char key[16], salt[ENCRYPT_SALT_LEN];
	struct printbuf *body = buf_new();

	/* Section 3.1 */
	read_text("yqdlZ-tYemfogSmv7Ws5PQ", key, sizeof key);
	read_text("I1BsxtFttlv3u_Oo94xnmw", salt, sizeof salt);
	ck_assert(encrypt_record(encryptor, key, sizeof key, salt, "", 0, plain, strlen(plain),
				 strlen(plain) + 1, body));
	check_text(body, "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-"
			 "ly8Thjg");
	printbuf_free(body);
}
END_TEST

START_TEST(the_example_of_rfc_8291_comes_out_byte_for_byte)
{
	EVP_PKEY *sender = make_pair(SENDER_PRIVATE, SENDER_PUBLIC);
	unsigned char salt[ENCRYPT_SALT_LEN];
	struct printbuf *body = buf_new();
	struct push_keys keys;

	read_keys(&keys);
	read_text(SALT, salt, sizeof salt);
	ck_assert(encrypt_with(encryptor, &keys, sender, salt, PLAIN, strlen(PLAIN),
			       strlen(PLAIN) + 1, body));
	check_text(body, MESSAGE);
	printbuf_free(body);
	EVP_PKEY_free(sender);
}
END_TEST

START_TEST(padding_makes_messages_of_one_length)
{
	struct printbuf *one = buf_new(), *other = buf_new();
	struct push_keys keys;

	read_keys(&keys);
	ck_assert(encrypt_message(encryptor, &keys, "a", 1, 256, one));
	ck_assert(encrypt_message(encryptor, &keys, PLAIN, strlen(PLAIN), 256, other));
	ck_assert_uint_eq(buf_len(one), ENCRYPT_HEAD_LEN + PUSH_P256DH_LEN + 256 + ENCRYPT_TAG_LEN);
	ck_assert_uint_eq(buf_len(one), buf_len(other));
	printbuf_free(one);
	printbuf_free(other);
}
END_TEST

START_TEST(no_two_messages_share_a_salt_or_a_key)
{
	struct printbuf *one = buf_new(), *other = buf_new();
	struct push_keys keys;

	read_keys(&keys);
	ck_assert(encrypt_message(encryptor, &keys, "a", 1, 2, one));
	ck_assert(encrypt_message(encryptor, &keys, "a", 1, 2, other));
	ck_assert_mem_ne(one->buf, other->buf, ENCRYPT_SALT_LEN);
	ck_assert_mem_ne(one->buf + ENCRYPT_HEAD_LEN, other->buf + ENCRYPT_HEAD_LEN,
			 PUSH_P256DH_LEN);
	printbuf_free(one);
	printbuf_free(other);
}
END_TEST

START_TEST(a_key_that_is_no_point_of_the_curve_is_refused)
{
	struct printbuf *body = buf_new();
	struct push_keys keys;

	read_keys(&keys);
	keys.p256dh[64] ^= 1;
	ck_assert(!encrypt_message(encryptor, &keys, "a", 1, 2, body));
	/* And the next one is encrypted all the same. */
	keys.p256dh[64] ^= 1;
	ck_assert(encrypt_message(encryptor, &keys, "a", 1, 2, body));
	printbuf_free(body);
}
END_TEST

START_TEST(what_does_not_fit_into_a_record_is_refused)
{
	struct printbuf *body = buf_new();
	struct push_keys keys;
	char data[ENCRYPT_RECORD] = {0};

	read_keys(&keys);
	ck_assert(!encrypt_message(encryptor, &keys, data, 10, 10, body));
	ck_assert(!encrypt_message(encryptor, &keys, data, 10, ENCRYPT_RECORD - 15, body));
	ck_assert(encrypt_message(encryptor, &keys, data, 10, ENCRYPT_RECORD - 16, body));
	printbuf_free(body);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("encrypt");
	TCase *tcase = tcase_create("encrypt");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_example_of_rfc_8188_comes_out_byte_for_byte);
	tcase_add_test(tcase, the_example_of_rfc_8291_comes_out_byte_for_byte);
	tcase_add_test(tcase, padding_makes_messages_of_one_length);
	tcase_add_test(tcase, no_two_messages_share_a_salt_or_a_key);
	tcase_add_test(tcase, a_key_that_is_no_point_of_the_curve_is_refused);
	tcase_add_test(tcase, what_does_not_fit_into_a_record_is_refused);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
