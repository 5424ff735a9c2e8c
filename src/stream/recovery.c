#include "stream/recovery.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "stream/friends.h"
#include "stream/hidden.h"

/* --- gaps ------------------------------------------------------------------------------------ */

static void mark_due(struct stream *stream)
{
	turn_mark(&stream->all->context->turn, &stream->due);
}

/* Whether the stream's own user is in one of these partitions. */
static bool is_home(const struct stream *stream, const uint64_t *partitions)
{
	return stream->home != NULL && partset_has(partitions, stream->home->partition->number);
}

static bool meets(const struct stream *stream, const uint64_t *partitions)
{
	return subscription_meets(&stream->all->subscriptions, &stream->subscription, partitions);
}

static void set_states(struct recovery *recovery, const uint64_t *partitions,
		       enum partition_state state)
{
	struct context *context = recovery->streams->context;

	for (unsigned i = 0; i < context->partition_count; i++) {
		if (!partset_has(partitions, i))
			continue;
		statuses_forget(&context->partitions[i]);
		partition_set_state(&context->partitions[i], state);
		partition_wake(&context->partitions[i]);
	}
}

/* Those of the partitions that were wiped. */
static void find_wiped(const struct recovery *recovery, const uint64_t *partitions, uint64_t *wiped)
{
	for (unsigned i = 0; i < recovery->streams->context->partition_count; i++) {
		if (partset_has(partitions, i) &&
		    recovery->streams->context->partitions[i].is_rebuilding)
			partset_add(wiped, i);
	}
}

/* Redis may hold neither our sessions nor what it said last. */
static void begin_gap(struct recovery *recovery, const uint64_t *partitions)
{
	struct streams *streams = recovery->streams;
	uint64_t wiped[PARTSET_WORDS_MAX] = {0};
	struct stream *stream;

	set_states(recovery, partitions, PARTITION_UNSETTLED);
	find_wiped(recovery, partitions, wiped);
	TAILQ_FOREACH (stream, &streams->list, link) {
		bool has_session = is_home(stream, partitions) && stream_has_friends(stream);

		if (!has_session && !meets(stream, partitions))
			continue;
		if (has_session)
			session_gap(&stream->home->sessions, &stream->session);
		if (stream_has_friends(stream) && meets(stream, wiped))
			hidden_restore(stream, wiped);
		if (has_session)
			hidden_reset(stream);
		view_reset(&streams->snapshots, &stream->view);
		mark_due(stream);
	}
}

static void tick_all(struct recovery *recovery, const uint64_t *partitions)
{
	struct context *context = recovery->streams->context;

	for (unsigned i = 0; i < context->partition_count; i++) {
		if (partset_has(partitions, i))
			recovery_tick(recovery, &context->partitions[i]);
	}
}

/* What was written last before the loss may be missing, though the epoch is the same. */
static void note_lack(struct recovery *recovery, const uint64_t *partitions)
{
	struct context *context = recovery->streams->context;
	bool is_told = false;

	for (unsigned i = 0; i < context->partition_count; i++) {
		struct partition *partition = &context->partitions[i];

		if (!partset_has(partitions, i) || partition->is_rebuilding ||
		    !(partition->was_taken_over || link_lacks_writes(partition->link)))
			continue;
		if (!is_told)
			log_warn("redis: another primary, or started again; %u streams register "
				 "anew",
				 recovery->streams->count);
		is_told = partition->is_rebuilding = true;
	}
}

void recovery_up(struct recovery *recovery, const uint64_t *partitions)
{
	struct streams *streams = recovery->streams;
	struct stream *stream;

	TAILQ_FOREACH (stream, &streams->list, link) {
		if (meets(stream, partitions))
			subscription_lost(&streams->subscriptions, &stream->subscription);
	}
	note_lack(recovery, partitions);
	begin_gap(recovery, partitions);
	tick_all(recovery, partitions);
}

void recovery_gap(struct recovery *recovery, struct partition *partition)
{
	uint64_t only[PARTSET_WORDS_MAX] = {0};

	partset_add(only, partition->number);
	begin_gap(recovery, only);
}

