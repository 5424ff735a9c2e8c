#include "push/encrypt.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/alloc.h"

#define CEK_LEN 16
#define NONCE_LEN 12
#define SECRET_LEN 32 /* of ECDH on P-256, and of IKM */
#define CURVE "P-256"
#define DELIMITER 2 /* of the last record */

/* Looking algorithms up by name costs more than using them. */
struct encryptor {
	EVP_KDF *hkdf;
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *cipher_ctx;
	EVP_PKEY_CTX *keygen; /* makes pairs on the curve */
	EVP_PKEY *curve; /* a key whose parameters receivers' keys are made from */
};

void encryptor_free(struct encryptor *encryptor)
{
	if (encryptor == NULL)
		return;
	EVP_KDF_free(encryptor->hkdf);
	EVP_CIPHER_free(encryptor->cipher);
	EVP_CIPHER_CTX_free(encryptor->cipher_ctx);
	EVP_PKEY_CTX_free(encryptor->keygen);
	EVP_PKEY_free(encryptor->curve);
	free(encryptor);
}

struct encryptor *encryptor_new(void)
{
	struct encryptor *encryptor = xcalloc(1, sizeof *encryptor);

	encryptor->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	encryptor->cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	encryptor->cipher_ctx = EVP_CIPHER_CTX_new();
	encryptor->keygen = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	if (encryptor->hkdf != NULL && encryptor->cipher != NULL && encryptor->cipher_ctx != NULL &&
	    encryptor->keygen != NULL && EVP_PKEY_keygen_init(encryptor->keygen) == 1 &&
	    EVP_PKEY_CTX_set_group_name(encryptor->keygen, CURVE) == 1 &&
	    EVP_PKEY_generate(encryptor->keygen, &encryptor->curve) == 1)
		return encryptor;
	encryptor_free(encryptor);
	return NULL;
}

/* HKDF with SHA-256 (RFC 5869). */
static bool derive(const struct encryptor *encryptor, const void *salt, size_t salt_len,
		   const void *ikm, size_t ikm_len, const void *info, size_t info_len,
		   unsigned char *out, size_t out_len)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)ikm, ikm_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_len),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(encryptor->hkdf);
	bool ok = context != NULL && EVP_KDF_derive(context, out, out_len, params) == 1;

	EVP_KDF_CTX_free(context);
	return ok;
}

static bool seal(struct encryptor *encryptor, const unsigned char *key, const unsigned char *nonce,
		 const unsigned char *plain, size_t len, unsigned char *sealed)
{
	EVP_CIPHER_CTX *context = encryptor->cipher_ctx;
	int done = 0, rest = 0;

	return EVP_EncryptInit_ex2(context, encryptor->cipher, key, nonce, NULL) == 1 &&
	       EVP_EncryptUpdate(context, sealed, &done, plain, (int)len) == 1 &&
	       EVP_EncryptFinal_ex(context, sealed + done, &rest) == 1 &&
	       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, ENCRYPT_TAG_LEN, sealed + len) ==
		       1;
}

/* salt, record size, length of the key id, key id (RFC 8188 section 2.1) */
static void put_head(struct printbuf *out, const unsigned char *salt, const void *key_id,
		     size_t key_id_len)
{
	const unsigned char rest[] = {ENCRYPT_RECORD >> 24, ENCRYPT_RECORD >> 16 & 255,
				      ENCRYPT_RECORD >> 8 & 255, ENCRYPT_RECORD & 255,
				      (unsigned char)key_id_len};

	buf_put(out, salt, ENCRYPT_SALT_LEN);
	buf_put(out, rest, sizeof rest);
	buf_put(out, key_id, key_id_len);
}

bool encrypt_record(struct encryptor *encryptor, const void *ikm, size_t ikm_len,
		    const unsigned char salt[ENCRYPT_SALT_LEN], const void *key_id,
		    size_t key_id_len, const void *data, size_t len, size_t padded,
		    struct printbuf *out)
{
	static const char cek_info[] = "Content-Encoding: aes128gcm";
	static const char nonce_info[] = "Content-Encoding: nonce";
	unsigned char cek[CEK_LEN], nonce[NONCE_LEN], plain[ENCRYPT_RECORD];

