#include "stream/closings.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"

#define CLOSINGS_MAX 100000 /* kept for a Redis that is away */
#define RETRY_MS 1000 /* after Redis refused some */

struct closing {
	TAILQ_ENTRY(closing) link;
	int64_t closed_ms; /* by times_mono_ms() */
	struct userid user;
	char stream_id[RANDOM_ID_LEN + 1];
	char *request_id; /* of the stream, for log lines */
	char tok[];
};

struct batch {
	struct closings *all;
	unsigned count; /* the first so many of the list */
};

void closings_init(struct closings *all, struct partition *partition)
{
	all->partition = partition;
	TAILQ_INIT(&all->list);
}

/* The first one is done; or a key of its user is wrong, and there is nothing to be done. */
static void drop_first(struct closings *all, enum store_verdict verdict)
{
	struct closing *closing = TAILQ_FIRST(&all->list);

	if (verdict != STORE_DONE)
		log_about(closing->request_id, LOG_LEVEL_WARN,
			  "redis: the session of user %s could not be closed", closing->user.text);

	if (all->next == closing)
		all->next = TAILQ_NEXT(closing, link);
	TAILQ_REMOVE(&all->list, closing, link);
	all->count--;
	free(closing->request_id);
	free(closing);
}

void closings_free(struct closings *all)
{
	while (!TAILQ_EMPTY(&all->list))
		drop_first(all, STORE_DONE);
}

void closings_add(struct closings *all, const struct session *session)
{
	size_t size = strlen(session->tok) + 1;
	struct closing *closing;

	if (all->count == CLOSINGS_MAX)
		return;
	closing = xmalloc(sizeof *closing + size);
	closing->closed_ms = times_mono_ms();
	closing->user = session_userid(session);
	memcpy(closing->stream_id, session->stream_id, sizeof closing->stream_id);
	memcpy(closing->tok, session->tok, size);
	closing->request_id = xstrdup(session->owner->request_id);
	TAILQ_INSERT_TAIL(&all->list, closing, link);
	all->count++;
	if (all->next == NULL)
		all->next = closing;
	partition_wake(all->partition);
}

/* The first `count` of the list go to its end, to be sent again. */
static void put_back(struct closings *all, unsigned count)
{
	while (count-- > 0) {
		struct closing *closing = TAILQ_FIRST(&all->list);

		TAILQ_REMOVE(&all->list, closing, link);
		TAILQ_INSERT_TAIL(&all->list, closing, link);
		if (all->next == NULL)
			all->next = closing;
	}
}

static void on_closed(void *arg, const redisReply *reply)
{
	struct batch *batch = arg;
	struct closings *all = batch->all;

	if (reply == NULL) {
		/* Lost with the link, and so are all others that are under way. */
		all->next = TAILQ_FIRST(&all->list);
	} else if (reply->type == REDIS_REPLY_ERROR) {
		if (!all->refused)
			log_warn("redis: closing %u streams failed, tried again: %s", batch->count,
				 reply->str);
		all->refused = true;
		all->retry_ms = times_mono_ms() + RETRY_MS;
		put_back(all, batch->count);
	} else {
		for (unsigned i = 0; i < batch->count; i++)
			drop_first(all, store_read_close(reply, i));
		all->refused = false;
	}
	free(batch);
	partition_wake(all->partition);
}

static void send_batch(struct closings *all, int64_t now_ms)
{
	struct printbuf *command = all->partition->context->scratch;
	struct store_close items[STORE_BATCH_MAX];
	struct batch *batch = xmalloc(sizeof *batch);

	batch->all = all;
	batch->count = 0;
	while (batch->count < STORE_BATCH_MAX && all->next != NULL) {
		const struct closing *closing = all->next;

		items[batch->count++] =
			(struct store_close){&closing->user, closing->tok, closing->stream_id,
					     now_ms - closing->closed_ms};
		all->next = TAILQ_NEXT(closing, link);
	}
	buf_reset(command);
	store_put_close(command, all->partition->store, items, batch->count);
	partition_command(all->partition, command, on_closed, batch);
}

void closings_flush(struct closings *all, int64_t now_ms)
{
	if (now_ms < all->retry_ms)
		return;
	while (all->next != NULL)
		send_batch(all, now_ms);
}

bool closings_are_told(const struct closings *all)
{
	return all->count == 0;
}
