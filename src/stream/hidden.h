/*
 * Whom a stream hides from its reader because of a block. The marks are the
 * hub's (enum hub_hidden); a user that is hidden looks like an unknown one.
 *
 * A message on the inbox hides at once: it comes before every change that was
 * published after it. What is shown is asked for: the question goes to Redis after
 * those for the statuses, so that a block that is not in its answer was made after
 * all that they tell.
 *
 *   a snapshot begins (the driver)              -> UNASKED
 *   its statuses are asked for, or changes are
 *   to be passed on without (the driver)        UNASKED -> ASKED
 *   all parts answered                          ASKED -> KNOWN; FAILED until the next heartbeat
 *   the same, by a Redis that was wiped         ASKED -> WAITING until the next tick; or, if the users
 *                                               were asked about before, KNOWN: it adds to the marks
 *   a message says that a block began           ASKED -> UNASKED; ended: -> UNASKED
 *   link lost, a gap                            -> UNASKED; the marks stay until the answer
 */
#ifndef PRESENCE_STREAM_HIDDEN_H
#define PRESENCE_STREAM_HIDDEN_H

#include "stream/stream.h"

/* Whether anything may be shown; asks Redis if that is due. In OPEN; the user's partition is up. */
bool hidden_is_known(struct stream *stream);

/*
 * Whether the reader must not see anything of this user now: hidden from it, or
 * offline, as far as is known. One whom the stream does not watch is not.
 */
bool hidden_hides(const struct stream *stream, const struct userid *other);

/* What was asked is to be asked again. */
void hidden_reset(struct stream *stream);

/* After a failure, or an answer that may not be all. */
void hidden_retry(struct stream *stream);

/* What the inbox says: a block began or ended, by the stream's user or by the other. */
void hidden_learn(struct stream *stream, const struct userid *other, bool by_other, bool hides);

/*
 * Other users take the places of those that are watched: the blocks that are
 * known stay known, of those who are watched still. Redis has to be asked anew.
 * The first returns what the second takes and frees; NULL is nothing.
 */
struct hidden_mark;
struct hidden_mark *hidden_save(const struct stream *stream);
void hidden_put_back(struct stream *stream, struct hidden_mark *marks);

/* These partitions (partset.h) were wiped: tells them again of the blocks that the stream knows. */
void hidden_restore(struct stream *stream, const uint64_t *partitions);

#endif
