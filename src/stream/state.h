/*
 * Machines whose states have names: every enum of states has a table here, every
 * transition is one debug line, and SIGUSR1 counts the streams in each state.
 */
#ifndef PRESENCE_STREAM_STATE_H
#define PRESENCE_STREAM_STATE_H

#include "stream/turn.h"

#define STATE_MAX 8 /* states of one machine */

struct state_names {
	const char *machine; /* "session", as it stands in the log */
	unsigned count;
	const char *names[STATE_MAX]; /* by the enum's value */
};

const char *state_name(const struct state_names *names, unsigned state);

/* Logs that the machine of this stream has left `from` for `to`. */
void state_moved(const struct state_names *names, const struct due *due, unsigned from,
		 unsigned to);

#endif
