#include "stream/presence.h"

#include <stdlib.h>
#include <string.h>

#include "auth/ticket.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/log.h"
#include "base/times.h"
#include "store/keys.h"
#include "store/status.h"
#include "stream/stream.h"

#define TOUCHES_ASKED_MAX 8 /* batches of STORE_BATCH_MAX sessions under way at a time */
#define SNAPSHOTS_ASKED_MAX 64 /* MGETs under way at a time; snapshots in a turn of the loop */
#define SNAPSHOT_USERS 333 /* in one MGET: about 1,000 keys */
#define STATUS_KNOWN_MS 1000 /* for so long an answer serves further streams */
#define CLOSINGS_MAX 100000 /* kept for a Redis that is away; older ones end by stream_ttl */
#define MESSAGE_MAX 16384 /* bytes of a status_change */

/* A session whose stream is gone. */
struct closing {
	struct userid user;
	char *tok;
	char word[RANDOM_WORD_LEN + 1];
};

/* A stream that an answer is for; it may be gone when the answer comes. */
struct handle {
	uint32_t number, generation;
};

static struct stream *stream_of(const struct subscriber *subscriber)
{
	return (struct stream *)((char *)subscriber - offsetof(struct stream, subscriber));
}

static struct handle handle_of(const struct stream *stream)
{
	return (struct handle){stream->subscriber.number, stream->generation};
}

static struct stream *find_stream(const struct server *server, struct handle handle)
{
	struct subscriber *subscriber = server->hub.subscribers[handle.number];
	struct stream *stream = subscriber != NULL ? stream_of(subscriber) : NULL;

	return stream != NULL && stream->generation == handle.generation ? stream : NULL;
}

/* --- tickets --------------------------------------------------------------------------------- */

struct ticket_call {
	struct server *server;
	struct handle stream;
};

static void on_ticket(void *arg, const redisReply *reply)
{
	struct ticket_call *call = arg;
	struct stream *stream = find_stream(call->server, call->stream);
	struct token token;

	free(call);
	if (stream == NULL)
		return;
	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		stream_refuse(stream, PROBLEM_REDIS_UNAVAILABLE, NULL);
	else if (!ticket_read(reply, &token))
		stream_refuse(stream, PROBLEM_TICKET_INVALID, NULL);
	else
		stream_admit(stream, &token);
}

void presence_take_ticket(struct stream *stream, const char *ticket)
{
	struct server *server = stream->server;
	struct ticket_call *call = xmalloc(sizeof *call);

	hub_add(&server->hub, &stream->subscriber);
	*call = (struct ticket_call){server, handle_of(stream)};
	buf_reset(server->scratch);
	ticket_put_redeem(server->scratch, server->config->redis.prefix, ticket);
	link_command(server->link, server->scratch, on_ticket, call);
}

/* --- friends and topics ---------------------------------------------------------------------- */

static void join(struct stream *stream, const char *kind, const char *id)
{
	char channel[HUB_CHANNEL_MAX];

	/* Both are short: a name of keys.h and a user id. */
	strcpy(mempcpy(channel, kind, strlen(kind)), id);
	hub_join(&stream->server->hub, &stream->subscriber, channel);
}

/* The id of the user a topic is about; NULL for the inbox. */
static const char *watched_id(const struct topic *topic)
{
	size_t len = sizeof CHANNEL_STATUS - 1;

	return strncmp(topic->channel, CHANNEL_STATUS, len) == 0 ? topic->channel + len : NULL;
}

/* New topics may wait for their subscription; the snapshot waits with them. */
static void await_subscriptions(struct stream *stream)
{
	struct server *server = stream->server;

	stream->subscribed = false;
	if (stream->in_join)
		TAILQ_REMOVE(&server->joining, stream, join);
	stream->in_join = true;
	stream->subscribe_serial = 0; /* set when this turn's subscriptions are sent */
	TAILQ_INSERT_TAIL(&server->joining, stream, join);
	server_want_turn(server);
}

