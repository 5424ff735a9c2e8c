/*
 * What this presence-streamd counts, as it goes: an addition each on the way of a
 * message. report.c tells Redis.
 */
#ifndef PRESENCE_STREAM_COUNTS_H
#define PRESENCE_STREAM_COUNTS_H

#include <stdint.h>

#include "store/figures.h"

#define COUNTS_GROUPS 64

/* Zeroed, without `figures`, it counts for nobody. */
struct counts {
	struct figures *figures;
	struct figures_histogram *delivery_time, *offline_delay, *redis_echo;
	int64_t messages, deliveries, deliveries_dropped;
	int64_t opened, initials, resyncs, registrations;
	int64_t ghosts_checked, ghosts_repaired;
	struct counts_group {
		int64_t heard_us, count;
	} unwritten[COUNTS_GROUPS]; /* deliveries of this turn, by when their message was read */
	unsigned groups;
};

void counts_init(struct counts *counts);
void counts_clear(struct counts *counts);

/* One of a counter that has a label, for what is not on the way of a message: it is looked up. */
void counts_add(struct counts *counts, enum figure figure, const char *label);

/* Likewise, of a server of Redis. */
void counts_add_server(struct counts *counts, enum figure figure, unsigned server);

/*
 * A change is on its way to a reader, whose message was read at heard_us (0: not known); all of
 * them were written, as far as the sockets took them. Past COUNTS_GROUPS messages in one turn a
 * delivery counts with the last message.
 */
static inline void counts_delivery(struct counts *counts, int64_t heard_us)
{
	struct counts_group *last = &counts->unwritten[counts->groups];

	counts->deliveries++;
	if (heard_us == 0)
		return;
	if (counts->groups > 0 &&
	    (last[-1].heard_us == heard_us || counts->groups == COUNTS_GROUPS)) {
		last[-1].count++;
		return;
	}
	*last = (struct counts_group){heard_us, 1};
	counts->groups++;
}

void counts_written(struct counts *counts);

/* Offline was announced that long after the last deadline; a check of the link came back. */
void counts_offline(struct counts *counts, int64_t late_ms);
void counts_echo(struct counts *counts, int64_t us);

#endif
