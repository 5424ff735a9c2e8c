/*
 * presence-pushd's loop: takes notifications from Redis' queue, decides, sends,
 * and notes what came of each.
 */
#ifndef PRESENCE_PUSH_PUSHD_H
#define PRESENCE_PUSH_PUSHD_H

#include <stddef.h>

#include "base/config.h"

struct pushd;

/*
 * NULL with a sentence in err. The configuration, whose values a SIGHUP changes,
 * and its file's name must outlive it. Free with pushd_free().
 */
struct pushd *pushd_new(struct config *config, const char *file, char *err, size_t errsize);
void pushd_free(struct pushd *pushd);

/*
 * Works until SIGTERM or SIGINT comes on `signal_fd` (signalfd(2)), then ends what
 * is under way. SIGHUP has the configuration and its keys read again.
 */
void pushd_run(struct pushd *pushd, int signal_fd);

#endif
