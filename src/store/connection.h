/*
 * One connection to a Redis server, for whoever needs one: a socket, TLS on it where the address says
 * so, what is to be written, and hiredis' reader for what comes.
 *
 * It is made without waiting: after connection_open() the owner waits for the socket and calls
 * connection_proceed() until the state is another. An owner without a loop of its own calls
 * connection_wait() instead, and reading and writing wait from then on.
 *
 * Each function that returns false has lost the connection: connection_error() says why, and nothing
 * but connection_close() makes sense any more.
 */
#ifndef PRESENCE_STORE_CONNECTION_H
#define PRESENCE_STORE_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/config.h"
#include "base/redis_url.h"

enum connection_state { CONNECTION_STARTING, CONNECTION_READY, CONNECTION_LOST };

struct connection;

/* Whether the certificates that redis.url takes can be used; false: why says what is wrong. */
bool connection_check_config(const struct config *config, char *why, size_t size);

/* Never NULL. The host's name is looked up at once, which may wait. */
struct connection *connection_open(const struct config *config,
				   const struct redis_address *address);
/* NULL is allowed. What was written and has not come to the server's machine is withdrawn. */
void connection_close(struct connection *connection);

/* To be called when the socket is writable or readable: see connection_wants_write(). */
enum connection_state connection_proceed(struct connection *connection);
/* Whether it goes on when the socket is writable; else when it is readable. */
bool connection_wants_write(const struct connection *connection);
/* Waits until it is ready, at most timeout_ms. Then connection_flush() and connection_read() wait as long. */
bool connection_wait(struct connection *connection, int timeout_ms);
/* From now on they wait so long; 0 = without limit. */
void connection_set_timeout(struct connection *connection, int timeout_ms);

/* Appends to what the next flush writes. */
void connection_put(struct connection *connection, const void *data, size_t len);
/* Writes it all, or what the socket takes: then connection_has_output(). */
bool connection_flush(struct connection *connection);
bool connection_has_output(const struct connection *connection);

/* Reads once, 16 KB at most. */
bool connection_read(struct connection *connection);
/* The next reply of those that were read, the caller's (reply.h); NULL: none is whole. */
bool connection_take(struct connection *connection, redisReply **reply);
/*
 * Whether the peer has left a connection on which nothing is asked: its end is there to be read. On a Unix
 * socket that costs a question too many: there the next flush fails, and connection_had_no_peer().
 */
bool connection_was_left(const struct connection *connection);
/* After a flush that has failed: the peer had left before a byte was sent. */
bool connection_had_no_peer(const struct connection *connection);

int connection_fd(const struct connection *connection); /* -1 when there is none */
const char *connection_error(const struct connection *connection);

#endif
