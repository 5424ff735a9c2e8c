/* Whether presence-streamd is at work in a layout. */
#ifndef PRESENCE_CTL_SWEEPER_H
#define PRESENCE_CTL_SWEEPER_H

#include "ctl/ctl.h"

/* How long ago a presence-streamd swept a partition, ms; -1: never, or it is not known. */
struct sweeper_ago {
	int64_t longest; /* of the partition where it is longest ago */
	int64_t shortest;
};
void sweeper_ask(struct ctl *ctl, struct sweeper_ago *ago);

/* Whether that is now. */
bool sweeper_is_at_work(const struct ctl *ctl, int64_t ago_ms);

#endif
