/*
 * The parent of `children` workers, which accept on its socket, fd 0. It waits for what is
 * slow to arrive, and for what may come on connections that are kept (gate.h).
 */
#ifndef PRESENCE_API_WORKERS_H
#define PRESENCE_API_WORKERS_H

#include "api/accept.h"
#include "api/epochs.h"
#include "base/config.h"

/*
 * What a process does; the result is its exit status. `parent`: a worker's; NULL for a
 * check. `epochs`: what all workers of a configuration know, NULL where one serves alone.
 */
typedef int worker_main(const struct config *config, const struct accept_parent *parent,
			struct epochs *epochs);

/*
 * Runs until SIGTERM or SIGINT, then ends the workers and returns 0. The parent
 * alone holds the socket: when it dies, however it dies, the socket is gone with
 * it, so that whoever started it sees that and starts it again; its workers borrow the
 * socket for each accept(), finish what they and the parent have accepted, and end. Where a
 * worker may not borrow it, the parent accepts for them. A worker that ends is replaced at once,
 * one that fails right after its start after a growing pause. SIGHUP re-reads
 * `file`: when the configuration is good and `check`, run in a process of its
 * own, returns 0 for it, the workers are replaced one after the other; the socket
 * stays open all the while, so no request is refused. At least one worker is kept.
 * `path`: of a Unix socket that is this program's own, else NULL. It is given up before
 * the workers end: who connected before is answered, who comes later is refused at
 * once instead of waiting for nobody. Workers end when they have served all that has
 * arrived, or are killed after some seconds.
 */
int workers_run(const struct config *config, const char *file, const char *path, worker_main *check,
		worker_main *serve);

/* Runs `check` in a process of its own and returns its exit status, or 1 when it was killed. */
int workers_check(const struct config *config, worker_main *check);

#endif
