#include "stream/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "base/times.h"
#include "stream/notify.h"
#include "stream/presence.h"
#include "stream/stream.h"

#define ACCEPT_PAUSE_MS 200 /* after the system had no descriptor for us */
#define SPARE_DESCRIPTORS 64 /* for all that is no stream */
#define SPARE_CONNECTIONS 32 /* beyond max_streams, to refuse with an answer */
#define STOP_MARGIN_MS 5000 /* beyond `drain`, until what is left is cut off */

static struct timeval milliseconds(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static void set_timer(struct event *timer, int64_t ms)
{
	struct timeval after = milliseconds(ms);

	event_add(timer, &after);
}

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

/* --- accepting ------------------------------------------------------------------------------- */

static void set_accepting(struct server *server, bool accepting)
{
	if (server->accepting == accepting)
		return;
	server->accepting = accepting;
	if (accepting)
		evconnlistener_enable(server->listener);
	else
		evconnlistener_disable(server->listener);
}

static bool is_full(const struct server *server)
{
	return server->connection_count >= server->max_streams + SPARE_CONNECTIONS;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
		      int len, void *arg)
{
	struct server *server = arg;

	(void)listener;
	(void)peer;
	(void)len;
	stream_new(server, fd);
	if (is_full(server))
		set_accepting(server, false);
}

void server_connection_closed(struct server *server)
{
	if (!server->draining && !is_full(server) &&
	    !event_pending(server->accept_again, EV_TIMEOUT, NULL))
		set_accepting(server, true);
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
	set_timer(server->accept_again, ACCEPT_PAUSE_MS);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	if (!server->draining && !is_full(server))
		set_accepting(server, true);
}

void server_redis_is_up(struct server *server)
{
	event_active(server->accept_again, EV_TIMEOUT, 0);
}

/* --- stopping -------------------------------------------------------------------------------- */

static void stop_when_done(struct server *server)
{
	if (server->draining && server->connection_count == 0 && presence_is_settled(server))
		event_base_loopexit(server->base, NULL);
}

/* The first signal says goodbye to the streams over `drain` seconds, a second one cuts them off. */
static void on_stop(evutil_socket_t signal_number, short what, void *arg)
{
	struct server *server = arg;
	int64_t drain = (int64_t)server->config->stream.drain * 1000;
	struct stream *stream;

	(void)what;
	if (server->draining) {
		log_warn("signal %d again: stops at once", (int)signal_number);
		event_base_loopexit(server->base, NULL);
		return;
	}
	log_info("signal %d: %u streams end within %d s", (int)signal_number, server->stream_count,
		 server->config->stream.drain);
	notify_manager("STOPPING=1");
	server->draining = true;
	set_accepting(server, false);
	TAILQ_FOREACH (stream, &server->connections, connection)
		stream_end_later(stream, drain > 0 ? random_below((unsigned)drain) : 0);
	set_timer(server->stop_now, drain + STOP_MARGIN_MS);
	server_want_turn(server);
}

static void on_stop_now(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	log_warn("%u streams did not end in time", server->stream_count);
	event_base_loopexit(server->base, NULL);
}

static void set_padding(struct server *server)
{
	size_t len = (size_t)server->config->stream.padding;

	frame_unref(server->padding);
	server->padding = len > 0 ? events_padding(len) : NULL;
}

/* --- reloading ------------------------------------------------------------------------------- */

/* SIGHUP: reads the file again; what is wrong with it is logged and changes nothing. */
static void on_reload(evutil_socket_t signal_number, short what, void *arg)
{
	/* What connections, subscriptions and threads stand on. */
	static const char *const fixed[] = {"redis.",	   "directory.",	"stream.listen",
					    "stream.mode", "stream.slots_file", NULL};
	struct server *server = arg;
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
	config_reload(server->config, fresh, fixed);
	token_keys_use(keys, server->config);
	token_keys_free(server->keys);
	server->keys = keys;
	store_free(server->store);
	server->store = store_new(server->config);
	set_padding(server);
	server->max_streams = fit_streams((unsigned)server->config->stream.max_streams);
	log_setup("presence-streamd", (enum log_level)server->config->log.level,
		  server->config->log.target == 1);
	log_info("configuration read again");
	server_connection_closed(server); /* there may be room now */
}

/* --- the loop's turns ------------------------------------------------------------------------ */

void server_want_turn(struct server *server)
{
	if (server->turn_asked)
		return;
	server->turn_asked = true;
	/* Runs behind all events that are active already. */
	event_active(server->turn, EV_TIMEOUT, 1);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	struct stream *stream;

	(void)fd;
	(void)what;
	server->turn_asked = false;
	/* First what may have an `initial` ready: it goes out together with `connected`. */
	presence_flush(server);
	while ((stream = TAILQ_FIRST(&server->dirty)) != NULL)
		stream_flush(stream);
	stop_when_done(server);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	int64_t now = times_mono_ms();

	(void)fd;
	(void)what;
	presence_tick(server, now);
	server_want_turn(server);
	/* On the grid, so that heartbeats and this are one wake-up. */
	set_timer(server->tick, times_to_grid_ms(now, SERVER_TICK_MS));
}

static void on_directory(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	directory_dispatch(server->directory);
}

/* --- the server ------------------------------------------------------------------------------ */

struct server *server_new(struct config *config, const char *file, struct token_keys *keys,
			  struct directory *directory, int listen_fd)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} signals[SERVER_SIGNALS] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};
	struct server *server = xcalloc(1, sizeof *server);

	if (config->stream.slots_file[0] != '\0') {
		server->slots = slots_open(config->stream.slots_file);
		if (server->slots == NULL) {
			log_error("stream.slots_file: %s: %s", config->stream.slots_file,
				  strerror(errno));
			free(server);
			return NULL;
		}
	}
	server->base = event_base_new();
	if (server->base == NULL) {
		slots_close(server->slots);
		free(server);
		return NULL;
	}
	server->config = config;
	server->file = file;
	server->keys = keys;
	server->directory = directory;
	server->store = store_new(config);
	server->scratch = buf_new();
	set_padding(server);
	hub_init(&server->hub);
	TAILQ_INIT(&server->connections);
	TAILQ_INIT(&server->dirty);
	TAILQ_INIT(&server->to_touch);
	TAILQ_INIT(&server->joining);
	TAILQ_INIT(&server->to_snapshot);
	server->max_streams = fit_streams((unsigned)config->stream.max_streams);
	server->link = link_new(server->base, config, &presence_link_events, server);

	server->turn = event_new(server->base, -1, 0, on_turn, server);
	server->tick = evtimer_new(server->base, on_tick, server);
	server->accept_again = evtimer_new(server->base, on_accept_again, server);
	server->stop_now = evtimer_new(server->base, on_stop_now, server);
	for (size_t i = 0; i < SERVER_SIGNALS; i++) {
		server->signals[i] =
			evsignal_new(server->base, signals[i].number, signals[i].callback, server);
		event_add(server->signals[i], NULL);
	}
	server->directory_ready = event_new(server->base, directory_fd(directory),
					    EV_READ | EV_PERSIST, on_directory, server);
	event_add(server->directory_ready, NULL);

	evutil_make_socket_nonblocking(listen_fd);
	server->listener = evconnlistener_new(
		server->base, on_accept, server,
		LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_DISABLED, 0, listen_fd);
	evconnlistener_set_error_cb(server->listener, on_accept_error);
	return server;
}

void server_run(struct server *server)
{
	notify_manager("READY=1");
	link_start(server->link);
	set_timer(server->tick, SERVER_TICK_MS);
	/* The first clients wait in the socket until Redis answers, but no longer than for any command. */
	set_timer(server->accept_again, server->config->redis.timeout_ms);
	event_base_dispatch(server->base);
}

void server_free(struct server *server)
{
	struct event *events[] = {server->accept_again, server->tick, server->turn,
				  server->directory_ready, server->stop_now};
	struct stream *stream;

	server->draining = true;
	while ((stream = TAILQ_FIRST(&server->connections)) != NULL)
		stream_destroy(stream);
	link_free(server->link);
	hub_clear(&server->hub);
	presence_free(server);
	evconnlistener_free(server->listener);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		event_free(events[i]);
	for (size_t i = 0; i < SERVER_SIGNALS; i++)
		event_free(server->signals[i]);
	event_base_free(server->base);
	frame_unref(server->heartbeat);
	frame_unref(server->padding);
	slots_close(server->slots);
	printbuf_free(server->scratch);
	store_free(server->store);
	token_keys_free(server->keys);
	free(server);
}
