/* Why a link was lost, as the log tells it: one line for each change, not for every attempt that fails likewise. */
#ifndef PRESENCE_STREAM_REASON_H
#define PRESENCE_STREAM_REASON_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

#define REASON_MAX 160

struct reason {
	char now[REASON_MAX]; /* of the loss that is to be told */
	char told[REASON_MAX]; /* the one logged last; "" once all is well again */
};

void reason_set(struct reason *reason, const char *why);
/* An error of Redis. An outage reads the same whether a script met it or not. */
void reason_set_error(struct reason *reason, const redisReply *error);

/* Logs it for the link of that name, unless it was told before. */
void reason_tell(struct reason *reason, const char *name);

#endif