void presence_listen(struct stream *stream)
{
	struct server *server = stream->server;

	stream->phase = PHASE_INBOX;
	stream->deadline_ms = 0; /* the link watches over the time */
	event_del(&stream->timer);
	if (stream->subscriber.number == 0)
		hub_add(&server->hub, &stream->subscriber);
	join(stream, CHANNEL_INBOX, stream->user.text);
	await_subscriptions(stream);
	if (link_is_up(server->link))
		return;
	stream->deaf = true;
	stream_ask_friends(stream);
}

static void join_friends(struct stream *stream, const struct friends *friends)
{
	hub_reserve(&stream->subscriber, (uint32_t)friends->count + 1);
	for (size_t i = 0; i < friends->count; i++)
		join(stream, CHANNEL_STATUS, friends->list[i].user.text);
	await_subscriptions(stream);
}

static void want_touch(struct stream *stream)
{
	struct server *server = stream->server;

	/* One under way may have been done before what this one is for. */
	stream->touch_again = stream->touching;
	if (stream->in_touch || stream->touching || !link_is_up(server->link))
		return;
	stream->in_touch = true;
	TAILQ_INSERT_TAIL(&server->to_touch, stream, touch);
	server_want_turn(server);
}

/* Those of the same user that are further than this one, whose inbox is its first topic. */
static unsigned streams_before(const struct stream *stream)
{
	const struct hub *hub = &stream->server->hub;
	const struct topic *inbox = hub_topic_at(hub, &stream->subscriber, 0);
	unsigned count = 0;

	for (uint32_t place = 0; place < inbox->subscribers.count; place++)
		count += stream_of(hub_subscriber_at(hub, inbox, place))->phase >= PHASE_OPENING;
	return count;
}

void presence_open(struct stream *stream, const struct friends *friends)
{
	struct server *server = stream->server;
	const struct config *config = server->config;

	if (streams_before(stream) >= (unsigned)config->stream.max_streams_per_user) {
		stream_refuse(stream, PROBLEM_TOO_MANY_STREAMS, NULL);
		return;
	}
	join_friends(stream, friends);
	stream->phase = PHASE_OPENING;
	stream->snapshot = SNAPSHOT_WAITING;
	stream->deadline_ms = 0; /* from here on the link watches over the time */
	event_del(&stream->timer);
	if (link_is_up(server->link))
		want_touch(stream);
	else
		stream_open(stream);
}

/* Whether the topics behind the inbox are those of these friends, in their order. */
static bool has_friends(const struct stream *stream, const struct friends *friends)
{
	const struct hub *hub = &stream->server->hub;

	if (stream->subscriber.topics.count != friends->count + 1)
		return false;
	for (size_t i = 0; i < friends->count; i++) {
		const struct topic *topic = hub_topic_at(hub, &stream->subscriber, (uint32_t)i + 1);

		if (strcmp(watched_id(topic), friends->list[i].user.text) != 0)
			return false;
	}
	return true;
}

void presence_update_friends(struct stream *stream, const struct friends *friends)
{
	struct hub *hub = &stream->server->hub;
	int64_t now = times_mono_ms();
	bool was_deaf = stream->deaf;

	stream->deaf = false;
	if (was_deaf && has_friends(stream, friends))
		return;
	/* Topics that are joined again at once stay subscribed: see HUB_IDLE_MS. */
	while (stream->subscriber.topics.count > 0)
		hub_leave(hub, &stream->subscriber, stream->subscriber.topics.count - 1, now);
	join(stream, CHANNEL_INBOX, stream->user.text);
	join_friends(stream, friends);
	presence_want_snapshot(stream);
}

/* --- closing --------------------------------------------------------------------------------- */

static void remember_closing(struct server *server, const struct stream *stream)
{
	struct closing *closing;

	if (server->closing_count == CLOSINGS_MAX)
		return;
	if (server->closing_count == server->closing_room) {
		server->closing_room = server->closing_room > 0 ? server->closing_room * 2 : 16;
		server->closings = xrealloc(server->closings,
					    server->closing_room * sizeof server->closings[0]);
	}
	closing = &server->closings[server->closing_count++];
	closing->user = stream->user;
	closing->tok = xstrdup(stream->tok);
	memcpy(closing->word, stream->word, sizeof closing->word);
	server_want_turn(server);
}

