/* Growable byte buffers: json-c's printbuf with its return values checked. */
#ifndef PRESENCE_BASE_BUF_H
#define PRESENCE_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <json-c/printbuf.h>

/*
 * A struct printbuf has `buf` (always NUL-terminated, also when it holds NULs)
 * and `bpos`, its length in bytes. buf_new never returns NULL; free the buffer
 * with printbuf_free(). Appending never fails: out of memory aborts.
 */
struct printbuf *buf_new(void);
void buf_put(struct printbuf *buf, const void *data, size_t len);
void buf_putf(struct printbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes the buffer len bytes longer and returns where they are, for the caller to fill now. */
char *buf_extend(struct printbuf *buf, size_t len);

static inline void buf_puts(struct printbuf *buf, const char *text)
{
	buf_put(buf, text, strlen(text));
}

/* Empties the buffer and keeps its memory. */
static inline void buf_reset(struct printbuf *buf)
{
	printbuf_reset(buf);
}

/* Empties the buffer and keeps no more memory than that: for one that lives long and was large for a moment. */
#define BUF_KEPT (64 * 1024)
void buf_release(struct printbuf *buf);

static inline size_t buf_len(const struct printbuf *buf)
{
	return (size_t)buf->bpos;
}

/* Writes a number's decimal digits, 20 at most, right before `end`; returns where they start. */
char *buf_digits(char *end, uint64_t number);

/* Frees the buffer and returns its bytes, NUL-terminated; the caller frees them. */
char *buf_take(struct printbuf *buf, size_t *len);

#endif
