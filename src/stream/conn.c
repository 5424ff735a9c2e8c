#include "stream/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/times.h"

#define READ_SIZE 16384

const struct state_names conn_states = {
	"connection",
	7,
	{"READING", "REQUEST", "ANSWERING", "ABORTED", "HALF_CLOSED", "ENDING", "DEAD"},
};
const struct state_names conn_outputs = {"output", 3, {"IDLE", "DUE", "BLOCKED"}};

static void on_io(evutil_socket_t fd, short what, void *arg);

static void set_state(struct conn *conn, enum conn_state state)
{
	state_moved(&conn_states, conn->owner, conn->state, state);
	conn->state = state;
	turn_mark(&conn->all->context->turn, conn->owner);
}

static void watch(struct conn *conn, short what)
{
	if (event_initialized(&conn->io))
		event_del(&conn->io);
	event_assign(&conn->io, conn->all->context->base, conn->fd, what | EV_PERSIST, on_io, conn);
	event_add(&conn->io, NULL);
}

/* IDLE and DUE alternate with each delivery: only what touches BLOCKED is told in the log. */
static void set_output(struct conn *conn, enum conn_output output)
{
	enum conn_output before = conn->output;

	if (before == output)
		return;
	conn->output = output;
	if (before == OUTPUT_DUE)
		TAILQ_REMOVE(&conn->all->due, conn, link);
	if (output == OUTPUT_DUE) {
		TAILQ_INSERT_TAIL(&conn->all->due, conn, link);
		turn_schedule(&conn->all->context->turn);
	}
	if (before != OUTPUT_BLOCKED && output != OUTPUT_BLOCKED)
		return;
	state_moved(&conn_outputs, conn->owner, before, output);
	watch(conn, output == OUTPUT_BLOCKED ? EV_READ | EV_WRITE : EV_READ);
}

/* --- birth and death ------------------------------------------------------------------------- */

void conns_init(struct conns *all, struct context *context)
{
	all->context = context;
	TAILQ_INIT(&all->due);
}

void conn_open(struct conns *all, struct conn *conn, struct due *owner, int fd)
{
	memset(conn, 0, sizeof *conn);
	conn->all = all;
	conn->owner = owner;
	conn->fd = fd;
	fcgi_conn_init(&conn->fcgi);
	watch(conn, EV_READ);
	all->count++;
}

void conn_close(struct conn *conn)
{
	if (conn->output == OUTPUT_DUE)
		TAILQ_REMOVE(&conn->all->due, conn, link);
	outbox_clear(&conn->outbox);
	fcgi_conn_clear(&conn->fcgi);
	event_del(&conn->io);
	close(conn->fd);
	conn->all->count--;
}

/* --- writing --------------------------------------------------------------------------------- */

static void push(struct conn *conn, struct frame *frame)
{
	outbox_push(&conn->outbox, frame);
	if (conn->output == OUTPUT_IDLE)
		set_output(conn, OUTPUT_DUE);
}

void conn_send(struct conn *conn, struct frame *frame)
{
	if (conn->state == CONN_DEAD)
		return;
	conn->needs_padding = true;
	push(conn, frame);
}

void conn_send_all(struct conn *conn, struct outbox *frames)
{
	if (frames->count == 0 || conn->state == CONN_DEAD)
		return;
	conn->needs_padding = true;
	outbox_move(&conn->outbox, frames);
	if (conn->output == OUTPUT_IDLE)
		set_output(conn, OUTPUT_DUE);
}

static enum outbox_result send_outbox(struct conn *conn, bool *progress)
{
	return outbox_send(&conn->outbox, conn->fd, conn->fcgi.request_id, progress);
}

/*
 * The outbox is empty: padding pushes what was sent out of a web server that collects some
 * bytes first. Only now, so that no more than one padding ever waits, as the first frame.
 */
static enum outbox_result send_padding(struct conn *conn, bool *progress)
{
	struct frame *padding = conn->all->context->events.padding;

	if (padding == NULL || !conn->needs_padding || conn->state != CONN_ANSWERING)
		return OUTBOX_EMPTY;
	conn->needs_padding = false;
	outbox_push(&conn->outbox, padding);
	return send_outbox(conn, progress);
}

/* Everything up to END_REQUEST is sent. */
static void end_sent(struct conn *conn)
{
	if (conn->fcgi.keep_conn && !conn->all->context->draining) {
		fcgi_conn_finish(&conn->fcgi);
		set_state(conn, CONN_READING);
	} else if (conn->fcgi.request_id == 0 || conn->fcgi.stdin_done) {
		/* A web server that is still writing the request would take a closed connection
		 * for an error and drop our answer. */
		set_state(conn, CONN_DEAD);
	}
}

/* Sends what the socket takes, and notes how that leaves the connection. */
static void write_out(struct conn *conn)
{
	bool was_blocked = conn->output == OUTPUT_BLOCKED, progress;
	enum outbox_result result = send_outbox(conn, &progress);

	if (result == OUTBOX_EMPTY)
		result = send_padding(conn, &progress);
	set_output(conn, result == OUTBOX_BLOCKED ? OUTPUT_BLOCKED : OUTPUT_IDLE);
	if (result == OUTBOX_ERROR) {
		set_state(conn, CONN_DEAD);
	} else if (result == OUTBOX_BLOCKED) {
		if (progress || !was_blocked)
			conn->progress_ms = times_mono_ms();
	} else {
		conn->reply_bytes = 0;
		if (was_blocked)
			turn_mark(&conn->all->context->turn, conn->owner);
		if (conn->state == CONN_ENDING)
			end_sent(conn);
	}
}

