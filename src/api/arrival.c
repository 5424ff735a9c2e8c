#include "api/arrival.h"

#include <stdbool.h>

#include <fastcgi.h>

struct record {
	unsigned version, type, id;
	size_t content, size; /* bytes; size includes header and padding */
};

static struct record read_header(const unsigned char *bytes)
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
static bool begins_responder(const struct record *record, const unsigned char *body, size_t len)
{
	if (record->id == 0 || record->content != sizeof(FCGI_BeginRequestBody))
		return false;
	return len < 2 || ((unsigned)body[0] << 8 | body[1]) == FCGI_RESPONDER;
}

enum arrival arrival_of(const unsigned char *bytes, size_t len)
{
	unsigned expected = FCGI_BEGIN_REQUEST, id = 0;

	for (size_t at = 0; len - at >= FCGI_HEADER_LEN;) {
		struct record record = read_header(bytes + at);
		const unsigned char *body = bytes + at + FCGI_HEADER_LEN;

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
	return ARRIVAL_PART;
}
