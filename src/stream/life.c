/*
 * One function for each phase says what happens next. It asks what holds now,
 * not what happened, so it may run once too often, never once too seldom. Only
 * from here are streams refused, ended or destroyed: no callback of Redis, the
 * directory, a socket or a timer does that.
 */
#include "stream/life.h"

#include <stdio.h>

#include "base/log.h"
#include "base/random.h"
#include "base/times.h"
#include "stream/friends.h"
#include "stream/heartbeat.h"
#include "stream/hidden.h"
#include "stream/opening.h"

enum step {
	STEP_STAY, /* nothing more to do now */
	STEP_ON, /* something changed: look again */
	STEP_GONE, /* the stream was destroyed */
};

static bool is_over(const struct stream *stream, int64_t now)
{
	return stream->deadline_ms != 0 && stream->deadline_ms <= now;
}

static enum step destroy(struct stream *stream)
{
	stream_destroy(stream);
	return STEP_GONE;
}

static enum step finish(struct stream *stream)
{
	stream_finish(stream);
	return STEP_ON;
}

static enum step refuse(struct stream *stream, enum problem_kind kind)
{
	stream_refuse(stream, kind, NULL);
	return STEP_ON;
}

static enum step say_bye(struct stream *stream, const char *reason)
{
	stream_say_bye(stream, reason);
	return STEP_ON;
}

/* Before OPEN: too late, or the process stops. */
static enum step refuse_late(struct stream *stream, enum problem_kind kind)
{
	return refuse(stream, stream->all->context->draining ? PROBLEM_SHUTTING_DOWN : kind);
}

/* --- the phases ------------------------------------------------------------------------------ */

static enum step step_request(struct stream *stream, int64_t now)
{
	if (stream->conn.state == CONN_REQUEST) {
		opening_begin(stream);
		return STEP_ON;
	}
	return is_over(stream, now) ? destroy(stream) : STEP_STAY;
}

static enum step step_ticket(struct stream *stream, int64_t now)
{
	switch (stream->ticket.answer) {
	case TICKET_TAKEN:
		opening_admit(stream);
		return STEP_ON;
	case TICKET_UNKNOWN:
		return refuse(stream, PROBLEM_TICKET_INVALID);
	case TICKET_FAILED:
		return refuse(stream, PROBLEM_REDIS_UNAVAILABLE);
	case TICKET_NONE:
	case TICKET_ASKED:
		break;
	}
	return is_over(stream, now) ? refuse_late(stream, PROBLEM_REDIS_UNAVAILABLE) : STEP_STAY;
}

static enum step step_inbox(struct stream *stream, int64_t now)
{
	bool is_up = stream_is_home_up(stream);
	bool is_heard = is_up && stream->subscription.state == SUBSCRIPTION_CONFIRMED;

	if (is_heard || !is_up) {
		if (!is_heard)
			friends_are_stale(stream);
		friends_ask(stream);
		stream_set_phase(stream, PHASE_FRIENDS);
		stream_set_deadline(stream, stream->all->context->config->directory.timeout_ms);
		return STEP_ON;
	}
	return is_over(stream, now) ? refuse_late(stream, PROBLEM_REDIS_UNAVAILABLE) : STEP_STAY;
}

static enum step step_friends(struct stream *stream, int64_t now)
{
	if (stream->friends.progress == FRIENDS_KNOWN) {
		opening_ask_session(stream);
		return STEP_ON;
	}
	if (stream->friends.progress == FRIENDS_FAILED)
		return refuse(stream, PROBLEM_DIRECTORY_UNAVAILABLE);
	return is_over(stream, now) ? refuse_late(stream, PROBLEM_DIRECTORY_UNAVAILABLE)
				    : STEP_STAY;
}

