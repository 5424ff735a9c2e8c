/*
 * Tickets: a word that stands for a token once, for TICKET_LIFETIME seconds, so
 * that a browser's EventSource needs no token in its URL. Redis holds what the
 * word stands for; GETDEL takes it, so that of two takers one gets it.
 */
#ifndef PRESENCE_AUTH_TICKET_H
#define PRESENCE_AUTH_TICKET_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

#include "auth/token.h"
#include "base/buf.h"
#include "base/random.h"
#include "base/userids.h"

#define TICKET_LIFETIME 30 /* seconds */
#define TICKET_USERS_MAX 1000 /* [stream] max_watched is no more */
#define TICKET_LEN_MAX (RANDOM_ID_LEN + 5) /* characters */

/* A new ticket for a user of a partition: random, and if there are several its number in front: "17." */
void ticket_make(char text[TICKET_LEN_MAX + 1], unsigned partitions, unsigned partition);

/* Whether the text could be a ticket at all; then *partition is the one that knows it. */
bool ticket_parse(const char *text, unsigned partitions, unsigned *partition);

/* What the word stands for. */
struct ticket {
	struct token token;
	bool idle; /* the stream opens while nobody is at the device */
	struct userids
		*users; /* to be watched besides the friends; NULL = none; free(3)d by its owner */
	bool without_friends; /* not besides, but instead */
};

/* Appends the command that issues a ticket, whose text ticket_make() made. */
void ticket_put_issue(struct printbuf *out, const char *prefix, const char *text,
		      const struct ticket *ticket);

/* Appends the command that redeems it. */
void ticket_put_redeem(struct printbuf *out, const char *prefix, const char *text);

/*
 * Reads the answer to that; false when there was no such ticket, or its text is
 * not one that ticket_put_issue() writes: in Redis anybody may have written it.
 * When true, ticket->users are the caller's.
 */
bool ticket_read(const redisReply *reply, struct ticket *ticket);

#endif
