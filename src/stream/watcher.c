#include "stream/watcher.h"

#include <stdlib.h>

#include "base/alloc.h"

struct watcher_call {
	struct watcher *watcher; /* NULL: it went */
};

void watchers_init(struct watchers *all, struct context *context)
{
	all->context = context;
	TAILQ_INIT(&all->list);
}

static void on_looked(void *arg, const redisReply *reply)
{
	struct watcher_call *call = arg;
	struct watcher *watcher = call->watcher;

	free(call);
	if (watcher == NULL)
		return;
	watcher->call = NULL;
	if (reply == NULL)
		return; /* while Redis is away the token is taken for what it was */
	watcher->state =
		store_read_touch(reply, 0) == STORE_REVOKED ? WATCHER_REVOKED : WATCHER_GOOD;
	turn_mark(&watcher->all->context->turn, watcher->owner);
}

void watcher_look(struct watcher *watcher)
{
	struct context *context = watcher->all->context;
	const struct partition *partition = partition_of(context, watcher->token.user.text);
	/* It renews nothing. */
	const struct store_touch touch = {.user = &watcher->token.user,
					  .tok = watcher->token.name,
					  .iat = watcher->token.issued,
					  .reason = "activity"};

	if (watcher->call != NULL || !partition_is_up(partition))
		return;
	watcher->call = xmalloc(sizeof *watcher->call);
	watcher->call->watcher = watcher;
	buf_reset(context->scratch);
	store_put_touch(context->scratch, partition->store, STORE_STREAMD, &touch, 1);
	partition_command(partition, context->scratch, on_looked, watcher->call);
}

struct watcher *watcher_new(struct watchers *all, struct due *owner, const struct token *token)
{
	struct watcher *watcher;

	if (all->count >= WATCHERS_MAX)
		return NULL;
	watcher = xcalloc(1, sizeof *watcher);
	watcher->all = all;
	watcher->owner = owner;
	watcher->token = *token;
	TAILQ_INSERT_TAIL(&all->list, watcher, link);
	all->count++;
	watcher_look(watcher);
	return watcher;
}

void watcher_free(struct watcher *watcher)
{
	if (watcher == NULL)
		return;
	if (watcher->call != NULL)
		watcher->call->watcher = NULL;
	TAILQ_REMOVE(&watcher->all->list, watcher, link);
	watcher->all->count--;
	free(watcher);
}
