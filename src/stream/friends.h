/* The users a stream watches: asked from the directory, joined as topics. */
#ifndef PRESENCE_STREAM_FRIENDS_H
#define PRESENCE_STREAM_FRIENDS_H

#include "stream/stream.h"

/*
 * Asks the directory, anew when a question is under way. In FRIENDS its answer
 * joins their topics (KNOWN, or FAILED); later on the topics are exchanged if they are others. When
 * that fails, what is known stays and is stale.
 */
void friends_ask(struct stream *stream);

/* Withdraws a question: changes published from now on are lost, so its answer may be stale. */
void friends_withdraw(struct stream *stream);

/* A friends_changed may be missed from now on: to be asked again when it can be heard. */
void friends_are_stale(struct stream *stream);

#endif
