/*
 * Slots of a Redis Cluster on their way from one node to another: for whoever passes over all keys, of which one that
 * changes its place may be missed, and for doctor, which tells of a move that was broken off.
 */
#ifndef PRESENCE_CTL_PLACES_H
#define PRESENCE_CTL_PLACES_H

#include "ctl/ctl.h"

/* How many partitions are on their way, and the slot of one of them. 0 outside a cluster. */
unsigned places_count_moving(struct ctl *ctl, unsigned *slot);

/* Where all partitions are while nothing moves; NULL: something does, which was said. The caller frees it. */
unsigned *places_note(struct ctl *ctl);
/* Whether they are there still, and nothing moves; else says so. */
bool places_check(struct ctl *ctl, const unsigned *places);

#endif
