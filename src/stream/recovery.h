/*
 * Gaps: times in which messages or data of partitions may have been lost. Three
 * ways in, one way out: every session is registered again, then every reader who
 * watches one of their users gets a new `initial`.
 *
 *                          link down            link up          another epoch, a pause
 *   the partition          AWAY                 UNSETTLED        UNSETTLED
 *   cached statuses        forgotten            forgotten        forgotten
 *   who has topics there:
 *     subscription         QUEUED               QUEUED
 *     view (OPEN)          MISSING, or CURRENT  MISSING          MISSING
 *   whose own it is:
 *     session (SESSION, OPEN)   PENDING         RECOVERING       RECOVERING
 *     friends (INBOX ... OPEN)  stale; a question is withdrawn from SESSION on
 *   each of these          due                  due              due
 */
#ifndef PRESENCE_STREAM_RECOVERY_H
#define PRESENCE_STREAM_RECOVERY_H

#include <stdbool.h>

#include "stream/stream.h"

struct recovery {
	struct streams *streams;
};

/*
 * The handshake's last commands, one for each partition: the epoch, made when
 * there is none; another one than this process knew means that it was wiped. It is
 * read before the first touch, or a wipe between the two would go unnoticed; and
 * its script writes, so that a Redis that takes no writes is not up. False: the
 * answer is not one.
 */
void recovery_put_greeting(const struct partition *partition, struct printbuf *out);
bool recovery_read_greeting(struct recovery *recovery, struct partition *partition,
			    const redisReply *reply);

/* The partitions of a link (partset.h). */
void recovery_up(struct recovery *recovery, const uint64_t *partitions);
void recovery_down(struct recovery *recovery, const uint64_t *partitions);

/* It stood still, say, and who was there may have been taken for gone: everything is asked for again. */
void recovery_gap(struct recovery *recovery, struct partition *partition);

/* The epoch as a sweep told it: another one than before means that the partition was wiped. */
void recovery_learn_epoch(struct recovery *recovery, struct partition *partition,
			  const char *epoch);

/*
 * At each tick, the partition up: keeps presence:recovering alive while it is
 * rebuilt; streams that wait for that look again.
 */
void recovery_tick(struct recovery *recovery, struct partition *partition);

/* Sessions are registered and the first sweep is done: who waits for that goes on. */
void recovery_settle(struct recovery *recovery, struct partition *partition);

#endif
