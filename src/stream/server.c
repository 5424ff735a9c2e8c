#include "stream/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/listener.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/times.h"
#include "stream/census.h"
#include "stream/dispatch.h"
#include "stream/life.h"
#include "stream/notify.h"
#include "stream/recovery.h"
#include "stream/sweep.h"
#include "stream/timer.h"

#define ACCEPT_PAUSE_MS 200 /* after the system had no descriptor for us */
#define SPARE_DESCRIPTORS 64 /* for all that is not a stream */
#define SPARE_CONNECTIONS 32 /* beyond max_streams, to refuse with an answer */
#define STOP_MARGIN_MS 5000 /* beyond `drain`, until what is left is cut off */
#define SERVER_SIGNALS 4

struct server {
	struct context context;
	struct streams streams;
	struct dispatch dispatch;
	struct recovery recovery;
	struct sweep sweep;
	const char *file; /* that the configuration was read from */
	const char *
		path; /* of the listening socket, ours to remove; NULL: it has none, or is not ours */
	bool is_ours; /* the listening socket: nobody else accepts from it */
	bool accepting;
	struct evconnlistener *listener; /* NULL once it is given up */
	struct event *accept_again, *tick, *directory_ready, *stop_now;
	struct event *signals[SERVER_SIGNALS];
	int64_t drained_ms; /* while draining: when `drain` is over */
};

/* --- descriptors ----------------------------------------------------------------------------- */

/* Raises the soft limit to the hard one; returns how many streams fit. */
static unsigned fit_streams(unsigned wanted)
{
	struct rlimit limit;
	unsigned fit = wanted;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < (rlim_t)wanted + SPARE_DESCRIPTORS + SPARE_CONNECTIONS)
		fit = limit.rlim_max > SPARE_DESCRIPTORS + SPARE_CONNECTIONS
			      ? (unsigned)limit.rlim_max - SPARE_DESCRIPTORS - SPARE_CONNECTIONS
			      : 1;
	if (fit < wanted)
		log_warn("descriptor limit %llu: at most %u streams instead of max_streams = %u",
			 (unsigned long long)limit.rlim_max, fit, wanted);
	else
		log_info("descriptor limit %llu, at most %u streams",
			 (unsigned long long)limit.rlim_max, fit);
	return fit;
}

static void apply_limits(struct server *server)
{
	const struct config *config = server->context.config;
	unsigned max = fit_streams((unsigned)config->stream.max_streams);

	server->streams.max = server->streams.conns.max_streams = max;
	events_set_padding(&server->context.events, (size_t)config->stream.padding);
}

/* --- accepting ------------------------------------------------------------------------------- */

static void set_accepting(struct server *server, bool accepting)
{
	if (server->accepting == accepting || server->listener == NULL)
		return;
	server->accepting = accepting;
	if (accepting)
		evconnlistener_enable(server->listener);
	else
		evconnlistener_disable(server->listener);
}

static bool is_full(const struct server *server)
{
	return server->streams.conns.count >= server->streams.max + SPARE_CONNECTIONS;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
		      int len, void *arg)
{
	struct server *server = arg;

	(void)listener;
	(void)peer;
	(void)len;
	stream_new(&server->streams, fd);
	if (is_full(server))
		set_accepting(server, false);
}

/* Transient errors pass by themselves; out of descriptors, the listener rests for a moment. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct server *server = arg;
	int error = errno;

	(void)listener;
	if (error == ECONNABORTED || error == EINTR || error == EAGAIN)
		return;
	log_warn("accept: %s", strerror(error));
	set_accepting(server, false);
	timer_set(server->accept_again, ACCEPT_PAUSE_MS);
}

static void accept_if_there_is_room(struct server *server)
{
	if (!is_full(server) && !event_pending(server->accept_again, EV_TIMEOUT, NULL))
		set_accepting(server, true);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	accept_if_there_is_room(arg);
}

/* --- stopping -------------------------------------------------------------------------------- */

/*
 * So that a web server asks another process at once: a socket of ours is gone before the first
 * stream ends. Who connected before that is answered. On a socket that is not ours further
 * requests come, and are refused: closing it would leave them waiting for nobody.
 */
static void give_up_listener(struct server *server)
{
	evutil_socket_t listener = evconnlistener_get_fd(server->listener);
	int fd;

	if (!server->is_ours) {
		event_del(server->accept_again);
		accept_if_there_is_room(server);
		return;
	}
	if (server->path != NULL)
		unlink(server->path);
	/* cppcheck-suppress nullPointer ; accept(2) takes NULL for an address not wanted */
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		stream_new(&server->streams, fd);
	evconnlistener_free(server->listener);
	server->listener = NULL;
}

