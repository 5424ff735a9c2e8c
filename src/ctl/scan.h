/*
 * Passes over all keys of the servers that redis.url names, or over the members
 * of one, a piece at a time, so that Redis is never busy with it for long. What
 * stands there throughout the pass is found; it may be found twice. In a Redis
 * Cluster no slot may move meanwhile: a pass during which one did is not whole.
 */
#ifndef PRESENCE_CTL_SCAN_H
#define PRESENCE_CTL_SCAN_H

#include "ctl/ctl.h"
#include "ctl/progress.h"

#define SCAN_CURSOR_SIZE 24

/* Runs the command, which answers {cursor, list}; the caller frees the reply. NULL: it was said. */
redisReply *scan_run(struct ctl *ctl, char cursor[SCAN_CURSOR_SIZE]);

/* A key of ours; borrowed from Redis' reply. */
struct scan_key {
	const char *name; /* the whole of it */
	size_t len;
	const char *own; /* without the prefix */
	size_t own_len;
	const struct store *store; /* the partition that it is in */
};

/* One piece. False ends the pass; what is wrong was said. */
typedef bool scan_visit(struct ctl *ctl, void *arg, const struct scan_key *keys, size_t count);

/* False: not all was seen, and why was said. */
bool scan_keys(struct ctl *ctl, unsigned piece, struct progress *progress, scan_visit *visit,
	       void *arg);

#endif
