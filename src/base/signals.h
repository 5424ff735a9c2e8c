/* What a program makes of the signals it was started with. */
#ifndef PRESENCE_BASE_SIGNALS_H
#define PRESENCE_BASE_SIGNALS_H

/*
 * Gives every signal its default and unblocks all, whatever the starter left
 * ignored or blocked (nohup ignores SIGHUP, some supervisors SIGCHLD), but for
 * SIGPIPE, which is ignored: writing to a peer that went away is an error value.
 * Call it first in main().
 */
void signals_reset(void);

/*
 * SIGTERM, SIGINT, SIGHUP and SIGUSR1 wait until signals_release(): while nobody
 * handles them yet, or no longer, they would end the program as if it had
 * failed. Threads that are started meanwhile never get them.
 */
void signals_hold(void);
void signals_release(void);

#endif
