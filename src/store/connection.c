#include "store/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/times.h"
#include "base/tls.h"
#include "store/reply.h"

#define READ_MAX 16384
/* A peer that is gone is noticed after IDLE + COUNT × INTERVAL seconds. */
#define KEEPALIVE_IDLE 15
#define KEEPALIVE_INTERVAL 5
#define KEEPALIVE_COUNT 3

struct connection {
	enum connection_state state;
	int fd; /* -1: none */
	bool is_connected; /* the socket; TLS may still be under way */
	bool is_blocking;
	bool is_unix;
	bool had_no_peer;
	bool has_read; /* something came from Redis, not from TLS alone */
	struct tls *tls; /* NULL: none */
	struct printbuf *plain; /* to be encrypted at the next flush; only with TLS */
	struct printbuf *out; /* for the socket, of which `sent` bytes are gone */
	size_t sent;
	redisReader *reader;
	char error[256];
};

static struct tls_files files_of(const struct config *config)
{
	return (struct tls_files){config->redis.tls_ca, config->redis.tls_cert,
				  config->redis.tls_key};
}

bool connection_check_config(const struct config *config, char *why, size_t size)
{
	struct tls_files files = files_of(config);
	struct redis_url url;
	bool ok = true;

	redis_url_parse(config->redis.url, &url); /* the configuration checked it */
	for (size_t i = 0; ok && i < url.count; i++)
		ok = !url.nodes[i].tls || tls_check(&files, why, size);
	redis_url_free(&url);
	return ok;
}

static bool lose(struct connection *connection, const char *why)
{
	connection->state = CONNECTION_LOST;
	snprintf(connection->error, sizeof connection->error, "%s", why);
	return false;
}

int connection_fd(const struct connection *connection)
{
	return connection->fd;
}

const char *connection_error(const struct connection *connection)
{
	return connection->error;
}

/* --- connecting ------------------------------------------------------------------------------ */

static bool start(struct connection *connection, const struct sockaddr *name, socklen_t len)
{
	connection->fd = socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return (connection->fd >= 0 &&
		(connect(connection->fd, name, len) == 0 || errno == EINPROGRESS)) ||
	       lose(connection, strerror(errno));
}

/* There is no way in between: it is connected, or refused. */
static void start_unix(struct connection *connection, const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	connection->is_unix = true;
	memcpy(name.sun_path, path,
	       strlen(path) + 1); /* redis_url_parse() has looked at its length */
	if (start(connection, (const struct sockaddr *)&name, sizeof name))
		connection->state = CONNECTION_READY;
}

static void set_option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof value);
}

