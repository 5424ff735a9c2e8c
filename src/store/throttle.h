/* Throttling of failed logins. */
#ifndef PRESENCE_STORE_THROTTLE_H
#define PRESENCE_STORE_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/*
 * Attempts are counted by names for an account and for an address (NULL: not
 * known). The first call counts an attempt as failed, unless there were too many:
 * then *wait is the seconds until the next may be made, else 0; *now is Redis'
 * clock in seconds. The second one is for an attempt that succeeded.
 */
#define THROTTLE_MAX 10
#define THROTTLE_WINDOW 300 /* seconds */
void throttle_put(struct printbuf *out, const struct store *store, const char *account,
		  const char *address);
bool throttle_read(const redisReply *reply, int *wait, int64_t *now);
void throttle_put_success(struct printbuf *out, const struct store *store, const char *account,
			  const char *address);

#endif
