/*
 * The figures of the service: what there is, and what each is called. All
 * processes keep them in Redis (figures.h), one question gets all (scrape.h);
 * contract: docs/monitoring.md.
 */
#ifndef PRESENCE_STORE_FIGURE_H
#define PRESENCE_STORE_FIGURE_H

#include <stddef.h>
#include <stdint.h>

enum figure {
	FIGURE_ONLINE_USERS,
	FIGURE_TRANSITIONS,
	FIGURE_OFFLINE_DELAY,
	FIGURE_GHOSTS_CHECKED,
	FIGURE_GHOSTS_REPAIRED,
	FIGURE_STREAMS,
	FIGURE_STREAMS_MAX,
	FIGURE_CONNECTIONS,
	FIGURE_TOPICS,
	FIGURE_STREAMS_OPENED,
	FIGURE_STREAMS_CLOSED,
	FIGURE_STREAMS_REFUSED,
	FIGURE_MESSAGES,
	FIGURE_MESSAGES_DROPPED,
	FIGURE_DELIVERIES,
	FIGURE_DELIVERIES_DROPPED,
	FIGURE_DELIVERY_TIME,
	FIGURE_INITIALS,
	FIGURE_RESYNCS,
	FIGURE_SLOW_READERS,
	FIGURE_REGISTRATIONS,
	FIGURE_REDIS_UP,
	FIGURE_REDIS_CONNECTS,
	FIGURE_REDIS_LOSSES,
	FIGURE_REDIS_ECHO,
	FIGURE_PARTITIONS,
	FIGURE_REQUESTS,
	FIGURE_REQUEST_TIME,
	FIGURE_WORKERS,
	FIGURE_WORKER_STARTS,
	FIGURE_PUSH_OUTCOMES,
	FIGURE_PUSH_QUEUE,
	FIGURE_PUSH_LATER,
	FIGURE_PUSH_UNDER_WAY,
	FIGURE_BUILD,
	FIGURE_COUNT
};

enum figure_kind {
	FIGURE_GAUGE, /* what holds now; with the label "process" each process has its own */
	FIGURE_COUNTER, /* the sum over all processes that ever were */
	FIGURE_HISTOGRAM, /* likewise, of times */
};

#define FIGURE_LABELS_MAX 2

struct figure_family {
	const char *name; /* without "presence_" */
	enum figure_kind kind;
	const char *labels[FIGURE_LABELS_MAX]; /* by what it is told apart; NULL: by nothing more */
	const char *help;
	unsigned first_bound, bounds; /* of a histogram: which of figure_bounds */
};

extern const struct figure_family figure_families[FIGURE_COUNT];

/* The upper bounds that histograms may have, in microseconds. */
#define FIGURE_BOUNDS 18
extern const int64_t figure_bounds[FIGURE_BOUNDS];

/*
 * The name of a sample in Redis: the figure's and its labels' values with '|'
 * between them, and for a histogram what of it: "le" and the upper bound in
 * microseconds, "leInf" for what is above all, or "sum", in microseconds.
 */
#define FIGURE_FIELD_MAX 255

#endif