static void lose_home(struct stream *stream)
{
	if (stream->subscription.state != SUBSCRIPTION_NONE)
		friends_are_stale(stream);
	if (!stream_has_friends(stream))
		return;
	friends_withdraw(stream);
	session_lost(&stream->home->sessions, &stream->session);
	hidden_reset(stream);
}

void recovery_down(struct recovery *recovery, const uint64_t *partitions)
{
	struct streams *streams = recovery->streams;
	struct stream *stream;

	set_states(recovery, partitions, PARTITION_AWAY);
	subscriptions_lost(&streams->subscriptions, partitions);
	TAILQ_FOREACH (stream, &streams->list, link) {
		if (is_home(stream, partitions))
			lose_home(stream);
		if (meets(stream, partitions)) {
			subscription_lost(&streams->subscriptions, &stream->subscription);
			view_lost(&streams->snapshots, &stream->view);
		}
		mark_due(stream);
	}
	/* What the others still have to confirm is not waited for in vain. */
	subscriptions_confirmed(&streams->subscriptions);
}

void recovery_settle(struct recovery *recovery, struct partition *partition)
{
	struct stream *stream;

	partition_set_state(partition, PARTITION_SETTLED);
	TAILQ_FOREACH (stream, &recovery->streams->list, link) {
		if (partset_has(stream->subscription.partitions, partition->number) &&
		    stream->view.state == VIEW_MISSING)
			mark_due(stream);
	}
}

/* --- the epoch ------------------------------------------------------------------------------- */

/* True when the partition has another one than this process has seen. */
static bool note_epoch(struct recovery *recovery, struct partition *partition, const char *epoch)
{
	bool is_other = partition->epoch != NULL && strcmp(partition->epoch, epoch) != 0;

	if (partition->epoch != NULL && !is_other)
		return false;
	if (is_other)
		log_warn("redis: was wiped; %u streams register anew", recovery->streams->count);
	partition->is_rebuilding |= is_other;
	free(partition->epoch);
	partition->epoch = xstrdup(epoch);
	return is_other;
}

void recovery_put_greeting(const struct partition *partition, struct printbuf *out)
{
	char candidate[RANDOM_ID_LEN + 1];

	random_id(candidate);
	store_put_epoch(out, partition->store, candidate, partition->epoch);
}

bool recovery_read_greeting(struct recovery *recovery, struct partition *partition,
			    const redisReply *reply)
{
	const char *epoch = store_read_epoch(reply);

	if (epoch == NULL)
		return false;
	note_epoch(recovery, partition, epoch); /* the gap itself begins with recovery_up() */
	return true;
}

void recovery_learn_epoch(struct recovery *recovery, struct partition *partition, const char *epoch)
{
	if (!note_epoch(recovery, partition, epoch))
		return;
	recovery_gap(recovery, partition);
	recovery_tick(recovery, partition);
}

/* Until the living are registered again, whoever reads Redis must not take them for offline. */
static void say_rebuilding(const struct partition *partition)
{
	struct printbuf *command = partition->context->scratch;

	buf_reset(command);
	store_put_recovering(command, partition->store);
	partition_command(partition, command, NULL, NULL);
}

/* Those who wait until it is filled again ask whether it is. */
static void retry_hidden(struct streams *streams, const struct partition *partition)
{
	struct stream *stream;

	if (streams->hidden_waiting == 0)
		return;
	TAILQ_FOREACH (stream, &streams->list, link) {
		if (stream->hidden.progress == HIDDEN_WAITING &&
		    stream->home->partition == partition)
			hidden_retry(stream);
	}
}

void recovery_tick(struct recovery *recovery, struct partition *partition)
{
	retry_hidden(recovery->streams, partition);
	if (!partition->is_rebuilding)
		return;
	if (sessions_are_recovering(&recovery->streams->homes[partition->number].sessions))
		say_rebuilding(partition);
	else
		partition->is_rebuilding = false;
}
