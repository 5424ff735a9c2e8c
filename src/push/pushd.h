/*
 * presence-pushd's loop: takes notifications from Redis' queue, decides, sends,
 * and notes what came of each.
 */
#ifndef PRESENCE_PUSH_PUSHD_H
#define PRESENCE_PUSH_PUSHD_H

#include <stddef.h>

#include "base/config.h"

struct pushd;

/* NULL with a sentence in err. The configuration must outlive it. Free with pushd_free(). */
struct pushd *pushd_new(const struct config *config, char *err, size_t errsize);
void pushd_free(struct pushd *pushd);

/* Works until SIGTERM or SIGINT comes on `signal_fd` (signalfd(2)), then ends what is under way. */
void pushd_run(struct pushd *pushd, int signal_fd);

#endif