static void forget_snapshot(struct stream *stream)
{
	if (stream->snapshot == SNAPSHOT_QUEUED)
		TAILQ_REMOVE(&stream->server->to_snapshot, stream, snapshot_link);
	stream->snapshot = SNAPSHOT_WAITING;
	stream->snapshot_serial++;
	if (stream->initial != NULL)
		printbuf_free(stream->initial);
	stream->initial = NULL;
	outbox_clear(&stream->held);
}

/* The stream's part of a recovery is done, one way or the other. */
static void end_recovery(struct stream *stream)
{
	if (stream->recovering)
		stream->server->recovering--;
	stream->recovering = false;
}

void presence_close(struct stream *stream)
{
	struct server *server = stream->server;

	end_recovery(stream);
	if (stream->has_session)
		remember_closing(server, stream);
	stream->has_session = false;
	forget_snapshot(stream);
	if (stream->in_touch)
		TAILQ_REMOVE(&server->to_touch, stream, touch);
	if (stream->in_join)
		TAILQ_REMOVE(&server->joining, stream, join);
	stream->in_touch = stream->in_join = false;
	stream->touching = stream->touch_again = false;
	stream->admitted = stream->was_admitted = stream->subscribed = false;
	stream->degraded = stream->resync = stream->deaf = false;
	hub_remove(&server->hub, &stream->subscriber, times_mono_ms());
}

static void on_closed(void *arg, const redisReply *reply)
{
	struct server *server = arg;

	(void)reply;
	server->closings_asked--;
	server_want_turn(server);
}

/* The oldest first, a batch at a time; all go out in this turn. */
static void flush_closings(struct server *server)
{
	struct store_close items[STORE_BATCH_MAX];
	unsigned done = 0;

	while (done < server->closing_count) {
		size_t count = 0;

		while (count < STORE_BATCH_MAX && done + count < server->closing_count) {
			const struct closing *closing = &server->closings[done + count];

			items[count++] = (struct store_close){&closing->user, closing->tok,
							      closing->word, 0};
		}
		buf_reset(server->scratch);
		store_put_close(server->scratch, server->store, items, count);
		server->closings_asked++;
		link_command(server->link, server->scratch, on_closed, server);
		done += (unsigned)count;
	}
	for (unsigned i = 0; i < server->closing_count; i++)
		free(server->closings[i].tok);
	server->closing_count = 0;
}

/* --- sessions -------------------------------------------------------------------------------- */

struct touch_batch {
	struct server *server;
	size_t count;
	struct handle streams[STORE_BATCH_MAX];
};

static void on_verdict(struct stream *stream, enum store_verdict verdict)
{
	stream->touching = false;
	/* A touch from before the wipe has registered nothing. */
	if (verdict == STORE_DONE && stream->recovering && stream->touch_again) {
		/* Or it has, and a second opening would count the first as another stream. */
		if (stream->phase == PHASE_OPENING)
			stream_open(stream);
		want_touch(stream);
		return;
	}
	end_recovery(stream);
	switch (verdict) {
	case STORE_DONE:
		stream->admitted = stream->was_admitted = true;
		if (stream->phase == PHASE_OPENING)
			stream_open(stream);
		if (stream->touch_again)
			want_touch(stream);
		if (stream->snapshot == SNAPSHOT_WAITING)
			presence_want_snapshot(stream);
		return;
	case STORE_REVOKED:
		stream->has_session = false;
		if (stream->phase == PHASE_OPENING)
			stream_refuse(stream, PROBLEM_TOKEN_REVOKED, NULL);
		else
			stream_end(stream, "revoked");
		return;
	case STORE_TOO_MANY_STREAMS:
		stream->has_session = false;
		if (stream->phase == PHASE_OPENING)
			stream_refuse(stream, PROBLEM_TOO_MANY_STREAMS, NULL);
		else
			stream_end(stream, "too_many_streams");
		return;
	case STORE_FAILED:
		log_warn("redis: the session of user %s could not be renewed", stream->user.text);
		if (stream->phase == PHASE_OPENING)
			stream_refuse(stream, PROBLEM_REDIS_UNAVAILABLE, NULL);
		return;
	}
}

