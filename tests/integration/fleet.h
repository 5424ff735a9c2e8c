/*
 * Several Redis servers, and Sentinels that watch them: on ports of 127.0.0.1, or on hosts (hosts.h), one of
 * which each function enters.
 */
#ifndef PRESENCE_TESTS_FLEET_H
#define PRESENCE_TESTS_FLEET_H

#include "harness.h"
#include "hosts.h"

#include <stdarg.h>

struct fleet_server {
	struct stack *stack;
	const struct host *host; /* NULL: none of its own */
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
/* The same on hosts, by the digit of each: "011" is the first on hosts[0], two on hosts[1]. */
struct sentinel_stand *sentinels_start_on(const struct host *hosts, const char *server_places,
					  const char *sentinel_places, struct stack *stack,
					  const char *args, const char *sentinel_args);
void sentinels_stop(struct sentinel_stand *stand);
/* Whom all Sentinels name, as soon as they agree on one that is not `other` (-1: any). */
struct fleet_server *sentinels_wait_primary(struct sentinel_stand *stand, int other_port);

#define CLUSTER_PRIMARIES 3
#define CLUSTER_NODES 8 /* the stand has six; more may join */
#define CLUSTER_PARTITIONS 16 /* of the tests' users: some at each primary */
#define CLUSTER_TIMEOUT 2000 /* cluster-node-timeout, ms, stretched */

/* A Redis Cluster: three primaries, servers[0..2], a third of the slots each, and a replica of each. */
struct cluster_stand {
	struct stack *stack;
	struct fleet_server servers[CLUSTER_NODES];
	int bus[CLUSTER_NODES]; /* ports between them */
	int tls[CLUSTER_NODES]; /* what stands for @TLS in the arguments */
	int count;
	char url[256]; /* cluster://…, with three of the nodes */
};

/* `args` for each server, where @TLS stands for a port of its own, or NULL. Waits until all agree. */
struct cluster_stand *cluster_start(struct stack *stack, const char *args);
/* The same on hosts: "011100" has the third primary's replica, the last one, on hosts[0]. */
struct cluster_stand *cluster_start_on(const struct host *hosts, const char *places,
				       struct stack *stack, const char *args);
void cluster_stop(struct cluster_stand *stand);
/* One more, a primary without slots; its number. */
int cluster_add(struct cluster_stand *stand, const char *args);
/* Which server has the slot, as server `who` sees it; -1: none. */
int cluster_owner(struct cluster_stand *stand, int who, int slot);
/* Every node that runs says that all is well, and names the same owner of the slot, which is not `other`. */
int cluster_wait_owner(struct cluster_stand *stand, int slot, int other);

/* The slot of a partition; a command at the node that has it, as a node that runs says. */
int cluster_slot_of(struct cluster_stand *stand, unsigned partition);
redisReply *cluster_command(struct cluster_stand *stand, unsigned partition, const char *format,
			    va_list args);

/* Lets a replica take over from its primary, by agreement. */
void cluster_fail_over(struct cluster_stand *stand, int replica);

/* Moves a slot in steps: begins, moves its keys (all: -1), ends. `from` and `to` are primaries. */
void cluster_begin_move(struct cluster_stand *stand, int slot, int from, int to);
int cluster_move_keys(struct cluster_stand *stand, int slot, int from, int to, int count);
void cluster_end_move(struct cluster_stand *stand, int slot, int to);
/* Takes it back, before a key has moved. */
void cluster_cancel_move(struct cluster_stand *stand, int slot, int from, int to);

#endif
