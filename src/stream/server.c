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
#include "store/layout_key.h"
#include "store/nodes.h"
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

/* A server of Redis, as the link to it sees it. */
struct node {
	struct server *server;
	unsigned number;
	struct link *link;
	uint64_t *partitions; /* that it has: partset.h */
	bool is_pending; /* the link has something to write */
	bool is_noted; /* presence:layout is there */
	char why[LAYOUT_WHY_MAX];
};

struct server {
	struct context context;
	struct streams streams;
	struct dispatch dispatch;
	struct recovery recovery;
	struct sweep *sweeps; /* by partition */
	struct node *nodes; /* by link */
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
	bool is_late = times_mono_ms() >= server->drained_ms;

	if (!server->context.draining || server->streams.conns.count > 0)
		return;
	for (unsigned i = 0; i < server->context.partition_count; i++) {
		const struct home *home = &server->streams.homes[i];

		if (!closings_are_told(&home->closings) &&
		    (partition_is_up(home->partition) || !is_late))
			return;
	}
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
	partition_reload_all(context);
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

/* How many commands look at the layout, when a server is greeted. */
static unsigned look_commands(const struct context *context)
{
	return context->partition_count > 1 ? LAYOUT_LOOK_COMMANDS : 0;
}

/* The first partition of a server is that of its number, the next one so many further. */
static struct partition *partition_at(const struct node *node, unsigned index)
{
	const struct context *context = &node->server->context;

