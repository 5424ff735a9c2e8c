/*
 * Keys and their copies in another layout: compared, copied, removed, a piece at
 * a time. A copy has the value and the time to live of the key.
 */
#ifndef PRESENCE_CTL_COPIES_H
#define PRESENCE_CTL_COPIES_H

#include "ctl/layouts.h"
#include "ctl/scan.h"

struct copies {
	struct layouts *layouts;
	bool writes; /* what differs is put right; else it is told */
	/* What differs; `why` says how. Not called where it is put right. */
	void (*differs)(void *arg, const char *key, const char *why);
	void *arg;
	unsigned long long written, equal, removed, differing;
};

/* Visits of scan_keys(), `arg` being the copies: over the keys, and over the copies (what has no key). */
scan_visit copies_visit_keys, copies_visit_copies;

#endif
