/*
 * Whether everything stood still a moment ago: Redis, or every presence-streamd. Sessions of
 * open streams may have lapsed meanwhile, and with them the key that tells that their user is
 * online (docs/redis-keys.md, "After a pause").
 */
#ifndef PRESENCE_STORE_PAUSE_H
#define PRESENCE_STORE_PAUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* Whether a worker's touch found that. Who looks offline then is looked at twice. */
bool pause_is_unsettled(const redisReply *reply);
/*
 * The same of a partition that was not touched: appends what asks for it, and
 * returns how many commands that are.
 */
unsigned pause_put(struct printbuf *out, const struct store *store);
bool pause_read(redisReply *const *replies, const struct store *store);
/* Whether it found that a presence-streamd has swept: not after a wipe, until the next sweep. */
bool pause_has_swept(const redisReply *reply);
/*
 * That second look, at up to STORE_BATCH_MAX users; read for each: the part of the reply that has the text
 * that user:online:{id} would be, NULL: the user is offline.
 */
void pause_put_look(struct printbuf *out, const struct store *store,
		    const struct userid *const *users, size_t count);
redisReply *pause_read_look(const redisReply *reply, size_t index);

#endif
