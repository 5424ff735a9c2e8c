#include "store/blocking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/redis_url.h"
#include "store/connection.h"
#include "store/resp.h"
#include "store/scripts.h"
#include "store/store.h"

struct blocking {
	const struct config *config;
	struct redis_url url;
	struct connection *connection; /* NULL: not connected */
	char error[256];
};

struct blocking *blocking_new(const struct config *config)
{
	struct blocking *link = xcalloc(1, sizeof *link);

	/* The configuration checked the URL. */
	redis_url_parse(config->redis.url, &link->url);
	link->config = config;
	return link;
}

static void drop(struct blocking *link)
{
	connection_close(link->connection);
	link->connection = NULL;
}

void blocking_free(struct blocking *link)
{
	if (link == NULL)
		return;
	drop(link);
	redis_url_free(&link->url);
	free(link);
}

const char *blocking_error(const struct blocking *link)
{
	return link->error;
}

static bool fail(struct blocking *link, const char *what)
{
	snprintf(link->error, sizeof link->error, "%s", what);
	return false;
}

/* Drops the connection, which is lost. */
static bool fail_lost(struct blocking *link)
{
	fail(link, connection_error(link->connection));
	drop(link);
	return false;
}

static bool send_all(struct connection *connection, const struct printbuf *pipeline)
{
	connection_put(connection, pipeline->buf, buf_len(pipeline));
	return connection_flush(connection);
}

/* Waits for one reply; NULL: the connection is lost. */
static redisReply *wait_for_reply(struct connection *connection)
{
	redisReply *reply;

	while (connection_take(connection, &reply)) {
		if (reply != NULL)
			return reply;
		if (!connection_read(connection))
			break;
	}
	return NULL;
}

/* Sends a pipeline and reads its replies; false (all freed, connection dropped) when it is lost. */
static bool exchange(struct blocking *link, const struct printbuf *pipeline, size_t count,
		     redisReply **replies)
{
	size_t done = 0;

	if (send_all(link->connection, pipeline)) {
		while (done < count && (replies[done] = wait_for_reply(link->connection)) != NULL)
			done++;
	}
	if (done == count)
		return true;
	blocking_free_replies(replies, done);
	return fail_lost(link);
}

/* AUTH and SELECT, as the URL asks for. */
static bool greet(struct blocking *link)
{
	struct printbuf *out = buf_new();
	redisReply *replies[RESP_GREETING_MAX];
	size_t count = resp_greeting(out, link->url.nodes);
	bool ok = count == 0 || exchange(link, out, count, replies);

	for (size_t i = 0; ok && i < count; i++) {
		if (replies[i]->type == REDIS_REPLY_ERROR)
			ok = fail(link, replies[i]->str);
	}
	if (link->connection != NULL)
		blocking_free_replies(replies, count);
	if (!ok)
		drop(link);
	printbuf_free(out);
	return ok;
}

static bool connect_now(struct blocking *link)
{
	link->connection = connection_open(link->config, link->url.nodes);
	return connection_wait(link->connection, link->config->redis.timeout_ms) ? greet(link)
										 : fail_lost(link);
}

static bool has_noscript(redisReply **replies, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (store_is_noscript(replies[i]))
			return true;
	}
	return false;
}

static bool load_scripts(struct blocking *link)
{
	struct printbuf *out = buf_new();
	unsigned count = scripts_put_load(out);
	redisReply **replies = xcalloc(count, sizeof *replies);
	bool ok = exchange(link, out, count, replies);

	if (ok)
		blocking_free_replies(replies, count);
	free(replies);
	printbuf_free(out);
	return ok;
}

bool blocking_run(struct blocking *link, const struct printbuf *pipeline, size_t count,
		  redisReply **replies)
{
	if (link->connection != NULL && !connection_is_quiet(link->connection))
		drop(link); /* Redis has closed it: nothing is in flight */
	if (link->connection == NULL && !connect_now(link))
		return false;
	if (!exchange(link, pipeline, count, replies))
		return false;
	if (has_noscript(replies, count)) {
		blocking_free_replies(replies, count);
		if (!load_scripts(link) || !exchange(link, pipeline, count, replies))
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (replies[i]->type == REDIS_REPLY_ERROR) {
			fail(link, replies[i]->str);
			blocking_free_replies(replies, count);
			return false;
		}
	}
	return true;
}

void blocking_free_replies(redisReply **replies, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		freeReplyObject(replies[i]);
		replies[i] = NULL;
	}
}

redisReply *blocking_wait(struct blocking *link)
{
	redisReply *reply;

	if (link->connection == NULL)
		return NULL;
	connection_set_timeout(link->connection, 0);
	reply = wait_for_reply(link->connection);
	if (reply == NULL)
		fail_lost(link);
	return reply;
}

bool blocking_send(struct blocking *link, const struct printbuf *pipeline)
{
	if (link->connection == NULL && !connect_now(link))
		return false;
	return send_all(link->connection, pipeline) || fail_lost(link);
}

int blocking_fd(const struct blocking *link)
{
	return link->connection != NULL ? connection_fd(link->connection) : -1;
}

bool blocking_read(struct blocking *link, redisReply **reply)
{
	*reply = NULL;
	return (connection_read(link->connection) && connection_take(link->connection, reply)) ||
	       fail_lost(link);
}
