/*
 * Gaps: times in which Redis' messages or data may have been lost. Three ways
 * in, one way out: every session is registered again, then every reader gets a
 * new `initial`.
 *
 *                          link down            link up          another epoch
 *   subscriptions          QUEUED
 *   cached statuses        forgotten            forgotten        forgotten
 *   session (SESSION, OPEN)   PENDING           RECOVERING       RECOVERING
 *   view (OPEN)            MISSING              MISSING          MISSING
 *   friends (INBOX … OPEN) stale; a question is withdrawn from SESSION on
 *   every stream           due                  due              due
 */
#ifndef PRESENCE_STREAM_RECOVERY_H
#define PRESENCE_STREAM_RECOVERY_H

#include <stdbool.h>

#include "stream/stream.h"

struct recovery {
	struct streams *streams;
	bool is_rebuilding; /* Redis was wiped or lacks writes, and not all sessions are registered again */
};

void recovery_free(struct recovery *recovery);

/*
 * The handshake's last command: the epoch, made when there is none; another one than this process
 * knew means that Redis was wiped. It is read before the first touch, or a wipe between the two
 * would go unnoticed; and its script writes, so that a Redis that takes no writes is not up. False:
 * the answer is not one.
 */
void recovery_put_greeting(struct recovery *recovery, struct printbuf *out);
bool recovery_read_greeting(struct recovery *recovery, const redisReply *reply);

void recovery_up(struct recovery *recovery);
void recovery_down(struct recovery *recovery);

/* The epoch as a sweep told it: another one than before means that Redis was wiped. */
void recovery_learn_epoch(struct recovery *recovery, const char *epoch);

/* At each tick, link up: keeps presence:recovering alive while a wiped Redis is rebuilt; streams that
 * wait for that look again. */
void recovery_tick(struct recovery *recovery);

#endif
