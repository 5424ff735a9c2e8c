#include "store/blocking.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/redis_url.h"
#include "base/times.h"
#include "store/cluster.h"
#include "store/connection.h"
#include "store/info.h"
#include "store/layout_key.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/scripts.h"
#include "store/sentinel.h"
#include "store/store.h"

struct blocking {
	const struct config *config;
	struct redis_url url;
	unsigned server; /* of the URL's */
	struct sentinel *sentinel; /* NULL: the URL names the server itself */
	const struct redis_address *member; /* of a cluster; NULL: it is no such connection */
	struct connection *connection; /* NULL: not connected */
	unsigned connects;
	int64_t sent_ms; /* when blocking_begin() sent, monotonic */
	bool ignores_layout;
	bool looks_always; /* for a layout: with a single partition, too */
	bool is_other_layout; /* the server said so when it was connected last */
	char error[256];
};

struct blocking *blocking_new(const struct config *config, unsigned server)
{
	struct blocking *link = xcalloc(1, sizeof *link);

	/* The configuration checked the URL. */
	redis_url_parse(config->redis.url, &link->url);
	link->config = config;
	link->server = server;
	if (link->url.kind == REDIS_SENTINEL)
		link->sentinel = sentinel_new(config, &link->url);
	return link;
}

struct blocking *blocking_new_member(const struct config *config,
				     const struct redis_address *address)
{
	struct blocking *link = blocking_new(config, 0);

	link->member = address;
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
	sentinel_free(link->sentinel);
	redis_url_free(&link->url);
	free(link);
}

void blocking_take_login(struct blocking *link)
{
	redis_url_take_logins(&link->url, link->config->redis.url);
	if (link->sentinel != NULL)
		sentinel_take_login(link->sentinel);
}

static const struct redis_address *address_of(const struct blocking *link)
{
	if (link->member != NULL)
		return link->member;
	return link->sentinel != NULL ? sentinel_primary(link->sentinel)
				      : &link->url.nodes[link->server];
}

void blocking_put_place(struct printbuf *out, const struct blocking *link)
{
	if (link->sentinel != NULL)
		redis_url_put(out, &link->url);
	else
		redis_url_put_node(out, address_of(link));
}

const char *blocking_error(const struct blocking *link)
{
	return link->error;
}

