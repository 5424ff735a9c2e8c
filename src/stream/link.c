#include "stream/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "base/times.h"
#include "store/cluster.h"
#include "store/resp.h"
#include "store/store.h"
#include "stream/feed.h"
#include "stream/handshake.h"
#include "stream/reason.h"
#include "stream/seek.h"
#include "stream/target.h"
#include "stream/timer.h"
#include "stream/wire.h"

#define WATCHDOG_EARLY_MS 5 /* its timer may come so much before its time */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 700 /* or half a heartbeat, if that is less: see backoff_max() */

const struct state_names link_states = {
	"link", 5, {"IDLE", "WAITING", "CONNECTING", "HANDSHAKE", "UP"}};

struct link {
	const struct config *config;
	struct target target;
	struct seek seek; /* for the server, where Sentinels know it */
	struct link_events events;
	void *arg;
	struct wire commands;
	struct feed feed;
	enum link_state state;
	bool failing; /* the loss is noticed; `failed` carries it out */
	bool has_output; /* something is to be written at the end of the turn */
	struct event *retry, *watchdog, *failed;
	int backoff_ms;
	struct reason reason; /* of the loss that `failed` will carry out */

	struct pending_ring pending; /* commands without an answer */
	struct handshake handshake;

	int64_t ping_sent_us; /* when the last one was sent */
	int64_t ping_sent_ms; /* the health check without an answer; 0 = none */
	unsigned pongs_left; /* of its answers */
	int64_t watchdog_ms; /* when the watchdog ran last */
};

static void on_ready(void *arg);
static void on_answer(void *arg, const redisReply *reply);
static void on_lost(void *arg, const char *why);
static void on_found(void *arg, const char *why);
static void on_retry(evutil_socket_t fd, short what, void *arg);
static void on_watchdog(evutil_socket_t fd, short what, void *arg);
static void on_failed(evutil_socket_t fd, short what, void *arg);

static void lost_by_error(void *arg, const redisReply *reply);
static void on_handshake_done(void *arg);
static unsigned on_put_greeting(void *arg, struct printbuf *out);
static const char *on_read_greeting(void *arg, unsigned index, const redisReply *reply);

static const struct handshake_events handshake_events = {on_put_greeting, on_read_greeting,
							 on_handshake_done, lost_by_error, on_lost};

static const struct wire_events command_events = {on_ready, on_answer, on_lost};

static void on_feed_pong(void *arg);
static void on_subscribed(void *arg);
static void on_message(void *arg, const char *channel, const char *text, size_t len);
static void on_unsubscribed(void *arg, unsigned slot, const redisReply *reason);

static const struct feed_events feed_events = {
	on_ready, on_lost, lost_by_error, on_feed_pong, on_subscribed, on_message, on_unsubscribed};

static void set_state(struct link *link, enum link_state state)
{
	if (link->state != state)
		log_debug("%s: link %s -> %s", link->target.name,
			  state_name(&link_states, link->state), state_name(&link_states, state));
	link->state = state;
}

struct link *link_new(struct event_base *base, const struct config *config,
		      const struct link_place *place, const struct link_events *events, void *arg)
{
	struct link *link = xcalloc(1, sizeof *link);

	link->config = config;
	link->events = *events;
	link->arg = arg;
	wire_init(&link->commands, base, &command_events, link);
	feed_init(&link->feed, base, config, place->member != NULL, &feed_events, link);
	seek_init(&link->seek, base, on_found, link);
	link->backoff_ms = BACKOFF_FIRST_MS;
	target_init(&link->target, config, place);
	handshake_init(&link->handshake, &link->target, &link->commands, &link->feed,
		       &link->pending, &handshake_events, link);
	link->retry = evtimer_new(base, on_retry, link);
	link->watchdog = evtimer_new(base, on_watchdog, link);
	link->failed = event_new(base, -1, 0, on_failed, link);
	return link;
}

/* Nothing is connected, and nobody waits, any more. */
static void disconnect(struct link *link)
{
	seek_stop(&link->seek);
	wire_close(&link->commands);
	feed_close(&link->feed);
	event_del(link->watchdog);
	pending_drop(&link->pending);
	link->ping_sent_ms = 0;
	link->failing = link->has_output = false;
}

void link_stop(struct link *link)
{
	set_state(link, LINK_IDLE);
	disconnect(link);
	event_del(link->retry);
	event_del(link->failed);
	link->backoff_ms = BACKOFF_FIRST_MS;
}

void link_free(struct link *link)
{
	if (link == NULL)
		return;
	link_stop(link);
	pending_free(&link->pending);
	event_free(link->retry);
	event_free(link->watchdog);
	event_free(link->failed);
	target_clear(&link->target);
	free(link);
}

void link_take_login(struct link *link)
{
	target_take_login(&link->target, link->config);
}

