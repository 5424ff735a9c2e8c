#include "stream/heartbeat.h"

#include "base/times.h"
#include "stream/friends.h"
#include "stream/hidden.h"

#define HEARTBEAT_SLOTS 60 /* in one heartbeat; those of a slot are one turn of the loop */

static int64_t period_ms(const struct stream *stream)
{
	return (int64_t)stream->all->context->config->presence.heartbeat * 1000;
}

void heartbeat_start(struct stream *stream)
{
	int64_t period = period_ms(stream);

	/* A little early rather than alone: what is due together is one call of the script. */
	stream->heartbeat_ms = times_mono_ms() + period;
	stream->heartbeat_ms -= stream->heartbeat_ms % (period / HEARTBEAT_SLOTS);
}

bool heartbeat_is_stuck(const struct stream *stream, int64_t now_ms)
{
	return stream->conn.output == OUTPUT_BLOCKED &&
	       now_ms - stream->conn.progress_ms >= 2 * period_ms(stream);
}

void heartbeat_beat(struct stream *stream, int64_t now_ms)
{
	struct frame *frame =
		events_heartbeat(&stream->all->context->events, times_wall_ms() / 1000);
	int64_t period = period_ms(stream);

	if (stream_make_room(stream, frame->len))
		conn_send(&stream->conn, frame);
	session_touch(&stream->home->sessions, &stream->session);
	/* After a gap all streams ask again, but not all at once. */
	if (stream->friends.stale && stream_is_home_up(stream) &&
	    stream->subscription.state == SUBSCRIPTION_CONFIRMED)
		friends_ask(stream);
	hidden_retry(stream);
	/* Not from now: the rhythm stays even when the timer was late. */
	stream->heartbeat_ms += period;
	if (stream->heartbeat_ms <= now_ms)
		stream->heartbeat_ms = now_ms + period;
}