/* What closed is told to Redis before the end; while that is away, for no longer than `drain`. */
static void stop_if_done(struct server *server)
{
	bool is_told = closings_are_told(&server->streams.closings) ||
		       (!link_is_up(server->context.link) && times_mono_ms() >= server->drained_ms);

	if (server->context.draining && server->streams.conns.count == 0 && is_told)
		event_base_loopexit(server->context.base, NULL);
}

/* The first signal says goodbye to the streams over `drain` seconds, a second one cuts them off. */
static void on_stop(evutil_socket_t signal_number, short what, void *arg)
{
	struct server *server = arg;
	int64_t drain = (int64_t)server->context.config->stream.drain * 1000;

	(void)what;
	if (server->context.draining) {
		log_warn("signal %d again: stops at once", (int)signal_number);
		event_base_loopexit(server->context.base, NULL);
		return;
	}
	log_info("signal %d: %u streams end within %d s", (int)signal_number, server->streams.count,
		 server->context.config->stream.drain);
	notify_manager("STOPPING=1");
	server->context.draining = true;
	server->drained_ms = times_mono_ms() + drain;
	give_up_listener(server);
	life_drain(&server->streams, drain);
	timer_set(server->stop_now, drain + STOP_MARGIN_MS);
	turn_schedule(&server->context.turn);
}

static void on_stop_now(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	log_warn("%u streams did not end in time", server->streams.count);
	event_base_loopexit(server->context.base, NULL);
}

/* --- reloading ------------------------------------------------------------------------------- */

/* SIGHUP: reads the file again; what is wrong with it is logged and changes nothing. */
static void on_reload(evutil_socket_t signal_number, short what, void *arg)
{
	/* What connections, subscriptions and threads stand on. */
	static const char *const fixed[] = {"redis.",	   "directory.",	"stream.listen",
					    "stream.mode", "stream.slots_file", NULL};
	struct server *server = arg;
	struct context *context = &server->context;
	char err[1024];
	struct config *fresh = config_load(server->file, err, sizeof err);
	struct token_keys *keys = fresh != NULL ? token_keys_open(fresh, err, sizeof err) : NULL;

	(void)signal_number;
	(void)what;
	if (keys == NULL) {
		log_error("%s; the old configuration stays", err);
		config_free(fresh);
		return;
	}
	config_reload(context->config, fresh, fixed);
	token_keys_use(keys, context->config);
	token_keys_free(context->keys);
	context->keys = keys;
	store_free(context->store);
	context->store = store_new(context->config, 0, context->config->redis.prefix);
	apply_limits(server);
	log_setup("presence-streamd", (enum log_level)context->config->log.level,
		  context->config->log.target == 1);
	log_info("configuration read again");
	turn_schedule(&context->turn); /* there may be room now */
}

/* SIGUSR1. */
static void on_census(evutil_socket_t signal_number, short what, void *arg)
{
	struct server *server = arg;

	(void)signal_number;
	(void)what;
	census_log(&server->streams, &server->dispatch);
}

/* --- who hears what from Redis --------------------------------------------------------------- */

static void on_put_greeting(void *arg, struct printbuf *out)
{
	recovery_put_greeting(&((struct server *)arg)->recovery, out);
}

static bool on_read_greeting(void *arg, const redisReply *reply)
{
	return recovery_read_greeting(&((struct server *)arg)->recovery, reply);
}

static void on_up(void *arg)
{
	struct server *server = arg;

	sweep_first(&server->sweep);
	recovery_up(&server->recovery);
	/* No reason to keep the first clients waiting. */
	event_active(server->accept_again, EV_TIMEOUT, 0);
}

static void on_down(void *arg)
{
	recovery_down(&((struct server *)arg)->recovery);
}

static void on_message(void *arg, const char *channel, const char *text, size_t len)
{
	dispatch_message(&((struct server *)arg)->dispatch, channel, text, len);
}

static void on_subscribed(void *arg)
{
	subscriptions_confirmed(&((struct server *)arg)->streams.subscriptions);
}

static void on_pending(void *arg)
{
	turn_schedule(&((struct server *)arg)->context.turn);
}

static const struct link_events link_events = {
	.put_greeting = on_put_greeting,
	.read_greeting = on_read_greeting,
	.up = on_up,
	.down = on_down,
	.message = on_message,
	.subscribed = on_subscribed,
	.pending = on_pending,
};

/* --- the loop's turns ------------------------------------------------------------------------ */

static void ask_redis(struct server *server)
{
	struct streams *streams = &server->streams;
	struct link *link = streams->context->link;

	if (!link_is_up(link))
		return;
	subscriptions_flush(&streams->subscriptions);
	sessions_flush(&streams->sessions);
	closings_flush(&streams->closings, times_mono_ms());
	sweep_flush(&server->sweep);
	/* After a gap users whose sessions are not registered again would look offline. */
	if (sweep_is_settled(&server->sweep))
		snapshots_flush(&streams->snapshots);
	link_flush(link);
}