bool link_is_up(const struct link *link)
{
	return link->state == LINK_UP;
}

enum link_state link_state(const struct link *link)
{
	return link->state;
}

bool link_lacks_writes(const struct link *link)
{
	return link->handshake.lacks_writes;
}

/* --- losing it ------------------------------------------------------------------------------- */

static void begin_loss(struct link *link)
{
	/* Carried out by an event of its own: whoever noticed may be deep in a callback. */
	link->failing = true;
	handshake_stop(&link->handshake);
	wire_stop(&link->commands);
	wire_stop(&link->feed.wire);
	event_active(link->failed, EV_TIMEOUT, 1);
}

void link_lost(struct link *link, const char *why)
{
	if (link->failing)
		return;
	reason_set(&link->reason, why);
	begin_loss(link);
}

static void lost_by_error(void *arg, const redisReply *reply)
{
	struct link *link = arg;

	if (link->failing)
		return;
	reason_set_error(&link->reason, reply);
	begin_loss(link);
}

static void on_lost(void *arg, const char *why)
{
	link_lost(arg, why);
}

static void tell_success(struct link *link)
{
	target_log_connected(&link->target);
	link->reason.told[0] = '\0';
}

/*
 * After a pause, users with a stream are held online for a heartbeat and a
 * sweep: back by then, jitter included, or they are taken for gone. Where Redis
 * comes back without its data, whoever is back first keeps everybody else from
 * coming online for 1.2 s at least (common.lua): by then all others must be back,
 * who know which of their users are invisible.
 */
static int backoff_max(const struct link *link)
{
	int half = link->config->presence.heartbeat * 500;

	return half < BACKOFF_MAX_MS ? half : BACKOFF_MAX_MS;
}

static void on_failed(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	bool was_up = link_is_up(link);
	int64_t wait;

	(void)fd;
	(void)what;
	reason_tell(&link->reason, link->target.name);
	set_state(link, LINK_WAITING);
	disconnect(link);
	wait = link->backoff_ms / 2 + random_below((unsigned)link->backoff_ms);
	link->backoff_ms =
		link->backoff_ms * 2 < backoff_max(link) ? link->backoff_ms * 2 : backoff_max(link);
	timer_set(link->retry, wait);
	if (was_up)
		link->events.down(link->arg);
}

/* --- asking ---------------------------------------------------------------------------------- */

void link_command(struct link *link, const struct printbuf *command, link_reply *done, void *arg)
{
	pending_push(&link->pending, done, arg);
	wire_put(&link->commands, command);
	link->has_output = true;
	if (link->pending.count > LINK_PENDING_MAX)
		link_lost(link, "too many commands without an answer");
	link->events.pending(link->arg);
}

static void note_output(struct link *link)
{
	link->has_output = true;
	link->events.pending(link->arg);
}

uint64_t link_subscribe(struct link *link, const char *prefix, const char *const *channels,
			size_t count)
{
	feed_subscribe(&link->feed, prefix, channels, count);
	note_output(link);
	return link->feed.serial;
}

uint64_t link_serial(const struct link *link)
{
	return link->feed.serial;
}

uint64_t link_acked(const struct link *link)
{
	return link->feed.acked;
}

void link_unsubscribe(struct link *link, const char *prefix, const char *const *channels,
		      size_t count)
{
	feed_unsubscribe(&link->feed, prefix, channels, count);
	note_output(link);
}

void link_flush(struct link *link)
{
	if (!link->has_output)
		return;
	link->has_output = false;
	wire_flush(&link->commands);
	wire_flush(&link->feed.wire);
}

/* --- connecting ------------------------------------------------------------------------------ */

static void on_handshake_done(void *arg)
{
	struct link *link = arg;

	set_state(link, LINK_UP);
	link->ping_sent_ms = 0;
	/* After a loss it first has to work for a while: see on_pong(). */
	if (link->reason.told[0] == '\0')
		tell_success(link);
	link->events.up(link->arg);
}

static unsigned on_put_greeting(void *arg, struct printbuf *out)
{
	struct link *link = arg;

	return link->events.put_greeting(link->arg, out);
}

static const char *on_read_greeting(void *arg, unsigned index, const redisReply *reply)
{
	struct link *link = arg;

	return link->events.read_greeting(link->arg, index, reply);
}

static void on_ready(void *arg)
{
	struct link *link = arg;

	if (!link->commands.is_ready || !link->feed.wire.is_ready)
		return;
	set_state(link, LINK_HANDSHAKE);
	handshake_start(&link->handshake);
	link->has_output = true;
	link_flush(link);
}

