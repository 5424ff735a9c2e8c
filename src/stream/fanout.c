#include "stream/fanout.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "stream/timer.h"

struct lap {
	TAILQ_ENTRY(lap) link;
	uint32_t topic, serial; /* its number and serial: it may be gone by now */
	uint32_t left; /* watchers 0 … left - 1 are still to be told */
	struct frame *frame;
	struct frame *next; /* the newest change since it began, or NULL */
};

static uint32_t min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static struct topic *topic_of(const struct fanout *fanout, const struct lap *lap)
{
	struct topic *topic = fanout->hub->topics[lap->topic];

	return topic != NULL && topic->serial == lap->serial ? topic : NULL;
}

/* Tells those whose indexes are first … end - 1. */
static void tell(struct fanout *fanout, const struct topic *topic, struct frame *frame,
		 uint32_t first, uint32_t end)
{
	while (end-- > first) {
		if (topic->subscribers.list[end].hidden == 0)
			fanout->deliver(hub_subscriber_at(fanout->hub, topic, end), frame);
	}
}

/* --- laps ------------------------------------------------------------------------------------ */

static void lap_begin(struct fanout *fanout, struct topic *topic, struct frame *frame)
{
	struct lap *lap = xcalloc(1, sizeof *lap);

	lap->topic = topic->number;
	lap->serial = topic->serial;
	lap->left = topic->subscribers.count;
	lap->frame = frame_ref(frame);
	topic->lap = lap;
	TAILQ_INSERT_TAIL(&fanout->laps, lap, link);
}

/* Takes it out and frees it; the topic is NULL if it is gone. */
static void lap_end(struct fanout *fanout, struct lap *lap, struct topic *topic)
{
	if (topic != NULL)
		topic->lap = NULL;
	TAILQ_REMOVE(&fanout->laps, lap, link);
	frame_unref(lap->frame);
	frame_unref(lap->next);
	free(lap);
}

static void lap_wait(struct lap *lap, struct frame *frame)
{
	frame_unref(lap->next);
	lap->next = frame_ref(frame);
}

/* All have been told: what waits is next. */
static void lap_renew(struct lap *lap, const struct topic *topic)
{
	frame_unref(lap->frame);
	lap->frame = lap->next;
	lap->next = NULL;
	lap->left = topic->subscribers.count;
}

/* A stretch of the first lap, which then goes behind the others. */
static void go_on(struct fanout *fanout)
{
	struct lap *lap = TAILQ_FIRST(&fanout->laps);
	struct topic *topic = topic_of(fanout, lap);
	uint32_t end, count;

	if (topic == NULL) {
		lap_end(fanout, lap, NULL);
		return;
	}
	end = min(lap->left, topic->subscribers.count);
	count = min(min(end, fanout->room), FANOUT_STRETCH);
	tell(fanout, topic, lap->frame, end - count, end);
	fanout->room -= count;
	lap->left = end - count;
	if (lap->left == 0 && lap->next == NULL) {
		lap_end(fanout, lap, topic);
		return;
	}
	if (lap->left == 0)
		lap_renew(lap, topic);
	TAILQ_REMOVE(&fanout->laps, lap, link);
	TAILQ_INSERT_TAIL(&fanout->laps, lap, link);
}

static void slice(struct fanout *fanout)
{
	while (fanout->room > 0 && !TAILQ_EMPTY(&fanout->laps))
		go_on(fanout);
	/* A timer, not an active event: sockets are looked at in between. */
	if (!TAILQ_EMPTY(&fanout->laps))
		timer_set(fanout->again, 0);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	fanout_turn(arg);
	slice(arg);
}

/* --- what others call ------------------------------------------------------------------------ */

void fanout_init(struct fanout *fanout, struct event_base *base, struct hub *hub,
		 fanout_deliver *deliver)
{
	fanout->hub = hub;
	fanout->deliver = deliver;
	fanout->again = evtimer_new(base, on_again, fanout);
	fanout->room = FANOUT_TURN;
	TAILQ_INIT(&fanout->laps);
}

void fanout_free(struct fanout *fanout)
{
	while (!TAILQ_EMPTY(&fanout->laps)) {
		struct lap *lap = TAILQ_FIRST(&fanout->laps);

		lap_end(fanout, lap, topic_of(fanout, lap));
	}
	event_free(fanout->again);
}

void fanout_tell(struct fanout *fanout, struct topic *topic, struct frame *frame)
{
	bool is_first = TAILQ_EMPTY(&fanout->laps);

	if (topic->lap != NULL) {
		lap_wait(topic->lap, frame);
	} else if (is_first && topic->subscribers.count <= fanout->room) {
		tell(fanout, topic, frame, 0, topic->subscribers.count);
		fanout->room -= topic->subscribers.count;
	} else {
		lap_begin(fanout, topic, frame);
		if (is_first)
			slice(fanout);
	}
}

void fanout_turn(struct fanout *fanout)
{
	fanout->room = FANOUT_TURN;
}
