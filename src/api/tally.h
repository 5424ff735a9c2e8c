/*
 * What a worker counts of the calls it answers, and when it tells Redis: along
 * with a call that asks Redis anyway, at most once a second; when it has nothing to
 * do; at its end. No call waits for it.
 */
#ifndef PRESENCE_API_TALLY_H
#define PRESENCE_API_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/router.h"
#include "store/figures.h"

#define TALLY_EVERY_MS 1000
#define TALLY_ALIVE_MS 30000 /* an idle worker says so often that it is alive */

struct tally;

/* For the routes of the table, which must outlive it. */
struct tally *tally_new(const struct route *routes, size_t count);
void tally_free(struct tally *tally);

/* Whether there is something that Redis was not told. */
bool tally_has_news(const struct tally *tally);

/* A call of that route (NULL: of none), and how long it took. */
void tally_count(struct tally *tally, const struct route *route, int status, int64_t us);

/* Whether something is to be told by now, and it is long enough ago that something was. */
bool tally_is_due(const struct tally *tally, int64_t now_ms);
/* Until the next time at which a worker that has nothing to do looks whether it is, ms. */
int tally_wait_ms(const struct tally *tally, int64_t now_ms);

/*
 * figures_put() and figures_read(); `is_last`: the worker ends. Only one is under way
 * at a time; tally_read(NULL): no reply came.
 */
void tally_put(struct tally *tally, struct printbuf *out, const struct store *first, int64_t now_ms,
	       bool is_last);
void tally_read(struct tally *tally, const redisReply *reply);

#endif
