/* The parent of the workers: keeps `children` of them on the one socket, fd 0. */
#ifndef PRESENCE_API_WORKERS_H
#define PRESENCE_API_WORKERS_H

#include "base/config.h"

/* What a worker does; the result is its exit status. */
typedef int worker_main(const struct config *config);

/*
 * Runs until SIGTERM or SIGINT, then ends the workers and returns 0. A worker
 * that ends is replaced at once, one that fails right after its start after a
 * growing pause. SIGHUP re-reads `file`: when the configuration is good and
 * `check`, run in a process of its own, returns 0 for it, the workers are
 * replaced one after the other; the socket stays open all the while, so no
 * request is refused. At least one worker is kept.
 */
int workers_run(const struct config *config, const char *file, worker_main *check,
		worker_main *serve);

/* Runs `check` in a process of its own and returns its exit status, or 1 when it was killed. */
int workers_check(const struct config *config, worker_main *check);

#endif
