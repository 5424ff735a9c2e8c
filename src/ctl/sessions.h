/* A user's sessions as Redis holds them, for the commands that show them. */
#ifndef PRESENCE_CTL_SESSIONS_H
#define PRESENCE_CTL_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/userid.h"

#define SPAN_SIZE 32

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

/* Appends the two commands whose replies sessions_read() takes: ZRANGE, then TIME. */
#define SESSIONS_COMMANDS 2
void sessions_put(struct printbuf *out, const char *prefix, const struct userid *id);

/*
 * Reads them; false when they are something else. The list borrows from the
 * replies and is freed with free(). *now is Redis' clock in ms.
 */
bool sessions_read(redisReply *const replies[SESSIONS_COMMANDS], struct session_list *sessions,
		   int64_t *now);

/* A table, or a JSON array without a newline at its end. */
void sessions_put_lines(struct printbuf *out, const struct session_list *sessions,
			const char *indent);
void sessions_put_json(struct printbuf *out, const struct session_list *sessions);

/* "5 minutes": whole units, the largest one that fits. */
void span_put(char text[SPAN_SIZE], int64_t seconds);

/* How long ago an RFC 3339 time was, by this host's clock; never below 0. */
int64_t span_since(const char *time_text);

#endif
