#include "stream/stream.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "store/status.h"
#include "stream/timer.h"

#define REQUEST_TIMEOUT_MS 10000 /* for a request's records to arrive */
#define LAST_REQUEST_TIMEOUT_MS 3000 /* the same while the process stops */
#define ENDING_TIMEOUT_MS 5000 /* for the last bytes to be taken */

const struct state_names stream_phases = {
	"phase",
	8,
	{"REQUEST", "TICKET", "INBOX", "FRIENDS", "SESSION", "FIGURES", "OPEN", "ENDING"}};
const struct state_names friends_states = {"friends", 4, {"NONE", "ASKED", "KNOWN", "FAILED"}};
const struct state_names hidden_states = {
	"hidden", 5, {"UNASKED", "ASKED", "KNOWN", "FAILED", "WAITING"}};
const struct state_names ticket_states = {
	"ticket", 5, {"NONE", "ASKED", "TAKEN", "UNKNOWN", "FAILED"}};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream *stream = arg;

	(void)fd;
	(void)what;
	stream->armed_ms = 0;
	turn_mark(&stream->all->context->turn, &stream->due);
}

/* --- all of them ----------------------------------------------------------------------------- */

/* Straight down to the reader's outbox: nothing is allocated for any of them. */
static void deliver(struct subscriber *subscriber, struct frame *frame)
{
	stream_deliver(stream_of_subscriber(subscriber), frame);
}

void streams_init(struct streams *all, struct context *context)
{
	all->context = context;
	conns_init(&all->conns, context);
	subscriptions_init(&all->subscriptions, context);
	snapshots_init(&all->snapshots, context);
	watchers_init(&all->watchers, context);
	fanout_init(&all->fanout, context->base, &context->hub, deliver);
	all->homes = xcalloc(context->partition_count, sizeof *all->homes);
	for (unsigned i = 0; i < context->partition_count; i++) {
		struct home *home = &all->homes[i];

		home->partition = &context->partitions[i];
		sessions_init(&home->sessions, home->partition);
		closings_init(&home->closings, home->partition);
	}
	TAILQ_INIT(&all->list);
}

void streams_clear(struct streams *all)
{
	struct stream *stream;

	while ((stream = TAILQ_FIRST(&all->list)) != NULL) {
		stream->end = "shutdown";
		stream_destroy(stream);
	}
}

void streams_free(struct streams *all)
{
	for (unsigned i = 0; i < all->context->partition_count; i++)
		closings_free(&all->homes[i].closings);
	free(all->homes);
	fanout_free(&all->fanout);
	snapshots_free(&all->snapshots);
	subscriptions_free(&all->subscriptions);
}

/* --- birth and death ------------------------------------------------------------------------- */

struct stream *stream_new(struct streams *all, int fd)
{
	size_t set = all->context->set_words * sizeof(uint64_t);
	struct stream *stream = xcalloc(1, sizeof *stream + set);

	stream->all = all;
	stream->due.number = ++all->next_number;
	stream->slot = NO_SLOT;
	evtimer_assign(&stream->timer, all->context->base, on_timer, stream);
	conn_open(&all->conns, &stream->conn, &stream->due, fd);
	subscription_init(&stream->subscription, &stream->due, stream->partitions);
	session_init(&stream->session, &stream->due);
	view_init(&stream->view, &stream->due, &stream->subscription.subscriber);
	TAILQ_INSERT_TAIL(&all->list, stream, link);
	stream_await_request(stream);
	return stream;
}

static void release_slot(struct stream *stream)
{
	struct streams *all = stream->all;

	if (stream->slot == NO_SLOT)
		return;
	if (all->slots != NULL)
		slots_release(all->slots, stream->slot);
	all->count--;
	stream->slot = NO_SLOT;
}

static void forget_questions(struct stream *stream)
{
	if (stream->friends.call != NULL)
		directory_cancel(stream->friends.call);
	if (stream->hidden.call != NULL)
		stream->hidden.call->stream = NULL;
	if (stream->ticket.call != NULL)
		stream->ticket.call->stream = NULL;
	free(stream->friends.watched);
	stream->friends = (struct friends_state){0};
	stream->all->hidden_waiting -= stream->hidden.progress == HIDDEN_WAITING;
	stream->hidden = (struct hidden_state){0};
	stream->ticket = (struct ticket_state){0};
}

static void leave_home(struct stream *stream)
{
	struct home *home = stream->home;

	if (home == NULL)
		return;
	if (stream->session.state != SESSION_ABSENT && !stream->session.watch)
		closings_add(&home->closings, &stream->session);
	session_close(&home->sessions, &stream->session);
	stream->home = NULL;
}

