/*
 * Who hears what: topics (one Redis channel each) and subscribers (streams),
 * in two tables that change together. An edge knows its index in both, so
 * that leaving costs no search. Topics and subscribers are numbered, so an
 * edge is 16 bytes in all.
 *
 * The hub does no I/O: it notes which topics want to be subscribed or
 * unsubscribed, and subscriptions.c asks Redis for them.
 */
#ifndef PRESENCE_STREAM_HUB_H
#define PRESENCE_STREAM_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/userid.h"
#include "store/keys.h"
#include "stream/state.h"

#define HUB_IDLE_MS 5000 /* a topic without subscribers keeps its subscription that long */
/* Bytes of a channel's name, without the prefix, with its NUL. */
#define HUB_CHANNEL_MAX (sizeof CHANNEL_STATUS + sizeof(struct userid))

struct hub_edge {
	uint32_t other; /* the number of the topic or subscriber at the other end */
	uint32_t index : 29; /* the edge's index in the other end's list */
	uint32_t hidden : 3; /* enum hub_hidden: why nothing goes along it; the same at both ends */
};

/* Why a subscriber is not told of a topic that it has joined all the same. */
enum hub_hidden {
	HUB_BLOCKED = 1, /* the subscriber's user blocks the topic's */
	HUB_BLOCKED_BY = 2, /* is blocked by that user */
	HUB_STRANGER = 4, /* may see friends alone */
};

struct hub_edges {
	struct hub_edge *list;
	uint32_t count, capacity;
};

enum topic_state {
	TOPIC_WANTED, /* to be subscribed */
	TOPIC_ASKED, /* SUBSCRIBE is sent */
	TOPIC_IDLE, /* subscribed, no subscriber since idle_ms */
};

struct lap;

struct topic {
	uint32_t number;
	uint32_t serial; /* of no other topic, also when the number is used again */
	uint32_t next; /* the number of the next in the bucket; 0 = none */
	enum topic_state state : 8;
	unsigned partition : 16; /* of the user it is about */
	unsigned is_offline : 1; /* the last message said so of its user; 0 where there was none */
	int64_t idle_ms;
	struct hub_edges subscribers;
	int64_t changed_ms; /* when the last message came */
	struct lap *lap; /* of fanout.c, while its subscribers are being told; else NULL */
	TAILQ_ENTRY(topic) link; /* in the partition's list of those WANTED or IDLE */
	char channel[]; /* without the prefix */
};

extern const struct state_names topic_states;

TAILQ_HEAD(topic_list, topic);

/* The topics of one partition that are to be subscribed, or may be unsubscribed. */
struct topic_lists {
	struct topic_list wanted, idle;
};

/* One stream's end; part of the stream. */
struct subscriber {
	uint32_t number; /* 0 = not in the hub */
	struct hub_edges topics;
};

struct hub {
	uint32_t *
		buckets; /* topic_capacity of them: numbers of topics, by the hash of the channel */
	struct topic **topics; /* by number; 0 is not used */
	struct subscriber **subscribers; /* by number; 0 is not used */
	uint32_t topic_capacity, subscriber_capacity;
	uint32_t *free_topics, *free_subscribers; /* numbers to be used again */
	uint32_t free_topic_count, free_subscriber_count;
	uint32_t next_topic, next_subscriber;
	uint32_t last_serial;
	struct topic_lists *lists; /* by partition */
	unsigned partitions;
};

void hub_init(struct hub *hub, unsigned partitions);
void hub_clear(struct hub *hub); /* subscribers must have left */

/* Gives a subscriber its number; hub_remove() takes it back and leaves every topic. */
void hub_add(struct hub *hub, struct subscriber *subscriber);
void hub_remove(struct hub *hub, struct subscriber *subscriber, int64_t now_ms);

/* Makes room for so many topics of a subscriber that has none yet, to the letter. */
void hub_reserve(struct subscriber *subscriber, uint32_t topics);

/*
 * Joins a channel of that partition, whose topic is made when it is the first; joining twice
 * makes two edges, so don't. The topic stays valid while it has a subscriber.
 */
struct topic *hub_join(struct hub *hub, struct subscriber *subscriber, const char *channel,
		       unsigned partition);
/* Leaves the topic at the given index in the subscriber's list; the last edge moves there. */
void hub_leave(struct hub *hub, struct subscriber *subscriber, uint32_t index, int64_t now_ms);

/* Sets why the topic at the index is hidden from the subscriber; true: it was another reason. */
bool hub_hide(struct hub *hub, struct subscriber *subscriber, uint32_t index, unsigned hidden);

struct topic *hub_find(const struct hub *hub, const char *channel);

/* Numbers begin with 1. */
static inline uint32_t hub_topic_count(const struct hub *hub)
{
	return hub->next_topic - 1 - hub->free_topic_count;
}

static inline struct topic *hub_topic_at(const struct hub *hub, const struct subscriber *subscriber,
					 uint32_t index)
{
	return hub->topics[subscriber->topics.list[index].other];
}

static inline struct subscriber *hub_subscriber_at(const struct hub *hub, const struct topic *topic,
						   uint32_t index)
{
	return hub->subscribers[topic->subscribers.list[index].other];
}

/* A wanted topic's SUBSCRIBE was sent. */
void hub_asked(struct hub *hub, struct topic *topic);

/*
 * The next topic of a partition that has been idle for HUB_IDLE_MS (or for whatever time, when
 * now_ms is INT64_MAX), taken out of the hub; the caller unsubscribes it and
 * frees it with free(). NULL when there is none.
 */
struct topic *hub_take_idle(struct hub *hub, unsigned partition, int64_t now_ms);

/*
 * The subscriptions of these partitions (partset.h) are gone: every topic with
 * subscribers is wanted, idle ones are freed.
 */
void hub_unsubscribed(struct hub *hub, const uint64_t *partitions);

#endif