static void on_touched(void *arg, const redisReply *reply)
{
	struct touch_batch *batch = arg;
	struct server *server = batch->server;

	server->touches_asked--;
	/* When the link was lost, its down event deals with the streams. */
	for (size_t i = 0; reply != NULL && i < batch->count; i++) {
		struct stream *stream = find_stream(server, batch->streams[i]);

		if (stream != NULL)
			on_verdict(stream, store_read_touch(reply, i, NULL));
	}
	free(batch);
	server_want_turn(server);
}

static struct store_touch touch_of(const struct stream *stream)
{
	/* The opening is a request, hence activity of the token, too; renewals are not. */
	return (struct store_touch){
		.user = &stream->user,
		.tok = stream->tok,
		.iat = stream->iat,
		.stream = stream->word,
		.token = !stream->was_admitted,
		.reason = stream->phase == PHASE_OPENING ? "stream_open" : "activity",
	};
}

static void flush_touches(struct server *server)
{
	while (!TAILQ_EMPTY(&server->to_touch) && server->touches_asked < TOUCHES_ASKED_MAX) {
		struct touch_batch *batch = xmalloc(sizeof *batch);
		struct store_touch items[STORE_BATCH_MAX];
		struct stream *stream;

		batch->server = server;
		batch->count = 0;
		while (batch->count < STORE_BATCH_MAX &&
		       (stream = TAILQ_FIRST(&server->to_touch)) != NULL) {
			TAILQ_REMOVE(&server->to_touch, stream, touch);
			stream->in_touch = false;
			stream->touching = stream->has_session = true;
			items[batch->count] = touch_of(stream);
			batch->streams[batch->count++] = handle_of(stream);
		}
		buf_reset(server->scratch);
		store_put_touch(server->scratch, server->store, false, items, batch->count);
		server->touches_asked++;
		link_command(server->link, server->scratch, on_touched, batch);
	}
}

void presence_renew(struct stream *stream)
{
	want_touch(stream);
}

/* --- snapshots ------------------------------------------------------------------------------- */

/* A piece of a stream's snapshot: users that Redis is asked about. */
struct snapshot_part {
	struct server *server;
	struct handle stream;
	uint32_t serial;
	uint32_t count;
	int64_t asked_ms;
	uint32_t places[SNAPSHOT_USERS]; /* in the subscriber's list of topics */
};

static bool is_ready(const struct stream *stream)
{
	return stream->phase == PHASE_OPEN && stream->admitted && stream->subscribed &&
	       !stream->resync && link_is_up(stream->server->link);
}

void presence_want_snapshot(struct stream *stream)
{
	struct server *server = stream->server;

	/* What a slow reader had to catch up with is in the snapshot. */
	if (stream->outbox.count == 0)
		stream->resync = false;
	/* One that is queued waits no longer when a new topic is not subscribed yet. */
	if (stream->snapshot != SNAPSHOT_QUEUED || !is_ready(stream))
		forget_snapshot(stream);
	if (stream->snapshot == SNAPSHOT_QUEUED || !is_ready(stream))
		return;
	stream->snapshot = SNAPSHOT_QUEUED;
	TAILQ_INSERT_TAIL(&server->to_snapshot, stream, snapshot_link);
	server_want_turn(server);
}

/* `initial` and what was held go out. */
static void finish_snapshot(struct stream *stream)
{
	struct printbuf *text = stream->server->scratch;
	struct frame *frame;

	buf_puts(stream->initial, "}");
	buf_reset(text);
	events_put(text, "initial", stream->initial->buf, buf_len(stream->initial));
	frame = frame_new(text->buf, buf_len(text));
	stream_send(stream, frame);
	frame_unref(frame);
	printbuf_free(stream->initial);
	stream->initial = NULL;
	outbox_move(&stream->outbox, &stream->held);
	stream->snapshot = SNAPSHOT_DONE;
	stream->degraded = false;
}

