/* Base 64 with the URL-safe alphabet and without padding (RFC 4648 section 5, RFC 7515 section 2). */
#ifndef PRESENCE_BASE_BASE64URL_H
#define PRESENCE_BASE_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Bytes that len characters stand for. */
#define BASE64URL_DECODED(len) ((len) / 4 * 3 + ((len) % 4 + 1) / 2)

/* Appends len bytes as text. */
void base64url_put(struct printbuf *out, const void *data, size_t len);

/*
 * Decodes len characters into `out`, of BASE64URL_DECODED(len) bytes; *size is
 * how many there are. False unless it is the one spelling of these bytes: no
 * other character, no padding, the unused bits of the last character zero.
 */
bool base64url_decode(const char *text, size_t len, unsigned char *out, size_t *size);

#endif
