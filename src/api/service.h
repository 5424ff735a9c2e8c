/* What a worker keeps from one request to the next. */
#ifndef PRESENCE_API_SERVICE_H
#define PRESENCE_API_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/epochs.h"
#include "api/guesses.h"
#include "api/tally.h"
#include "auth/token_keys.h"
#include "auth/vapid.h"
#include "base/buf.h"
#include "base/config.h"
#include "base/secret.h"
#include "directory/directory.h"
#include "store/nodes.h"
#include "store/partitions.h"

struct service {
	const struct config *config; /* borrowed */
	struct token_keys *keys;
	struct vapid *vapid; /* NULL: no push */
	struct directory *directory;
	struct partitions *partitions;
	struct nodes *nodes;
	struct epochs *epochs;
	struct guesses guesses;
	struct tally *tally; /* NULL: nothing is counted */
	struct secret_file
		metrics_token; /* what GET /metrics takes; empty: there is no such call */
	struct printbuf *body, *answer, *fields, *out; /* reused by every request */
	int64_t redis_logged_ms; /* when Redis' silence was logged last, monotonic */
};

/*
 * Opens what the configuration names. Redis is connected with the first
 * request, unless several partitions make it worth a look whether they are as
 * they should be. NULL with a sentence in err. The configuration must outlive it.
 * Starts threads: call it in the process that serves, after the last fork.
 */
struct service *service_open(const struct config *config, char *err, size_t errsize);
void service_free(struct service *service);
/* Goes on with what other workers know, too. */
void service_share(struct service *service, struct epochs *epochs);

/*
 * Notes whether a partition was seen to have an epoch just now. True when it had
 * one before: it was wiped, and nobody has said so yet.
 */
bool service_has_lost_epoch(struct service *service, const struct store *store, bool is_there);
struct known_partition *service_known(struct service *service, const struct store *store);

/* Begins to count the calls of these routes. What was counted is told to Redis at the end, too. */
void service_count(struct service *service, const struct route *routes, size_t count);
/* When nothing came for that many ms (-1: never), Redis is told what was counted. */
int service_idle_ms(const struct service *service);
void service_idle(struct service *service);

/* Logs why Redis failed, about one line per second whatever the number of requests. */
void service_log_redis_error(struct service *service, const char *why);

#endif
