/*
 * A server of Redis, no node of a cluster, and the queues of the partitions that it has:
 * on a connection of its own XREADGROUP waits for all of them, so that nothing is polled.
 */
#ifndef PRESENCE_PUSH_WAITER_H
#define PRESENCE_PUSH_WAITER_H

#include <stdbool.h>
#include <stdint.h>

#include "push/queues.h"

struct waiter {
	struct queues *queues; /* borrowed */
	unsigned server;
	unsigned count; /* of its partitions */
	struct blocking *link;
	bool is_reading; /* XREADGROUP is under way */
	bool owns_read; /* what we had taken already was read on this connection */
	int64_t read_ms; /* when it was sent, monotonic */
};

void waiter_open(struct waiter *waiter, struct queues *queues, unsigned server);
void waiter_close(struct waiter *waiter);

/* Every `sweep` seconds: a connection on which the answer is overdue is given up. */
void waiter_tick(struct waiter *waiter);

/* Starts taking up to `count` notifications in all, if nothing is under way. */
void waiter_read(struct waiter *waiter, unsigned count);
int waiter_fd(const struct waiter *waiter); /* to be waited for; -1: nothing is under way */
void waiter_on_readable(struct waiter *waiter);

#endif
