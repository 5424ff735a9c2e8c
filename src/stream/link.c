#include "stream/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "base/redis_url.h"
#include "base/times.h"
#include "store/connection.h"
#include "store/info.h"
#include "store/keys.h"
#include "store/layout.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/scripts.h"
#include "store/sentinel.h"
#include "store/store.h"
#include "stream/timer.h"

#define WATCHDOG_EARLY_MS 5 /* its timer may come so much before its time */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 700 /* or half a heartbeat, if that is less: see backoff_max() */

const struct state_names link_states = {"link", 4, {"WAITING", "CONNECTING", "HANDSHAKE", "UP"}};

struct pending {
	link_reply *done;
	void *arg;
	int64_t asked_ms;
};

/* One connection. */
struct wire {
	struct link *link;
	struct connection *connection; /* NULL while there is none */
	struct event *readable, *writable;
	bool is_ready;
};

struct link {
	struct event_base *base;
	const struct config *config;
	struct redis_url url;
	struct sentinel *sentinel; /* NULL: the URL names the server itself */
	struct search *search; /* of that; NULL: none is under way */
	struct event *step; /* of it */
	unsigned server; /* of the URL's */
	char *name; /* for the log: "redis", and where it is if there are several */
	char **prefixes; /* of the partitions that are there */
	unsigned prefix_count;
	bool is_sharded;
	struct link_events events;
	void *arg;
	struct wire commands, subscriber;
	enum link_state state;
	bool failing; /* the loss is noticed; `failed` carries it out */
	struct event *retry, *watchdog, *failed;
	int backoff_ms;
	char why[160]; /* of the loss that `failed` will carry out */
	char told_why[160]; /* the one logged last; "" once the link works again */

	struct pending *ring; /* commands without an answer, oldest at `first` */
	size_t first, count, capacity;
	unsigned setup_left; /* answers to the start of a connection still to come */
	char history[INFO_VALUE_SIZE]; /* replication.id as seen last; "" before */
	bool lacks_writes;
	unsigned greeted; /* answers to the greeting that have come */

