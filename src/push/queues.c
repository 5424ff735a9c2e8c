#include "push/queues.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"

#define DUE_MAX 1000 /* made due in one tick, for each partition */
#define LEASE_TICKS 4
#define WHY_SIZE 256

void queues_init(struct queues *queues, const struct config *config, struct nodes *nodes,
		 const struct partitions *partitions, struct tasks *tasks, const char *consumer)
{
	unsigned count = partitions_count(partitions);

	*queues = (struct queues){.config = config,
				  .nodes = nodes,
				  .partitions = partitions,
				  .tasks = tasks,
				  .consumer = consumer,
				  .count = count,
				  .away = UINT_MAX};
	queues->is_up = xcalloc(count, sizeof *queues->is_up);
	queues->list = xcalloc(count, sizeof *queues->list);
}

void queues_clear(struct queues *queues)
{
	free(queues->is_up);
	free(queues->list);
}

void queues_add_entries(struct tasks *tasks, const struct store *store, const redisReply *entries)
{
	for (size_t i = 0; i < entries->elements; i++) {
		struct push_entry entry;

		if (push_read_entry(entries, i, &entry))
			tasks_add(tasks, store, &entry);
	}
}

/* --- the tick -------------------------------------------------------------------------------- */

/* Says when other partitions, or their number, can be reached than before. */
static void say_state(struct queues *queues, const char *why)
{
	unsigned away = 0;

	for (unsigned i = 0; i < queues->count; i++)
		away += !queues->is_up[i];
	if (away == queues->away)
		return;
	if (away == 0)
		log_info("Redis: connected");
	else if (queues->count == 1)
		log_warn("Redis: %s", why);
	else
		log_warn("Redis: %u of %u partitions are away: %s", away, queues->count, why);
	queues->away = away;
}

/* What one of the ticks says; false: it is not done. */
static bool take_tick(struct queues *queues, unsigned number, const redisReply *reply)
{
	const struct store *store = partitions_at(queues->partitions, number);
	const redisReply *claimed;
	int64_t now_ms;

	if (reply == NULL || !push_read_tick(reply, &now_ms, &claimed))
		return false;
	tasks_set_clock(queues->tasks, store, now_ms);
	queues_add_entries(queues->tasks, store, claimed);
	return true;
}

static void take_ticks(struct queues *queues, redisReply *const *replies)
{
	char why[WHY_SIZE];

	snprintf(why, sizeof why, "%s", nodes_error(queues->nodes));
	for (unsigned i = 0; i < queues->count; i++) {
		struct queue *queue = &queues->list[i];
		uint64_t connection =
			nodes_connection(queues->nodes, partitions_at(queues->partitions, i));

		queues->is_up[i] = take_tick(queues, i, replies[i]);
		queue->may_have_more = queues->is_up[i];
		/* What it claimed without our hearing of it, or before another server took over. */
		if (!queues->is_up[i] || connection != queue->connection)
			queue->owns_read = false;
		queue->connection = connection;
		if (replies[i] != NULL && replies[i]->type == REDIS_REPLY_ERROR)
			snprintf(why, sizeof why, "%s", replies[i]->str);
	}
	say_state(queues, why);
}

void queues_tick(struct queues *queues, unsigned claim)
{
	int64_t lease_ms = (int64_t)queues->config->presence.sweep * 1000 * LEASE_TICKS;
	redisReply **replies = xcalloc(queues->count, sizeof *replies);

	nodes_begin(queues->nodes);
	for (unsigned i = 0; i < queues->count; i++) {
		const struct store *store = partitions_at(queues->partitions, i);

		push_put_tick(nodes_to(queues->nodes, store), store, queues->consumer, lease_ms,
			      DUE_MAX, claim);
	}
	nodes_run_each(queues->nodes, queues->count, replies);
	take_ticks(queues, replies);
	blocking_free_replies(replies, queues->count);
	free(replies);
}

/* --- taking, in a cluster -------------------------------------------------------------------- */

/* A queue that is asked, and for how many. */
struct asked {
	unsigned number, count;
};

/* Those that may have some, in turn, as many as there is something to be asked of; returns how many. */
static unsigned list_due(struct queues *queues, unsigned count, struct asked *list)
{
	unsigned due = 0, first = queues->next;

	for (unsigned i = 0; i < queues->count && due < count; i++) {
		unsigned number = (first + i) % queues->count;

		if (!queues->is_up[number] || !queues->list[number].may_have_more)
			continue;
		list[due++].number = number;
		queues->next = (number + 1) % queues->count;
	}
	for (unsigned i = 0; i < due; i++)
		list[i].count = count / due;
	return due;
}

static void put_take(struct queues *queues, const struct asked *asked)
{
	const struct store *store = partitions_at(queues->partitions, asked->number);
	struct printbuf *out = nodes_to(queues->nodes, store);

	if (queues->list[asked->number].owns_read)
		push_put_take(out, &store, 1, queues->consumer, asked->count, 0);
	else
		push_put_take_own(out, &store, 1, queues->consumer, QUEUES_OWN_MAX);
}

/* Returns whether there was something, or there is more to be asked for. */
static bool take_one(struct queues *queues, const struct asked *asked, const redisReply *reply)
{
	const struct store *store = partitions_at(queues->partitions, asked->number);
	struct queue *queue = &queues->list[asked->number];
	const redisReply *entries;
	size_t taken;

	if (reply == NULL ||
	    reply->type == REDIS_REPLY_ERROR) { /* NOGROUP: the tick makes it anew */
		queues->is_up[asked->number] = false;
		queue->owns_read = false;
		return false;
	}
	entries = push_read_take(reply, store);
	taken = entries != NULL ? entries->elements : 0;
	/* After its own come the new ones. */
	queue->may_have_more = taken == asked->count || !queue->owns_read;
	queue->owns_read = true;
	if (taken > 0)
		queues_add_entries(queues->tasks, store, entries);
	return taken > 0 || queue->may_have_more;
}

bool queues_take(struct queues *queues, unsigned count)
{
	struct asked *list = xcalloc(queues->count, sizeof *list);
	unsigned due = list_due(queues, count, list);
	redisReply **replies = xcalloc(due + 1, sizeof *replies);
	bool goes_on = false;

	if (due > 0)
		nodes_begin(queues->nodes);
	for (unsigned i = 0; i < due; i++)
		put_take(queues, &list[i]);
	nodes_run_each(queues->nodes, due, replies);
	for (unsigned i = 0; i < due; i++)
		goes_on |= take_one(queues, &list[i], replies[i]);
	blocking_free_replies(replies, due);
	free(replies);
	free(list);
	return goes_on;
}

void queues_leave(struct queues *queues)
{
	redisReply **replies = xcalloc(queues->count, sizeof *replies);

	nodes_begin(queues->nodes);
	for (unsigned i = 0; i < queues->count; i++) {
		const struct store *store = partitions_at(queues->partitions, i);

		push_put_leave(nodes_to(queues->nodes, store), store, queues->consumer);
	}
	nodes_run_each(queues->nodes, queues->count, replies);
	blocking_free_replies(replies, queues->count);
	free(replies);
}
