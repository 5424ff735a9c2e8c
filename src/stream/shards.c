#include "stream/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/cluster.h"
#include "store/layout_key.h"
#include "store/members.h"
#include "stream/peer.h"
#include "stream/reason.h"
#include "stream/seek.h"
#include "stream/shard.h"
#include "stream/timer.h"

/* What is away is asked for again after so long, and then less and less often. */
#define RETRY_FIRST_MS 25
#define RETRY_MAX_MS 200

struct node {
	struct peer peer; /* its number is that of members.h */
	struct shards *all;
	unsigned count; /* partitions that it is thought to have */
	int64_t up_ms; /* since when the link is up, if it is; monotonic */
};

struct shards {
	struct exchange *exchange;
	struct context *context;
	struct redis_url url;
	struct members *members;
	struct seek seek; /* for the map */
	bool wants_map;
	struct node *nodes[CLUSTER_NODES_MAX]; /* by link */
	struct shard *list; /* by partition */
	struct event *retry, *settle;
	bool is_retrying;
	int retry_ms; /* after which it is tried the next time */
	struct reason reason; /* why the map is not known, or nothing may be asked */
	struct reason refusal; /* why a node does not answer for a partition that it should have */
	unsigned looked; /* keys that were looked at: LAYOUT_LOOK_KEYS: the layout is known */
	bool is_looking;
};

static void on_retry(evutil_socket_t fd, short what, void *arg);
static void on_settle(evutil_socket_t fd, short what, void *arg);

/* In a moment: what is away is looked for. */
static void retry_soon(struct shards *all)
{
	if (all->is_retrying)
		return;
	all->is_retrying = true;
	timer_set(all->retry, all->retry_ms);
	all->retry_ms = all->retry_ms * 2 < RETRY_MAX_MS ? all->retry_ms * 2 : RETRY_MAX_MS;
}

static void want_map(struct shards *all)
{
	all->wants_map = true;
	retry_soon(all);
}

static void on_changed(void *arg, enum shard_state state)
{
	struct shards *all = arg;

	if (state == SHARD_GREETED || state == SHARD_REFUSED)
		event_active(all->settle, EV_TIMEOUT, 1);
	if (state == SHARD_AWAY)
		retry_soon(all);
}

static struct node *node_of(const struct shards *all, int number)
{
	return number == SHARD_NOWHERE ? NULL : all->nodes[number];
}

/* --- coming and going ------------------------------------------------------------------------ */

static void learn(struct shards *all, const struct node *teller, unsigned slot,
		  const redisReply *reply);

static void on_refused(void *arg, const struct shard *shard, const redisReply *reply)
{
	struct shards *all = arg;

	learn(all, node_of(all, shard->owner), shard->slot, reply);
}

static const struct shard_events shard_events = {on_changed, on_refused};

/* All of them at once: each time every stream is looked at. */
static void on_settle(evutil_socket_t fd, short what, void *arg)
{
	struct shards *all = arg;
	uint64_t down[PARTSET_WORDS_MAX] = {0}, up[PARTSET_WORDS_MAX] = {0};
	bool any_down = false, any_up = false;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < all->context->partition_count; i++) {
		struct shard *shard = &all->list[i];

		if (shard->state == SHARD_REFUSED) {
			shard_take_down(shard, down);
			any_down = true;
		} else if (shard->state == SHARD_GREETED) {
			const struct node *node = node_of(all, shard->owner);

			shard_put_up(shard, node->peer.link, node->up_ms, up);
			any_up = true;
		}
	}
	if (any_down)
		exchange_down(all->exchange, down);
	if (any_up)
		exchange_up(all->exchange, up);
}

static void greet(struct shards *all, struct shard *shard)
{
	const struct node *node = node_of(all, shard->owner);

	if (shard->state == SHARD_AWAY && node != NULL && link_is_up(node->peer.link) &&
	    all->looked == LAYOUT_LOOK_KEYS)
		shard_greet(shard, node->peer.link);
}

static void greet_all(struct shards *all)
{
	for (unsigned i = 0; i < all->context->partition_count; i++)
		greet(all, &all->list[i]);
}

/* --- the layout ------------------------------------------------------------------------------ */

static void look(struct shards *all);

