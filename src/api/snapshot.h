/* The STATUS of several users, read at one moment, as the answer to a request. */
#ifndef PRESENCE_API_SNAPSHOT_H
#define PRESENCE_API_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "api/visibility.h"

/*
 * Asks Redis for the STATUS of each of `count` users, and hides whom a block
 * hides; the request counts as activity.
 */
struct problem snapshot_ask(struct request *request, struct watched *list, size_t count);

/*
 * After snapshot_ask(): appends the STATUS of its user at `index` to the answer.
 * False: the reply is malformed.
 */
bool snapshot_put_status(struct request *request, const struct watched *list, size_t index);

/* Answers with an object that has the STATUS of each of `count` distinct users. */
struct problem snapshot_answer(struct request *request, struct watched *list, size_t count);

#endif