/* The end of a turn of the loop, in this order. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	struct streams *streams = &server->streams;

	(void)fd;
	(void)what;
	turn_begin(&server->context.turn);
	life_run(streams);
	ask_redis(server);
	/* What needed no question: `initial` leaves together with `connected`. */
	life_run(streams);
	conns_flush(&streams->conns);
	accept_if_there_is_room(server);
	stop_if_done(server);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	int64_t now = times_mono_ms();

	(void)fd;
	(void)what;
	if (link_is_up(server->context.link)) {
		subscriptions_drop_idle(&server->streams.subscriptions, now);
		recovery_tick(&server->recovery);
		sweep_tick(&server->sweep, now);
	}
	turn_schedule(&server->context.turn);
	/* On the grid, so that heartbeats and this are one wake-up. */
	timer_set(server->tick, times_to_grid_ms(now, SWEEP_TICK_MS));
}

static void on_directory(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	directory_dispatch(server->context.directory);
}

/* --- the server ------------------------------------------------------------------------------ */

static void init_parts(struct server *server)
{
	struct context *context = &server->context;

	context->store = store_new(context->config, 0, context->config->redis.prefix);
	context->scratch = buf_new();
	hub_init(&context->hub);
	turn_init(&context->turn, context->base, on_turn, server);
	streams_init(&server->streams, context);
	server->dispatch.streams = server->recovery.streams = &server->streams;
	server->sweep.context = context;
	server->sweep.recovery = &server->recovery;
	context->link = link_new(context->base, context->config, &link_events, server);
	apply_limits(server);
}

static void init_events(struct server *server, int listen_fd)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} signals[SERVER_SIGNALS] = {
		{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}, {SIGUSR1, on_census}};
	struct event_base *base = server->context.base;

	server->tick = evtimer_new(base, on_tick, server);
	server->accept_again = evtimer_new(base, on_accept_again, server);
	server->stop_now = evtimer_new(base, on_stop_now, server);
	for (size_t i = 0; i < SERVER_SIGNALS; i++) {
		server->signals[i] =
			evsignal_new(base, signals[i].number, signals[i].callback, server);
		event_add(server->signals[i], NULL);
	}
	server->directory_ready = event_new(base, directory_fd(server->context.directory),
					    EV_READ | EV_PERSIST, on_directory, server);
	event_add(server->directory_ready, NULL);
	evutil_make_socket_nonblocking(listen_fd);
	server->listener = evconnlistener_new(
		base, on_accept, server,
		LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_DISABLED, 0, listen_fd);
	evconnlistener_set_error_cb(server->listener, on_accept_error);
}

struct server *server_new(struct config *config, const char *file, struct token_keys *keys,
			  struct directory *directory, int listen_fd, bool is_ours,
			  const char *path)
{
	struct server *server = xcalloc(1, sizeof *server);
	const char *slots_file = config->stream.slots_file;

	if (slots_file[0] != '\0') {
		server->streams.slots = slots_open(slots_file);
		if (server->streams.slots == NULL) {
			log_error("stream.slots_file: %s: %s", slots_file, strerror(errno));
			free(server);
			return NULL;
		}
	}
	server->context.base = event_base_new();
	if (server->context.base == NULL) {
		slots_close(server->streams.slots);
		free(server);
		return NULL;
	}
	server->context.config = config;
	server->context.keys = keys;
	server->context.directory = directory;
	server->file = file;
	server->path = path;
	server->is_ours = is_ours;
	init_parts(server);
	init_events(server, listen_fd);
	return server;
}

void server_run(struct server *server)
{
	notify_manager("READY=1");
	link_start(server->context.link);
	timer_set(server->tick, SWEEP_TICK_MS);
	/* The first clients wait in the socket until Redis answers, but no longer than for any command. */
	timer_set(server->accept_again, server->context.config->redis.timeout_ms);
	signals_release();
	event_base_dispatch(server->context.base);
	signals_hold();
}

void server_free(struct server *server)
{
	struct context *context = &server->context;
	struct event *events[] = {server->accept_again, server->tick, server->directory_ready,
				  server->stop_now};

	context->draining = true;
	streams_free(&server->streams);
	link_free(context->link);
	closings_free(&server->streams.closings);
	hub_clear(&context->hub);
	recovery_free(&server->recovery);
	if (server->listener != NULL)
		evconnlistener_free(server->listener);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		event_free(events[i]);
	for (size_t i = 0; i < SERVER_SIGNALS; i++)
		event_free(server->signals[i]);
	turn_free(&context->turn);
	event_base_free(context->base);
	events_free(&context->events);
	slots_close(server->streams.slots);
	printbuf_free(context->scratch);
	store_free(context->store);
	token_keys_free(context->keys);
	free(server);
}
