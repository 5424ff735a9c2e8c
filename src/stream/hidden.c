#include "stream/hidden.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "store/blocks.h"
#include "store/resp.h"
#include "store/status.h"

struct hidden_part {
	struct hidden_call *call;
	enum blocks_side side;
	uint32_t first, count; /* users */
};

static void set_progress(struct stream *stream, enum hidden_progress progress)
{
	if (stream->hidden.progress == progress)
		return;
	state_moved(&hidden_states, &stream->due, stream->hidden.progress, progress);
	stream->all->hidden_waiting -= stream->hidden.progress == HIDDEN_WAITING;
	stream->all->hidden_waiting += progress == HIDDEN_WAITING;
	stream->hidden.progress = progress;
	turn_mark(&stream->all->context->turn, &stream->due);
}

void hidden_reset(struct stream *stream)
{
	if (stream->hidden.call != NULL)
		stream->hidden.call->stream = NULL;
	stream->hidden.call = NULL;
	set_progress(stream, HIDDEN_UNASKED);
}

void hidden_retry(struct stream *stream)
{
	enum hidden_progress progress = stream->hidden.progress;

	if (progress == HIDDEN_FAILED || progress == HIDDEN_WAITING ||
	    (progress == HIDDEN_KNOWN && stream->hidden.doubtful))
		hidden_reset(stream);
}

/* --- marks ----------------------------------------------------------------------------------- */

/* Users follow the inbox in the list of topics. */
static uint32_t users_of(const struct stream *stream)
{
	return stream->subscription.subscriber.topics.count - 1;
}

static unsigned mark_at(const struct stream *stream, uint32_t user)
{
	return stream->subscription.subscriber.topics.list[user + 1].hidden;
}

/*
 * Whether the view has to be another one: it, or a change that it holds, shows who is
 * hidden now; or changes of who is hidden no more were not heard. A view that is not shown
 * yet hides by itself: one more question to Redis would tell by its time that somebody is hidden.
 */
static bool set_mark(struct stream *stream, uint32_t user, unsigned mark)
{
	unsigned before = mark_at(stream, user);

	hub_hide(&stream->all->context->hub, &stream->subscription.subscriber, user + 1, mark);
	if ((before != 0) == (mark != 0))
		return false;
	return mark == 0 || stream->view.state == VIEW_CURRENT || view_held(&stream->view) > 0;
}

