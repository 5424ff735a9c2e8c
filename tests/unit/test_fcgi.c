/*
 * The FastCGI codec: scenarios are read whole, byte by byte and cut in two at
 * every point, and say the same each time.
 */
#include "unit.h"

#include <stdio.h>

#include <fastcgi.h>

#include "base/buf.h"
#include "base/fcgi.h"

#define MAX_CONNS 10000
#define TEXT(literal) (literal), sizeof(literal) - 1
#define RECORD(type, id, literal)              \
	{                                      \
		(type), (id), TEXT(literal), 0 \
	}
#define PADDED(type, id, literal, padding)             \
	{                                              \
		(type), (id), TEXT(literal), (padding) \
	}
#define BEGIN(id) RECORD(FCGI_BEGIN_REQUEST, id, "\0\1\0\0\0\0\0\0")
#define BEGIN_KEEP(id) RECORD(FCGI_BEGIN_REQUEST, id, "\0\1\1\0\0\0\0\0")
#define PARAMS(id, literal) RECORD(FCGI_PARAMS, id, literal)
#define STDIN(id, literal) RECORD(FCGI_STDIN, id, literal)
#define ABORT(id) RECORD(FCGI_ABORT_REQUEST, id, "")

#define REFUSED(id, status)     \
	"\1\3\0" id "\0\10\0\0" \
	"\0\0\0\0" status "\0\0\0"
#define CANT_MPX(id) REFUSED(id, "\1")
#define UNKNOWN_ROLE(id) REFUSED(id, "\3")
#define UNKNOWN_TYPE(type) "\1\13\0\0\0\10\0\0" type "\0\0\0\0\0\0\0"

struct record {
	uint8_t type;
	uint16_t id;
	const char *content;
	size_t len;
	uint8_t padding;
};

static void put_record(struct printbuf *out, const struct record *record)
{
	const uint8_t header[] = {
		FCGI_VERSION_1,
		record->type,
		(uint8_t)(record->id >> 8),
		(uint8_t)record->id,
		(uint8_t)(record->len >> 8),
		(uint8_t)record->len,
		record->padding,
		0,
	};
	char padding[255];

	memset(padding, 0xff, sizeof padding);
	buf_put(out, header, sizeof header);
	buf_put(out, record->content, record->len);
	buf_put(out, padding, record->padding);
}

/* Appends content as PARAMS records of at most 65535 bytes, and their end. */
static void put_params(struct printbuf *out, uint16_t id, const struct printbuf *content)
{
	const struct record end = {FCGI_PARAMS, id, "", 0, 0};

	for (size_t at = 0; at < buf_len(content);) {
		size_t rest = buf_len(content) - at;
		struct record part = {FCGI_PARAMS, id, content->buf + at, rest, 0};

		if (part.len > FCGI_MAX_LENGTH)
			part.len = FCGI_MAX_LENGTH;
		put_record(out, &part);
		at += part.len;
	}
	put_record(out, &end);
}

/* --- reading in pieces ----------------------------------------------------------------------- */

/* What reading gives: the events as text, the answers as bytes. */
struct seen {
	struct printbuf *events;
	struct printbuf *reply;
};

static void put_params_seen(struct printbuf *events, char **env)
{
	if (env == NULL)
		ck_abort_msg("no parameters after FCGI_EVENT_REQUEST");
	for (char **entry = env; *entry != NULL; entry++)
		buf_putf(events, " %s", *entry);
	free(env);
}

/* Feeds one piece; false when nothing may be fed any more. */
static bool feed(struct fcgi_conn *conn, const uint8_t *data, size_t len, bool hold,
		 struct seen *seen)
{
	enum fcgi_event event = FCGI_EVENT_MORE;
	size_t used;

	for (size_t at = 0; at < len; at += used) {
		event = fcgi_conn_feed(conn, MAX_CONNS, data + at, len - at, &used, seen->reply);
		/* No ck_assert here: Check writes a line to a file for each, and this runs often. */
		if (used > len - at || (event == FCGI_EVENT_MORE && used < len - at))
			ck_abort_msg("event %d took %zu of %zu bytes", event, used, len - at);
		switch (event) {
		case FCGI_EVENT_MORE:
			break;
		case FCGI_EVENT_REQUEST:
			buf_putf(seen->events, "request %u%s", conn->request_id,
				 conn->keep_conn ? " keep" : "");
			put_params_seen(seen->events, fcgi_conn_take_params(conn));
			buf_puts(seen->events, "\n");
			if (!hold)
				fcgi_conn_finish(conn);
			break;
		case FCGI_EVENT_ABORT:
			buf_putf(seen->events, "abort %u\n", conn->request_id);
			fcgi_conn_finish(conn);
			break;
		case FCGI_EVENT_CLOSE:
			buf_puts(seen->events, "close\n");
			return false;
		case FCGI_EVENT_BROKEN:
			buf_puts(seen->events, "broken\n");
			return false;
		}
	}
	return true;
}