unsigned blocking_connects(const struct blocking *link)
{
	return link->connects;
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

static bool send_all(struct blocking *link, const struct printbuf *pipeline)
{
	connection_put(link->connection, pipeline->buf, buf_len(pipeline));
	return connection_flush(link->connection) || fail_lost(link);
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

/* Reads the replies to what was sent; false (all freed, connection dropped) when they are lost. */
static bool read_all(struct blocking *link, size_t count, redisReply **replies)
{
	size_t done = 0;

	while (done < count && (replies[done] = wait_for_reply(link->connection)) != NULL)
		done++;
	if (done == count)
		return true;
	blocking_free_replies(replies, done);
	return fail_lost(link);
}

static bool exchange(struct blocking *link, const struct printbuf *pipeline, size_t count,
		     redisReply **replies)
{
	return send_all(link, pipeline) && read_all(link, count, replies);
}

/* Whether it is an error that the caller does not follow. */
static bool is_failure(const struct blocking *link, const redisReply *reply)
{
	struct cluster_redirect redirect;

	return reply->type == REDIS_REPLY_ERROR &&
	       (link->member == NULL || cluster_read_error(reply, &redirect) == CLUSTER_NO_ERROR);
}

/* False, and all freed, when one of the replies is an error. */
static bool check_replies(struct blocking *link, size_t count, redisReply **replies)
{
	for (size_t i = 0; i < count; i++) {
		if (is_failure(link, replies[i])) {
			fail(link, replies[i]->str);
			blocking_free_replies(replies, count);
			return false;
		}
	}
	return true;
}

/* --- connecting ------------------------------------------------------------------------------ */

/* Whether the server holds users as this process would. */
static bool looks_at_layout(const struct blocking *link)
{
	return (link->config->redis.partitions > 1 || link->looks_always) &&
	       link->url.kind != REDIS_CLUSTER && !link->ignores_layout;
}

static size_t server_count(const struct blocking *link)
{
	return link->url.kind == REDIS_SERVERS ? link->url.count : 1;
}

static bool note_layout(struct blocking *link)
{
	struct printbuf *out = buf_new();
	redisReply *reply;
	bool ok;

	layout_put_note(out, link->config, server_count(link));
	ok = exchange(link, out, 1, &reply) && check_replies(link, 1, &reply);
	if (ok)
		blocking_free_replies(&reply, 1);
	printbuf_free(out);
	return ok;
}

static bool check_layout(struct blocking *link, struct layout_look *look,
			 redisReply *const *replies, size_t count)
{
	link->is_other_layout = false;
	for (unsigned i = 0; i < count && !link->is_other_layout; i++)
		link->is_other_layout = !layout_read_look(look, i, replies[i]);
	if (link->is_other_layout)
		return fail(link, look->why);
	return look->is_noted || link->server != 0 || link->config->redis.partitions == 1 ||
	       note_layout(link);
}

/* What Sentinels say may be old. */
static bool check_primary(struct blocking *link, const redisReply *reply)
{
	struct replication seen;

	if (!info_read_replication(reply, &seen))
		return fail(link, "unexpected reply");
	return seen.is_primary ||
	       fail(link, "READONLY: the server that the Sentinels name is not the primary");
}

/* AUTH and SELECT, as the URL asks for, whether it is the primary, and a look at the layout. */
static bool greet(struct blocking *link)
{
	struct printbuf *out = buf_new();
	redisReply *replies[RESP_GREETING_MAX + 1 + LAYOUT_LOOK_MAX] = {NULL};
	struct layout_look look = {.config = link->config,
				   .server = link->server,
				   .servers = (unsigned)server_count(link)};
	size_t count = resp_greeting(out, address_of(link)), primary = count, layout, needed;
	bool ok;

	if (link->sentinel != NULL) {
		info_put_replication(out);
		count++;
	}
	layout = count;
	if (looks_at_layout(link))
		count += layout_put_look(out, &look);
	needed = link->config->redis.partitions > 1 ? count : layout;
	ok = count == 0 ||
	     (exchange(link, out, count, replies) && check_replies(link, needed, replies));
	if (ok) {
		ok = (primary == layout || check_primary(link, replies[primary])) &&
		     (layout == count ||
		      check_layout(link, &look, replies + layout, count - layout));
		blocking_free_replies(replies, count);
	}
	if (!ok)
		drop(link);
	printbuf_free(out);
	return ok;
}

static bool connect_now(struct blocking *link)
{
	struct search *search = link->sentinel != NULL ? sentinel_search(link->sentinel) : NULL;

	if (search != NULL && !search_run(search))
		return fail(link, search_error(search));
	link->connects++;
	link->connection = connection_open(link->config, address_of(link));
	return connection_wait(link->connection, link->config->redis.timeout_ms) ? greet(link)
										 : fail_lost(link);
}

static bool has_any(bool (*is_it)(const redisReply *reply), redisReply **replies, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (is_it(replies[i]))
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

/* --- asking ---------------------------------------------------------------------------------- */

/* Over a new connection. */
static bool begin_anew(struct blocking *link, const struct printbuf *pipeline)
{
	drop(link);
	if (!connect_now(link))
		return false;
	link->sent_ms = times_mono_ms();
	return send_all(link, pipeline);
}

bool blocking_begin(struct blocking *link, const struct printbuf *pipeline)
{
	if (link->connection == NULL || connection_was_left(link->connection))
		return begin_anew(link, pipeline);
	link->sent_ms = times_mono_ms();
	connection_put(link->connection, pipeline->buf, buf_len(pipeline));
	if (connection_flush(link->connection))
		return true;
	return connection_had_no_peer(link->connection) ? begin_anew(link, pipeline)
							: fail_lost(link);
}

bool blocking_end_each(struct blocking *link, const struct printbuf *pipeline, size_t count,
		       redisReply **replies)
{
	if (!read_all(link, count, replies))
		return false;
	/* Another one may be by now. */
	if (link->sentinel != NULL && has_any(store_is_no_primary, replies, count)) {
		blocking_free_replies(replies, count);
		drop(link);
		if (!connect_now(link) || !exchange(link, pipeline, count, replies))
			return false;
	}
	if (has_any(store_is_noscript, replies, count)) {
		blocking_free_replies(replies, count);
		if (!load_scripts(link) || !exchange(link, pipeline, count, replies))
			return false;
	}
	if (has_any(store_is_no_primary, replies, count))
		drop(link); /* so that the next one looks for it */
	return true;
}

bool blocking_end(struct blocking *link, const struct printbuf *pipeline, size_t count,
		  redisReply **replies)
{
	return blocking_end_each(link, pipeline, count, replies) &&
	       check_replies(link, count, replies);
}

void blocking_abandon(struct blocking *link, size_t count)
{
	redisReply **replies = xcalloc(count, sizeof *replies);
	int64_t left = link->sent_ms + link->config->redis.timeout_ms - times_mono_ms();
	struct pollfd wait = {.fd = blocking_fd(link), .events = POLLIN};

	if (poll(&wait, 1, left > 0 ? (int)left : 0) <= 0)
		drop(link);
	else if (read_all(link, count, replies))
		blocking_free_replies(replies, count);
	free(replies);
}

bool blocking_run(struct blocking *link, const struct printbuf *pipeline, size_t count,
		  redisReply **replies)
{
	return blocking_begin(link, pipeline) && blocking_end(link, pipeline, count, replies);
}

void blocking_ignore_layout(struct blocking *link)
{
	link->ignores_layout = true;
}

void blocking_look_always(struct blocking *link)
{
	link->looks_always = true;
}

bool blocking_look(struct blocking *link)
{
	struct printbuf *nothing = buf_new();

	link->looks_always = true;
	blocking_run(link, nothing, 0, NULL);
	printbuf_free(nothing);
	return !link->is_other_layout;
}

bool blocking_is_other_layout(const struct blocking *link)
{
	return link->is_other_layout;
}

void blocking_free_replies(redisReply **replies, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		reply_free(replies[i]);
		replies[i] = NULL;
	}
}

bool blocking_send(struct blocking *link, const struct printbuf *pipeline)
{
	return (link->connection != NULL || connect_now(link)) && send_all(link, pipeline);
}

int blocking_fd(const struct blocking *link)
{
	return link->connection != NULL ? connection_fd(link->connection) : -1;
}

bool blocking_feed(struct blocking *link)
{
	return connection_read(link->connection) || fail_lost(link);
}

bool blocking_take(struct blocking *link, redisReply **reply)
{
	return connection_take(link->connection, reply) || fail_lost(link);
}

bool blocking_read(struct blocking *link, redisReply **reply)
{
	*reply = NULL;
	return blocking_feed(link) && blocking_take(link, reply);
}
