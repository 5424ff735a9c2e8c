/*
 * The store's operations on the stand's Redis, called as the programs call them:
 * what the tests of the scripts share. Every call fails the test on an error.
 */
#ifndef PRESENCE_TESTS_OPERATIONS_H
#define PRESENCE_TESTS_OPERATIONS_H

#include "harness.h"

#include "base/config.h"
#include "store/blocking.h"
#include "store/reply.h"
#include "store/store.h"

/* Of the test that runs, made by call_start(). */
extern struct stack *stack;
extern struct config *config;
extern struct store *store;
extern struct blocking *redis;

/* A Redis and a store with this configuration. */
void call_start(const char *conf);
void call_stop(void);

/* Runs the one command of the buffer, which it frees; the reply is the caller's (reply.h). */
redisReply *call_run(struct printbuf *pipeline);
struct userid call_user(const char *text);

/* A touch of one session: the token's own, or (stream given) both as an opening stream does. */
enum store_verdict call_touch(const char *id, const char *tok, const char *stream,
			      const char *reason);
/* A stream's renewal; the token's session is left alone. */
enum store_verdict call_renew(const char *id, const char *tok, const char *stream);
/* A request's touch; whether who looks offline must be looked at twice. */
bool call_touch_as_worker(const char *id, const char *tok);
void call_close(const char *id, const char *tok, const char *stream);
void call_close_ago(const char *id, const char *tok, const char *stream, int64_t ago_ms);
/* Logout, or a kick (tok NULL). */
enum store_verdict call_end(const char *id, const char *tok, bool all, const char *reason);
/* Whether there may be more to sweep. */
bool call_sweep(bool streamd);
/* The second look: the STATUS of a user who is online; NULL: offline. */
const char *call_look(const char *id);

/* Lets a session lapse: its deadline was a moment ago. */
void call_lapse(const char *id, const char *session);
/* Whether both user:online:{id} and online_users say so. */
bool call_is_online(const char *id);

/* The next message is this change. */
void call_check_change(struct listener *listener, const char *id, bool online, const char *reason);
/* Nothing (more) was published. */
void call_check_silence(struct listener *listener);

#endif
