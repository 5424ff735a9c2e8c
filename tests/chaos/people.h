/* The clients: users with devices and tabs, their connections and calls. */
#ifndef PRESENCE_TESTS_CHAOS_PEOPLE_H
#define PRESENCE_TESTS_CHAOS_PEOPLE_H

#include "bench/reader.h"
#include "chaos/plan.h"

#define DEVICES 3 /* of each user */
#define TABS 2 /* of each device */
#define USERS_LIMIT 1000
#define IDLE_SAID 5 /* more often in 30 s, and it is taken later */
#define NOTES 40 /* the last of each user */
#define LOOK 80 /* what friends see, in words */
#define WORD 12 /* a status and its end */

/* --- conn.c ---------------------------------------------------------------------------------- */

/* What the loop waits for: the first member of whatever has a socket. */
struct source {
	void (*ready)(struct source *source, uint32_t events);
};

/* One HTTP exchange: a request, an answer that ends with the connection. */
struct conn {
	struct source source;
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
/* The client's network is gone: nothing is called, and the other side hears nothing. */
void conn_vanish(struct conn *conn, bool comes_back);
/* Connections that vanished hear again, and end: those that come back, or all. */
void conns_come_back(struct chaos *chaos, bool all);
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
	unsigned other; /* whom it is about otherwise, or what it sets */
	bool may_be_too_often; /* 429 is an answer */
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
	int host; /* of its stream */
	int64_t cut_at; /* since then its host may not have reached Redis; 0: it does */
	bool asleep; /* reads nothing, or has only just begun again: the stream may be gone */
	int64_t awake_at; /* when it began to read again; 0: it does not */
	int64_t initial_at; /* the last one */
	unsigned degrades; /* in this episode */
	int64_t degraded_at; /* 0: it is not */
	char event[24]; /* whose data comes next */
	struct json_object *data; /* that, while the properties look at it */
	char self[WORD]; /* the chosen state that it shows its own user; "?": none yet */
	char bye[24]; /* reason, "" = none */
	struct seen *view; /* [users + 1] */
	unsigned change_of; /* the user that the last event was about, a status_change; or 0 */
	struct seen change; /* and what it said */
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
	int64_t ghost_until; /* one whose client vanished may stay open until then */
	int64_t logged_out_at; /* the last token; 0: none */

	/* wishes.c */
	int64_t subscribed_at; /* by its token; 0: perhaps not */
	int64_t pushed_at; /* by the last notification */
};

/* When the user was there, as others learn it. */
enum rule { RULE_EXACT, RULE_COARSE, RULE_NOBODY, RULES };

struct user {
	unsigned id;
	char text[12];
	struct device devices[DEVICES];
	int64_t held_since, held_until; /* model_refresh() */
	unsigned cuts; /* faults that keep its clients from the network */
	int64_t rests_until; /* it does nothing before */
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

	enum rule rule; /* settings.c */
	int64_t rule_at; /* since when that is certain */
	int64_t rule_doubt; /* since when it is not; 0: it is */
	bool ruling; /* a call is under way */
	unsigned pushes; /* notifications that may have been counted */

	char *notes[NOTES]; /* a ring */
	unsigned note_count;

	bool told; /* by the tap, since when nothing was missed */
	bool told_online;
	uint64_t told_version;
	char told_look[LOOK];
	int64_t told_at;
};

/* --- tab.c ----------------------------------------------------------------------------------- */

void tab_open(struct tab *tab, unsigned way);
void tab_close(struct tab *tab, bool abort);
void tab_sleep(struct tab *tab); /* reads nothing from now on */
void tab_wake(struct tab *tab);
void tab_vanish(struct tab *tab, bool comes_back); /* its network is gone */
void tabs_come_back(struct chaos *chaos); /* those whose time has come */

/* --- friends --------------------------------------------------------------------------------- */

bool friends_are(const struct chaos *chaos, unsigned a, unsigned b);
void friends_set(struct chaos *chaos, unsigned a, unsigned b, bool are);
void friends_announce(struct chaos *chaos); /* what could not be told while Redis was away */

#endif
