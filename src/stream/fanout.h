/*
 * A change goes to all who watch its user, but to no more in one turn of the loop
 * than leaves time for everybody else. Where the turn has room it goes straight
 * down. Else its topic gets a lap, and laps go on in slices, one after the other.
 *
 *                        no lap, room     no lap, no room    a lap goes on
 *   a change             told to all      a lap begins       waits, in place of one that waits
 *   the lap's end                                            a lap with the one that waits, or none
 *   the topic is gone                                        the lap is, too
 *
 * So each watcher hears the changes of one user in their order, and the last of
 * them in any case. A lap runs from the end of the topic's list to its beginning:
 * who joins meanwhile is behind it, and takes a snapshot that holds the change;
 * where somebody leaves the last one moves in, and may be told the same twice.
 */
#ifndef PRESENCE_STREAM_FANOUT_H
#define PRESENCE_STREAM_FANOUT_H

#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "stream/frame.h"
#include "stream/hub.h"

#define FANOUT_TURN 1024 /* watchers told in a turn: about 5 ms, most of it for their send() */
#define FANOUT_STRETCH 256 /* of them, of one topic before the next one's turn */

typedef void fanout_deliver(struct subscriber *subscriber, struct frame *frame);

struct fanout {
	struct hub *hub;
	fanout_deliver *deliver;
	struct event *again; /* the next slice, once whatever else is active had its turn */
	TAILQ_HEAD(lap_list, lap) laps; /* the next one first */
	uint32_t room; /* watchers that may still be told in this turn */
};

/* `deliver` neither joins nor leaves a topic. */
void fanout_init(struct fanout *fanout, struct event_base *base, struct hub *hub,
		 fanout_deliver *deliver);
void fanout_free(struct fanout *fanout);

/* Tells all subscribers of the topic from whom it is not hidden. */
void fanout_tell(struct fanout *fanout, struct topic *topic, struct frame *frame);

/* A turn of the loop is over. */
void fanout_turn(struct fanout *fanout);

#endif
