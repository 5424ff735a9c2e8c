/*
 * Who blocks whom, as one user's two Sets say it: whom the user blocks, and who
 * blocks the user. Neither of a pair sees the other, whichever of the two blocks.
 * Written by store_put_block().
 */
#ifndef PRESENCE_STORE_BLOCKS_H
#define PRESENCE_STORE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/userid.h"

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

#endif
