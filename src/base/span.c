#include "base/span.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "base/times.h"

void span_put(char text[SPAN_SIZE], int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	size_t unit = 0;
	int64_t number;

	while (unit < 3 && seconds < units[unit].seconds)
		unit++;
	number = seconds / units[unit].seconds;
	snprintf(text, SPAN_SIZE, "%" PRId64 " %s%s", number, units[unit].name,
		 number == 1 ? "" : "s");
}

int64_t span_since(const char *time_text)
{
	struct tm utc = {0};
	int64_t age;

	strptime(time_text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	age = times_wall_ms() / 1000 - (int64_t)timegm(&utc);
	return age > 0 ? age : 0;
}
