#include "stream/partition.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "store/cluster.h"
#include "store/layout.h"
#include "stream/context.h"

const struct state_names partition_states = {"partition", 3, {"AWAY", "UNSETTLED", "SETTLED"}};

void partition_open_all(struct context *context)
{
	unsigned count = (unsigned)context->config->redis.partitions;

	context->stores = partitions_new(context->config);
	context->partition_count = count;
	context->partitions = xcalloc(count, sizeof *context->partitions);
	context->set_words = partset_words(count);
	context->away = xcalloc(context->set_words, sizeof *context->away);
	context->unsettled = xcalloc(context->set_words, sizeof *context->unsettled);
	TAILQ_INIT(&context->due);
	for (unsigned i = 0; i < count; i++) {
		struct partition *partition = &context->partitions[i];

		partition->context = context;
		partition->number = i;
		TAILQ_INIT(&partition->asked);
		partition->store = partitions_at(context->stores, i);
		partset_add(context->away, i);
		partset_add(context->unsettled, i);
	}
}

void partition_reload_all(struct context *context)
{
	struct partitions *stores = partitions_new(context->config);

	for (unsigned i = 0; i < context->partition_count; i++)
		context->partitions[i].store = partitions_at(stores, i);
	partitions_free(context->stores);
	context->stores = stores;
}

void partition_close_all(struct context *context)
{
	for (unsigned i = 0; i < context->partition_count; i++)
		free(context->partitions[i].epoch);
	partitions_free(context->stores);
	free(context->partitions);
	free(context->away);
	free(context->unsettled);
}

struct partition *partition_of(const struct context *context, const char *id)
{
	return &context->partitions[layout_partition(context->partition_count, id)];
}

/* --- commands -------------------------------------------------------------------------------- */

struct asked {
	TAILQ_ENTRY(asked) link;
	struct partition *partition; /* NULL: nobody waits any more */
	link_reply *done;
	void *arg;
	bool is_over; /* the server has said what there is to be said */
};

static void finish(struct asked *asked, const redisReply *reply)
{
	TAILQ_REMOVE(&asked->partition->asked, asked, link);
	if (asked->done != NULL)
		asked->done(asked->arg, reply);
}

static void on_answer(void *arg, const redisReply *reply)
{
	struct asked *asked = arg;
	struct partition *partition = asked->partition;
	struct cluster_redirect redirect;

	asked->is_over = true;
	if (partition != NULL && !partition->is_refused && reply != NULL &&
	    cluster_read_error(reply, &redirect) != CLUSTER_NO_ERROR) {
		partition->is_refused = true;
		partition->refused(partition->refused_arg, reply);
	}
	/* What comes after a refusal is not heard: it would be out of order. */
	if (partition != NULL && reply != NULL && partition->is_refused)
		return;
	if (partition != NULL)
		finish(asked, reply);
	free(asked);
}

void partition_command(const struct partition *partition, const struct printbuf *command,
		       link_reply *done, void *arg)
{
	struct partition *own = &partition->context->partitions[partition->number];
	struct asked *asked;

	if (partition->refused == NULL) {
		link_command(partition->link, command, done, arg);
		return;
	}
	asked = xmalloc(sizeof *asked);
	*asked = (struct asked){.partition = own, .done = done, .arg = arg};
	TAILQ_INSERT_TAIL(&own->asked, asked, link);
	link_command(partition->link, command, on_answer, asked);
}

void partition_abandon(struct partition *partition)
{
	struct asked *asked;

	partition->link = NULL;
	while ((asked = TAILQ_FIRST(&partition->asked)) != NULL) {
		finish(asked, NULL);
		asked->partition = NULL;
		if (asked->is_over)
			free(asked);
	}
	partition->is_refused = false;
}

/* --- states ---------------------------------------------------------------------------------- */

void partition_set_state(struct partition *partition, enum partition_state state)
{
	struct context *context = partition->context;
	unsigned number = partition->number;

	partition->state = state;
	if (state == PARTITION_AWAY)
		partset_add(context->away, number);
	else
		partset_remove(context->away, number);
	if (state == PARTITION_SETTLED)
		partset_remove(context->unsettled, number);
	else
		partset_add(context->unsettled, number);
}

void partition_wake(struct partition *partition)
{
	if (!partition->is_due) {
		partition->is_due = true;
		TAILQ_INSERT_TAIL(&partition->context->due, partition, due);
	}
	turn_schedule(&partition->context->turn);
}

struct partition *partition_next(struct context *context)
{
	struct partition *partition = TAILQ_FIRST(&context->due);

	if (partition != NULL) {
		TAILQ_REMOVE(&context->due, partition, due);
		partition->is_due = false;
	}
	return partition;
}