	uint64_t subscribe_serial; /* of the last channel asked for */
	uint64_t subscribe_acked; /* of the last channel confirmed */
	/* Our own channel, without the prefix; each partition has one, the first is for the checks. */
	char self[sizeof CHANNEL_SELF + RANDOM_ID_LEN];
	int64_t ping_sent_ms; /* the health check without an answer: a PUBLISH to our own channel; 0 = none */
	int64_t watchdog_ms; /* when the watchdog ran last */
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_retry(evutil_socket_t fd, short what, void *arg);
static void on_watchdog(evutil_socket_t fd, short what, void *arg);
static void on_failed(evutil_socket_t fd, short what, void *arg);
static void on_search(evutil_socket_t fd, short what, void *arg);

static void set_state(struct link *link, enum link_state state)
{
	if (link->state != state)
		log_debug("%s: link %s -> %s", link->name, state_name(&link_states, link->state),
			  state_name(&link_states, state));
	link->state = state;
}

static void set_place(struct link *link, const struct link_place *place)
{
	struct printbuf *name = buf_new();

	redis_url_parse(link->config->redis.url, &link->url);
	link->server = place->server;
	link->is_sharded = place->is_sharded;
	link->prefix_count = place->count;
	link->prefixes = xcalloc(place->count, sizeof *link->prefixes);
	for (unsigned i = 0; i < place->count; i++)
		link->prefixes[i] = xstrdup(place->prefixes[i]);
	buf_puts(name, "redis");
	if (link->url.kind == REDIS_SERVERS && link->url.count > 1) {
		buf_puts(name, " ");
		redis_url_put_node(name, &link->url.nodes[place->server]);
	}
	link->name = buf_take(name, NULL);
}

struct link *link_new(struct event_base *base, const struct config *config,
		      const struct link_place *place, const struct link_events *events, void *arg)
{
	struct link *link = xcalloc(1, sizeof *link);
	char id[RANDOM_ID_LEN + 1];

	link->base = base;
	link->config = config;
	link->events = *events;
	link->arg = arg;
	link->commands.link = link->subscriber.link = link;
	link->backoff_ms = BACKOFF_FIRST_MS;
	set_place(link, place);
	if (link->url.kind == REDIS_SENTINEL)
		link->sentinel = sentinel_new(config, &link->url);
	random_id(id);
	strcpy(link->self, CHANNEL_SELF);
	strcat(link->self, id);
	link->retry = evtimer_new(base, on_retry, link);
	link->watchdog = evtimer_new(base, on_watchdog, link);
	link->failed = event_new(base, -1, 0, on_failed, link);
	return link;
}

static void forget_event(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

static void wire_close(struct wire *wire)
{
	forget_event(&wire->readable);
	forget_event(&wire->writable);
	connection_close(wire->connection);
	wire->connection = NULL;
	wire->is_ready = false;
}

static void end_search(struct link *link)
{
	forget_event(&link->step);
	if (link->search != NULL)
		search_stop(link->search);
	link->search = NULL;
}

static struct pending pop_pending(struct link *link)
{
	struct pending oldest = link->ring[link->first];

	link->first = (link->first + 1) % link->capacity;
	link->count--;
	return oldest;
}

static void drop_pending(struct link *link)
{
	while (link->count > 0) {
		struct pending lost = pop_pending(link);

		if (lost.done != NULL)
			lost.done(lost.arg, NULL);
	}
}

void link_free(struct link *link)
{
	if (link == NULL)
		return;
	drop_pending(link);
	end_search(link);
	wire_close(&link->commands);
	wire_close(&link->subscriber);
	event_free(link->retry);
	event_free(link->watchdog);
	event_free(link->failed);
	sentinel_free(link->sentinel);
	redis_url_free(&link->url);
	for (unsigned i = 0; i < link->prefix_count; i++)
		free(link->prefixes[i]);
	free(link->prefixes);
	free(link->name);
	free(link->ring);
	free(link);
}

bool link_is_up(const struct link *link)
{
	return link->state == LINK_UP;
}

enum link_state link_state(const struct link *link)
{
	return link->state;
}

bool link_lacks_writes(const struct link *link)
{
	return link->lacks_writes;
}

/* --- losing it ------------------------------------------------------------------------------- */

void link_lost(struct link *link, const char *why)
{
	if (link->failing)
		return;
	/* Carried out by an event of its own: whoever noticed may be deep in a callback. */
	link->failing = true;
	snprintf(link->why, sizeof link->why, "%s", why);
	event_active(link->failed, EV_TIMEOUT, 1);
}

/* Whether two reasons are one to whoever reads the log: an error of Redis by its code. */
static bool is_same_reason(const char *a, const char *b)
{
	size_t code = strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (code > 1 && a[code] == ' ')
		return strncmp(a, b, code + 1) == 0;
	return strcmp(a, b) == 0;
}

/* One line for each change: not for every attempt that fails in the same way. */
static void tell_loss(struct link *link)
{
	if (is_same_reason(link->why, link->told_why))
		return;
	log_warn("%s: %s", link->name, link->why);
	memcpy(link->told_why, link->why, sizeof link->told_why);
}

static void tell_success(struct link *link)
{
	struct printbuf *place = buf_new();

	/* Which one, where the configuration does not say. */
	if (link->sentinel != NULL) {
		buf_puts(place, " to ");
		redis_url_put_node(place, sentinel_primary(link->sentinel));
	}
	log_info("%s: connected%s", link->name, place->buf);
	printbuf_free(place);
	link->told_why[0] = '\0';
}

/* An outage reads the same whether a script met it or not: from its code on, without the script. */
static void lost_by_error(struct link *link, const redisReply *reply)
{
	static const char by_script[] = "ERR user_script:";
	const char *text = reply->str, *code = NULL;
	char *script;

	if (strncmp(text, by_script, sizeof by_script - 1) == 0)
		code = strstr(text + sizeof by_script - 1, ": ");
	link_lost(link, code != NULL ? code + 2 : text);
	script = strstr(link->why, " script: ");
	if (script != NULL)
		*script = '\0';
}

/*
 * After a pause, users with a stream are held online for a heartbeat and a
 * sweep: back by then, jitter included, or they are taken for gone. Where Redis
 * comes back without its data, whoever is back first keeps everybody else from
 * coming online for 1.2 s at least (common.lua): by then all others must be back,
 * who know which of their users are invisible.
 */
static int backoff_max(const struct link *link)
{
	int half = link->config->presence.heartbeat * 500;

	return half < BACKOFF_MAX_MS ? half : BACKOFF_MAX_MS;
}

static void on_failed(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	bool was_up = link_is_up(link);
	int64_t wait;

	(void)fd;
	(void)what;
	tell_loss(link);
	end_search(link);
	wire_close(&link->commands);
	wire_close(&link->subscriber);
	event_del(link->watchdog);
	set_state(link, LINK_WAITING);
	drop_pending(link);
	link->subscribe_acked = link->subscribe_serial;
	link->ping_sent_ms = 0;
	link->failing = false;
	if (was_up)
		link->events.down(link->arg);
	wait = link->backoff_ms / 2 + random_below((unsigned)link->backoff_ms);
	link->backoff_ms =
		link->backoff_ms * 2 < backoff_max(link) ? link->backoff_ms * 2 : backoff_max(link);
	timer_set(link->retry, wait);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void push_pending(struct link *link, link_reply *done, void *arg)
{
	if (link->count == link->capacity) {
		size_t capacity = link->capacity > 0 ? link->capacity * 2 : 64;
		struct pending *ring = xmalloc(capacity * sizeof *ring);

		for (size_t i = 0; i < link->count; i++)
			ring[i] = link->ring[(link->first + i) % link->capacity];
		free(link->ring);
		link->ring = ring;
		link->capacity = capacity;
		link->first = 0;
	}
	link->ring[(link->first + link->count) % link->capacity] =
		(struct pending){.done = done, .arg = arg, .asked_ms = times_mono_ms()};
	link->count++;
}

static void append(struct wire *wire, const struct printbuf *bytes)
{
	connection_put(wire->connection, bytes->buf, buf_len(bytes));
}

void link_command(struct link *link, const struct printbuf *command, link_reply *done, void *arg)
{
	push_pending(link, done, arg);
	append(&link->commands, command);
	if (link->count > LINK_PENDING_MAX)
		link_lost(link, "too many commands without an answer");
	link->events.pending(link->arg);
}

static void put_channels(struct link *link, const char *command, const char *prefix,
			 const char *const *channels, size_t count)
{
	struct printbuf *out = buf_new();

	resp_begin(out, (unsigned)(1 + count));
	resp_text(out, command);
	for (size_t i = 0; i < count; i++)
		resp_key(out, prefix, channels[i], "");
	append(&link->subscriber, out);
	printbuf_free(out);
	link->events.pending(link->arg);
}

uint64_t link_subscribe(struct link *link, const char *prefix, const char *const *channels,
			size_t count)
{
	put_channels(link, link->is_sharded ? "SSUBSCRIBE" : "SUBSCRIBE", prefix, channels, count);
	link->subscribe_serial += count;
	return link->subscribe_serial;
}

uint64_t link_serial(const struct link *link)
{
	return link->subscribe_serial;
}

uint64_t link_acked(const struct link *link)
{
	return link->subscribe_acked;
}

void link_unsubscribe(struct link *link, const char *prefix, const char *const *channels,
		      size_t count)
{
	put_channels(link, link->is_sharded ? "SUNSUBSCRIBE" : "UNSUBSCRIBE", prefix, channels,
		     count);
}

static void wire_flush(struct wire *wire)
{
	if (!wire->is_ready || wire->link->failing)
		return;
	if (!connection_flush(wire->connection))
		link_lost(wire->link, connection_error(wire->connection));
	else if (connection_has_output(wire->connection))
		event_add(wire->writable, NULL);
}

void link_flush(struct link *link)
{
	wire_flush(&link->commands);
	wire_flush(&link->subscriber);
}

/* --- connecting ------------------------------------------------------------------------------ */

static void on_handshake_done(struct link *link)
{
	set_state(link, LINK_UP);
	link->ping_sent_ms = 0;
	/* After a loss it first has to work for a while: see on_pong(). */
	if (link->told_why[0] == '\0')
		tell_success(link);
	link->events.up(link->arg);
}

static void on_setup_reply(void *arg, const redisReply *reply)
{
	struct link *link = arg;

	if (reply == NULL || link->failing)
		return;
	if (reply->type == REDIS_REPLY_ERROR)
		lost_by_error(link, reply);
	else if (--link->setup_left == 0)
		on_handshake_done(link);
}

static void on_greeting(void *arg, const redisReply *reply)
{
	struct link *link = arg;
	const char *why = NULL;

	if (reply != NULL && reply->type != REDIS_REPLY_ERROR && !link->failing)
		why = link->events.read_greeting(link->arg, link->greeted++, reply);
	if (why != NULL)
		link_lost(link, why);
	on_setup_reply(arg, reply);
}

/* The server that is, or is to be, connected. */
static const struct redis_address *server_of(const struct link *link)
{
	return link->sentinel != NULL ? sentinel_primary(link->sentinel)
				      : &link->url.nodes[link->server];
}

/* Whether it is the primary, and has all that its predecessor or its former self had. */
static void on_replication(void *arg, const redisReply *reply)
{
	struct link *link = arg;
	struct replication seen;

	if (reply == NULL || link->failing)
		return;
	if (reply->type != REDIS_REPLY_ERROR && !info_read_replication(reply, &seen)) {
		link_lost(link, "unexpected reply");
	} else if (reply->type != REDIS_REPLY_ERROR) {
		if (!seen.is_primary)
			link_lost(link, "READONLY: it is a replica, not the primary");
		link->lacks_writes =
			link->history[0] != '\0' && strcmp(link->history, seen.id) != 0;
		memcpy(link->history, seen.id, sizeof link->history);
	}
	on_setup_reply(arg, reply);
}

/*
 * AUTH, SELECT, INFO replication, SCRIPT LOAD, SUBSCRIBE and the greeting, whose
 * answer comes last: then the link is up.
 */
static void start_handshake(struct link *link)
{
	struct printbuf *out = buf_new();
	unsigned count = resp_greeting(out, server_of(link));
	const char *self = link->self;
	unsigned scripts, greetings;

	set_state(link, LINK_HANDSHAKE);
	/* What the subscriber says first is answered before its first subscription is: see on_push(). */
	append(&link->subscriber, out);
	for (unsigned i = 0; i < link->prefix_count; i++)
		link_subscribe(link, link->prefixes[i], &self, 1);

	for (unsigned i = 0; i < count; i++)
		push_pending(link, on_setup_reply, link);
	info_put_replication(out);
	push_pending(link, on_replication, link);
	scripts = scripts_put_load(out);
	for (unsigned i = 0; i < scripts; i++)
		push_pending(link, on_setup_reply, link);
	greetings = link->events.put_greeting(link->arg, out);
	for (unsigned i = 0; i < greetings; i++)
		push_pending(link, on_greeting, link);
	append(&link->commands, out);
	link->greeted = 0;
	link->setup_left = link->prefix_count + count + 1 + scripts + greetings;
	printbuf_free(out);
	link_flush(link);
}

static bool wire_open(struct wire *wire)
{
	struct link *link = wire->link;
	int fd;

	wire->connection = connection_open(link->config, server_of(link));
	fd = connection_fd(wire->connection);
	if (fd < 0) {
		link_lost(link, connection_error(wire->connection));
		return false;
	}
	wire->readable = event_new(link->base, fd, EV_READ | EV_PERSIST, on_readable, wire);
	wire->writable = event_new(link->base, fd, EV_WRITE, on_writable, wire);
	event_add(wire->writable, NULL);
	return true;
}

static void open_wires(struct link *link)
{
	if (wire_open(&link->commands))
		wire_open(&link->subscriber);
}

/* Waits for the next step of the search, or ends it. */
static void follow_search(struct link *link, enum search_state state)
{
	forget_event(&link->step);
	switch (state) {
	case SEARCH_FAILED:
		link_lost(link, search_error(link->search));
		break;
	case SEARCH_FOUND:
		open_wires(link);
		break;
	case SEARCH_ASKING:
		link->step = event_new(link->base, search_fd(link->search),
				       search_wants_write(link->search) ? EV_WRITE : EV_READ,
				       on_search, link);
		timer_set(link->step, search_left_ms(link->search));
		break;
	}
}

static void on_search(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;

	(void)fd;
	(void)what;
	if (!link->failing)
		follow_search(link, search_proceed(link->search));
}

void link_start(struct link *link)
{
	set_state(link, LINK_CONNECTING);
	/* Until it is up, the whole way there is what the watchdog waits for. */
	link->watchdog_ms = link->ping_sent_ms = times_mono_ms();
	timer_set(link->watchdog, link->config->redis.timeout_ms / 2);
	if (link->sentinel == NULL) {
		open_wires(link);
		return;
	}
	link->search = sentinel_search(link->sentinel);
	follow_search(link, search_begin(link->search));
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	link_start(arg);
}

/* One step on the way to a connection: see connection_proceed(). */
static void wire_proceed(struct wire *wire)
{
	struct link *link = wire->link;

	switch (connection_proceed(wire->connection)) {
	case CONNECTION_LOST:
		link_lost(link, connection_error(wire->connection));
		return;
	case CONNECTION_STARTING:
		if (connection_wants_write(wire->connection))
			event_add(wire->writable, NULL);
		break;
	case CONNECTION_READY:
		wire->is_ready = true;
		break;
	}
	event_add(wire->readable, NULL);
	if (link->commands.is_ready && link->subscriber.is_ready)
		start_handshake(link);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct wire *wire = arg;

	(void)fd;
	(void)what;
	if (wire->link->failing)
		return;
	if (wire->is_ready)
		wire_flush(wire);
	else
		wire_proceed(wire);
}

/* --- answers --------------------------------------------------------------------------------- */

static void on_answer(struct link *link, const redisReply *reply)
{
	struct pending asked;

	if (reply->type == REDIS_REPLY_ERROR && (link->count == 0 || store_is_outage(reply))) {
		lost_by_error(link, reply);
		return;
	}
	if (link->count == 0) {
		link_lost(link, "unexpected reply");
		return;
	}
	asked = pop_pending(link);
	if (asked.done != NULL)
		asked.done(asked.arg, reply);
}

static bool is_text(const redisReply *reply, const char *text)
{
	return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, text) == 0;
}

/* Everything asked for before the check was answered, and no answer was an outage. */
static void on_pong(struct link *link)
{
	link->ping_sent_ms = 0;
	link->backoff_ms = BACKOFF_FIRST_MS;
	if (link->told_why[0] != '\0')
		tell_success(link);
}

static void on_message(struct link *link, const redisReply *channel, const redisReply *text)
{
	const char *name;

	if (channel->type != REDIS_REPLY_STRING || text->type != REDIS_REPLY_STRING)
		return;
	name = layout_name((unsigned)link->config->redis.partitions, link->config->redis.prefix,
			   channel->str);
	if (name == NULL)
		return;
	if (strcmp(name, link->self) == 0)
		on_pong(link);
	else if (link_is_up(link))
		link->events.message(link->arg, name, text->str, text->len);
}

static void on_push(struct link *link, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR) {
		lost_by_error(link, reply);
	} else if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
		return; /* the OK of AUTH or SELECT */
	} else if (is_text(reply->element[0], link->is_sharded ? "smessage" : "message")) {
		on_message(link, reply->element[1], reply->element[2]);
	} else if (is_text(reply->element[0], link->is_sharded ? "ssubscribe" : "subscribe")) {
		link->subscribe_acked++;
		if (link_is_up(link))
			link->events.subscribed(link->arg);
		else
			on_setup_reply(link, reply);
	}
}

