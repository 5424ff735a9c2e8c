#include "reader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

struct sink {
	reader_line *line;
	void *arg;
};

static void keep(struct reader *reader, const char *data, size_t len)
{
	reader->carry = xrealloc(reader->carry, reader->carry_len + len);
	memcpy(reader->carry + reader->carry_len, data, len);
	reader->carry_len += len;
}

static bool begins(const char *line, size_t len, const char *word)
{
	return len >= strlen(word) && strncasecmp(line, word, strlen(word)) == 0;
}

/* One line of the head; the empty one ends it. */
static void on_head(struct reader *reader, const char *line, size_t len)
{
	if (len == 0) {
		reader->in_head = false;
		if (reader->status == 0)
			reader->status = 200; /* a CGI answer without Status */
	} else if (begins(line, len, "HTTP/1.1 ")) {
		reader->status = (int)strtol(line + 9, NULL, 10);
	} else if (begins(line, len, "Status: ")) {
		reader->status = (int)strtol(line + 8, NULL, 10);
	} else if (begins(line, len, "Transfer-Encoding: chunked")) {
		reader->framing = FRAMING_CHUNKED;
		reader->in_size = true;
	}
}

static void on_line(struct reader *reader, const char *line, size_t len, const struct sink *sink)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (reader->in_head)
		on_head(reader, line, len);
	else
		sink->line(sink->arg, line, len);
}

/* Takes one line off the data, or all of it when no line ends there; returns how much. */
static size_t take_line(struct reader *reader, const char *data, size_t len,
			const struct sink *sink)
{
	const char *end = memchr(data, '\n', len);
	size_t used = end != NULL ? (size_t)(end - data) : len;

	if (end == NULL) {
		keep(reader, data, len);
		return len;
	}
	if (reader->carry == NULL) {
		on_line(reader, data, used, sink);
		return used + 1;
	}
	keep(reader, data, used);
	on_line(reader, reader->carry, reader->carry_len, sink);
	reader_clear(reader);
	return used + 1;
}

static void take_text(struct reader *reader, const char *data, size_t len, const struct sink *sink)
{
	for (size_t used = 0; used < len;)
		used += take_line(reader, data + used, len - used, sink);
}

/* RFC 9112 section 7.1; returns how much it took. */
static size_t take_chunked(struct reader *reader, const char *data, size_t len,
			   const struct sink *sink)
{
	if (reader->in_size) {
		if (isxdigit((unsigned char)*data))
			reader->left =
				reader->left * 16 + (uint32_t)(isdigit((unsigned char)*data)
								       ? *data - '0'
								       : (*data | 32) - 'a' + 10);
		else if (*data == '\n')
			reader->in_size = false;
		return 1;
	}
	if (reader->left == 0) { /* the line end behind a chunk */
		reader->in_size = *data == '\n';
		return 1;
	}
	if (len > reader->left)
		len = reader->left;
	take_text(reader, data, len, sink);
	reader->left -= (uint32_t)len;
	return len;
}

/* FastCGI section 3.3: the content of all records is taken for FCGI_STDOUT. */
static size_t take_record(struct reader *reader, const char *data, size_t len,
			  const struct sink *sink)
{
	if (reader->left > 0) {
		if (len > reader->left)
			len = reader->left;
		take_text(reader, data, len, sink);
		reader->left -= (uint32_t)len;
		return len;
	}
	if (reader->padding > 0) {
		if (len > reader->padding)
			len = reader->padding;
		reader->padding -= (uint8_t)len;
		return len;
	}
	reader->header[reader->have++] = (uint8_t)*data;
	if (reader->have == sizeof reader->header) {
		reader->left = (uint32_t)(reader->header[4] << 8 | reader->header[5]);
		reader->padding = reader->header[6];
		reader->have = 0;
	}
	return 1;
}

void reader_feed(struct reader *reader, const char *data, size_t len, reader_line *line, void *arg)
{
	struct sink sink = {line, arg};

	for (size_t used = 0; used < len;) {
		const char *at = data + used;
		size_t rest = len - used;

		if (reader->framing == FRAMING_FCGI)
			used += take_record(reader, at, rest, &sink);
		else if (reader->framing == FRAMING_CHUNKED && !reader->in_head)
			used += take_chunked(reader, at, rest, &sink);
		else
			used += take_line(reader, at, rest, &sink);
	}
}

void reader_clear(struct reader *reader)
{
	free(reader->carry);
	reader->carry = NULL;
	reader->carry_len = 0;
}
