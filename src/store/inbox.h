/* What the streams of one user are told by the channel of that user alone. */
#ifndef PRESENCE_STORE_INBOX_H
#define PRESENCE_STORE_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/*
 * `from` types to `to`, or no longer does: the streams of `to` are told, unless
 * its settings or a block are against it, or it was told less than 2 seconds ago.
 * `passes`: nothing on the side of `from` is against it; else all is asked just
 * the same, and nobody told. On the keys of `to` alone.
 */
#define INBOX_TYPING_SECONDS 6 /* for so long it holds, unless it is said again */
#define INBOX_CONVERSATION_MAX 64
struct inbox_typing {
	const struct userid *to, *from;
	bool starts;
	const char *conversation; /* of the characters of user ids; "" = none */
	bool passes;
};
void inbox_put_typing(struct printbuf *out, const struct store *store,
		      const struct inbox_typing *typing);

/*
 * `friend` is near `user`, or no longer is: the streams of `user` are told,
 * unless its settings or a block are against it. On the keys of `user` alone.
 */
#define INBOX_NEAR_SECONDS 1800 /* for so long it may be shown, unless it is said again */
void inbox_put_near(struct printbuf *out, const struct store *store, const struct userid *user,
		    const struct userid *friend, bool near);

/* Tells the user's streams that its friends are others now: they ask the directory. */
void inbox_put_friends_changed(struct printbuf *out, const struct store *store,
			       const struct userid *user);

#endif
