/*
 * How often a reader is told of changes ([stream] interval_ms): the first one at
 * once, and an interval begins; what comes until its end is kept, of each user the
 * last, and goes in one write.
 *
 *                    FREE            RUNNING                    OVER
 *   pace_keep()      RUNNING, no     kept                       kept
 *   the end                          OVER, due; FREE when
 *                                    nothing is kept
 *   pace_take()                      RUNNING anew: what is      the same
 *                                    kept is moved out
 *   pace_stop()                      FREE: it is forgotten      the same
 */
#ifndef PRESENCE_STREAM_PACE_H
#define PRESENCE_STREAM_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "stream/outbox.h"
#include "stream/state.h"
#include "stream/turn.h"

#define PACES_TURN 1024 /* intervals that end in one turn of the loop */

enum pace_state {
	PACE_FREE, /* the next change is sent at once */
	PACE_RUNNING, /* changes are kept until the end */
	PACE_OVER, /* something is kept and may be sent: the owner is due */
};
extern const struct state_names pace_states;

struct paces {
	struct turn *turn;
	struct event *timer; /* at the end of the first interval */
	TAILQ_HEAD(pace_list, pace) running; /* in the order of their ends */
};

struct pace {
	struct due *owner;
	TAILQ_ENTRY(pace) link; /* while RUNNING */
	int64_t end_ms; /* of the interval (times_mono_ms) */
	struct kept *kept; /* or NULL */
	enum pace_state state;
};

void paces_init(struct paces *all, struct event_base *base, struct turn *turn);
void paces_free(struct paces *all);
void pace_init(struct pace *pace, struct due *owner);

/*
 * A change: true when it is kept, false when it is to be sent now, as one about nobody's
 * state (frame->about) always is. An interval of 0 never begins.
 */
bool pace_keep(struct paces *all, struct pace *pace, struct frame *frame, int interval_ms);
size_t pace_kept(const struct pace *pace); /* bytes */

/* Moves what is kept to an outbox, whether or not the interval is over. */
void pace_take(struct paces *all, struct pace *pace, struct outbox *to, int interval_ms);
void pace_stop(struct paces *all, struct pace *pace);

#endif
