#include "store/status.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/keys.h"
#include "store/resp.h"
#include "store/settings.h"

#define MEMBERS_MAX 4096 /* bytes of what stands after the version; our scripts write far less */

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

bool status_is_whole(const redisReply *reply, const char *epoch)
{
	const char *found = status_epoch(reply);

	return found != NULL && strcmp(found, epoch) == 0 && !status_is_recovering(reply);
}

bool status_is_of_another(const redisReply *reply, const char *epoch)
{
	const char *found = status_epoch(reply);

	return head_of(reply, HEAD_EPOCH) != NULL && (found == NULL || strcmp(found, epoch) != 0);
}

const char *status_epoch(const redisReply *reply)
{
	const redisReply *value = head_of(reply, HEAD_EPOCH);

	return value != NULL && value->type == REDIS_REPLY_STRING ? value->str : NULL;
}

void status_use_look(redisReply *reply, size_t index, redisReply *look)
{
	reply->element[HEAD_KEYS + index * STATUS_KEYS] = look;
}

void status_put_keys(struct printbuf *out, const char *prefix, const struct userid *id)
{
	resp_key(out, prefix, KEY_ONLINE, id->text);
	resp_key(out, prefix, KEY_LAST_SEEN, id->text);
	resp_key(out, prefix, KEY_VERSION, id->text);
	resp_key(out, prefix, KEY_SETTINGS, id->text);
}

static uint64_t read_version(const char *text)
{
	return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}

/* What stands after `name` in the text; NULL when it does not have that. */
static const char *find_after(const redisReply *text, const char *name)
{
	const char *at = memmem(text->str, text->len, name, strlen(name));

	return at != NULL ? at + strlen(name) : NULL;
}

static bool is_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return strncmp(text, word, len) == 0 && text[len] == '"';
}

static void read_word(const redisReply *online, struct status *status)
{
	static const char *const words[] = {"online", "away", "busy", "meeting", "dnd"};
	const char *at = find_after(online, "\"status\":\"");

	strcpy(status->word, words[0]);
	for (size_t i = 0; at != NULL && i < sizeof words / sizeof words[0]; i++) {
		if (is_word(at, words[i]))
			strcpy(status->word, words[i]);
	}
}

static bool is_our_member(const char *name)
{
	static const char *const names[] = {"text", "emoji", "status_expires", "last_seen_coarse"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* Whether ",a":1,"b":2 are members of an object, in one line, that our scripts write there. */
static bool are_our_members(const char *members, size_t len)
{
	char text[MEMBERS_MAX + 2];
	struct json_object *object;
	const char *why;
	bool ours = true;

	if (len > MEMBERS_MAX || memchr(members, '\n', len) != NULL ||
	    memchr(members, '\r', len) != NULL)
		return false;
	memcpy(text, members, len);
	text[0] = '{';
	text[len] = '}';
	object = json_parse_object(text, len + 1, &why);
	if (object == NULL)
		return false;
	json_object_object_foreach(object, name, value)
	{
		(void)value;
		ours = ours && is_our_member(name);
	}
	json_object_put(object);
	return ours;
}

/* The end of the members after the version that our scripts write; NULL: a text that they did not write. */
static const char *members_end(const redisReply *online, const char *members)
{
	static const char coarse[] = ",\"last_seen_coarse\":true";
	const char *end = online->str + online->len - 1;

	if (end <= members || *end != '}' || !are_our_members(members, (size_t)(end - members)))
		return NULL;
	if ((size_t)(end - members) >= sizeof coarse - 1 &&
	    memcmp(end - (sizeof coarse - 1), coarse, sizeof coarse - 1) == 0)
		end -= sizeof coarse - 1;
	return end;
}

/* The STATUS inside user:online:{id}, as common.lua writes it. */
static void read_online(const redisReply *online, struct status *status)
{
	const char *at = find_after(online, "\"version\":"), *end;

	read_word(online, status);
	if (at == NULL)
		return;
	status->version = read_version(at);
	at += strspn(at, "0123456789");
	if (*at != ',' || (end = members_end(online, at)) == NULL || end == at)
		return;
	status->members = at;
	status->members_len = (size_t)(end - at);
}

/* The stricter of the user's own rule and `rule`. */
static enum last_seen read_rule(const redisReply *value, enum last_seen rule)
{
	const struct settings settings = settings_read(value);

	return settings_rule(&settings, rule);
}

bool status_read(const redisReply *reply, size_t index, enum last_seen rule, struct status *status)
{
	const redisReply *online, *seen, *version;
	size_t at = HEAD_KEYS + index * STATUS_KEYS;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < at + STATUS_KEYS)
		return false;
	online = reply->element[at];
	seen = reply->element[at + 1];
	version = reply->element[at + 2];
	rule = read_rule(reply->element[at + 3], rule);

	memset(status, 0, sizeof *status);
	status->online = online->type == REDIS_REPLY_STRING;
	if (status->online)
		read_online(online, status);
	if (status->version == 0 && version->type == REDIS_REPLY_STRING)
		status->version = read_version(version->str);
	if (rule != LAST_SEEN_NOBODY && seen->type == REDIS_REPLY_STRING &&
	    times_is_valid(seen->str, seen->len)) {
		memcpy(status->seen, seen->str, TIMES_LEN);
		status->coarse = rule == LAST_SEEN_COARSE;
		if (status->coarse)
			times_coarsen(status->seen, times_wall_ms() / 1000);
	}
	return true;
}

/* Appends a literal without its NUL, to what `at` points into. */
#define ADD(at, literal) mempcpy(at, literal, sizeof(literal) - 1)

/* All up to the version, in one piece: a snapshot has one of these for each friend. */
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
	if (status->online) {
		at = ADD(at, ",\"is_online\":true,\"status\":\"");
		at = mempcpy(at, status->word, strlen(status->word));
		at = ADD(at, "\",\"last_activity\":");
	} else {
		at = ADD(at, ",\"is_online\":false,\"status\":\"offline\",\"last_seen\":");
	}
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

void status_put_name(struct printbuf *out, const struct userid *id)
{
	char text[USERID_MAX + 3], *at = text;

	*at++ = '"';
	at = mempcpy(at, id->text, strlen(id->text));
	at = ADD(at, "\":");
	buf_put(out, text, (size_t)(at - text));
}

void status_put_json(struct printbuf *out, const struct userid *id, const struct status *status)
{
	char text[USERID_MAX + 160];

	buf_put(out, text, write_json(text, id, status));
	if (status->members != NULL)
		buf_put(out, status->members, status->members_len);
	buf_puts(out, status->coarse ? ",\"last_seen_coarse\":true}" : "}");
}

void status_put_own(struct printbuf *out, const char *status, size_t len, const char *session_id)
{
	buf_put(out, status, len - 1);
	buf_putf(out, ",\"session_id\":\"%s\"}", session_id);
}
