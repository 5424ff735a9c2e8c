#include "stream/peer.h"

static void on_message(void *arg, const char *channel, const char *text, size_t len)
{
	exchange_message(((struct peer *)arg)->exchange, channel, text, len);
}

static void on_subscribed(void *arg)
{
	exchange_subscribed(((struct peer *)arg)->exchange);
}

static struct context *context_of(const struct peer *peer)
{
	return peer->exchange->streams->context;
}

static void on_echo(void *arg, int64_t us)
{
	counts_echo(&context_of(arg)->counts, us);
}

static void on_pending(void *arg)
{
	turn_schedule(&context_of(arg)->turn);
}

void peer_open(struct peer *peer, struct exchange *exchange, unsigned number,
	       const struct link_place *place, const struct link_events *events)
{
	struct context *context = exchange->streams->context;
	struct link_events all = *events;

	all.message = on_message;
	all.subscribed = on_subscribed;
	all.echo = on_echo;
	all.pending = on_pending;
	peer->exchange = exchange;
	peer->number = number;
	peer->link = link_new(context->base, context->config, place, &all, peer);
	context->links[number] = peer->link;
}

void peer_count_up(const struct peer *peer)
{
	counts_add_server(&context_of(peer)->counts, FIGURE_REDIS_CONNECTS, peer->number);
}

void peer_count_down(const struct peer *peer)
{
	counts_add_server(&context_of(peer)->counts, FIGURE_REDIS_LOSSES, peer->number);
}
