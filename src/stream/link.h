/*
 * Redis for an event loop: one connection for commands, one for
 * subscriptions, opened together, lost together and found again with a
 * jittered back-off.
 *
 * It stands on connections of our own (store/connection.h) rather than on
 * hiredis' async API: that one aborts on an UNSUBSCRIBE of the last channel,
 * loses the callback of a channel that is subscribed again before its
 * UNSUBSCRIBE is answered, keeps a dictionary entry per channel, and frees its
 * context under its caller.
 *
 * What is asked for in one turn of the loop goes out in one write, by
 * link_flush(). Nothing waits longer than redis.timeout_ms: a watchdog checks
 * the health of both connections (a message on a channel of its own comes the
 * whole way round; in a cluster, where no channel need stay, a PING on each) and takes an answer that is overdue as a loss.
 *
 * The back-off starts over when such a check succeeds, not when a connection
 * does: a Redis that answers every transition with an error is not asked again
 * and again. One log line tells of each change between working and not.
 */
#ifndef PRESENCE_STREAM_LINK_H
#define PRESENCE_STREAM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/config.h"
#include "stream/pending.h"
#include "stream/state.h"
#include "stream/target.h"

#define LINK_PENDING_MAX 20000 /* commands without an answer: more means that Redis is lost */
#define LINK_SUBSCRIBE_MAX 500 /* channels in one SUBSCRIBE or UNSUBSCRIBE */

enum link_state {
	LINK_IDLE, /* not started, or stopped */
	LINK_WAITING, /* for the next attempt */
	LINK_CONNECTING, /* asking Sentinels where the primary is, if there are any; both connections */
	LINK_HANDSHAKE, /* AUTH, SELECT, INFO, SCRIPT LOAD, SUBSCRIBE, the greeting: up when all are answered */
	LINK_UP,
};
extern const struct state_names link_states;

struct link;

struct link_events {
	/*
	 * Appends the last commands of the handshake, whose answers show that Redis can work;
	 * returns how many.
	 */
	unsigned (*put_greeting)(void *arg, struct printbuf *out);
	/* Such an answer, borrowed, to the command of that index; NULL, or what is wrong with it. */
	const char *(*read_greeting)(void *arg, unsigned index, const redisReply *reply);
	/* Both connections work and the scripts are loaded; no channel is subscribed. */
	void (*up)(void *arg);
	/* Lost: every pending callback was called with NULL just before. */
	void (*down)(void *arg);
	/* A published message; channel without the prefix. Both are borrowed. */
	void (*message)(void *arg, const char *channel, const char *text, size_t len);
	/* One more subscription is confirmed: see link_acked(). */
	void (*subscribed)(void *arg);
	/* A health check came back after so many us: a message to ourselves; in a cluster a PING. */
	void (*echo)(void *arg, int64_t us);
	/* Something was queued: call link_flush() at the end of this turn. */
	void (*pending)(void *arg);
	/*
	 * In a cluster: the node refuses subscriptions to channels of this slot, with the reason, or has
	 * ended those that there were (NULL).
	 */
	void (*unsubscribed)(void *arg, unsigned slot, const redisReply *reason);
};

struct link *link_new(struct event_base *base, const struct config *config,
		      const struct link_place *place, const struct link_events *events, void *arg);
void link_free(struct link *link); /* pending callbacks are called with NULL */

/* Starts connecting, from LINK_IDLE; from then on the link looks after itself. */
void link_start(struct link *link);
/* Gives up both connections, for good: pending callbacks are called with NULL, down() is not. */
void link_stop(struct link *link);

/* The configuration has another user or password: for the connections to come. */
void link_take_login(struct link *link);

bool link_is_up(const struct link *link);
enum link_state link_state(const struct link *link);
/*
 * Up again: another server is the primary, or Redis was started again (another
 * master_replid). What was written last before the loss may be missing, though
 * presence:epoch is the same.
 */
bool link_lacks_writes(const struct link *link);

/*
 * The answer to a command, borrowed; NULL when the link was lost before it
 * came, and the command may or may not have been done. An error reply is
 * passed on only when it is about this command; one that says that Redis
 * cannot work (loading, read-only, out of memory, script unknown, ...) counts
 * as a loss.
 */
typedef pending_reply link_reply;

/* Queues one command in RESP. Only while link_is_up(). */
void link_command(struct link *link, const struct printbuf *command, link_reply *done, void *arg);

/*
 * Queues a subscription to channels of one partition, whose prefix is added,
 * 1..LINK_SUBSCRIBE_MAX of them; returns its serial. Only while link_is_up().
 */
uint64_t link_subscribe(struct link *link, const char *prefix, const char *const *channels,
			size_t count);
uint64_t link_serial(const struct link *link); /* of the last subscription asked for */
uint64_t link_acked(const struct link *link); /* of the last one confirmed */
void link_unsubscribe(struct link *link, const char *prefix, const char *const *channels,
		      size_t count);

/* Writes what is queued, if anything is. */
void link_flush(struct link *link);

/* Gives up both connections and starts over: what Redis holds cannot be relied on. */
void link_lost(struct link *link, const char *why);

#endif
