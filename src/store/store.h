/*
 * The store's vocabulary: for each operation a function that appends the
 * command to a pipeline and one that reads its reply. They know no connection,
 * so presence-api runs them over blocking.h and streamd over stream/link.h.
 *
 * The operations that change presence are Lua scripts (scripts/), atomic on
 * Redis' own clock; contract: docs/redis-keys.md.
 */
#ifndef PRESENCE_STORE_STORE_H
#define PRESENCE_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/userid.h"
#include "store/scripts.h"

#define STORE_BATCH_MAX 100 /* sessions in one touch or close: bounds how long a script runs */
#define STORE_SWEEP_MAX 200 /* users in one sweep */
#define STORE_STREAM_LEN 22 /* characters of a stream's random id */

struct store;

/*
 * One partition: its number, what stands before its keys and channels
 * (layout_prefix()), and what the scripts need of the configuration, prepared
 * once. Free with store_free(). Who has users has a store for each partition:
 * partitions.h.
 */
struct store *store_new(const struct config *config, unsigned partition, const char *prefix);
void store_free(struct store *store);
unsigned store_partition(const struct store *store);
const char *store_prefix(const struct store *store);
/* In a Redis Cluster: channels are sharded (SSUBSCRIBE). */
bool store_is_sharded(const struct store *store);
/* The age of presence:swept from which on everything stood still, and [presence] stream_ttl. */
int64_t store_pause_ms(const struct store *store);
int64_t store_stream_ttl_ms(const struct store *store);

/*
 * Appends a call of a script with `argc` arguments, which the caller appends. In a cluster it declares a key of the
 * partition, so that a node that does not have it answers MOVED.
 */
void store_put_evalsha(struct printbuf *out, const struct store *store, enum script script,
		       unsigned argc);

/* The same for a script that begins with head.lua: what that reads, and `argc` more arguments. */
void store_put_script(struct printbuf *out, const struct store *store, enum script script,
		      size_t argc);

/* Whether a reply says that Redis does not know a script (any more). */
bool store_is_noscript(const redisReply *reply);

/*
 * Whether an error is about Redis (loading, full, a replica, rights that the
 * ACL lacks, ...), not about the command: what was asked for is not done, and
 * may be asked for again once Redis is well. A script's error says "ERR
 * user_script:LINE: " in front of its code.
 */
bool store_is_outage(const redisReply *reply);

/* Whether it is one that a server gives which is not the primary, or not any more. */
bool store_is_no_primary(const redisReply *reply);

enum store_verdict {
	STORE_DONE = 0,
	STORE_REVOKED = 1, /* the token was revoked, nothing changed */
	STORE_TOO_MANY = 2, /* streams, or blocks; nothing changed */
	STORE_FAILED = 3, /* an error: the reply's, or a key of this user has a wrong type */
	STORE_TOO_OFTEN = 4, /* nothing changed */
};

/* The integer at `index` of an array reply, bounded (base/number.h); false when there is none. */
bool store_read_integer(const redisReply *reply, size_t index, int64_t *number);
enum store_verdict store_read_verdict(const redisReply *reply, size_t index);
/* Of one user alone: {verdict, ...}, or {STORE_TOO_OFTEN, ms}, of which *wait becomes the seconds. */
enum store_verdict store_read_verdict_or_wait(const redisReply *reply, int64_t *wait);

/* Who touches; a worker sweeps a few expired users along with it where no streamd does. */
enum store_caller {
	STORE_STREAMD,
	STORE_WORKER,
	/*
	 * One that has seen an epoch: a Redis without was wiped, and a touch brings nobody online
	 * until those who hide are known again. Likewise a streamd, always.
	 */
	STORE_WORKER_KNOWING,
};

/* What the client says of itself: nobody is at the device. */
enum store_idle {
	STORE_IDLE_UNSAID, /* the token stays what it is */
	STORE_ACTIVE,
	STORE_IDLE,
	STORE_BORN_IDLE, /* a stream that opens so, unless the token has sessions already */
};

/* A session to create or renew. Texts are borrowed for the call. */
struct store_touch {
	const struct userid *user;
	const char *tok; /* the token's name */
	int64_t iat; /* seconds, the token's `issued` (token.h); 0 when it has none */
	const char *stream; /* a stream's random id, or NULL */
	bool token; /* renew the token's own session; without a stream either: only look whether it is revoked */
	/* login, activity or stream_open: published if it brings the user online */
	const char *reason;
	enum store_idle idle;
	/*
	 * What the caller knows of the state that the user chose, for a Redis that was wiped:
	 * its JSON, "-" for none, NULL when it does not know. Without it nobody comes online while
	 * Redis is recovering, for the user may have chosen to be invisible.
	 */
	const char *chosen;
	bool wants_self; /* store_read_self() */
};

/* A user's own view; borrowed from the reply. */
struct store_self {
	const char *status; /* the STATUS, a JSON object, with "invisible":true for one who is */
	size_t status_len;
	const char *chosen; /* the chosen state as it is stored; "" = none */
};

/* Touches up to STORE_BATCH_MAX sessions. */
void store_put_touch(struct printbuf *out, const struct store *store, enum store_caller caller,
		     const struct store_touch *items, size_t count);
/*
 * The verdict on item `index`. A stream without a session, be it a new one or one
 * that comes back, may get STORE_TOO_MANY.
 */
