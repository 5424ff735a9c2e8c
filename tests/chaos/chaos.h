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
 *   states.c      what a user chose, which devices are idle, and what friends see of it
 *   conn.c        HTTP connections on one epoll; tab.c the streams; tap.c what is published
 *   friends.c     who is whose friend
 *   stand.c       the programs: layouts, killing, starting again
 *   shrink.c      a shorter plan that fails in the same way
 *
 * Times are milliseconds of the monotonic clock unless they say otherwise.
 */
#ifndef PRESENCE_TESTS_CHAOS_H
#define PRESENCE_TESTS_CHAOS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "bench/reader.h"
#include "integration/harness.h"

#define DEVICES 3 /* of each user */
#define TABS 2 /* of each device */
#define USERS_LIMIT 1000
#define IDLE_SAID 5 /* more often in 30 s, and it is taken later */
#define NOTES 40 /* the last of each user */
#define LOOK 80 /* what friends see, in words */
#define FOREVER (INT64_MAX / 4)

/* The site's configuration, ms. A token lives far longer than any quiet time: what is to be taken
 * back early and is not shows. */
#define ONLINE_TTL 60000
#define STREAM_TTL 5000
#define GRACE 1000
#define HEARTBEAT 1000
#define SWEEP 1000
#define HOLD (HEARTBEAT + SWEEP) /* after a pause streams' users are spared that long */
#define STREAMS_MAX 5 /* of one user; fewer than tabs */
#define SESSIONS_MAX 24 /* of one user */
#define WORD 12 /* a status and its end */
#define RECOVERY 4000 /* from the end of a fault until all works again (stretched) */

struct chaos;
struct action;
struct fault;

/* --- plan.c ---------------------------------------------------------------------------------- */

struct prng {
	uint64_t state;
};
uint64_t prng_next(struct prng *prng);
unsigned prng_below(struct prng *prng, unsigned limit); /* 0 when limit is 0 */

enum layout {
	LAYOUT_ONE, /* one streamd */
	LAYOUT_TWO, /* two, a socket each; the web server balances */
	LAYOUT_SHARED, /* two on one listening socket */
	LAYOUT_HOSTS, /* two web servers with workers and a streamd each */
	LAYOUTS,
};

/* Something that happens: an action or a fault. */
struct step {
	unsigned episode;
	int at; /* ms after the episode began */
	const struct action *action; /* or NULL */
	const struct fault *fault; /* or NULL */
	unsigned user, device, tab; /* of an action; users count from 1, the others from 0 */
	unsigned arg; /* which variant */
	int lasts; /* of a fault, ms */
};

/* Any part of a plan is a plan: a step that makes no sense when it comes is left out. */
struct plan {
	uint64_t seed;
	unsigned users;
	enum layout layout;
	const char *faults; /* names of those that may be made up; NULL: all */
	struct step *steps; /* by episode and time */
	size_t count, capacity;
};

void plan_init(struct plan *plan, uint64_t seed, unsigned users, int layout /* -1: by seed */);
/* Appends an episode; the same plan, seed and number give the same steps. */
void plan_add_episode(struct plan *plan, unsigned episode);
void plan_add_step(struct plan *plan, const struct step *step);
void plan_free(struct plan *plan);
void plan_put(struct printbuf *out, const struct plan *plan);
void plan_put_step(struct printbuf *out, const struct step *step);
/* Reads what plan_put() wrote; false with what is wrong in err. */
bool plan_parse(struct plan *plan, const char *text, char *err, size_t err_size);

/* --- conn.c ---------------------------------------------------------------------------------- */

/* One HTTP exchange: a request, an answer that ends with the connection. */
struct conn {
	struct chaos *chaos;
	int fd; /* -1: none */
	struct reader reader;
	struct printbuf *request; /* what is not sent yet, or NULL */
	bool paused; /* is not read */
	reader_line *on_line; /* arg is `owner` */
	void (*on_end)(struct conn *conn); /* the peer closed, or could not be reached */
	void *owner;
	int64_t started, last_read; /* last_read: 0 until something came */
};

/* Starts it; `request` is taken over. */
void conn_start(struct conn *conn, int port, struct printbuf *request);
void conn_close(struct conn *conn); /* FIN; nothing is called */
void conn_abort(struct conn *conn); /* RST */
void conn_pause(struct conn *conn, bool paused);
/* One turn of the loop: what has come is handled; waits at most until then. */
void conn_turn(struct chaos *chaos, int64_t until);

