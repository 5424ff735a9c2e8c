/*
 * One FastCGI connection and the stream it carries:
 *
 *   REQUEST    records come in until the parameters are complete
 *   TICKET     came with a ticket: Redis is asked what it stands for
 *   INBOX      token verified; waits until it hears when its friends change
 *   DIRECTORY  friends asked for
 *   OPENING    in all its topics, session asked for; nothing is sent yet
 *   OPEN       header and `connected` are sent; initial, changes, heartbeats
 *   ENDING     the last frames are in the outbox; ends when it is empty
 */
#ifndef PRESENCE_STREAM_STREAM_H
#define PRESENCE_STREAM_STREAM_H

#include <event2/event_struct.h>

#include "base/problem.h"
#include "base/random.h"
#include "stream/fcgi.h"
#include "stream/server.h"

enum stream_phase {
	PHASE_REQUEST,
	PHASE_TICKET,
	PHASE_INBOX,
	PHASE_DIRECTORY,
	PHASE_OPENING,
	PHASE_OPEN,
	PHASE_ENDING,
};

enum stream_snapshot {
	SNAPSHOT_WAITING, /* for subscriptions, the session or an empty outbox */
	SNAPSHOT_QUEUED, /* in server->to_snapshot */
	SNAPSHOT_ASKED, /* MGETs are sent: changes are held */
	SNAPSHOT_DONE, /* `initial` is queued: changes are passed on */
};

struct stream {
	struct server *server;
	TAILQ_ENTRY(stream) connection, dirty, touch, join, snapshot_link;
	struct subscriber subscriber;
	struct event io, timer;
	int fd;
	int slot; /* of server->slots, from TICKET to OPEN */
	uint32_t generation; /* tells this stream from an earlier one of the same number */
	struct fcgi_conn fcgi;
	enum stream_phase phase;
	enum stream_snapshot snapshot;

	bool is_dirty, in_touch, in_join; /* in the list of that name */
	bool blocked; /* waits until the socket is writable */
	bool resync; /* was too slow: nothing more until the outbox is empty, then `initial` */
	bool unpadded; /* something was sent since the last padding */
	bool degraded; /* was told so, and no `initial` since */
	bool touching; /* a touch is sent, its answer not here */
	bool touch_again; /* and another one is wanted after it */
	bool admitted; /* Redis has the session and the token is not revoked */
	bool was_admitted; /* once at least: from then on its touches only renew */
	bool recovering; /* counted in server->recovering */
	bool subscribed; /* all its topics are */
	bool deaf; /* the friends may have changed unheard since they were asked for */
	bool has_session; /* Redis may hold the session: tell it when the stream closes */

	struct outbox outbox;
	struct outbox held; /* changes while the snapshot is asked for */
	struct printbuf *initial; /* the snapshot so far */
	uint32_t parts_asked; /* MGETs of this snapshot without an answer */
	uint32_t snapshot_serial; /* answers to an older one are ignored */
	uint64_t subscribe_serial;

	struct directory_call *call;
	char *fields; /* CORS fields of the answer, or NULL */
	struct userid user;
	char *tok;
	char session_id[TOKEN_SESSION_LEN + 1];
	char word[RANDOM_WORD_LEN + 1]; /* the random part of its session's name */
	int64_t iat, exp; /* seconds */

	int64_t deadline_ms; /* of the phase, or of max_lifetime; 0 = none (times_mono_ms) */
	int64_t heartbeat_ms; /* when the next one is due */
	int64_t progress_ms; /* when the reader took something, or had nothing to take */
};

struct stream *stream_new(struct server *server, int fd);

/* Asks the directory for the friends, for the first time (PHASE_INBOX) or again. */
void stream_ask_friends(struct stream *stream);

/* Closes and frees it at once. Only from its own events or the end of a turn. */
void stream_destroy(struct stream *stream);

/* The token is known, from the request itself or by its ticket: PHASE_INBOX begins. */
void stream_admit(struct stream *stream, const struct token *token);

/* Queues a frame; it is sent at the end of the turn. */
void stream_send(struct stream *stream, struct frame *frame);

/* A change: sent, held or dropped as the stream's state wants it. */
void stream_deliver(struct stream *stream, struct frame *frame);

/* Sends what waits; may destroy the stream. */
void stream_flush(struct stream *stream);

/* Header and `connected` go out; with the link down, `degraded` too. */
void stream_open(struct stream *stream);

/* An answer that is not a stream, then the end. */
void stream_refuse(struct stream *stream, enum problem_kind kind, const char *detail);

/* `bye` with the reason (token_expired, revoked, shutdown or lifetime), then the end. */
void stream_end(struct stream *stream, const char *reason);

/* Puts the end off by delay_ms, for a drain that spreads its goodbyes. */
void stream_end_later(struct stream *stream, int64_t delay_ms);

#endif
