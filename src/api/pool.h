/*
 * The processes of a parent's workers: when each is started, told to end, replaced
 * and killed. Times are in ms of the monotonic clock.
 */
#ifndef PRESENCE_API_POOL_H
#define PRESENCE_API_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define POOL_NEVER INT64_MAX

/* All zero at the start; the owner frees `slots`. */
struct pool {
	struct pool_slot *slots;
	size_t count; /* slots; those from `wanted` on are being emptied */
	size_t wanted;
	unsigned generation; /* of the configuration that new workers get */
};

/* Forks a worker: its pid, or -1 with errno. */
typedef pid_t pool_spawn(void *arg);

/* How many workers there are to be; at least one is kept. */
void pool_resize(struct pool *pool, int wanted);

/* The same with a new configuration: those that run are to be replaced. */
void pool_renew(struct pool *pool, int wanted);

/* Fills the slots that are due. */
void pool_start_due(struct pool *pool, int64_t now, pool_spawn *spawn, void *arg);

/* Ends one worker of an old configuration, or too many, unless one is missing already. */
void pool_retire_one(struct pool *pool, int64_t now);

/* Tells all to end. */
void pool_stop(struct pool *pool, int64_t now);

/* Kills those that did not end in time; returns how many there still are. */
size_t pool_kill_overdue(struct pool *pool, int64_t now);

/* A child ended, with waitpid(2)'s status: when it was a worker, its slot is filled again. */
void pool_on_end(struct pool *pool, pid_t pid, int status, int64_t now);

/* When there is next something to do; `fills`: empty slots are filled. */
int64_t pool_next_deadline(const struct pool *pool, bool fills);

#endif