/*
 * What is known of a topic is as good as asking again: a change since would have
 * come as a message. Only the time of the last activity moves without one, hence
 * the age.
 */
static bool is_known(const struct server *server, const struct topic *topic, int64_t now_ms)
{
	return topic->asked_ms > server->gap_ms && now_ms - topic->asked_ms <= STATUS_KNOWN_MS;
}

static void add_user(struct stream *stream, const char *id, const struct status *status)
{
	struct userid user;

	memcpy(user.text, id, strlen(id) + 1);
	status_put_name(stream->initial, &user);
	status_put_json(stream->initial, &user, status, NULL);
}

/* Appends the users of one part; false when the reply is not what was asked for. */
static bool add_part(struct stream *stream, const struct snapshot_part *part,
		     const redisReply *reply)
{
	for (uint32_t i = 0; i < part->count; i++) {
		struct topic *topic =
			hub_topic_at(&stream->server->hub, &stream->subscriber, part->places[i]);
		struct status status;

		if (!status_read(reply, i, &status))
			return false;
		add_user(stream, watched_id(topic), &status);
		/* A message since may be about a later change, and one before the asking is in it. */
		if (part->asked_ms > topic->changed_ms) {
			topic->status = status;
			topic->asked_ms = part->asked_ms;
		}
	}
	return true;
}

static void on_snapshot(void *arg, const redisReply *reply)
{
	struct snapshot_part *part = arg;
	struct server *server = part->server;
	struct stream *stream = find_stream(server, part->stream);

	server->snapshots_asked--;
	if (reply != NULL && stream != NULL && stream->snapshot_serial == part->serial) {
		if (!add_part(stream, part, reply))
			link_lost(server->link, "a snapshot failed");
		else if (--stream->parts_asked == 0)
			finish_snapshot(stream);
	}
	free(part);
	server_want_turn(server);
}

static struct snapshot_part *part_new(const struct stream *stream, int64_t now_ms)
{
	struct snapshot_part *part = xmalloc(sizeof *part);

	part->server = stream->server;
	part->stream = handle_of(stream);
	part->serial = stream->snapshot_serial;
	part->count = 0;
	part->asked_ms = now_ms;
	return part;
}

static void ask_part(struct stream *stream, struct snapshot_part *part)
{
	struct server *server = stream->server;
	struct userid user;

	buf_reset(server->scratch);
	status_put_mget(server->scratch, server->config->redis.prefix, part->count);
	for (uint32_t i = 0; i < part->count; i++) {
		const char *id = watched_id(
			hub_topic_at(&server->hub, &stream->subscriber, part->places[i]));

		memcpy(user.text, id, strlen(id) + 1);
		status_put_keys(server->scratch, server->config->redis.prefix, &user);
	}
	stream->parts_asked++;
	server->snapshots_asked++;
	link_command(server->link, server->scratch, on_snapshot, part);
}

/* Many streams watch the same users: Redis is asked only about those it was not asked just now. */
static void ask_snapshot(struct stream *stream, int64_t now_ms)
{
	const struct server *server = stream->server;
	struct snapshot_part *part = NULL;

	stream->snapshot = SNAPSHOT_ASKED;
	stream->snapshot_serial++;
	stream->parts_asked = 0;
	stream->initial = buf_new();
	buf_puts(stream->initial, "{");
	for (uint32_t place = 0; place < stream->subscriber.topics.count; place++) {
		const struct topic *topic = hub_topic_at(&server->hub, &stream->subscriber, place);
		const char *id = watched_id(topic);

		if (id == NULL)
			continue;
		if (is_known(server, topic, now_ms)) {
			add_user(stream, id, &topic->status);
			continue;
		}
		if (part == NULL)
			part = part_new(stream, now_ms);
		part->places[part->count++] = place;
		if (part->count == SNAPSHOT_USERS) {
			ask_part(stream, part);
			part = NULL;
		}
	}
	if (part != NULL)
		ask_part(stream, part);
	if (stream->parts_asked == 0)
		finish_snapshot(stream);
}

