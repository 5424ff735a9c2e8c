/*
 * Accepts connections, takes what comes on them, and lets those through whose
 * request has arrived. All others wait here, where they cost a descriptor and
 * nobody's time: silent peers are dropped after some seconds, the longest silent
 * one at once when there are too many. A request that is there never waits for
 * one that is not.
 */
#ifndef PRESENCE_API_GATE_H
#define PRESENCE_API_GATE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct gate;

/*
 * Listens on the socket, which stays the caller's. A request of more than `most`
 * bytes is let through when so many have arrived. NULL with errno.
 */
struct gate *gate_new(int listener, size_t most);
void gate_set_most(struct gate *gate, size_t most);

/*
 * The same with a listener that is borrowed for each accept() (lender.h); the lender stays
 * the caller's. lender -1: nobody is accepted.
 */
struct gate *gate_borrow(int lender, int listener, size_t most);

/*
 * Closes what waits. After fork() the child calls it to be rid of its copies; the
 * parent's gate does not feel it.
 */
void gate_free(struct gate *gate);

/*
 * Waits up to timeout ms (-1: without limit) under the signal mask `mask`, and
 * takes in what has come. Returns how many things happened (0: none, or a signal
 * came), -1 with errno when the listener is gone for good.
 */
int gate_wait(struct gate *gate, int timeout, const sigset_t *mask);

/*
 * The next connection whose request has arrived, now the caller's; -1: none.
 * *taken: what was taken from it (arrival.h), which the caller frees.
 */
int gate_next(struct gate *gate, struct printbuf **taken);

/* Whether something has been accepted whose request may still be on its way. */
bool gate_expects(const struct gate *gate);

/*
 * The next connection whose request may still be on its way, now the caller's; -1: none.
 * *taken: what was taken from it, which the caller frees, or NULL.
 */
int gate_next_young(struct gate *gate, struct printbuf **taken);

/* How many connections there are. */
size_t gate_count(const struct gate *gate);

/* Takes a connection that another gate accepted, with what that took from it. */
void gate_admit(struct gate *gate, int fd, const struct printbuf *taken);

/* Takes a connection on which another request may come; it may be idle without limit. */
void gate_keep(struct gate *gate, int fd);

/*
 * Takes a connection that was answered before all that was sent was read, and
 * closes it when its peer has read the answer: closed now, it would be reset.
 */
void gate_linger(struct gate *gate, int fd);

/* gate_wait() returns also when something can be done with a descriptor, one at most. */
enum gate_watch {
	GATE_WATCH_INPUT, /* read */
	GATE_WATCH_BOTH, /* read or written */
	GATE_WATCH_SHARED, /* read, by one of many processes that wait for it */
};
bool gate_watch(struct gate *gate, int fd, enum gate_watch how);
void gate_unwatch(struct gate *gate);
/* Whether the last gate_wait() saw that. */
bool gate_watched(const struct gate *gate);

/* Gives up the listener, a Unix socket of ours (base/address.h); who waits in it is still accepted. */
void gate_withdraw(struct gate *gate, const char *path);

/* Accepts nobody any more, until it is opened again; what has been accepted still arrives. */
void gate_close(struct gate *gate);
void gate_open(struct gate *gate);

#endif
