#include "stream/turn.h"

void turn_init(struct turn *turn, struct event_base *base, event_callback_fn run, void *arg)
{
	turn->event = event_new(base, -1, 0, run, arg);
	turn->scheduled = false;
	TAILQ_INIT(&turn->due);
}

void turn_free(struct turn *turn)
{
	event_free(turn->event);
}

void turn_schedule(struct turn *turn)
{
	if (turn->scheduled)
		return;
	turn->scheduled = true;
	event_active(turn->event, EV_TIMEOUT, 1);
}

void turn_begin(struct turn *turn)
{
	turn->scheduled = false;
}

void turn_mark(struct turn *turn, struct due *due)
{
	if (due->queued)
		return;
	due->queued = true;
	TAILQ_INSERT_TAIL(&turn->due, due, link);
	turn_schedule(turn);
}

void turn_unmark(struct turn *turn, struct due *due)
{
	if (due->queued)
		TAILQ_REMOVE(&turn->due, due, link);
	due->queued = false;
}

struct due *turn_next(struct turn *turn)
{
	struct due *due = TAILQ_FIRST(&turn->due);

	if (due != NULL)
		turn_unmark(turn, due);
	return due;
}
