#include "stream/hub.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/alloc.h"
#include "stream/partset.h"

const struct state_names topic_states = {"topic", 3, {"WANTED", "ASKED", "IDLE"}};

void hub_init(struct hub *hub, unsigned partitions)
{
	memset(hub, 0, sizeof *hub);
	hub->next_topic = hub->next_subscriber = 1;
	hub->partitions = partitions;
	hub->lists = xcalloc(partitions, sizeof *hub->lists);
	for (unsigned i = 0; i < partitions; i++) {
		TAILQ_INIT(&hub->lists[i].wanted);
		TAILQ_INIT(&hub->lists[i].idle);
	}
}

/* --- numbers --------------------------------------------------------------------------------- */

/* A number below *capacity; the tables (of pointers, and of free numbers) grow as needed. */
static uint32_t take_number(void ***table, uint32_t **free_numbers, uint32_t *free_count,
			    uint32_t *next, uint32_t *capacity)
{
	if (*free_count > 0)
		return (*free_numbers)[--*free_count];
	if (*next >= *capacity) {
		*capacity = *capacity > 0 ? *capacity * 2 : 64;
		*table = xrealloc(*table, *capacity * sizeof **table);
		*free_numbers = xrealloc(*free_numbers, *capacity * sizeof **free_numbers);
	}
	return (*next)++;
}

/* --- edges ----------------------------------------------------------------------------------- */

#define EDGES_MAX ((UINT32_C(1) << 29) - 1) /* more do not fit into any memory */

static uint32_t edges_push(struct hub_edges *edges, uint32_t other, uint32_t index)
{
	if (edges->count == edges->capacity) {
		/* By half, not by doubling: there are millions of edges, few of them new. */
		edges->capacity += edges->capacity / 2 + 4;
		edges->list = xrealloc(edges->list, edges->capacity * sizeof edges->list[0]);
	}
	edges->list[edges->count] = (struct hub_edge){.other = other, .index = index & EDGES_MAX};
	return edges->count++;
}

/* Takes an edge out; true when the last one moved into its index. */
static bool edges_remove(struct hub_edges *edges, uint32_t index)
{
	edges->count--;
	if (edges->count == 0) {
		free(edges->list);
		memset(edges, 0, sizeof *edges);
		return false;
	}
	if (index == edges->count)
		return false;
	edges->list[index] = edges->list[edges->count];
	return true;
}

/* --- subscribers ----------------------------------------------------------------------------- */

void hub_add(struct hub *hub, struct subscriber *subscriber)
{
	subscriber->number = take_number((void ***)&hub->subscribers, &hub->free_subscribers,
					 &hub->free_subscriber_count, &hub->next_subscriber,
					 &hub->subscriber_capacity);
	hub->subscribers[subscriber->number] = subscriber;
}

