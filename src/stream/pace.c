#include "stream/pace.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"
#include "stream/timer.h"

#define GRID 16 /* of an interval: ends are rounded up to this part, so that many are one wake-up */

/* Of each user (frame->about) one frame. */
struct kept {
	uint32_t count, capacity;
	size_t bytes;
	struct frame *list[];
};

const struct state_names pace_states = {"pace", 3, {"FREE", "RUNNING", "OVER"}};

/* --- intervals ------------------------------------------------------------------------------- */

static void run(struct paces *all, struct pace *pace, int interval_ms)
{
	int64_t grid = interval_ms > GRID ? interval_ms / GRID : 1;
	int64_t now = times_mono_ms(), end = now + interval_ms + grid - 1;

	pace->state = PACE_RUNNING;
	pace->end_ms = end - end % grid;
	TAILQ_INSERT_TAIL(&all->running, pace, link);
	if (TAILQ_FIRST(&all->running) == pace)
		timer_set(all->timer, pace->end_ms - now);
}

static void leave(struct paces *all, struct pace *pace, enum pace_state state)
{
	if (pace->state == PACE_RUNNING)
		TAILQ_REMOVE(&all->running, pace, link);
	pace->state = state;
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct paces *all = arg;
	int64_t now = times_mono_ms();
	struct pace *pace;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < PACES_TURN; i++) {
		pace = TAILQ_FIRST(&all->running);
		if (pace == NULL || pace->end_ms > now)
			break;
		leave(all, pace, pace->kept != NULL ? PACE_OVER : PACE_FREE);
		if (pace->state == PACE_OVER)
			turn_mark(all->turn, pace->owner);
	}
	if ((pace = TAILQ_FIRST(&all->running)) != NULL)
		timer_set(all->timer, pace->end_ms - now);
}

void paces_init(struct paces *all, struct event_base *base, struct turn *turn)
{
	all->turn = turn;
	all->timer = evtimer_new(base, on_end, all);
	TAILQ_INIT(&all->running);
}

void paces_free(struct paces *all)
{
	event_free(all->timer);
}

void pace_init(struct pace *pace, struct due *owner)
{
	*pace = (struct pace){.owner = owner};
}

/* --- what is kept ---------------------------------------------------------------------------- */

/* Where a change of that user is, or is to be. No more than queue_limit holds, so a look at each. */
static struct frame **find(struct kept *kept, uint32_t about)
{
	uint32_t i = 0;

	while (i < kept->count && kept->list[i]->about != about)
		i++;
	return &kept->list[i];
}

static void keep(struct pace *pace, struct frame *frame)
{
	struct kept *kept = pace->kept;
	struct frame **place;

	if (kept == NULL || kept->count == kept->capacity) {
		uint32_t capacity = kept != NULL ? kept->capacity * 2 : 4;

		kept = xrealloc(kept, sizeof *kept + capacity * sizeof kept->list[0]);
		if (pace->kept == NULL) {
			kept->count = 0;
			kept->bytes = 0;
		}
		kept->capacity = capacity;
		pace->kept = kept;
	}
	place = find(kept, frame->about);
	if (place == &kept->list[kept->count]) {
		kept->count++;
	} else {
		kept->bytes -= (*place)->len;
		frame_unref(*place);
	}
	*place = frame_ref(frame);
	kept->bytes += frame->len;
}

static void forget(struct pace *pace)
{
	for (uint32_t i = 0; pace->kept != NULL && i < pace->kept->count; i++)
		frame_unref(pace->kept->list[i]);
	free(pace->kept);
	pace->kept = NULL;
}

bool pace_keep(struct paces *all, struct pace *pace, struct frame *frame, int interval_ms)
{
	if (frame->about == 0)
		return false;
	if (pace->state != PACE_FREE) {
		keep(pace, frame);
		return true;
	}
	if (interval_ms > 0)
		run(all, pace, interval_ms);
	return false;
}

size_t pace_kept(const struct pace *pace)
{
	return pace->kept != NULL ? pace->kept->bytes : 0;
}

void pace_take(struct paces *all, struct pace *pace, struct outbox *to, int interval_ms)
{
	for (uint32_t i = 0; pace->kept != NULL && i < pace->kept->count; i++)
		outbox_push(to, pace->kept->list[i]);
	pace_stop(all, pace);
	if (to->count > 0 && interval_ms > 0)
		run(all, pace, interval_ms);
}

void pace_stop(struct paces *all, struct pace *pace)
{
	leave(all, pace, PACE_FREE);
	forget(pace);
}
