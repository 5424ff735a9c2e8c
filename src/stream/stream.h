/*
 * A stream: one connection and what it carries. Its parts (connection,
 * subscription, session, view, friends, hidden, ticket) have states of their own; the
 * phase says what the stream as a whole waits for. life.c drives it.
 */
#ifndef PRESENCE_STREAM_STREAM_H
#define PRESENCE_STREAM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include "base/problem.h"
#include "base/userids.h"
#include "stream/closings.h"
#include "stream/conn.h"
#include "stream/context.h"
#include "stream/fanout.h"
#include "stream/sessions.h"
#include "stream/slots.h"
#include "stream/snapshots.h"
#include "stream/state.h"
#include "stream/subscriptions.h"
#include "stream/watcher.h"

enum stream_phase { /* each is named after what it waits for */
		    PHASE_REQUEST, /* the parameters of a request */
		    PHASE_TICKET, /* Redis: what the ticket stands for */
		    PHASE_INBOX, /* its inbox subscribed, so that no change of friends is missed from here on */
		    PHASE_FRIENDS, /* the directory */
		    PHASE_SESSION, /* Redis to take the session; nothing is sent yet */
		    PHASE_FIGURES, /* of the figures alone: for its token, then each second's */
		    PHASE_OPEN, /* header and `connected` are sent */
		    PHASE_ENDING, /* the last frames are queued */
};
extern const struct state_names stream_phases;

struct stream;

/* The users a stream watches; friends.c asks the directory for them. */
enum friends_progress { FRIENDS_NONE, FRIENDS_ASKED, FRIENDS_KNOWN, FRIENDS_FAILED };
extern const struct state_names friends_states;

struct friends_state {
	struct userids *watched; /* the watch list; NULL = none */
	struct directory_call *call; /* under way, or NULL */
	enum friends_progress progress; /* KNOWN: their topics are joined */
	bool without; /* the watch list is instead of them, not besides */
	bool stale; /* a friends_changed may have been missed since the directory was asked */
};

/* Whom the reader must not see; hidden.c asks Redis for the blocks. */
enum hidden_progress {
	HIDDEN_UNASKED, /* to be asked once the view's statuses are */
	HIDDEN_ASKED,
	HIDDEN_KNOWN,
	HIDDEN_FAILED, /* to be asked again at the next heartbeat */
	HIDDEN_WAITING, /* Redis was wiped; to be asked again at the next tick */
};
extern const struct state_names hidden_states;

/* One question about all users of a stream, in parts; gone with the last answer. */
struct hidden_call {
	struct stream *stream; /* NULL: withdrawn */
	bool failed, lost;
	bool doubtful; /* Redis was wiped, and may not have got all blocks back */
	uint32_t count; /* users */
	unsigned char *found; /* enum hub_hidden of each; NULL while there was none */
};
struct hidden_state {
	struct hidden_call *call; /* under way, or NULL */
	enum hidden_progress progress;
	bool learned; /* the marks of these users were Redis' answer once */
	bool doubtful; /* the last answer was, and added to them: to be asked again at a heartbeat */
};

/* A ticket that came instead of a token; opening.c redeems it. */
enum ticket_answer { TICKET_NONE, TICKET_ASKED, TICKET_TAKEN, TICKET_UNKNOWN, TICKET_FAILED };
extern const struct state_names ticket_states;

struct ticket_call {
	struct stream *stream; /* NULL: the question was withdrawn */
};
struct ticket_state {
	struct ticket_call *call; /* under way, or NULL */
	enum ticket_answer answer;
};

#define NO_SLOT (-1)

/* What the process does for the users of one partition. */
struct home {
	struct partition *partition;
	struct sessions sessions;
	struct closings closings;
};

/* All streams of the process, and what their parts share. */
struct streams {
	struct context *context;
	struct conns conns;
	struct subscriptions subscriptions;
	struct snapshots snapshots;
	struct fanout fanout;
	struct watchers watchers;
	struct home *homes; /* by partition */
	TAILQ_HEAD(stream_list, stream) list; /* every connection's */
	unsigned hidden_waiting; /* streams in HIDDEN_WAITING */
	unsigned count, max; /* streams that have a slot; as many as there may be */
	struct slots *slots; /* that streams of all processes share; NULL = our own count is all */
	uint32_t next_number;
};