static void on_looked(void *arg, const redisReply *reply)
{
	struct shards *all = arg;
	struct cluster_redirect redirect;
	char why[LAYOUT_WHY_MAX];
	bool is_noted;

	all->is_looking = false;
	if (reply == NULL)
		return;
	if (cluster_read_error(reply, &redirect) != CLUSTER_NO_ERROR) {
		want_map(all);
		return;
	}
	if (!layout_read_look_key(reply, all->looked, all->context->config, why, &is_noted)) {
		reason_set(&all->reason, why);
		reason_tell(&all->reason, "redis");
		all->looked = 0; /* it may be put right */
		return;
	}
	if (++all->looked < LAYOUT_LOOK_KEYS) {
		look(all);
		return;
	}
	greet_all(all);
}

/* Whether the cluster holds users as this process would: until that is known nothing is written. */
static void look(struct shards *all)
{
	struct printbuf *command = all->context->scratch;
	struct node *node;
	char *key;

	if (all->looked == LAYOUT_LOOK_KEYS || all->is_looking)
		return;
	key = layout_look_key(all->context->config, all->looked);
	node = node_of(all, members_owner(all->members, cluster_slot(key, strlen(key))));
	if (node != NULL && link_state(node->peer.link) == LINK_IDLE)
		link_start(node->peer.link);
	if (node != NULL && link_is_up(node->peer.link)) {
		all->is_looking = true;
		buf_reset(command);
		layout_put_look_key(command, all->looked, key);
		link_command(node->peer.link, command, on_looked, all);
	}
	free(key);
}

/* --- what a link tells ----------------------------------------------------------------------- */

static unsigned on_put_greeting(void *arg, struct printbuf *out)
{
	(void)arg;
	(void)out;
	return 0; /* each partition is greeted for itself */
}

static void on_up(void *arg)
{
	struct node *node = arg;

	peer_count_up(&node->peer);
	node->up_ms = times_mono_ms();
	look(node->all);
	greet_all(node->all);
}

static void on_down(void *arg)
{
	struct node *node = arg;
	struct shards *all = node->all;
	uint64_t down[PARTSET_WORDS_MAX] = {0};
	bool any = false;

	peer_count_down(&node->peer);
	for (unsigned i = 0; i < all->context->partition_count; i++) {
		struct shard *shard = &all->list[i];

		if (shard->owner != (int)node->peer.number)
			continue;
		if (shard->partition->link == node->peer.link) {
			shard_take_down(shard, down);
			any = true;
		} else {
			shard_set_state(shard, SHARD_AWAY);
		}
	}
	want_map(all);
	if (any)
		exchange_down(all->exchange, down);
}

static void on_unsubscribed(void *arg, unsigned slot, const redisReply *reason)
{
	struct node *node = arg;
	struct shards *all = node->all;

	for (unsigned i = 0; i < all->context->partition_count; i++) {
		struct shard *shard = &all->list[i];

		if (shard->slot != slot || shard->partition->link != node->peer.link ||
		    shard->state != SHARD_HERE)
			continue;
		if (reason != NULL)
			learn(all, node, slot, reason);
		shard_set_state(shard, SHARD_REFUSED);
		want_map(all);
	}
}

static const struct link_events link_events = {
	.put_greeting = on_put_greeting,
	.up = on_up,
	.down = on_down,
	.unsubscribed = on_unsubscribed,
};

/* --- who has what ---------------------------------------------------------------------------- */

/* Links to the nodes that were heard of since. */
static void follow_members(struct shards *all)
{
	struct context *context = all->context;

	while (context->link_count < members_count(all->members)) {
		struct node *node = xcalloc(1, sizeof *node);
		unsigned number = context->link_count++;
		struct link_place place = {.member = members_at(all->members, number)};

		node->all = all;
		all->nodes[number] = node;
		peer_open(&node->peer, all->exchange, number, &place, &link_events);
	}
}

static void set_owner(struct shards *all, struct shard *shard, int owner, uint64_t *down,
		      bool *any_down)
{
	struct node *before = node_of(all, shard->owner), *now = node_of(all, owner);

	/* Who has it says so when that is over; a map may be older. */
	if (shard->owner == owner || shard->state == SHARD_HERE)
		return;
	if (before != NULL)
		before->count--;
	if (now != NULL)
		now->count++;
	if (shard->partition->link != NULL) {
		shard_take_down(shard, down);
		*any_down = true;
	} else {
		shard_set_state(shard, SHARD_AWAY);
	}
	shard->owner = owner;
}

/* The links of nodes that have something are started, those of others stopped. */
static void choose_links(struct shards *all)
{
	for (unsigned i = 0; i < all->context->link_count; i++) {
		struct node *node = all->nodes[i];
		bool is_idle = link_state(node->peer.link) == LINK_IDLE;

		if (node->count > 0 && is_idle)
			link_start(node->peer.link);
		else if (node->count == 0 && !is_idle && all->looked == LAYOUT_LOOK_KEYS)
			link_stop(node->peer.link);
	}
}

