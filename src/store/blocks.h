/*
 * Who blocks whom, as one user's two Sets say it: whom the user blocks, and who
 * blocks the user. Neither of a pair sees the other, whichever of the two blocks.
 */
#ifndef PRESENCE_STORE_BLOCKS_H
#define PRESENCE_STORE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/userid.h"
#include "store/store.h"

#define BLOCKS_MAX 1000 /* users whom one user may block */
#define BLOCKS_CHANGES_MAX 20 /* of one user in 30 seconds: each makes streams of both ask anew */
#define BLOCKS_ASKED_MAX 1000 /* users in one question: bounds how long Redis is busy with it */

enum blocks_side {
	BLOCKS_OWN, /* whom the user blocks */
	BLOCKS_BY, /* who blocks the user */
};
#define BLOCKS_SIDES 2 /* both are asked, always: no time tells which of them is empty */

/* Appends the question which of `count` users are on a side; their ids are added by resp_text(). */
void blocks_put_ask(struct printbuf *out, const char *prefix, enum blocks_side side,
		    const struct userid *user, size_t count);

/* Whether a reply is one to that question about `count` users. */
bool blocks_is_answer(const redisReply *reply, size_t count);
/* Whether the user at `index` of such a reply is on the side. */
bool blocks_has(const redisReply *reply, size_t index);

/* Whether a block may be added or removed: STORE_DONE, then it was counted. */
void blocks_put_may(struct printbuf *out, const struct store *store, const struct userid *blocker,
		    const char *tok, int64_t iat, const struct userid *blocked, bool adds);
/* STORE_TOO_MANY are blocked; STORE_TOO_OFTEN with the seconds to wait; or as for settings. */
enum store_verdict blocks_read_may(const redisReply *reply, int64_t *wait);

/*
 * Adds or removes a block: two commands (step 0, then 1), one for each user's
 * side in its owner's partition, which may be repeated. Whoever is on the blocker's own list is hidden
 * from: the side that hides the blocker is added first and removed last.
 */
#define BLOCKS_STEPS 2
/* Whose side a step is about. */
const struct userid *blocks_owner(const struct userid *blocker, const struct userid *blocked,
				  bool adds, unsigned step);
void blocks_put(struct printbuf *out, const struct store *store, const struct userid *blocker,
		const struct userid *blocked, bool adds, unsigned step);

#endif
