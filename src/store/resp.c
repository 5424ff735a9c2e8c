#include "store/resp.h"

#include <string.h>

#define SIZE_LINE 24 /* bytes of "$" or "*", a number and CR LF, at most */

/* Writes such a line to the end of `line`; returns where it starts. */
static char *write_size(char line[SIZE_LINE], char mark, size_t size)
{
	/* cppcheck-suppress ctuPointerArith ; the end of the array, written downwards */
	char *at = line + SIZE_LINE;

	*--at = '\n';
	*--at = '\r';
	at = buf_digits(at, size);
	*--at = mark;
	return at;
}

static void put_size(struct printbuf *out, char mark, size_t size)
{
	char line[SIZE_LINE], *at = write_size(line, mark, size);

	buf_put(out, at, (size_t)(line + SIZE_LINE - at));
}

void resp_begin(struct printbuf *out, unsigned argc)
{
	put_size(out, '*', argc);
}

void resp_arg(struct printbuf *out, const void *data, size_t len)
{
	char line[SIZE_LINE], *size = write_size(line, '$', len);
	size_t size_len = (size_t)(line + SIZE_LINE - size);
	/* In one piece: even a small call has dozens of arguments. */
	char *at = buf_extend(out, size_len + len + 2);

	at = (char *)mempcpy(at, size, size_len);
	at = (char *)mempcpy(at, data, len);
	memcpy(at, "\r\n", 2); /* NOLINT(bugprone-not-null-terminated-result): bytes, not text */
}

void resp_text(struct printbuf *out, const char *text)
{
	resp_arg(out, text, strlen(text));
}

void resp_number(struct printbuf *out, int64_t number)
{
	char text[24], *end = text + sizeof text;
	char *at = buf_digits(end, number < 0 ? -(uint64_t)number : (uint64_t)number);

	if (number < 0)
		*--at = '-';
	resp_arg(out, at, (size_t)(end - at));
}

void resp_flag(struct printbuf *out, bool flag)
{
	resp_arg(out, flag ? "1" : "0", 1);
}

void resp_key(struct printbuf *out, const char *prefix, const char *key, const char *rest)
{
	size_t prefix_len = strlen(prefix), key_len = strlen(key), rest_len = strlen(rest);
	char line[SIZE_LINE], *size = write_size(line, '$', prefix_len + key_len + rest_len);
	size_t size_len = (size_t)(line + SIZE_LINE - size);
	/* In one piece: a snapshot has three keys for each friend. */
	char *at = buf_extend(out, size_len + prefix_len + key_len + rest_len + 2);

	at = (char *)mempcpy(at, size, size_len);
	at = (char *)mempcpy(at, prefix, prefix_len);
	at = (char *)mempcpy(at, key, key_len);
	at = (char *)mempcpy(at, rest, rest_len);
	memcpy(at, "\r\n", 2); /* NOLINT(bugprone-not-null-terminated-result): bytes, not text */
}

/* The number of a line such as "*3" or "$5"; *at goes to the next one. */
static size_t read_size(const char **at)
{
	size_t size = 0;

	for (++*at; **at != '\r'; ++*at)
		size = size * 10 + (size_t)(**at - '0');
	*at += 2;
	return size;
}

size_t resp_length(const char *bytes)
{
	const char *at = bytes;

	for (size_t left = read_size(&at); left > 0; left--) {
		size_t size = read_size(&at);

		at += size + 2;
	}
	return (size_t)(at - bytes);
}

size_t resp_count(const char *bytes, size_t len)
{
	size_t count = 0;

	for (size_t at = 0; at < len; at += resp_length(bytes + at))
		count++;
	return count;
}

unsigned resp_greeting(struct printbuf *out, const struct redis_address *address)
{
	unsigned count = 0;

	if (address->password != NULL) {
		resp_begin(out, address->user != NULL ? 3 : 2);
		resp_text(out, "AUTH");
		if (address->user != NULL)
			resp_text(out, address->user);
		resp_text(out, address->password);
		count++;
	}
	if (address->db != 0) {
		resp_begin(out, 2);
		resp_text(out, "SELECT");
		resp_number(out, address->db);
		count++;
	}
	return count;
}
