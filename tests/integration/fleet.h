/* Several Redis servers on ports of 127.0.0.1, and Sentinels that watch them. */
#ifndef PRESENCE_TESTS_FLEET_H
#define PRESENCE_TESTS_FLEET_H

#include "harness.h"

struct fleet_server {
	struct stack *stack;
	char name[24]; /* of its log */
	int port;
	pid_t pid; /* 0: does not run */
	redisContext *control; /* of fleet_cmd() */
};

/*
 * Starts redis-server on server->port (0: a free one) with further arguments,
 * one blank between, and waits until it answers. It keeps nothing on disk.
 */
void fleet_start(struct stack *stack, struct fleet_server *server, const char *name,
		 const char *args);
/* A Sentinel, whose configuration is the file NAME.conf of the stack. */
void fleet_start_sentinel(struct stack *stack, struct fleet_server *sentinel, const char *name,
			  const char *args);
void fleet_kill(struct fleet_server *server); /* SIGKILL */

/* As redis_cmd() and its like. */
redisReply *fleet_cmd(struct fleet_server *server, const char *format, ...);
char *fleet_text(struct fleet_server *server, const char *format, ...);
long long fleet_int(struct fleet_server *server, const char *format, ...);
/* The value of a line of INFO. */
const char *fleet_info(struct fleet_server *server, const char *name);

#define SENTINELS 3
#define REPLICAS 2

/* A primary, servers[0], with two replicas, and three Sentinels that know it as "main". */
struct sentinel_stand {
	struct stack *stack;
	struct fleet_server servers[1 + REPLICAS], sentinels[SENTINELS];
	char url[256]; /* sentinel://… */
};

/*
 * `args` for each server, `sentinel_args` lines for each Sentinel's configuration;
 * either may be NULL. Waits until all know each other.
 */
struct sentinel_stand *sentinels_start(struct stack *stack, const char *args,
				       const char *sentinel_args);
void sentinels_stop(struct sentinel_stand *stand);
/* Whom all Sentinels name, as soon as they agree on one that is not `other` (-1: any). */
struct fleet_server *sentinels_wait_primary(struct sentinel_stand *stand, int other_port);

#endif
