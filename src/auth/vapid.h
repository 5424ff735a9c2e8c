/*
 * VAPID (RFC 8292): how this site identifies itself to push services. One P-256
 * key pair for the whole site; browsers get its public key when they subscribe.
 */
#ifndef PRESENCE_AUTH_VAPID_H
#define PRESENCE_AUTH_VAPID_H

#include <stddef.h>
#include <stdint.h>

#define VAPID_REUSE 43200 /* seconds that a token is used; RFC 8292 section 2 allows 24 h */
#define VAPID_ORIGINS_MAX 32 /* tokens kept, one for each push service */

struct vapid;

/*
 * Reads the PEM file of an EC private key on P-256. `subject` is a mailto: or
 * https: URL, or "" for none. NULL with a sentence in err. Free with vapid_free().
 */
struct vapid *vapid_open(const char *key_file, const char *subject, char *err, size_t errsize);
void vapid_free(struct vapid *vapid);

/* The public key, an uncompressed point in base64url; borrowed. */
const char *vapid_public_key(const struct vapid *vapid);

/*
 * The value of the Authorization field for a push service: `origin` as in RFC
 * 6454, "https://host[:port]", at `now` (seconds). Signed when there is none
 * for that origin, or the one there is was used for VAPID_REUSE. Borrowed,
 * valid until the next call. NULL when it cannot be signed (sign.h).
 */
const char *vapid_authorization(struct vapid *vapid, const char *origin, int64_t now);

/* A new private key, PEM (PKCS #8), which the caller frees. NULL when OpenSSL fails. */
char *vapid_make_key(void);

#endif
