#include "push/waiter.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/reply.h"

#define BLOCK_MS 30000 /* how long XREADGROUP waits, ms */

static unsigned server_of(const struct queues *queues, unsigned partition)
{
	return nodes_number_of(queues->nodes, partitions_at(queues->partitions, partition));
}

void waiter_open(struct waiter *waiter, struct queues *queues, unsigned server)
{
	*waiter = (struct waiter){.queues = queues, .server = server};
	waiter->link = blocking_new(queues->config, server);
	for (unsigned i = 0; i < queues->count; i++)
		waiter->count += server_of(queues, i) == server;
}

void waiter_close(struct waiter *waiter)
{
	blocking_free(waiter->link);
}

void waiter_tick(struct waiter *waiter)
{
	if (!waiter->is_reading || times_mono_ms() - waiter->read_ms < (int64_t)2 * BLOCK_MS)
		return;
	blocking_free(waiter->link);
	waiter->link = blocking_new(waiter->queues->config, waiter->server);
	waiter->is_reading = false;
}

/* Not again before the next tick. */
static void note_away(const struct waiter *waiter)
{
	for (unsigned i = 0; i < waiter->queues->count; i++) {
		if (server_of(waiter->queues, i) == waiter->server)
			waiter->queues->is_up[i] = false;
	}
}

/* Its queues that can be read; returns how many. */
static unsigned list_stores(const struct waiter *waiter, const struct store **stores)
{
	const struct queues *queues = waiter->queues;
	unsigned count = 0;

	for (unsigned i = 0; i < queues->count; i++) {
		if (server_of(queues, i) == waiter->server && queues->is_up[i])
			stores[count++] = partitions_at(queues->partitions, i);
	}
	return count;
}

static void send_command(struct waiter *waiter, const struct printbuf *command)
{
	waiter->is_reading = blocking_send(waiter->link, command);
	waiter->read_ms = times_mono_ms();
	if (!waiter->is_reading)
		note_away(waiter);
}

void waiter_read(struct waiter *waiter, unsigned count)
{
	const struct store **stores;
	struct printbuf *command;
	unsigned store_count;

	if (waiter->is_reading)
		return;
	if (blocking_fd(waiter->link) < 0)
		waiter->owns_read = false;
	stores = xcalloc(waiter->count + 1, sizeof *stores);
	store_count = list_stores(waiter, stores);
	if (store_count > 0) {
		command = buf_new();
		if (waiter->owns_read)
			push_put_take(command, stores, store_count, waiter->queues->consumer,
				      count > store_count ? count / store_count : 1, BLOCK_MS);
		else
			push_put_take_own(command, stores, store_count, waiter->queues->consumer,
					  QUEUES_OWN_MAX);
		send_command(waiter, command);
		printbuf_free(command);
	}
	free(stores);
}

int waiter_fd(const struct waiter *waiter)
{
	return waiter->is_reading ? blocking_fd(waiter->link) : -1;
}

/* What it says of each queue. */
static void take(struct waiter *waiter, const redisReply *reply)
{
	struct queues *queues = waiter->queues;

	for (unsigned i = 0; i < queues->count; i++) {
		const struct store *store = partitions_at(queues->partitions, i);
		const redisReply *entries = push_read_take(reply, store);

		if (entries != NULL)
			queues_add_entries(queues->tasks, store, entries);
	}
}

void waiter_on_readable(struct waiter *waiter)
{
	redisReply *reply;

	if (!blocking_read(waiter->link, &reply)) {
		waiter->is_reading = false;
		note_away(waiter);
		return;
	}
	if (reply == NULL)
		return;
	waiter->is_reading = false;
	if (reply->type == REDIS_REPLY_ERROR) { /* NOGROUP: the tick makes it anew */
		note_away(waiter);
	} else {
		waiter->owns_read = true;
		take(waiter, reply);
	}
	reply_free(reply);
}