	if (padded < len + 1 || padded + ENCRYPT_TAG_LEN > ENCRYPT_RECORD || key_id_len > 255)
		return false;
	/* The NUL belongs to the text (section 2.2). */
	if (!derive(encryptor, salt, ENCRYPT_SALT_LEN, ikm, ikm_len, cek_info, sizeof cek_info, cek,
		    sizeof cek) ||
	    !derive(encryptor, salt, ENCRYPT_SALT_LEN, ikm, ikm_len, nonce_info, sizeof nonce_info,
		    nonce, sizeof nonce))
		return false;
	memcpy(plain, data, len);
	plain[len] = DELIMITER;
	memset(plain + len + 1, 0, padded - len - 1);
	put_head(out, salt, key_id, key_id_len);
	return seal(encryptor, cek, nonce, plain, padded,
		    (unsigned char *)buf_extend(out, padded + ENCRYPT_TAG_LEN));
}

static bool agree(const struct encryptor *encryptor, const struct push_keys *keys, EVP_PKEY *sender,
		  unsigned char secret[SECRET_LEN])
{
	EVP_PKEY *receiver = EVP_PKEY_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, sender, NULL);
	size_t len = SECRET_LEN;
	/* Setting the encoded key refuses a point that is not on the curve. */
	bool ok = receiver != NULL && context != NULL &&
		  EVP_PKEY_copy_parameters(receiver, encryptor->curve) == 1 &&
		  EVP_PKEY_set1_encoded_public_key(receiver, keys->p256dh, sizeof keys->p256dh) ==
			  1 &&
		  EVP_PKEY_derive_init(context) == 1 &&
		  EVP_PKEY_derive_set_peer_ex(context, receiver, 0) == 1 &&
		  EVP_PKEY_derive(context, secret, &len) == 1 && len == SECRET_LEN;

	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(receiver);
	return ok;
}

bool encrypt_with(struct encryptor *encryptor, const struct push_keys *keys, EVP_PKEY *sender,
		  const unsigned char salt[ENCRYPT_SALT_LEN], const void *data, size_t len,
		  size_t padded, struct printbuf *out)
{
	static const char label[] = "WebPush: info"; /* its NUL belongs to it */
	unsigned char own[PUSH_P256DH_LEN], secret[SECRET_LEN], ikm[SECRET_LEN];
	unsigned char info[sizeof label + (size_t)2 * PUSH_P256DH_LEN], *at = info;
	size_t own_len;

	if (EVP_PKEY_get_octet_string_param(sender, OSSL_PKEY_PARAM_PUB_KEY, own, sizeof own,
					    &own_len) != 1 ||
	    own_len != sizeof own || !agree(encryptor, keys, sender, secret))
		return false;
	/* RFC 8291 section 3.3 */
	at = mempcpy(at, label, sizeof label);
	at = mempcpy(at, keys->p256dh, sizeof keys->p256dh);
	memcpy(at, own, sizeof own);
	return derive(encryptor, keys->auth, sizeof keys->auth, secret, sizeof secret, info,
		      sizeof info, ikm, sizeof ikm) &&
	       encrypt_record(encryptor, ikm, sizeof ikm, salt, own, sizeof own, data, len, padded,
			      out);
}

bool encrypt_message(struct encryptor *encryptor, const struct push_keys *keys, const void *data,
		     size_t len, size_t padded, struct printbuf *out)
{
	unsigned char salt[ENCRYPT_SALT_LEN];
	EVP_PKEY *sender = NULL;
	bool ok = RAND_bytes(salt, sizeof salt) == 1 &&
		  EVP_PKEY_generate(encryptor->keygen, &sender) == 1 &&
		  encrypt_with(encryptor, keys, sender, salt, data, len, padded, out);

	EVP_PKEY_free(sender);
	return ok;
}
