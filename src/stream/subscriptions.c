#include "stream/subscriptions.h"

#include <stdlib.h>
#include <string.h>

#include "base/times.h"
#include "store/keys.h"

const struct state_names subscription_states = {
	"subscription", 4, {"NONE", "QUEUED", "SENT", "CONFIRMED"}};

void subscriptions_init(struct subscriptions *all, struct context *context)
{
	all->context = context;
	TAILQ_INIT(&all->waiting);
}

void subscription_init(struct subscription *subscription, struct due *owner)
{
	memset(subscription, 0, sizeof *subscription);
	subscription->owner = owner;
}

static void set_state(struct subscriptions *all, struct subscription *subscription,
		      enum subscription_state state)
{
	enum subscription_state before = subscription->state;

	state_moved(&subscription_states, subscription->owner->number, before, state);
	if (before == SUBSCRIPTION_QUEUED || before == SUBSCRIPTION_SENT) {
		/* From QUEUED to SENT it keeps its turn. */
		if (state != SUBSCRIPTION_SENT)
			TAILQ_REMOVE(&all->waiting, subscription, link);
	}
	if (state == SUBSCRIPTION_QUEUED) {
		TAILQ_INSERT_TAIL(&all->waiting, subscription, link);
		turn_schedule(&all->context->turn);
	}
	subscription->state = state;
	if (state == SUBSCRIPTION_CONFIRMED)
		turn_mark(&all->context->turn, subscription->owner);
}

/* New topics may wait for Redis to confirm them. */
static void enqueue(struct subscriptions *all, struct subscription *subscription)
{
	if (subscription->state != SUBSCRIPTION_QUEUED)
		set_state(all, subscription, SUBSCRIPTION_QUEUED);
}

/* --- topics ---------------------------------------------------------------------------------- */

const char *topic_watched_id(const struct topic *topic)
{
	size_t len = sizeof CHANNEL_STATUS - 1;

	return strncmp(topic->channel, CHANNEL_STATUS, len) == 0 ? topic->channel + len : NULL;
}

void subscription_reserve(struct subscription *subscription, uint32_t topics)
{
	hub_reserve(&subscription->subscriber, topics);
}

void subscription_join(struct subscriptions *all, struct subscription *subscription,
		       const char *kind, const char *id)
{
	struct hub *hub = &all->context->hub;
	char channel[HUB_CHANNEL_MAX];

	if (subscription->subscriber.number == 0)
		hub_add(hub, &subscription->subscriber);
	strcpy(mempcpy(channel, kind, strlen(kind)), id);
	hub_join(hub, &subscription->subscriber, channel);
	enqueue(all, subscription);
}

void subscription_exchange(struct subscriptions *all, struct subscription *subscription)
{
	struct subscriber *subscriber = &subscription->subscriber;
	int64_t now = times_mono_ms();

	while (subscriber->topics.count > 0)
		hub_leave(&all->context->hub, subscriber, subscriber->topics.count - 1, now);
}

void subscription_close(struct subscriptions *all, struct subscription *subscription)
{
	hub_remove(&all->context->hub, &subscription->subscriber, times_mono_ms());
	set_state(all, subscription, SUBSCRIPTION_NONE);
}

/* --- the link -------------------------------------------------------------------------------- */

void subscriptions_lost(struct subscriptions *all)
{
	hub_unsubscribed(&all->context->hub);
}

void subscription_lost(struct subscriptions *all, struct subscription *subscription)
{
	if (subscription->state != SUBSCRIPTION_NONE)
		enqueue(all, subscription);
}

static void subscribe_wanted(struct context *context)
{
	const char *channels[LINK_SUBSCRIBE_MAX];
	struct topic_list *wanted = &context->hub.wanted;
	struct topic *topic;

	while (!TAILQ_EMPTY(wanted)) {
		size_t count = 0;

		TAILQ_FOREACH (topic, wanted, link) {
			if (count == LINK_SUBSCRIBE_MAX)
				break;
			channels[count++] = topic->channel;
		}
		link_subscribe(context->link, channels, count);
		while (count-- > 0)
			hub_asked(&context->hub, TAILQ_FIRST(wanted));
	}
}

void subscriptions_flush(struct subscriptions *all)
{
	struct subscription *subscription;
	uint64_t serial;

	subscribe_wanted(all->context);
	serial = link_serial(all->context->link);
	/* Those queued in this turn are at the tail; stop at the first that has its serial. */
	TAILQ_FOREACH_REVERSE (subscription, &all->waiting, subscription_list, link) {
		if (subscription->state != SUBSCRIPTION_QUEUED)
			break;
		subscription->serial = serial;
		set_state(all, subscription, SUBSCRIPTION_SENT);
	}
	subscriptions_confirmed(all);
}

void subscriptions_confirmed(struct subscriptions *all)
{
	uint64_t acked = link_acked(all->context->link);
	struct subscription *subscription;

	while ((subscription = TAILQ_FIRST(&all->waiting)) != NULL &&
	       subscription->state == SUBSCRIPTION_SENT && subscription->serial <= acked)
		set_state(all, subscription, SUBSCRIPTION_CONFIRMED);
}

void subscriptions_drop_idle(struct subscriptions *all, int64_t now_ms)
{
	struct topic *topics[LINK_SUBSCRIBE_MAX];
	const char *channels[LINK_SUBSCRIBE_MAX];
	size_t count;

	do {
		count = 0;
		while (count < LINK_SUBSCRIBE_MAX &&
		       (topics[count] = hub_take_idle(&all->context->hub, now_ms)) != NULL) {
			channels[count] = topics[count]->channel;
			count++;
		}
		if (count > 0)
			link_unsubscribe(all->context->link, channels, count);
		for (size_t i = 0; i < count; i++)
			free(topics[i]);
	} while (count == LINK_SUBSCRIBE_MAX);
}
