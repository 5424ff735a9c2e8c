#include "push/outcome.h"

#define WAIT_FIRST_MS 2000
#define WAIT_MAX_MS 3600000

const char *const outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_SENT] = "sent",	   [OUTCOME_GONE] = "gone",
	[OUTCOME_TOO_LARGE] = "too_large", [OUTCOME_SLOW_DOWN] = "slow_down",
	[OUTCOME_FAILED] = "failed",	   [OUTCOME_UNREACHABLE] = "unreachable",
	[OUTCOME_REFUSED] = "refused",	   [OUTCOME_BAD_ADDRESS] = "bad_address",
	[OUTCOME_BAD_KEYS] = "bad_keys",   [OUTCOME_ONLINE] = "online",
	[OUTCOME_LIMITED] = "limited",	   [OUTCOME_NOBODY] = "nobody",
	[OUTCOME_WITHDRAWN] = "withdrawn", [OUTCOME_SUPERSEDED] = "superseded",
	[OUTCOME_EXPIRED] = "expired",	   [OUTCOME_BROKEN] = "broken",
};

enum outcome outcome_of_status(int status)
{
	if (status >= 200 && status < 300)
		return OUTCOME_SENT;
	switch (status) {
	case 404:
	case 410:
		return OUTCOME_GONE;
	case 413:
		return OUTCOME_TOO_LARGE;
	case 429:
		return OUTCOME_SLOW_DOWN;
	default:
		return status >= 500 && status < 600 ? OUTCOME_FAILED : OUTCOME_REFUSED;
	}
}

int outcome_is_retried(enum outcome outcome)
{
	return outcome == OUTCOME_SLOW_DOWN || outcome == OUTCOME_FAILED ||
	       outcome == OUTCOME_UNREACHABLE;
}

int64_t outcome_wait_ms(int tries, int64_t retry_after, unsigned jitter)
{
	int64_t wait = WAIT_FIRST_MS;

	for (int i = 1; i < tries && wait < WAIT_MAX_MS; i++)
		wait *= 2;
	if (wait > WAIT_MAX_MS)
		wait = WAIT_MAX_MS;
	if (retry_after > 0 && wait < retry_after * 1000)
		wait = retry_after * 1000;
	return wait + wait / 2 * jitter / 1000;
}
