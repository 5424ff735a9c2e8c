/*
 * What is due at the end of this turn of the loop, after all events that are
 * active already. A part whose state changes marks its owner; the driver
 * (life.c) then takes the marked ones out, one by one.
 */
#ifndef PRESENCE_STREAM_TURN_H
#define PRESENCE_STREAM_TURN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

/* Part of whoever can be due; zeroed memory is one that is not. */
struct due {
	TAILQ_ENTRY(due) link;
	bool queued;
	/* Of its owner, for log lines: */
	uint32_t number;
	char *request_id; /* cgi_request_id() of its request, or of the last one; NULL before there is one */
};

struct turn {
	struct event *event;
	bool scheduled;
	TAILQ_HEAD(due_list, due) due;
};

/* `run` is called once for each turn that was scheduled; it begins with turn_begin(). */
void turn_init(struct turn *turn, struct event_base *base, event_callback_fn run, void *arg);
void turn_free(struct turn *turn);

/* run() once more, in this turn of the loop. */
void turn_schedule(struct turn *turn);
void turn_begin(struct turn *turn);

void turn_mark(struct turn *turn, struct due *due); /* and look at this one then */
struct due *turn_next(struct turn *turn); /* takes one out; NULL: none is left */
void turn_unmark(struct turn *turn, struct due *due); /* it is about to be freed */

#endif
