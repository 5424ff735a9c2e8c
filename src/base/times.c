#include "base/times.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

void times_format(int64_t seconds, char text[TIMES_LEN + 1])
{
	time_t when = (time_t)(seconds < 0 ? 0 : seconds > LAST_SECOND ? LAST_SECOND : seconds);
	struct tm utc;

	gmtime_r(&when, &utc);
	strftime(text, TIMES_LEN + 1, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

bool times_is_valid(const char *text, size_t len)
{
	static const char shape[] = "0000-00-00T00:00:00Z";
	int month, day, hour, minute, second;

	if (len != TIMES_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (shape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
			return false;
	}
	month = (text[5] - '0') * 10 + text[6] - '0';
	day = (text[8] - '0') * 10 + text[9] - '0';
	hour = (text[11] - '0') * 10 + text[12] - '0';
	minute = (text[14] - '0') * 10 + text[15] - '0';
	second = (text[17] - '0') * 10 + text[18] - '0';
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 &&
	       second <= 60;
}

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t times_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t times_mono_ms(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t times_to_grid_ms(int64_t now_ms, int64_t period_ms)
{
	int64_t left = period_ms - now_ms % period_ms;

	return left < period_ms / 2 ? left + period_ms : left;
}
