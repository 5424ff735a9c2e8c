/* What this process counted and what holds in it, told to Redis each sweep and at the end. */
#ifndef PRESENCE_STREAM_REPORT_H
#define PRESENCE_STREAM_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/dispatch.h"

struct report {
	const struct streams *streams;
	const struct dispatch *dispatch;
	int64_t asked_ms; /* when it was told last */
	bool is_asked; /* the answer is not here yet */
	int lasts; /* how often it was told at the end */
};

/* At each tick. */
void report_tick(struct report *report, int64_t now_ms);

/*
 * The process ends: what was counted since is told, and that there is no such process any more.
 * True once Redis has it, or is away.
 */
bool report_end(struct report *report);

#endif