static enum step step_session(struct stream *stream, int64_t now)
{
	switch (stream->session.answer) {
	case ANSWER_REVOKED:
		return refuse(stream, PROBLEM_TOKEN_REVOKED);
	case ANSWER_TOO_MANY:
		return refuse(stream, PROBLEM_TOO_MANY_STREAMS);
	case ANSWER_FAILED:
		return refuse(stream, PROBLEM_REDIS_UNAVAILABLE);
	case ANSWER_DONE:
		opening_finish(stream);
		return STEP_ON;
	case ANSWER_NONE:
		break;
	}
	if (!stream_is_home_up(stream)) {
		opening_finish(stream); /* `degraded` follows `connected` */
		return STEP_ON;
	}
	return is_over(stream, now) ? refuse_late(stream, PROBLEM_REDIS_UNAVAILABLE) : STEP_STAY;
}

/* Ends of an open stream, the most telling reason first; NULL: it goes on. */
static const char *reason_to_end(const struct stream *stream, int64_t now)
{
	if (stream->session.answer == ANSWER_REVOKED)
		return "revoked";
	if (stream->session.answer == ANSWER_TOO_MANY)
		return "too_many_streams";
	if (is_over(stream, now))
		return stream->all->context->draining ? "shutdown" : "lifetime";
	if (stream_ms_to_expiry(stream) <= 0)
		return "token_expired";
	return NULL;
}

/* Closed as one that reads nothing. */
static enum step close_stuck(struct stream *stream, const char *whose)
{
	log_info("stream of %s: closed, reads nothing", whose);
	stream->end = "stuck";
	return destroy(stream);
}

/* The figures come from board.c; here is when they begin and end. */
static enum step step_figures(struct stream *stream, int64_t now)
{
	const struct watcher *watcher = stream->watcher;

	if (!watcher->is_open) {
		if (watcher->state == WATCHER_REVOKED)
			return refuse(stream, PROBLEM_TOKEN_REVOKED);
		if (watcher->state == WATCHER_ASKED && !is_over(stream, now))
			return STEP_STAY;
		opening_show_figures(stream);
		return STEP_ON;
	}
	if (watcher->state == WATCHER_REVOKED)
		return say_bye(stream, "revoked");
	if (is_over(stream, now))
		return say_bye(stream, stream->all->context->draining ? "shutdown" : "lifetime");
	if (stream_ms_to_expiry(stream) <= 0)
		return say_bye(stream, "token_expired");
	return heartbeat_is_stuck(stream, now) ? close_stuck(stream, "figures") : STEP_STAY;
}

/* Whether Redis holds the session and what it publishes is heard. */
static bool is_registered(const struct stream *stream)
{
	return stream->session.state == SESSION_LIVE &&
	       stream->subscription.state == SUBSCRIPTION_CONFIRMED && stream_is_home_up(stream);
}

/* A view that is missing: all of it is asked for, or, while some is away, the rest passed on. */
static void step_missing(struct stream *stream, bool is_degraded)
{
	struct snapshots *snapshots = &stream->all->snapshots;
	struct view *view = &stream->view;

	if (!is_registered(stream))
		return;
	if (stream_is_settled(stream)) {
		hidden_reset(stream);
		view_queue(snapshots, view);
	} else if (is_degraded && hidden_is_known(stream)) {
		view_follow(snapshots, view);
	}
}

static void step_view(struct stream *stream)
{
	struct snapshots *snapshots = &stream->all->snapshots;
	struct view *view = &stream->view;
	bool is_degraded = stream_is_degraded(stream);

	if (is_degraded && !view->told_degraded) {
		conn_send(&stream->conn, events_degraded(&stream->all->context->events));
		view->told_degraded = true;
	}
	if (stream_is_home_up(stream) && hidden_is_known(stream) && view->state == VIEW_READY) {
		struct outbox shown = {0};

		view_show(snapshots, view, &shown);
		conn_send_all(&stream->conn, &shown);
	}
	if (view->pace.state == PACE_OVER)
		stream_release(stream);
	if (view->state == VIEW_OVERRUN && conn_is_idle(&stream->conn))
		view_caught_up(snapshots, view);
	if (view->state == VIEW_MISSING)
		step_missing(stream, is_degraded);
}