enum store_verdict store_read_touch(const redisReply *reply, size_t index);

/* The own view that item `index` asked for; false when there is none, as in a refusal. */
bool store_read_self(const redisReply *reply, size_t index, struct store_self *self);

/*
 * The state that a user chooses: activity of the token, unless it hides the
 * user, and in one step with that. At most 5 in 30 seconds.
 */
struct store_choose {
	const struct userid *user;
	const char *tok;
	int64_t iat; /* seconds, the token's `issued` */
	const char *state; /* a JSON object without its last brace; NULL: automatic again */
	int64_t holds; /* seconds; 0 = until another one is chosen */
};
void store_put_choose(struct printbuf *out, const struct store *store,
		      const struct store_choose *choose);
/* STORE_DONE with *self, STORE_TOO_OFTEN with the seconds to wait, STORE_REVOKED or STORE_FAILED. */
enum store_verdict store_read_choose(const redisReply *reply, struct store_self *self,
				     int64_t *wait);

/* A user's settings, a JSON object or "" for none. `iat`: the token's `issued`. */
void store_put_settings(struct printbuf *out, const struct store *store, const struct userid *user,
			const char *tok, int64_t iat, const char *settings);
/* Of settings or a WebSocket session: STORE_DONE; STORE_REVOKED, after a touch that let the token in. */
enum store_verdict store_read_noted(const redisReply *reply);

/* Redis' clock, which a place's times are of; bounded likewise. */
void store_put_time(struct printbuf *out);
bool store_read_time(const redisReply *reply, int64_t *now_ms);

/*
 * A stream that closed `ago_ms` ago: its session, and with the token's last
 * stream the token's, ends `grace` after that. May be said again, until
 * store_read_close() says STORE_DONE of it (also when there was nothing to end).
 */
struct store_close {
	const struct userid *user;
	const char *tok;
	const char *stream;
	int64_t ago_ms;
};
void store_put_close(struct printbuf *out, const struct store *store,
		     const struct store_close *items, size_t count);
/* STORE_DONE or STORE_FAILED of item `index`; on an error see store_is_outage(). */
enum store_verdict store_read_close(const redisReply *reply, size_t index);

/* Logout (tok set: this token; all: every one) and kick (tok NULL, all true). */
struct store_end {
	const struct userid *user;
	const char *tok;
	int64_t iat, exp; /* seconds */
	bool all;
	const char *reason; /* logout or kicked */
	bool knows_epoch; /* the caller has seen one: a Redis without was wiped just now */
	/*
	 * With `all` and no tok: nothing of the user is kept but the time before
	 * which tokens are refused. What stands elsewhere: traces.h.
	 */
	bool forget;
};
void store_put_end(struct printbuf *out, const struct store *store, const struct store_end *end);
enum store_verdict store_read_end(const redisReply *reply);

/* Deletes a String, whose whole name is `key`, if it still has that value. */
void store_put_drop(struct printbuf *out, const struct store *store, const char *key, size_t len,
		    const char *value);

/*
 * Ends up to STORE_SWEEP_MAX users whose deadline has passed. A streamd notes
 * the time of the sweep, and makes the epoch `word` when Redis has none.
 */
void store_put_sweep(struct printbuf *out, const struct store *store, bool streamd,
		     const char *word);
struct store_sweep {
	bool more; /* call again at once */
	bool recovers; /* Redis was wiped, and somebody may still have to fill it */
	int64_t hold; /* another than before: all stood still (docs/redis-keys.md); 0: none */
	const char *epoch; /* borrowed from the reply */
	/* A streamd's sweep alone: now and then a sample of online_users that was compared with other keys; */
	int64_t checked, repaired; /* those of it that were not as these say */
	size_t offline; /* users who are now: see store_read_lateness() */
};
/* False on an error reply. */
bool store_read_sweep(const redisReply *reply, struct store_sweep *sweep);
/* Of one of these: how long ago its last deadline was when it was announced, ms. */
int64_t store_read_lateness(const redisReply *reply, size_t index);

/*
 * Asks for the epoch alone, made `word` when Redis has none. `known` is the one
 * that the caller knew before (NULL: none): when it is another one now, Redis
 * was wiped, and says that it is recovering. NULL from store_read_epoch() on
 * an error; else borrowed from the reply.
 */
void store_put_epoch(struct printbuf *out, const struct store *store, const char *word,
		     const char *known);
const char *store_read_epoch(const redisReply *reply);
/*
 * A plain command: Redis was wiped and is still being filled again, so who looks
 * offline may not be, for store_recovering_ms() more. See status_is_recovering().
 */
void store_put_recovering(struct printbuf *out, const struct store *store);
int64_t store_recovering_ms(const struct config *config);

/*
 * Does what calls need without leaving anything: its reply is an error when
 * Redis does not do that. `all`: a right that the ACL lacks is not an error, the
 * reply is an array of texts, "COMMAND key", of all that are missing.
 */
void store_put_health(struct printbuf *out, const struct store *store, bool all);

/* Notes a WebSocket session of the site's own for online_ttl; store_read_noted(). */
void store_put_websocket(struct printbuf *out, const struct store *store, const struct userid *user,
			 const char *tok, int64_t iat, const char *session);

#endif
