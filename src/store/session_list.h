/* A user's sessions as Redis holds them, for whoever shows them. */
#ifndef PRESENCE_STORE_SESSION_LIST_H
#define PRESENCE_STORE_SESSION_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/userid.h"

/* A member of user:sessions:{id}, t:{tok} or s:{tok}:{random}, with its deadline. Texts are
 * borrowed. */
struct session {
	bool is_stream, is_closing;
	const char *tok;
	int tok_len;
	const char *random; /* "" for a token's */
	int64_t left; /* ms; below 0: it has lapsed and waits for the sweeper */
};

struct session_list {
	struct session *list; /* in the order of their deadlines */
	size_t count;
};

/* Appends the two commands whose replies session_list_read() takes: ZRANGE, then TIME. */
#define SESSION_LIST_COMMANDS 2
void session_list_put(struct printbuf *out, const char *prefix, const struct userid *id);

/*
 * Reads them; false when they are something else. The list borrows from the
 * replies and is freed with free(). *now is Redis' clock in ms.
 */
bool session_list_read(redisReply *const replies[SESSION_LIST_COMMANDS],
		       struct session_list *sessions, int64_t *now);

/* Appends a JSON array. */
void session_list_put_json(struct printbuf *out, const struct session_list *sessions);

#endif
