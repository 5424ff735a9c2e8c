/* presence-streamd's one loop: listener, signals, reload, drain, and the order of a turn. */
#ifndef PRESENCE_STREAM_SERVER_H
#define PRESENCE_STREAM_SERVER_H

#include <stdbool.h>

#include "auth/token_keys.h"
#include "base/config.h"
#include "directory/directory.h"

struct server;

/*
 * Makes a server on a listening socket. The socket and the keys are its own
 * from then on. `is_ours`: this process opened it, so nobody else accepts from
 * it; `path` is then its file, which is removed when the process stops (NULL:
 * it has none). The configuration, whose values a SIGHUP changes, its file's
 * name, the path and the directory stay the caller's and must outlive it. NULL: the system has no event loop for
 * us or slots_file cannot be used, which is logged, and nothing was taken over.
 */
struct server *server_new(struct config *config, const char *file, struct token_keys *keys,
			  struct directory *directory, int listen_fd, bool is_ours,
			  const char *path);

/* Serves until SIGTERM or SIGINT has drained it. */
void server_run(struct server *server);
void server_free(struct server *server);

#endif
