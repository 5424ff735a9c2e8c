/*
 * Properties of FastCGI parameters (sections 3.4 and 5.2): the input is the content of FCGI_PARAMS,
 * whatever it is. What the codec makes of it is what a plain reading of the specification makes of
 * it, in one record or in many.
 */
#include "fuzz.h"

#include <string.h>

#include <fastcgi.h>

#include "base/buf.h"
#include "../integration/wire.h"
#include "base/fcgi.h"

#define REQUEST_ID 9

/* The plain reading: "NAME=VALUE" NUL ... in *out; false when it must be refused. */
static bool read_length(const uint8_t *data, size_t size, size_t *at, size_t *length)
{
	if (*at >= size)
		return false;
	*length = data[*at];
	if (*length < 0x80) {
		(*at)++;
		return true;
	}
	if (size - *at < 4)
		return false;
	*length = (size_t)(data[*at] & 0x7f) << 24 | (size_t)data[*at + 1] << 16 |
		  (size_t)data[*at + 2] << 8 | data[*at + 3];
	*at += 4;
	return true;
}

static bool read_plainly(const uint8_t *data, size_t size, struct printbuf *out)
{
	size_t name, value, count = 0;

	for (size_t at = 0; at < size; at += name + value) {
		if (!read_length(data, size, &at, &name) || !read_length(data, size, &at, &value) ||
		    name == 0 || name > size - at || value > size - at - name ||
		    memchr(data + at, '\0', name + value) != NULL || ++count > FCGI_PARAMS_MAX)
			return false;
		if (memchr(data + at, '=', name) != NULL)
			continue;
		buf_put(out, data + at, name);
		buf_puts(out, "=");
		buf_put(out, data + at + name, value);
		buf_put(out, "", 1);
	}
	return true;
}

/* A whole request with these parameters in records of at most `piece` bytes. */
static struct printbuf *make_request(const uint8_t *data, size_t size, size_t piece)
{
	struct printbuf *bytes = buf_new();

	wire_begin(bytes, REQUEST_ID, FCGI_RESPONDER, FCGI_KEEP_CONN);
	for (size_t at = 0, part; at < size; at += part) {
		part = size - at < piece ? size - at : piece;
		wire_record(bytes, FCGI_PARAMS, REQUEST_ID, data + at, part);
	}
	wire_record(bytes, FCGI_PARAMS, REQUEST_ID, NULL, 0);
	return bytes;
}

static void check(const uint8_t *data, size_t size, size_t piece)
{
	struct printbuf *bytes = make_request(data, size, piece), *reply = buf_new();
	struct printbuf *expected = buf_new(), *seen = buf_new();
	bool good = read_plainly(data, size, expected);
	struct fcgi_conn conn;
	enum fcgi_event event;
	size_t used = 0;
	char **env;

	fcgi_conn_init(&conn);
	event = fcgi_conn_feed(&conn, 1, (const uint8_t *)bytes->buf, buf_len(bytes), &used, reply);
	REQUIRE(event == (good ? FCGI_EVENT_REQUEST : FCGI_EVENT_BROKEN));
	REQUIRE(buf_len(reply) == 0);
	if (good) {
		REQUIRE(used == buf_len(bytes) && conn.request_id == REQUEST_ID && conn.keep_conn);
		env = fcgi_conn_take_params(&conn);
		for (char **entry = env; *entry != NULL; entry++)
			buf_put(seen, *entry, strlen(*entry) + 1);
		REQUIRE(buf_len(seen) == buf_len(expected) &&
			memcmp(seen->buf, expected->buf, buf_len(seen)) == 0);
		free(env);
	}
	fcgi_conn_clear(&conn);
	printbuf_free(bytes);
	printbuf_free(reply);
	printbuf_free(expected);
	printbuf_free(seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > FCGI_PARAMS_LIMIT)
		return 0;
	check(data, size, FCGI_MAX_LENGTH);
	check(data, size, 1 + size % 13);
	return 0;
}
