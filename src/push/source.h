/*
 * A server of Redis, and the queues of the partitions that it has: what is taken
 * from them. Two connections: one waits in XREADGROUP for all of them, the other
 * is that of nodes.h.
 */
#ifndef PRESENCE_PUSH_SOURCE_H
#define PRESENCE_PUSH_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "push/task.h"
#include "store/nodes.h"
#include "store/partitions.h"

struct source {
	const struct config *config;
	unsigned number; /* of the server */
	const struct store **stores; /* its partitions */
	unsigned count;
	struct blocking *redis; /* borrowed from nodes.h */
	struct blocking *reader;
	const char *consumer; /* this process in the queues' groups */
	bool is_reading; /* XREADGROUP is under way */
	bool owns_read; /* what we had taken already was read on this connection */
	int64_t read_ms; /* when it was sent, monotonic */
	bool is_up; /* the last tick was answered: the queues have their groups */
	bool said_up, has_said; /* in the log */
};

/* All that is given must outlive it. */
void source_open(struct source *source, const struct config *config, struct nodes *nodes,
		 const struct partitions *partitions, unsigned number, const char *consumer);
void source_close(struct source *source);

/*
 * Every `sweep` seconds: renews the leases, makes due what is due, claims up to
 * `claim` notifications for each partition. Afterwards is_up says whether it was
 * done.
 */
void source_tick(struct source *source, struct tasks *tasks, unsigned claim);

/* Starts taking up to `count` notifications for each partition, if nothing is under way. */
void source_read(struct source *source, unsigned count);
int source_fd(const struct source *source); /* to be waited for; -1: nothing is under way */
void source_on_readable(struct source *source, struct tasks *tasks);

/* The process ends: what is left is claimed by others at once. */
void source_leave(struct source *source);

#endif
