/*
 * What Redis says of the users that streams watch, as texts for `initial`. Many
 * streams watch the same users, and many open at once: a user is asked about
 * once, however many wait for the answer, and the answer serves for a moment
 * longer.
 *
 * That is as good as asking again: a change since would have come as a message.
 * Only the time of the last activity moves without one, hence the moment's
 * length.
 */
#ifndef PRESENCE_STREAM_STATUSES_H
#define PRESENCE_STREAM_STATUSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "stream/context.h"

struct wishes;
struct known;
struct question;

struct statuses {
	struct context *context;
	void (*complete)(struct wishes *wishes); /* the last text that they waited for is there */
	struct known *known; /* of users, a moment long */
	struct question **open; /* by partition: takes more users until statuses_flush(); or NULL */
	unsigned asked; /* MGETs without an answer */
};

void statuses_init(struct statuses *all, struct context *context,
		   void (*complete)(struct wishes *wishes));
void statuses_free(struct statuses *all);

/* A gap: what Redis said of a partition's users is not known any more. */
void statuses_forget(struct partition *partition);

struct status_text;

/* The texts of all users that a subscriber watches, for one who waits for them. */
struct wishes {
	struct statuses *all;
	const struct subscriber *subscriber; /* whose topics stay the same meanwhile */
	struct status_text *
		*texts; /* by the index in its list; NULL: not a user, or not there yet */
	uint32_t count;
	LIST_HEAD(share_list, share) shares; /* of questions under way */
	unsigned shares_left;
};

/*
 * Looks what is known and asks for the rest, of partitions that are up. True: all is known. Else
 * complete() is called, once, if no link is lost before.
 */
bool wishes_begin(struct wishes *wishes, struct statuses *all, const struct subscriber *subscriber,
		  int64_t now_ms);
/* Withdraws what is not answered; frees the texts. */
void wishes_end(struct wishes *wishes);

/*
 * Appends the object that maps each user to its STATUS, in the order of the list: another order would
 * tell whom other streams have asked about. Who is hidden looks like an unknown user.
 */
void wishes_put(const struct wishes *wishes, struct printbuf *out);

/* Sends what is not sent yet. */
void statuses_flush(struct statuses *all);

#endif
