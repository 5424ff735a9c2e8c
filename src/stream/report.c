#include "stream/report.h"

#include <stdio.h>

#include "base/times.h"
#include "stream/sweep.h"

/* Counters without a label, which are kept as plain numbers. */
static const struct {
	enum figure figure;
	size_t offset; /* in struct counts */
} plain[] = {
	{FIGURE_MESSAGES, offsetof(struct counts, messages)},
	{FIGURE_DELIVERIES, offsetof(struct counts, deliveries)},
	{FIGURE_DELIVERIES_DROPPED, offsetof(struct counts, deliveries_dropped)},
	{FIGURE_STREAMS_OPENED, offsetof(struct counts, opened)},
	{FIGURE_INITIALS, offsetof(struct counts, initials)},
	{FIGURE_RESYNCS, offsetof(struct counts, resyncs)},
	{FIGURE_REGISTRATIONS, offsetof(struct counts, registrations)},
	{FIGURE_GHOSTS_CHECKED, offsetof(struct counts, ghosts_checked)},
	{FIGURE_GHOSTS_REPAIRED, offsetof(struct counts, ghosts_repaired)},
};

static struct context *context_of(const struct report *report)
{
	return report->streams->context;
}

static void set(const struct report *report, enum figure figure, const char *label, int64_t value)
{
	*figures_at(context_of(report)->counts.figures, figure, label, NULL) = value;
}

static void gather_counts(const struct report *report)
{
	const struct counts *counts = &context_of(report)->counts;

	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		set(report, plain[i].figure, NULL,
		    *(const int64_t *)((const char *)counts + plain[i].offset));
	set(report, FIGURE_MESSAGES_DROPPED, NULL, (int64_t)report->dispatch->dropped);
	set(report, FIGURE_SLOW_READERS, NULL, (int64_t)report->streams->snapshots.overruns);
}

/* By the words that are told, not by those of the log. */
static void gather_partitions(const struct report *report)
{
	static const char *const names[] = {
		[PARTITION_AWAY] = "away",
		[PARTITION_UNSETTLED] = "unsettled",
		[PARTITION_SETTLED] = "settled",
	};
	const struct context *context = context_of(report);
	int64_t counts[sizeof names / sizeof names[0]] = {0};

	for (unsigned i = 0; i < context->partition_count; i++)
		counts[context->partitions[i].state]++;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		set(report, FIGURE_PARTITIONS, names[i], counts[i]);
}

static void gather_gauges(const struct report *report)
{
	const struct streams *streams = report->streams;
	const struct context *context = context_of(report);
	char server[12];

	set(report, FIGURE_STREAMS, NULL, streams->count);
	set(report, FIGURE_STREAMS_MAX, NULL, streams->max);
	set(report, FIGURE_CONNECTIONS, NULL, streams->conns.count);
	set(report, FIGURE_TOPICS, NULL, hub_topic_count(&context->hub));
	set(report, FIGURE_BUILD, PACKAGE_VERSION, 1);
	for (unsigned i = 0; i < context->link_count; i++) {
		snprintf(server, sizeof server, "%u", i);
		set(report, FIGURE_REDIS_UP, server, link_is_up(context->links[i]));
		figures_at(context->counts.figures, FIGURE_REDIS_LOSSES, server,
			   NULL); /* 0 is told, too */
	}
	gather_partitions(report);
}

static void on_told(void *arg, const redisReply *reply)
{
	struct report *report = arg;

	report->is_asked = false;
	figures_read(context_of(report)->counts.figures, reply);
}

static void tell(struct report *report, int64_t ttl_ms)
{
	struct context *context = context_of(report);
	const struct partition *first = &context->partitions[0];

	gather_counts(report);
	gather_gauges(report);
	report->is_asked = true;
	buf_reset(context->scratch);
	figures_put(context->scratch, first->store, context->counts.figures, ttl_ms);
	partition_command(first, context->scratch, on_told, report);
}

void report_tick(struct report *report, int64_t now_ms)
{
	const struct context *context = context_of(report);
	int64_t every = (int64_t)context->config->presence.sweep * 1000;

	if (report->is_asked || !partition_is_up(&context->partitions[0]) ||
	    now_ms - report->asked_ms < every - SWEEP_TICK_MS / 2)
		return;
	report->asked_ms = now_ms;
	tell(report, 3 * every);
}

bool report_end(struct report *report)
{
	if (!partition_is_up(&context_of(report)->partitions[0]))
		return true;
	/* Once more if the first was what had no answer before. */
	if (!report->is_asked && report->lasts < 2 &&
	    (report->lasts == 0 || figures_have_news(context_of(report)->counts.figures))) {
		report->lasts++;
		tell(report, 0);
	}
	return !report->is_asked;
}