static enum step step_open(struct stream *stream, int64_t now)
{
	const char *reason = reason_to_end(stream, now);

	if (reason != NULL)
		return say_bye(stream, reason);
	if (stream->session.self != NULL && stream->view.state != VIEW_OVERRUN)
		stream_send_self(stream);
	step_view(stream);
	if (stream->heartbeat_ms > now)
		return STEP_STAY;
	if (heartbeat_is_stuck(stream, now)) {
		char whose[sizeof "user " + USERID_MAX];

		snprintf(whose, sizeof whose, "user %s", stream->session.user);
		return close_stuck(stream, whose);
	}
	heartbeat_beat(stream, now);
	return STEP_STAY;
}

static enum step step_ending(struct stream *stream, int64_t now)
{
	if (stream->conn.state == CONN_READING || stream->conn.state == CONN_REQUEST) {
		stream_await_request(stream);
		return STEP_ON;
	}
	return is_over(stream, now) ? destroy(stream) : STEP_STAY;
}

/* --- the turn -------------------------------------------------------------------------------- */

static enum step life_step(struct stream *stream, int64_t now)
{
	switch (stream->conn.state) {
	case CONN_DEAD:
		return destroy(stream);
	case CONN_ABORTED:
		return finish(stream);
	case CONN_HALF_CLOSED:
		/* lighttpd would log the URL, token and all, of a stream whose end does not come. */
		return stream->phase == PHASE_OPEN || stream->phase == PHASE_FIGURES
			       ? finish(stream)
			       : destroy(stream);
	case CONN_READING:
	case CONN_REQUEST:
	case CONN_ANSWERING:
	case CONN_ENDING:
		break;
	}
	switch (stream->phase) {
	case PHASE_REQUEST:
		return step_request(stream, now);
	case PHASE_TICKET:
		return step_ticket(stream, now);
	case PHASE_INBOX:
		return step_inbox(stream, now);
	case PHASE_FRIENDS:
		return step_friends(stream, now);
	case PHASE_SESSION:
		return step_session(stream, now);
	case PHASE_FIGURES:
		return step_figures(stream, now);
	case PHASE_OPEN:
		return step_open(stream, now);
	case PHASE_ENDING:
		return step_ending(stream, now);
	}
	return STEP_STAY;
}

void life_run(struct streams *streams)
{
	struct turn *turn = &streams->context->turn;
	int64_t now = times_mono_ms();
	struct due *due;

	while ((due = turn_next(turn)) != NULL) {
		struct stream *stream = stream_of_due(due);
		enum step step;

		log_set_request(stream->due.request_id);
		do
			step = life_step(stream, now);
		while (step == STEP_ON);
		if (step == STEP_STAY)
			stream_arm(stream, now);
	}
	log_set_request(NULL);
}

/*
 * A connection that the web server keeps for another request is closed before it
 * thinks of one; what has come on it already, or is on its way on another one, is
 * answered.
 */
static void drain_request(struct stream *stream)
{
	conn_read_now(&stream->conn);
	if (conn_is_kept(&stream->conn))
		stream_set_deadline(stream, 0);
	else
		stream_await_request(stream);
}

void life_drain(struct streams *streams, int64_t drain_ms)
{
	struct stream *stream;

	TAILQ_FOREACH (stream, &streams->list, link) {
		bool is_open = stream->phase == PHASE_OPEN ||
			       (stream->phase == PHASE_FIGURES && stream->watcher->is_open);

		if (stream->phase == PHASE_REQUEST)
			drain_request(stream);
		else if (is_open)
			stream_set_deadline(stream,
					    drain_ms > 0 ? random_below((unsigned)drain_ms) : 0);
	}
}
