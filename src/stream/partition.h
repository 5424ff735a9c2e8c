/*
 * One partition, as the parts of streamd see it: its store, the link to the
 * server that has it, and whether what that says can be relied on.
 *
 *   AWAY        the link is down: its users' changes are lost, sessions wait
 *   UNSETTLED   up again, or wiped: sessions are registered anew, and a first
 *               sweep is done, before anybody is looked at
 *   SETTLED     snapshots may be asked for
 */
#ifndef PRESENCE_STREAM_PARTITION_H
#define PRESENCE_STREAM_PARTITION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "store/store.h"
#include "stream/link.h"
#include "stream/partset.h"
#include "stream/state.h"

struct context;
struct partition;
struct asked;

/*
 * In a cluster: the node does not answer for the partition any more, and says why. Commands hear no answer
 * from then on, until partition_abandon().
 */
typedef void partition_refused(void *arg, const redisReply *reply);

enum partition_state { PARTITION_AWAY, PARTITION_UNSETTLED, PARTITION_SETTLED };
extern const struct state_names partition_states;

struct partition {
	struct context *context;
	unsigned number;
	enum partition_state state; /* recovery.c; the sets of the context say the same */
	const struct store *store; /* a reload replaces it */
	struct link *link; /* NULL: no server is known to have it */
	bool was_taken_over; /* by another server than before: what was written last may be missing */
	partition_refused *refused; /* in a cluster; else NULL */
	void *refused_arg;
	bool is_refused; /* it was called */
	TAILQ_HEAD(asked_list, asked) asked; /* commands without an answer; in a cluster */
	char *epoch; /* presence:epoch as seen last; NULL before (recovery.c) */
	bool is_rebuilding; /* wiped or lacks writes, and not all sessions are registered again */
	int64_t gap_ms; /* what Redis said of its users until then is not known any more */
	TAILQ_ENTRY(partition) due; /* in context->due */
	bool is_due;
};

/* Makes all partitions of the configuration, AWAY and without a link. */
void partition_open_all(struct context *context);
/* The configuration is another. */
void partition_reload_all(struct context *context);
void partition_close_all(struct context *context);

/* The partition of a user. */
struct partition *partition_of(const struct context *context, const char *id);

static inline bool partition_is_up(const struct partition *partition)
{
	return partition->link != NULL && link_is_up(partition->link);
}

/* As link_command(), to the server that has it. */
void partition_command(const struct partition *partition, const struct printbuf *command,
		       link_reply *done, void *arg);
/* In a cluster: commands without an answer hear that there will be none; the partition has no link. */
void partition_abandon(struct partition *partition);

void partition_set_state(struct partition *partition, enum partition_state state);

/* Something is to be asked of it: in this turn of the loop it is looked at. */
void partition_wake(struct partition *partition);
/* Takes the next one out; NULL: none is left. */
struct partition *partition_next(struct context *context);

#endif