/*
 * Reads the bytes in pieces of `size` after a first one of `first`. Requests run
 * until they are aborted when `hold`, else they end at once.
 */
static void read_in_pieces(const struct printbuf *bytes, size_t first, size_t size, bool hold,
			   struct seen *seen)
{
	const size_t len = buf_len(bytes);
	struct fcgi_conn conn;
	size_t part = first;
	bool more = true;

	buf_reset(seen->events);
	buf_reset(seen->reply);
	fcgi_conn_init(&conn);
	for (size_t at = 0; at < len && more; at += part, part = size) {
		if (part > len - at)
			part = len - at;
		more = feed(&conn, (const uint8_t *)bytes->buf + at, part, hold, seen);
	}
	fcgi_conn_clear(&conn);
}

static void put_hex(struct printbuf *out, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		buf_putf(out, "%02x%s", bytes[i], i % 8 == 7 ? " " : "");
}

static void assert_bytes(const char *name, const char *how, const void *expected, size_t len,
			 const struct printbuf *seen)
{
	struct printbuf *hex;

	if (buf_len(seen) == len && memcmp(seen->buf, expected, len) == 0)
		return;
	hex = buf_new();
	put_hex(hex, expected, len < 256 ? len : 256);
	buf_puts(hex, "\nseen     ");
	put_hex(hex, seen->buf, buf_len(seen) < 256 ? buf_len(seen) : 256);
	ck_abort_msg("%s, %s: %zu bytes expected, %zu seen\nexpected %s", name, how, len,
		     buf_len(seen), hex->buf);
}

/* What reading must give. */
struct expected {
	const char *events;
	const char *reply;
	size_t reply_len;
};

#define NO_REPLY "", 0

static void assert_seen(const char *name, const char *how, const struct expected *expected,
			const struct seen *seen)
{
	if (strcmp(expected->events, seen->events->buf) != 0)
		ck_abort_msg("%s, %s: expected events\n%.2000sseen\n%.2000s", name, how,
			     expected->events, seen->events->buf);
	assert_bytes(name, how, expected->reply, expected->reply_len, seen->reply);
}

/* Every cut, but in the middle of long input only some, as there the state is the same. */
static size_t next_cut(size_t cut, size_t len)
{
	bool near = len <= 2048 || cut < 300 || cut + 300 > len;

	return near ? cut + 1 : cut + 1021;
}

static void check_bytes(const char *name, const struct printbuf *bytes, bool hold,
			const struct expected *expected)
{
	struct seen seen = {buf_new(), buf_new()};
	const size_t len = buf_len(bytes);
	char how[64];

	read_in_pieces(bytes, len, len, hold, &seen);
	assert_seen(name, "whole", expected, &seen);
	read_in_pieces(bytes, 1, 1, hold, &seen);
	assert_seen(name, "byte by byte", expected, &seen);
	for (size_t cut = 0; cut <= len; cut = next_cut(cut, len)) {
		snprintf(how, sizeof how, "cut at %zu of %zu", cut, len);
		read_in_pieces(bytes, cut, len, hold, &seen);
		assert_seen(name, how, expected, &seen);
	}
	printbuf_free(seen.events);
	printbuf_free(seen.reply);
}

static void check_records(const char *name, const struct record *records, size_t count, bool hold,
			  const struct expected *expected)
{
	struct printbuf *bytes = buf_new();

	for (size_t i = 0; i < count; i++)
		put_record(bytes, &records[i]);
	check_bytes(name, bytes, hold, expected);
	printbuf_free(bytes);
}

/* --- scenarios ------------------------------------------------------------------------------- */

struct scenario {
	const char *name;
	struct record records[12]; /* up to the first of type 0 */
	struct expected expected;
	bool hold; /* requests run until they are aborted */
};

