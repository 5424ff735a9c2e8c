#include "stream/friends.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/keys.h"
#include "stream/hidden.h"

static void set_progress(struct stream *stream, enum friends_progress progress)
{
	state_moved(&friends_states, &stream->due, stream->friends.progress, progress);
	stream->friends.progress = progress;
	turn_mark(&stream->all->context->turn, &stream->due);
}

/* --- topics ---------------------------------------------------------------------------------- */

/* One whom the stream watches; the id is borrowed. */
struct user {
	const char *id;
	unsigned hidden; /* HUB_STRANGER, or 0 */
};

static int compare_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Appends the watch list to the users, of whom the `count` first are there already. */
static size_t add_watched(const struct stream *stream, const struct friends *friends,
			  struct user *users, size_t count)
{
	const struct userids *watched = stream->friends.watched;
	bool friends_alone =
		stream->all->context->config->presence.visibility == VISIBLE_TO_FRIENDS;
	const char **sorted = xcalloc(friends->count, sizeof *sorted), *id = watched->texts;

	for (size_t i = 0; i < friends->count; i++)
		sorted[i] = friends->list[i].user.text;
	qsort(sorted, friends->count, sizeof *sorted, compare_ids);
	for (size_t i = 0; i < watched->count; i++, id = userids_next(id)) {
		bool is_friend = friends->count > 0 && bsearch(&id, sorted, friends->count,
							       sizeof *sorted, compare_ids) != NULL;
		bool is_seen = !friends_alone || is_friend || strcmp(id, stream->session.user) == 0;

		if (!is_friend || stream->friends.without)
			users[count++] = (struct user){id, is_seen ? 0 : HUB_STRANGER};
	}
	free(sorted);
	return count;
}

/* Friends, then who else is watched, each once; the caller frees the list. */
static struct user *list_users(const struct stream *stream, const struct friends *friends,
			       size_t *count)
{
	const struct userids *watched = stream->friends.watched;
	struct user *users =
		xcalloc(friends->count + (watched != NULL ? watched->count : 0), sizeof *users);

	*count = 0;
	for (size_t i = 0; i < friends->count && !stream->friends.without; i++)
		users[(*count)++] = (struct user){friends->list[i].user.text, 0};
	if (watched != NULL)
		*count = add_watched(stream, friends, users, *count);
	return users;
}

static void join(struct stream *stream, const struct user *users, size_t count)
{
	struct subscriptions *all = &stream->all->subscriptions;
	struct subscriber *subscriber = &stream->subscription.subscriber;

	subscription_reserve(&stream->subscription, (uint32_t)count + 1);
	for (size_t i = 0; i < count; i++) {
		subscription_join(all, &stream->subscription, CHANNEL_STATUS, users[i].id);
		if (users[i].hidden != 0)
			hub_hide(&all->context->hub, subscriber, (uint32_t)i + 1, users[i].hidden);
	}
}

/* Whether the topics after the inbox are those of these users, in their order. */
static bool are_joined(const struct stream *stream, const struct user *users, size_t count)
{
	const struct hub *hub = &stream->all->context->hub;
	const struct subscriber *subscriber = &stream->subscription.subscriber;

	if (subscriber->topics.count != count + 1)
		return false;
	for (size_t i = 0; i < count; i++) {
		uint32_t index = (uint32_t)i + 1;
		const struct topic *topic = hub_topic_at(hub, subscriber, index);

		if (strcmp(topic_watched_id(topic), users[i].id) != 0 ||
		    (subscriber->topics.list[index].hidden & HUB_STRANGER) != users[i].hidden)
			return false;
	}
	return true;
}

/* Whoever was watched before, now it is these. */
static void exchange(struct stream *stream, const struct user *users, size_t count)
{
	struct subscriptions *all = &stream->all->subscriptions;
	struct hidden_mark *marks = hidden_save(stream);

	if (stream->subscription.subscriber.topics.count > 1) {
		subscription_exchange(all, &stream->subscription);
		subscription_join(all, &stream->subscription, CHANNEL_INBOX, stream->session.user);
	}
	join(stream, users, count);
	hidden_put_back(stream, marks);
}

/* The first answer, or the users may be others: then a new snapshot follows. */
static void take(struct stream *stream, const struct friends *friends, bool is_first)
{
	size_t count;
	struct user *users = list_users(stream, friends, &count);
	bool was_stale = stream->friends.stale;

	if (is_first) {
		exchange(stream, users, count);
	} else {
		stream->friends.stale = false;
		if (!was_stale || !are_joined(stream, users, count)) {
			hidden_reset(stream);
			exchange(stream, users, count);
			view_reset(&stream->all->snapshots, &stream->view);
		}
	}
	free(users);
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
	take(stream, friends, is_first);
	set_progress(stream, FRIENDS_KNOWN);
	friends_free(friends);
}

/* Friends are watched, or they alone are seen. */
static bool needs_directory(const struct stream *stream)
{
	return !stream->friends.without ||
	       stream->all->context->config->presence.visibility == VISIBLE_TO_FRIENDS;
}

void friends_ask(struct stream *stream)
{
	bool is_first = !stream_has_friends(stream);
	struct userid user = session_userid(&stream->session);

	friends_withdraw(stream);
	if (!needs_directory(stream)) {
		take(stream, &(struct friends){.count = 0}, is_first);
		set_progress(stream, FRIENDS_KNOWN);
		return;
	}
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
