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

/* --- parameters (section 3.4) ---------------------------------------------------------------- */

/* The content of the PARAMS records, one byte after the other. */
struct params {
	const unsigned char *record; /* whose content is read */
	size_t at; /* in its content */
	size_t left; /* in all of them */
};

static void skip(struct params *params, size_t count)
{
	params->left -= count;
	params->at += count;
	while (params->left > 0 && params->at >= read_header(params->record).content) {
		struct record record = read_header(params->record);

		params->at -= record.content;
		params->record += record.size;
	}
}

static unsigned next_byte(struct params *params)
{
	unsigned byte = params->record[FCGI_HEADER_LEN + params->at];

	skip(params, 1);
	return byte;
}

/* A length of one byte or four; false when it is cut off. */
static bool read_length(struct params *params, size_t *length)
{
	if (params->left < 1)
		return false;
	*length = next_byte(params);
	if (*length < 0x80)
		return true;
	if (params->left < 3)
		return false;
	*length &= 0x7f;
	for (int i = 0; i < 3; i++)
		*length = *length << 8 | next_byte(params);
	return true;
}

/* Whether each name and value ends within the `total` bytes of content from this record on. */
static bool have_ends(const unsigned char *record, size_t total)
{
	struct params params = {.record = record, .left = total};
	size_t name, value;

	skip(&params, 0);
	while (params.left > 0) {
		if (!read_length(&params, &name) || !read_length(&params, &value) ||
		    name > params.left || value > params.left - name)
			return false;
		skip(&params, name + value);
	}
	return true;
}

/* --------------------------------------------------------------------------------------------- */

enum arrival arrival_of(const unsigned char *bytes, size_t len)
{
	unsigned expected = FCGI_BEGIN_REQUEST, id = 0;
	size_t params_at = 0,
	       params_len = 0; /* their first record, and the bytes of their content */

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
			params_at = at + record.size;
		} else if (record.id != id) {
			return ARRIVAL_BAD;
		} else if (record.content == 0 && len - at >= record.size) {
			if (expected == FCGI_STDIN)
				return ARRIVAL_WHOLE;
			if (!have_ends(bytes + params_at, params_len))
				return ARRIVAL_BAD;
			expected = FCGI_STDIN;
		} else if (expected == FCGI_PARAMS) {
			params_len += record.content;
		}
		if (len - at < record.size)
			break;
		at += record.size;
	}
	return expected == FCGI_STDIN ? ARRIVAL_BODY : ARRIVAL_PART;
}