static const struct scenario scenarios[] = {
	{"a request",
	 {BEGIN(1), PARAMS(1, "\1\1A1\2\0BB"), PARAMS(1, ""), STDIN(1, "")},
	 {"request 1 A=1 BB=\n", NO_REPLY},
	 false},
	{"a request without parameters",
	 {BEGIN(1), PARAMS(1, "")},
	 {"request 1\n", NO_REPLY},
	 false},
	{"the largest id, all flags",
	 {RECORD(FCGI_BEGIN_REQUEST, 65535, "\0\1\377\0\0\0\0\0"), PARAMS(65535, "")},
	 {"request 65535 keep\n", NO_REPLY},
	 false},
	{"padding everywhere",
	 {PADDED(FCGI_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0", 3), PADDED(FCGI_PARAMS, 1, "\1\1A1", 4),
	  PADDED(FCGI_PARAMS, 1, "", 8), PADDED(FCGI_STDIN, 1, "body", 4),
	  PADDED(FCGI_STDIN, 1, "", 255)},
	 {"request 1 A=1\n", NO_REPLY},
	 true},
	{"pairs cut by records",
	 {BEGIN(1), PARAMS(1, "\4"), PARAMS(1, "\200\0"), PARAMS(1, "\0\3NA"), PARAMS(1, "MEva"),
	  PARAMS(1, "l"), PARAMS(1, "")},
	 {"request 1 NAME=val\n", NO_REPLY},
	 false},
	{"lengths of four bytes for short texts",
	 {BEGIN(1), PARAMS(1, "\200\0\0\1\200\0\0\2N12"), PARAMS(1, "")},
	 {"request 1 N=12\n", NO_REPLY},
	 false},
	{"names with = are left out, values keep it",
	 {BEGIN(1), PARAMS(1, "\3\1A=Bx\1\3Cd=e\1\1=f\1\0G"), PARAMS(1, "")},
	 {"request 1 C=d=e G=\n", NO_REPLY},
	 false},
	{"the same name twice",
	 {BEGIN(1), PARAMS(1, "\1\1A1\1\1A2"), PARAMS(1, "")},
	 {"request 1 A=1 A=2\n", NO_REPLY},
	 false},
	{"a body before, between and after the parameters",
	 {BEGIN(1), STDIN(1, "x"), PARAMS(1, "\1\1A1"), STDIN(1, ""), PARAMS(1, ""),
	  STDIN(1, "more"), RECORD(FCGI_DATA, 1, "data")},
	 {"request 1 A=1\n", NO_REPLY},
	 true},
	{"a kept connection serves the next request",
	 {BEGIN_KEEP(1), PARAMS(1, "\1\1A1"), PARAMS(1, ""), STDIN(1, "late"), STDIN(1, ""),
	  BEGIN_KEEP(1), PARAMS(1, "\1\1B2"), PARAMS(1, ""), STDIN(1, ""), BEGIN(2), PARAMS(2, "")},
	 {"request 1 keep A=1\nrequest 1 keep B=2\nrequest 2\n", NO_REPLY},
	 false},
	{"abort of the running request",
	 {BEGIN_KEEP(1), PARAMS(1, "\1\1A1"), PARAMS(1, ""), ABORT(1), BEGIN(1), PARAMS(1, "")},
	 {"request 1 keep A=1\nabort 1\nrequest 1\n", NO_REPLY},
	 true},
	{"abort before the parameters are complete",
	 {BEGIN_KEEP(1), PARAMS(1, "\1\1A1"), ABORT(1), PARAMS(1, "\1\1B2"), PARAMS(1, ""),
	  BEGIN(2), PARAMS(2, "\1\1C3"), PARAMS(2, "")},
	 {"abort 1\nrequest 2 C=3\n", NO_REPLY},
	 true},
	{"abort with content and padding",
	 {BEGIN(1), PADDED(FCGI_ABORT_REQUEST, 1, "why", 5), BEGIN(2), PARAMS(2, "")},
	 {"abort 1\nrequest 2\n", NO_REPLY},
	 false},
	{"abort of requests that do not run",
	 {ABORT(1), BEGIN(1), ABORT(2), PARAMS(1, ""), ABORT(3)},
	 {"request 1\n", NO_REPLY},
	 true},
	{"a second request while one runs",
	 {BEGIN_KEEP(1), PARAMS(1, "\1\1A1"), BEGIN(2), PARAMS(2, "\1\1B2"), PARAMS(1, ""),
	  PARAMS(2, ""), STDIN(2, "x"), ABORT(2), BEGIN(513), ABORT(1)},
	 {"request 1 keep A=1\nabort 1\n", TEXT(CANT_MPX("\2") "\1\3\2\1\0\10\0\0"
							       "\0\0\0\0\1\0\0\0")},
	 true},
	{"a refused id may come again when the first is over",
	 {BEGIN_KEEP(1), BEGIN(2), ABORT(1), PARAMS(2, "\1\0B"), BEGIN(2), PARAMS(2, "")},
	 {"abort 1\nrequest 2\n", TEXT(CANT_MPX("\2"))},
	 true},
	{"another role on a kept connection",
	 {RECORD(FCGI_BEGIN_REQUEST, 1, "\0\2\1\0\0\0\0\0"), PARAMS(1, "\1\1A1"), PARAMS(1, ""),
	  RECORD(FCGI_BEGIN_REQUEST, 2, "\1\1\1\0\0\0\0\0"), BEGIN(3), PARAMS(3, "")},
	 {"request 3\n", TEXT(UNKNOWN_ROLE("\1") UNKNOWN_ROLE("\2"))},
	 false},
	{"another role ends a connection that is not kept",
	 {RECORD(FCGI_BEGIN_REQUEST, 1, "\0\3\0\0\0\0\0\0"), BEGIN(2)},
	 {"close\n", TEXT(UNKNOWN_ROLE("\1"))},
	 false},
	{"records of nobody",
	 {PARAMS(1, "\377\377"), STDIN(9, "x"), RECORD(FCGI_STDOUT, 1, "x"),
	  RECORD(FCGI_END_REQUEST, 1, "xxxxxxxx"), RECORD(200, 1, "x"),
	  RECORD(FCGI_GET_VALUES, 1, "\377"), BEGIN(1), RECORD(FCGI_GET_VALUES, 1, "\377"),
	  RECORD(77, 1, ""), PARAMS(1, "")},
	 {"request 1\n", NO_REPLY},
	 false},
	{"GET_VALUES of all",
	 {RECORD(FCGI_GET_VALUES, 0, "\16\0FCGI_MAX_CONNS\15\0FCGI_MAX_REQS\17\0FCGI_MPXS_CONNS")},
	 {"", TEXT("\1\12\0\0\0\73\0\0"
		   "\16\5FCGI_MAX_CONNS10000"
		   "\15\5FCGI_MAX_REQS10000"
		   "\17\1FCGI_MPXS_CONNS0")},
	 false},
	{"GET_VALUES of nothing, of others, with a value",
	 {RECORD(FCGI_GET_VALUES, 0, ""),
	  RECORD(FCGI_GET_VALUES, 0, "\0\0\10\0FCGI_MAX\13\0FCGI_OTHERS\16\0fcgi_max_conns"),
	  PADDED(FCGI_GET_VALUES, 0, "\17\200\0\0\1FCGI_MPXS_CONNS1", 7)},
	 {"", TEXT("\1\12\0\0\0\0\0\0"
		   "\1\12\0\0\0\0\0\0"
		   "\1\12\0\0\0\22\0\0"
		   "\17\1FCGI_MPXS_CONNS0")},
	 false},
	{"management records within a request",
	 {BEGIN(1), PARAMS(1, "\1\1A1"), RECORD(FCGI_GET_VALUES, 0, "\17\0FCGI_MPXS_CONNS"),
	  RECORD(42, 0, "what"), PARAMS(1, "")},
	 {"request 1 A=1\n", TEXT("\1\12\0\0\0\22\0\0"
				  "\17\1FCGI_MPXS_CONNS0" UNKNOWN_TYPE("\52"))},
	 false},
	{"unknown management records",
	 {RECORD(0, 0, ""), PADDED(255, 0, "x", 9), ABORT(0), PARAMS(0, "\1"), STDIN(0, "")},
	 {"", TEXT(UNKNOWN_TYPE("\0") UNKNOWN_TYPE("\377") UNKNOWN_TYPE("\2") UNKNOWN_TYPE("\4")
			   UNKNOWN_TYPE("\5"))},
	 false},
	{"a second BEGIN of the running id",
	 {BEGIN(1), PARAMS(1, ""), BEGIN(1), BEGIN(2)},
	 {"request 1\nbroken\n", NO_REPLY},
	 true},
	{"BEGIN without an id", {BEGIN(0)}, {"broken\n", NO_REPLY}, false},
	{"BEGIN without an id while a request runs",
	 {BEGIN(1), BEGIN(0)},
	 {"broken\n", NO_REPLY},
	 false},
	{"a short BEGIN",
	 {RECORD(FCGI_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0"), BEGIN(1)},
	 {"broken\n", NO_REPLY},
	 false},
	{"an empty BEGIN", {RECORD(FCGI_BEGIN_REQUEST, 1, "")}, {"broken\n", NO_REPLY}, false},
	{"a long BEGIN",
	 {RECORD(FCGI_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0\0"), BEGIN(1)},
	 {"broken\n", NO_REPLY},
	 false},
	{"a short BEGIN of another id",
	 {BEGIN(1), RECORD(FCGI_BEGIN_REQUEST, 2, "\0\1")},
	 {"broken\n", NO_REPLY},
	 false},
	{"parameters after their end",
	 {BEGIN(1), PARAMS(1, ""), PARAMS(1, "\1\1A1")},
	 {"request 1\nbroken\n", NO_REPLY},
	 true},
	{"a second end of the parameters",
	 {BEGIN(1), PARAMS(1, ""), PARAMS(1, "")},
	 {"request 1\nbroken\n", NO_REPLY},
	 true},
	{"GET_VALUES cut off in a text",
	 {RECORD(FCGI_GET_VALUES, 0, "\17\0FCGI_MPXS_CONNS\16\0FCGI_MAX_CONN"), BEGIN(1)},
	 {"broken\n", NO_REPLY},
	 false},
	{"GET_VALUES cut off in the lengths",
	 {RECORD(FCGI_GET_VALUES, 0, "\17\0FCGI_MPXS_CONNS\16")},
	 {"broken\n", NO_REPLY},
	 false},
	{"answers before the break stay",
	 {RECORD(9, 0, "\17\0FCGI_MPXS_CONNS"), BEGIN(0)},
	 {"broken\n", TEXT("\1\12\0\0\0\22\0\0"
			   "\17\1FCGI_MPXS_CONNS0")},
	 false},
};

START_TEST(test_scenario)
{
	const struct scenario *scenario = &scenarios[_i];
	size_t count = 0;

	while (count < UNIT_COUNT(scenario->records) && scenario->records[count].content != NULL)
		count++;
	check_records(scenario->name, scenario->records, count, scenario->hold,
		      &scenario->expected);
}
END_TEST

/* Reads one request with these parameters. */
static void check_params(const char *name, const struct printbuf *content, const char *events)
{
	const struct expected expected = {events, NO_REPLY};
	const struct record begin = BEGIN(1);
	struct printbuf *bytes = buf_new();

	put_record(bytes, &begin);
	put_params(bytes, 1, content);
	check_bytes(name, bytes, false, &expected);
	printbuf_free(bytes);
}

/* Parameters that break the connection. */
static const struct {
	const char *name;
	const char *content;
	size_t len;
} malformed[] = {
	{"only a name's length", TEXT("\1")},
	{"only the lengths", TEXT("\1\1")},
	{"a name cut off", TEXT("\4\0NAM")},
	{"a value cut off", TEXT("\1\4Nval")},
	{"cut off behind a whole pair", TEXT("\1\1A1\1")},
	{"a length of four bytes cut off after one", TEXT("\200")},
	{"a length of four bytes cut off after three", TEXT("\200\0\0")},
	{"a value's length cut off", TEXT("\1\200\0\0")},
	{"a name beyond the end", TEXT("\2\0N")},
	{"0x7fffffff twice", TEXT("\377\377\377\377\377\377\377\377N")},
	{"0x7fffffff for the name", TEXT("\377\377\377\377\1NV")},
	{"0x7fffffff for the value", TEXT("\1\377\377\377\377NV")},
	{"0x7ffffffe twice", TEXT("\377\377\377\376\377\377\377\376NV")},
	{"0x40000001 for the name", TEXT("\300\0\0\1\0N")},
	{"0x01000001 for the name", TEXT("\201\0\0\1\0N")},
	{"0x00010001 for the value", TEXT("\1\200\1\0\1NV")},
	{"an empty name", TEXT("\0\1V")},
	{"an empty name and value", TEXT("\0\0")},
	{"a NUL in a name", TEXT("\2\1N\0V")},
	{"a NUL in a value", TEXT("\1\3Nv\0v")},
	{"a NUL in a name that is left out", TEXT("\3\1=\0NV")},
};

START_TEST(test_malformed)
{
	struct printbuf *content = buf_new();

	buf_put(content, malformed[_i].content, malformed[_i].len);
	check_params(malformed[_i].name, content, "broken\n");
	printbuf_free(content);
}
END_TEST

START_TEST(test_version)
{
	static const uint8_t versions[] = {0, 2, 'G', 255};
	const struct expected expected = {"broken\n", NO_REPLY};
	const struct record begin = BEGIN(1), end = PARAMS(1, "");

	for (size_t i = 0; i < UNIT_COUNT(versions); i++) {
		struct printbuf *bytes = buf_new();

		put_record(bytes, &begin);
		put_record(bytes, &end);
		bytes->buf[buf_len(bytes) - FCGI_HEADER_LEN] = (char)versions[i];
		check_bytes("another version", bytes, false, &expected);
		printbuf_free(bytes);
	}
}
END_TEST

/* --- lengths and limits ---------------------------------------------------------------------- */

static void put_pair_length(struct printbuf *out, size_t len)
{
	const uint8_t bytes[] = {(uint8_t)(0x80 | len >> 24), (uint8_t)(len >> 16),
				 (uint8_t)(len >> 8), (uint8_t)len};

	if (len < 128)
		buf_put(out, bytes + 3, 1);
	else
		buf_put(out, bytes, 4);
}

static void put_fill(struct printbuf *out, char c, size_t len)
{
	if (len > 0)
		ck_assert_int_eq(printbuf_memset(out, -1, c, (int)len), 0);
}

/* One pair of such lengths; `events` gets what is read of it. */
static void put_filled_pair(struct printbuf *content, struct printbuf *events, size_t name_len,
			    size_t value_len)
{
	put_pair_length(content, name_len);
	put_pair_length(content, value_len);
	put_fill(content, 'n', name_len);
	put_fill(content, 'v', value_len);
	buf_puts(events, " ");
	put_fill(events, 'n', name_len);
	buf_puts(events, "=");
	put_fill(events, 'v', value_len);
}

/* Lengths of a pair; total is what they and their lengths take. */
static const struct {
	size_t name_len, value_len, total;
	bool broken;
} lengths[] = {
	{1, 0, 3, false},	  {1, 1, 4, false},	    {1, 127, 130, false},
	{1, 128, 134, false},	  {127, 0, 129, false},	    {128, 0, 133, false},
	{127, 128, 260, false},	  {128, 127, 260, false},   {128, 128, 264, false},
	{1, 65529, 65535, false}, /* one full record */
	{1, 65530, 65536, false}, /* FCGI_PARAMS_LIMIT */
	{1, 65531, 65537, true},  {65528, 2, 65535, false}, {1, 65535, 65541, true},
	{65535, 1, 65541, true},  {1, 65536, 65542, true},  {65536, 65536, 131080, true},
};

START_TEST(test_lengths)
{
	struct printbuf *content = buf_new(), *events = buf_new();
	char name[64];

	snprintf(name, sizeof name, "a name of %zu and a value of %zu bytes", lengths[_i].name_len,
		 lengths[_i].value_len);
	buf_puts(events, "request 1");
	put_filled_pair(content, events, lengths[_i].name_len, lengths[_i].value_len);
	buf_puts(events, "\n");
	ck_assert_uint_eq(buf_len(content), lengths[_i].total);
	check_params(name, content, lengths[_i].broken ? "broken\n" : events->buf);
	printbuf_free(content);
	printbuf_free(events);
}
END_TEST

START_TEST(test_params_max)
{
	struct printbuf *content = buf_new(), *events = buf_new();

	buf_puts(events, "request 1");
	for (int i = 0; i < FCGI_PARAMS_MAX; i++)
		put_filled_pair(content, events, 1, 0);
	buf_puts(events, "\n");
	check_params("as many parameters as may be", content, events->buf);
	put_filled_pair(content, events, 1, 0);
	check_params("one parameter too many", content, "broken\n");
	printbuf_free(content);
	printbuf_free(events);
}
END_TEST

/* Records of each of these lengths that are thrown away, refused or answered by their type. */
static const struct {
	const char *name;
	uint8_t type;
	uint16_t id;
	size_t len;
	struct expected expected;
} sized[] = {
	{"a body of 1 byte", FCGI_STDIN, 1, 1, {"request 1\n", NO_REPLY}},
	{"a body of 127 bytes", FCGI_STDIN, 1, 127, {"request 1\n", NO_REPLY}},
	{"a body of 128 bytes", FCGI_STDIN, 1, 128, {"request 1\n", NO_REPLY}},
	{"a body of 65535 bytes", FCGI_STDIN, 1, 65535, {"request 1\n", NO_REPLY}},
	{"65535 bytes of nobody's parameters", FCGI_PARAMS, 2, 65535, {"request 1\n", NO_REPLY}},
	{"abort of 65535 bytes", FCGI_ABORT_REQUEST, 1, 65535, {"abort 1\n", NO_REPLY}},
	{"an unknown type of 512 bytes", 99, 0, 512, {"request 1\n", TEXT(UNKNOWN_TYPE("\143"))}},
	{"an unknown type of 513 bytes", 99, 0, 513, {"broken\n", NO_REPLY}},
	{"GET_VALUES of 513 bytes", FCGI_GET_VALUES, 0, 513, {"broken\n", NO_REPLY}},
	{"a BEGIN of 65535 bytes", FCGI_BEGIN_REQUEST, 2, 65535, {"broken\n", NO_REPLY}},
};

START_TEST(test_sized)
{
	struct printbuf *content = buf_new();

	put_fill(content, 'x', sized[_i].len);
	{
		const struct record records[] = {
			BEGIN(1),
			{sized[_i].type, sized[_i].id, content->buf, sized[_i].len, 0},
			PARAMS(1, ""),
		};

		check_records(sized[_i].name, records, UNIT_COUNT(records), false,
			      &sized[_i].expected);
	}
	printbuf_free(content);
}
END_TEST

/* The largest GET_VALUES: 32 times the same 16 bytes. The answer stays within its bound. */
START_TEST(test_many_values)
{
	struct printbuf *content = buf_new(), *reply = buf_new();
	struct record record = {FCGI_GET_VALUES, 0, NULL, FCGI_MANAGEMENT_LIMIT, 0};
	struct expected expected = {"", NULL, 0};

	buf_put(reply, TEXT("\1\12\0\0\2\240\0\0"));
	for (int i = 0; i < 32; i++) {
		buf_put(content, TEXT("\16\0FCGI_MAX_CONNS"));
		buf_put(reply, TEXT("\16\5FCGI_MAX_CONNS10000"));
	}
	record.content = content->buf;
	expected.reply = reply->buf;
	expected.reply_len = buf_len(reply);
	check_records("many values", &record, 1, false, &expected);
	ck_assert_uint_le(buf_len(reply), 2 * (FCGI_HEADER_LEN + FCGI_MANAGEMENT_LIMIT));
	printbuf_free(content);
	printbuf_free(reply);
}
END_TEST

#define PADDINGS 32 /* in one test: each is a process, and a sanitizer makes those slow */

START_TEST(test_padding)
{
	const struct expected expected = {"request 1 keep A=1\nrequest 2\n", NO_REPLY};

	for (int i = _i * PADDINGS; i < (_i + 1) * PADDINGS; i++) {
		const uint8_t padding = (uint8_t)i;
		const struct record records[] = {
			PADDED(FCGI_BEGIN_REQUEST, 1, "\0\1\1\0\0\0\0\0", padding),
			PARAMS(1, "\1\1A1"),
			PADDED(FCGI_PARAMS, 1, "", padding),
			BEGIN(2),
			PARAMS(2, ""),
		};
		char name[32];

		snprintf(name, sizeof name, "padding of %d bytes", i);
		check_records(name, records, UNIT_COUNT(records), false, &expected);
	}
}
END_TEST

/* The owner may end the request at any byte of what follows: the next one is served as well. */
START_TEST(test_finish_anywhere)
{
	const struct record first[] = {
		BEGIN_KEEP(1),
		PARAMS(1, "\1\1A1"),
		PADDED(FCGI_PARAMS, 1, "\1\1B2", 3),
		PADDED(FCGI_STDIN, 1, "body", 4),
	};
	const struct record second[] = {BEGIN(2), PARAMS(2, "\1\1C3"), PARAMS(2, "")};
	struct printbuf *bytes = buf_new(), *next = buf_new();
	struct seen seen = {buf_new(), buf_new()};

	for (size_t i = 0; i < UNIT_COUNT(first); i++)
		put_record(bytes, &first[i]);
	for (size_t i = 0; i < UNIT_COUNT(second); i++)
		put_record(next, &second[i]);
	for (size_t cut = 16; cut <= buf_len(bytes); cut++) {
		const uint8_t *data = (const uint8_t *)bytes->buf;
		struct fcgi_conn conn;

		buf_reset(seen.events);
		fcgi_conn_init(&conn);
		ck_assert(feed(&conn, data, cut, true, &seen));
		ck_assert_uint_eq(conn.request_id, 1);
		fcgi_conn_finish(&conn);
		ck_assert(feed(&conn, data + cut, buf_len(bytes) - cut, true, &seen));
		ck_assert(feed(&conn, (const uint8_t *)next->buf, buf_len(next), true, &seen));
		ck_assert_msg(strcmp(seen.events->buf, "request 2 C=3\n") == 0,
			      "finished at %zu: seen %s", cut, seen.events->buf);
		fcgi_conn_clear(&conn);
	}
	ck_assert_uint_eq(buf_len(seen.reply), 0);
	printbuf_free(bytes);
	printbuf_free(next);
	printbuf_free(seen.events);
	printbuf_free(seen.reply);
}
END_TEST

/* While a stream is idle its connection holds nothing. */
START_TEST(test_idle)
{
	const struct record records[] = {BEGIN(1), PARAMS(1, "\1\1A1"), PARAMS(1, ""),
					 STDIN(1, "")};
	struct printbuf *bytes = buf_new();
	struct seen seen = {buf_new(), buf_new()};
	struct fcgi_conn conn;

	for (size_t i = 0; i < UNIT_COUNT(records); i++)
		put_record(bytes, &records[i]);
	fcgi_conn_init(&conn);
	ck_assert(feed(&conn, (const uint8_t *)bytes->buf, buf_len(bytes), true, &seen));
	ck_assert_ptr_null(conn.content);
	ck_assert_ptr_null(conn.params);
	ck_assert_ptr_null(conn.env);
	ck_assert_ptr_null(fcgi_conn_take_params(&conn));
	ck_assert_uint_le(sizeof conn, 64);
	fcgi_conn_clear(&conn);
	printbuf_free(bytes);
	printbuf_free(seen.events);
	printbuf_free(seen.reply);
}
END_TEST

/* Parameters that nobody takes, and those half read, are freed: a sanitizer tells. */
START_TEST(test_clear_anywhere)
{
	const struct record records[] = {BEGIN(1), PARAMS(1, "\1\1A1"), BEGIN(2), PARAMS(1, "")};
	struct printbuf *bytes = buf_new(), *reply = buf_new();

	for (size_t i = 0; i < UNIT_COUNT(records); i++)
		put_record(bytes, &records[i]);
	for (size_t len = 0; len <= buf_len(bytes); len++) {
		enum fcgi_event event;
		struct fcgi_conn conn;
		size_t used;

		fcgi_conn_init(&conn);
		event = fcgi_conn_feed(&conn, 1, (const uint8_t *)bytes->buf, len, &used, reply);
		ck_assert_int_eq(event,
				 len < buf_len(bytes) ? FCGI_EVENT_MORE : FCGI_EVENT_REQUEST);
		ck_assert_uint_eq(used, len);
		fcgi_conn_clear(&conn);
	}
	printbuf_free(bytes);
	printbuf_free(reply);
}
END_TEST

/* --- the writer ------------------------------------------------------------------------------ */

/* How many records STDOUT of a length takes, and the last one's length. */
static const struct {
	size_t len;
	size_t records;
	size_t last;
} stdouts[] = {
	{0, 0, 0},	   {1, 1, 1},	  {127, 1, 127},      {128, 1, 128},  {65534, 1, 65534},
	{65535, 1, 65535}, {65536, 2, 1}, {131070, 2, 65535}, {131071, 3, 1}, {200000, 4, 3395},
};

START_TEST(test_put_stdout)
{
	struct printbuf *out = buf_new(), *expected = buf_new();
	const size_t len = stdouts[_i].len;
	uint8_t *data = malloc(len + 1);
	size_t left = len;

	ck_assert_ptr_nonnull(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i % 251);
	for (size_t i = 1; i <= stdouts[_i].records; i++) {
		struct record record = {FCGI_STDOUT, 0x1234, (char *)data + len - left, 65535, 0};

		if (i == stdouts[_i].records)
			record.len = stdouts[_i].last;
		put_record(expected, &record);
		left -= record.len;
	}
	ck_assert_uint_eq(left, 0);
	fcgi_put_stdout(out, 0x1234, data, len);
	assert_bytes("fcgi_put_stdout", "records", expected->buf, buf_len(expected), out);
	free(data);
	printbuf_free(out);
	printbuf_free(expected);
}
END_TEST

START_TEST(test_put_end)
{
	static const char end[] = "data"
				  "\1\6\1\2\0\0\0\0"
				  "\1\3\1\2\0\10\0\0"
				  "\0\0\0\0\0\0\0\0";
	struct printbuf *out = buf_new();

	buf_puts(out, "data");
	fcgi_put_end(out, 258);
	assert_bytes("fcgi_put_end", "appended", TEXT(end), out);
	printbuf_free(out);
}
END_TEST

START_TEST(test_stamp)
{
	static const uint16_t ids[] = {1, 255, 256, 65535, 0, 7};
	struct printbuf *data = buf_new();

	put_fill(data, '\1', 65600);
	for (size_t i = 0; i < UNIT_COUNT(ids); i++) {
		const struct record padded = PADDED(FCGI_STDERR, 9, "why", 255);
		const struct record stamped = PADDED(FCGI_STDERR, ids[i], "why", 255);
		struct printbuf *shared = buf_new(), *own = buf_new();

		fcgi_put_stdout(shared, 9, data->buf, buf_len(data));
		put_record(shared, &padded);
		fcgi_put_end(shared, 9);
		fcgi_put_stdout(own, ids[i], data->buf, buf_len(data));
		put_record(own, &stamped);
		fcgi_put_end(own, ids[i]);
		fcgi_stamp((uint8_t *)shared->buf, buf_len(shared), ids[i]);
		assert_bytes("fcgi_stamp", "records", own->buf, buf_len(own), shared);
		printbuf_free(shared);
		printbuf_free(own);
	}
	fcgi_stamp(NULL, 0, 1);
	printbuf_free(data);
}
END_TEST

/* What is written reads back as records of no meaning to a responder: no event, no answer. */
START_TEST(test_own_records)
{
	const struct expected expected = {"", NO_REPLY};
	struct printbuf *bytes = buf_new(), *data = buf_new();

	put_fill(data, '\1', 65600);
	fcgi_put_stdout(bytes, 1, data->buf, buf_len(data));
	fcgi_put_end(bytes, 1);
	check_bytes("own records", bytes, true, &expected);
	printbuf_free(bytes);
	printbuf_free(data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fcgi");
	TCase *reader = tcase_create("reader"), *writer = tcase_create("writer");

	tcase_set_timeout(reader, 60);
	tcase_set_timeout(writer, 60);
	tcase_add_loop_test(reader, test_scenario, 0, UNIT_COUNT(scenarios));
	tcase_add_loop_test(reader, test_malformed, 0, UNIT_COUNT(malformed));
	tcase_add_test(reader, test_version);
	tcase_add_loop_test(reader, test_lengths, 0, UNIT_COUNT(lengths));
	tcase_add_test(reader, test_params_max);
	tcase_add_loop_test(reader, test_sized, 0, UNIT_COUNT(sized));
	tcase_add_test(reader, test_many_values);
	tcase_add_loop_test(reader, test_padding, 0, 256 / PADDINGS);
	tcase_add_test(reader, test_finish_anywhere);
	tcase_add_test(reader, test_idle);
	tcase_add_test(reader, test_clear_anywhere);
	suite_add_tcase(suite, reader);

	tcase_add_loop_test(writer, test_put_stdout, 0, UNIT_COUNT(stdouts));
	tcase_add_test(writer, test_put_end);
	tcase_add_test(writer, test_stamp);
	tcase_add_test(writer, test_own_records);
	suite_add_tcase(suite, writer);
	return unit_run(suite);
}
