#include "stream/friends.h"

#include <string.h>

#include "store/keys.h"
#include "stream/hidden.h"

static void set_progress(struct stream *stream, enum friends_progress progress)
{
	state_moved(&friends_states, stream->due.number, stream->friends.progress, progress);
	stream->friends.progress = progress;
	turn_mark(&stream->all->context->turn, &stream->due);
}

/* --- topics ---------------------------------------------------------------------------------- */

static void join(struct stream *stream, const struct friends *friends)
{
	struct subscriptions *all = &stream->all->subscriptions;

	subscription_reserve(&stream->subscription, (uint32_t)friends->count + 1);
	for (size_t i = 0; i < friends->count; i++)
		subscription_join(all, &stream->subscription, CHANNEL_STATUS,
				  friends->list[i].user.text);
}

/* Whether the topics after the inbox are those of these friends, in their order. */
static bool are_joined(const struct stream *stream, const struct friends *friends)
{
	const struct hub *hub = &stream->all->context->hub;
	const struct subscriber *subscriber = &stream->subscription.subscriber;

	if (subscriber->topics.count != friends->count + 1)
		return false;
	for (size_t i = 0; i < friends->count; i++) {
		const struct topic *topic = hub_topic_at(hub, subscriber, (uint32_t)i + 1);

		if (strcmp(topic_watched_id(topic), friends->list[i].user.text) != 0)
			return false;
	}
	return true;
}

/* Whoever was watched before, now it is these. */
static void exchange(struct stream *stream, const struct friends *friends)
{
	struct subscriptions *all = &stream->all->subscriptions;

	if (stream->subscription.subscriber.topics.count > 1) {
		subscription_exchange(all, &stream->subscription);
		subscription_join(all, &stream->subscription, CHANNEL_INBOX, stream->session.user);
	}
	join(stream, friends);
}

/* The friends may be others: then a new snapshot follows. */
static void update(struct stream *stream, const struct friends *friends)
{
	bool was_stale = stream->friends.stale;

	stream->friends.stale = false;
	if (was_stale && are_joined(stream, friends))
		return;
	hidden_reset(stream);
	exchange(stream, friends);
	view_reset(&stream->all->snapshots, &stream->view);
}

/* --- the directory --------------------------------------------------------------------------- */

static void on_friends(void *arg, enum directory_result result, struct friends *friends)
{
	struct stream *stream = arg;
	bool is_first = !stream_has_friends(stream);

	stream->friends.call = NULL;
	if (result != DIRECTORY_OK) {
		/* What is known stays until the directory answers, to the next heartbeat. */
		stream->friends.stale |= !is_first;
		set_progress(stream, is_first ? FRIENDS_FAILED : FRIENDS_KNOWN);
		friends_free(friends);
		return;
	}
	/* Joined at once, not kept for the driver: a burst of answers is not held in memory. */
	if (is_first)
		exchange(stream, friends);
	else
		update(stream, friends);
	set_progress(stream, FRIENDS_KNOWN);
	friends_free(friends);
}

void friends_ask(struct stream *stream)
{
	bool is_first = !stream_has_friends(stream);

	struct userid user = session_userid(&stream->session);

	friends_withdraw(stream);
	stream->friends.call =
		directory_ask_friends(stream->all->context->directory, &user, on_friends, stream);
	if (stream->friends.call != NULL) {
		set_progress(stream, FRIENDS_ASKED);
	} else {
		stream->friends.stale |= !is_first;
		set_progress(stream, is_first ? FRIENDS_FAILED : FRIENDS_KNOWN);
	}
}

void friends_withdraw(struct stream *stream)
{
	if (stream->friends.call == NULL)
		return;
	directory_cancel(stream->friends.call);
	stream->friends.call = NULL;
	if (stream_has_friends(stream))
		set_progress(stream, FRIENDS_KNOWN);
}

void friends_are_stale(struct stream *stream)
{
	stream->friends.stale = true;
}
