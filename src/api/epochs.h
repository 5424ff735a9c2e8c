/*
 * Whether the partitions had an epoch, from the calls that were answered: in memory
 * that a parent shares with all its workers, so that one which has just started
 * knows what the others do.
 */
#ifndef PRESENCE_API_EPOCHS_H
#define PRESENCE_API_EPOCHS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"

struct known_partition {
	atomic_bool has_epoch; /* it had one when it was last asked, or until a moment ago */
	atomic_llong epoch_lost_ms; /* since when it has none, monotonic; 0 = it has */
};

struct epochs {
	size_t count;
	struct known_partition partitions[]; /* by number */
};

/* Nothing is known yet. Processes that are forked from now on share it, and each frees it. */
struct epochs *epochs_new(const struct config *config);
void epochs_free(struct epochs *epochs);

#endif
