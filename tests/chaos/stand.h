/* The programs of the site, the ways between them, and what is published. */
#ifndef PRESENCE_TESTS_CHAOS_STAND_H
#define PRESENCE_TESTS_CHAOS_STAND_H

#include "chaos/plan.h"
#include "integration/harness.h"

/* --- stand.c --------------------------------------------------------------------------------- */

#define PARTITIONS_MAX 4
#define SENTINEL_SERVERS 3
#define SENTINELS 3

struct host {
	int port;
	pid_t lighttpd; /* 0: does not run */
	const char *log; /* and the name of its configuration */
};

struct stand {
	struct stack *stack;
	enum layout layout;
	int streamds; /* how many there are */
	int shared_fd; /* LAYOUT_SHARED: the socket; else -1 */
	struct host hosts[2];
	int host_count;
	int redis_stopped; /* the server of Redis that is; -1: none */
	bool directory_away; /* locked, or it hangs */
	bool host_cut[2]; /* from Redis, while the other is not */
	pid_t stopped_worker; /* 0: none */
	bool has_clock; /* the host's clock can be set */
	void *directory; /* a connection to the database */
	pid_t network; /* network.c */
	int network_fd;
	struct service *service; /* service.c */
	pid_t pushd; /* 0: does not run; LAYOUT_CLUSTER has none */
	int owner[PARTITIONS_MAX]; /* of a partition: the server that has it */
	int ports[2], bus[2]; /* LAYOUT_CLUSTER: of the nodes */
	unsigned moving; /* the partition that is on its way; 0: none */
	bool move_ends; /* as soon as it can */
	int sentinel_servers[SENTINEL_SERVERS],
		sentinel_ports[SENTINELS]; /* LAYOUT_SENTINEL: ports */
	bool is_unsettled; /* the primary was struck, and not all follow one since */
	int struck; /* that server */
	bool was_ordered; /* the failover was */
	int64_t struck_at;
	int64_t sentinel_look_at; /* the next look at who is the primary */
};

void stand_start(struct chaos *chaos);
void stand_stop(struct chaos *chaos);
/* Another site on the same Redis, under a prefix; nobody serves it: it stays as it is. */
void stand_write_neighbours(struct chaos *chaos);
/* Whether it is as it was written. */
bool stand_neighbours_are_well(struct chaos *chaos);
/* All servers of Redis do. */
bool stand_redis_answers(const struct chaos *chaos);
void stand_redis_kill(struct chaos *chaos, int server);
void stand_redis_start(struct chaos *chaos, int server, bool with_data);
/* Commands go there by a new connection. */
void stand_redis_connect(struct chaos *chaos, int server);
void stand_redis_stop(struct chaos *chaos, int server);
void stand_redis_continue(struct chaos *chaos, int server);
/* Of several servers the one that a fault happens to. */
int stand_server_for(const struct chaos *chaos, const struct step *step);
/* Where a user is. */
unsigned stand_partition_of(const struct chaos *chaos, unsigned user);
int stand_server_of(const struct chaos *chaos, unsigned user);
/* Whether keys of the user may be there: those of a partition that moves are on both. */
bool stand_may_hold(const struct chaos *chaos, int server, unsigned user);
/* On a channel of the user: `kind` is its name up to the id. */
void stand_publish(struct chaos *chaos, const char *kind, unsigned user, const char *text);
void stand_streamd_start(struct chaos *chaos, int index);
void stand_pushd_start(struct chaos *chaos);
void stand_web_start(struct chaos *chaos, int host);
/* Kills the web server; with_workers: presence-api's processes too. */
void stand_web_kill(struct chaos *chaos, int host, bool with_workers);
/* presence-api's parent of that host, 0: none. */
pid_t stand_api_parent(struct chaos *chaos, int host);
void stand_set_clock(struct chaos *chaos, int seconds); /* ahead of the real one */
/* Lets programs that are stopped go on, so that they hear of a signal. */
void stand_continue(struct chaos *chaos);
/* Which host serves those of that number now; false: none, and it is any. */
bool stand_host_of(const struct chaos *chaos, unsigned number, int *host);

