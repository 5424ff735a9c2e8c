#include "stream/hub.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void hub_init(struct hub *hub)
{
	memset(hub, 0, sizeof *hub);
	hub->next_topic = hub->next_subscriber = 1;
	TAILQ_INIT(&hub->wanted);
	TAILQ_INIT(&hub->idle);
}

/* --- numbers --------------------------------------------------------------------------------- */

/* A number below *room; the tables (of pointers, and of free numbers) grow as needed. */
static uint32_t take_number(void ***table, uint32_t **free_numbers, uint32_t *free_count,
			    uint32_t *next, uint32_t *room)
{
	if (*free_count > 0)
		return (*free_numbers)[--*free_count];
	if (*next >= *room) {
		*room = *room > 0 ? *room * 2 : 64;
		*table = xrealloc(*table, *room * sizeof **table);
		*free_numbers = xrealloc(*free_numbers, *room * sizeof **free_numbers);
	}
	return (*next)++;
}

/* --- edges ----------------------------------------------------------------------------------- */

static uint32_t edges_push(struct hub_edges *edges, uint32_t other, uint32_t place)
{
	if (edges->count == edges->room) {
		/* By half, not by doubling: there are millions of edges, few of them new. */
		edges->room += edges->room / 2 + 4;
		edges->list = xrealloc(edges->list, edges->room * sizeof edges->list[0]);
	}
	edges->list[edges->count] = (struct hub_edge){.other = other, .place = place};
	return edges->count++;
}

/* Takes an edge out; true when the last one moved into its place. */
static bool edges_remove(struct hub_edges *edges, uint32_t place)
{
	edges->count--;
	if (edges->count == 0) {
		free(edges->list);
		memset(edges, 0, sizeof *edges);
		return false;
	}
	if (place == edges->count)
		return false;
	edges->list[place] = edges->list[edges->count];
	return true;
}

/* --- subscribers ----------------------------------------------------------------------------- */

void hub_add(struct hub *hub, struct subscriber *subscriber)
{
	subscriber->number = take_number((void ***)&hub->subscribers, &hub->free_subscribers,
					 &hub->free_subscriber_count, &hub->next_subscriber,
					 &hub->subscriber_room);
	hub->subscribers[subscriber->number] = subscriber;
}

void hub_reserve(struct subscriber *subscriber, uint32_t topics)
{
	struct hub_edges *edges = &subscriber->topics;

	if (topics <= edges->room)
		return;
	edges->list = xrealloc(edges->list, topics * sizeof edges->list[0]);
	edges->room = topics;
}

void hub_remove(struct hub *hub, struct subscriber *subscriber, int64_t now_ms)
{
	if (subscriber->number == 0)
		return;
	while (subscriber->topics.count > 0)
		hub_leave(hub, subscriber, subscriber->topics.count - 1, now_ms);
	hub->subscribers[subscriber->number] = NULL;
	hub->free_subscribers[hub->free_subscriber_count++] = subscriber->number;
	subscriber->number = 0;
}

/* --- topics ---------------------------------------------------------------------------------- */

static struct topic *topic_new(struct hub *hub, const char *channel)
{
	size_t len = strlen(channel);
	struct topic *topic = xcalloc(1, sizeof *topic + len + 1);

	memcpy(topic->channel, channel, len + 1);
	topic->number = take_number((void ***)&hub->topics, &hub->free_topics,
				    &hub->free_topic_count, &hub->next_topic, &hub->topic_room);
	hub->topics[topic->number] = topic;
	topic->state = TOPIC_WANTED;
	TAILQ_INSERT_TAIL(&hub->wanted, topic, link);
	HASH_ADD_KEYPTR(hh, hub->by_channel, topic->channel, len, topic);
	return topic;
}

/* Out of every table; its memory stays. */
static void topic_detach(struct hub *hub, struct topic *topic)
{
	if (topic->state == TOPIC_WANTED)
		TAILQ_REMOVE(&hub->wanted, topic, link);
	else if (topic->state == TOPIC_IDLE)
		TAILQ_REMOVE(&hub->idle, topic, link);
	HASH_DEL(hub->by_channel, topic);
	hub->topics[topic->number] = NULL;
	hub->free_topics[hub->free_topic_count++] = topic->number;
}

struct topic *hub_find(const struct hub *hub, const char *channel)
{
	struct topic *topic;

	HASH_FIND_STR(hub->by_channel, channel, topic);
	return topic;
}

struct topic *hub_join(struct hub *hub, struct subscriber *subscriber, const char *channel)
{
	struct topic *topic = hub_find(hub, channel);
	uint32_t place;

	if (topic == NULL) {
		topic = topic_new(hub, channel);
	} else if (topic->state == TOPIC_IDLE) {
		TAILQ_REMOVE(&hub->idle, topic, link);
		topic->state = TOPIC_ASKED;
	}
	place = edges_push(&subscriber->topics, topic->number, topic->subscribers.count);
	edges_push(&topic->subscribers, subscriber->number, place);
	return topic;
}

void hub_leave(struct hub *hub, struct subscriber *subscriber, uint32_t place, int64_t now_ms)
{
	struct hub_edge edge = subscriber->topics.list[place];
	struct topic *topic = hub->topics[edge.other];

	if (edges_remove(&topic->subscribers, edge.place)) {
		struct hub_edge moved = topic->subscribers.list[edge.place];

		hub->subscribers[moved.other]->topics.list[moved.place].place = edge.place;
	}
	if (edges_remove(&subscriber->topics, place)) {
		struct hub_edge moved = subscriber->topics.list[place];

		hub->topics[moved.other]->subscribers.list[moved.place].place = place;
	}
	if (topic->subscribers.count > 0)
		return;
	if (topic->state == TOPIC_WANTED) { /* never asked for: nothing to undo */
		topic_detach(hub, topic);
		free(topic);
		return;
	}
	topic->state = TOPIC_IDLE;
	topic->idle_ms = now_ms;
	TAILQ_INSERT_TAIL(&hub->idle, topic, link);
}

void hub_asked(struct hub *hub, struct topic *topic)
{
	TAILQ_REMOVE(&hub->wanted, topic, link);
	topic->state = TOPIC_ASKED;
}

struct topic *hub_take_idle(struct hub *hub, int64_t now_ms)
{
	struct topic *topic = TAILQ_FIRST(&hub->idle);

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): topic_detach() took the one before out of the list */
	if (topic == NULL || now_ms - HUB_IDLE_MS < topic->idle_ms)
		return NULL;
	topic_detach(hub, topic);
	return topic;
}

void hub_unsubscribed(struct hub *hub)
{
	struct topic *topic;

	while ((topic = hub_take_idle(hub, INT64_MAX)) != NULL)
		free(topic);
	for (uint32_t number = 1; number < hub->next_topic; number++) {
		topic = hub->topics[number];
		if (topic == NULL || topic->state == TOPIC_WANTED)
			continue;
		topic->state = TOPIC_WANTED;
		TAILQ_INSERT_TAIL(&hub->wanted, topic, link);
	}
}

void hub_clear(struct hub *hub)
{
	hub_unsubscribed(hub);
	free(hub->topics);
	free(hub->subscribers);
	free(hub->free_topics);
	free(hub->free_subscribers);
	memset(hub, 0, sizeof *hub);
}
