/* The programs of the site, the ways between them, and what is published. */
#ifndef PRESENCE_TESTS_CHAOS_STAND_H
#define PRESENCE_TESTS_CHAOS_STAND_H

#include "chaos/plan.h"
#include "integration/harness.h"

/* --- stand.c --------------------------------------------------------------------------------- */

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
	bool redis_stopped;
	bool directory_locked;
	bool has_clock; /* the host's clock can be set */
	void *directory; /* a connection to the database */
};

void stand_start(struct chaos *chaos);
void stand_stop(struct chaos *chaos);
/* Another site on the same Redis, under a prefix; nobody serves it: it stays as it is. */
void stand_write_neighbours(struct chaos *chaos);
/* Whether it is as it was written. */
bool stand_neighbours_are_well(struct chaos *chaos);
bool stand_redis_answers(const struct chaos *chaos);
void stand_redis_kill(struct chaos *chaos);
void stand_redis_start(struct chaos *chaos, bool with_data);
void stand_streamd_start(struct chaos *chaos, int index);
void stand_web_start(struct chaos *chaos, int host);
/* Kills the web server; with_workers: presence-api's processes too. */
void stand_web_kill(struct chaos *chaos, int host, bool with_workers);
/* presence-api's parent of that host, 0: none. */
pid_t stand_api_parent(struct chaos *chaos, int host);
void stand_set_clock(struct chaos *chaos, int seconds); /* ahead of the real one */
void stand_sql(struct chaos *chaos, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool stand_port_of(const struct chaos *chaos, unsigned index, int *port);

/* --- tap.c: presence:broadcast --------------------------------------------------------------- */

#define WIPED "wiped" /* a message of the fault's own: Redis has lost its data just now */
void tap_open(struct chaos *chaos);
void tap_close(struct chaos *chaos); /* what is told until it opens again is missed */
void tap_drain(struct chaos *chaos);

#endif
