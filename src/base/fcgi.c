#include "base/fcgi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fastcgi.h>

#include "base/alloc.h"

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static uint16_t get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* --- name-value pairs (3.4) ------------------------------------------------------------------ */

struct pair {
	const uint8_t *name, *value;
	size_t name_len, value_len;
};

/* Reads a length of 1 byte, or of 4 when its first bit is set; false when it is cut off. */
static bool get_length(const uint8_t **at, const uint8_t *end, size_t *len)
{
	const uint8_t *bytes = *at;
	size_t size = bytes < end && (bytes[0] & 0x80) != 0 ? 4 : 1;

	if ((size_t)(end - bytes) < size)
		return false;
	*len = size == 1 ? bytes[0] : (size_t)(get16(bytes) & 0x7fff) << 16 | get16(bytes + 2);
	*at += size;
	return true;
}

/* Reads the pair at *at and moves after it; false, and *at stays, when it goes beyond the end. */
static bool get_pair(const uint8_t **at, const uint8_t *end, struct pair *pair)
{
	const uint8_t *next = *at;

	if (!get_length(&next, end, &pair->name_len) || !get_length(&next, end, &pair->value_len))
		return false;
	if (pair->name_len > (size_t)(end - next) ||
	    pair->value_len > (size_t)(end - next) - pair->name_len)
		return false;
	pair->name = next;
	pair->value = pair->name + pair->name_len;
	*at = pair->value + pair->value_len;
	return true;
}

static bool is_parameter(const struct pair *pair)
{
	/* The value follows the name: one search covers both. */
	return pair->name_len > 0 &&
	       memchr(pair->name, '\0', pair->name_len + pair->value_len) == NULL;
}

/* Counts the pairs and the bytes of all "NAME=VALUE"; false when one is malformed. */
static bool measure(const uint8_t *at, const uint8_t *end, size_t *count, size_t *size)
{
	struct pair pair;

	for (*count = *size = 0; at < end; ++*count) {
		if (*count == FCGI_PARAMS_MAX || !get_pair(&at, end, &pair) || !is_parameter(&pair))
			return false;
		*size += pair.name_len + pair.value_len + 2;
	}
	return true;
}

char **fcgi_read_params(const uint8_t *params, size_t len)
{
	const uint8_t *at = params, *end = params + len;
	size_t count, size;
	struct pair pair;
	char **env, **entry, *text;

	if (len > FCGI_PARAMS_LIMIT || !measure(at, end, &count, &size))
		return NULL;
	entry = env = xmalloc((count + 1) * sizeof *env + size);
	text = (char *)(env + count + 1);
	while (at < end && get_pair(&at, end, &pair)) {
		if (memchr(pair.name, '=', pair.name_len) != NULL)
			continue;
		*entry++ = text;
		text = mempcpy(text, pair.name, pair.name_len);
		*text++ = '=';
		text = mempcpy(text, pair.value, pair.value_len);
		*text++ = '\0';
	}
	*entry = NULL;
	return env;
}

/* --- writing records ------------------------------------------------------------------------- */

static void put_header(struct printbuf *out, uint8_t type, uint16_t request_id, size_t len)
{
	const FCGI_Header header = {
		.version = FCGI_VERSION_1,
		.type = type,
		.requestIdB1 = (uint8_t)(request_id >> 8),
		.requestIdB0 = (uint8_t)request_id,
		.contentLengthB1 = (uint8_t)(len >> 8),
		.contentLengthB0 = (uint8_t)len,
	};

	buf_put(out, &header, sizeof header);
}

static void put_end_request(struct printbuf *out, uint16_t request_id, uint8_t protocol_status)
{
	const FCGI_EndRequestBody body = {.protocolStatus = protocol_status};

	put_header(out, FCGI_END_REQUEST, request_id, sizeof body);
	buf_put(out, &body, sizeof body);
}

static void put_value(struct printbuf *out, const char *name, unsigned value)
{
	char text[16];
	int len = snprintf(text, sizeof text, "%u", value);
	const uint8_t lengths[2] = {(uint8_t)strlen(name), (uint8_t)len};

	buf_put(out, lengths, sizeof lengths);
	buf_puts(out, name);
	buf_put(out, text, (size_t)len);
}

