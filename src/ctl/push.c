/* presencectl: Web Push. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/vapid.h"
#include "base/alloc.h"
#include "base/json.h"
#include "ctl/ctl.h"
#include "store/push.h"

enum ctl_exit ctl_push_key(struct ctl *ctl, char **args, int count)
{
	char *pem = vapid_make_key();

	(void)ctl, (void)args, (void)count;
	if (pem == NULL)
		return ctl_fail("OpenSSL cannot make a key");
	fputs(pem, stdout);
	free(pem);
	return CTL_DONE;
}

static void put_waiting(struct printbuf *out, const struct push_state *state, bool json)
{
	if (json)
		buf_putf(out, "{\"queue\":%" PRId64 ",\"later\":%" PRId64 ",\"outcomes\":{",
			 state->queue, state->later);
	else
		buf_putf(out, "%-12s %" PRId64 "\n%-12s %" PRId64 "\n", "in the queue",
			 state->queue, "wait", state->later);
}

/* What became of the others, name by name. */
static void put_outcomes(struct printbuf *out, const redisReply *outcomes, bool json)
{
	for (size_t i = 0; i + 1 < outcomes->elements; i += 2) {
		long long number = strtoll(outcomes->element[i + 1]->str, NULL, 10);

		if (json) {
			buf_puts(out, i > 0 ? "," : "");
			json_put_string(out, outcomes->element[i]->str, outcomes->element[i]->len);
			buf_putf(out, ":%lld", number);
		} else {
			buf_putf(out, "%-12s %lld\n", outcomes->element[i]->str, number);
		}
	}
}

/* Adds what a partition has. */
static void add_state(struct push_state *sum, const struct push_state *state)
{
	sum->queue += state->queue;
	sum->later += state->later;
	if (state->ticked_ms < 0 || sum->ticked_ms < 0)
		sum->ticked_ms = -1;
	else if (state->ticked_ms > sum->ticked_ms)
		sum->ticked_ms = state->ticked_ms;
}

static size_t count_replies(const struct ctl *ctl)
{
	return (size_t)partitions_count(ctl->partitions) * PUSH_STATE_COMMANDS;
}

void ctl_free_push(struct ctl *ctl, redisReply **replies)
{
	blocking_free_replies(replies, count_replies(ctl));
	free(replies);
}

bool ctl_push_sum(struct ctl *ctl, struct push_state *state, redisReply ***replies)
{
	unsigned partitions = partitions_count(ctl->partitions);
	struct push_state one;

	*replies = xcalloc(count_replies(ctl), sizeof **replies);
	nodes_begin(ctl->nodes);
	for (unsigned i = 0; i < partitions; i++) {
		const struct store *store = partitions_at(ctl->partitions, i);

		push_put_state(nodes_to(ctl->nodes, store), store);
	}
	if (!nodes_run(ctl->nodes, count_replies(ctl), *replies)) {
		free(*replies);
		return false;
	}
	*state = (struct push_state){.queue = 0};
	for (unsigned i = 0; i < partitions; i++) {
		if (!push_read_state(*replies + (size_t)i * PUSH_STATE_COMMANDS, &one))
			continue;
		add_state(state, &one);
		if (i == 0) /* the first has those of all */
			state->outcomes = one.outcomes;
	}
	return true;
}

enum ctl_exit ctl_push_state(struct ctl *ctl, char **args, int count)
{
	struct push_state state;
	redisReply **replies;
	struct printbuf *out;

	(void)args, (void)count;
	if (!ctl_push_sum(ctl, &state, &replies)) {
		ctl_say_redis(ctl);
		return CTL_FAILED;
	}
	out = buf_new();
	if (state.outcomes != NULL) {
		put_waiting(out, &state, ctl->json);
		put_outcomes(out, state.outcomes, ctl->json);
		buf_puts(out, ctl->json ? "}}\n" : "");
		ctl_print(out);
	}
	printbuf_free(out);
	ctl_free_push(ctl, replies);
	return CTL_DONE;
}