	return &context->partitions[node->number + index * context->link_count];
}

static unsigned partitions_at_node(const struct node *node)
{
	const struct context *context = &node->server->context;

	return (context->partition_count - node->number - 1) / context->link_count + 1;
}

static unsigned on_put_greeting(void *arg, struct printbuf *out)
{
	struct node *node = arg;
	const struct context *context = &node->server->context;
	unsigned look = look_commands(context), count = partitions_at_node(node);

	node->is_noted = false;
	if (look > 0)
		layout_put_look(out, context->config);
	for (unsigned i = 0; i < count; i++)
		recovery_put_greeting(partition_at(node, i), out);
	return look + count;
}

static const char *on_read_greeting(void *arg, unsigned index, const redisReply *reply)
{
	struct node *node = arg;
	const struct context *context = &node->server->context;
	unsigned look = look_commands(context);

	if (index < look)
		return layout_read_look(reply, index, context->config, context->link_count,
					node->why, &node->is_noted)
			       ? NULL
			       : node->why;
	return recovery_read_greeting(&node->server->recovery, partition_at(node, index - look),
				      reply)
		       ? NULL
		       : "unexpected reply";
}

static void note_layout(struct node *node)
{
	struct context *context = &node->server->context;

	if (node->is_noted || node->number != 0 || context->partition_count == 1)
		return;
	buf_reset(context->scratch);
	layout_put_note(context->scratch, context->config, context->link_count);
	link_command(node->link, context->scratch, NULL, NULL);
}

static bool are_all_up(const struct context *context)
{
	for (unsigned i = 0; i < context->link_count; i++) {
		if (!link_is_up(context->links[i]))
			return false;
	}
	return true;
}

static void on_up(void *arg)
{
	struct node *node = arg;
	struct server *server = node->server;

	note_layout(node);
	for (unsigned i = 0; i < partitions_at_node(node); i++)
		sweep_first(&server->sweeps[partition_at(node, i)->number]);
	recovery_up(&server->recovery, node->partitions);
	/* No reason to keep the first clients waiting. */
	if (are_all_up(&server->context))
		event_active(server->accept_again, EV_TIMEOUT, 0);
}

static void on_down(void *arg)
{
	struct node *node = arg;

	recovery_down(&node->server->recovery, node->partitions);
}

static void on_message(void *arg, const char *channel, const char *text, size_t len)
{
	dispatch_message(&((struct node *)arg)->server->dispatch, channel, text, len);
}

static void on_subscribed(void *arg)
{
	subscriptions_confirmed(&((struct node *)arg)->server->streams.subscriptions);
}

static void on_pending(void *arg)
{
	struct node *node = arg;

	node->is_pending = true;
	turn_schedule(&node->server->context.turn);
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

static void ask_partition(struct server *server, struct partition *partition)
{
	struct streams *streams = &server->streams;
	struct home *home = &streams->homes[partition->number];
	struct sweep *sweep = &server->sweeps[partition->number];

	if (!partition_is_up(partition))
		return;
	subscriptions_ask(&streams->subscriptions, partition);
	sessions_flush(&home->sessions);
	closings_flush(&home->closings, times_mono_ms());
	sweep_flush(sweep);
	/* After a gap users whose sessions are not registered again would look offline. */
	if (partition->state != PARTITION_SETTLED && sweep_is_settled(sweep))
		recovery_settle(&server->recovery, partition);
}

static void flush_links(struct server *server)
{
	for (unsigned i = 0; i < server->context.link_count; i++) {
		struct node *node = &server->nodes[i];

		if (!node->is_pending)
			continue;
		node->is_pending = false;
		link_flush(node->link);
	}
}

static bool is_any_up(const struct context *context)
{
	for (unsigned i = 0; i < context->link_count; i++) {
		if (link_is_up(context->links[i]))
			return true;
	}
	return false;
}

static void ask_redis(struct server *server)
{
	struct streams *streams = &server->streams;
	struct partition *partition;

	while ((partition = partition_next(&server->context)) != NULL)
		ask_partition(server, partition);
	if (!is_any_up(&server->context))
		return;
	subscriptions_flush(&streams->subscriptions);
	/* What a partition that is settled was waited for with. */
	life_run(streams);
	snapshots_flush(&streams->snapshots);
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
	/* Whose statuses are asked for asks for blocks, in the same write. What needed no question:
	 * `initial` leaves together with `connected`. */
	life_run(streams);
	flush_links(server);
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
	for (unsigned i = 0; i < server->context.partition_count; i++) {
		struct partition *partition = &server->context.partitions[i];

		if (!partition_is_up(partition))
			continue;
		subscriptions_drop_idle(&server->streams.subscriptions, partition, now);
		recovery_tick(&server->recovery, partition);
		sweep_tick(&server->sweeps[i], now);
		partition_wake(partition);
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

static void init_node(struct server *server, unsigned number)
{
	struct context *context = &server->context;
	struct node *node = &server->nodes[number];
	unsigned count;
	const char **prefixes;

	node->server = server;
	node->number = number;
	node->partitions = xcalloc(context->set_words, sizeof *node->partitions);
	count = partitions_at_node(node);
	prefixes = xcalloc(count, sizeof *prefixes);
	for (unsigned i = 0; i < count; i++) {
		partset_add(node->partitions, partition_at(node, i)->number);
		prefixes[i] = store_prefix(partition_at(node, i)->store);
	}
	node->link = link_new(
		context->base, context->config,
		&(struct link_place){.server = number,
				     .prefixes = prefixes,
				     .count = count,
				     .is_sharded = store_is_sharded(partition_at(node, 0)->store)},
		&link_events, node);
	for (unsigned i = 0; i < count; i++)
		partition_at(node, i)->link = node->link;
	context->links[number] = node->link;
	free(prefixes);
}

static void init_nodes(struct server *server)
{
	struct context *context = &server->context;

	context->link_count = nodes_count_servers(context->config);
	context->links = xcalloc(context->link_count, sizeof *context->links);
	server->nodes = xcalloc(context->link_count, sizeof *server->nodes);
	for (unsigned i = 0; i < context->link_count; i++)
		init_node(server, i);
}

static void init_parts(struct server *server)
{
	struct context *context = &server->context;

	context->scratch = buf_new();
	partition_open_all(context);
	hub_init(&context->hub, context->partition_count);
	turn_init(&context->turn, context->base, on_turn, server);
	init_nodes(server);
	streams_init(&server->streams, context);
	server->dispatch.streams = &server->streams;
	server->recovery.streams = &server->streams;
	server->sweeps = xcalloc(context->partition_count, sizeof *server->sweeps);
	for (unsigned i = 0; i < context->partition_count; i++)
		server->sweeps[i] = (struct sweep){.home = &server->streams.homes[i],
						   .recovery = &server->recovery};
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
	for (unsigned i = 0; i < server->context.link_count; i++)
		link_start(server->context.links[i]);
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
	streams_clear(&server->streams);
	for (unsigned i = 0; i < context->link_count; i++) {
		link_free(context->links[i]);
		free(server->nodes[i].partitions);
	}
	streams_free(&server->streams);
	hub_clear(&context->hub);
	partition_close_all(context);
	free(context->links);
	free(server->nodes);
	free(server->sweeps);
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
	token_keys_free(context->keys);
	free(server);
}