void fcgi_put_stdout(struct printbuf *out, uint16_t request_id, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		size_t part = least(len, FCGI_MAX_LENGTH);

		put_header(out, FCGI_STDOUT, request_id, part);
		buf_put(out, at, part);
		at += part;
		len -= part;
	}
}

void fcgi_put_end(struct printbuf *out, uint16_t request_id)
{
	put_header(out, FCGI_STDOUT, request_id, 0);
	put_end_request(out, request_id, FCGI_REQUEST_COMPLETE);
}

void fcgi_stamp(uint8_t *records, size_t len, uint16_t request_id)
{
	while (len >= FCGI_HEADER_LEN) {
		size_t size = least(len, FCGI_HEADER_LEN + (size_t)get16(records + 4) + records[6]);

		records[2] = (uint8_t)(request_id >> 8);
		records[3] = (uint8_t)request_id;
		records += size;
		len -= size;
	}
}

/* --- the life of a connection's state -------------------------------------------------------- */

static void free_buffer(struct printbuf **buffer)
{
	if (*buffer != NULL)
		printbuf_free(*buffer);
	*buffer = NULL;
}

void fcgi_conn_init(struct fcgi_conn *conn)
{
	memset(conn, 0, sizeof *conn);
}

void fcgi_conn_clear(struct fcgi_conn *conn)
{
	fcgi_conn_finish(conn);
	free_buffer(&conn->content);
}

char **fcgi_conn_take_params(struct fcgi_conn *conn)
{
	char **env = conn->env;

	conn->env = NULL;
	return env;
}

void fcgi_conn_finish(struct fcgi_conn *conn)
{
	free_buffer(&conn->params);
	free(conn->env);
	conn->env = NULL;
	conn->request_id = 0;
	conn->params_done = false;
	conn->stdin_done = false;
}

/* --- what a complete record does ------------------------------------------------------------- */

/* What those functions need beside the connection. */
struct answer {
	unsigned max_conns;
	struct printbuf *reply;
};

static uint8_t record_type(const struct fcgi_conn *conn)
{
	return conn->header[1];
}

static uint16_t record_id(const struct fcgi_conn *conn)
{
	return get16(conn->header + 2);
}

static uint16_t record_length(const struct fcgi_conn *conn)
{
	return get16(conn->header + 4);
}

static enum fcgi_event on_begin(struct fcgi_conn *conn, const struct answer *answer)
{
	const FCGI_BeginRequestBody *body = (const FCGI_BeginRequestBody *)conn->content->buf;
	uint16_t id = record_id(conn);
	bool keep_conn;

	if (record_length(conn) != sizeof *body || id == FCGI_NULL_REQUEST_ID ||
	    id == conn->request_id)
		return FCGI_EVENT_BROKEN;
	if (conn->request_id != FCGI_NULL_REQUEST_ID) {
		put_end_request(answer->reply, id, FCGI_CANT_MPX_CONN);
		return FCGI_EVENT_MORE;
	}
	keep_conn = (body->flags & FCGI_KEEP_CONN) != 0;
	if ((body->roleB1 << 8 | body->roleB0) != FCGI_RESPONDER) {
		put_end_request(answer->reply, id, FCGI_UNKNOWN_ROLE);
		return keep_conn ? FCGI_EVENT_MORE : FCGI_EVENT_CLOSE;
	}
	conn->request_id = id;
	conn->keep_conn = keep_conn;
	return FCGI_EVENT_MORE;
}

static enum fcgi_event on_abort(struct fcgi_conn *conn, const struct answer *answer)
{
	(void)answer;
	conn->stdin_done = true; /* as far as it was coming */
	return FCGI_EVENT_ABORT;
}

