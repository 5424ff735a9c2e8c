/*
 * Whether Redis has confirmed all topics of a stream: from then on it misses no
 * message.
 *
 *                            NONE    QUEUED            SENT            CONFIRMED
 *   topic joined             QUEUED  QUEUED            QUEUED          QUEUED
 *   subscriptions_flush()            SENT, or CONFIRMED
 *                                    when nothing was new
 *   serial confirmed                                   CONFIRMED, due
 *   link lost                        QUEUED            QUEUED          QUEUED
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
	SUBSCRIPTION_SENT, /* its serial is known; Redis has not confirmed it */
	SUBSCRIPTION_CONFIRMED, /* nothing is missed from now on */
};
extern const struct state_names subscription_states;

struct subscriptions {
	struct context *context;
	/* QUEUED and SENT, in the order of their serials; the QUEUED at the tail have none yet. */
	TAILQ_HEAD(subscription_list, subscription) waiting;
};

struct subscription {
	struct due *owner;
	struct subscriber subscriber; /* its topics, in the order in which they were joined */
	TAILQ_ENTRY(subscription) link;
	enum subscription_state state;
	uint64_t serial; /* of the last SUBSCRIBE that it needs; while SENT */
};

void subscriptions_init(struct subscriptions *all, struct context *context);
void subscription_init(struct subscription *subscription, struct due *owner);

/* Makes room for so many topics, to the letter. */
void subscription_reserve(struct subscription *subscription, uint32_t topics);

/* Joins the topic of a kind (CHANNEL_STATUS, CHANNEL_INBOX) that is about this user; each once. */
void subscription_join(struct subscriptions *all, struct subscription *subscription,
		       const char *kind, const char *id);

/* Leaves all topics, to join others at once: those among them stay subscribed (HUB_IDLE_MS). */
void subscription_exchange(struct subscriptions *all, struct subscription *subscription);

void subscription_close(struct subscriptions *all, struct subscription *subscription);

/* The link is lost: no channel is subscribed any more; then each subscription hears of it. */
void subscriptions_lost(struct subscriptions *all);
void subscription_lost(struct subscriptions *all, struct subscription *subscription);

/* Sends the topics that are new; confirms what is. Link up. */
void subscriptions_flush(struct subscriptions *all);

/* Redis has confirmed further channels. */
void subscriptions_confirmed(struct subscriptions *all);

/* Unsubscribes topics that nobody has wanted for a while. Link up. */
void subscriptions_drop_idle(struct subscriptions *all, int64_t now_ms);

/* The id of the user whose status a topic is about; NULL for an inbox. */
const char *topic_watched_id(const struct topic *topic);

#endif
