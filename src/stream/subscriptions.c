#include "stream/subscriptions.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/keys.h"

const struct state_names subscription_states = {
	"subscription", 4, {"NONE", "QUEUED", "SENT", "CONFIRMED"}};

void subscriptions_init(struct subscriptions *all, struct context *context)
{
	all->context = context;
	TAILQ_INIT(&all->waiting);
	all->asked = xcalloc(context->link_max, sizeof *all->asked);
	for (unsigned i = 0; i < context->link_max; i++)
		TAILQ_INIT(&all->asked[i]);
}

static void drop_first(struct asked_turns *asked)
{
	struct asked_turn *first = TAILQ_FIRST(asked);

	TAILQ_REMOVE(asked, first, link);
	free(first);
}

void subscriptions_free(struct subscriptions *all)
{
	for (unsigned i = 0; i < all->context->link_max; i++) {
		while (!TAILQ_EMPTY(&all->asked[i]))
			drop_first(&all->asked[i]);
	}
	free(all->asked);
}

void subscription_init(struct subscription *subscription, struct due *owner, uint64_t *partitions)
{
	memset(subscription, 0, sizeof *subscription);
	subscription->owner = owner;
	subscription->partitions = partitions;
}

bool subscription_meets(const struct subscriptions *all, const struct subscription *subscription,
			const uint64_t *partitions)
{
	return partset_meets(subscription->partitions, partitions, all->context->set_words);
}

static void forget_partitions(const struct subscriptions *all, struct subscription *subscription)
{
	memset(subscription->partitions, 0,
	       all->context->set_words * sizeof subscription->partitions[0]);
}

static void set_state(struct subscriptions *all, struct subscription *subscription,
		      enum subscription_state state)
{
	enum subscription_state before = subscription->state;

	state_moved(&subscription_states, subscription->owner, before, state);
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
	struct partition *partition = partition_of(all->context, id);
	char channel[HUB_CHANNEL_MAX];

	if (subscription->subscriber.number == 0)
		hub_add(hub, &subscription->subscriber);
	strcpy(mempcpy(channel, kind, strlen(kind)), id);
	hub_join(hub, &subscription->subscriber, channel, partition->number);
	partset_add(subscription->partitions, partition->number);
	partition_wake(partition);
	enqueue(all, subscription);
}

void subscription_exchange(struct subscriptions *all, struct subscription *subscription)
{
	struct subscriber *subscriber = &subscription->subscriber;
	int64_t now = times_mono_ms();

	while (subscriber->topics.count > 0)
		hub_leave(&all->context->hub, subscriber, subscriber->topics.count - 1, now);
	forget_partitions(all, subscription);
}

void subscription_close(struct subscriptions *all, struct subscription *subscription)
{
	hub_remove(&all->context->hub, &subscription->subscriber, times_mono_ms());
	forget_partitions(all, subscription);
	set_state(all, subscription, SUBSCRIPTION_NONE);
}

/* --- the links ------------------------------------------------------------------------------- */

void subscriptions_lost(struct subscriptions *all, const uint64_t *partitions)
{
	hub_unsubscribed(&all->context->hub, partitions);
}

void subscription_lost(struct subscriptions *all, struct subscription *subscription)
{
	if (subscription->state != SUBSCRIPTION_NONE)
		enqueue(all, subscription);
}

void subscriptions_ask(struct subscriptions *all, struct partition *partition)
{
	const char *channels[LINK_SUBSCRIBE_MAX];
	struct hub *hub = &all->context->hub;
	struct topic_list *wanted = &hub->lists[partition->number].wanted;
	struct topic *topic;

	while (!TAILQ_EMPTY(wanted)) {
		size_t count = 0;

		TAILQ_FOREACH (topic, wanted, link) {
			if (count == LINK_SUBSCRIBE_MAX)
				break;
			channels[count++] = topic->channel;
		}
		link_subscribe(partition->link, store_prefix(partition->store), channels, count);
		while (count-- > 0)
			hub_asked(hub, TAILQ_FIRST(wanted));
	}
}

/* Of each server: what it has to confirm before this turn is. */
static void note_turn(struct subscriptions *all)
{
	all->turn++;
	for (unsigned i = 0; i < all->context->link_count; i++) {
		const struct link *link = all->context->links[i];
		struct asked_turns *asked = &all->asked[i];
		struct asked_turn *last = TAILQ_LAST(asked, asked_turns);

		if (link_serial(link) == link_acked(link) ||
		    (last != NULL && last->serial == link_serial(link)))
			continue;
		last = xmalloc(sizeof *last);
		last->turn = all->turn;
		last->serial = link_serial(link);
		TAILQ_INSERT_TAIL(asked, last, link);
	}
}

/* The last turn that all servers have confirmed. */
static uint64_t confirmed_turn(struct subscriptions *all)
{
	uint64_t turn = all->turn;

	for (unsigned i = 0; i < all->context->link_count; i++) {
		struct asked_turns *asked = &all->asked[i];
		uint64_t acked = link_acked(all->context->links[i]);

		while (!TAILQ_EMPTY(asked) && TAILQ_FIRST(asked)->serial <= acked)
			drop_first(asked);
		if (!TAILQ_EMPTY(asked) && TAILQ_FIRST(asked)->turn <= turn)
			turn = TAILQ_FIRST(asked)->turn - 1;
	}
	return turn;
}

void subscriptions_flush(struct subscriptions *all)
{
	struct subscription *subscription = TAILQ_LAST(&all->waiting, subscription_list);

	if (subscription == NULL || subscription->state != SUBSCRIPTION_QUEUED)
		return;
	note_turn(all);
	/* Those queued in this turn are at the tail; stop at the first that has its turn. */
	for (; subscription != NULL && subscription->state == SUBSCRIPTION_QUEUED;
	     subscription = TAILQ_PREV(subscription, subscription_list, link)) {
		subscription->turn = all->turn;
		set_state(all, subscription, SUBSCRIPTION_SENT);
	}
	subscriptions_confirmed(all);
}

void subscriptions_confirmed(struct subscriptions *all)
{
	uint64_t confirmed = confirmed_turn(all);
	struct subscription *subscription;

	while ((subscription = TAILQ_FIRST(&all->waiting)) != NULL &&
	       subscription->state == SUBSCRIPTION_SENT && subscription->turn <= confirmed)
		set_state(all, subscription, SUBSCRIPTION_CONFIRMED);
}

void subscriptions_drop_idle(struct subscriptions *all, struct partition *partition, int64_t now_ms)
{
	struct topic *topics[LINK_SUBSCRIBE_MAX];
	const char *channels[LINK_SUBSCRIBE_MAX];
	size_t count;

	do {
		count = 0;
		while (count < LINK_SUBSCRIBE_MAX &&
		       (topics[count] = hub_take_idle(&all->context->hub, partition->number,
						      now_ms)) != NULL) {
			channels[count] = topics[count]->channel;
			count++;
		}
		if (count > 0)
			link_unsubscribe(partition->link, store_prefix(partition->store), channels,
					 count);
		for (size_t i = 0; i < count; i++)
			free(topics[i]);
	} while (count == LINK_SUBSCRIBE_MAX);
}