static enum fcgi_event on_params(struct fcgi_conn *conn, const struct answer *answer)
{
	(void)answer;
	if (conn->params_done)
		return FCGI_EVENT_BROKEN;
	if (record_length(conn) > 0)
		return FCGI_EVENT_MORE;
	conn->env = fcgi_read_params((const uint8_t *)conn->params->buf, buf_len(conn->params));
	conn->params_done = true;
	free_buffer(&conn->params);
	return conn->env != NULL ? FCGI_EVENT_REQUEST : FCGI_EVENT_BROKEN;
}

static enum fcgi_event on_stdin(struct fcgi_conn *conn, const struct answer *answer)
{
	(void)answer;
	if (record_length(conn) == 0)
		conn->stdin_done = true;
	return FCGI_EVENT_MORE;
}

static enum fcgi_event on_get_values(struct fcgi_conn *conn, const struct answer *answer)
{
	const struct {
		const char *name;
		unsigned value;
	} known[] = {
		{FCGI_MAX_CONNS, answer->max_conns},
		{FCGI_MAX_REQS, answer->max_conns},
		{FCGI_MPXS_CONNS, 0},
	};
	const uint8_t *at = (const uint8_t *)conn->content->buf;
	const uint8_t *end = at + buf_len(conn->content);
	struct printbuf *values = buf_new();
	struct pair pair;

	while (at < end && get_pair(&at, end, &pair)) {
		for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
			if (pair.name_len == strlen(known[i].name) &&
			    memcmp(pair.name, known[i].name, pair.name_len) == 0)
				put_value(values, known[i].name, known[i].value);
		}
	}
	if (at == end) {
		put_header(answer->reply, FCGI_GET_VALUES_RESULT, FCGI_NULL_REQUEST_ID,
			   buf_len(values));
		buf_put(answer->reply, values->buf, buf_len(values));
	}
	printbuf_free(values);
	return at == end ? FCGI_EVENT_MORE : FCGI_EVENT_BROKEN;
}

static enum fcgi_event on_unknown_type(struct fcgi_conn *conn, const struct answer *answer)
{
	const FCGI_UnknownTypeBody body = {.type = record_type(conn)};

	put_header(answer->reply, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, sizeof body);
	buf_put(answer->reply, &body, sizeof body);
	return FCGI_EVENT_MORE;
}

static enum fcgi_event on_skipped(struct fcgi_conn *conn, const struct answer *answer)
{
	(void)conn;
	(void)answer;
	return FCGI_EVENT_MORE;
}

/* --- reading records ------------------------------------------------------------------------- */

/* Whose records have a meaning, where their content goes, and what they do once complete. */
struct rule {
	enum { OF_ANYONE, OF_MANAGEMENT, OF_RUNNING } owner;
	enum { DROPPED, IN_CONTENT, IN_PARAMS } kept;
	size_t limit; /* bytes, with what is kept already */
	enum fcgi_event (*on_end)(struct fcgi_conn *conn, const struct answer *answer);
};

static const struct rule rules[FCGI_MAXTYPE + 1] = {
	[FCGI_BEGIN_REQUEST] = {OF_ANYONE, IN_CONTENT, sizeof(FCGI_BeginRequestBody), on_begin},
	[FCGI_ABORT_REQUEST] = {OF_RUNNING, DROPPED, FCGI_MAX_LENGTH, on_abort},
	[FCGI_PARAMS] = {OF_RUNNING, IN_PARAMS, FCGI_PARAMS_LIMIT, on_params},
	[FCGI_STDIN] = {OF_RUNNING, DROPPED, FCGI_MAX_LENGTH, on_stdin},
	[FCGI_GET_VALUES] = {OF_MANAGEMENT, IN_CONTENT, FCGI_MANAGEMENT_LIMIT, on_get_values},
};
static const struct rule unknown_type = {OF_MANAGEMENT, DROPPED, FCGI_MANAGEMENT_LIMIT,
					 on_unknown_type};
static const struct rule skipped = {OF_ANYONE, DROPPED, FCGI_MAX_LENGTH, on_skipped};

