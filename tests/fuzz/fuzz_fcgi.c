/*
 * Properties of the FastCGI codec over any bytes: however they are cut, events,
 * parameters and answers are the same; answers are whole records and bounded;
 * parameters that were read can be written and read again; what the writer
 * writes is what it was given.
 */
#include "fuzz.h"

#include <string.h>

#include <fastcgi.h>

#include "base/buf.h"
#include "base/fcgi.h"

#define MAX_CONNS 4294967295U

/* What reading gives: the events as text, the answers as bytes. */
struct seen {
	struct printbuf *events;
	struct printbuf *reply;
};

static unsigned get16(const uint8_t *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

static void put_header(struct printbuf *out, uint8_t type, uint16_t id, size_t len)
{
	const uint8_t header[] = {FCGI_VERSION_1,
				  type,
				  (uint8_t)(id >> 8),
				  (uint8_t)id,
				  (uint8_t)(len >> 8),
				  (uint8_t)len,
				  0,
				  0};

	buf_put(out, header, sizeof header);
}

/* Lengths of four bytes throughout: the input has the short ones. */
static void put_pair(struct printbuf *out, const char *entry)
{
	const size_t lengths[] = {strcspn(entry, "="), strlen(strchr(entry, '=') + 1)};

	for (int i = 0; i < 2; i++) {
		const uint8_t bytes[] = {(uint8_t)(0x80 | lengths[i] >> 24),
					 (uint8_t)(lengths[i] >> 16), (uint8_t)(lengths[i] >> 8),
					 (uint8_t)lengths[i]};

		buf_put(out, bytes, sizeof bytes);
	}
	buf_put(out, entry, lengths[0]);
	buf_put(out, entry + lengths[0] + 1, lengths[1]);
}

/* Writes the parameters as a web server would and reads them again. */
static void check_round_trip(char **env)
{
	static const uint8_t begin[] = {0, FCGI_RESPONDER, 0, 0, 0, 0, 0, 0};
	struct printbuf *bytes = buf_new(), *content = buf_new(), *reply = buf_new();
	struct fcgi_conn conn;
	char **again;
	size_t used, len, i;

	for (i = 0; env[i] != NULL; i++) {
		REQUIRE(i < FCGI_PARAMS_MAX && strcspn(env[i], "=") > 0);
		put_pair(content, env[i]);
	}
	len = buf_len(content);
	/* Longer lengths may pass the limits, and one record is enough here. */
	if (len <= FCGI_MAX_LENGTH) {
		put_header(bytes, FCGI_BEGIN_REQUEST, 7, sizeof begin);
		buf_put(bytes, begin, sizeof begin);
		if (len > 0)
			put_header(bytes, FCGI_PARAMS, 7, len);
		buf_put(bytes, content->buf, len);
		put_header(bytes, FCGI_PARAMS, 7, 0);
		fcgi_conn_init(&conn);
		REQUIRE(fcgi_conn_feed(&conn, 1, (const uint8_t *)bytes->buf, buf_len(bytes), &used,
				       reply) == FCGI_EVENT_REQUEST);
		REQUIRE(used == buf_len(bytes) && buf_len(reply) == 0);
		again = fcgi_conn_take_params(&conn);
		for (i = 0; env[i] != NULL; i++)
			REQUIRE(again[i] != NULL && strcmp(again[i], env[i]) == 0);
		REQUIRE(again[i] == NULL);
		free(again);
		fcgi_conn_clear(&conn);
	}
	printbuf_free(bytes);
	printbuf_free(content);
	printbuf_free(reply);
}

static void on_request(struct fcgi_conn *conn, struct seen *seen)
{
	char **env = fcgi_conn_take_params(conn);
	size_t bytes = 0;

	REQUIRE(env != NULL && conn->request_id != 0);
	buf_putf(seen->events, "request %u %d at %zu\n", conn->request_id, conn->keep_conn,
		 buf_len(seen->reply));
	for (char **entry = env; *entry != NULL; entry++) {
		bytes += strlen(*entry) + 1;
		buf_putf(seen->events, "%s\n", *entry);
	}
	REQUIRE(bytes <= FCGI_PARAMS_LIMIT); /* "=" and NUL take the place of the two lengths */
	check_round_trip(env);
	free(env);
}

/* Feeds one piece; false when nothing may be fed any more. */
static bool feed(struct fcgi_conn *conn, const uint8_t *data, size_t len, bool hold,
		 struct seen *seen)
{
	size_t used;

	for (size_t at = 0; at < len; at += used) {
		size_t before = buf_len(seen->reply);
		enum fcgi_event event =
			fcgi_conn_feed(conn, MAX_CONNS, data + at, len - at, &used, seen->reply);

		REQUIRE(used <= len - at && (event != FCGI_EVENT_MORE || used == len - at));
		REQUIRE(buf_len(seen->reply) - before <= 2 * used + 1024);
		if (event == FCGI_EVENT_REQUEST)
			on_request(conn, seen);
		else if (event != FCGI_EVENT_MORE)
			buf_putf(seen->events, "event %d at %zu\n", event, buf_len(seen->reply));
		if (event == FCGI_EVENT_CLOSE || event == FCGI_EVENT_BROKEN)
			return false;
		if (event == FCGI_EVENT_ABORT || (event == FCGI_EVENT_REQUEST && !hold))
			fcgi_conn_finish(conn);
	}
	return true;
}

/*
 * Reads the bytes whole (seed 0) or in pieces whose lengths follow from the seed.
 * Each piece is a copy of its exact size, so that a byte read beyond it shows.
 */
static struct seen read_all(const uint8_t *data, size_t size, uint32_t seed, bool hold)
{
	struct seen seen = {buf_new(), buf_new()};
	struct fcgi_conn conn;
	bool more = true;

	fcgi_conn_init(&conn);
	for (size_t at = 0, part; at < size && more; at += part) {
		uint8_t *piece;

		seed = seed * 1664525 + (seed != 0 ? 1013904223 : 0);
		part = seed != 0 ? 1 + (seed >> 24) % 19 : size;
		if (part > size - at)
			part = size - at;
		piece = malloc(part);
		REQUIRE(piece != NULL);
		memcpy(piece, data + at, part);
		more = feed(&conn, piece, part, hold, &seen);
		free(piece);
	}
	fcgi_conn_clear(&conn);
	return seen;
}

static bool same(const struct printbuf *a, const struct printbuf *b)
{
	return buf_len(a) == buf_len(b) && memcmp(a->buf, b->buf, buf_len(a)) == 0;
}

static void free_seen(struct seen *seen)
{
	printbuf_free(seen->events);
	printbuf_free(seen->reply);
}

static void check_reading(const uint8_t *data, size_t size, bool hold)
{
	struct seen whole = read_all(data, size, 0, hold);
	struct seen pieces = read_all(data, size, (uint32_t)size * 2 + 1, hold);
	const uint8_t *reply = (const uint8_t *)whole.reply->buf;
	size_t len = buf_len(whole.reply);

	REQUIRE(same(whole.events, pieces.events) && same(whole.reply, pieces.reply));
	while (len > 0) {
		size_t record = FCGI_HEADER_LEN + get16(reply + 4) + reply[6];

		REQUIRE(len >= FCGI_HEADER_LEN && len >= record && reply[0] == FCGI_VERSION_1);
		REQUIRE(reply[1] == FCGI_END_REQUEST ? get16(reply + 2) != 0 && record == 16
						     : get16(reply + 2) == 0);
		reply += record;
		len -= record;
	}
	free_seen(&whole);
	free_seen(&pieces);
}

static void check_writing(const uint8_t *data, size_t size)
{
	const uint16_t id = (uint16_t)(size * 257);
	struct printbuf *out = buf_new();
	const uint8_t *at;
	struct seen seen;

	fcgi_put_stdout(out, 1, data, size);
	fcgi_put_end(out, 1);
	fcgi_stamp((uint8_t *)out->buf, buf_len(out), id);
	at = (const uint8_t *)out->buf;
	for (size_t left = size, part; left > 0; left -= part, data += part, at += part) {
		REQUIRE(at[1] == FCGI_STDOUT && get16(at + 2) == id && at[6] == 0);
		part = get16(at + 4);
		at += FCGI_HEADER_LEN;
		REQUIRE(part > 0 && part <= left && memcmp(at, data, part) == 0);
	}
	REQUIRE((const uint8_t *)out->buf + buf_len(out) == at + 24);
	REQUIRE(at[1] == FCGI_STDOUT && get16(at + 2) == id && get16(at + 4) == 0);
	REQUIRE(at[9] == FCGI_END_REQUEST && get16(at + 10) == id && get16(at + 12) == 8);

	/* To our own reader these are records without a meaning. */
	if (id != 0) {
		seen = read_all((const uint8_t *)out->buf, buf_len(out), 1, true);
		REQUIRE(buf_len(seen.events) == 0 && buf_len(seen.reply) == 0);
		free_seen(&seen);
	}
	printbuf_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_reading(data, size, true);
	check_reading(data, size, false);
	check_writing(data, size);
	return 0;
}
