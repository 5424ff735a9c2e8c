/*
 * Whoever reads the figures (docs/api.md, "For operators"): a token, which Redis is
 * asked about before the first event and each second from then on.
 *
 *   watcher_new()                   ASKED
 *   Redis says that it is revoked   REVOKED, due
 *   Redis says that it is not       GOOD, due
 */
#ifndef PRESENCE_STREAM_WATCHER_H
#define PRESENCE_STREAM_WATCHER_H

#include <stdbool.h>
#include <sys/queue.h>

#include "auth/token.h"
#include "stream/context.h"

#define WATCHERS_MAX 10

enum watcher_state { WATCHER_ASKED, WATCHER_GOOD, WATCHER_REVOKED };

struct watchers {
	struct context *context;
	TAILQ_HEAD(watcher_list, watcher) list;
	unsigned count;
};

struct watcher {
	struct watchers *all;
	TAILQ_ENTRY(watcher) link;
	struct due *owner;
	struct watcher_call *call; /* a question under way, or NULL */
	struct token token;
	enum watcher_state state;
	bool is_open; /* the head of its answer is sent */
};

void watchers_init(struct watchers *all, struct context *context);

/* NULL: there are WATCHERS_MAX already. */
struct watcher *watcher_new(struct watchers *all, struct due *owner, const struct token *token);
void watcher_free(struct watcher *watcher); /* NULL is allowed */

/* Asks Redis about the token; nothing while that is away. */
void watcher_look(struct watcher *watcher);

#endif