/* The rule for the record being read. Looked up each time: its request may end meanwhile. */
static const struct rule *rule_of(const struct fcgi_conn *conn)
{
	uint8_t type = record_type(conn);
	uint16_t id = record_id(conn);
	const struct rule *rule = &skipped;

	if (type <= FCGI_MAXTYPE && rules[type].on_end != NULL)
		rule = &rules[type];
	if (rule->owner == OF_RUNNING && (id != conn->request_id || id == FCGI_NULL_REQUEST_ID))
		rule = &skipped;
	if (rule->owner == OF_MANAGEMENT && id != FCGI_NULL_REQUEST_ID)
		rule = &skipped;
	if (rule == &skipped && id == FCGI_NULL_REQUEST_ID)
		rule = &unknown_type;
	return rule;
}

/* The buffer that the record's content goes to, made when it is not there; NULL for none. */
static struct printbuf *content_buffer(struct fcgi_conn *conn, const struct rule *rule)
{
	struct printbuf **buffer = rule->kept == IN_PARAMS ? &conn->params : &conn->content;

	if (rule->kept == DROPPED)
		return NULL;
	if (*buffer == NULL)
		*buffer = buf_new();
	return *buffer;
}

static enum fcgi_event end_record(struct fcgi_conn *conn, const struct answer *answer)
{
	enum fcgi_event event = rule_of(conn)->on_end(conn, answer);

	free_buffer(&conn->content);
	conn->state = FCGI_STATE_PADDING; /* of 0 bytes, too */
	conn->have = 0;
	return event;
}

static enum fcgi_event start_record(struct fcgi_conn *conn, const struct answer *answer)
{
	const struct rule *rule = rule_of(conn);
	struct printbuf *buffer = content_buffer(conn, rule);
	size_t kept = buffer != NULL ? buf_len(buffer) : 0;

	if (conn->header[0] != FCGI_VERSION_1 || kept + record_length(conn) > rule->limit)
		return FCGI_EVENT_BROKEN;
	conn->state = FCGI_STATE_CONTENT;
	conn->left = record_length(conn);
	conn->padding = conn->header[6];
	return conn->left == 0 ? end_record(conn, answer) : FCGI_EVENT_MORE;
}

/* Each of these takes some of len > 0 bytes and returns how many. */
static size_t read_header(struct fcgi_conn *conn, const uint8_t *data, size_t len,
			  const struct answer *answer, enum fcgi_event *event)
{
	size_t part = least(len, (size_t)FCGI_HEADER_LEN - conn->have);

	memcpy(conn->header + conn->have, data, part);
	conn->have += (uint8_t)part;
	if (conn->have == FCGI_HEADER_LEN)
		*event = start_record(conn, answer);
	return part;
}

static size_t read_content(struct fcgi_conn *conn, const uint8_t *data, size_t len,
			   const struct answer *answer, enum fcgi_event *event)
{
	size_t part = least(len, conn->left);
	struct printbuf *buffer = content_buffer(conn, rule_of(conn));

	if (buffer != NULL)
		buf_put(buffer, data, part);
	conn->left -= (uint16_t)part;
	if (conn->left == 0)
		*event = end_record(conn, answer);
	return part;
}

static size_t skip_padding(struct fcgi_conn *conn, size_t len)
{
	size_t part = least(len, conn->padding);

	conn->padding -= (uint8_t)part;
	if (conn->padding == 0)
		conn->state = FCGI_STATE_HEADER;
	return part;
}

enum fcgi_event fcgi_conn_feed(struct fcgi_conn *conn, unsigned max_conns, const uint8_t *data,
			       size_t len, size_t *used, struct printbuf *reply)
{
	const struct answer answer = {max_conns, reply};
	enum fcgi_event event = FCGI_EVENT_MORE;
	size_t at = 0;

	while (at < len && event == FCGI_EVENT_MORE) {
		switch (conn->state) {
		case FCGI_STATE_HEADER:
			at += read_header(conn, data + at, len - at, &answer, &event);
			break;
		case FCGI_STATE_CONTENT:
			at += read_content(conn, data + at, len - at, &answer, &event);
			break;
		case FCGI_STATE_PADDING:
			at += skip_padding(conn, len - at);
			break;
		}
	}
	*used = at;
	return event;
}