void conn_write_now(struct conn *conn)
{
	if (conn->state != CONN_DEAD && conn->output != OUTPUT_BLOCKED)
		write_out(conn);
}

void conns_flush(struct conns *all)
{
	struct conn *conn;

	while ((conn = TAILQ_FIRST(&all->due)) != NULL) {
		if (conn->state == CONN_DEAD)
			set_output(conn, OUTPUT_IDLE);
		else
			write_out(conn);
	}
}

void conn_end_request(struct conn *conn)
{
	struct printbuf *end = conn->all->context->scratch;
	struct frame *frame;

	if (conn->state == CONN_DEAD)
		return;
	if (conn->state == CONN_HALF_CLOSED)
		conn->fcgi.keep_conn = false;
	buf_reset(end);
	fcgi_put_end(end, conn->fcgi.request_id);
	frame = frame_of_records(end->buf, buf_len(end));
	push(conn, frame);
	frame_unref(frame);
	set_state(conn, CONN_ENDING);
}

unsigned conn_drop_unsent(struct conn *conn)
{
	return outbox_drop_unsent(&conn->outbox);
}

void conn_drop_fleeting(struct conn *conn)
{
	outbox_drop_fleeting(&conn->outbox);
}

size_t conn_waiting(const struct conn *conn)
{
	const struct frame *padding = conn->all->context->events.padding;
	size_t waiting = conn->outbox.bytes;

	if (padding != NULL)
		waiting -= outbox_left_of_first(&conn->outbox, padding);
	return waiting;
}

bool conn_is_kept(const struct conn *conn)
{
	const struct fcgi_conn *fcgi = &conn->fcgi;
	bool is_between = (fcgi->state == FCGI_STATE_HEADER && fcgi->have == 0) ||
			  (fcgi->state == FCGI_STATE_PADDING && fcgi->padding == 0);

	return conn->state == CONN_READING && fcgi->keep_conn && fcgi->request_id == 0 &&
	       is_between;
}

bool conn_is_blocked(const struct conn *conn)
{
	return conn->output == OUTPUT_BLOCKED;
}

bool conn_is_idle(const struct conn *conn)
{
	return !conn_is_blocked(conn) && conn->outbox.count == 0;
}

/* --- reading --------------------------------------------------------------------------------- */

char **conn_take_request(struct conn *conn)
{
	set_state(conn, CONN_ANSWERING);
	return fcgi_conn_take_params(&conn->fcgi);
}

/* What the protocol itself answers. False: the peer asks and asks and reads nothing. */
static bool reply(struct conn *conn, const struct printbuf *records)
{
	struct frame *frame;

	if (buf_len(records) == 0)
		return true;
	conn->reply_bytes += (unsigned)buf_len(records);
	if (conn->reply_bytes > FCGI_PARAMS_LIMIT)
		return false;
	frame = frame_of_records(records->buf, buf_len(records));
	push(conn, frame);
	frame_unref(frame);
	return true;
}

static void on_event(struct conn *conn, enum fcgi_event event)
{
	switch (event) {
	case FCGI_EVENT_MORE:
		break;
	case FCGI_EVENT_REQUEST:
		set_state(conn, conn->state == CONN_READING ? CONN_REQUEST : CONN_DEAD);
		break;
	case FCGI_EVENT_ABORT:
		if (conn->state != CONN_ENDING)
			set_state(conn, CONN_ABORTED);
		break;
	case FCGI_EVENT_CLOSE:
		conn->fcgi.keep_conn = false;
		set_state(conn, CONN_ENDING);
		break;
	case FCGI_EVENT_BROKEN:
		set_state(conn, CONN_DEAD);
		break;
	}
	/* The web server has written all of the request: what waited for that may go on. */
	if (conn->state == CONN_ENDING && conn->output == OUTPUT_IDLE)
		set_output(conn, OUTPUT_DUE);
}

static void feed(struct conn *conn, const uint8_t *data, size_t len)
{
	struct printbuf *records = conn->all->context->scratch;
	enum fcgi_event event = FCGI_EVENT_MORE;
	size_t used = 0;

	while (used < len && conn->state != CONN_DEAD && event != FCGI_EVENT_CLOSE) {
		size_t step = 0;

		buf_reset(records);
		event = fcgi_conn_feed(&conn->fcgi, conn->all->max_streams, data + used, len - used,
				       &step, records);
		used += step;
		if (!reply(conn, records))
			event = FCGI_EVENT_BROKEN;
		on_event(conn, event);
	}
}

static void read_in(struct conn *conn)
{
	static uint8_t data[READ_SIZE];
	ssize_t len = recv(conn->fd, data, sizeof data, 0);

	if (len > 0)
		feed(conn, data, (size_t)len);
	else if (len == 0)
		set_state(conn, conn->state == CONN_ANSWERING ? CONN_HALF_CLOSED : CONN_DEAD);
	else if (errno != EAGAIN && errno != EINTR)
		set_state(conn, CONN_DEAD);
}

void conn_read_now(struct conn *conn)
{
	if (conn->state != CONN_DEAD)
		read_in(conn);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	if ((what & EV_READ) != 0)
		conn_read_now(conn);
	if ((what & EV_WRITE) != 0 && conn->state != CONN_DEAD)
		write_out(conn);
}
