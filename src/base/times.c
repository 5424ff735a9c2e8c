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
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t times_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME) / 1000;
}

int64_t times_mono_ms(void)
{
	return read_clock(CLOCK_MONOTONIC) / 1000;
}

int64_t times_mono_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t times_to_grid_ms(int64_t now_ms, int64_t period_ms)
{
	int64_t left = period_ms - now_ms % period_ms;

	return left < period_ms / 2 ? left + period_ms : left;
}

/* Days from 1970-01-01 to a civil date of the years 0..9999. */
static int64_t days_of(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year;
	int era = y >= 0 ? y / 400 : -1, yoe = y - era * 400;
	int doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return (int64_t)era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int number_at(const char *text, int digits)
{
	int number = 0;

	while (digits-- > 0)
		number = number * 10 + (*text++ - '0');
	return number;
}

void times_coarsen(char text[TIMES_LEN + 1], int64_t now)
{
	int64_t time = days_of(number_at(text, 4), number_at(text + 5, 2), number_at(text + 8, 2)) *
			       86400 +
		       number_at(text + 11, 2) * 3600 + number_at(text + 14, 2) * 60 +
		       number_at(text + 17, 2);
	int64_t age = now - time;
	int64_t step = age < 3600 ? 300 : age < 86400 ? 3600 : 86400;

	times_format(time - time % step, text);
}
