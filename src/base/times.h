/* Clocks, and RFC 3339 times in UTC with whole seconds (2024-01-21T10:30:00Z). */
#ifndef PRESENCE_BASE_TIMES_H
#define PRESENCE_BASE_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMES_LEN 20 /* characters of a time, without the NUL */

/* Writes `seconds` since 1970 (0..year 9999; others are clamped). */
void times_format(int64_t seconds, char text[TIMES_LEN + 1]);

/* Whether len bytes are such a time, with fields in their ranges. */
bool times_is_valid(const char *text, size_t len);

/*
 * Rounds such a time down, so that it tells less: one that is younger than an
 * hour at `now` (seconds since 1970) to 5 minutes, than a day to the hour, else
 * to the day.
 */
void times_coarsen(char text[TIMES_LEN + 1], int64_t now);

int64_t times_wall_ms(void); /* this host's clock, ms since 1970 */
int64_t times_mono_ms(void); /* a clock that only runs forward, ms */
int64_t times_mono_us(void); /* the same, us: for what takes so little */

/*
 * How long to wait from now_ms (of times_mono_ms) for the next multiple of the
 * period, ms: timers of one period are then one wake-up. A multiple less than half
 * a period away is left out: the timer that has just run may be a little early.
 */
int64_t times_to_grid_ms(int64_t now_ms, int64_t period_ms);

#endif
