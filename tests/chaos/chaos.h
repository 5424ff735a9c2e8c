/*
 * The chaos run: simulated users with devices and tabs use the site through a
 * real web server while faults are put upon its parts; after each episode and
 * a quiet time, what every screen, Redis and every answer says is compared with
 * what must be true.
 *
 *   plan.c        what happens when, from a seed or a replay file (pure)
 *   run.c         one run of a plan: the loop, episodes, quiet, checks
 *   actions.c     what users do: a table
 *   faults.c      what goes wrong: a table
 *   properties.c  what must hold: a table; checks.c calls it
 *   model.c       until when a user is online for sure, from when offline for sure
 *   blocks.c, settings.c, wishes.c   who blocks whom, tells what, waits for whom
 *   states.c      what a user chose, which devices are idle, and what friends see of it
 *   typing.c      who types to whom; initials.c what each new view shows
 *   conn.c        HTTP connections on one epoll; tab.c the streams; tap.c what is published
 *   friends.c     who is whose friend
 *   stand.c       the programs: layouts, killing, starting again
 *   shards.c, sentinels.c   the servers of Redis of two layouts
 *   directory.c   the database; network.c the ways to it and to Redis; service.c the push service
 *   shrink.c      a shorter plan that fails in the same way
 *
 * Times are milliseconds of the monotonic clock unless they say otherwise.
 */
#ifndef PRESENCE_TESTS_CHAOS_H
#define PRESENCE_TESTS_CHAOS_H

#include "chaos/model.h"
#include "chaos/people.h"
#include "chaos/plan.h"
#include "chaos/properties.h"
#include "chaos/stand.h"

/* --- run.c ----------------------------------------------------------------------------------- */

/* What a run leaves for the process that started it. */
struct result {
	bool failed;
	char property[40];
	char text[1500];
	unsigned user; /* whom the failure is about, 0: nobody in particular */
	unsigned episode; /* of the failure */
	unsigned episodes; /* that went well */
	unsigned long hidden, reunions; /* looks at who is blocked, and not any more */
	unsigned long notified, must_notify; /* that came, that had to */
	unsigned long steps, comparisons, published, events, calls, streams, again, undecided,
		decided, words, typed, starved;
};

struct active {
	const struct step *step; /* NULL: free */
	int64_t end_at;
};

#define ACTIVE_MAX 8

struct chaos {
	const struct plan *plan;
	struct result *result;
	struct stand stand;
	struct prng prng; /* of what is not in the plan: how long clients wait */
	unsigned user_count;
	struct user *users; /* [users + 1], from 1 */
	bool *friends; /* [users + 1][users + 1] */
	struct said *said; /* what users typed, by number */
	unsigned said_count, said_capacity;
	struct block *blocks; /* [users + 1][users + 1], blocks.c */
	struct reunion *reunions;
	struct wish *wishes; /* [users + 1][users + 1], wishes.c */
	bool *untold; /* [users + 1]: friends_changed not published yet */
	int epoll;
	struct call *calls;
	struct ghost *ghosts; /* connections that vanished */
	struct tap *tap;
	char *observer; /* a token of a user that is nobody's friend */

	struct active active[ACTIVE_MAX];
	int64_t calm_since; /* the end of the last fault */
	int64_t trouble_since; /* the begin of the last one when all was well */
	int64_t crashed_at; /* the end of the last fault that CRASHES; FOREVER while there is one */
	int64_t amiss_until; /* the end of faults that are no wipe */
	int64_t gap_at; /* the last one with GAP; its end */
	int gap_server; /* of Redis, of that */
	int64_t data_lost_at;
	int64_t restarted_at; /* Redis, with its data or without */
	int64_t peek_at; /* the next look at Redis during an episode */
	int64_t drained; /* the tap, last */
	int64_t turned_at; /* the loop, last */
	int64_t stalled_until; /* this process stood still: what it saw until then proves nothing */
	int64_t starved_until; /* a presence-streamd got no time: who fills a Redis had not all of them */

	const struct property *checking;
	char (*complaint)[300]; /* [property_count]: of the settled ones, the first of this look */
	unsigned *accused; /* [property_count]: the user that it is about */
	unsigned complaints; /* in this look */
	unsigned *looks; /* [property_count]: how often in a row each was complained of */
	unsigned blamed; /* the user that the last complaint is about */
	bool over; /* failed */
};

/* Whether a 503 may have come from a fault, for what was asked then. */
bool chaos_in_trouble(const struct chaos *chaos, int64_t since);
/* The same for this status, 0: no answer. */
bool chaos_excuses(const struct chaos *chaos, int status, int64_t since);
/* Runs the plan; endless plans get further episodes until `seconds` have passed. */
void chaos_run(const struct plan *plan, int seconds, struct result *result);
/* Users without devices that are logged in, who are nobody's friends. */
void chaos_make_users(struct chaos *chaos, unsigned count);
void chaos_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Notes what concerns a user; a failure shows the last notes of whom it is about. */
void chaos_note(struct user *user, const char *format, ...) __attribute__((format(printf, 2, 3)));
void chaos_show_notes(const struct chaos *chaos, unsigned user);

/* --- shrink.c -------------------------------------------------------------------------------- */

/* Runs a plan in a process of its own. */
typedef void run_plan(const struct plan *plan, int seconds, struct result *result);
/* Leaves out what the failure does not need, for so many seconds at most; the failure of what is left
 * replaces it. */
void shrink(struct plan *plan, struct result *failure, int seconds, run_plan *run_it);

#endif