/* The map may be another one. */
static void apply_map(struct shards *all)
{
	uint64_t down[PARTSET_WORDS_MAX] = {0};
	bool any_down = false;

	follow_members(all);
	for (unsigned i = 0; i < all->context->partition_count; i++) {
		struct shard *shard = &all->list[i];

		set_owner(all, shard, members_owner(all->members, shard->slot), down, &any_down);
	}
	choose_links(all);
	if (any_down)
		exchange_down(all->exchange, down);
	look(all);
	greet_all(all);
}

/* A node says that a slot is not, or not quite, there. The map is looked at when nobody is deep in a callback. */
static void learn(struct shards *all, const struct node *teller, unsigned slot,
		  const redisReply *reply)
{
	struct cluster_redirect redirect;
	char why[REASON_MAX];

	switch (cluster_read_error(reply, &redirect)) {
	case CLUSTER_MOVED:
		if (teller != NULL)
			members_moved(all->members, teller->peer.number, &redirect);
		break;
	case CLUSTER_ASK:
	case CLUSTER_TRYAGAIN:
		/* Until all is at one place; who broke a move off has to know what that costs. */
		snprintf(why, sizeof why,
			 "slot %u is moving to another node, its users wait; if nobody moves it "
			 "any more: redis-cli --cluster fix",
			 slot);
		reason_set(&all->refusal, why);
		reason_tell(&all->refusal, "redis");
		break;
	default:
		reason_set_error(&all->refusal, reply);
		reason_tell(&all->refusal, "redis");
	}
	want_map(all);
}

static void on_map(void *arg, const char *why)
{
	struct shards *all = arg;

	if (why != NULL) {
		reason_set(&all->reason, why);
		reason_tell(&all->reason, "redis");
	} else {
		all->wants_map = false;
		all->reason.told[0] = '\0';
	}
	apply_map(all);
}

static bool is_all_here(const struct shards *all)
{
	for (unsigned i = 0; i < all->context->partition_count; i++) {
		if (all->list[i].state != SHARD_HERE)
			return false;
	}
	return true;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct shards *all = arg;
	struct search *search;

	(void)fd;
	(void)what;
	all->is_retrying = false;
	apply_map(all); /* what MOVED has told */
	if (is_all_here(all)) {
		all->refusal.told[0] = '\0';
		all->retry_ms = RETRY_FIRST_MS;
		if (!all->wants_map)
			return;
	}
	search = all->seek.search == NULL ? members_search(all->members) : NULL;
	if (search != NULL)
		seek_start(&all->seek, search);
	retry_soon(all);
}

/* --- the cluster ----------------------------------------------------------------------------- */

struct shards *shards_new(struct exchange *exchange)
{
	struct shards *all = xcalloc(1, sizeof *all);
	struct context *context = exchange->streams->context;

	all->exchange = exchange;
	all->context = context;
	all->retry_ms = RETRY_FIRST_MS;
	redis_url_parse(context->config->redis.url, &all->url);
	all->members = members_new(context->config, &all->url);
	seek_init(&all->seek, context->base, on_map, all);
	all->retry = evtimer_new(context->base, on_retry, all);
	all->settle = event_new(context->base, -1, 0, on_settle, all);
	all->list = xcalloc(context->partition_count, sizeof *all->list);
	for (unsigned i = 0; i < context->partition_count; i++)
		shard_init(&all->list[i], exchange, &context->partitions[i], &shard_events, all);
	follow_members(all);
	return all;
}

void shards_start(struct shards *shards)
{
	shards->wants_map = true;
	seek_start(&shards->seek, members_search(shards->members));
	retry_soon(shards);
}

void shards_take_login(struct shards *shards)
{
	redis_url_take_logins(&shards->url, shards->context->config->redis.url);
	members_take_login(shards->members);
}

void shards_free(struct shards *shards)
{
	if (shards == NULL)
		return;
	seek_stop(&shards->seek);
	for (unsigned i = 0; i < shards->context->link_count; i++) {
		link_free(shards->nodes[i]->peer.link);
		free(shards->nodes[i]);
	}
	for (unsigned i = 0; i < shards->context->partition_count; i++)
		partition_abandon(shards->list[i].partition);
	members_free(shards->members);
	redis_url_free(&shards->url);
	event_free(shards->retry);
	event_free(shards->settle);
	free(shards->list);
	free(shards);
}
