/*
 * Every server that redis.url names, over blocking connections: for presence-api,
 * presence-pushd and presencectl. Commands are for partitions; each goes to the
 * server that has its partition, and the servers work at the same time.
 */
#ifndef PRESENCE_STORE_NODES_H
#define PRESENCE_STORE_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/config.h"
#include "store/blocking.h"
#include "store/store.h"

struct nodes;

/* Nothing is connected before it is used. The configuration must outlive it. */
struct nodes *nodes_new(const struct config *config);
void nodes_free(struct nodes *nodes);

/* The configuration has another user or password: for the connections to come. */
void nodes_take_login(struct nodes *nodes);

/* How many servers a configuration names. */
unsigned nodes_count_servers(const struct config *config);
unsigned nodes_count(const struct nodes *nodes);
/* The server that has a partition; the connection to it. */
unsigned nodes_number_of(const struct nodes *nodes, const struct store *store);
struct blocking *nodes_at(struct nodes *nodes, unsigned number);
struct blocking *nodes_of(struct nodes *nodes, const struct store *store);
/* Which connection that is: never 0, and another number after it was lost, or the partition is elsewhere. */
uint64_t nodes_connection(const struct nodes *nodes, const struct store *store);
/* Of a cluster: how many slots nobody is known to have; nodes_begin() learns of them. Else 0. */
bool nodes_are_cluster(const struct nodes *nodes);
unsigned nodes_uncovered(const struct nodes *nodes);
/* Whether one server has both: then commands for them are done in their order. */
bool nodes_are_one(const struct nodes *nodes, const struct store *one, const struct store *other);

/*
 * Looks whether the first server holds users in the layout of the configuration;
 * false with a sentence in err when it does not. One that is away, or several, are
 * looked at when they are first connected: until then nothing is asked of them. See
 * kin_check() for a look at all.
 */
bool nodes_check(struct nodes *nodes, char *err, size_t errsize);

/* Is not to look for the layout at all: for whoever prepares or compares one. Before anything is asked. */
void nodes_ignore_layout(struct nodes *nodes);

/* Is to look where there is but one partition, too: see blocking_look_always(). Before anything is asked. */
void nodes_look_always(struct nodes *nodes);

/* Begins a pipeline, which is empty. */
void nodes_begin(struct nodes *nodes);
/* Where to append the next commands, which are all for that partition; until the next call. */
struct printbuf *nodes_to(struct nodes *nodes, const struct store *store);
/*
 * Runs it: `count` commands in all, whose replies come in the order in which the
 * commands were appended. Else as blocking_run(): all of them, or none.
 */
bool nodes_run(struct nodes *nodes, size_t count, redisReply **replies);
const char *nodes_error(const struct nodes *nodes);
/* What is in nodes_error() while some keys of a command are at one node of a cluster and some at another. */
#define NODES_MOVING "some keys of the slot are on their way to another node"

/*
 * For who looks after several partitions, of which one must not stop the others: the same, but what fails
 * fails alone. An error is a reply like others; NULL is one to a command that was not done: its server does
 * not answer, or its slot is moving and it cannot be done meanwhile.
 */
void nodes_run_each(struct nodes *nodes, size_t count, redisReply **replies);

/*
 * A third way to run it: each server's part for itself, and the replies are of
 * no interest. Returns how many servers did all of theirs; see nodes_error() for
 * one of the others.
 */
unsigned nodes_try(struct nodes *nodes, size_t count_each);

#endif
