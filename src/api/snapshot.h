/* The STATUS of several users, read at one moment, as the answer to a request. */
#ifndef PRESENCE_API_SNAPSHOT_H
#define PRESENCE_API_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "api/request.h"

/* One whose STATUS is asked for. */
struct watched {
	const struct userid *id; /* borrowed */
	bool hidden; /* from the caller: looks like an unknown user */
};

/* Asks Redis for the STATUS of each of `count` users; the request counts as activity. */
struct problem snapshot_ask(struct request *request, const struct watched *list, size_t count);

/*
 * After snapshot_ask(), for each of its users in turn: appends the STATUS to the
 * answer. *visible starts at 0 and counts those that were not hidden. False: the
 * reply is malformed.
 */
bool snapshot_put_status(struct request *request, const struct watched *watched, size_t *visible);

/* Answers with an object that has the STATUS of each of `count` distinct users. */
struct problem snapshot_answer(struct request *request, const struct watched *list, size_t count);

#endif
