#include "stream/sweep.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/random.h"
#include "base/times.h"

const struct state_names sweep_states = {"sweep", 2, {"IDLE", "ASKED"}};

static void ask(struct sweep *sweep);

static bool is_recovering(const struct sweep *sweep)
{
	return sessions_are_recovering(&sweep->home->sessions);
}

static void set_state(struct sweep *sweep, enum sweep_state state)
{
	sweep->state = state;
	partition_wake(sweep->home->partition);
}

static void count(struct counts *counts, const redisReply *reply, const struct store_sweep *swept)
{
	counts->ghosts_checked += swept->checked;
	counts->ghosts_repaired += swept->repaired;
	if (swept->repaired > 0)
		log_warn("redis: %" PRId64 " of %" PRId64
			 " users were not as their sessions say, and are now",
			 swept->repaired, swept->checked);
	for (size_t i = 0; i < swept->offline; i++)
		counts_offline(counts, store_read_lateness(reply, i));
}

/*
 * All stood still, and who had lapsed is back without a word: who was told of them in between looks
 * again. Before the partition is settled nobody was.
 */
static void learn_hold(struct sweep *sweep, int64_t hold)
{
	if (hold != 0 && hold != sweep->hold && sweep->home->partition->state == PARTITION_SETTLED)
		recovery_gap(sweep->recovery, sweep->home->partition);
	sweep->hold = hold;
}

static void on_swept(void *arg, const redisReply *reply)
{
	struct sweep *sweep = arg;
	struct store_sweep swept = {.more = false};

	set_state(sweep, SWEEP_IDLE);
	if (reply == NULL)
		return;
	if (store_read_sweep(reply, &swept)) {
		count(&sweep->home->partition->context->counts, reply, &swept);
		recovery_learn_epoch(sweep->recovery, sweep->home->partition, swept.epoch);
		learn_hold(sweep, swept.hold);
	} else {
		log_warn("redis: a sweep failed: %s",
			 reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply");
	}
	sweep->waits = swept.recovers;
	if (sweep->waits || is_recovering(sweep))
		sweep->comes_first = true;
	else if (!swept.more)
		sweep->comes_first = false;
	if (swept.more && !is_recovering(sweep))
		ask(sweep);
}

static void ask(struct sweep *sweep)
{
	const struct partition *partition = sweep->home->partition;
	struct printbuf *command = partition->context->scratch;
	char candidate[RANDOM_ID_LEN + 1];

	random_id(candidate);
	buf_reset(command);
	store_put_sweep(command, partition->store, true, candidate);
	set_state(sweep, SWEEP_ASKED);
	sweep->asked_ms = times_mono_ms();
	partition_command(partition, command, on_swept, sweep);
}

void sweep_first(struct sweep *sweep)
{
	sweep->comes_first = true;
	sweep->waits = false;
}

void sweep_flush(struct sweep *sweep)
{
	if (sweep->comes_first && !sweep->waits && sweep->state == SWEEP_IDLE &&
	    !is_recovering(sweep))
		ask(sweep);
}

bool sweep_is_settled(const struct sweep *sweep)
{
	return !sweep->comes_first && !is_recovering(sweep);
}

void sweep_tick(struct sweep *sweep, int64_t now_ms)
{
	/* The tick that is due may come a little early or late: it is the one that counts. */
	int64_t every = (int64_t)sweep->home->partition->context->config->presence.sweep * 1000 -
			SWEEP_TICK_MS / 2;

	/* After a gap live sessions are registered again first, or the sweep would expire them. */
	if (sweep->state == SWEEP_IDLE && !is_recovering(sweep) &&
	    (sweep->waits || now_ms - sweep->asked_ms >= every))
		ask(sweep);
}
