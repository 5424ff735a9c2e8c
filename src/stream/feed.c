#include "stream/feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/cluster.h"
#include "store/layout.h"
#include "store/resp.h"

/* A SSUBSCRIBE or SUNSUBSCRIBE. */
struct request {
	STAILQ_ENTRY(request) next;
	unsigned slot;
	bool subscribes;
	size_t left; /* channels that are not answered */
};

static void on_ready(void *arg);
static void on_push(void *arg, const redisReply *reply);
static void on_lost(void *arg, const char *why);

static const struct wire_events wire_events = {on_ready, on_push, on_lost};

void feed_init(struct feed *feed, struct event_base *base, const struct config *config,
	       bool is_sharded, const struct feed_events *events, void *arg)
{
	char id[RANDOM_ID_LEN + 1];

	memset(feed, 0, sizeof *feed);
	feed->config = config;
	feed->is_sharded = is_sharded;
	feed->events = events;
	feed->arg = arg;
	wire_init(&feed->wire, base, &wire_events, feed);
	STAILQ_INIT(&feed->requests);
	random_id(id);
	strcpy(feed->self, CHANNEL_SELF);
	strcat(feed->self, id);
}

static void drop_request(struct feed *feed)
{
	struct request *first = STAILQ_FIRST(&feed->requests);

	STAILQ_REMOVE_HEAD(&feed->requests, next);
	free(first);
}

void feed_close(struct feed *feed)
{
	wire_close(&feed->wire);
	while (!STAILQ_EMPTY(&feed->requests))
		drop_request(feed);
	feed->acked = feed->serial;
}

static void on_ready(void *arg)
{
	struct feed *feed = arg;

	feed->events->ready(feed->arg);
}

static void on_lost(void *arg, const char *why)
{
	struct feed *feed = arg;

	feed->events->lost(feed->arg, why);
}

/* --- asking ---------------------------------------------------------------------------------- */

void feed_put_ping(struct feed *feed)
{
	struct printbuf *out = buf_new();

	resp_begin(out, 1);
	resp_text(out, "PING");
	wire_put(&feed->wire, out);
	printbuf_free(out);
}

static void put_channels(struct feed *feed, const char *command, const char *prefix,
			 const char *const *channels, size_t count)
{
	struct printbuf *out = buf_new();

	resp_begin(out, (unsigned)(1 + count));
	resp_text(out, command);
	for (size_t i = 0; i < count; i++)
		resp_key(out, prefix, channels[i], "");
	wire_put(&feed->wire, out);
	printbuf_free(out);
}

/* Answers have to be told from what a node says by itself. */
static void note_request(struct feed *feed, bool subscribes, const char *prefix, size_t count)
{
	struct request *request;

	if (!feed->is_sharded)
		return;
	request = xmalloc(sizeof *request);
	request->slot = cluster_slot(prefix, strlen(prefix));
	request->subscribes = subscribes;
	request->left = count;
	STAILQ_INSERT_TAIL(&feed->requests, request, next);
}

void feed_subscribe(struct feed *feed, const char *prefix, const char *const *channels,
		    size_t count)
{
	note_request(feed, true, prefix, count);
	put_channels(feed, feed->is_sharded ? "SSUBSCRIBE" : "SUBSCRIBE", prefix, channels, count);
	feed->serial += count;
}

void feed_unsubscribe(struct feed *feed, const char *prefix, const char *const *channels,
		      size_t count)
{
	note_request(feed, false, prefix, count);
	put_channels(feed, feed->is_sharded ? "SUNSUBSCRIBE" : "UNSUBSCRIBE", prefix, channels,
		     count);
}

/* --- what comes ------------------------------------------------------------------------------ */

static bool is_text(const redisReply *reply, const char *text)
{
	return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, text) == 0;
}

static void on_message(struct feed *feed, const redisReply *channel, const redisReply *text)
{
	const char *name;

	if (channel->type != REDIS_REPLY_STRING || text->type != REDIS_REPLY_STRING)
		return;
	name = layout_name((unsigned)feed->config->redis.partitions, feed->config->redis.prefix,
			   channel->str);
	if (name == NULL)
		return;
	if (strcmp(name, feed->self) == 0)
		feed->events->pong(feed->arg);
	else
		feed->events->message(feed->arg, name, text->str, text->len);
}

static void on_subscribed(struct feed *feed)
{
	struct request *request = STAILQ_FIRST(&feed->requests);

	if (request != NULL && request->subscribes && --request->left == 0)
		drop_request(feed);
	feed->acked++;
	feed->events->subscribed(feed->arg);
}

/* As was asked for, or because the slot has gone elsewhere. */
static void on_unsubscribed(struct feed *feed, const redisReply *channel)
{
	struct request *request = STAILQ_FIRST(&feed->requests);
	unsigned slot;

	if (channel->type != REDIS_REPLY_STRING)
		return;
	slot = cluster_slot(channel->str, channel->len);
	if (request == NULL || request->subscribes || request->slot != slot)
		feed->events->unsubscribed(feed->arg, slot, NULL);
	else if (--request->left == 0)
		drop_request(feed);
}

/* Whether a node sends the request elsewhere, as a whole. */
static bool is_about(const struct request *request, const redisReply *reply)
{
	struct cluster_redirect redirect;
	enum cluster_error error = cluster_read_error(reply, &redirect);

	return request != NULL && error != CLUSTER_NO_ERROR &&
	       (error != CLUSTER_MOVED || redirect.slot == request->slot);
}

static void on_error(struct feed *feed, const redisReply *reply)
{
	struct request *request = STAILQ_FIRST(&feed->requests);
	unsigned slot;
	bool subscribes;

	if (!is_about(request, reply)) {
		feed->events->error(feed->arg, reply);
		return;
	}
	slot = request->slot;
	subscribes = request->subscribes;
	if (subscribes)
		feed->acked += request->left;
	drop_request(feed);
	feed->events->unsubscribed(feed->arg, slot, reply);
	if (subscribes)
		feed->events->subscribed(feed->arg);
}

/* "+PONG", or with something subscribed an array of "pong" and "". */
static bool is_pong(const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_STATUS)
		return strcmp(reply->str, "PONG") == 0;
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	       is_text(reply->element[0], "pong");
}

static void on_push(void *arg, const redisReply *reply)
{
	struct feed *feed = arg;

	if (reply->type == REDIS_REPLY_ERROR)
		on_error(feed, reply);
	else if (is_pong(reply))
		feed->events->pong(feed->arg);
	else if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
		return; /* the OK of AUTH or SELECT */
	else if (is_text(reply->element[0], feed->is_sharded ? "smessage" : "message"))
		on_message(feed, reply->element[1], reply->element[2]);
	else if (is_text(reply->element[0], feed->is_sharded ? "ssubscribe" : "subscribe"))
		on_subscribed(feed);
	else if (feed->is_sharded && is_text(reply->element[0], "sunsubscribe"))
		on_unsubscribed(feed, reply->element[1]);
}
