/*
 * presence-streamd's one loop and what its parts share: the listener and the
 * timers (server.c), connections and their life (stream.c), what Redis says
 * and is told (presence.c).
 */
#ifndef PRESENCE_STREAM_SERVER_H
#define PRESENCE_STREAM_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "auth/token.h"
#include "base/random.h"
#include "base/config.h"
#include "directory/directory.h"
#include "store/store.h"
#include "stream/events.h"
#include "stream/hub.h"
#include "stream/link.h"
#include "stream/outbox.h"
#include "stream/slots.h"

#define SERVER_SIGNALS 3
#define SERVER_TICK_MS 500 /* between two looks at what time alone makes due */

struct stream;
TAILQ_HEAD(stream_list, stream);

struct server {
	struct event_base *base;
	struct config *config;
	const char *file; /* that it was read from */
	struct token_keys *keys;
	struct store *store;
	struct directory *directory;
	struct link *link;
	struct hub hub;

	struct evconnlistener *listener;
	struct event *accept_again, *tick, *turn, *directory_ready, *stop_now;
	struct event *signals[SERVER_SIGNALS];
	bool accepting, draining, turn_asked;

	struct stream_list connections; /* every one */
	struct stream_list dirty; /* their outboxes wait for this turn's end */
	struct stream_list to_touch; /* sessions to create or renew */
	struct stream_list
		joining; /* wait for their subscriptions, in the order of their serials */
	struct stream_list to_snapshot; /* ready to be asked for */
	unsigned connection_count, stream_count, max_streams;
	struct slots *slots; /* that streams of all processes share; NULL = our own count is all */
	unsigned touches_asked, closings_asked, snapshots_asked; /* commands without an answer */
	uint32_t next_generation;

	struct closing *closings; /* sessions whose streams are gone, to be told to Redis */
	unsigned closing_count, closing_room;

	char *epoch; /* presence:epoch as seen last; NULL before */
	char epoch_word[RANDOM_WORD_LEN + 1]; /* what it becomes when Redis has none */
	int64_t gap_ms; /* what Redis said until then is not known any more */
	unsigned recovering; /* streams to be registered anew before the next snapshot or sweep */
	int64_t swept_ms; /* when the last sweep was asked for */
	bool sweeping;
	bool sweep_first; /* after a gap: a sweep comes before the snapshots */

	struct frame *heartbeat; /* this second's */
	int64_t heartbeat_second;
	struct frame *padding; /* [stream] padding; NULL = none */
	struct printbuf *scratch; /* for commands and texts; free for use in every callback */
	uint64_t resynced, dropped_messages; /* counted for the log */
};

/*
 * Makes a server on a listening socket. The socket and the keys are its own
 * from then on. The configuration, whose values a SIGHUP changes, its file's
 * name and the directory stay the caller's and must outlive it. NULL: the
 * system has no event loop for us or slots_file cannot be used, which is
 * logged, and nothing was taken over.
 */
struct server *server_new(struct config *config, const char *file, struct token_keys *keys,
			  struct directory *directory, int listen_fd);

/* Serves until SIGTERM or SIGINT has drained it. */
void server_run(struct server *server);
void server_free(struct server *server);

/* At the end of this turn of the loop: flush streams, ask Redis, write to it. */
void server_want_turn(struct server *server);

/* Redis answers: no reason to keep the first clients waiting. */
void server_redis_is_up(struct server *server);

/* A connection is gone: the listener may accept again. */
void server_connection_closed(struct server *server);

#endif
