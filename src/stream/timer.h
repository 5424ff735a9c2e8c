/* One-shot timers of libevent, set in milliseconds. */
#ifndef PRESENCE_STREAM_TIMER_H
#define PRESENCE_STREAM_TIMER_H

#include <stdint.h>

#include <event2/event.h>

/* Sets the timer, which may be set already, to run in `ms` from now; at once when that is past. */
static inline void timer_set(struct event *timer, int64_t ms)
{
	struct timeval after = {.tv_sec = ms > 0 ? ms / 1000 : 0,
				.tv_usec = ms > 0 ? ms % 1000 * 1000 : 0};

	event_add(timer, &after);
}

#endif
