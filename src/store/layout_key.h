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

/* A look at one server, or at one of several that know nothing of each other. */
struct layout_look {
	const struct config *config;
	unsigned server, servers; /* which of how many that redis.url names, from 0 */
	bool is_noted; /* the server says that it holds users in this layout */
	char why[LAYOUT_WHY_MAX]; /* of layout_read_look() */
};

/*
 * Appends the question to the server; returns how many commands it is. Of a single partition it is whether users are
 * divided there all the same; a Redis whose rights do not let it ask that has no such users.
 */
#define LAYOUT_LOOK_MAX 3
unsigned layout_put_look(struct printbuf *out, const struct layout_look *look);

/*
 * Reads the reply to one of these commands: false with a sentence in `why` when the
 * server holds users in another layout than the configuration's, or those of another
 * one of the servers.
 */
bool layout_read_look(struct layout_look *look, unsigned index, const redisReply *reply);

/*
 * The same of a cluster, where the keys are at several nodes: a key each, for the
 * caller to free, and the command on it.
 */
#define LAYOUT_LOOK_KEYS 11
char *layout_look_key(const struct config *config, unsigned index);
void layout_put_look_key(struct printbuf *out, unsigned index, const char *key);
bool layout_read_look_key(const redisReply *reply, unsigned index, const struct config *config,
			  char why[LAYOUT_WHY_MAX], bool *is_noted);

/* Whether a reply to GET on one of the layout's keys is that of the configuration, on that many servers. */
bool layout_is_noted(const redisReply *reply, const struct config *config, size_t servers);

/* Where this process notes its layout; the caller frees it. */
char *layout_key(const struct config *config);
/* Appends the command that notes the layout, for the server of partition 0. */
void layout_put_note(struct printbuf *out, const struct config *config, size_t servers);

#endif
