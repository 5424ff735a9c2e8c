#include "stream/shard.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "store/cluster.h"
#include "store/keys.h"
#include "store/layout_key.h"
#include "store/resp.h"

static const struct state_names shard_states = {
	"shard", 5, {"AWAY", "GREETING", "GREETED", "HERE", "REFUSED"}};

static void on_refused(void *arg, const redisReply *reply);

void shard_init(struct shard *shard, struct exchange *exchange, struct partition *partition,
		const struct shard_events *events, void *arg)
{
	const char *prefix = store_prefix(partition->store);

	*shard = (struct shard){.exchange = exchange,
				.partition = partition,
				.events = events,
				.arg = arg,
				.slot = cluster_slot(prefix, strlen(prefix)),
				.owner = SHARD_NOWHERE,
				.last = SHARD_NOWHERE};
	partition->refused = on_refused;
	partition->refused_arg = shard;
}

void shard_set_state(struct shard *shard, enum shard_state state)
{
	if (shard->state != state)
		log_debug("partition %u: %s -> %s", shard->partition->number,
			  state_name(&shard_states, shard->state),
			  state_name(&shard_states, state));
	shard->state = state;
	shard->events->changed(shard->arg, state);
}

static void on_refused(void *arg, const redisReply *reply)
{
	struct shard *shard = arg;

	shard->events->refused(shard->arg, shard, reply);
	shard_set_state(shard, SHARD_REFUSED);
}

void shard_take_down(struct shard *shard, uint64_t *down)
{
	partset_add(down, shard->partition->number);
	shard->left_ms = times_mono_ms();
	partition_abandon(shard->partition);
	shard_set_state(shard, SHARD_AWAY);
}

void shard_put_up(struct shard *shard, struct link *link, int64_t since_ms, uint64_t *up)
{
	struct partition *partition = shard->partition;

	partition->link = link;
	partition->was_taken_over = shard->last != SHARD_NOWHERE && shard->last != shard->owner &&
				    since_ms >= shard->left_ms;
	shard->last = shard->owner;
	partset_add(up, partition->number);
	shard_set_state(shard, SHARD_HERE);
}

/* --- greeting -------------------------------------------------------------------------------- */

struct greeting {
	struct shard *shard;
	unsigned number; /* of the shard's greetings */
	bool is_refused; /* by the answer to the first of its commands */
};

static bool is_current(const struct greeting *greeting)
{
	return greeting->shard->state == SHARD_GREETING &&
	       greeting->number == greeting->shard->asked;
}

static void refuse(struct greeting *greeting, const redisReply *reply)
{
	struct shard *shard = greeting->shard;

	greeting->is_refused = true;
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR && is_current(greeting))
		shard->events->refused(shard->arg, shard, reply);
}

/* A key that is nowhere: a node whose slot is moving does not answer for it. */
static void on_probed(void *arg, const redisReply *reply)
{
	if (reply == NULL || reply->type != REDIS_REPLY_INTEGER)
		refuse(arg, reply);
}

static void on_greeted(void *arg, const redisReply *reply)
{
	struct greeting *greeting = arg;
	struct shard *shard = greeting->shard;

	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		refuse(greeting, reply);
	if (is_current(greeting)) {
		if (!greeting->is_refused &&
		    recovery_read_greeting(&shard->exchange->recovery, shard->partition, reply))
			shard_set_state(shard, SHARD_GREETED);
		else
			shard_set_state(shard, SHARD_AWAY);
	}
	free(greeting);
}

static void put_probe(struct printbuf *out, const struct partition *partition)
{
	resp_begin(out, 2);
	resp_text(out, "EXISTS");
	resp_key(out, store_prefix(partition->store), KEY_HEALTH, "");
}

void shard_greet(struct shard *shard, struct link *link)
{
	const struct context *context = shard->partition->context;
	struct printbuf *command = context->scratch;
	struct greeting *greeting = xcalloc(1, sizeof *greeting);

	shard_set_state(shard, SHARD_GREETING);
	greeting->shard = shard;
	greeting->number = ++shard->asked;
	buf_reset(command);
	put_probe(command, shard->partition);
	link_command(link, command, on_probed, greeting);
	buf_reset(command);
	recovery_put_greeting(shard->partition, command);
	link_command(link, command, on_greeted, greeting);
	if (shard->partition->number > 0)
		return;
	buf_reset(command);
	layout_put_note(command, context->config, 1);
	link_command(link, command, NULL, NULL);
}
