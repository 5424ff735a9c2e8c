/*
 * The store's vocabulary for Web Push: subscriptions, who waits for whom, and
 * the queue between presence-api and presence-pushd; contract:
 * docs/redis-keys.md. As in store.h, for each operation a function that appends
 * its command and one that reads the reply. No script touches keys of two users.
 */
#ifndef PRESENCE_STORE_PUSH_H
#define PRESENCE_STORE_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/userid.h"
#include "store/push_job.h"
#include "store/push_subscription.h"
#include "store/store.h"

#define PUSH_QUEUE_MAX 100000 /* notifications that wait: more are refused */
#define PUSH_WANTED_MAX 1000 /* friends one user waits for, and users who wait for one */
#define PUSH_WANTED_TTL 2592000 /* seconds that one waits for a friend: 30 days */
#define PUSH_RATE_MAX 6 /* notifications for one user in PUSH_RATE_WINDOW_MS */
#define PUSH_RATE_WINDOW_MS 3600000
#define PUSH_ENTRY_ID_MAX 40 /* characters of an entry's id in a stream */
#define PUSH_ONLINE_TTL 600 /* seconds: news that somebody is online are soon none */

/* --- for presence-api ------------------------------------------------------------------------ */

/* `iat`: the token's `issued`. False: the token is revoked. */
void push_put_subscribe(struct printbuf *out, const struct store *store, const struct userid *user,
			const char *tok, int64_t iat, const struct push_subscription *subscription);
bool push_read_subscribe(const redisReply *reply);

/*
 * Notes whose subscription this is now; the reply is whose it was, or nil: one
 * browser may see one user after the other, and has one endpoint for all.
 */
#define PUSH_OWNER_TTL 31536000 /* seconds */
void push_put_owner(struct printbuf *out, const struct store *store, const struct userid *user,
		    const char *id);

/* All of a user's; the reply is an array: id, JSON, id, JSON, … */
void push_put_subscriptions(struct printbuf *out, const struct store *store,
			    const struct userid *user);
/* Reads up to `max` of them, others' texts are skipped; returns how many. */
size_t push_read_subscriptions(const redisReply *reply, struct push_subscription *list, size_t max);

/* Removes one (replies 0 or 1). */
void push_put_unsubscribe(struct printbuf *out, const struct store *store,
			  const struct userid *user, const char *id);

/*
 * `user` wants to be told when `friend` comes online: the first of two commands,
 * after the token's touch. Where a block hides the
 * friend, or `name` is "" because they are not friends, it leads to nothing. The
 * reply is 1 when something was noted.
 */
void push_put_want(struct printbuf *out, const struct store *store, const struct userid *user,
		   const char *tok, int64_t iat, const struct userid *friend, const char *name);
/* The second. `noted`: the first has replied 1; else all is asked and nothing done. */
void push_put_wait(struct printbuf *out, const struct store *store, const struct userid *user,
		   const struct userid *friend, bool noted);
/* Takes the second back; push_put_told() the first. */
void push_put_unwait(struct printbuf *out, const struct store *store, const struct userid *user,
		     const struct userid *friend);

/* Queues a job. `always`: also for a user who has no subscription. */
enum push_queued { PUSH_QUEUED, PUSH_NOT_SUBSCRIBED, PUSH_FULL, PUSH_NOT_UNDERSTOOD };
void push_put_enqueue(struct printbuf *out, const struct store *store, const struct push_job *job,
		      bool always);
enum push_queued push_read_enqueue(const redisReply *reply);

/* --- for presence-pushd ---------------------------------------------------------------------- */

/* An entry of the queue. Borrowed from the reply. */
struct push_entry {
	const char *id, *job;
	size_t job_len;
};

/*
 * Takes up to `count` entries of each of these partitions' queues, which are on one
 * server, and in a cluster in one slot: so only one. Waits up to `block_ms` for the first;
 * 0: not at all.
 */
void push_put_take(struct printbuf *out, const struct store *const *stores, unsigned store_count,
		   const char *consumer, unsigned count, int block_ms);
/* Likewise those that this consumer had taken already. */
void push_put_take_own(struct printbuf *out, const struct store *const *stores,
		       unsigned store_count, const char *consumer, unsigned count);
