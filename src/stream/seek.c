#include "stream/seek.h"

#include <string.h>

#include "stream/timer.h"

static void on_step(evutil_socket_t fd, short what, void *arg);

void seek_init(struct seek *seek, struct event_base *base, void (*done)(void *arg, const char *why),
	       void *arg)
{
	memset(seek, 0, sizeof *seek);
	seek->base = base;
	seek->done = done;
	seek->arg = arg;
}

static void forget_step(struct seek *seek)
{
	if (seek->step != NULL)
		event_free(seek->step);
	seek->step = NULL;
}

void seek_stop(struct seek *seek)
{
	forget_step(seek);
	if (seek->search != NULL)
		search_stop(seek->search);
	seek->search = NULL;
}

/* Waits for the next step, or ends. */
static void follow(struct seek *seek, enum search_state state)
{
	struct search *search = seek->search;

	forget_step(seek);
	if (state == SEARCH_ASKING) {
		seek->step =
			event_new(seek->base, search_fd(search),
				  search_wants_write(search) ? EV_WRITE : EV_READ, on_step, seek);
		timer_set(seek->step, search_left_ms(search));
		return;
	}
	seek->search = NULL;
	seek->done(seek->arg, state == SEARCH_FOUND ? NULL : search_error(search));
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
	struct seek *seek = arg;

	(void)fd;
	(void)what;
	follow(seek, search_proceed(seek->search));
}

void seek_start(struct seek *seek, struct search *search)
{
	seek->search = search;
	follow(seek, search_begin(search));
}