/* The server that has a partition. */
int stand_server_at(const struct chaos *chaos, unsigned partition);

/* --- shards.c: LAYOUT_CLUSTER ------------------------------------------------------------------ */

void shards_put_conf(struct chaos *chaos, struct printbuf *conf); /* and takes ports */
const char *shards_url(struct chaos *chaos); /* until the next call */
void shards_put_args(const struct chaos *chaos, int server, char *args, size_t size);
void shards_join(struct chaos *chaos); /* once all are started */
void shards_wait(struct chaos *chaos, int server); /* until one that was started again answers */
bool shards_begin_move(struct chaos *chaos, const struct step *step);
void shards_end_move(struct chaos *chaos); /* at a later turn, if it cannot be now */
void shards_turn(struct chaos *chaos);

/* --- sentinels.c: LAYOUT_SENTINEL -------------------------------------------------------------- */

void sentinels_put_conf(struct chaos *chaos, struct printbuf *conf); /* and takes ports */
const char *sentinels_url(struct chaos *chaos); /* until the next call */
void sentinels_put_args(const struct chaos *chaos, int server, char *args, size_t size);
void sentinels_begin(struct chaos *chaos); /* once all servers are */
void sentinels_strike(struct chaos *chaos, int server); /* something is done to it */
bool sentinels_fail_over(struct chaos *chaos); /* by command; false: not now */
void sentinels_turn(struct chaos *chaos);

/* --- directory.c ----------------------------------------------------------------------------- */

void directory_put_conf(struct chaos *chaos, struct printbuf *conf);
void directory_start(struct chaos *chaos); /* with accounts and friends */
void directory_stop(struct chaos *chaos);
void directory_sql(struct chaos *chaos, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* False: it is away already, or cannot be so. */
bool directory_lock(struct chaos *chaos);
void directory_unlock(struct chaos *chaos);
enum directory_hang { HANG_STOPPED, HANG_LATE, HANG_DEAD, HANGS };
bool directory_hang(struct chaos *chaos, enum directory_hang how);
void directory_go_on(struct chaos *chaos, enum directory_hang how);

/* --- network.c ------------------------------------------------------------------------------- */

/* From a host to Redis; to the directory. */
enum route { ROUTE_HOST0, ROUTE_HOST1, ROUTE_DIRECTORY, ROUTES };
enum how {
	CUT_NONE,
	CUT_LATE, /* what is sent comes when it is over */
	CUT_DEAD, /* it does not, and connections of before end then */
};
enum direction { TO_BOTH, TO_SERVER, TO_CLIENT, DIRECTIONS };
/* Of a route: how, and to whom nothing comes. */
struct cut {
	enum how how;
	enum direction to;
};
/* Relays: who connects to the sockets `here` is connected with the targets. */
void network_start(struct chaos *chaos, const char *const here[ROUTES],
		   const char *const targets[ROUTES]);
void network_cut(struct chaos *chaos, enum route route, enum how how, enum direction to);
void network_mend(struct chaos *chaos, enum route route);
void network_stop(struct chaos *chaos);

/* --- service.c ------------------------------------------------------------------------------- */

void service_start(struct chaos *chaos);
void service_put_conf(struct chaos *chaos, struct printbuf *conf);
int service_port(const struct chaos *chaos);

/* --- tap.c: presence:broadcast --------------------------------------------------------------- */

/* A message of the fault's own: a server of Redis has lost its data just now. The others of a cluster pass it on. */
#define WIPED "wiped:%d"
void tap_open(struct chaos *chaos);
void tap_close(struct chaos *chaos); /* what is told until it opens again is missed */
void tap_drain(struct chaos *chaos);

#endif
