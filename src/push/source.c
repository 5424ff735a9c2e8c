#include "push/source.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "store/reply.h"

#define DUE_MAX 1000 /* made due in one tick, for each partition */
#define BLOCK_MS 30000 /* how long XREADGROUP waits, ms */
#define LEASE_TICKS 4

void source_open(struct source *source, const struct config *config, struct nodes *nodes,
		 const struct partitions *partitions, unsigned number, const char *consumer)
{
	unsigned servers = nodes_count(nodes), all = partitions_count(partitions);

	*source = (struct source){.config = config, .number = number, .consumer = consumer};
	source->redis = nodes_at(nodes, number);
	source->reader = blocking_new(config, number);
	source->stores = xcalloc(all / servers + 1, sizeof *source->stores);
	for (unsigned i = number; i < all; i += servers)
		source->stores[source->count++] = partitions_at(partitions, i);
}

void source_close(struct source *source)
{
	blocking_free(source->reader);
	free(source->stores);
}

static void add_entries(const struct store *store, struct tasks *tasks, const redisReply *entries)
{
	for (size_t i = 0; i < entries->elements; i++) {
		struct push_entry entry;

		if (push_read_entry(entries, i, &entry))
			tasks_add(tasks, store, &entry);
	}
}

/* --- the tick -------------------------------------------------------------------------------- */

/* Says once that the server is there, or why it is not. */
static void say_state(struct source *source)
{
	struct printbuf *place = buf_new();

	if (source->is_up != source->said_up || !source->has_said) {
		if (source->config->redis.partitions > 1) {
			buf_puts(place, " ");
			blocking_put_place(place, source->redis);
		}
		if (source->is_up)
			log_info("Redis%s: connected", place->buf);
		else
			log_warn("Redis%s: %s", place->buf, blocking_error(source->redis));
	}
	source->said_up = source->is_up;
	source->has_said = true;
	printbuf_free(place);
}

static void take_ticks(const struct source *source, struct tasks *tasks, redisReply *const *replies)
{
	for (unsigned i = 0; i < source->count; i++) {
		const redisReply *claimed;
		int64_t now_ms;

		if (!push_read_tick(replies[i], &now_ms, &claimed))
			continue;
		tasks_set_clock(tasks, source->stores[i], now_ms);
		add_entries(source->stores[i], tasks, claimed);
	}
}

/* A connection on which XREADGROUP is overdue is dead. */
static void check_reader(struct source *source)
{
	if (!source->is_reading || times_mono_ms() - source->read_ms < (int64_t)2 * BLOCK_MS)
		return;
	blocking_free(source->reader);
	source->reader = blocking_new(source->config, source->number);
	source->is_reading = false;
}

void source_tick(struct source *source, struct tasks *tasks, unsigned claim)
{
	int64_t lease_ms = (int64_t)source->config->presence.sweep * 1000 * LEASE_TICKS;
	redisReply **replies = xcalloc(source->count, sizeof *replies);
	struct printbuf *commands = buf_new();

	check_reader(source);
	for (unsigned i = 0; i < source->count; i++)
		push_put_tick(commands, source->stores[i], source->consumer, lease_ms, DUE_MAX,
			      claim);
	source->is_up = blocking_run(source->redis, commands, source->count, replies);
	if (source->is_up) {
		take_ticks(source, tasks, replies);
		blocking_free_replies(replies, source->count);
	}
	say_state(source);
	printbuf_free(commands);
	free(replies);
}

/* --- taking ---------------------------------------------------------------------------------- */

void source_read(struct source *source, unsigned count)
{
	struct printbuf *command;

	if (source->is_reading || !source->is_up)
		return;
	if (blocking_fd(source->reader) < 0)
		source->owns_read = false;
	command = buf_new();
	push_put_take(command, source->stores, source->count, source->consumer, count, BLOCK_MS,
		      !source->owns_read);
	source->is_reading = blocking_send(source->reader, command);
	source->read_ms = times_mono_ms();
	if (!source->is_reading)
		source->is_up = false; /* not again before the next tick */
	printbuf_free(command);
}

int source_fd(const struct source *source)
{
	return source->is_reading ? blocking_fd(source->reader) : -1;
}

void source_on_readable(struct source *source, struct tasks *tasks)
{
	redisReply *reply;

	if (!blocking_read(source->reader, &reply)) {
		source->is_reading = false;
		source->is_up = false;
		return;
	}
	if (reply == NULL)
		return;
	source->is_reading = false;
	for (unsigned i = 0; i < source->count; i++) {
		const redisReply *entries = push_read_take(reply, source->stores[i]);

		if (entries != NULL)
			add_entries(source->stores[i], tasks, entries);
	}
	if (reply->type == REDIS_REPLY_ERROR) /* NOGROUP: the tick makes it anew */
		source->is_up = false;
	source->owns_read = source->owns_read || reply->type != REDIS_REPLY_ERROR;
	reply_free(reply);
}

void source_leave(struct source *source)
{
	redisReply **replies = xcalloc(source->count, sizeof *replies);
	struct printbuf *commands = buf_new();

	for (unsigned i = 0; i < source->count; i++)
		push_put_leave(commands, source->stores[i], source->consumer);
	if (blocking_run(source->redis, commands, source->count, replies))
		blocking_free_replies(replies, source->count);
	printbuf_free(commands);
	free(replies);
}
