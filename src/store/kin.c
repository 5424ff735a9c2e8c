#include "store/kin.h"

#include <stdio.h>
#include <string.h>

#include "base/redis_url.h"
#include "base/times.h"
#include "store/blocking.h"
#include "store/reply.h"
#include "store/resp.h"

static bool is_text(const redisReply *reply, const char *text)
{
	return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, text) == 0;
}

/* The id of a node in a range of CLUSTER SLOTS: first slot, last slot, its nodes: host, port, id. */
static const char *id_at(const redisReply *range, size_t index)
{
	const redisReply *node = range->element[index];

	if (node->type != REDIS_REPLY_ARRAY || node->elements < 3 ||
	    node->element[2]->type != REDIS_REPLY_STRING)
		return NULL;
	return node->element[2]->str;
}

static bool is_range(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements >= 3;
}

/* Whether a node of that id is in the answer. */
static bool knows(const redisReply *slots, const char *id)
{
	for (size_t i = 0; i < slots->elements; i++) {
		const redisReply *range = slots->element[i];

		for (size_t j = 2; is_range(range) && j < range->elements; j++) {
			const char *other = id_at(range, j);

			if (other != NULL && is_text(range->element[j]->element[2], id))
				return true;
		}
	}
	return false;
}

bool kin_have_common(const redisReply *one, const redisReply *other)
{
	for (size_t i = 0; i < one->elements; i++) {
		const redisReply *range = one->element[i];

		for (size_t j = 2; is_range(range) && j < range->elements; j++) {
			const char *id = id_at(range, j);

			if (id != NULL && knows(other, id))
				return true;
		}
	}
	return false;
}

/* What a node knows; NULL: it is away, or it is none and *is_other becomes true. */
static redisReply *ask(const struct config *config, const struct redis_address *address,
		       bool *is_other)
{
	struct blocking *link = blocking_new_member(config, address);
	struct printbuf *out = buf_new();
	redisReply *reply = NULL;

	resp_begin(out, 2);
	resp_text(out, "CLUSTER");
	resp_text(out, "SLOTS");
	if (!blocking_run(link, out, 1, &reply)) {
		*is_other = strstr(blocking_error(link), "cluster support disabled") != NULL;
		reply = NULL;
	} else if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
		reply_free(reply); /* it has just been made, and has not met the others */
		reply = NULL;
	}
	printbuf_free(out);
	blocking_free(link);
	return reply;
}

static void say(char *why, size_t size, const struct redis_address *address, const char *what,
		const struct redis_address *other)
{
	struct printbuf *text = buf_new();

	buf_puts(text, "redis.url: ");
	redis_url_put_node(text, address);
	buf_puts(text, what);
	if (other != NULL)
		redis_url_put_node(text, other);
	snprintf(why, size, "%s", text->buf);
	printbuf_free(text);
}

/* Compares all with the first that answers, which is `first`. */
static bool check(const struct config *config, const struct redis_url *url, char *why, size_t size)
{
	redisReply *known = NULL;
	size_t first = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < url->count; i++) {
		bool is_other = false;
		redisReply *reply = ask(config, &url->nodes[i], &is_other);

		if (is_other) {
			say(why, size, &url->nodes[i], " is no node of a Redis Cluster", NULL);
			ok = false;
		} else if (reply != NULL && known != NULL && !kin_have_common(known, reply)) {
			say(why, size, &url->nodes[i], " is a node of another cluster than ",
			    &url->nodes[first]);
			ok = false;
		}
		if (known == NULL && reply != NULL) {
			known = reply;
			first = i;
		} else if (reply != NULL) {
			reply_free(reply);
		}
	}
	if (known != NULL)
		reply_free(known);
	return ok;
}

static bool look_at_server(const struct config *config, unsigned server, char *why, size_t size)
{
	struct blocking *link = blocking_new(config, server);
	struct printbuf *text = buf_new();
	bool ok = blocking_look(link);

	if (!ok) {
		buf_puts(text, "redis.url: ");
		blocking_put_place(text, link);
		buf_putf(text, ": %s", blocking_error(link));
		snprintf(why, size, "%s", text->buf);
	}
	printbuf_free(text);
	blocking_free(link);
	return ok;
}

/* All together no longer than one may take. */
static bool look_at_all(const struct config *config, unsigned count, char *why, size_t size)
{
	int64_t until_ms = times_mono_ms() + config->redis.timeout_ms;
	bool ok = true;

	for (unsigned i = 0; ok && i < count && times_mono_ms() < until_ms; i++)
		ok = look_at_server(config, i, why, size);
	return ok;
}

bool kin_check(const struct config *config, char *why, size_t size)
{
	struct redis_url url;
	bool ok;

	redis_url_parse(config->redis.url, &url);
	if (url.kind == REDIS_CLUSTER)
		ok = check(config, &url, why, size);
	else
		ok = look_at_all(config, url.kind == REDIS_SERVERS ? (unsigned)url.count : 1, why,
				 size);
	redis_url_free(&url);
	return ok;
}