/* Leaves Redis, the hub and the directory; the connection stays. */
static void leave(struct stream *stream)
{
	struct streams *all = stream->all;

	if (stream->phase == PHASE_OPEN)
		counts_add(&all->context->counts, FIGURE_STREAMS_CLOSED,
			   stream->end != NULL ? stream->end : "client");
	stream->end = NULL;
	watcher_free(stream->watcher);
	stream->watcher = NULL;
	release_slot(stream);
	forget_questions(stream);
	leave_home(stream);
	view_close(&all->snapshots, &stream->view);
	subscription_close(&all->subscriptions, &stream->subscription);
	free(stream->fields);
	stream->fields = NULL;
}

void stream_destroy(struct stream *stream)
{
	struct streams *all = stream->all;

	leave(stream);
	conn_close(&stream->conn);
	event_del(&stream->timer);
	TAILQ_REMOVE(&all->list, stream, link);
	turn_unmark(&all->context->turn, &stream->due);
	log_set_request(NULL);
	free(stream->due.request_id);
	free(stream);
}

bool stream_acquire_slot(struct stream *stream)
{
	struct streams *all = stream->all;
	int slot = 0;

	if (all->count >= all->max)
		return false;
	if (all->slots != NULL)
		slot = slots_acquire(all->slots,
				     (unsigned)all->context->config->stream.max_streams);
	if (slot < 0)
		return false;
	stream->slot = slot;
	all->count++;
	return true;
}

/* --- partitions ------------------------------------------------------------------------------ */

void stream_identify(struct stream *stream, const struct token *token)
{
	const struct partition *partition = partition_of(stream->all->context, token->user.text);

	stream->home = &stream->all->homes[partition->number];
	session_identify(&stream->session, token);
	stream->exp = token->exp;
}

bool stream_is_home_up(const struct stream *stream)
{
	return partition_is_up(stream->home->partition);
}

bool stream_is_degraded(const struct stream *stream)
{
	return subscription_meets(&stream->all->subscriptions, &stream->subscription,
				  stream->all->context->away);
}

bool stream_is_settled(const struct stream *stream)
{
	return !subscription_meets(&stream->all->subscriptions, &stream->subscription,
				   stream->all->context->unsettled);
}

/* --- phase and time -------------------------------------------------------------------------- */

bool stream_has_friends(const struct stream *stream)
{
	return stream->phase == PHASE_SESSION || stream->phase == PHASE_OPEN;
}

void stream_set_phase(struct stream *stream, enum stream_phase phase)
{
	state_moved(&stream_phases, &stream->due, stream->phase, phase);
	stream->phase = phase;
	turn_mark(&stream->all->context->turn, &stream->due);
}

void stream_set_deadline(struct stream *stream, int64_t ms)
{
	stream->deadline_ms = times_mono_ms() + ms;
	turn_mark(&stream->all->context->turn, &stream->due);
}

void stream_clear_deadline(struct stream *stream)
{
	stream->deadline_ms = 0;
}

int64_t stream_ms_to_expiry(const struct stream *stream)
{
	int64_t left = stream->exp * 1000 - times_wall_ms();

	return left > 0 ? left : left + (int64_t)stream->all->context->config->auth.leeway * 1000;
}

void stream_arm(struct stream *stream, int64_t now_ms)
{
	int64_t first = stream->deadline_ms != 0 ? stream->deadline_ms : INT64_MAX;

	if (stream->phase == PHASE_OPEN || stream->phase == PHASE_FIGURES) {
		int64_t expiry_ms = now_ms + stream_ms_to_expiry(stream);

		if (stream->phase == PHASE_OPEN && stream->heartbeat_ms < first)
			first = stream->heartbeat_ms;
		first = expiry_ms < first ? expiry_ms : first;
	}
	if (first == INT64_MAX) {
		event_del(&stream->timer);
		stream->armed_ms = 0;
	} else if (first != stream->armed_ms) {
		timer_set(&stream->timer, first - now_ms);
		stream->armed_ms = first;
	}
}

void stream_await_request(struct stream *stream)
{
	stream_set_phase(stream, PHASE_REQUEST);
	stream_set_deadline(stream, stream->all->context->draining ? LAST_REQUEST_TIMEOUT_MS
								   : REQUEST_TIMEOUT_MS);
}

/* --- sending --------------------------------------------------------------------------------- */

void stream_send_text(struct stream *stream, const struct printbuf *text)
{
	struct frame *frame = frame_new(text->buf, buf_len(text));

	conn_send(&stream->conn, frame);
	frame_unref(frame);
}