/* One read of at most 16 KB a turn, so that what it causes is sent before the next. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct wire *wire = arg;
	struct link *link = wire->link;

	(void)fd;
	(void)what;
	if (link->failing)
		return;
	if (!wire->is_ready) {
		wire_proceed(wire);
		return;
	}
	if (!connection_read(wire->connection)) {
		link_lost(link, connection_error(wire->connection));
		return;
	}
	while (!link->failing) {
		redisReply *reply;

		if (!connection_take(wire->connection, &reply)) {
			link_lost(link, connection_error(wire->connection));
			return;
		}
		if (reply == NULL)
			return;
		if (wire == &link->commands)
			on_answer(link, reply);
		else
			on_push(link, reply);
		reply_free(reply);
	}
}

/* --- the watchdog ---------------------------------------------------------------------------- */

static void ping(struct link *link, int64_t now)
{
	struct printbuf *out = buf_new();

	resp_begin(out, 3);
	resp_text(out, link->is_sharded ? "SPUBLISH" : "PUBLISH");
	resp_key(out, link->prefixes[0], link->self, "");
	resp_text(out, "1");
	link->ping_sent_ms = now;
	link_command(link, out, NULL, NULL);
	printbuf_free(out);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	int64_t now = times_mono_ms(), timeout = link->config->redis.timeout_ms;
	/* When this process itself stood still, the answers may be here, unread. */
	bool late = now - link->watchdog_ms > timeout;
	int64_t due = now - timeout + WATCHDOG_EARLY_MS; /* what was asked until then */

	(void)fd;
	(void)what;
	if (link->failing)
		return;
	link->watchdog_ms = now;
	if (!late && ((link->count > 0 && link->ring[link->first].asked_ms <= due) ||
		      (link->ping_sent_ms != 0 && link->ping_sent_ms <= due))) {
		link_lost(link, "no answer in time");
		return;
	}
	if (link_is_up(link) && link->ping_sent_ms == 0)
		ping(link, now);
	timer_set(link->watchdog, times_to_grid_ms(now, timeout / 2));
}