/* The search for the server is over. */
static void on_found(void *arg, const char *why)
{
	struct link *link = arg;

	if (why == NULL)
		wire_open(&link->commands, link->config, target_address(&link->target));
	if (why == NULL && !link->failing)
		wire_open(&link->feed.wire, link->config, target_address(&link->target));
	else if (why != NULL)
		link_lost(link, why);
}

void link_start(struct link *link)
{
	set_state(link, LINK_CONNECTING);
	/* Until it is up, the whole way there is what the watchdog waits for. */
	link->watchdog_ms = link->ping_sent_ms = times_mono_ms();
	timer_set(link->watchdog, link->config->redis.timeout_ms / 2);
	if (link->target.sentinel == NULL)
		on_found(link, NULL);
	else
		seek_start(&link->seek, sentinel_search(link->target.sentinel));
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	link_start(arg);
}

/* --- answers --------------------------------------------------------------------------------- */

/* Whether a node of a cluster sends elsewhere: that is about one slot. */
static bool is_about_slot(const struct link *link, const redisReply *reply,
			  struct cluster_redirect *redirect)
{
	return link->target.member != NULL &&
	       cluster_read_error(reply, redirect) != CLUSTER_NO_ERROR;
}

static void on_answer(void *arg, const redisReply *reply)
{
	struct link *link = arg;
	struct cluster_redirect redirect;
	struct pending asked;
	bool is_about_link = reply->type == REDIS_REPLY_ERROR &&
			     !is_about_slot(link, reply, &redirect) && store_is_outage(reply);

	if (is_about_link || (reply->type == REDIS_REPLY_ERROR && link->pending.count == 0)) {
		lost_by_error(link, reply);
		return;
	}
	if (link->pending.count == 0) {
		link_lost(link, "unexpected reply");
		return;
	}
	asked = pending_pop(&link->pending);
	if (asked.done != NULL)
		asked.done(asked.arg, reply);
}

/* Everything asked for before the check was answered, and no answer was an outage. */
static void on_pong(struct link *link)
{
	link->ping_sent_ms = 0;
	link->backoff_ms = BACKOFF_FIRST_MS;
	if (link->events.echo != NULL)
		link->events.echo(link->arg, times_mono_us() - link->ping_sent_us);
	if (link->reason.told[0] != '\0')
		tell_success(link);
}

/* Of a check, or of the handshake. */
static void on_feed_pong(void *arg)
{
	struct link *link = arg;

	if (!link_is_up(link))
		handshake_advance(&link->handshake);
	else if (link->pongs_left > 0 && --link->pongs_left == 0)
		on_pong(link);
}

/* In a cluster both connections answer. */
static void on_command_pong(void *arg, const redisReply *reply)
{
	if (reply != NULL)
		on_feed_pong(arg);
}

static void on_message(void *arg, const char *channel, const char *text, size_t len)
{
	struct link *link = arg;

	if (link_is_up(link))
		link->events.message(link->arg, channel, text, len);
}

static void on_subscribed(void *arg)
{
	struct link *link = arg;

	if (link_is_up(link))
		link->events.subscribed(link->arg);
	else
		handshake_advance(&link->handshake);
}

static void on_unsubscribed(void *arg, unsigned slot, const redisReply *reason)
{
	struct link *link = arg;

	link->events.unsubscribed(link->arg, slot, reason);
}

/* --- the watchdog ---------------------------------------------------------------------------- */

static void ping(struct link *link, int64_t now)
{
	struct printbuf *out = buf_new();

	link->ping_sent_ms = now;
	link->ping_sent_us = times_mono_us();
	if (link->target.member != NULL) {
		link->pongs_left = 2;
		feed_put_ping(&link->feed);
		resp_begin(out, 1);
		resp_text(out, "PING");
		link_command(link, out, on_command_pong, link);
	} else {
		link->pongs_left = 1;
		resp_begin(out, 3);
		resp_text(out, "PUBLISH");
		resp_key(out, link->target.prefix, link->feed.self, "");
		resp_text(out, "1");
		link_command(link, out, NULL, NULL);
	}
	printbuf_free(out);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	int64_t now = times_mono_ms(), timeout = link->config->redis.timeout_ms;
	/* When this process itself stood still, the answers may be here, unread. */
	bool late = now - link->watchdog_ms > timeout;
	int64_t due = now - timeout + WATCHDOG_EARLY_MS; /* what was asked until then */

	(void)fd;
	(void)what;
	if (link->failing)
		return;
	link->watchdog_ms = now;
	if (!late && (pending_oldest_ms(&link->pending) <= due ||
		      (link->ping_sent_ms != 0 && link->ping_sent_ms <= due))) {
		link_lost(link, "no answer in time");
		return;
	}
	if (link_is_up(link) && link->ping_sent_ms == 0)
		ping(link, now);
	timer_set(link->watchdog, times_to_grid_ms(now, timeout / 2));
}
