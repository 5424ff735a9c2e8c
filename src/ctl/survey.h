/*
 * What Redis holds about one user, wherever it stands: passes over all keys and
 * all notifications, a piece at a time, so that Redis is never busy with it for
 * long. On a terminal they tell how far they are. What stands there throughout
 * the pass is found; it may be found twice.
 */
#ifndef PRESENCE_CTL_SURVEY_H
#define PRESENCE_CTL_SURVEY_H

#include "ctl/ctl.h"
#include "store/push_job.h"
#include "store/traces.h"

#define SURVEY_PIECE 500 /* keys, or notifications, asked for at a time */

/* A key; borrowed from Redis' reply. */
struct survey_key {
	const char *name; /* the whole of it */
	size_t len;
	const char *own; /* without the prefix */
	const struct store *store; /* the partition that it is in */
	enum trace_kind kind; /* not TRACE_NONE */
	const char *type; /* as TYPE says */
};

/* A notification for the user, or one that names the user as a friend; borrowed. */
struct survey_note {
	const struct push_job *job;
	const struct store *store; /* the partition whose it is */
	const char *entry; /* its id in push:queue, or NULL */
	const redisReply *member; /* of push:later, or NULL */
};

/* What is found in one piece. False ends the pass; what is wrong was said. */
typedef bool survey_keys_visit(struct ctl *ctl, void *arg, const struct survey_key *keys,
			       size_t count);
typedef bool survey_notes_visit(struct ctl *ctl, void *arg, const struct survey_note *notes,
				size_t count);

/* False: not all was seen, and why was said. */
bool survey_keys(struct ctl *ctl, const struct userid *user, survey_keys_visit *visit, void *arg);
bool survey_notes(struct ctl *ctl, const struct userid *user, survey_notes_visit *visit, void *arg);

#endif
