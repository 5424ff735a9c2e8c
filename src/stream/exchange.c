#include "stream/exchange.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"
#include "stream/life.h"

void exchange_init(struct exchange *exchange, struct streams *streams, void (*complete)(void *arg),
		   void *arg)
{
	unsigned count = streams->context->partition_count;

	exchange->streams = streams;
	exchange->dispatch.streams = streams;
	exchange->recovery.streams = streams;
	exchange->complete = complete;
	exchange->arg = arg;
	exchange->sweeps = xcalloc(count, sizeof *exchange->sweeps);
	for (unsigned i = 0; i < count; i++)
		exchange->sweeps[i] =
			(struct sweep){.home = &streams->homes[i], .recovery = &exchange->recovery};
}

void exchange_clear(struct exchange *exchange)
{
	free(exchange->sweeps);
}

/* --- partitions come and go ------------------------------------------------------------------ */

static bool are_all_up(const struct context *context)
{
	for (unsigned i = 0; i < context->partition_count; i++) {
		if (!partition_is_up(&context->partitions[i]))
			return false;
	}
	return true;
}

void exchange_up(struct exchange *exchange, const uint64_t *partitions)
{
	const struct context *context = exchange->streams->context;

	for (unsigned i = 0; i < context->partition_count; i++) {
		if (partset_has(partitions, i))
			sweep_first(&exchange->sweeps[i]);
	}
	recovery_up(&exchange->recovery, partitions);
	if (are_all_up(context))
		exchange->complete(exchange->arg);
}

void exchange_down(struct exchange *exchange, const uint64_t *partitions)
{
	recovery_down(&exchange->recovery, partitions);
}

void exchange_message(struct exchange *exchange, const char *channel, const char *text, size_t len)
{
	dispatch_message(&exchange->dispatch, channel, text, len);
}

void exchange_subscribed(struct exchange *exchange)
{
	subscriptions_confirmed(&exchange->streams->subscriptions);
}

/* --- the turn -------------------------------------------------------------------------------- */

static void ask_partition(struct exchange *exchange, struct partition *partition)
{
	struct streams *streams = exchange->streams;
	struct home *home = &streams->homes[partition->number];
	struct sweep *sweep = &exchange->sweeps[partition->number];

	if (!partition_is_up(partition))
		return;
	subscriptions_ask(&streams->subscriptions, partition);
	sessions_flush(&home->sessions);
	closings_flush(&home->closings, times_mono_ms());
	sweep_flush(sweep);
	/* After a gap users whose sessions are not registered again would look offline. */
	if (partition->state != PARTITION_SETTLED && sweep_is_settled(sweep))
		recovery_settle(&exchange->recovery, partition);
}

static bool is_any_up(const struct context *context)
{
	for (unsigned i = 0; i < context->link_count; i++) {
		if (link_is_up(context->links[i]))
			return true;
	}
	return false;
}

void exchange_ask(struct exchange *exchange)
{
	struct streams *streams = exchange->streams;
	struct partition *partition;

	while ((partition = partition_next(streams->context)) != NULL)
		ask_partition(exchange, partition);
	if (!is_any_up(streams->context))
		return;
	subscriptions_flush(&streams->subscriptions);
	/* What a partition that is settled was waited for with. */
	life_run(streams);
	snapshots_flush(&streams->snapshots);
}

void exchange_flush(struct exchange *exchange)
{
	const struct context *context = exchange->streams->context;

	for (unsigned i = 0; i < context->link_count; i++)
		link_flush(context->links[i]);
}

void exchange_tick(struct exchange *exchange, int64_t now_ms)
{
	const struct context *context = exchange->streams->context;

	for (unsigned i = 0; i < context->partition_count; i++) {
		struct partition *partition = &context->partitions[i];

		if (!partition_is_up(partition))
			continue;
		subscriptions_drop_idle(&exchange->streams->subscriptions, partition, now_ms);
		recovery_tick(&exchange->recovery, partition);
		sweep_tick(&exchange->sweeps[i], now_ms);
		partition_wake(partition);
	}
}
