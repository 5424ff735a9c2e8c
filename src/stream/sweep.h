/* The periodic sweep of a partition: users whose last deadline has passed go offline. */
#ifndef PRESENCE_STREAM_SWEEP_H
#define PRESENCE_STREAM_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/recovery.h"

#define SWEEP_TICK_MS 500 /* between two looks whether one is due */

enum sweep_state { SWEEP_IDLE, SWEEP_ASKED };
extern const struct state_names sweep_states;

struct sweep {
	struct home *home;
	struct recovery *recovery; /* which learns the epoch that an answer brings */
	enum sweep_state state;
	bool comes_first; /* after a gap: a whole sweep comes before the snapshots */
	bool waits; /* others may still fill a wiped Redis: the next tick looks again */
	int64_t hold; /* that the last one told of, ms of Redis' clock */
	int64_t asked_ms; /* when the last one was */
};

/*
 * The partition is up again: one whole sweep comes between our sessions and the snapshots. It brings back
 * the users of another presence-streamd, whose keys ran out while Redis stood still and who were not
 * told to be offline. After a wipe it comes again until all others have registered theirs, too, and
 * brings those online of whom it had to be known first what they chose.
 */
void sweep_first(struct sweep *sweep);

/* At the end of a turn, the partition up: asks for that first one as soon as our sessions are registered. */
void sweep_flush(struct sweep *sweep);

/* Whether snapshots may be asked for: everybody's sessions are registered, and the first sweep is done. */
bool sweep_is_settled(const struct sweep *sweep);

/* At each tick, the partition up: asks for a sweep when it is due and no session is to be recovered first. */
void sweep_tick(struct sweep *sweep, int64_t now_ms);

#endif