static void flush_snapshots(struct server *server)
{
	int64_t now_ms = times_mono_ms();
	struct stream *stream;

	/* Behind a wipe, the others' sessions first: they would look offline. */
	for (unsigned i = 0; i < SNAPSHOTS_ASKED_MAX; i++) {
		stream = TAILQ_FIRST(&server->to_snapshot);
		if (stream == NULL || server->recovering > 0 || server->sweep_first ||
		    server->snapshots_asked >= SNAPSHOTS_ASKED_MAX)
			return; /* an answer is what brings the next turn */
		TAILQ_REMOVE(&server->to_snapshot, stream, snapshot_link);
		ask_snapshot(stream, now_ms);
	}
	server_want_turn(server);
}

/* --- subscriptions --------------------------------------------------------------------------- */

static void flush_subscriptions(struct server *server)
{
	const char *channels[LINK_SUBSCRIBE_MAX];
	struct topic *topic;
	struct stream *stream;
	uint64_t serial;

	while (!TAILQ_EMPTY(&server->hub.wanted)) {
		size_t count = 0;

		TAILQ_FOREACH (topic, &server->hub.wanted, link) {
			if (count == LINK_SUBSCRIBE_MAX)
				break;
			channels[count++] = topic->channel;
		}
		link_subscribe(server->link, channels, count);
		while (count-- > 0)
			hub_asked(&server->hub, TAILQ_FIRST(&server->hub.wanted));
	}
	serial = link_serial(server->link);
	/* The newest are at the end; those that were there before have their serial. */
	TAILQ_FOREACH_REVERSE (stream, &server->joining, stream_list, join) {
		if (stream->subscribe_serial != 0)
			break;
		stream->subscribe_serial = serial;
	}
}

/* Streams whose subscriptions are confirmed go on. */
static void release_joined(struct server *server)
{
	struct stream *stream;

	while ((stream = TAILQ_FIRST(&server->joining)) != NULL && stream->subscribe_serial != 0 &&
	       stream->subscribe_serial <= link_acked(server->link)) {
		TAILQ_REMOVE(&server->joining, stream, join);
		stream->in_join = false;
		stream->subscribed = true;
		if (stream->phase == PHASE_INBOX)
			stream_ask_friends(stream);
		if (stream->snapshot == SNAPSHOT_WAITING)
			presence_want_snapshot(stream);
	}
}

static void unsubscribe_idle(struct server *server, int64_t now_ms)
{
	struct topic *topics[LINK_SUBSCRIBE_MAX];
	const char *channels[LINK_SUBSCRIBE_MAX];
	size_t count;

	do {
		count = 0;
		while (count < LINK_SUBSCRIBE_MAX &&
		       (topics[count] = hub_take_idle(&server->hub, now_ms)) != NULL) {
			channels[count] = topics[count]->channel;
			count++;
		}
		if (count > 0)
			link_unsubscribe(server->link, channels, count);
		for (size_t i = 0; i < count; i++)
			free(topics[i]);
	} while (count == LINK_SUBSCRIBE_MAX);
}

/* --- what Redis says ------------------------------------------------------------------------- */

static void on_status_message(struct server *server, const struct topic *topic, const char *text,
			      size_t len)
{
	struct frame *frame;

	if (len == 0 || len > MESSAGE_MAX || memchr(text, '\n', len) != NULL ||
	    memchr(text, '\r', len) != NULL || memchr(text, '\0', len) != NULL) {
		server->dropped_messages++;
		log_warn("redis: dropped a message on %s: not one line of 1 to %d bytes",
			 topic->channel, MESSAGE_MAX);
		return;
	}
	frame = events_frame("status_change", text, len);
	for (uint32_t place = 0; place < topic->subscribers.count; place++)
		stream_deliver(stream_of(hub_subscriber_at(&server->hub, topic, place)), frame);
	frame_unref(frame);
}

/*
 * Which streams a `revoked` is about is not decided here: each stream it may
 * mean is touched, and the answer tells whether its token is good.
 */
