/*
 * Connections passed between the parent and its workers (SCM_RIGHTS, unix(7)).
 * All workers share one end: whoever is free takes the next connection, and what
 * is in the channel outlives a worker. When the parent is gone, however it ended,
 * the workers read what is left and then the end.
 */
#ifndef PRESENCE_API_CHANNEL_H
#define PRESENCE_API_CHANNEL_H

#include <stdbool.h>

#include "base/buf.h"

/* What is to be done with a connection. */
enum channel_word {
	CHANNEL_REQUEST = 'r', /* to a worker: a request has been taken from it */
	CHANNEL_YOUNG = 'y', /* to the parent: a request may still be on its way */
	CHANNEL_KEPT = 'k', /* to the parent: another request may come on it (FCGI_KEEP_CONN) */
	CHANNEL_LEFTOVER = 'l', /* to the parent: answered, but not all that was sent was read */
};

#define CHANNEL_EMPTY (-1)
#define CHANNEL_ENDED (-2)

/* Makes the two ends, alike, not blocking and close-on-exec; false with errno. */
bool channel_open(int ends[2]);

/*
 * Passes a connection on, which stays open here, and what was taken from it (NULL:
 * nothing). False: there is no capacity now.
 */
bool channel_send(int end, int fd, enum channel_word word, const struct printbuf *taken);

/* Nothing more comes from this end: who reads the other one finds ENDED after what is left. */
void channel_finish(int end);
/* Whether the other end has finished, or is gone; there may be something left. */
bool channel_is_finished(int end);

/*
 * A connection that was passed on, now the caller's, with the word; else EMPTY or
 * ENDED. What was taken from it replaces what is in `taken`.
 */
int channel_receive(int end, enum channel_word *word, struct printbuf *taken);

#endif
