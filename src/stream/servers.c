#include "stream/servers.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "store/layout_key.h"
#include "store/nodes.h"
#include "stream/peer.h"

/* A server of Redis, as the link to it sees it. */
struct node {
	struct peer peer;
	struct servers *all;
	uint64_t *partitions; /* that it has: partset.h */
	struct layout_look look; /* when it was greeted last */
	unsigned looks; /* commands of it; 0: there is but one partition */
};

struct servers {
	struct exchange *exchange;
	struct context *context;
	struct node *nodes; /* by link */
};

unsigned servers_count(const struct config *config)
{
	return nodes_count_servers(config);
}

/* The first partition of a server is that of its number, the next one so many further. */
static struct partition *partition_at(const struct node *node, unsigned index)
{
	const struct context *context = node->all->context;

	return &context->partitions[node->peer.number + index * context->link_count];
}

static unsigned partitions_at_node(const struct node *node)
{
	const struct context *context = node->all->context;

	return (context->partition_count - node->peer.number - 1) / context->link_count + 1;
}

/* --- what a link tells ----------------------------------------------------------------------- */

static unsigned on_put_greeting(void *arg, struct printbuf *out)
{
	struct node *node = arg;
	const struct context *context = node->all->context;
	unsigned count = partitions_at_node(node);

	node->look = (struct layout_look){.config = context->config,
					  .server = node->peer.number,
					  .servers = context->link_count};
	if (context->partition_count > 1)
		node->looks = layout_put_look(out, &node->look);
	for (unsigned i = 0; i < count; i++)
		recovery_put_greeting(partition_at(node, i), out);
	return node->looks + count;
}

static const char *on_read_greeting(void *arg, unsigned index, const redisReply *reply)
{
	struct node *node = arg;

	if (index < node->looks)
		return layout_read_look(&node->look, index, reply) ? NULL : node->look.why;
	return recovery_read_greeting(&node->all->exchange->recovery,
				      partition_at(node, index - node->looks), reply)
		       ? NULL
		       : "unexpected reply";
}

static void note_layout(struct node *node)
{
	struct context *context = node->all->context;

	if (node->look.is_noted || node->peer.number != 0 || context->partition_count == 1)
		return;
	buf_reset(context->scratch);
	layout_put_note(context->scratch, context->config, context->link_count);
	link_command(node->peer.link, context->scratch, NULL, NULL);
}

static void on_up(void *arg)
{
	struct node *node = arg;

	peer_count_up(&node->peer);
	note_layout(node);
	exchange_up(node->all->exchange, node->partitions);
}

static void on_down(void *arg)
{
	struct node *node = arg;

	peer_count_down(&node->peer);
	exchange_down(node->all->exchange, node->partitions);
}

static const struct link_events link_events = {
	.put_greeting = on_put_greeting,
	.read_greeting = on_read_greeting,
	.up = on_up,
	.down = on_down,
};

/* --- the servers ----------------------------------------------------------------------------- */

static void init_node(struct servers *servers, unsigned number)
{
	struct node *node = &servers->nodes[number];
	struct link_place place = {.server = number};
	unsigned count;

	node->all = servers;
	node->peer.number = number;
	node->partitions = xcalloc(servers->context->set_words, sizeof *node->partitions);
	place.prefix = store_prefix(partition_at(node, 0)->store);
	peer_open(&node->peer, servers->exchange, number, &place, &link_events);
	count = partitions_at_node(node);
	for (unsigned i = 0; i < count; i++) {
		partset_add(node->partitions, partition_at(node, i)->number);
		partition_at(node, i)->link = node->peer.link;
	}
}

struct servers *servers_new(struct exchange *exchange)
{
	struct servers *servers = xcalloc(1, sizeof *servers);
	struct context *context = exchange->streams->context;

	servers->exchange = exchange;
	servers->context = context;
	context->link_count = context->link_max;
	servers->nodes = xcalloc(context->link_count, sizeof *servers->nodes);
	for (unsigned i = 0; i < context->link_count; i++)
		init_node(servers, i);
	return servers;
}

void servers_start(struct servers *servers)
{
	for (unsigned i = 0; i < servers->context->link_count; i++)
		link_start(servers->context->links[i]);
}

void servers_take_login(struct servers *servers)
{
	for (unsigned i = 0; i < servers->context->link_count; i++)
		link_take_login(servers->context->links[i]);
}

void servers_free(struct servers *servers)
{
	if (servers == NULL)
		return;
	for (unsigned i = 0; i < servers->context->link_count; i++) {
		link_free(servers->context->links[i]);
		free(servers->nodes[i].partitions);
	}
	free(servers->nodes);
	free(servers);
}
