#include "stream/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/times.h"
#include "store/cluster.h"
#include "store/connection.h"
#include "stream/acceptor.h"
#include "stream/board.h"
#include "stream/census.h"
#include "stream/exchange.h"
#include "stream/life.h"
#include "stream/notify.h"
#include "stream/report.h"
#include "stream/servers.h"
#include "stream/shards.h"
#include "stream/timer.h"

#define STOP_MARGIN_MS 5000 /* beyond `drain`, until what is left is cut off */
#define SERVER_SIGNALS 4

struct server {
	struct context context;
	struct streams streams;
	struct exchange exchange;
	struct report report;
	struct board board;
	struct servers *servers; /* or */
	struct shards *shards; /* in a cluster */
	struct acceptor acceptor;
	const char *file; /* that the configuration was read from */
	struct event *tick, *directory_ready, *stop_now;
	struct event *signals[SERVER_SIGNALS];
	int64_t drained_ms; /* while draining: when `drain` is over */
};

static void apply_limits(struct server *server)
{
	const struct config *config = server->context.config;

	acceptor_set_limit(&server->acceptor, (unsigned)config->stream.max_streams);
	events_set_padding(&server->context.events, (size_t)config->stream.padding);
}

/* --- stopping -------------------------------------------------------------------------------- */

/* What closed is told to Redis before the end; while that is away, for no longer than `drain`. */
static void stop_if_done(struct server *server)
{
	bool is_late = times_mono_ms() >= server->drained_ms;

	if (!server->context.draining || server->streams.conns.count > 0)
		return;
	for (unsigned i = 0; i < server->context.partition_count; i++) {
		const struct home *home = &server->streams.homes[i];

		if (!closings_are_told(&home->closings) &&
		    (partition_is_up(home->partition) || !is_late))
			return;
	}
	if (report_end(&server->report) || is_late)
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
	server->context.refusing = !server->acceptor.is_ours;
	server->drained_ms = times_mono_ms() + drain;
	acceptor_give_up(&server->acceptor);
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
	static const char *const fixed[] = {CONFIG_FIXED_REDIS,	 "directory.",
					    "stream.listen",	 "stream.mode",
					    "stream.slots_file", NULL};
	struct server *server = arg;
	struct context *context = &server->context;
	char err[1024];
	struct config *fresh = config_load(server->file, err, sizeof err);
	struct token_keys *keys = fresh != NULL && connection_check_config(fresh, err, sizeof err)
					  ? token_keys_open(fresh, err, sizeof err)
					  : NULL;

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
	partition_reload_all(context);
	if (server->shards != NULL)
		shards_take_login(server->shards);
	else
		servers_take_login(server->servers);
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
	census_log(&server->streams, &server->exchange.dispatch);
}

/* --- the loop's turns ------------------------------------------------------------------------ */

/* All of Redis is there: no reason to keep the first clients waiting. */
static void on_complete(void *arg)
{
	acceptor_begin(&((struct server *)arg)->acceptor, 0);
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
	exchange_ask(&server->exchange);
	/* Whose statuses are asked for asks for blocks, in the same write. What needed no question:
	 * `initial` leaves together with `connected`. */
	life_run(streams);
	exchange_flush(&server->exchange);
	conns_flush(&streams->conns);
	counts_written(&server->context.counts);
	fanout_turn(&streams->fanout);
	buf_release(server->context.scratch);
	acceptor_check_room(&server->acceptor);
	stop_if_done(server);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	int64_t now = times_mono_ms();

	(void)fd;
	(void)what;
	exchange_tick(&server->exchange, now);
	board_tick(&server->board, now);
	if (!server->context.draining)
		report_tick(&server->report, now);
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
	bool is_cluster;

	context->scratch = buf_new();
	counts_init(&context->counts);
	partition_open_all(context);
	hub_init(&context->hub, context->partition_count);
	turn_init(&context->turn, context->base, on_turn, server);
	is_cluster = store_is_sharded(context->partitions[0].store);
	context->link_max = is_cluster ? CLUSTER_NODES_MAX : servers_count(context->config);
	context->links = xcalloc(context->link_max, sizeof *context->links);
	streams_init(&server->streams, context);
	exchange_init(&server->exchange, &server->streams, on_complete, server);
	server->board.streams = &server->streams;
	server->report.streams = &server->streams;
	server->report.dispatch = &server->exchange.dispatch;
	if (is_cluster)
		server->shards = shards_new(&server->exchange);
	else
		server->servers = servers_new(&server->exchange);
}

static void init_events(struct server *server)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} signals[SERVER_SIGNALS] = {
		{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}, {SIGUSR1, on_census}};
	struct event_base *base = server->context.base;

	server->tick = evtimer_new(base, on_tick, server);
	server->stop_now = evtimer_new(base, on_stop_now, server);
	for (size_t i = 0; i < SERVER_SIGNALS; i++) {
		server->signals[i] =
			evsignal_new(base, signals[i].number, signals[i].callback, server);
		event_add(server->signals[i], NULL);
	}
	server->directory_ready = event_new(base, directory_fd(server->context.directory),
					    EV_READ | EV_PERSIST, on_directory, server);
	event_add(server->directory_ready, NULL);
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
	init_parts(server);
	acceptor_init(&server->acceptor, &server->streams, listen_fd, is_ours, path);
	apply_limits(server);
	init_events(server);
	return server;
}

void server_run(struct server *server)
{
	notify_manager("READY=1");
	if (server->shards != NULL)
		shards_start(server->shards);
	else
		servers_start(server->servers);
	timer_set(server->tick, SWEEP_TICK_MS);
	/* The first clients wait in the socket until Redis answers, but no longer than for any command. */
	acceptor_begin(&server->acceptor, server->context.config->redis.timeout_ms);
	signals_release();
	event_base_dispatch(server->context.base);
	signals_hold();
}

void server_free(struct server *server)
{
	struct context *context = &server->context;
	struct event *events[] = {server->tick, server->directory_ready, server->stop_now};

	context->draining = true;
	streams_clear(&server->streams);
	servers_free(server->servers);
	shards_free(server->shards);
	streams_free(&server->streams);
	hub_clear(&context->hub);
	partition_close_all(context);
	free(context->links);
	exchange_clear(&server->exchange);
	acceptor_clear(&server->acceptor);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		event_free(events[i]);
	for (size_t i = 0; i < SERVER_SIGNALS; i++)
		event_free(server->signals[i]);
	turn_free(&context->turn);
	event_base_free(context->base);
	events_free(&context->events);
	slots_close(server->streams.slots);
	printbuf_free(context->scratch);
	counts_clear(&context->counts);
	token_keys_free(context->keys);
	free(server);
}
