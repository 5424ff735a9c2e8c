/*
 * presence:layout, where Redis holds how its users are divided: a process that
 * was given another layout finds out before it writes. With one partition there
 * is none. Pure functions.
 */
#ifndef PRESENCE_STORE_LAYOUT_KEY_H
#define PRESENCE_STORE_LAYOUT_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/config.h"

#define LAYOUT_WHY_MAX 160

/* Appends the question to a server, of one or of several that know nothing of each other. */
#define LAYOUT_LOOK_COMMANDS 2
void layout_put_look(struct printbuf *out, const struct config *config);

/*
 * Reads the reply to one of these commands: false with a sentence when the server
 * holds users in another layout than the configuration's, on that many servers.
 * *is_noted becomes true where it says so.
 */
bool layout_read_look(const redisReply *reply, unsigned index, const struct config *config,
		      size_t servers, char why[LAYOUT_WHY_MAX], bool *is_noted);

/* Appends the command that notes the layout, for the server of partition 0. */
void layout_put_note(struct printbuf *out, const struct config *config, size_t servers);

#endif
