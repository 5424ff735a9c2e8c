#include "stream/handshake.h"

#include <string.h>

#include "base/buf.h"
#include "store/resp.h"
#include "store/scripts.h"

void handshake_init(struct handshake *handshake, const struct target *target, struct wire *commands,
		    struct feed *feed, struct pending_ring *pending,
		    const struct handshake_events *events, void *arg)
{
	*handshake = (struct handshake){.target = target,
					.commands = commands,
					.feed = feed,
					.pending = pending,
					.events = events,
					.arg = arg};
}

void handshake_stop(struct handshake *handshake)
{
	handshake->is_under_way = false;
}

/* --- answers --------------------------------------------------------------------------------- */

void handshake_advance(struct handshake *handshake)
{
	if (!handshake->is_under_way || --handshake->left > 0)
		return;
	handshake->is_under_way = false;
	handshake->events->done(handshake->arg);
}

static void on_reply(void *arg, const redisReply *reply)
{
	struct handshake *handshake = arg;

	if (reply == NULL || !handshake->is_under_way)
		return;
	if (reply->type == REDIS_REPLY_ERROR)
		handshake->events->refused(handshake->arg, reply);
	else
		handshake_advance(handshake);
}

static void on_greeting(void *arg, const redisReply *reply)
{
	struct handshake *handshake = arg;
	const char *why = NULL;

	if (reply != NULL && reply->type != REDIS_REPLY_ERROR && handshake->is_under_way)
		why = handshake->events->read_greeting(handshake->arg, handshake->greeted++, reply);
	if (why != NULL)
		handshake->events->lost(handshake->arg, why);
	on_reply(arg, reply);
}

/* Whether it is the primary, and has all that its predecessor or its former self had. */
static void on_replication(void *arg, const redisReply *reply)
{
	struct handshake *handshake = arg;
	struct replication seen;

	if (reply == NULL || !handshake->is_under_way)
		return;
	if (reply->type != REDIS_REPLY_ERROR && !info_read_replication(reply, &seen)) {
		handshake->events->lost(handshake->arg, "unexpected reply");
	} else if (reply->type != REDIS_REPLY_ERROR) {
		if (!seen.is_primary)
			handshake->events->lost(handshake->arg,
						"READONLY: it is a replica, not the primary");
		handshake->lacks_writes =
			handshake->history[0] != '\0' && strcmp(handshake->history, seen.id) != 0;
		memcpy(handshake->history, seen.id, sizeof handshake->history);
	}
	on_reply(arg, reply);
}

/* --- what is said ---------------------------------------------------------------------------- */

/* What the feed says first: one answer counts, which comes after that of AUTH. */
static void greet_feed(struct handshake *handshake)
{
	struct feed *feed = handshake->feed;
	struct printbuf *out = buf_new();
	const char *self = feed->self;

	resp_greeting(out, target_address(handshake->target));
	wire_put(&feed->wire, out);
	printbuf_free(out);
	if (handshake->target->member != NULL)
		feed_put_ping(feed);
	else
		feed_subscribe(feed, handshake->target->prefix, &self, 1);
	handshake->left = 1;
}

static void expect(struct handshake *handshake, unsigned count, pending_reply *done)
{
	for (unsigned i = 0; i < count; i++)
		pending_push(handshake->pending, done, handshake);
	handshake->left += count;
}

void handshake_start(struct handshake *handshake)
{
	struct printbuf *out = buf_new();
	unsigned count = resp_greeting(out, target_address(handshake->target)), scripts, greetings;

	handshake->is_under_way = true;
	handshake->greeted = 0;
	greet_feed(handshake);
	expect(handshake, count, on_reply);
	info_put_replication(out);
	expect(handshake, 1, on_replication);
	scripts = scripts_put_load(out);
	expect(handshake, scripts, on_reply);
	greetings = handshake->events->put_greeting(handshake->arg, out);
	expect(handshake, greetings, on_greeting);
	wire_put(handshake->commands, out);
	printbuf_free(out);
}
