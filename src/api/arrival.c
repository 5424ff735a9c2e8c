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
	struct printbuf *reply = buf_new(); /* stays empty: these are no management records */
	struct fcgi_conn conn;
	size_t used;
	bool is_read;

	fcgi_conn_init(&conn);
	is_read = fcgi_conn_feed(&conn, 1, bytes, len, &used, reply) == FCGI_EVENT_REQUEST;
	if (is_read) {
		used += conn.padding;
		arrived->id = conn.request_id;
		arrived->keep_conn = conn.keep_conn;
		arrived->env = fcgi_conn_take_params(&conn);
		arrived->is_cut = used > len || !read_body(bytes + used, len - used, body);
	}
	fcgi_conn_clear(&conn);
	printbuf_free(reply);
	return is_read;
}
