#include "stream/census.h"

#include <inttypes.h>

#include "base/log.h"

/* Every machine of a stream: the names of its states, and where the enum is. */
static const struct machine {
	const struct state_names *names;
	size_t offset;
} machines[] = {
	{&stream_phases, offsetof(struct stream, phase)},
	{&conn_states, offsetof(struct stream, conn.state)},
	{&conn_outputs, offsetof(struct stream, conn.output)},
	{&subscription_states, offsetof(struct stream, subscription.state)},
	{&session_states, offsetof(struct stream, session.state)},
	{&touch_states, offsetof(struct stream, session.touch)},
	{&session_answers, offsetof(struct stream, session.answer)},
	{&view_states, offsetof(struct stream, view.state)},
	{&pace_states, offsetof(struct stream, view.pace.state)},
	{&friends_states, offsetof(struct stream, friends.progress)},
	{&hidden_states, offsetof(struct stream, hidden.progress)},
	{&ticket_states, offsetof(struct stream, ticket.answer)},
};

static void log_counts(const struct state_names *names, const unsigned counts[STATE_MAX],
		       struct printbuf *line)
{
	buf_reset(line);
	for (unsigned state = 0; state < names->count; state++)
		buf_putf(line, " %s %u", state_name(names, state), counts[state]);
	log_info("state: %s:%s", names->machine, line->buf);
}

static void count_streams(const struct streams *streams, const struct machine *machine)
{
	unsigned counts[STATE_MAX] = {0};
	const struct stream *stream;

	TAILQ_FOREACH (stream, &streams->list, link) {
		const void *state = (const char *)stream + machine->offset;

		counts[*(const unsigned *)state % STATE_MAX]++;
	}
	log_counts(machine->names, counts, streams->context->scratch);
}

static void count_topics(const struct streams *streams)
{
	const struct hub *hub = &streams->context->hub;
	unsigned counts[STATE_MAX] = {0};

	for (uint32_t number = 1; number < hub->next_topic; number++) {
		if (hub->topics[number] != NULL)
			counts[hub->topics[number]->state]++;
	}
	log_counts(&topic_states, counts, streams->context->scratch);
}

/* Sessions to close, and to register after a gap. */
static void count_homes(const struct streams *streams, unsigned *to_close, unsigned *to_register)
{
	*to_close = *to_register = 0;
	for (unsigned i = 0; i < streams->context->partition_count; i++) {
		*to_close += streams->homes[i].closings.count;
		*to_register += streams->homes[i].sessions.recovering;
	}
}

static void count_partitions(const struct streams *streams)
{
	const struct context *context = streams->context;
	unsigned counts[STATE_MAX] = {0};

	if (context->partition_count == 1)
		return;
	for (unsigned i = 0; i < context->partition_count; i++)
		counts[context->partitions[i].state]++;
	log_counts(&partition_states, counts, context->scratch);
}

void census_log(const struct streams *streams, const struct dispatch *dispatch)
{
	const struct context *context = streams->context;
	unsigned to_close, to_register;

	for (unsigned i = 0; i < context->link_count; i++)
		log_info("state: link %s, %u connections, %u streams of at most %u%s",
			 state_name(&link_states, link_state(context->links[i])),
			 streams->conns.count, streams->count, streams->max,
			 context->draining ? ", stopping" : "");
	count_partitions(streams);
	for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++)
		count_streams(streams, &machines[i]);
	count_topics(streams);
	count_homes(streams, &to_close, &to_register);
	log_info("state: %u sessions to close, %u to register after a gap, %" PRIu64
		 " readers were too slow, %" PRIu64 " messages were dropped",
		 to_close, to_register, streams->snapshots.overruns, dispatch->dropped);
}
