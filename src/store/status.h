/* A user's STATUS: what Redis holds of it, and its JSON. */
#ifndef PRESENCE_STORE_STATUS_H
#define PRESENCE_STORE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/times.h"
#include "base/userid.h"

#define STATUS_KEYS 4 /* keys of one user in the MGET of a snapshot */
#define STATUS_WORD_MAX 7

struct status {
	bool online;
	bool coarse; /* `seen` is rounded, and says so */
	uint64_t version; /* grows with every transition; 0 = never seen */
	char word[STATUS_WORD_MAX + 1]; /* when online: online, away, busy, meeting or dnd */
	char seen[TIMES_LEN + 1]; /* RFC 3339 of the last activity; "" = never, or not to be told */
	/* When online: the chosen text, emoji and end as JSON members, each after a comma; borrowed
	 * from the reply. NULL: none. */
	const char *members;
	size_t members_len;
};

/*
 * Appends `MGET` with what tells whether the answer can be believed, and the
 * keys of `count` users, which status_put_keys then adds one by one.
 */
void status_put_mget(struct printbuf *out, const char *prefix, unsigned count);
void status_put_keys(struct printbuf *out, const char *prefix, const struct userid *id);

/*
 * Reads the user at `index` of such a reply as others may see it: `rule` is the
 * site's, the user's own may be stricter. False when the reply is not an array
 * that long. What somebody else wrote into the keys reads as offline, never
 * seen, version 0 rather than as an error.
 */
bool status_read(const redisReply *reply, size_t index, enum last_seen rule, struct status *status);

/* Whether such a reply is from a wiped Redis that is not filled again: offline means nothing. */
bool status_is_recovering(const redisReply *reply);
/*
 * Whether what is not in Redis was never there or was deleted, rather than lost by a wipe: it has this
 * epoch, and no presence-streamd may still have to put something back.
 */
bool status_is_whole(const redisReply *reply, const char *epoch);
/* Whether it is from a Redis that was wiped since it had this epoch: it tells nothing of anybody. */
bool status_is_of_another(const redisReply *reply, const char *epoch);
/* The epoch of such a reply, borrowed; NULL when Redis has none. Another than before: wiped. */
const char *status_epoch(const redisReply *reply);
/*
 * Puts what pause_read_look() found where the reply has the user at `index`, whose
 * key is gone: the look must be kept as long as the reply.
 */
void status_use_look(redisReply *reply, size_t index, redisReply *look);

/* Appends a user's name in an object that maps ids to STATUS, and its colon. */
void status_put_name(struct printbuf *out, const struct userid *id);

/* Appends the STATUS object. */
void status_put_json(struct printbuf *out, const struct userid *id, const struct status *status);

/* Appends one's own STATUS, an object that Redis made (store_self), with the session of its reader. */
void status_put_own(struct printbuf *out, const char *status, size_t len, const char *session_id);

#endif