/* A call of the REST API. */
struct call {
	struct conn conn;
	struct device *device;
	unsigned serial; /* of the device's token when it was sent */
	const char *token; /* owned; NULL: none */
	int64_t sent;
	bool is_dead; /* its token was logged out */
	const char *choice; /* the state that it chooses, NULL: none */
	int idle; /* what it says of the device: 1, 0 or, nothing, -1 */
	bool is_activity; /* renews the token's session when it is answered 200 */
	unsigned target; /* whom it asks about, or 0 */
	void *arg; /* for done() */
	int status; /* 0: no answer */
	const char *body; /* in done() */
	void (*done)(struct call *call);
	struct call *next;
};

/* Sends a call; path without "/api"; body NULL: GET. It is freed after done(). */
struct call *call_start(struct chaos *chaos, struct device *device, const char *path,
			const char *body, void (*done)(struct call *call));
/* The same with another token than the device's; it is none of its activity. */
struct call *call_start_with(struct chaos *chaos, struct device *device, const char *token,
			     const char *path, const char *body, void (*done)(struct call *call));
/* By the device's token, with any method; it is none of its activity. */
struct call *call_start_method(struct chaos *chaos, struct device *device, const char *method,
			       const char *path, const char *body, void (*done)(struct call *call));
/* By nobody's device; waits for the answer; free *body. Returns the status. */
int call_wait(struct chaos *chaos, const char *token, const char *path, const char *body,
	      char **answer);
void calls_give_up_late(struct chaos *chaos); /* those without an answer for too long */
void calls_free_done(struct chaos *chaos);

/* --- users, devices, tabs -------------------------------------------------------------------- */

struct seen {
	bool known, online;
	uint64_t version;
	char word[WORD]; /* the status */
};

enum tab_state {
	TAB_CLOSED, /* the user has closed it */
	TAB_WAITING, /* comes back at retry_at */
	TAB_TICKET, /* asks for a ticket */
	TAB_OPENING, /* asks for the stream */
	TAB_READY, /* has had its `initial` */
	TAB_ENDING, /* logged out: the server is to end it */
};

struct tab {
	struct device *device;
	enum tab_state state;
	struct conn conn;
	unsigned way; /* how it opens: header, query, ticket */
	int64_t retry_at;
	unsigned failures;
	int64_t opened, ready; /* when it asked, when its first `initial` came */
	int64_t away_at; /* since when it should have a stream and has none */
	bool asleep; /* reads nothing, or has only just begun again: the stream may be gone */
	int64_t awake_at; /* when it began to read again; 0: it does not */
	int64_t initial_at; /* the last one */
	unsigned degrades; /* in this episode */
	int64_t degraded_at; /* 0: it is not */
	char event[24]; /* whose data comes next */
	char self[WORD]; /* the chosen state that it shows its own user; "?": none yet */
	char bye[24]; /* reason, "" = none */
	struct seen *view; /* [users + 1] */
};

enum idleness { IDLE_NO, IDLE_YES, IDLE_MAYBE };

struct device {
	struct user *user;
	char *token; /* NULL: logged out */
	char *old_token; /* one that was logged out, while Redis knows; or NULL */
	unsigned serial; /* grows with each token */
	bool logging_out; /* until it is told that it is */
	bool logout_all;
	int64_t logout_retry_at; /* 0: one is under way */
	bool login_pending;
	struct tab tabs[TABS];

	/* model.c: the token's session, and those of streams that are no longer open. */
	int64_t token_lo; /* online until then for sure */
	int64_t token_acked; /* the last activity that was, or may have been, taken */
	bool token_doubt; /* it may have been taken later than that */
	int64_t lowered; /* its last stream closed then, for sure; 0 = not since token_acked */
	int64_t may_lower; /* its last stream may have closed then */
	int64_t closed_lo; /* streams' sessions: until then for sure */
	int64_t closed_at; /* the last stream that was closed */
	int64_t held_until;
	enum idleness idle; /* states.c */
	bool saying_idle; /* a call is under way */
	int64_t idle_doubt; /* when one had no clear answer; 0: none */
	int64_t lost_at; /* the last stream that may have ended without a word */
};

struct user {
	unsigned id;
	char text[12];
	struct device devices[DEVICES];
	int64_t held_since, held_until; /* model_refresh() */
	int64_t orphan_at; /* a login without an answer: a session that nobody knows */

