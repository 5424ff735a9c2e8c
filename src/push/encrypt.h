/*
 * A push message's body: the payload encrypted for one browser. RFC 8291
 * derives the keys, RFC 8188 (aes128gcm, one record) is the form. Pure but for
 * OpenSSL's random bytes in encrypt_message().
 */
#ifndef PRESENCE_PUSH_ENCRYPT_H
#define PRESENCE_PUSH_ENCRYPT_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "store/push_subscription.h"

#define ENCRYPT_SALT_LEN 16
#define ENCRYPT_TAG_LEN 16
#define ENCRYPT_HEAD_LEN 21 /* salt, record size, length of the key id */
#define ENCRYPT_RECORD 4096 /* bytes: what a push service must take (RFC 8030 section 7.2) */

/* What OpenSSL looks up once. One for each thread; free with encryptor_free(). */
struct encryptor;
struct encryptor *encryptor_new(void);
void encryptor_free(struct encryptor *encryptor);

/*
 * RFC 8188: appends header and one record that holds the `len` bytes, its
 * delimiter and zeros, `padded` bytes in all (at least len + 1). `ikm` is the
 * input keying material. False when OpenSSL fails; then `out` is undefined.
 */
bool encrypt_record(struct encryptor *encryptor, const void *ikm, size_t ikm_len,
		    const unsigned char salt[ENCRYPT_SALT_LEN], const void *key_id,
		    size_t key_id_len, const void *data, size_t len, size_t padded,
		    struct printbuf *out);

/*
 * RFC 8291: the same for the owner of `keys`, with the sender's key pair
 * (P-256) and salt given. False also when p256dh is not a point of the curve.
 */
bool encrypt_with(struct encryptor *encryptor, const struct push_keys *keys, EVP_PKEY *sender,
		  const unsigned char salt[ENCRYPT_SALT_LEN], const void *data, size_t len,
		  size_t padded, struct printbuf *out);

/* The same with a key pair and salt of this message's own. */
bool encrypt_message(struct encryptor *encryptor, const struct push_keys *keys, const void *data,
		     size_t len, size_t padded, struct printbuf *out);

#endif
