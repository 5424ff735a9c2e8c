#include "api/arrival.h"

#include <fastcgi.h>

#include "base/fcgi.h"

struct record {
	unsigned version, type, id;
	size_t content, size; /* bytes; size includes header and padding */
};

static struct record read_header(const uint8_t *bytes)
{
	size_t content = (size_t)bytes[4] << 8 | bytes[5];

	return (struct record){
		.version = bytes[0],
		.type = bytes[1],
		.id = (unsigned)bytes[2] << 8 | bytes[3],
		.content = content,
		.size = FCGI_HEADER_LEN + content + bytes[6],
	};
}

/* The body of BEGIN_REQUEST: a role of two bytes, flags. */
static bool begins_responder(const struct record *record, const uint8_t *body, size_t len)
{
	if (record->id == 0 || record->content != sizeof(FCGI_BeginRequestBody))
		return false;
	return len < 2 || ((unsigned)body[0] << 8 | body[1]) == FCGI_RESPONDER;
}

enum arrival arrival_of(const uint8_t *bytes, size_t len)
{
	unsigned expected = FCGI_BEGIN_REQUEST, id = 0;

	for (size_t at = 0; len - at >= FCGI_HEADER_LEN;) {
		struct record record = read_header(bytes + at);
		const uint8_t *body = bytes + at + FCGI_HEADER_LEN;

		if (record.version != FCGI_VERSION_1 || record.type != expected)
			return ARRIVAL_BAD;
		if (expected == FCGI_BEGIN_REQUEST) {
			if (!begins_responder(&record, body, len - at - FCGI_HEADER_LEN))
				return ARRIVAL_BAD;
			id = record.id;
			expected = FCGI_PARAMS;
		} else if (record.id != id) {
			return ARRIVAL_BAD;
		} else if (record.content == 0 && len - at >= record.size) {
			if (expected == FCGI_STDIN)
				return ARRIVAL_WHOLE;
			expected = FCGI_STDIN;
		}
		if (len - at < record.size)
			break;
		at += record.size;
	}
	return expected == FCGI_STDIN ? ARRIVAL_BODY : ARRIVAL_PART;
}

/* --- a request that is there ----------------------------------------------------------------- */

/* Reads the PARAMS records, of which the last is empty; *at is after them then. */
static char **read_params(const uint8_t **at)
{
	struct record first = read_header(*at), next = first;
	const uint8_t *content = *at + FCGI_HEADER_LEN;
	struct printbuf *joined;
	char **env;

	if (first.content > 0)
		next = read_header(*at + first.size);
	if (next.content == 0) { /* mostly: one record has them all */
		*at += first.size + (first.content > 0 ? next.size : 0);
		return fcgi_read_params(content, first.content);
	}
	joined = buf_new();
	for (next = first; next.content > 0; next = read_header(*at)) {
		buf_put(joined, *at + FCGI_HEADER_LEN, next.content);
		*at += next.size;
	}
	*at += next.size;
	env = fcgi_read_params((const uint8_t *)joined->buf, buf_len(joined));
	printbuf_free(joined);
	return env;
}

/* Appends the content of the STDIN records; true when they end the request and the bytes. */
static bool read_body(const uint8_t *bytes, size_t len, struct printbuf *body)
{
	while (len >= FCGI_HEADER_LEN) {
		struct record record = read_header(bytes);
		size_t there = len - FCGI_HEADER_LEN;

		buf_put(body, bytes + FCGI_HEADER_LEN,
			record.content < there ? record.content : there);
		if (len <= record.size)
			return len == record.size && record.content == 0;
		if (record.content == 0)
			return false;
		bytes += record.size;
		len -= record.size;
	}
	return false;
}

bool arrival_read(const uint8_t *bytes, size_t len, struct arrived *arrived, struct printbuf *body)
{
	enum arrival arrival = arrival_of(bytes, len);
	const FCGI_BeginRequestBody *begin;
	const uint8_t *at = bytes;
	struct record record;

	if (arrival != ARRIVAL_BODY && arrival != ARRIVAL_WHOLE)
		return false;
	record = read_header(at);
	begin = (const FCGI_BeginRequestBody *)(at + FCGI_HEADER_LEN);
	at += record.size;
	arrived->id = (uint16_t)record.id;
	arrived->keep_conn = (begin->flags & FCGI_KEEP_CONN) != 0;
	arrived->env = read_params(&at);
	if (arrived->env == NULL)
		return false;
	arrived->is_cut = !read_body(at, len - (size_t)(at - bytes), body);
	return true;
}
