#include "stream/recovery.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "stream/friends.h"
#include "stream/hidden.h"

void recovery_free(struct recovery *recovery)
{
	free(recovery->streams->context->epoch);
}

/* --- gaps ------------------------------------------------------------------------------------ */

static void mark_due(struct stream *stream)
{
	turn_mark(&stream->all->context->turn, &stream->due);
}

/* Redis may hold neither our sessions nor what it said last. */
static void begin_gap(struct recovery *recovery)
{
	struct streams *streams = recovery->streams;
	struct stream *stream;

	snapshots_forget_cached(&streams->snapshots);
	TAILQ_FOREACH (stream, &streams->list, link) {
		if (stream_has_friends(stream)) {
			session_gap(&streams->sessions, &stream->session);
			if (recovery->is_rebuilding)
				hidden_restore(stream);
			hidden_reset(stream);
		}
		view_reset(&streams->snapshots, &stream->view);
		mark_due(stream);
	}
}

void recovery_up(struct recovery *recovery)
{
	if (link_lacks_writes(recovery->streams->context->link) && !recovery->is_rebuilding) {
		log_warn("redis: another primary, or started again; %u streams register anew",
			 recovery->streams->count);
		recovery->is_rebuilding = true;
	}
	begin_gap(recovery);
	recovery_tick(recovery);
}

void recovery_down(struct recovery *recovery)
{
	struct streams *streams = recovery->streams;
	struct stream *stream;

	subscriptions_lost(&streams->subscriptions);
	snapshots_forget_cached(&streams->snapshots);
	TAILQ_FOREACH (stream, &streams->list, link) {
		if (stream->subscription.state != SUBSCRIPTION_NONE)
			friends_are_stale(stream);
		subscription_lost(&streams->subscriptions, &stream->subscription);
		if (stream_has_friends(stream)) {
			friends_withdraw(stream);
			session_lost(&streams->sessions, &stream->session);
			hidden_reset(stream);
		}
		view_reset(&streams->snapshots, &stream->view);
		mark_due(stream);
	}
}

/* --- the epoch ------------------------------------------------------------------------------- */

/* True when Redis has another one than this process has seen. */
static bool note_epoch(struct recovery *recovery, const char *epoch)
{
	struct context *context = recovery->streams->context;
	bool is_other = context->epoch != NULL && strcmp(context->epoch, epoch) != 0;

	if (context->epoch != NULL && !is_other)
		return false;
	if (is_other)
		log_warn("redis: was wiped; %u streams register anew", recovery->streams->count);
	recovery->is_rebuilding |= is_other;
	free(context->epoch);
	context->epoch = xstrdup(epoch);
	return is_other;
}

void recovery_put_greeting(struct recovery *recovery, struct printbuf *out)
{
	char candidate[RANDOM_ID_LEN + 1];

	random_id(candidate);
	store_put_epoch(out, recovery->streams->context->store, candidate,
			recovery->streams->context->epoch);
}

bool recovery_read_greeting(struct recovery *recovery, const redisReply *reply)
{
	const char *epoch = store_read_epoch(reply);

	if (epoch == NULL)
		return false;
	note_epoch(recovery, epoch); /* the gap itself begins with recovery_up() */
	return true;
}

void recovery_learn_epoch(struct recovery *recovery, const char *epoch)
{
	if (!note_epoch(recovery, epoch))
		return;
	begin_gap(recovery);
	recovery_tick(recovery);
}

/* Until the living are registered again, whoever reads Redis must not take them for offline. */
static void say_rebuilding(struct recovery *recovery)
{
	struct context *context = recovery->streams->context;

	buf_reset(context->scratch);
	store_put_recovering(context->scratch, context->store);
	link_command(context->link, context->scratch, NULL, NULL);
}

/* Those who wait until it is filled again ask whether it is. */
static void retry_hidden(struct streams *streams)
{
	struct stream *stream;

	if (streams->hidden_waiting == 0)
		return;
	TAILQ_FOREACH (stream, &streams->list, link) {
		if (stream->hidden.progress == HIDDEN_WAITING)
			hidden_retry(stream);
	}
}

void recovery_tick(struct recovery *recovery)
{
	retry_hidden(recovery->streams);
	if (!recovery->is_rebuilding)
		return;
	if (sessions_are_recovering(&recovery->streams->sessions))
		say_rebuilding(recovery);
	else
		recovery->is_rebuilding = false;
}
