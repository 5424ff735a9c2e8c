/* UTF-8 (RFC 3629): the one place that tells what is. */
#ifndef PRESENCE_BASE_UTF8_H
#define PRESENCE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Bytes of the character at text, 1..4; 0 when it is none. `end` is beyond the text's last byte. */
size_t utf8_len(const char *text, const char *end);

/* Whether all len bytes are UTF-8. */
bool utf8_is_valid(const char *text, size_t len);

/* Appends the text with U+FFFD for each byte that is not part of a character; whether none was. */
bool utf8_put(struct printbuf *out, const char *text, size_t len);

/*
 * Whether the character of `len` bytes at text may end or change a line where it is shown: C0 and C1
 * controls, DEL, U+2028, U+2029.
 */
bool utf8_is_control(const char *text, size_t len);

/*
 * Whether the character of `len` bytes at text makes what follows it run the other way whatever it is:
 * the embeddings, overrides and isolates of UAX 9, U+202A to U+202E and U+2066 to U+2069. A text in
 * Hebrew or Arabic does not need them.
 */
bool utf8_is_bidi_override(const char *text, size_t len);

#endif
