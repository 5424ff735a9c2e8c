/*
 * Where the primary is, asked of Redis Sentinels
 * (https://redis.io/docs/reference/sentinel-clients/): the first that answers is believed, and whoever
 * connects asks the server itself whether it is the primary. Each search begins with another Sentinel,
 * so one that is dead, slow or of an old opinion stands in nobody's way for long.
 */
#ifndef PRESENCE_STORE_SENTINEL_H
#define PRESENCE_STORE_SENTINEL_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

#include "base/config.h"
#include "base/redis_url.h"
#include "store/search.h"

struct sentinel;

/* Both must outlive it. */
struct sentinel *sentinel_new(const struct config *config, const struct redis_url *url);
void sentinel_free(struct sentinel *sentinel); /* NULL is allowed */

/* The URL's user and password are others: so are the primary's. */
void sentinel_take_login(struct sentinel *sentinel);

/* A search, made ready: search_begin() or search_run() starts it. */
struct search *sentinel_search(struct sentinel *sentinel);
/* Where the primary is, after one that has found it; valid until the next one. */
const struct redis_address *sentinel_primary(const struct sentinel *sentinel);

/* A Sentinel's answer: the host and port; false: it is not one. The caller frees *host. */
bool sentinel_read(const redisReply *reply, char **host, int *port);

#endif