	/* states.c */
	char chosen[WORD]; /* the state, "" = automatic */
	int64_t chosen_at; /* since when that is certain */
	int64_t choice_doubt; /* since when it is not; 0: it is */
	bool choosing; /* a call is under way */
	bool may_hide; /* is, or may be, invisible */
	bool is_handed_in; /* after a wipe the streams' programs have it, perhaps Redis does not yet */
	uint64_t hidden_version; /* when it became invisible */
	int64_t idle_said[IDLE_SAID]; /* when, the last ones; a ring */
	unsigned idle_count;
	int64_t idle_late; /* until then a change may not have been taken */

	char *notes[NOTES]; /* a ring */
	unsigned note_count;

	bool told; /* by the tap, since when nothing was missed */
	bool told_online;
	uint64_t told_version;
	char told_look[LOOK];
	int64_t told_at;
};

/* --- model.c --------------------------------------------------------------------------------- */

void model_activity_taken(struct device *device, int64_t sent);
void model_activity_in_doubt(struct device *device); /* sent, or without a clear answer */
void model_answered(const struct call *call); /* a call that counts as activity */
void model_stream_ready(struct tab *tab);
void model_stream_closed(struct tab *tab, bool was_ready); /* by us */
void model_stream_lost(struct tab *tab, bool was_ready); /* by the other side */
void model_stream_asleep(struct tab *tab);
void model_logout_sent(struct device *device);
void model_logged_out(struct device *device); /* is known to be */
/* The user has so many sessions that tokens' are pushed out. */
void model_crowded(struct user *user);
void model_data_lost(struct chaos *chaos);
/* Whether the session of a stream that ended without a word may still stand in Redis. */
bool model_may_have_zombie(const struct device *device);
void model_streamd_died(struct chaos *chaos); /* it may not have told of what closed just now */
/* When all has been told that could not be told at `at`. */
int64_t model_told_by(const struct chaos *chaos, int64_t at);
/* From then on nothing of the device, announcement not included. */
int64_t model_device_gone_at(const struct chaos *chaos, const struct device *device);
/* A new look at what is certain, after whatever changed it. */
void model_refresh(struct user *user);
/* Online for sure at every moment from `from` to `to`. */
bool model_held(const struct user *user, int64_t from, int64_t to);
/* From then on offline for sure, announcement included, if nothing more happens. */
int64_t model_gone_at(const struct chaos *chaos, const struct user *user);
/* True once, with *online: what is certain at this moment; false: either may be. */
bool model_decides(const struct chaos *chaos, const struct user *user, int64_t now, bool *online);

/* --- states.c -------------------------------------------------------------------------------- */

struct kept;
struct snapshot;
struct change;

/* Chooses it, "" = automatic; one call of a user at a time. */
void states_choose(struct chaos *chaos, struct device *device, const char *word);
void states_say_idle(struct chaos *chaos, struct device *device, bool idle);
void states_data_lost(struct user *user);
/* A stream that knew it has ended, or cannot be heard. */
void states_stream_lost(struct user *user);
void states_initial(struct chaos *chaos, struct user *user);
/* Certainly invisible. */
bool states_hide(const struct user *user);
/* What was uncertain is as Redis has it when all is quiet. */
void states_learn(struct chaos *chaos, const struct snapshot *snapshot);
/* The properties' functions. */
void states_published(struct chaos *chaos, struct user *user, const struct change *change);
void states_answered(struct chaos *chaos, const struct call *call);
void states_shown(struct chaos *chaos, struct tab *tab, const char *event);
void states_kept(struct chaos *chaos, struct user *user, const struct kept *kept);
void states_are_true(struct chaos *chaos, const struct snapshot *snapshot);
void states_selves_agree(struct chaos *chaos, const struct snapshot *snapshot);

/* --- tab.c ----------------------------------------------------------------------------------- */

void tab_open(struct tab *tab, unsigned way);
void tab_close(struct tab *tab, bool abort);
void tab_sleep(struct tab *tab); /* reads nothing from now on */
void tab_wake(struct tab *tab);
void tabs_come_back(struct chaos *chaos); /* those whose time has come */

/* --- tables ---------------------------------------------------------------------------------- */

struct action {
	const char *name;
	unsigned weight; /* how often, relative to the others */
	unsigned variants; /* arg is below this */
	void (*run)(struct chaos *chaos, struct device *device, const struct step *step);
};
extern const struct action actions[];
extern const size_t action_count;
const struct action *action_find(const char *name);
void actions_repeat(struct chaos *chaos); /* logouts that were not answered */

