/*
 * What the reader of a stream has been told of the users it watches: `initial`,
 * asked from Redis in parts, then the changes.
 *
 *   stream opened                               NONE -> MISSING
 *   session LIVE, subscription CONFIRMED, and   MISSING -> QUEUED (the driver: view_queue)
 *   each partition that is watched SETTLED
 *   the same, but a partition is AWAY           MISSING -> CURRENT (the driver: view_follow):
 *                                               changes without `initial`
 *   snapshots_flush()                           QUEUED -> ASKED; READY when every status is cached
 *   last part answered                          ASKED -> READY, due
 *   the driver, once blocks are known           READY -> CURRENT: `initial` and what was held are sent
 *   no room for a frame                         -> OVERRUN; MISSING when the connection is idle
 *   connection idle again (the driver)          OVERRUN -> MISSING
 *   other users to watch, a gap                 -> MISSING (OVERRUN stays)
 *   a partition lost                            -> MISSING (CURRENT, OVERRUN stay)
 *   closed                                      -> NONE
 *
 * A change is held in ASKED and READY and sent in CURRENT, at once or at the end of
 * an interval; in all others it is dropped, for the snapshot to come holds it. So is
 * what waits for such an end when CURRENT is over.
 */
#ifndef PRESENCE_STREAM_SNAPSHOTS_H
#define PRESENCE_STREAM_SNAPSHOTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "stream/context.h"
#include "stream/outbox.h"
#include "stream/pace.h"
#include "stream/state.h"
#include "stream/statuses.h"

enum view_state {
	VIEW_NONE, /* the stream is not open */
	VIEW_MISSING, /* waits for session and subscriptions; the snapshot holds every change */
	VIEW_QUEUED, /* to be asked for */
	VIEW_ASKED, /* MGETs are under way: changes are held */
	VIEW_READY, /* `initial` is complete: to be sent, then what was held */
	VIEW_CURRENT, /* changes are passed on */
	VIEW_OVERRUN, /* too slow: nothing more until the connection is idle, then a new snapshot */
};
extern const struct state_names view_states;

struct snapshots {
	struct context *context;
	TAILQ_HEAD(view_list, view) queue; /* those of VIEW_QUEUED */
	struct statuses statuses;
	struct paces paces;
	uint64_t heard; /* messages about states, so far */
	uint64_t overruns;
};

struct view_draft;

struct view {
	struct due *owner;
	const struct subscriber *subscriber; /* whose topics it shows */
	TAILQ_ENTRY(view) link;
	struct view_draft *draft; /* in ASKED and READY: what becomes `initial`, and what is held */
	struct pace pace; /* in CURRENT */
	uint64_t asked; /* messages that were heard before the last snapshot was asked for */
	enum view_state state;
	bool told_degraded; /* the reader was, and of no `initial` since */
	bool was_shown; /* the reader had an `initial` */
};

void snapshots_init(struct snapshots *all, struct context *context);
void snapshots_free(struct snapshots *all);
void view_init(struct view *view, struct due *owner, const struct subscriber *subscriber);

void view_open(struct snapshots *all, struct view *view);
void view_queue(struct snapshots *all, struct view *view);
void view_follow(struct snapshots *all, struct view *view); /* MISSING -> CURRENT */
/* A new snapshot is wanted; questions under way are withdrawn. Nothing in VIEW_NONE. */
void view_reset(struct snapshots *all, struct view *view);
/* One of its partitions is away: the same, but who has seen all of it goes on with the others. */
void view_lost(struct snapshots *all, struct view *view);
/* There is no room for a frame; `idle`: nor does any wait, so a new snapshot may come at once. */
void view_overrun(struct snapshots *all, struct view *view, bool idle);
void view_caught_up(struct snapshots *all, struct view *view); /* OVERRUN -> MISSING */
void view_close(struct snapshots *all, struct view *view);

/* Whether the snapshot holds this change; one may be told long after it was heard (fanout.h). */
static inline bool view_holds(const struct view *view, const struct frame *frame)
{
	return frame->about != 0 && frame->heard <= view->asked;
}

/* In VIEW_ASKED and VIEW_READY: keeps a change for after `initial`. */
void view_hold(struct view *view, struct frame *frame);
/* In VIEW_CURRENT: keeps a change for the end of the interval; false: it is to be sent now. */
bool view_keep(struct snapshots *all, struct view *view, struct frame *frame);
void view_take(struct snapshots *all, struct view *view, struct outbox *to); /* what is kept so */
/* What waits in one way or the other, bytes. */
size_t view_held(const struct view *view);

/* In VIEW_READY: moves `initial` and what was held to an outbox. VIEW_CURRENT begins. */
void view_show(struct snapshots *all, struct view *view, struct outbox *to);

/* Asks Redis for what is queued. */
void snapshots_flush(struct snapshots *all);

#endif
