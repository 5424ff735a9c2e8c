/*
 * The links to the servers that redis.url names, where each has its partitions for good: one server, a
 * primary that Sentinels name, or several that know nothing of each other.
 */
#ifndef PRESENCE_STREAM_SERVERS_H
#define PRESENCE_STREAM_SERVERS_H

#include "stream/exchange.h"

struct servers;

/* How many links there will be; to be known before the streams are made. */
unsigned servers_count(const struct config *config);
/* The links of the context are made; none is started. */
struct servers *servers_new(struct exchange *exchange);
void servers_start(struct servers *servers);
/* The configuration has another user or password: for the connections to come. */
void servers_take_login(struct servers *servers);
void servers_free(struct servers *servers); /* NULL is allowed */

#endif
