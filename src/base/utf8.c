#include "base/utf8.h"

#include <string.h>

size_t utf8_len(const char *text, const char *end)
{
	const unsigned char *c = (const unsigned char *)text;
	unsigned low = 0x80, high = 0xbf; /* what the second byte may be */
	size_t len;

	if (text >= end)
		return 0;
	if (c[0] < 0x80)
		return 1;
	len = c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;
	if (len == 0 || (size_t)(end - text) < len)
		return 0;
	if (c[0] == 0xe0)
		low = 0xa0;
	else if (c[0] == 0xed)
		high = 0x9f;
	else if (c[0] == 0xf0)
		low = 0x90;
	else if (c[0] == 0xf4)
		high = 0x8f;
	if (c[1] < low || c[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

bool utf8_is_valid(const char *text, size_t len)
{
	const char *end = text + len;
	size_t step;

	for (; text < end; text += step) {
		step = utf8_len(text, end);
		if (step == 0)
			return false;
	}
	return true;
}

bool utf8_put(struct printbuf *out, const char *text, size_t len)
{
	const char *end = text + len, *done = text;
	bool valid = true;

	while (text < end) {
		size_t step = utf8_len(text, end);

		if (step > 0) {
			text += step;
			continue;
		}
		buf_put(out, done, (size_t)(text - done));
		buf_puts(out, UTF8_REPLACEMENT);
		done = ++text;
		valid = false;
	}
	buf_put(out, done, (size_t)(end - done));
	return valid;
}

bool utf8_is_control(const char *text, size_t len)
{
	const unsigned char *c = (const unsigned char *)text;

	if (len == 1)
		return c[0] < ' ' || c[0] == 0x7f;
	if (len == 2)
		return c[0] == 0xc2 && c[1] < 0xa0;
	return len == 3 && memcmp(text, "\xe2\x80", 2) == 0 && (c[2] == 0xa8 || c[2] == 0xa9);
}

bool utf8_is_bidi_override(const char *text, size_t len)
{
	const unsigned char *c = (const unsigned char *)text;

	return len == 3 && c[0] == 0xe2 &&
	       ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) ||
		(c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}
