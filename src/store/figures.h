/*
 * What one process counted, on its way to Redis, where the sums of all
 * processes are: counters go to one shared Hash as what was added since the last
 * time, so that nothing is lost with the process; gauges to a Hash of its own, which ends
 * by itself. Counting costs an addition.
 */
#ifndef PRESENCE_STORE_FIGURES_H
#define PRESENCE_STORE_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "store/figure.h"
#include "store/store.h"

struct figures;

/* `program` is "api", "streamd" or "pushd"; the process is named after it, the host and its pid. */
struct figures *figures_new(const char *program);
void figures_free(struct figures *figures);
const char *figures_process(const struct figures *figures);

/*
 * Where a counter is to be raised or a gauge set: the one with these values of its
 * labels, but for "process" (NULL where it has none), made when it is new. Valid as long as
 * `figures`. For a counter that is raised often, keep it: finding it takes time.
 */
int64_t *figures_at(struct figures *figures, enum figure figure, const char *first,
		    const char *second);

/*
 * Likewise a histogram; and counts `times` events that took that long: what a clock that was set, or
 * nonsense in Redis, says beyond 0 … FIGURES_OBSERVED_MAX counts as the nearer of them.
 */
#define FIGURES_OBSERVED_MAX INT64_C(86400000000) /* us: a day */
struct figures_histogram;
struct figures_histogram *figures_histogram_at(struct figures *figures, enum figure figure,
					       const char *first);
void figures_observe(struct figures_histogram *histogram, int64_t us, int64_t times);

/*
 * Appends the one command that tells Redis what is new since the last time: `store` is the first
 * partition. The process counts as alive for ttl_ms; 0: it ends. One at a time:
 * figures_read() of its reply, or of NULL when there was none, comes before the
 * next. What may have been told is told again as it was, and counts once; what was counted
 * since then goes with the next after it: figures_have_news(). A reply that is no error may say that
 * it was not done: then the rights lack, or a key is not ours.
 */
void figures_put(struct printbuf *out, const struct store *store, struct figures *figures,
		 int64_t ttl_ms);
void figures_read(struct figures *figures, const redisReply *reply);
/* Whether Redis does not know all that was counted. */
bool figures_have_news(const struct figures *figures);

#endif
