#include "api/pool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "base/log.h"

#define STOP_LIMIT 10000 /* ms that a worker has for the request it serves */
#define FAST_DEATH 5000 /* ms; a worker that fails sooner is not worth a restart at once */
#define PAUSE_MIN 100 /* ms before such a restart, doubled each time */
#define PAUSE_MAX 10000 /* ms */

struct pool_slot {
	pid_t pid; /* 0: empty */
	unsigned generation; /* of the configuration it runs with */
	int64_t started;
	int64_t start_at; /* when an empty slot is to be filled */
	int64_t kill_at; /* POOL_NEVER until it was told to end */
	int64_t pause; /* the last one before a restart, 0 = none */
};

/* --- one worker ------------------------------------------------------------------------------ */

static void start_worker(struct pool *pool, struct pool_slot *slot, int64_t now, pool_spawn *spawn,
			 void *arg)
{
	pid_t pid = spawn(arg);

	if (pid < 0) {
		log_error("cannot start a worker: %s", strerror(errno));
		slot->start_at = now + PAUSE_MAX;
		return;
	}
	slot->pid = pid;
	slot->generation = pool->generation;
	slot->started = now;
	slot->kill_at = POOL_NEVER;
}

static void stop_worker(struct pool_slot *slot, int64_t now)
{
	kill(slot->pid, SIGTERM);
	slot->kill_at = now + STOP_LIMIT;
}

/* A worker ended: decides when its slot is filled again. */
static void on_worker_end(struct pool_slot *slot, int status, int64_t now)
{
	bool failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;

	if (WIFSIGNALED(status))
		log_error("worker %d was ended by signal %d", (int)slot->pid, WTERMSIG(status));
	else if (failed)
		log_error("worker %d failed with status %d", (int)slot->pid, WEXITSTATUS(status));
	if (!failed || slot->kill_at != POOL_NEVER || now - slot->started > FAST_DEATH)
		slot->pause = 0;
	else
		slot->pause = slot->pause > 0 ? 2 * slot->pause : PAUSE_MIN;
	if (slot->pause > PAUSE_MAX)
		slot->pause = PAUSE_MAX;
	slot->pid = 0;
	slot->start_at = now + slot->pause;
}

/* --- all of them ----------------------------------------------------------------------------- */

void pool_resize(struct pool *pool, int wanted)
{
	size_t count = wanted > 0 ? (size_t)wanted : 1;

	if (count > pool->count) {
		pool->slots = xrealloc(pool->slots, count * sizeof *pool->slots);
		memset(pool->slots + pool->count, 0, (count - pool->count) * sizeof *pool->slots);
		pool->count = count;
	}
	pool->wanted = count;
}

void pool_renew(struct pool *pool, int wanted)
{
	pool->generation++;
	pool_resize(pool, wanted);
}

void pool_start_due(struct pool *pool, int64_t now, pool_spawn *spawn, void *arg)
{
	for (size_t i = 0; i < pool->wanted; i++) {
		struct pool_slot *slot = &pool->slots[i];

		if (slot->pid == 0 && slot->start_at <= now)
			start_worker(pool, slot, now, spawn, arg);
	}
}

void pool_retire_one(struct pool *pool, int64_t now)
{
	struct pool_slot *old = NULL;

	for (size_t i = 0; i < pool->count; i++) {
		struct pool_slot *slot = &pool->slots[i];

		if (slot->pid == 0 && i >= pool->wanted)
			continue;
		if (slot->pid == 0 || slot->kill_at != POOL_NEVER)
			return;
		if (i >= pool->wanted || slot->generation != pool->generation)
			old = slot;
	}
	if (old != NULL)
		stop_worker(old, now);
}

void pool_stop(struct pool *pool, int64_t now)
{
	for (size_t i = 0; i < pool->count; i++) {
		if (pool->slots[i].pid != 0 && pool->slots[i].kill_at == POOL_NEVER)
			stop_worker(&pool->slots[i], now);
	}
}

size_t pool_kill_overdue(struct pool *pool, int64_t now)
{
	size_t running = 0;

	for (size_t i = 0; i < pool->count; i++) {
		struct pool_slot *slot = &pool->slots[i];

		if (slot->pid == 0)
			continue;
		running++;
		if (slot->kill_at <= now) {
			log_error("worker %d does not end: killing it", (int)slot->pid);
			kill(slot->pid, SIGKILL);
			slot->kill_at = now + STOP_LIMIT;
		}
	}
	return running;
}

void pool_on_end(struct pool *pool, pid_t pid, int status, int64_t now)
{
	for (size_t i = 0; i < pool->count; i++) {
		if (pool->slots[i].pid == pid)
			on_worker_end(&pool->slots[i], status, now);
	}
}

int64_t pool_next_deadline(const struct pool *pool, bool fills)
{
	int64_t next = POOL_NEVER;

	for (size_t i = 0; i < pool->count; i++) {
		const struct pool_slot *slot = &pool->slots[i];
		int64_t due = slot->pid != 0 ? slot->kill_at : slot->start_at;

		if (slot->pid == 0 && (!fills || i >= pool->wanted))
			continue;
		if (due < next)
			next = due;
	}
	return next;
}
