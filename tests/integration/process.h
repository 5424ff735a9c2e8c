/* Processes of the stand, for the harness itself. */
#ifndef PRESENCE_TESTS_PROCESS_H
#define PRESENCE_TESTS_PROCESS_H

#include "harness.h"

void guardian_start(struct stack *stack);
/* Waits for what was left running, then lets the guardian remove the directory. */
void guardian_finish(struct stack *stack);
/* Kills what is left of the stand's processes. */
void guardian_kill(struct stack *stack);
void remove_tree(const char *dir);

/* env: NAME, VALUE, NAME, VALUE, ..., NULL, or NULL. Output goes to DIR/LOG.log. */
pid_t process_start(struct stack *stack, const char *log, const char *const argv[],
		    const char *const env[], int nofile);
/* Sends the signal (0: none), waits for the end, sets *pid 0; exit status or 128 + signal. */
int process_end(pid_t *pid, int signal, const char *name, int ms);
/*
 * For a child that becomes a program: what it starts with does not depend on
 * who runs the tests (nohup ignores SIGHUP, a shell's background SIGINT).
 */
void process_default_signals(void);
bool process_lives(pid_t pid);
bool process_runs(pid_t pid); /* the same of one that is not our child */

/* Free on 127.0.0.1 just now. It and the bus of a Redis Cluster, 10,000 above, are below those that the
 * system gives to connections, and to those who ask for any. */
int free_port(void);
bool port_answers(int port);
/* Whether somebody listens on the Unix socket, which is there a moment before; by /proc/net/unix, so that
 * nobody is connected to for it. */
bool socket_listens(const char *path);

#endif