/* A partition's array of entries in such a reply; NULL when it has none. */
const redisReply *push_read_take(const redisReply *reply, const struct store *store);
/* The entry at `index` of such an array; false when it is none of ours. */
bool push_read_entry(const redisReply *entries, size_t index, struct push_entry *entry);

/* The housekeeping of every `sweep` seconds; see push_tick.lua. */
void push_put_tick(struct printbuf *out, const struct store *store, const char *consumer,
		   int64_t lease_ms, unsigned due, unsigned claim);
/* *now_ms: Redis' clock; *claimed: an array of entries. False on an error. */
bool push_read_tick(const redisReply *reply, int64_t *now_ms, const redisReply **claimed);
/* Ends the lease, so that others claim at once what is left. */
void push_put_leave(struct printbuf *out, const struct store *store, const char *consumer);

/*
 * What decides whether a job is sent, at most PUSH_LOOK_COMMANDS commands: to the
 * partition of its user, and, where its friend is in another one, to that. Each
 * returns how many.
 */
#define PUSH_LOOK_COMMANDS 6
unsigned push_put_look(struct printbuf *out, const struct store *store, const struct push_job *job,
		       bool with_friend);
unsigned push_put_look_friend(struct printbuf *out, const struct store *store,
			      const struct push_job *job);
struct push_look {
	bool recovering; /* Redis was wiped, presence is not known yet */
	bool online, away; /* the user, as others see it */
	bool dnd; /* the user chose it, */
	int64_t dnd_ends_ms; /* until then; 0 = until another state is chosen */
	bool friend_online;
	bool friend_hidden; /* by a block of either */
	bool superseded; /* a newer job has this tag */
	bool wanted; /* the user still waits for that friend, */
	char name[PUSH_NAME_MAX + 1]; /* whose name this is */
	struct push_subscription subscriptions[PUSH_SUBSCRIPTIONS_MAX];
	size_t count;
};
/* Their replies; `friend`: that of push_put_look_friend(), NULL where it was not asked. */
bool push_read_look(redisReply *const *replies, const redisReply *friend,
		    const struct push_job *job, struct push_look *look);

/* Counts a notification; the reply is 1, or 0 when the user got PUSH_RATE_MAX already. */
void push_put_count(struct printbuf *out, const struct store *store, const struct userid *user);

/* A job that waits for `wait_ms`, in its new form; it leaves the queue. */
void push_put_later(struct printbuf *out, const struct store *store, const char *entry_id,
		    int64_t wait_ms, const struct push_job *job);
/* A job that is over. */
void push_put_done(struct printbuf *out, const struct store *store, const char *entry_id);
/* `user` was told that `friend` is online, or will not be. */
void push_put_told(struct printbuf *out, const struct store *store, const struct userid *user,
		   const struct userid *friend);
/* Adds to what is counted under that name. */
void push_put_outcome(struct printbuf *out, const struct store *store, const char *name,
		      unsigned count);

/* --- for presencectl ------------------------------------------------------------------------- */

/*
 * A piece of the queue: up to `count` entries after the one of id `after` ("0" =
 * from the first). The reply is an array for push_read_entry().
 */
void push_put_entries(struct printbuf *out, const struct store *store, const char *after,
		      unsigned count);
/* A piece of what waits, as SCAN does it: {cursor, {member, due, member, due, ...}}. */
void push_put_waiting(struct printbuf *out, const struct store *store, const char *cursor,
		      unsigned count);
/* The job in such a member. */
bool push_read_waiting(const redisReply *member, struct push_job *job);
/* Removes a member. */
void push_put_drop_waiting(struct printbuf *out, const struct store *store,
			   const redisReply *member);

#define PUSH_STATE_COMMANDS 5
struct push_state {
	int64_t queue, later; /* notifications that are to be sent, that wait */
	int64_t ticked_ms; /* how long ago a presence-pushd did its work; -1 = never */
	const redisReply *outcomes; /* name, number, name, number, … */
};
void push_put_state(struct printbuf *out, const struct store *store);
/* False when the replies are not of the kind. `outcomes` is borrowed from them. */
bool push_read_state(redisReply *const *replies, struct push_state *state);

#endif