static void apply(struct stream *stream, const struct hidden_call *call)
{
	bool is_other_view = false;

	for (uint32_t user = 0; user < call->count; user++) {
		unsigned mark = mark_at(stream, user);

		if (!call->doubtful)
			mark &= HUB_STRANGER;
		if (call->found != NULL)
			mark |= call->found[user];
		is_other_view |= set_mark(stream, user, mark);
	}
	if (is_other_view)
		view_reset(&stream->all->snapshots, &stream->view);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void finish(struct hidden_call *call)
{
	struct stream *stream = call->stream;

	if (stream != NULL) {
		stream->hidden.call = NULL;
		if (call->lost) {
			set_progress(stream, HIDDEN_UNASKED);
		} else if (call->failed) {
			log_about(stream->due.request_id, LOG_LEVEL_WARN,
				  "redis: the blocks of user %s could not be read",
				  stream->session.user);
			set_progress(stream, HIDDEN_FAILED);
		} else {
			apply(stream, call);
			stream->hidden.learned |= !call->doubtful;
			stream->hidden.doubtful = call->doubtful;
			set_progress(stream,
				     stream->hidden.learned ? HIDDEN_KNOWN : HIDDEN_WAITING);
		}
	}
	free(call->found);
	free(call);
}

static void read_part(struct hidden_call *call, const struct hidden_part *part,
		      const redisReply *reply)
{
	unsigned char mark = part->side == BLOCKS_OWN ? HUB_BLOCKED : HUB_BLOCKED_BY;

	for (uint32_t i = 0; i < part->count; i++) {
		if (!blocks_has(reply, i))
			continue;
		if (call->found == NULL)
			call->found = xcalloc(call->count, sizeof *call->found);
		call->found[part->first + i] |= mark;
	}
}

static void on_part(void *arg, const redisReply *reply)
{
	struct hidden_part *part = arg;
	struct hidden_call *call = part->call;

	if (reply == NULL)
		call->lost = true;
	else if (!blocks_is_answer(reply, part->count))
		call->failed = true;
	else
		read_part(call, part, reply);
	free(part);
}

/* After the parts: had Redis been wiped before them, it would show. */
static void on_head(void *arg, const redisReply *reply)
{
	struct hidden_call *call = arg;

	if (reply == NULL)
		call->lost = true;
	else if (call->stream != NULL)
		call->doubtful = !status_is_whole(reply, call->stream->home->partition->epoch);
	finish(call);
}

static void ask_head(struct hidden_call *call)
{
	const struct partition *home = call->stream->home->partition;
	struct printbuf *command = home->context->scratch;

	buf_reset(command);
	status_put_mget(command, store_prefix(home->store), 0);
	partition_command(home, command, on_head, call);
}

static void ask_part(struct hidden_call *call, enum blocks_side side, uint32_t first,
		     uint32_t count)
{
	const struct stream *stream = call->stream;
	struct context *context = stream->all->context;
	const struct partition *home = stream->home->partition;
	struct hidden_part *part = xmalloc(sizeof *part);
	struct userid user = session_userid(&stream->session);

	*part = (struct hidden_part){call, side, first, count};
	buf_reset(context->scratch);
	blocks_put_ask(context->scratch, store_prefix(home->store), side, &user, count);
	for (uint32_t i = 0; i < count; i++)
		resp_text(context->scratch,
			  topic_watched_id(hub_topic_at(
				  &context->hub, &stream->subscription.subscriber, first + i + 1)));
	partition_command(home, context->scratch, on_part, part);
}

static void ask(struct stream *stream)
{
	uint32_t users = users_of(stream);
	struct hidden_call *call;

	if (users == 0) {
		set_progress(stream, HIDDEN_KNOWN);
		return;
	}
	call = xcalloc(1, sizeof *call);
	call->stream = stream;
	call->count = users;
	stream->hidden.call = call;
	set_progress(stream, HIDDEN_ASKED);
	for (uint32_t first = 0; first < users; first += BLOCKS_ASKED_MAX) {
		uint32_t left = users - first;

		for (enum blocks_side side = 0; side < BLOCKS_SIDES; side++)
			ask_part(call, side, first,
				 left < BLOCKS_ASKED_MAX ? left : BLOCKS_ASKED_MAX);
	}
	ask_head(call);
}

bool hidden_is_known(struct stream *stream)
{
	enum view_state view = stream->view.state;

	if (stream->hidden.progress == HIDDEN_UNASKED &&
	    (view == VIEW_ASKED || view == VIEW_READY || view == VIEW_CURRENT ||
	     (view == VIEW_MISSING && stream_is_degraded(stream))))
		ask(stream);
	return stream->hidden.progress == HIDDEN_KNOWN;
}

/* --- messages and gaps ----------------------------------------------------------------------- */

static bool find_user(const struct stream *stream, const struct userid *id, uint32_t *user)
{
	const struct hub_edges *topics = &stream->subscription.subscriber.topics;
	char channel[HUB_CHANNEL_MAX];
	const struct topic *topic;

	strcpy(mempcpy(channel, CHANNEL_STATUS, sizeof CHANNEL_STATUS - 1), id->text);
	topic = hub_find(&stream->all->context->hub, channel);
	for (uint32_t i = 1; topic != NULL && i < topics->count; i++) {
		if (topics->list[i].other == topic->number) {
			*user = i - 1;
			return true;
		}
	}
	return false;
}

bool hidden_hides(const struct stream *stream, const struct userid *other)
{
	uint32_t user;

	return find_user(stream, other, &user) &&
	       (mark_at(stream, user) != 0 ||
		hub_topic_at(&stream->all->context->hub, &stream->subscription.subscriber, user + 1)
			->is_offline);
}

void hidden_learn(struct stream *stream, const struct userid *other, bool by_other, bool hides)
{
	unsigned bit = by_other ? HUB_BLOCKED_BY : HUB_BLOCKED, mark;
	uint32_t user;

	if (!stream_has_friends(stream))
		return; /* not asked yet */
	if (!find_user(stream, other, &user))
		return;
	mark = mark_at(stream, user);
	if (((mark & bit) != 0) == hides)
		return;
	/* An answer under way may be older than this; and this may be older than another block. */
	if (!hides || stream->hidden.progress == HIDDEN_ASKED)
		hidden_reset(stream);
	if (hides && set_mark(stream, user, mark | bit))
		view_reset(&stream->all->snapshots, &stream->view);
}

struct hidden_mark {
	struct hidden_mark *next;
	unsigned mark;
	struct userid user;
};

static struct userid user_at(const struct stream *stream, uint32_t user)
{
	struct userid id;

	strcpy(id.text, topic_watched_id(hub_topic_at(&stream->all->context->hub,
						      &stream->subscription.subscriber, user + 1)));
	return id;
}

struct hidden_mark *hidden_save(const struct stream *stream)
{
	struct hidden_mark *marks = NULL;
	uint32_t users = stream->subscription.subscriber.topics.count > 1 ? users_of(stream) : 0;

	for (uint32_t user = 0; user < users; user++) {
		unsigned mark = mark_at(stream, user) & (HUB_BLOCKED | HUB_BLOCKED_BY);
		struct hidden_mark *saved;

		if (mark == 0)
			continue;
		saved = xmalloc(sizeof *saved);
		*saved = (struct hidden_mark){marks, mark, user_at(stream, user)};
		marks = saved;
	}
	return marks;
}

void hidden_put_back(struct stream *stream, struct hidden_mark *marks)
{
	uint32_t user;

	stream->hidden.learned = false;
	for (struct hidden_mark *next; marks != NULL; marks = next) {
		next = marks->next;
		if (find_user(stream, &marks->user, &user))
			set_mark(stream, user, mark_at(stream, user) | marks->mark);
		free(marks);
	}
}

/* Those of the two sides whose partition was wiped; one that is away has another time to come. */
static void restore_block(struct context *context, const uint64_t *partitions,
			  const struct userid *blocker, const struct userid *blocked)
{
	for (unsigned step = 0; step < BLOCKS_STEPS; step++) {
		const struct userid *owner = blocks_owner(blocker, blocked, true, step);
		const struct partition *partition = partition_of(context, owner->text);

		if (!partset_has(partitions, partition->number) || !partition_is_up(partition))
			continue;
		buf_reset(context->scratch);
		blocks_put(context->scratch, partition->store, blocker, blocked, true, step);
		partition_command(partition, context->scratch, NULL, NULL);
	}
}

void hidden_restore(struct stream *stream, const uint64_t *partitions)
{
	struct context *context = stream->all->context;
	struct userid self = session_userid(&stream->session);

	for (uint32_t user = 0; user < users_of(stream); user++) {
		unsigned mark = mark_at(stream, user);
		struct userid other;

		if ((mark & (HUB_BLOCKED | HUB_BLOCKED_BY)) == 0)
			continue;
		other = user_at(stream, user);
		if (mark & HUB_BLOCKED)
			restore_block(context, partitions, &self, &other);
		if (mark & HUB_BLOCKED_BY)
			restore_block(context, partitions, &other, &self);
	}
}
