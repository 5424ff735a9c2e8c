/*
 * The queues of all partitions, wherever they are: what each presence-pushd does for
 * them every `sweep` seconds, and whether they can be reached.
 *
 * Of a cluster they are read here as well. There one command reads one queue and no
 * more, and to wait in it would take a connection for each: so they are asked with
 * each tick, and at once again as long as one has more. On all other servers
 * waiter.h waits for what comes.
 */
#ifndef PRESENCE_PUSH_QUEUES_H
#define PRESENCE_PUSH_QUEUES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "push/task.h"
#include "store/nodes.h"
#include "store/partitions.h"

/* Of each queue: more than one process has under way, so they are all. */
#define QUEUES_OWN_MAX 256

/* What is known of a queue in a cluster. */
struct queue {
	bool may_have_more; /* is to be read before the next tick */
	bool owns_read; /* no entry is this consumer's of which it does not know */
	uint64_t connection; /* over which that is so, of nodes.h */
};

struct queues {
	const struct config *config;
	struct nodes *nodes;
	const struct partitions *partitions;
	struct tasks *tasks; /* where entries go */
	const char *consumer; /* this process in the queues' groups */
	unsigned count;
	bool *is_up; /* by partition: its last tick was answered, so it has its group, and nothing failed since */
	struct queue *list; /* by partition */
	unsigned next; /* the queue whose turn it is to be read first */
	unsigned away; /* said in the log; UINT_MAX: nothing was */
};

/* All that is given must outlive it. */
void queues_init(struct queues *queues, const struct config *config, struct nodes *nodes,
		 const struct partitions *partitions, struct tasks *tasks, const char *consumer);
void queues_clear(struct queues *queues);

/* Entries of a partition's queue, in an array of Redis', become tasks. */
void queues_add_entries(struct tasks *tasks, const struct store *store, const redisReply *entries);

/*
 * Every `sweep` seconds: renews the leases, makes due what is due, claims up to
 * `claim` notifications for each partition.
 */
void queues_tick(struct queues *queues, unsigned claim);

/*
 * In a cluster: takes up to `count` notifications of queues that may have some. What was done must have
 * been noted before. Returns whether something was done, so that it may go on at once.
 */
bool queues_take(struct queues *queues, unsigned count);

/* The process ends: what is left is claimed by others at once. */
void queues_leave(struct queues *queues);

#endif
