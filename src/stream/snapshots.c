#include "stream/snapshots.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/times.h"

#define SNAPSHOTS_ASKED_MAX 64 /* MGETs under way at a time; snapshots in a turn of the loop */

const struct state_names view_states = {
	"view", 7, {"NONE", "MISSING", "QUEUED", "ASKED", "READY", "CURRENT", "OVERRUN"}};

struct view_draft {
	struct view *view;
	struct wishes wishes; /* what becomes `initial` */
	struct outbox held; /* changes that came meanwhile */
};

void view_init(struct view *view, struct due *owner, const struct subscriber *subscriber)
{
	memset(view, 0, sizeof *view);
	view->owner = owner;
	view->subscriber = subscriber;
	pace_init(&view->pace, owner);
}

/* --- states ---------------------------------------------------------------------------------- */

static void draft_free(struct view *view)
{
	struct view_draft *draft = view->draft;

	wishes_end(&draft->wishes);
	outbox_clear(&draft->held);
	free(draft);
	view->draft = NULL;
}

static void set_state(struct snapshots *all, struct view *view, enum view_state state)
{
	if (view->state == state)
		return;
	state_moved(&view_states, view->owner, view->state, state);
	if (view->state == VIEW_QUEUED)
		TAILQ_REMOVE(&all->queue, view, link);
	if (view->state == VIEW_CURRENT)
		pace_stop(&all->paces, &view->pace);
	if (view->draft != NULL && state != VIEW_ASKED && state != VIEW_READY)
		draft_free(view);
	if (state == VIEW_QUEUED) {
		TAILQ_INSERT_TAIL(&all->queue, view, link);
		turn_schedule(&all->context->turn);
	}
	view->state = state;
	if (state == VIEW_MISSING || state == VIEW_ASKED || state == VIEW_READY)
		turn_mark(&all->context->turn, view->owner);
}

void view_open(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_MISSING);
}

void view_queue(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_QUEUED);
}

void view_follow(struct snapshots *all, struct view *view)
{
	view->asked = all->heard;
	set_state(all, view, VIEW_CURRENT);
}

void view_reset(struct snapshots *all, struct view *view)
{
	if (view->state != VIEW_NONE && view->state != VIEW_OVERRUN)
		set_state(all, view, VIEW_MISSING);
}

void view_lost(struct snapshots *all, struct view *view)
{
	if (view->state != VIEW_CURRENT)
		view_reset(all, view);
}

void view_overrun(struct snapshots *all, struct view *view, bool idle)
{
	all->overruns++;
	set_state(all, view, idle ? VIEW_MISSING : VIEW_OVERRUN);
}

void view_caught_up(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_MISSING);
}

void view_close(struct snapshots *all, struct view *view)
{
	set_state(all, view, VIEW_NONE);
	view->told_degraded = view->was_shown = false;
}

void view_hold(struct view *view, struct frame *frame)
{
	outbox_push(&view->draft->held, frame);
}

bool view_keep(struct snapshots *all, struct view *view, struct frame *frame)
{
	return pace_keep(&all->paces, &view->pace, frame, all->context->config->stream.interval_ms);
}

void view_take(struct snapshots *all, struct view *view, struct outbox *to)
{
	pace_take(&all->paces, &view->pace, to, all->context->config->stream.interval_ms);
}

size_t view_held(const struct view *view)
{
	return view->draft != NULL ? view->draft->held.bytes : pace_kept(&view->pace);
}

void view_show(struct snapshots *all, struct view *view, struct outbox *to)
{
	struct view_draft *draft = view->draft;
	struct printbuf *object = all->context->scratch;
	struct frame *frame;

	buf_reset(object);
	wishes_put(&draft->wishes, object);
	frame = events_initial(object);
	outbox_push(to, frame);
	frame_unref(frame);
	outbox_move(to, &draft->held);
	view->told_degraded = false;
	all->context->counts.initials++;
	all->context->counts.resyncs += view->was_shown;
	view->was_shown = true;
	set_state(all, view, VIEW_CURRENT);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void on_complete(struct wishes *wishes)
{
	struct view_draft *draft =
		(struct view_draft *)((char *)wishes - offsetof(struct view_draft, wishes));
	struct snapshots *all =
		(struct snapshots *)((char *)wishes->all - offsetof(struct snapshots, statuses));

	set_state(all, draft->view, VIEW_READY);
}

static void ask(struct snapshots *all, struct view *view, int64_t now_ms)
{
	view->draft = xcalloc(1, sizeof *view->draft);
	view->draft->view = view;
	view->asked = all->heard;
	set_state(all, view, VIEW_ASKED);
	if (wishes_begin(&view->draft->wishes, &all->statuses, view->subscriber, now_ms))
		set_state(all, view, VIEW_READY);
}

void snapshots_flush(struct snapshots *all)
{
	int64_t now_ms = times_mono_ms();
	struct view *view;

	for (unsigned i = 0; i < SNAPSHOTS_ASKED_MAX && (view = TAILQ_FIRST(&all->queue)) != NULL &&
			     all->statuses.asked < SNAPSHOTS_ASKED_MAX;
	     i++)
		ask(all, view, now_ms);
	statuses_flush(&all->statuses);
	/* While too many are under way an answer is what brings the next turn. */
	if (!TAILQ_EMPTY(&all->queue) && all->statuses.asked < SNAPSHOTS_ASKED_MAX)
		turn_schedule(&all->context->turn);
}

void snapshots_init(struct snapshots *all, struct context *context)
{
	all->context = context;
	TAILQ_INIT(&all->queue);
	statuses_init(&all->statuses, context, on_complete);
	paces_init(&all->paces, context->base, &context->turn);
}

void snapshots_free(struct snapshots *all)
{
	paces_free(&all->paces);
	statuses_free(&all->statuses);
}
