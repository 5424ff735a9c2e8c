#include "store/status.h"

#include <inttypes.h>
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

void status_put_json(struct printbuf *out, const struct userid *id, const struct status *status,
		     const char *session_id)
{
	buf_puts(out, "{\"user_id\":");
	userid_put_json(out, id);
	buf_puts(out, status->online ? ",\"is_online\":true,\"status\":\"online\",\"last_activity\":"
				     : ",\"is_online\":false,\"status\":\"offline\",\"last_seen\":");
	if (status->seen[0] != '\0')
		buf_putf(out, "\"%s\"", status->seen);
	else
		buf_puts(out, "null");
	buf_putf(out, ",\"version\":%" PRIu64, status->version);
	if (session_id != NULL)
		buf_putf(out, ",\"session_id\":\"%s\"", session_id);
	buf_puts(out, "}");
}
