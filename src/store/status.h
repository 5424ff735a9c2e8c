/* A user's STATUS: what Redis holds of it, and its JSON. */
#ifndef PRESENCE_STORE_STATUS_H
#define PRESENCE_STORE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/times.h"
#include "base/userid.h"

#define STATUS_KEYS 3 /* keys of one user in the MGET of a snapshot */

struct status {
	bool online;
	uint64_t version; /* grows with every transition; 0 = never seen */
	char seen[TIMES_LEN + 1]; /* RFC 3339 of the last activity; "" = never */
};

/*
 * Appends `MGET` with what tells whether the answer can be believed, and the
 * keys of `count` users, which status_put_keys then adds one by one.
 */
void status_put_mget(struct printbuf *out, const char *prefix, unsigned count);
void status_put_keys(struct printbuf *out, const char *prefix, const struct userid *id);

/*
 * Reads the user at `index` of such a reply. False when the reply is not an array
 * that long. What somebody else wrote into the keys reads as offline, never
 * seen, version 0 rather than as an error.
 */
bool status_read(const redisReply *reply, size_t index, struct status *status);

/* Whether such a reply is from a wiped Redis that is not filled again: offline means nothing. */
bool status_is_recovering(const redisReply *reply);
/* The epoch of such a reply, borrowed; NULL when Redis has none. Another than before: wiped. */
const char *status_epoch(const redisReply *reply);
/* Notes in the reply that the user at `index` is online although the key is gone (store_put_look). */
void status_mark_online(redisReply *reply, size_t index);

/* Appends a user's name to an object that maps ids to STATUS, which begins with its '{'. */
void status_put_name(struct printbuf *object, const struct userid *id);

/* Appends the STATUS object; session_id is the caller's own, or NULL. */
void status_put_json(struct printbuf *out, const struct userid *id, const struct status *status,
		     const char *session_id);

#endif
