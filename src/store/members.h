/*
 * The nodes of a Redis Cluster as a process knows them, and which of them has which slot. A node has a
 * number for as long as the process lives: those that redis.url names come first, then others in the order
 * in which they were heard of.
 *
 * What is known may be old: a node that does not have a slot says so (MOVED), and then the others are
 * asked for all of it.
 */
#ifndef PRESENCE_STORE_MEMBERS_H
#define PRESENCE_STORE_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/redis_url.h"
#include "store/cluster.h"
#include "store/search.h"

#define MEMBERS_REFRESH_MS 500 /* the map is asked for no more often */

struct members;

/* Both must outlive it. */
struct members *members_new(const struct config *config, const struct redis_url *url);
void members_free(struct members *members); /* NULL is allowed */

/* The URL's user and password are others: so are everybody's. */
void members_take_login(struct members *members);

size_t members_count(const struct members *members);
/* Valid as long as the members. */
const struct redis_address *members_at(const struct members *members, size_t number);

/* Who has the slot; -1: not known. */
int members_owner(const struct members *members, unsigned slot);

/*
 * Who is at a place that the node `teller` told of; -1: there are more nodes than are followed. With
 * MOVED the slot is that node's from now on.
 */
int members_find(struct members *members, size_t teller, const struct cluster_place *place);
int members_moved(struct members *members, size_t teller, const struct cluster_redirect *redirect);

/*
 * The map, asked of one of the nodes: a search, made ready; when it has found, the map is new. NULL: it
 * was asked for a moment ago (MEMBERS_REFRESH_MS).
 */
struct search *members_search(struct members *members);

/* How many slots nobody is known to have. */
unsigned members_uncovered(const struct members *members);

#endif
