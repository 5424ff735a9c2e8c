#include "store/blocking.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/redis_url.h"
#include "store/resp.h"
#include "store/scripts.h"
#include "store/store.h"

struct blocking {
	struct redis_url url;
	struct timeval timeout;
	redisContext *context; /* NULL: not connected */
	char error[256];
};

struct blocking *blocking_new(const struct config *config)
{
	struct blocking *link = xcalloc(1, sizeof *link);

	/* The configuration checked the URL. */
	redis_url_parse(config->redis.url, &link->url);
	link->timeout.tv_sec = config->redis.timeout_ms / 1000;
	link->timeout.tv_usec = config->redis.timeout_ms % 1000 * 1000L;
	return link;
}

static void drop(struct blocking *link)
{
	if (link->context != NULL)
		redisFree(link->context);
	link->context = NULL;
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

/* Sends a pipeline and reads its replies; false (all freed, connection dropped) when it is lost. */
static bool exchange(struct blocking *link, const char *bytes, size_t len, size_t count,
		     redisReply **replies)
{
	redisContext *context = link->context;
	size_t done = 0;

	if (redisAppendFormattedCommand(context, bytes, len) == REDIS_OK) {
		while (done < count && redisGetReply(context, (void **)&replies[done]) == REDIS_OK)
			done++;
	}
	if (done == count)
		return true;
	if (context->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK))
		fail(link, "no answer in time");
	else
		fail(link, context->errstr[0] != '\0' ? context->errstr : "no answer");
	blocking_free_replies(replies, done);
	drop(link);
	return false;
}

/* AUTH and SELECT, as the URL asks for. */
static bool greet(struct blocking *link)
{
	struct printbuf *out = buf_new();
	redisReply *replies[RESP_GREETING_MAX];
	size_t count = resp_greeting(out, link->url.nodes);
	bool ok = count == 0 || exchange(link, out->buf, buf_len(out), count, replies);

	for (size_t i = 0; ok && i < count; i++) {
		if (replies[i]->type == REDIS_REPLY_ERROR)
			ok = fail(link, replies[i]->str);
	}
	if (link->context != NULL)
		blocking_free_replies(replies, count);
	if (!ok)
		drop(link);
	printbuf_free(out);
	return ok;
}

static bool connect_now(struct blocking *link)
{
	const struct redis_address *address = link->url.nodes;

	link->context =
		address->path != NULL
			? redisConnectUnixWithTimeout(address->path, link->timeout)
			: redisConnectWithTimeout(address->host, address->port, link->timeout);
	if (link->context == NULL)
		return fail(link, "out of memory");
	if (link->context->err != 0 || redisSetTimeout(link->context, link->timeout) != REDIS_OK) {
		fail(link, link->context->errstr);
		drop(link);
		return false;
	}
	if (address->host != NULL)
		redisEnableKeepAlive(link->context);
	return greet(link);
}

/* An idle connection on which something waits was closed by Redis: nothing is in flight. */
static bool is_stale(const struct blocking *link)
{
	struct pollfd idle = {.fd = link->context->fd, .events = POLLIN};

	return poll(&idle, 1, 0) != 0;
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
	bool ok = exchange(link, out->buf, buf_len(out), count, replies);

	if (ok)
		blocking_free_replies(replies, count);
	free(replies);
	printbuf_free(out);
	return ok;
}

bool blocking_run(struct blocking *link, const struct printbuf *pipeline, size_t count,
		  redisReply **replies)
{
	if (link->context != NULL && is_stale(link))
		drop(link);
	if (link->context == NULL && !connect_now(link))
		return false;
	if (!exchange(link, pipeline->buf, buf_len(pipeline), count, replies))
		return false;
	if (has_noscript(replies, count)) {
		blocking_free_replies(replies, count);
		if (!load_scripts(link) ||
		    !exchange(link, pipeline->buf, buf_len(pipeline), count, replies))
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
	static const struct timeval no_limit = {0, 0};
	redisReply *reply = NULL;

	if (link->context == NULL)
		return NULL;
	redisSetTimeout(link->context, no_limit);
	if (redisGetReply(link->context, (void **)&reply) == REDIS_OK)
		return reply;
	fail(link, link->context->errstr);
	drop(link);
	return NULL;
}

bool blocking_send(struct blocking *link, const struct printbuf *pipeline)
{
	int done = 0;

	if (link->context == NULL && !connect_now(link))
		return false;
	if (redisAppendFormattedCommand(link->context, pipeline->buf, buf_len(pipeline)) ==
	    REDIS_OK) {
		while (!done && redisBufferWrite(link->context, &done) == REDIS_OK)
			;
	}
	if (done)
		return true;
	fail(link, link->context->errstr);
	drop(link);
	return false;
}

int blocking_fd(const struct blocking *link)
{
	return link->context != NULL ? link->context->fd : -1;
}

bool blocking_read(struct blocking *link, redisReply **reply)
{
	*reply = NULL;
	if (redisBufferRead(link->context) == REDIS_OK &&
	    redisGetReplyFromReader(link->context, (void **)reply) == REDIS_OK)
		return true;
	fail(link, link->context->errstr);
	drop(link);
	return false;
}
