/*
 * Where the primary is, asked of Redis Sentinels
 * (https://redis.io/docs/reference/sentinel-clients/): the first that answers is believed, and whoever
 * connects asks the server itself whether it is the primary. Each search begins with another Sentinel,
 * so one that is dead, slow or of an old opinion stands in nobody's way for long.
 *
 * Without waiting: after sentinel_begin() the owner waits for the socket, as sentinel_wants_write()
 * says, for sentinel_left_ms() at most, and calls sentinel_proceed() until the state is another. With
 * each call the socket may be another one. Or it waits all in one: sentinel_search().
 */
#ifndef PRESENCE_STORE_SENTINEL_H
#define PRESENCE_STORE_SENTINEL_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

#include "base/config.h"
#include "base/redis_url.h"

enum sentinel_state {
	SENTINEL_ASKING,
	SENTINEL_FOUND, /* sentinel_primary() is where they say */
	SENTINEL_FAILED, /* none of them says: sentinel_error() */
};

struct sentinel;

/* Both must outlive it. */
struct sentinel *sentinel_new(const struct config *config, const struct redis_url *url);
void sentinel_free(struct sentinel *sentinel); /* NULL is allowed */

enum sentinel_state sentinel_begin(struct sentinel *sentinel);
enum sentinel_state sentinel_proceed(struct sentinel *sentinel);
int sentinel_fd(const struct sentinel *sentinel);
bool sentinel_wants_write(const struct sentinel *sentinel);
int sentinel_left_ms(const struct sentinel *sentinel);
void sentinel_stop(struct sentinel *sentinel); /* the search, if there is one */

bool sentinel_search(struct sentinel *sentinel);

/* Valid until the next search. */
const struct redis_address *sentinel_primary(const struct sentinel *sentinel);
const char *sentinel_error(const struct sentinel *sentinel);

/* A Sentinel's answer: the host and port; false: it is not one. The caller frees *host. */
bool sentinel_read(const redisReply *reply, char **host, int *port);

#endif
