#include "store/traces.h"

#include <string.h>

#include "store/keys.h"
#include "store/resp.h"

static const struct family {
	const char *name; /* what stands before the id */
	/* Of the user's key. TRACE_MORE: "/" and more follows the id; TRACE_PAIR: "id/id" does. */
	enum trace_kind own;
	enum trace_kind other; /* of anybody else's */
} families[] = {
	{KEY_ONLINE, TRACE_OWN, TRACE_NONE},
	{KEY_LAST_SEEN, TRACE_OWN, TRACE_NONE},
	{KEY_WEBSOCKET, TRACE_OWN, TRACE_NONE},
	{KEY_SESSIONS, TRACE_OWN, TRACE_NONE},
	{KEY_VERSION, TRACE_OWN, TRACE_NONE},
	{KEY_CHOSEN, TRACE_OWN, TRACE_NONE},
	{KEY_SETTINGS, TRACE_OWN, TRACE_NONE},
	{KEY_IDLE, TRACE_OWN, TRACE_NONE},
	{KEY_BLOCKED, TRACE_OWN, TRACE_BLOCK},
	{KEY_BLOCKED_BY, TRACE_UNTOLD, TRACE_BLOCK},
	{KEY_CELL, TRACE_UNTOLD, TRACE_NONE},
	{KEY_RATE "location:", TRACE_UNTOLD, TRACE_NONE},
	{KEY_PUSH_SUBS, TRACE_OWN, TRACE_NONE},
	{KEY_PUSH_WANTED, TRACE_FIELDS, TRACE_FIELD},
	{KEY_PUSH_WAITING, TRACE_UNTOLD, TRACE_MEMBER},
	{KEY_RATE "push:", TRACE_OWN, TRACE_NONE},
	{KEY_RATE "status:", TRACE_OWN, TRACE_NONE},
	{KEY_RATE "idle:", TRACE_OWN, TRACE_NONE},
	{KEY_RATE "blocks:", TRACE_OWN, TRACE_NONE},
	{KEY_NOT_BEFORE, TRACE_KEPT, TRACE_NONE},
	{KEY_REVOKED, TRACE_MORE, TRACE_NONE},
	{KEY_PUSH_TAG, TRACE_MORE, TRACE_NONE},
	{KEY_RATE "typing:", TRACE_PAIR, TRACE_NONE},
	{KEY_TYPING, TRACE_PAIR, TRACE_NONE},
	{KEY_PUSH_OWNER, TRACE_VALUE, TRACE_VALUE},
	{KEY_TICKET, TRACE_TICKET, TRACE_TICKET},
};
#define FAMILIES (sizeof families / sizeof families[0])

/* Whether a name is "id/id" with the user's id at either end. */
static bool is_of_pair(const char *rest, size_t len, const char *id, size_t id_len)
{
	const char *end = rest + len - id_len;

	return len > id_len + 1 && ((memcmp(rest, id, id_len) == 0 && rest[id_len] == '/') ||
				    (memcmp(end, id, id_len) == 0 && end[-1] == '/'));
}

static enum trace_kind kind_in(const struct family *family, const char *rest, size_t len,
			       const struct userid *user)
{
	size_t id_len = strlen(user->text);

	if (family->own == TRACE_PAIR)
		return is_of_pair(rest, len, user->text, id_len) ? TRACE_PAIR : TRACE_NONE;
	if (len < id_len || memcmp(rest, user->text, id_len) != 0)
		return family->other;
	if (family->own == TRACE_MORE)
		return len > id_len && rest[id_len] == '/' ? family->own : family->other;
	return len == id_len ? family->own : family->other;
}

enum trace_kind trace_kind(const char *name, size_t len, const struct userid *user)
{
	for (size_t i = 0; i < FAMILIES; i++) {
		size_t head = strlen(families[i].name);

		if (len >= head && memcmp(name, families[i].name, head) == 0)
			return kind_in(&families[i], name + head, len - head, user);
	}
	return TRACE_NONE;
}

unsigned traces_put_named(struct printbuf *out, const char *prefix, const struct userid *user)
{
	unsigned count = 0;

	for (size_t i = 0; i < FAMILIES; i++) {
		const struct family *family = &families[i];

		if (family->own != TRACE_OWN && family->own != TRACE_UNTOLD &&
		    family->own != TRACE_FIELDS)
			continue;
		resp_key(out, prefix, family->name, user->text);
		count++;
	}
	return count;
}
