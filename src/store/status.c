#include "store/status.h"

#include <stdlib.h>
#include <string.h>

#include "store/keys.h"
#include "store/resp.h"

/* In front of the users' keys. */
enum { HEAD_RECOVERING, HEAD_EPOCH, HEAD_KEYS };

void status_put_mget(struct printbuf *out, const char *prefix, unsigned count)
{
	resp_begin(out, 1 + HEAD_KEYS + count * STATUS_KEYS);
	resp_arg(out, "MGET", 4);
	resp_key(out, prefix, KEY_RECOVERING, "");
	resp_key(out, prefix, KEY_EPOCH, "");
}

static const redisReply *head_of(const redisReply *reply, size_t index)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements >= HEAD_KEYS
		       ? reply->element[index]
		       : NULL;
}

bool status_is_recovering(const redisReply *reply)
{
	const redisReply *value = head_of(reply, HEAD_RECOVERING);

	return value == NULL || value->type != REDIS_REPLY_NIL;
}

const char *status_epoch(const redisReply *reply)
{
	const redisReply *value = head_of(reply, HEAD_EPOCH);

	return value != NULL && value->type == REDIS_REPLY_STRING ? value->str : NULL;
}

/* A kind of reply that MGET has not. */
#define MARKED_ONLINE REDIS_REPLY_INTEGER

void status_mark_online(redisReply *reply, size_t index)
{
	redisReply *online = reply->element[HEAD_KEYS + index * STATUS_KEYS];

	if (online->type == REDIS_REPLY_NIL)
		online->type = MARKED_ONLINE;
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

	size_t at = HEAD_KEYS + index * STATUS_KEYS;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < at + STATUS_KEYS)
		return false;
	online = reply->element[at];
	seen = reply->element[at + 1];
	version = reply->element[at + 2];

	memset(status, 0, sizeof *status);
	status->online = online->type == REDIS_REPLY_STRING || online->type == MARKED_ONLINE;
	if (online->type == REDIS_REPLY_STRING)
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
