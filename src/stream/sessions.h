/*
 * Whether Redis holds a stream's session (docs/redis-keys.md, user:sessions),
 * and the touches that see to it, in batches.
 *
 * What an answer to a touch does:
 *
 *   done, and the touch was sent before a gap   answer DONE; another touch: this one may not have
 *   (RECOVERING and SENT_AGAIN)                 registered the session
 *   done                                        LIVE; QUEUED if SENT_AGAIN
 *   revoked, too many                           ABSENT; the answer says which
 *   failed (a key of this user is wrong)        RECOVERING -> PENDING; the next heartbeat tries again
 *   lost with the link                          touch IDLE; then session_lost()
 *
 *   session_lost()                              LIVE, RECOVERING -> PENDING; touch IDLE
 *   session_gap()                               RECOVERING; touch QUEUED or SENT_AGAIN
 */
#ifndef PRESENCE_STREAM_SESSIONS_H
#define PRESENCE_STREAM_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/random.h"
#include "stream/context.h"
#include "stream/state.h"

enum session_state {
	SESSION_ABSENT, /* Redis was never asked to hold it: nothing to close */
	SESSION_PENDING, /* asked; not confirmed, or not since the link was lost */
	SESSION_RECOVERING, /* to be confirmed before the next snapshot or sweep: counted */
	SESSION_LIVE, /* confirmed since the last gap */
};
extern const struct state_names session_states;

enum touch_state {
	TOUCH_IDLE,
	TOUCH_QUEUED,
	TOUCH_SENT,
	TOUCH_SENT_AGAIN, /* the one under way may have been done before what the next is for */
};
extern const struct state_names touch_states;

enum session_answer { ANSWER_NONE, ANSWER_DONE, ANSWER_REVOKED, ANSWER_TOO_MANY, ANSWER_FAILED };
extern const struct state_names session_answers;

/* Of the users of one partition. */
struct sessions {
	struct context *context;
	struct partition *partition;
	TAILQ_HEAD(session_list, session) queue; /* those of TOUCH_QUEUED */
	unsigned asked; /* batches without an answer */
	unsigned recovering; /* sessions in SESSION_RECOVERING */
};

struct touch_batch;

struct session {
	struct due *owner;
	TAILQ_ENTRY(session) link;
	struct touch_batch *batch; /* while SENT: which holds it at `item` */
	unsigned item;
	enum session_state state;
	enum touch_state touch;
	enum session_answer answer; /* the last one */
	bool renewal; /* confirmed once: touches renew this session alone, not the token's */
	char *user; /* its id; in one piece of memory with tok: there are thousands of sessions */
	char *tok;
	char stream_id[RANDOM_ID_LEN + 1]; /* the random part of its name in Redis */
	int64_t iat; /* seconds */
	bool watch; /* only looks whether the token is good: Redis holds nothing of it */
	bool born_idle; /* the client said so when it opened */
	bool knows_self; /* the own STATUS came since the last gap */
	bool heard_self; /* by the inbox, since the touch under way was sent */
	bool knows_chosen; /* once at least; then `chosen` is what a wiped Redis gets back */
	char *chosen; /* the state that the user chose, as Redis keeps it; NULL = none */
	char *self; /* own STATUS (JSON) that is to be sent; NULL = none */
	uint64_t self_hash; /* of the last one, without last_activity */
};

void sessions_init(struct sessions *all, struct partition *partition);
void session_init(struct session *session, struct due *owner);

/* Whose it is: of a new name, ABSENT. */
void session_identify(struct session *session, const struct token *token);

/* The user's id, for those who take a struct userid. */
struct userid session_userid(const struct session *session);

/* Wants a touch: one more after the one under way. Nothing while the partition is away. */
void session_touch(struct sessions *all, struct session *session);

void session_lost(struct sessions *all, struct session *session);
void session_gap(struct sessions *all, struct session *session);

/*
 * What the inbox says of the user to the user: a JSON object, and the chosen state
 * ("" = none). One that differs from the last in more than last_activity waits
 * in session->self. The answer to a touch under way says nothing of it then: it
 * comes by another connection and may be older; were it newer, another message
 * would follow.
 */
void session_hear_self(struct sessions *all, struct session *session,
		       const struct store_self *self);
/* The one that waits, which is the caller's to free from then on; NULL: none. */
char *session_take_self(struct session *session);

/* One that was sent may not have reached the reader: asks for it, and tells it, again. */
void session_forget_self(struct sessions *all, struct session *session);

/* Forgets it; whether Redis is to be told is the caller's affair (closings.h), before. */
void session_close(struct sessions *all, struct session *session);

/* Sends touches as far as there may be so many under way. The partition is up. */
void sessions_flush(struct sessions *all);

/* Sessions wait to be registered again after a gap: until then their users may look offline. */
bool sessions_are_recovering(const struct sessions *all);

#endif