void stream_send_self(struct stream *stream)
{
	struct printbuf *data = buf_new();
	char *self = session_take_self(&stream->session);
	char session_id[TOKEN_SESSION_LEN + 1];
	struct frame *frame;

	token_session_id(stream->session.tok, session_id);
	status_put_own(data, self, strlen(self), session_id);
	frame = events_frame("self", data->buf, buf_len(data));
	/* One that finds no room is asked for again (stream_make_room). */
	if (stream_make_room(stream, frame->len))
		conn_send(&stream->conn, frame);
	frame_unref(frame);
	printbuf_free(data);
	free(self);
}

static bool fits(const struct stream *stream, size_t len)
{
	size_t waiting = conn_waiting(&stream->conn) + view_held(&stream->view);

	return waiting == 0 ||
	       waiting + len <= (size_t)stream->all->context->config->stream.queue_limit;
}

void stream_release(struct stream *stream)
{
	struct outbox kept = {0};

	view_take(&stream->all->snapshots, &stream->view, &kept);
	stream->all->context->counts.deliveries += kept.count;
	conn_send_all(&stream->conn, &kept);
	outbox_clear(&kept);
}

bool stream_make_room(struct stream *stream, size_t len)
{
	if (stream->view.state == VIEW_OVERRUN)
		return false;
	if (fits(stream, len))
		return true;
	/* A burst within one turn, or an interval, does not make a slow reader: send first, count
	 * what the socket refuses. */
	stream_release(stream);
	conn_write_now(&stream->conn);
	if (!fits(stream, len))
		conn_drop_fleeting(&stream->conn);
	if (fits(stream, len))
		return true;
	stream->all->context->counts.deliveries_dropped += conn_drop_unsent(&stream->conn);
	session_forget_self(&stream->home->sessions, &stream->session);
	view_overrun(&stream->all->snapshots, &stream->view, conn_is_idle(&stream->conn));
	return false;
}

static void send_change(struct stream *stream, struct frame *frame)
{
	counts_delivery(&stream->all->context->counts, frame->heard_us);
	conn_send(&stream->conn, frame);
}

static void deliver_fleeting(struct stream *stream, struct frame *frame)
{
	if (stream->view.state != VIEW_CURRENT || stream->hidden.progress != HIDDEN_KNOWN)
		return;
	if (!fits(stream, frame->len))
		conn_write_now(&stream->conn);
	if (!conn_is_blocked(&stream->conn) && fits(stream, frame->len))
		send_change(stream, frame);
}

void stream_deliver(struct stream *stream, struct frame *frame)
{
	if (frame->fleeting) {
		deliver_fleeting(stream, frame);
		return;
	}
	if (view_holds(&stream->view, frame))
		return;
	switch (stream->view.state) {
	case VIEW_NONE:
	case VIEW_MISSING:
	case VIEW_QUEUED:
		return; /* the snapshot to come holds this change */
	case VIEW_OVERRUN: /* likewise */
		stream->all->context->counts.deliveries_dropped++;
		return;
	case VIEW_ASKED:
	case VIEW_READY:
		if (stream_make_room(stream, frame->len))
			view_hold(&stream->view, frame);
		return;
	case VIEW_CURRENT:
		if (!stream_make_room(stream, frame->len))
			stream->all->context->counts.deliveries_dropped++;
		else if (!view_keep(&stream->all->snapshots, &stream->view, frame))
			send_change(stream, frame);
		return;
	}
}

/* --- the ends of a request ------------------------------------------------------------------- */

void stream_finish(struct stream *stream)
{
	leave(stream);
	conn_end_request(&stream->conn);
	stream_set_phase(stream, PHASE_ENDING);
	stream_set_deadline(stream, ENDING_TIMEOUT_MS);
}

void stream_count_refusal(const struct stream *stream, enum problem_kind kind)
{
	counts_add(&stream->all->context->counts, FIGURE_STREAMS_REFUSED, problem_code(kind));
}

void stream_refuse(struct stream *stream, enum problem_kind kind, const char *detail)
{
	struct problem problem = {
		.kind = kind, .detail = detail, .request_id = stream->due.request_id};
	struct printbuf *text = stream->all->context->scratch;

	stream_count_refusal(stream, kind);
	buf_reset(text);
	problem_put(text, &problem, stream->fields);
	stream_send_text(stream, text);
	stream_finish(stream);
}

void stream_say_bye(struct stream *stream, const char *reason)
{
	struct printbuf *text = stream->all->context->scratch;

	/* A reader that was too slow gets the reason, not what it missed. */
	if (stream->view.state == VIEW_OVERRUN)
		conn_drop_unsent(&stream->conn);
	stream->end = reason;
	buf_reset(text);
	events_put_bye(text, reason);
	stream_send_text(stream, text);
	stream_finish(stream);
}