static void start_tcp(struct connection *connection, const struct redis_address *address)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
	char port[8];
	int failed;

	/* IPv4 first: of "localhost" a Redis may listen on that alone. */
	snprintf(port, sizeof port, "%d", address->port);
	failed = getaddrinfo(address->host, port, &hints, &found);
	if (failed != 0) {
		hints.ai_family = AF_INET6;
		failed = getaddrinfo(address->host, port, &hints, &found);
	}
	if (failed != 0) {
		lose(connection, gai_strerror(failed));
		return;
	}
	if (start(connection, found->ai_addr, found->ai_addrlen)) {
		set_option(connection->fd, IPPROTO_TCP, TCP_NODELAY, 1);
		set_option(connection->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		set_option(connection->fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
		set_option(connection->fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
		set_option(connection->fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	}
	freeaddrinfo(found);
}

static bool start_tls(struct connection *connection, const struct config *config, const char *host)
{
	struct tls_files files = files_of(config);
	char why[sizeof connection->error];

	connection->plain = buf_new();
	connection->tls = tls_new(&files, host, why, sizeof why);
	return connection->tls != NULL || lose(connection, why);
}

struct connection *connection_open(const struct config *config, const struct redis_address *address)
{
	struct connection *connection = xcalloc(1, sizeof *connection);

	connection->fd = -1;
	connection->out = buf_new();
	connection->reader = reply_reader_new();
	if (connection->reader == NULL)
		lose(connection, "out of memory");
	else if (address->path != NULL)
		start_unix(connection, address->path);
	else if (!address->tls || start_tls(connection, config, address->host))
		start_tcp(connection, address);
	return connection;
}

/*
 * What has not reached the server by now must not do so later: its caller has been told that it was not done. The
 * kernel would go on sending it for minutes after close(), and the end of a cut would have it done.
 */
static void withdraw(const struct connection *connection)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	int waiting = 0;

	if (connection->fd >= 0 && ioctl(connection->fd, SIOCOUTQ, &waiting) == 0 && waiting > 0)
		setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void connection_close(struct connection *connection)
{
	if (connection == NULL)
		return;
	withdraw(connection);
	if (connection->tls != NULL && connection->state == CONNECTION_READY &&
	    !connection_has_output(connection)) {
		tls_close(connection->tls, connection->out);
		send(connection->fd, connection->out->buf + connection->sent,
		     buf_len(connection->out) - connection->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (connection->fd >= 0)
		close(connection->fd);
	if (connection->reader != NULL)
		redisReaderFree(connection->reader);
	tls_free(connection->tls);
	if (connection->plain != NULL)
		printbuf_free(connection->plain);
	printbuf_free(connection->out);
	free(connection);
}

static bool check_connected(struct connection *connection)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	connection->is_connected = error == 0;
	return connection->is_connected || lose(connection, strerror(error));
}

/* --- the socket ------------------------------------------------------------------------------ */

/* Whether a call that failed may be tried again when the socket is ready, or at once. */
static bool may_try_again(const struct connection *connection)
{
	return errno == EINTR ||
	       (!connection->is_blocking && (errno == EAGAIN || errno == EWOULDBLOCK));
}

/* The peer has closed; its reason may be lost with what we had sent. */
static bool lose_to_peer(struct connection *connection, const char *why)
{
	bool lacks = !connection->has_read && connection->tls != NULL &&
		     tls_lacks_certificate(connection->tls);

	return lose(connection,
		    lacks ? "TLS: the server asks for a certificate: redis.tls_cert" : why);
}

static bool lose_by_errno(struct connection *connection)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? lose(connection, "no answer in time")
						       : lose_to_peer(connection, strerror(errno));
}

/* Sends what is in `out`. */
static bool send_out(struct connection *connection)
{
	while (connection->sent < buf_len(connection->out)) {
		ssize_t sent = send(connection->fd, connection->out->buf + connection->sent,
				    buf_len(connection->out) - connection->sent, MSG_NOSIGNAL);

		if (sent < 0 && !may_try_again(connection)) {
			connection->had_no_peer =
				connection->sent == 0 && (errno == EPIPE || errno == ECONNRESET);
			return lose_by_errno(connection);
		}
		if (sent < 0 && errno != EINTR)
			return true;
		connection->sent += sent > 0 ? (size_t)sent : 0;
	}
	buf_release(connection->out);
	connection->sent = 0;
	return true;
}

/* One read: how many bytes, 0 when there are none yet, -1 when the connection is lost. */
static ssize_t receive(struct connection *connection, char data[READ_MAX])
{
	ssize_t got = read(connection->fd, data, READ_MAX);

	if (got > 0 || (got < 0 && may_try_again(connection)))
		return got > 0 ? got : 0;
	if (got == 0)
		lose_to_peer(connection, "Server closed the connection");
	else
		lose_by_errno(connection);
	return -1;
}

/* --- TLS ------------------------------------------------------------------------------------- */

/* One step: what has come, and the answer to it. */
static bool shake_hands(struct connection *connection)
{
	char data[READ_MAX];
	ssize_t got = receive(connection, data);
	enum tls_progress progress;

	if (got < 0)
		return false;
	tls_feed(connection->tls, data, (size_t)got);
	progress = tls_handshake(connection->tls, connection->out);
	if (!send_out(connection))
		return false;
	if (progress == TLS_FAILED)
		return lose(connection, tls_error(connection->tls));
	if (progress == TLS_DONE)
		connection->state = CONNECTION_READY;
	return true;
}

static bool feed_reader(struct connection *connection, const char *data, size_t len)
{
	connection->has_read = true;
	return redisReaderFeed(connection->reader, data, len) == REDIS_OK ||
	       lose(connection, connection->reader->errstr);
}

static bool decrypt(struct connection *connection, char data[READ_MAX], size_t len)
{
	ssize_t got;

	tls_feed(connection->tls, data, len);
	do {
		got = tls_read(connection->tls, data, READ_MAX, connection->out);
		if (got < 0)
			return lose_to_peer(connection, tls_error(connection->tls));
		if (got > 0 && !feed_reader(connection, data, (size_t)got))
			return false;
	} while (got > 0);
	return true;
}

/* --- what the owner calls -------------------------------------------------------------------- */

enum connection_state connection_proceed(struct connection *connection)
{
	if (connection->state == CONNECTION_STARTING &&
	    (connection->is_connected || check_connected(connection))) {
		if (connection->tls != NULL)
			shake_hands(connection);
		else
			connection->state = CONNECTION_READY;
	}
	return connection->state;
}

bool connection_wants_write(const struct connection *connection)
{
	return (connection->state == CONNECTION_STARTING && !connection->is_connected) ||
	       connection_has_output(connection);
}

void connection_set_timeout(struct connection *connection, int timeout_ms)
{
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000L};

	setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

bool connection_wait(struct connection *connection, int timeout_ms)
{
	int64_t end = times_mono_ms() + timeout_ms;

	while (connection->state == CONNECTION_STARTING) {
		struct pollfd ready = {connection->fd,
				       connection_wants_write(connection) ? POLLOUT : POLLIN, 0};
		int64_t left = end - times_mono_ms();

		/* A Redis that speaks no TLS waits for the end of our first words. */
		if (poll(&ready, 1, left > 0 ? (int)left : 0) == 0)
			return lose(connection, connection->is_connected ? "TLS: no answer in time"
									 : strerror(ETIMEDOUT));
		connection_proceed(connection);
	}
	if (connection->state == CONNECTION_LOST)
		return false;
	fcntl(connection->fd, F_SETFL, 0);
	connection->is_blocking = true;
	connection_set_timeout(connection, timeout_ms);
	return true;
}

void connection_put(struct connection *connection, const void *data, size_t len)
{
	buf_put(connection->tls != NULL ? connection->plain : connection->out, data, len);
}

bool connection_has_output(const struct connection *connection)
{
	return buf_len(connection->out) > 0 ||
	       (connection->plain != NULL && buf_len(connection->plain) > 0);
}

bool connection_flush(struct connection *connection)
{
	struct printbuf *plain = connection->plain;

	if (connection->tls != NULL && buf_len(plain) > 0) {
		if (!tls_write(connection->tls, plain->buf, buf_len(plain), connection->out))
			return lose(connection, tls_error(connection->tls));
		buf_release(plain);
	}
	return send_out(connection);
}

bool connection_read(struct connection *connection)
{
	char data[READ_MAX];
	ssize_t got = receive(connection, data);

	if (got <= 0)
		return got == 0;
	return connection->tls != NULL ? decrypt(connection, data, (size_t)got)
				       : feed_reader(connection, data, (size_t)got);
}

bool connection_take(struct connection *connection, redisReply **reply)
{
	*reply = NULL;
	return redisReaderGetReply(connection->reader, (void **)reply) == REDIS_OK ||
	       lose(connection, connection->reader->errstr);
}

bool connection_was_left(const struct connection *connection)
{
	struct pollfd idle = {.fd = connection->fd, .events = POLLIN};

	return !connection->is_unix && poll(&idle, 1, 0) != 0;
}

bool connection_had_no_peer(const struct connection *connection)
{
	return connection->had_no_peer;
}
