/* LAYOUT_CLUSTER: the two servers are nodes of a Redis Cluster, and a partition goes from one to the other. */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "integration/process.h"
#include "store/cluster.h"
#include "store/layout.h"

#define NODES 2
#define TIMEOUT \
	60000 /* ms: none takes the other for dead; there is no replica that could take over */
#define WELL_WITHIN 10000

static struct stack *stack_of(const struct chaos *chaos)
{
	return chaos->stand.stack;
}

static unsigned slot_of(const struct chaos *chaos, unsigned partition)
{
	unsigned count = stack_of(chaos)->partitions;
	char *prefix = layout_prefix(count, layout_tag(count, partition), "");
	unsigned slot = cluster_slot(prefix, strlen(prefix));

	free(prefix);
	return slot;
}

/* --- the nodes ------------------------------------------------------------------------------- */

void shards_put_conf(struct chaos *chaos, struct printbuf *conf)
{
	for (int i = 0; i < NODES; i++) {
		chaos->stand.ports[i] = free_port();
		chaos->stand.bus[i] = free_port();
	}
	buf_putf(conf, "redis { url = \"%s\" partitions = %u }\n", shards_url(chaos),
		 stack_of(chaos)->partitions);
}

const char *shards_url(struct chaos *chaos)
{
	static char url[64];

	snprintf(url, sizeof url, "cluster://127.0.0.1:%d,127.0.0.1:%d", chaos->stand.ports[0],
		 chaos->stand.ports[1]);
	return url;
}

void shards_put_args(const struct chaos *chaos, int server, char *args, size_t size)
{
	snprintf(args, size,
		 " --port %d --bind 127.0.0.1 --cluster-enabled yes --cluster-port %d "
		 "--cluster-config-file nodes%d.conf --cluster-node-timeout %d "
		 "--cluster-require-full-coverage no",
		 chaos->stand.ports[server], chaos->stand.bus[server], server, TIMEOUT);
}

static bool tell(struct chaos *chaos, int server, const char *command)
{
	redisReply *reply = redis_cmd_at(stack_of(chaos), server, command);
	bool ok = reply->type == REDIS_REPLY_STATUS;

	if (!ok)
		chaos_log("  node %d: %s: %s", server, command, reply->str);
	freeReplyObject(reply);
	return ok;
}

static bool is_well(struct chaos *chaos, int server, const char *text)
{
	redisReply *reply = redis_cmd_at(stack_of(chaos), server, "CLUSTER INFO");
	bool well = reply->type == REDIS_REPLY_STRING && strstr(reply->str, text) != NULL;

	freeReplyObject(reply);
	return well;
}

/* One that starts again answers nothing for two seconds. */
void shards_wait(struct chaos *chaos, int server)
{
	int64_t limit = now_ms() + patience(WELL_WITHIN);

	while (!is_well(chaos, server, "cluster_state:ok") && now_ms() < limit)
		conn_turn(chaos, now_ms() + 20);
}

void shards_join(struct chaos *chaos)
{
	for (int i = 0; i < NODES; i++) {
		char command[80];

		snprintf(command, sizeof command, "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
		tell(chaos, i, command);
		for (unsigned p = (unsigned)i; p < stack_of(chaos)->partitions; p += NODES) {
			unsigned part = LAYOUT_SLOTS / stack_of(chaos)->partitions;

			snprintf(command, sizeof command, "CLUSTER ADDSLOTSRANGE %u %u", p * part,
				 (p + 1) * part - 1);
			tell(chaos, i, command);
		}
		if (i == 0)
			continue;
		snprintf(command, sizeof command, "CLUSTER MEET 127.0.0.1 %d %d",
			 chaos->stand.ports[0], chaos->stand.bus[0]);
		tell(chaos, i, command);
	}
	for (int i = 0; i < NODES; i++) {
		WAIT_UNTIL(is_well(chaos, i, "cluster_slots_assigned:16384"), WELL_WITHIN);
		shards_wait(chaos, i);
	}
}

/* --- a partition moves ----------------------------------------------------------------------- */

static bool set_slot(struct chaos *chaos, int server, const char *what, int other)
{
	char *id = NULL, command[120];
	redisReply *reply = redis_cmd_at(stack_of(chaos), other, "CLUSTER MYID");

	id = xstrdup(reply->str);
	freeReplyObject(reply);
	snprintf(command, sizeof command, "CLUSTER SETSLOT %u %s %s",
		 slot_of(chaos, chaos->stand.moving), what, id);
	free(id);
	return tell(chaos, server, command);
}

/* Up to so many keys; false: there are more, or it cannot be now. */
static bool move_keys(struct chaos *chaos, int from, int to, int count)
{
	redisReply *keys = redis_cmd_at(stack_of(chaos), from, "CLUSTER GETKEYSINSLOT %u %d",
					slot_of(chaos, chaos->stand.moving), count);
	bool ok = keys->type == REDIS_REPLY_ARRAY && (int)keys->elements < count;

	for (size_t i = 0; keys->type == REDIS_REPLY_ARRAY && i < keys->elements; i++) {
		redisReply *reply = redis_cmd_at(
			stack_of(chaos), from, "MIGRATE 127.0.0.1 %d %b 0 2000",
			chaos->stand.ports[to], keys->element[i]->str, keys->element[i]->len);

		ok = ok && reply->type == REDIS_REPLY_STATUS;
		freeReplyObject(reply);
	}
	freeReplyObject(keys);
	return ok;
}

/* Partition 0 stays, with the other site's keys beside it. */
bool shards_begin_move(struct chaos *chaos, const struct step *step)
{
	struct stand *stand = &chaos->stand;
	int from;

	if (stand->moving != 0 || !stand_redis_answers(chaos))
		return false;
	stand->moving = 1 + step->arg % (stack_of(chaos)->partitions - 1);
	from = stand->owner[stand->moving];
	if (!set_slot(chaos, !from, "IMPORTING", from) ||
	    !set_slot(chaos, from, "MIGRATING", !from)) {
		stand->moving = 0;
		return false;
	}
	move_keys(chaos, from, !from, 5 + (int)step->arg * 10);
	return true;
}

/* What is published there is heard again. */
static void listen_anew(struct chaos *chaos)
{
	tap_drain(chaos);
	tap_close(chaos);
	if (stand_redis_answers(chaos))
		tap_open(chaos);
}

void shards_end_move(struct chaos *chaos)
{
	struct stand *stand = &chaos->stand;
	int from = stand->owner[stand->moving];

	stand->move_ends = true;
	/* Else at another turn: one of them is away, or full. */
	if (!stand_redis_answers(chaos) || !move_keys(chaos, from, !from, 10000) ||
	    !set_slot(chaos, !from, "NODE", !from) || !set_slot(chaos, from, "NODE", !from))
		return;
	stand->owner[stand->moving] = !from;
	chaos_log("  partition %u is at node %d", stand->moving, !from);
	stand->moving = 0;
	stand->move_ends = false;
	chaos->calm_since = now_ms();
	listen_anew(chaos);
}

void shards_turn(struct chaos *chaos)
{
	if (chaos->stand.move_ends)
		shards_end_move(chaos);
}
