#include "store/status.h"

#include <stdlib.h>
#include <string.h>

#include "store/keys.h"
#include "store/resp.h"

void status_put_mget(struct printbuf *out, unsigned count)
{
	resp_begin(out, 1 + count * STATUS_KEYS);
	resp_arg(out, "MGET", 4);
}

void status_put_keys(struct printbuf *out, const char *prefix, const struct userid *id)
{
	resp_key(out, prefix, KEY_ONLINE, id->text);
	resp_key(out, prefix, KEY_LAST_SEEN, id->text);
	resp_key(out, prefix, KEY_VERSION, id->text);
}

static uint64_t read_version(const char *text)
{
	return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}

/* The version inside user:online:{id}, which touch.lua writes last. */
static uint64_t stored_version(const redisReply *online)
{
	static const char name[] = "\"version\":";
	const char *at = memmem(online->str, online->len, name, sizeof name - 1);

	return at != NULL ? read_version(at + sizeof name - 1) : 0;
}

bool status_read(const redisReply *reply, size_t index, struct status *status)
{
	const redisReply *online, *seen, *version;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < (index + 1) * STATUS_KEYS)
		return false;
	online = reply->element[index * STATUS_KEYS];
	seen = reply->element[index * STATUS_KEYS + 1];
	version = reply->element[index * STATUS_KEYS + 2];

	memset(status, 0, sizeof *status);
	status->online = online->type == REDIS_REPLY_STRING;
	if (status->online)
		status->version = stored_version(online);
	if (status->version == 0 && version->type == REDIS_REPLY_STRING)
		status->version = read_version(version->str);
	if (seen->type == REDIS_REPLY_STRING && times_is_valid(seen->str, seen->len))
		memcpy(status->seen, seen->str, TIMES_LEN);
	return true;
}

/* Appends a literal without its NUL, to what `at` points into. */
#define ADD(at, literal) mempcpy(at, literal, sizeof(literal) - 1)

/* All but the session_id, in one piece: a snapshot has one of these for each friend. */
static size_t write_json(char *text, const struct userid *id, const struct status *status)
{
	bool quoted = !userid_is_integer(id);
	char digits[24], *end = digits + sizeof digits, *digit = buf_digits(end, status->version);
	char *at = ADD(text, "{\"user_id\":");

	if (quoted)
		*at++ = '"';
	at = mempcpy(at, id->text, strlen(id->text));
	if (quoted)
		*at++ = '"';
	at = status->online
		     ? ADD(at, ",\"is_online\":true,\"status\":\"online\",\"last_activity\":")
		     : ADD(at, ",\"is_online\":false,\"status\":\"offline\",\"last_seen\":");
	if (status->seen[0] != '\0') {
		*at++ = '"';
		at = mempcpy(at, status->seen, TIMES_LEN);
		*at++ = '"';
	} else {
		at = ADD(at, "null");
	}
	at = ADD(at, ",\"version\":");
	at = mempcpy(at, digit, (size_t)(end - digit));
	return (size_t)(at - text);
}

void status_put_name(struct printbuf *object, const struct userid *id)
{
	char text[USERID_MAX + 4], *at = text;

	if (object->buf[object->bpos - 1] != '{')
		*at++ = ',';
	*at++ = '"';
	at = mempcpy(at, id->text, strlen(id->text));
	at = ADD(at, "\":");
	buf_put(object, text, (size_t)(at - text));
}

void status_put_json(struct printbuf *out, const struct userid *id, const struct status *status,
		     const char *session_id)
{
	char text[USERID_MAX + 160];

	buf_put(out, text, write_json(text, id, status));
	if (session_id != NULL)
		buf_putf(out, ",\"session_id\":\"%s\"", session_id);
	buf_put(out, "}", 1);
}
