/*
 * What the long tests share: a swarm of event stream clients in one process, probes that ask again
 * and again from processes of their own, and figures that are told next to their limits.
 */
#ifndef PRESENCE_TESTS_SWARM_H
#define PRESENCE_TESTS_SWARM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bench/reader.h"
#include "../integration/harness.h"

#define SWARM_TARGETS_MAX 4

enum client_state {
	CLIENT_CLOSED, /* not opened yet, closed by us, or lost and not to come back */
	CLIENT_WAITING, /* lost or refused: comes back when it is due */
	CLIENT_OPENING, /* connected, or about to be; no `initial` yet */
	CLIENT_READY, /* holds its `initial` */
};

struct client {
	struct swarm *swarm;
	enum client_state state;
	int fd;
	unsigned user; /* its id */
	char *request; /* what it sends; its token's, kept */
	size_t request_len;
	struct reader reader;
	bool in_initial, in_change; /* its data comes next */
	long long version; /* of the last change */
	bool went_back; /* a change had a lower version than the one before it */
	unsigned changes; /* status_change events since swarm_forget_changes() */
	unsigned opened; /* times it got an `initial` after it had connected */
	int retry_ms; /* the server's hint */
	int failures; /* since it was ready */
	int64_t due_ms; /* WAITING: when it connects again */
};

struct swarm {
	struct stack *stack;
	const char *targets[SWARM_TARGETS_MAX]; /* unix:/path (FastCGI) or a port (HTTP) */
	unsigned target_count;
	bool comes_back; /* a client that is lost connects again, as EventSource does */
	bool is_deaf; /* nobody reads */
	struct client *clients;
	unsigned count, ready, opening, waiting;
	unsigned lost, refused; /* since the swarm began; refused: with 503 or 429 */
	int refusal; /* the status of the last one */
	uint64_t changes, initials; /* of all clients together */
	int epoll;
};

/* Clients of users first … first + count - 1, none of them open. */
struct swarm *swarm_new(struct stack *stack, const char *const *targets, unsigned first,
			unsigned count);
void swarm_free(struct swarm *swarm);
/* Opens one; false when the server's backlog is full just now. */
bool client_open(struct client *client);
void client_close(struct client *client);
/* Handles what has come and who is due, waits at most ms. */
void swarm_turn(struct swarm *swarm, int ms);
/* Opens clients from … to - 1, at most `at_a_time` under way, until all are ready; fails after seconds. */
void swarm_open(struct swarm *swarm, unsigned from, unsigned to, unsigned at_a_time, int seconds);
void swarm_forget_changes(struct swarm *swarm);

/* Gives users first … last `friends` friends each: the next ids, and user 1. */
void befriend(struct stack *stack, unsigned first, unsigned last, unsigned friends);

/* --- probes -------------------------------------------------------------------------------- */

struct probe {
	volatile bool stop;
	volatile long asked, failed;
	volatile int64_t worst_us; /* the longest answer */
	pid_t pid;
};

/* GET of this path through the web server, or PING to Redis, every interval_ms. */
struct probe *probe_http(struct stack *stack, const char *path, const char *token, int interval_ms);
struct probe *probe_redis(struct stack *stack, int interval_ms);
void probe_stop(struct probe *probe); /* its figures stay */
void probe_restart(struct probe *probe); /* figures from now on */

/* --- time-outs ----------------------------------------------------------------------------- */

/*
 * The programs' own, stretched as patience() is: where a machine has other work to do, too, Redis may be
 * silent for longer, and that is not what is measured.
 */
void stretch_timeouts(void);

/* --- figures ------------------------------------------------------------------------------- */

int64_t now_us(void); /* monotonic */
long pss_kb(pid_t pid);
int descriptors_of(pid_t pid);
long long redis_info(struct stack *stack, const char *field); /* of INFO, a number */

/* Tells a figure; fails the test when it is beyond its limit. */
void figure(const char *name, double value, const char *unit, double limit);
/* Tells one that has no limit. */
void tell(const char *name, double value, const char *unit);

#endif
