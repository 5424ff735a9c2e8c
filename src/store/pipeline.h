/*
 * Commands for several servers in the order in which they were appended, and their replies in that order. It
 * knows no connection.
 */
#ifndef PRESENCE_STORE_PIPELINE_H
#define PRESENCE_STORE_PIPELINE_H

#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"

/* What goes to one server. */
struct pipeline_part {
	struct printbuf *out;
	size_t count; /* commands in it; after pipeline_end() */
};

/* Commands in a row for one server. */
struct pipeline_run {
	unsigned server;
	size_t start, end, count; /* bytes of its part; commands */
};

/* Zeroed memory: no server, nothing in it. */
struct pipeline {
	struct pipeline_part *parts; /* by server */
	unsigned servers;
	struct pipeline_run *runs;
	size_t run_count, run_capacity;
};

/* There are so many servers; never fewer than before. */
void pipeline_resize(struct pipeline *pipeline, unsigned servers);
void pipeline_clear(struct pipeline *pipeline);

void pipeline_begin(struct pipeline *pipeline); /* it is empty */
/* Where to append the next commands, for that server; until the next call. */
struct printbuf *pipeline_to(struct pipeline *pipeline, unsigned server);
/* It is whole: `count` commands in all. */
void pipeline_end(struct pipeline *pipeline, size_t count);

/*
 * Puts the replies, of which those of each server follow each other, in the order of the servers, into the
 * order of the commands.
 */
void pipeline_sort(const struct pipeline *pipeline, redisReply *const *by_server,
		   redisReply **replies);

/* The first command of a run. */
const char *pipeline_text(const struct pipeline *pipeline, const struct pipeline_run *run);

#endif
