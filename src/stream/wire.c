#include "stream/wire.h"

#include <string.h>

#include "store/connection.h"
#include "store/reply.h"

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

void wire_init(struct wire *wire, struct event_base *base, const struct wire_events *events,
	       void *arg)
{
	memset(wire, 0, sizeof *wire);
	wire->base = base;
	wire->events = events;
	wire->arg = arg;
}

void wire_stop(struct wire *wire)
{
	wire->is_stopped = true;
}

static void lose(struct wire *wire)
{
	wire->is_stopped = true;
	wire->events->lost(wire->arg, connection_error(wire->connection));
}

void wire_open(struct wire *wire, const struct config *config, const struct redis_address *address)
{
	int fd;

	wire->is_stopped = false;
	wire->connection = connection_open(config, address);
	fd = connection_fd(wire->connection);
	if (fd < 0) {
		lose(wire);
		return;
	}
	wire->readable = event_new(wire->base, fd, EV_READ | EV_PERSIST, on_readable, wire);
	wire->writable = event_new(wire->base, fd, EV_WRITE, on_writable, wire);
	event_add(wire->writable, NULL);
}

static void forget_event(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

void wire_close(struct wire *wire)
{
	forget_event(&wire->readable);
	forget_event(&wire->writable);
	connection_close(wire->connection);
	wire->connection = NULL;
	wire->is_ready = false;
}

void wire_put(struct wire *wire, const struct printbuf *bytes)
{
	connection_put(wire->connection, bytes->buf, buf_len(bytes));
}

void wire_flush(struct wire *wire)
{
	if (!wire->is_ready || wire->is_stopped)
		return;
	if (!connection_flush(wire->connection))
		lose(wire);
	else if (connection_has_output(wire->connection))
		event_add(wire->writable, NULL);
}

/* One step on the way to a connection: see connection_proceed(). */
static void proceed(struct wire *wire)
{
	switch (connection_proceed(wire->connection)) {
	case CONNECTION_LOST:
		lose(wire);
		return;
	case CONNECTION_STARTING:
		if (connection_wants_write(wire->connection))
			event_add(wire->writable, NULL);
		event_add(wire->readable, NULL);
		return;
	case CONNECTION_READY:
		wire->is_ready = true;
		event_add(wire->readable, NULL);
		wire->events->ready(wire->arg);
		return;
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct wire *wire = arg;

	(void)fd;
	(void)what;
	if (wire->is_stopped)
		return;
	if (wire->is_ready)
		wire_flush(wire);
	else
		proceed(wire);
}

/* One read of at most 16 KB a turn, so that what it causes is sent before the next. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct wire *wire = arg;

	(void)fd;
	(void)what;
	if (wire->is_stopped)
		return;
	if (!wire->is_ready) {
		proceed(wire);
		return;
	}
	if (!connection_read(wire->connection)) {
		lose(wire);
		return;
	}
	while (!wire->is_stopped) {
		redisReply *reply;

		if (!connection_take(wire->connection, &reply)) {
			lose(wire);
			return;
		}
		if (reply == NULL)
			return;
		wire->events->reply(wire->arg, reply);
		reply_free(reply);
	}
}
