#include "store/sentinel.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/random.h"
#include "base/times.h"
#include "store/connection.h"
#include "store/reply.h"
#include "store/resp.h"

#define HOST_MAX 255 /* RFC 1035 section 2.3.4 */

struct sentinel {
	const struct config *config;
	const struct redis_url *url;
	size_t next; /* who is asked next, and how many of them are left to this search */
	size_t left;
	const struct redis_address *asked; /* whom `connection` leads to */
	struct connection *connection; /* NULL: no search */
	bool has_asked;
	unsigned replies_left;
	int64_t until_ms; /* how long this one is waited for, monotonic */
	struct redis_address primary; /* the host is ours, all else the URL's */
	char error[256];
};

struct sentinel *sentinel_new(const struct config *config, const struct redis_url *url)
{
	struct sentinel *sentinel = xcalloc(1, sizeof *sentinel);

	sentinel->config = config;
	sentinel->url = url;
	sentinel->next = random_below((unsigned)url->count);
	sentinel->primary = url->primary;
	return sentinel;
}

void sentinel_stop(struct sentinel *sentinel)
{
	connection_close(sentinel->connection);
	sentinel->connection = NULL;
}

void sentinel_free(struct sentinel *sentinel)
{
	if (sentinel == NULL)
		return;
	sentinel_stop(sentinel);
	free(sentinel->primary.host);
	free(sentinel);
}

const struct redis_address *sentinel_primary(const struct sentinel *sentinel)
{
	return &sentinel->primary;
}

const char *sentinel_error(const struct sentinel *sentinel)
{
	return sentinel->error;
}

int sentinel_fd(const struct sentinel *sentinel)
{
	return connection_fd(sentinel->connection);
}

bool sentinel_wants_write(const struct sentinel *sentinel)
{
	return connection_wants_write(sentinel->connection);
}

int sentinel_left_ms(const struct sentinel *sentinel)
{
	int64_t left = sentinel->until_ms - times_mono_ms();

	return left > 0 ? (int)left : 0;
}

/* --- the answer ------------------------------------------------------------------------------ */

static bool is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING && strlen(reply->str) == reply->len;
}

bool sentinel_read(const redisReply *reply, char **host, int *port)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    !is_text(reply->element[0]) || !is_text(reply->element[1]) ||
	    reply->element[0]->len == 0 || reply->element[0]->len > HOST_MAX ||
	    !address_parse_number(reply->element[1]->str, 65535, port) || *port == 0)
		return false;
	*host = xstrdup(reply->element[0]->str);
	return true;
}

/* --- one after the other --------------------------------------------------------------------- */

static void say(struct sentinel *sentinel, const char *why)
{
	struct printbuf *text = buf_new();

	buf_puts(text, "Sentinel ");
	redis_url_put_node(text, sentinel->asked);
	buf_putf(text, ": %s", why);
	snprintf(sentinel->error, sizeof sentinel->error, "%s", text->buf);
	printbuf_free(text);
}

/* Leaves this one, if there is one, for the reason, and connects to the next that lets itself be. */
static enum sentinel_state next_one(struct sentinel *sentinel, const char *why)
{
	if (sentinel->connection != NULL)
		say(sentinel, why);
	sentinel_stop(sentinel);
	while (sentinel->left > 0) {
		sentinel->left--;
		sentinel->asked = &sentinel->url->nodes[sentinel->next];
		sentinel->next = (sentinel->next + 1) % sentinel->url->count;
		sentinel->has_asked = false;
		/* All of them, and then the primary, have redis.timeout_ms. */
		sentinel->until_ms = times_mono_ms() + sentinel->config->redis.timeout_ms /
							       (int)(sentinel->url->count + 1);
		sentinel->connection = connection_open(sentinel->config, sentinel->asked);
		if (connection_fd(sentinel->connection) >= 0)
			return SENTINEL_ASKING;
		say(sentinel, connection_error(sentinel->connection));
		sentinel_stop(sentinel);
	}
	return SENTINEL_FAILED;
}

static enum sentinel_state ask(struct sentinel *sentinel)
{
	struct printbuf *out = buf_new();

	sentinel->replies_left = resp_greeting(out, sentinel->asked) + 1;
	resp_begin(out, 3);
	resp_text(out, "SENTINEL");
	resp_text(out, "get-master-addr-by-name");
	resp_text(out, sentinel->url->name);
	connection_put(sentinel->connection, out->buf, buf_len(out));
	printbuf_free(out);
	sentinel->has_asked = true;
	return connection_flush(sentinel->connection)
		       ? SENTINEL_ASKING
		       : next_one(sentinel, connection_error(sentinel->connection));
}

static enum sentinel_state on_answer(struct sentinel *sentinel, const redisReply *reply)
{
	char *host;

	if (reply->type == REDIS_REPLY_ERROR)
		return next_one(sentinel, reply->str);
	if (!sentinel_read(reply, &host, &sentinel->primary.port))
		return next_one(sentinel, "it knows no primary of this name");
	free(sentinel->primary.host);
	sentinel->primary.host = host;
	sentinel_stop(sentinel);
	return SENTINEL_FOUND;
}

static enum sentinel_state read_replies(struct sentinel *sentinel)
{
	struct connection *connection = sentinel->connection;
	enum sentinel_state state;
	redisReply *reply;
	bool is_answer;

	if (!connection_flush(connection) || !connection_read(connection))
		return next_one(sentinel, connection_error(connection));
	do {
		if (!connection_take(connection, &reply))
			return next_one(sentinel, connection_error(connection));
		if (reply == NULL)
			return SENTINEL_ASKING;
		/* Before it comes the one to AUTH. */
		is_answer = --sentinel->replies_left == 0 || reply->type == REDIS_REPLY_ERROR;
		state = is_answer ? on_answer(sentinel, reply) : SENTINEL_ASKING;
		reply_free(reply);
	} while (!is_answer);
	return state;
}

enum sentinel_state sentinel_begin(struct sentinel *sentinel)
{
	sentinel_stop(sentinel);
	sentinel->left = sentinel->url->count;
	return next_one(sentinel, NULL);
}

enum sentinel_state sentinel_proceed(struct sentinel *sentinel)
{
	if (sentinel_left_ms(sentinel) == 0)
		return next_one(sentinel, "no answer in time");
	switch (connection_proceed(sentinel->connection)) {
	case CONNECTION_STARTING:
		return SENTINEL_ASKING;
	case CONNECTION_READY:
		return sentinel->has_asked ? read_replies(sentinel) : ask(sentinel);
	default:
		return next_one(sentinel, connection_error(sentinel->connection));
	}
}

bool sentinel_search(struct sentinel *sentinel)
{
	enum sentinel_state state = sentinel_begin(sentinel);

	while (state == SENTINEL_ASKING) {
		struct pollfd ready = {sentinel_fd(sentinel),
				       sentinel_wants_write(sentinel) ? POLLOUT : POLLIN, 0};

		poll(&ready, 1, sentinel_left_ms(sentinel));
		state = sentinel_proceed(sentinel);
	}
	return state == SENTINEL_FOUND;
}
