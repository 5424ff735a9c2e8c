/* Redis over a blocking connection: for presence-api and presencectl. */
#ifndef PRESENCE_STORE_BLOCKING_H
#define PRESENCE_STORE_BLOCKING_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/redis_url.h"

struct blocking;

/*
 * A connection to one server: of several that redis.url names, the one of that
 * number, from 0. Connects when first used, and anew whenever the connection was
 * lost. The configuration must outlive it. Free with blocking_free().
 */
struct blocking *blocking_new(const struct config *config, unsigned server);
/*
 * The same to a node of a cluster, which redis.url may not name. An error that
 * sends elsewhere (cluster.h) is a reply like others: the caller follows it.
 */
struct blocking *blocking_new_member(const struct config *config,
				     const struct redis_address *address);
void blocking_free(struct blocking *link);

/*
 * Sends a pipeline of `count` commands in one go and waits for all replies, at
 * most redis.timeout_ms. True: replies[0..count-1] are the caller's, to be
 * freed with blocking_free_replies(). False: no reply is kept, and
 * blocking_error() says why - also when any reply is an error (read-only, out
 * of memory, loading, ...), because then what was asked for is not done.
 * Unknown scripts are loaded and the whole pipeline is sent once more, and where
 * Sentinels know the primary, to a new one; so commands in front of a script must
 * bear being repeated.
 */
bool blocking_run(struct blocking *link, const struct printbuf *pipeline, size_t count,
		  redisReply **replies);
void blocking_free_replies(redisReply **replies, size_t count);
const char *blocking_error(const struct blocking *link);
/* How often it was connected. */
unsigned blocking_connects(const struct blocking *link);
/* Appends where the server is, "host:port" or a path. */
void blocking_put_place(struct printbuf *out, const struct blocking *link);
/* The configuration has another user or password (redis_url_is_alike()): for the connections to come. */
void blocking_take_login(struct blocking *link);
/* Is not to look for the layout: whoever asks does so itself. */
void blocking_ignore_layout(struct blocking *link);
/* Is to look for it where there is but one partition, too: not for whoever serves one request and ends. */
void blocking_look_always(struct blocking *link);
/* Connects, if it is not, and looks. False: the server answers, and holds its users in another layout. */
bool blocking_look(struct blocking *link);
/* Whether the server was left because it holds its users in another layout (layout_key.h). */
bool blocking_is_other_layout(const struct blocking *link);

/*
 * The halves of blocking_run(), so that several servers work at the same time.
 * After a blocking_begin() that is true comes either blocking_end() or, when the
 * answers are of no use any more, blocking_abandon(): it waits for them no longer
 * than redis.timeout_ms after the beginning.
 */
bool blocking_begin(struct blocking *link, const struct printbuf *pipeline);
bool blocking_end(struct blocking *link, const struct printbuf *pipeline, size_t count,
		  redisReply **replies);
/*
 * blocking_end() for whoever looks at each reply: an error is one like others. False: there is none, the
 * connection is lost.
 */
bool blocking_end_each(struct blocking *link, const struct printbuf *pipeline, size_t count,
		       redisReply **replies);
void blocking_abandon(struct blocking *link, size_t count);

/*
 * For a loop that waits for more than Redis: sends a pipeline and does not
 * wait. Replies come one by one with blocking_read(), once blocking_fd() is
 * readable; until all are read, nothing else may be asked on this connection.
 * False: not sent, blocking_error() says why.
 */
bool blocking_send(struct blocking *link, const struct printbuf *pipeline);
int blocking_fd(const struct blocking *link); /* -1: not connected */
/* Reads what has come: *reply is the caller's, NULL when it is not whole yet. False: lost. */
bool blocking_read(struct blocking *link, redisReply **reply);
/* Its halves, for several replies in one piece, as published messages are. */
bool blocking_feed(struct blocking *link);
bool blocking_take(struct blocking *link, redisReply **reply);

#endif
