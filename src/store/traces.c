#include "store/traces.h"

#include <string.h>

#include "store/keys.h"
#include "store/resp.h"

static const struct family {
	const char *name; /* what stands before the id */
	/* Of the user's key. TRACE_MORE: "/" and more follows the id; TRACE_PAIR: "id/id" does. */
	enum trace_kind own;
	enum trace_kind other; /* of anybody else's */
	bool is_lasting; /* what is left when nobody is online, but for what ends by itself in a moment */
} families[] = {
	{KEY_ONLINE, TRACE_OWN, TRACE_NONE, false},
	{KEY_LAST_SEEN, TRACE_OWN, TRACE_NONE, true},
	{KEY_WEBSOCKET, TRACE_OWN, TRACE_NONE, false},
	{KEY_SESSIONS, TRACE_OWN, TRACE_NONE, false},
	{KEY_VERSION, TRACE_OWN, TRACE_NONE, true},
	{KEY_CHOSEN, TRACE_OWN, TRACE_NONE, true},
	{KEY_SETTINGS, TRACE_OWN, TRACE_NONE, true},
	{KEY_IDLE, TRACE_OWN, TRACE_NONE, false},
	{KEY_BLOCKED, TRACE_OWN, TRACE_BLOCK, true},
	{KEY_BLOCKED_BY, TRACE_UNTOLD, TRACE_BLOCK, true},
	{KEY_CELL, TRACE_UNTOLD, TRACE_NONE, false},
	{KEY_RATE "location:", TRACE_UNTOLD, TRACE_NONE, false},
	{KEY_PUSH_SUBS, TRACE_OWN, TRACE_NONE, true},
	{KEY_PUSH_WANTED, TRACE_FIELDS, TRACE_FIELD, true},
	{KEY_PUSH_WAITING, TRACE_UNTOLD, TRACE_MEMBER, true},
	{KEY_RATE "push:", TRACE_OWN, TRACE_NONE, false},
	{KEY_RATE "status:", TRACE_OWN, TRACE_NONE, false},
	{KEY_RATE "idle:", TRACE_OWN, TRACE_NONE, false},
	{KEY_RATE "blocks:", TRACE_OWN, TRACE_NONE, false},
	{KEY_NOT_BEFORE, TRACE_KEPT, TRACE_NONE, true},
	{KEY_REVOKED, TRACE_MORE, TRACE_NONE, true},
	{KEY_PUSH_TAG, TRACE_MORE, TRACE_NONE, false},
	{KEY_RATE "typing:", TRACE_PAIR, TRACE_NONE, false},
	{KEY_TYPING, TRACE_PAIR, TRACE_NONE, false},
	{KEY_PUSH_OWNER, TRACE_VALUE, TRACE_VALUE, true},
	{KEY_TICKET, TRACE_TICKET, TRACE_TICKET, false},
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

static const struct family *find_family(const char *name, size_t len)
{
	for (size_t i = 0; i < FAMILIES; i++) {
		size_t head = strlen(families[i].name);

		if (len >= head && memcmp(name, families[i].name, head) == 0)
			return &families[i];
	}
	return NULL;
}

enum trace_kind trace_kind(const char *name, size_t len, const struct userid *user)
{
	const struct family *family = find_family(name, len);
	size_t head;

	if (family == NULL)
		return TRACE_NONE;
	head = strlen(family->name);
	return kind_in(family, name + head, len - head, user);
}

bool trace_is_lasting(const char *name, size_t len, struct userid *user)
{
	const struct family *family = find_family(name, len);
	const char *rest, *end;

	if (family == NULL || !family->is_lasting)
		return false;
	rest = name + strlen(family->name);
	len -= strlen(family->name);
	user->text[0] = '\0';
	if (family->own == TRACE_VALUE)
		return true;
	end = family->own == TRACE_MORE ? memchr(rest, '/', len) : rest + len;
	return end != NULL && userid_parse(rest, (size_t)(end - rest), user);
}

bool trace_is_ours(const char *name, size_t len)
{
	static const char *const heads[] = {"presence:", "push:"};

	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		if (len > strlen(heads[i]) && memcmp(name, heads[i], strlen(heads[i])) == 0)
			return true;
	}
	return find_family(name, len) != NULL ||
	       (len == strlen(KEY_ONLINE_USERS) && memcmp(name, KEY_ONLINE_USERS, len) == 0);
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