struct stream {
	struct streams *all;
	struct home *home; /* of its user; NULL until that is known */
	struct due due;
	TAILQ_ENTRY(stream) link;
	struct event timer; /* for whatever comes first; marks the stream due */
	enum stream_phase phase;
	struct conn conn;
	struct subscription subscription;
	struct session session;
	struct view view;
	struct friends_state friends;
	struct hidden_state hidden;
	struct ticket_state ticket;
	struct watcher *watcher; /* in PHASE_FIGURES, else NULL */
	int slot; /* of all->slots, or 0 without them; NO_SLOT = not counted */
	char *fields; /* header lines that every answer to the request carries; NULL: the header is sent */
	const char *end; /* why it ends, static; NULL: the other side went, or it goes on */
	int64_t exp; /* of the token, seconds */
	int64_t deadline_ms; /* of the phase, in OPEN of max_lifetime; 0 = none (times_mono_ms) */
	int64_t heartbeat_ms; /* in OPEN: when the next one is due */
	int64_t armed_ms; /* when the timer runs; 0 = it does not */
	uint64_t partitions[]; /* of its topics: subscription.partitions */
};

/* The context has its partitions and links. */
void streams_init(struct streams *all, struct context *context);
void streams_clear(struct streams *all); /* destroys every stream */
void streams_free(struct streams *all); /* after that, and after the links are gone */

/* A stream for a connection; the descriptor is its own. */
struct stream *stream_new(struct streams *all, int fd);

/* Closes the connection and frees the stream at once. Of the driver alone. */
void stream_destroy(struct stream *stream);

static inline struct stream *stream_of_due(struct due *due)
{
	return (struct stream *)((char *)due - offsetof(struct stream, due));
}

static inline struct stream *stream_of_subscriber(struct subscriber *subscriber)
{
	return (struct stream *)((char *)subscriber -
				 offsetof(struct stream, subscription.subscriber));
}

/* Whose it is, as a token or a ticket said. */
void stream_identify(struct stream *stream, const struct token *token);

/* Whether the partition of its user is up. */
bool stream_is_home_up(const struct stream *stream);
/* Whether one is away that has its user, or one of the users whom it watches. */
bool stream_is_degraded(const struct stream *stream);
/* Whether all of these can be asked about. */
bool stream_is_settled(const struct stream *stream);

/* Its friends are known and it is past the limits: SESSION and OPEN. */
bool stream_has_friends(const struct stream *stream);

void stream_set_phase(struct stream *stream, enum stream_phase phase);
/* Of the phase, from now on; none. */
void stream_set_deadline(struct stream *stream, int64_t ms);
void stream_clear_deadline(struct stream *stream);
/* Sets the timer to whatever comes first. */
void stream_arm(struct stream *stream, int64_t now_ms);

/* The phase REQUEST begins, at the start and after each request that is over. */
void stream_await_request(struct stream *stream);

/* Counts the stream, here and among all processes; false when there is no slot left. */
bool stream_acquire_slot(struct stream *stream);

/* When the token's end is due, by this host's clock; one in its leeway gets that. */
int64_t stream_ms_to_expiry(const struct stream *stream);

/* Queues text as output of the request; sent at the end of the turn. */
void stream_send_text(struct stream *stream, const struct printbuf *text);

/* Sends the own STATUS that waits in session.self, as the event `self`. */
void stream_send_self(struct stream *stream);

/*
 * Whether there is room for one more frame of len bytes: makes some by sending what waits, then by
 * dropping what is fleeting. If there is none, what waits is dropped for a later `initial`.
 */
bool stream_make_room(struct stream *stream, size_t len);

/*
 * A change: sent, held or dropped, as the view's state wants it; one that is sent may be kept
 * for the end of an interval first (pace.h). What is fleeting is sent to a reader who is up to
 * date and keeps up, else dropped.
 */
void stream_deliver(struct stream *stream, struct frame *frame);
/* Sends what is kept. */
void stream_release(struct stream *stream);

/*
 * The ends of a request. In all of them the session is closed, the stream leaves the hub, and the
 * phase ENDING begins: what is queued goes out, then the connection's next request or its end.
 */
void stream_finish(struct stream *stream);
void stream_refuse(struct stream *stream, enum problem_kind kind, const char *detail);
/* Of one that is answered otherwise. */
void stream_count_refusal(const struct stream *stream, enum problem_kind kind);
void stream_say_bye(struct stream *stream, const char *reason); /* in OPEN */

#endif
