/* Who is near whom: what else than the calls of nearby.c ends that a user shares a place. */
#ifndef PRESENCE_API_NEARBY_H
#define PRESENCE_API_NEARBY_H

#include "api/request.h"

/*
 * Appends what forgets where the caller is (two commands, NEARBY_LEAVE); after the pipeline
 * the friends who were near are told. `first`: the index of the first reply.
 */
#define NEARBY_LEAVE 2
void nearby_put_leave(struct request *request, struct printbuf *pipeline);
struct problem nearby_tell_left(struct request *request, size_t first);

#endif
