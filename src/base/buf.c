#include "base/buf.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

static void out_of_memory(void)
{
	fputs("presence: out of memory\n", stderr);
	abort();
}

struct printbuf *buf_new(void)
{
	struct printbuf *buf = printbuf_new();

	if (buf == NULL)
		out_of_memory();
	return buf;
}

/* Also for the NUL after them. */
static bool has_capacity(const struct printbuf *buf, size_t len)
{
	return (size_t)(buf->size - buf->bpos) > len;
}

void buf_put(struct printbuf *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	/* Mostly there is capacity, and nothing to be asked of the library. */
	if (has_capacity(buf, len)) {
		memcpy(buf->buf + buf->bpos, data, len);
		buf->bpos += (int)len;
		buf->buf[buf->bpos] = '\0';
	} else if (len > INT_MAX / 2 || printbuf_memappend(buf, data, (int)len) < 0) {
		out_of_memory();
	}
}

char *buf_extend(struct printbuf *buf, size_t len)
{
	if (has_capacity(buf, len)) {
		buf->bpos += (int)len;
		buf->buf[buf->bpos] = '\0';
		return buf->buf + buf->bpos - len;
	}
	/* One more, which stays behind the end: printbuf_memset() writes no NUL of its own. */
	if (len > INT_MAX / 2 || printbuf_memset(buf, -1, 0, (int)len + 1) < 0)
		out_of_memory();
	buf->bpos--;
	return buf->buf + buf->bpos - len;
}

void buf_release(struct printbuf *buf)
{
	printbuf_reset(buf);
	if (buf->size > BUF_KEPT) {
		buf->buf = xrealloc(buf->buf, BUF_KEPT);
		buf->size = BUF_KEPT;
	}
}

void buf_putf(struct printbuf *buf, const char *format, ...)
{
	char small[512];
	char *large;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(small, sizeof small, format, args);
	va_end(args);
	if (len < 0)
		out_of_memory();
	if ((size_t)len < sizeof small) {
		buf_put(buf, small, (size_t)len);
		return;
	}
	large = xmalloc((size_t)len + 1);
	va_start(args, format);
	vsnprintf(large, (size_t)len + 1, format, args);
	va_end(args);
	buf_put(buf, large, (size_t)len);
	free(large);
}

char *buf_digits(char *end, uint64_t number)
{
	do
		*--end = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	return end;
}

char *buf_take(struct printbuf *buf, size_t *len)
{
	char *bytes = buf->buf;

	bytes[buf->bpos] = '\0';
	if (len != NULL)
		*len = buf_len(buf);
	buf->buf = NULL;
	printbuf_free(buf);
	return bytes;
}
