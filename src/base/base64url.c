#include "base/base64url.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

void base64url_put(struct printbuf *out, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	uint32_t bits = 0; /* the lowest `held` of them are still to be written */
	unsigned held = 0;
	char *at = buf_extend(out, (len * 4 + 2) / 3);

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | bytes[i];
		for (held += 8; held >= 6; held -= 6)
			*at++ = alphabet[bits >> (held - 6) & 63];
	}
	if (held > 0)
		*at = alphabet[bits << (6 - held) & 63];
}

bool base64url_decode(const char *text, size_t len, unsigned char *out, size_t *size)
{
	uint32_t bits = 0;
	unsigned held = 0;

	*size = 0;
	for (size_t i = 0; i < len; i++) {
		int value = value_of(text[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[(*size)++] = (unsigned char)(bits >> held & 255);
		}
	}
	return held < 6 && (bits & ((1U << held) - 1)) == 0;
}
