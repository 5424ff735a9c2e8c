/*
 * Whether Redis has confirmed all topics of a stream: from then on it misses no
 * message of partitions that are not away.
 *
 * What is asked for in one turn of the loop, of however many servers, has one
 * number: a subscription is confirmed when every server has confirmed all that it
 * was asked for up to that.
 *
 *                            NONE    QUEUED            SENT            CONFIRMED
 *   topic joined             QUEUED  QUEUED            QUEUED          QUEUED
 *   subscriptions_flush()            SENT, or CONFIRMED
 *                                    when nothing was new
 *   turn confirmed                                     CONFIRMED, due
 *   link lost, link up               QUEUED            QUEUED          QUEUED
 *   closed                           NONE              NONE            NONE
 */
#ifndef PRESENCE_STREAM_SUBSCRIPTIONS_H
#define PRESENCE_STREAM_SUBSCRIPTIONS_H

#include <stdint.h>
#include <sys/queue.h>

#include "stream/context.h"
#include "stream/hub.h"
#include "stream/state.h"

enum subscription_state {
	SUBSCRIPTION_NONE, /* in no topic */
	SUBSCRIPTION_QUEUED, /* SUBSCRIBE goes out at the end of the turn, or when Redis is back */
	SUBSCRIPTION_SENT, /* its turn is known; Redis has not confirmed it */
	SUBSCRIPTION_CONFIRMED, /* nothing is missed from now on */
};
extern const struct state_names subscription_states;

/* What a server was asked for in one turn. */
struct asked_turn {
	TAILQ_ENTRY(asked_turn) link;
	uint64_t turn, serial; /* of the last channel (link.h) */
};
TAILQ_HEAD(asked_turns, asked_turn);

struct subscriptions {
	struct context *context;
	/* QUEUED and SENT, in the order of their turns; the QUEUED at the tail have none yet. */
	TAILQ_HEAD(subscription_list, subscription) waiting;
	uint64_t turn; /* the last one in which something was asked for */
	struct asked_turns *asked; /* by link: those that are not confirmed */
};

struct subscription {
	struct due *owner;
	struct subscriber subscriber; /* its topics, in the order in which they were joined */
	uint64_t *partitions; /* that they are in (partset.h); borrowed */
	TAILQ_ENTRY(subscription) link;
	enum subscription_state state;
	uint64_t turn; /* of the last SUBSCRIBE that it needs; while SENT */
};

/* The context knows how many links there may be. */
void subscriptions_init(struct subscriptions *all, struct context *context);
void subscriptions_free(struct subscriptions *all);
/* `partitions`: an empty set. */
void subscription_init(struct subscription *subscription, struct due *owner, uint64_t *partitions);

/* Whether one of its topics is in one of these partitions. */
bool subscription_meets(const struct subscriptions *all, const struct subscription *subscription,
			const uint64_t *partitions);

/* Makes room for so many topics, to the letter. */
void subscription_reserve(struct subscription *subscription, uint32_t topics);

/* Joins the topic of a kind (CHANNEL_STATUS, CHANNEL_INBOX) that is about this user; each once. */
void subscription_join(struct subscriptions *all, struct subscription *subscription,
		       const char *kind, const char *id);

/* Leaves all topics, to join others at once: those among them stay subscribed (HUB_IDLE_MS). */
void subscription_exchange(struct subscriptions *all, struct subscription *subscription);

void subscription_close(struct subscriptions *all, struct subscription *subscription);

/*
 * Partitions are away, or up again: no channel of theirs is subscribed; then each
 * subscription that has some of them hears of it.
 */
void subscriptions_lost(struct subscriptions *all, const uint64_t *partitions);
void subscription_lost(struct subscriptions *all, struct subscription *subscription);

/* Sends the topics of a partition that are new. The partition is up. */
void subscriptions_ask(struct subscriptions *all, struct partition *partition);
/* At the end of a turn, after that: they are sent; confirms what is. */
void subscriptions_flush(struct subscriptions *all);

/* Redis has confirmed further channels. */
void subscriptions_confirmed(struct subscriptions *all);

/* Unsubscribes topics of a partition that nobody has wanted for a while. The partition is up. */
void subscriptions_drop_idle(struct subscriptions *all, struct partition *partition,
			     int64_t now_ms);

/* The id of the user whose status a topic is about; NULL for an inbox. */
const char *topic_watched_id(const struct topic *topic);

#endif