void hub_reserve(struct subscriber *subscriber, uint32_t topics)
{
	struct hub_edges *edges = &subscriber->topics;

	if (topics <= edges->capacity)
		return;
	edges->list = xrealloc(edges->list, topics * sizeof edges->list[0]);
	edges->capacity = topics;
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

/* --- topics by channel ----------------------------------------------------------------------- */

/*
 * Chains of topics by their numbers. uthash gives its hash function, not its table: that takes
 * 56 bytes of each topic, and there are two topics or more for each stream.
 */
static uint32_t *bucket_of(const struct hub *hub, const char *channel)
{
	unsigned hash;

	HASH_VALUE(channel, strlen(channel), hash);
	return &hub->buckets[hash & (hub->topic_capacity - 1)];
}

static void table_add(struct hub *hub, struct topic *topic)
{
	uint32_t *bucket = bucket_of(hub, topic->channel);

	topic->next = *bucket;
	*bucket = topic->number;
}

static void table_remove(struct hub *hub, const struct topic *topic)
{
	uint32_t *number = bucket_of(hub, topic->channel);

	while (*number != topic->number)
		number = &hub->topics[*number]->next;
	*number = topic->next;
}

/* As many buckets as there may be topics, now that these are more. */
static void table_grow(struct hub *hub)
{
	free(hub->buckets);
	hub->buckets = xcalloc(hub->topic_capacity, sizeof hub->buckets[0]);
	for (uint32_t number = 1; number < hub->next_topic; number++)
		if (hub->topics[number] != NULL)
			table_add(hub, hub->topics[number]);
}

/* --- topics ---------------------------------------------------------------------------------- */

static struct topic_lists *lists_of(const struct hub *hub, const struct topic *topic)
{
	return &hub->lists[topic->partition];
}

static struct topic *topic_new(struct hub *hub, const char *channel, unsigned partition)
{
	size_t len = strlen(channel);
	struct topic *topic = xcalloc(1, sizeof *topic + len + 1);
	uint32_t capacity = hub->topic_capacity;

	memcpy(topic->channel, channel, len + 1);
	topic->number = take_number((void ***)&hub->topics, &hub->free_topics,
				    &hub->free_topic_count, &hub->next_topic, &hub->topic_capacity);
	topic->serial = ++hub->last_serial;
	hub->topics[topic->number] = topic;
	if (hub->topic_capacity != capacity)
		table_grow(hub);
	else
		table_add(hub, topic);
	topic->partition = partition & 0xffff;
	topic->state = TOPIC_WANTED;
	TAILQ_INSERT_TAIL(&lists_of(hub, topic)->wanted, topic, link);
	return topic;
}

/* Out of every table; its memory stays. */
static void topic_detach(struct hub *hub, struct topic *topic)
{
	if (topic->state == TOPIC_WANTED)
		TAILQ_REMOVE(&lists_of(hub, topic)->wanted, topic, link);
	else if (topic->state == TOPIC_IDLE)
		TAILQ_REMOVE(&lists_of(hub, topic)->idle, topic, link);
	table_remove(hub, topic);
	hub->topics[topic->number] = NULL;
	hub->free_topics[hub->free_topic_count++] = topic->number;
}

struct topic *hub_find(const struct hub *hub, const char *channel)
{
	uint32_t number = hub->buckets != NULL ? *bucket_of(hub, channel) : 0;

	while (number != 0 && strcmp(hub->topics[number]->channel, channel) != 0)
		number = hub->topics[number]->next;
	return number != 0 ? hub->topics[number] : NULL;
}

struct topic *hub_join(struct hub *hub, struct subscriber *subscriber, const char *channel,
		       unsigned partition)
{
	struct topic *topic = hub_find(hub, channel);
	uint32_t index;

	if (topic == NULL) {
		topic = topic_new(hub, channel, partition);
	} else if (topic->state == TOPIC_IDLE) {
		TAILQ_REMOVE(&lists_of(hub, topic)->idle, topic, link);
		topic->state = TOPIC_ASKED;
	}
	index = edges_push(&subscriber->topics, topic->number, topic->subscribers.count);
	edges_push(&topic->subscribers, subscriber->number, index);
	return topic;
}

void hub_leave(struct hub *hub, struct subscriber *subscriber, uint32_t index, int64_t now_ms)
{
	struct hub_edge edge = subscriber->topics.list[index];
	struct topic *topic = hub->topics[edge.other];

	if (edges_remove(&topic->subscribers, edge.index)) {
		struct hub_edge moved = topic->subscribers.list[edge.index];

		hub->subscribers[moved.other]->topics.list[moved.index].index = edge.index;
	}
	if (edges_remove(&subscriber->topics, index)) {
		struct hub_edge moved = subscriber->topics.list[index];

		hub->topics[moved.other]->subscribers.list[moved.index].index = index;
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
	TAILQ_INSERT_TAIL(&lists_of(hub, topic)->idle, topic, link);
}

bool hub_hide(struct hub *hub, struct subscriber *subscriber, uint32_t index, unsigned hidden)
{
	struct hub_edge *edge = &subscriber->topics.list[index];
	bool is_other = edge->hidden != hidden;

	edge->hidden = hidden & 7;
	hub->topics[edge->other]->subscribers.list[edge->index].hidden = edge->hidden;
	return is_other;
}

void hub_asked(struct hub *hub, struct topic *topic)
{
	TAILQ_REMOVE(&lists_of(hub, topic)->wanted, topic, link);
	topic->state = TOPIC_ASKED;
}

struct topic *hub_take_idle(struct hub *hub, unsigned partition, int64_t now_ms)
{
	struct topic *topic = TAILQ_FIRST(&hub->lists[partition].idle);

	if (topic == NULL || now_ms - HUB_IDLE_MS < topic->idle_ms)
		return NULL;
	topic_detach(hub, topic);
	return topic;
}

void hub_unsubscribed(struct hub *hub, const uint64_t *partitions)
{
	struct topic *topic;

	for (unsigned i = 0; i < hub->partitions; i++) {
		while (partset_has(partitions, i) &&
		       (topic = hub_take_idle(hub, i, INT64_MAX)) != NULL)
			free(topic);
	}
	for (uint32_t number = 1; number < hub->next_topic; number++) {
		topic = hub->topics[number];
		if (topic == NULL || topic->state == TOPIC_WANTED ||
		    !partset_has(partitions, topic->partition))
			continue;
		topic->state = TOPIC_WANTED;
		topic->is_offline = false; /* what is said from here on goes unheard */
		TAILQ_INSERT_TAIL(&lists_of(hub, topic)->wanted, topic, link);
	}
}

void hub_clear(struct hub *hub)
{
	struct topic *topic;

	for (unsigned i = 0; i < hub->partitions; i++) {
		while ((topic = hub_take_idle(hub, i, INT64_MAX)) != NULL)
			free(topic);
	}
	free(hub->lists);
	free(hub->buckets);
	free(hub->topics);
	free(hub->subscribers);
	free(hub->free_topics);
	free(hub->free_subscribers);
	memset(hub, 0, sizeof *hub);
}