static void on_inbox_message(struct server *server, const struct topic *topic, const char *text,
			     size_t len)
{
	const char *why, *type = "", *tok = NULL;
	struct json_object *message = json_parse_object(text, len, &why);

	if (message == NULL || !json_is_text(json_member(message, "type"), 64, &type)) {
		server->dropped_messages++;
		log_warn("redis: dropped a message on %s: not an object with a type",
			 topic->channel);
		json_object_put(message);
		return;
	}
	json_is_text(json_member(message, "tok"), TOKEN_NAME_MAX, &tok);
	for (uint32_t place = 0; place < topic->subscribers.count; place++) {
		struct stream *stream = stream_of(hub_subscriber_at(&server->hub, topic, place));

		if (strcmp(type, "friends_changed") == 0 && stream->phase > PHASE_INBOX) {
			stream->deaf = false;
			stream_ask_friends(stream);
		} else if (strcmp(type, "revoked") == 0 && stream->phase >= PHASE_OPENING &&
			   (tok == NULL || strcmp(tok, stream->tok) == 0)) {
			want_touch(stream);
		}
	}
	json_object_put(message);
}

static void on_message(void *arg, const char *channel, const char *text, size_t len)
{
	struct server *server = arg;
	struct topic *topic = hub_find(&server->hub, channel);

	if (topic == NULL)
		return;
	topic->changed_ms = times_mono_ms();
	topic->asked_ms = 0;
	if (watched_id(topic) != NULL)
		on_status_message(server, topic, text, len);
	else
		on_inbox_message(server, topic, text, len);
}

static void on_subscribed(void *arg)
{
	release_joined(arg);
}

static void on_pending(void *arg)
{
	server_want_turn(arg);
}

/* --- gaps ------------------------------------------------------------------------------------ */

/*
 * After any gap Redis may hold neither our sessions nor what we said last: each
 * session is touched again, then each stream gets a snapshot (on_verdict).
 */
static void recover(struct server *server)
{
	struct stream *stream;

	server->gap_ms = times_mono_ms();
	TAILQ_FOREACH (stream, &server->connections, connection) {
		if (stream->phase != PHASE_OPENING && stream->phase != PHASE_OPEN)
			continue;
		stream->admitted = false;
		server->recovering += !stream->recovering;
		stream->recovering = true;
		forget_snapshot(stream);
		want_touch(stream);
	}
}

/* Another epoch than before: Redis was wiped. */
static void learn_epoch(struct server *server, const char *epoch)
{
	bool same = server->epoch != NULL && strcmp(server->epoch, epoch) == 0;

	if (same)
		return;
	if (server->epoch != NULL) {
		log_warn("redis: was wiped; %u streams register anew", server->stream_count);
		recover(server);
	}
	free(server->epoch);
	server->epoch = xstrdup(epoch);
}

static void on_epoch(void *arg, const redisReply *reply)
{
	struct server *server = arg;
	const char *epoch = reply != NULL ? store_read_epoch(reply) : NULL;

	if (epoch != NULL)
		learn_epoch(server, epoch);
}

static void ask_epoch(struct server *server)
{
	random_word(server->epoch_word);
	buf_reset(server->scratch);
	store_put_epoch(server->scratch, server->store, server->epoch_word, server->epoch);
	link_command(server->link, server->scratch, on_epoch, server);
}

static void on_up(void *arg)
{
	struct server *server = arg;
	struct stream *stream;

	server->sweeping = false;
	server->sweep_first = true;
	/* Before the first touch, so that a Redis that is wiped behind it shows. */
	ask_epoch(server);
	free(server->epoch);
	server->epoch = NULL;
	TAILQ_FOREACH (stream, &server->connections, connection) {
		if (stream->phase >= PHASE_DIRECTORY && stream->phase <= PHASE_OPEN)
			await_subscriptions(stream);
	}
	recover(server);
	server_redis_is_up(server);
	server_want_turn(server);
}

