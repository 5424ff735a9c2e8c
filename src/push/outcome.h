/*
 * What a push service's answer means, and when to try again. Pure functions;
 * RFC 8030 sections 5 and 8.4, RFC 9110 section 10.2.3.
 */
#ifndef PRESENCE_PUSH_OUTCOME_H
#define PRESENCE_PUSH_OUTCOME_H

#include <stdint.h>

/* Each is counted under its name (outcome_names), those of a notification that was not sent too. */
enum outcome {
	OUTCOME_SENT, /* 2xx: the push service has it */
	OUTCOME_GONE, /* 404, 410: the subscription is removed */
	OUTCOME_TOO_LARGE, /* 413: shortened once */
	OUTCOME_SLOW_DOWN, /* 429: again after Retry-After */
	OUTCOME_FAILED, /* 5xx: likewise */
	OUTCOME_UNREACHABLE, /* no answer: DNS, TCP, TLS, time-out; again */
	OUTCOME_REFUSED, /* any other answer: a redirect, 400, 403; never again */
	OUTCOME_BAD_ADDRESS, /* its host has an address that is not a public one; never again */
	OUTCOME_BAD_KEYS, /* the browser's key is not a point of the curve; the subscription goes */
	/* Not sent, because its user */
	OUTCOME_ONLINE, /* was there by then */
	OUTCOME_LIMITED, /* got as many in an hour as one may */
	OUTCOME_NOBODY, /* has no subscription any more */
	OUTCOME_WITHDRAWN, /* does not wait for that friend any more */
	/* or because */
	OUTCOME_SUPERSEDED, /* a newer one has its tag */
	OUTCOME_EXPIRED, /* its time to live was over */
	OUTCOME_BROKEN, /* it could not be read */
	OUTCOME_COUNT
};
extern const char *const outcome_names[OUTCOME_COUNT];

/* What an answer with this HTTP status means. */
enum outcome outcome_of_status(int status);

/* Whether the notification is tried again, as long as its time to live lasts. */
int outcome_is_retried(enum outcome outcome);

/*
 * How long to wait, ms, before the try after `tries` failed ones (1 or more):
 * what the service asked for (`retry_after` seconds, 0 = nothing), and at least
 * 2 s, doubled with each try up to an hour. `jitter` is 0…999: up to half of
 * that more, never less.
 */
int64_t outcome_wait_ms(int tries, int64_t retry_after, unsigned jitter);

#endif