#define CRASHES 2u /* what was under way gets the web server's 500, or no answer */
#define GAP 1u /* streams miss something: each gets a fresh `initial` */
#define NEEDS_REDIS 8u /* speaks to Redis: not while it is stopped or dead */

struct fault {
	const char *name;
	unsigned weight, variants;
	int min, max; /* how long it lasts, ms */
	unsigned traits;
	/* False: cannot be now. */
	bool (*begin)(struct chaos *chaos, const struct step *step);
	void (*end)(struct chaos *chaos, const struct step *step); /* may be NULL */
};
extern const struct fault faults[];
extern const size_t fault_count;
const struct fault *fault_find(const char *name);

/* A message on presence:broadcast. */
struct change {
	bool online;
	uint64_t version;
	const char *reason;
	char look[LOOK]; /* all that others see but times */
	int64_t from, to; /* it was published in between */
};

/* What Redis holds of a user. */
struct kept {
	bool online; /* user:online:{id} */
	bool listed; /* in online_users */
	uint64_t version;
	char word[WORD], chosen[WORD]; /* the status; the state in user:chosen:{id} */
	unsigned streams, tokens; /* sessions ahead of Redis' clock, not closing */
	unsigned sessions; /* all of them */
	double latest; /* of them, ms of Redis' clock; 0: none */
	double deadline; /* presence:deadlines; 0: none */
	long long ttl; /* of user:online:{id}, ms */
};

struct snapshot {
	double redis_now; /* ms */
	struct kept *users; /* [users + 1] */
	long long count; /* SCARD online_users */
};

/* A row that has no function for a kind of event does not look at it. */
struct property {
	const char *name, *says;
	void (*settled)(struct chaos *chaos, const struct snapshot *snapshot);
	void (*published)(struct chaos *chaos, struct user *user, const struct change *change);
	void (*answered)(struct chaos *chaos, const struct call *call);
	/* What Redis holds, whenever it is looked at. */
	void (*kept)(struct chaos *chaos, struct user *user, const struct kept *kept);
	void (*shown)(struct chaos *chaos, struct tab *tab, const char *event);
};
extern const struct property properties[];
extern const size_t property_count;
/* Called by a property: it does not hold, for this user (0: nobody in particular). */
void violated(struct chaos *chaos, unsigned user, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void properties_published(struct chaos *chaos, struct user *user, const struct change *change);
void properties_answered(struct chaos *chaos, const struct call *call);
void properties_shown(struct chaos *chaos, struct tab *tab, const char *event);
/* What Redis holds at this moment, from time to time. */
void properties_peek(struct chaos *chaos);
/* All of the settled ones; true when they hold. */
bool properties_settled(struct chaos *chaos);
/* What was complained of longest becomes the run's failure. */
void properties_give_up(struct chaos *chaos);

/* --- tap.c: presence:broadcast --------------------------------------------------------------- */

#define WIPED "wiped" /* a message of the fault's own: Redis has lost its data just now */
void tap_open(struct chaos *chaos);
void tap_close(struct chaos *chaos); /* what is told until it opens again is missed */
void tap_drain(struct chaos *chaos);

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

/* --- friends --------------------------------------------------------------------------------- */

bool friends_are(const struct chaos *chaos, unsigned a, unsigned b);
void friends_set(struct chaos *chaos, unsigned a, unsigned b, bool are);
void friends_announce(struct chaos *chaos); /* what could not be told while Redis was away */

/* --- run.c ----------------------------------------------------------------------------------- */

/* What a run leaves for the process that started it. */
struct result {
	bool failed;
	char property[40];
	char text[1500];
	unsigned user; /* whom the failure is about, 0: nobody in particular */
	unsigned episode; /* of the failure */
	unsigned episodes; /* that went well */
	unsigned long steps, comparisons, published, events, calls, streams, again, undecided,
		decided, words;
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
	bool *untold; /* [users + 1]: friends_changed not published yet */
	int epoll;
	struct call *calls;
	struct tap *tap;
	char *observer; /* a token of a user that is nobody's friend */

	struct active active[ACTIVE_MAX];
	int64_t calm_since; /* the end of the last fault */
	int64_t trouble_since; /* the begin of the last one when all was well */
	int64_t crashed_at; /* the end of the last fault that CRASHES; FOREVER while there is one */
	int64_t gap_at; /* the last one with GAP; its end */
	int64_t data_lost_at;
	int64_t peek_at; /* the next look at Redis during an episode */
	int64_t drained; /* the tap, last */
	int64_t stalled_until; /* this process stood still: what it saw until then proves nothing */

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