static void on_down(void *arg)
{
	struct server *server = arg;
	static const char data[] = "{\"reason\":\"redis_unavailable\"}";
	struct frame *degraded = events_frame("degraded", data, sizeof data - 1);
	struct stream *stream;

	hub_unsubscribed(&server->hub);
	server->gap_ms = times_mono_ms();
	server->sweeping = false;
	TAILQ_FOREACH (stream, &server->connections, connection) {
		if (stream->phase < PHASE_INBOX || stream->phase > PHASE_OPEN)
			continue;
		stream->deaf = true;
		if (stream->phase == PHASE_INBOX)
			stream_ask_friends(stream);
		if (stream->phase < PHASE_OPENING || stream->phase == PHASE_ENDING)
			continue;
		/* Its answer would be older than what goes unheard from now on. */
		if (stream->call != NULL)
			directory_cancel(stream->call);
		stream->call = NULL;
		end_recovery(stream);
		forget_snapshot(stream);
		if (stream->in_touch)
			TAILQ_REMOVE(&server->to_touch, stream, touch);
		stream->in_touch = stream->touching = stream->touch_again = false;
		stream->admitted = stream->subscribed = false;
		if (stream->phase == PHASE_OPENING)
			stream_open(stream); /* says degraded itself */
		else if (!stream->degraded)
			stream_send(stream, degraded);
		stream->degraded = true;
	}
	frame_unref(degraded);
}

/* --- sweeping -------------------------------------------------------------------------------- */

static void ask_sweep(struct server *server);

/*
 * After a gap one whole sweep comes between our sessions and the snapshots: it
 * brings back the users of another presence-streamd, whose keys ran out while
 * Redis stood still and who were not told to be offline.
 */
static void end_first_sweep(struct server *server)
{
	server->sweep_first = false;
	server_want_turn(server);
}

static void on_swept(void *arg, const redisReply *reply)
{
	struct server *server = arg;
	const char *epoch;
	bool more;

	server->sweeping = false;
	if (reply == NULL)
		return;
	if (!store_read_sweep(reply, &more, &epoch)) {
		log_warn("redis: a sweep failed: %s",
			 reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected answer");
		end_first_sweep(server);
		return;
	}
	learn_epoch(server, epoch);
	if (more)
		ask_sweep(server);
	else
		end_first_sweep(server);
}

static void ask_sweep(struct server *server)
{
	random_word(server->epoch_word);
	buf_reset(server->scratch);
	store_put_sweep(server->scratch, server->store, true, server->epoch_word);
	server->sweeping = true;
	server->swept_ms = times_mono_ms();
	link_command(server->link, server->scratch, on_swept, server);
}

void presence_tick(struct server *server, int64_t now_ms)
{
	/* The tick that is due may come a little early or late: it is the one that counts. */
	int64_t every = (int64_t)server->config->presence.sweep * 1000 - SERVER_TICK_MS / 2;

	if (!link_is_up(server->link))
		return;
	unsubscribe_idle(server, now_ms);
	/* Behind a gap the living are registered first: a sweep would take them for gone. */
	if (server->recovering == 0 && !server->sweeping && now_ms - server->swept_ms >= every)
		ask_sweep(server);
}

void presence_flush(struct server *server)
{
	if (!link_is_up(server->link))
		return;
	flush_subscriptions(server);
	release_joined(server);
	flush_touches(server);
	if (server->closing_count > 0)
		flush_closings(server);
	if (server->sweep_first && server->recovering == 0 && !server->sweeping)
		ask_sweep(server);
	flush_snapshots(server);
	link_flush(server->link);
}

bool presence_is_settled(const struct server *server)
{
	return !link_is_up(server->link) ||
	       (server->closing_count == 0 && server->closings_asked == 0);
}

void presence_free(struct server *server)
{
	for (unsigned i = 0; i < server->closing_count; i++)
		free(server->closings[i].tok);
	free(server->closings);
	free(server->epoch);
}

const struct link_events presence_link_events = {
	.up = on_up,
	.down = on_down,
	.message = on_message,
	.subscribed = on_subscribed,
	.pending = on_pending,
};
