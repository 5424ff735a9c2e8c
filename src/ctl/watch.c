/* watch: changes as they happen, from Redis' channels. */
#include "ctl/ctl.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/times.h"
#include "base/utf8.h"
#include "ctl/table.h"
#include "store/keys.h"
#include "store/layout.h"
#include "store/reply.h"
#include "store/resp.h"

/* Nothing is in the middle: each line went out whole. */
static void on_signal(int number)
{
	(void)number;
	_exit(CTL_DONE);
}

/* A pattern for the channels of all users of a server. */
static void put_pattern(struct printbuf *out, const struct ctl *ctl)
{
	char *prefix = layout_pattern(ctl->config->redis.partitions, ctl->config->redis.prefix);

	resp_begin(out, 2);
	resp_text(out, "PSUBSCRIBE");
	resp_key(out, prefix, CHANNEL_STATUS, "*");
	free(prefix);
}

/* Subscribes to the users' channels, or to all; false when Redis did not take it. */
static bool subscribe(struct ctl *ctl, const struct userid *ids, int count)
{
	size_t expected = count > 0 ? (size_t)count : nodes_count(ctl->nodes);
	redisReply **replies = xcalloc(expected, sizeof *replies);
	bool ok;

	nodes_begin(ctl->nodes);
	for (int i = 0; i < count; i++) {
		const struct store *store = partitions_of(ctl->partitions, &ids[i]);
		struct printbuf *out = nodes_to(ctl->nodes, store);

		resp_begin(out, 2);
		resp_text(out, store_is_sharded(store) ? "SSUBSCRIBE" : "SUBSCRIBE");
		resp_key(out, store_prefix(store), CHANNEL_STATUS, ids[i].text);
	}
	/* As many partitions as servers, or more: each of the first ones is on another server. */
	for (unsigned i = 0; count == 0 && i < nodes_count(ctl->nodes); i++)
		put_pattern(nodes_to(ctl->nodes, partitions_at(ctl->partitions, i)), ctl);
	ok = ctl_run(ctl, expected, replies);
	if (ok)
		blocking_free_replies(replies, expected);
	free(replies);
	return ok;
}

/* Whoever may publish writes to this terminal: a plain word, or "?". */
static const char *word_of(struct json_object *object, const char *name)
{
	const char *text;

	if (json_is_text(json_member(object, name), 32, &text) && *text != '\0' &&
	    text[strspn(text, "abcdefghijklmnopqrstuvwxyz_")] == '\0')
		return text;
	return "?";
}

static void print_change(const char *id, const redisReply *message)
{
	enum table_colour colour;
	const char *why, *status, *reason;
	struct json_object *object = json_parse_object(message->str, message->len, &why);
	char now[TIMES_LEN + 1];

	if (object == NULL)
		return;
	status = word_of(object, "status");
	reason = word_of(object, "reason");
	colour = table_status_colour(status);
	times_format(times_wall_ms() / 1000, now);
	printf("%s  %-12s  %s%-7s%s  %s\n", now, id, table_begin_colour(colour), status,
	       table_end_colour(colour), reason);
	json_object_put(object);
}

/* A published message: [message, channel, text] or [pmessage, pattern, channel, text]. */
static void print_message(struct ctl *ctl, const redisReply *reply)
{
	const redisReply *channel, *message;
	const char *name;
	struct userid id;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3)
		return;
	channel = reply->element[reply->elements - 2];
	message = reply->element[reply->elements - 1];
	if (channel->type != REDIS_REPLY_STRING || message->type != REDIS_REPLY_STRING)
		return;
	name = layout_name(ctl->config->redis.partitions, ctl->config->redis.prefix, channel->str);
	if (name == NULL || strncmp(name, CHANNEL_STATUS, strlen(CHANNEL_STATUS)) != 0)
		return;
	name += strlen(CHANNEL_STATUS);
	if (!userid_parse(name, strlen(name), &id))
		return;
	if (!ctl->json)
		print_change(id.text, message);
	else if (memchr(message->str, '\n', message->len) == NULL &&
		 utf8_is_valid(message->str, message->len))
		printf("%.*s\n", (int)message->len, message->str);
}

/* All that has come from one server; false when it is lost. */
static bool print_messages(struct ctl *ctl, struct blocking *redis)
{
	redisReply *reply;

	while (blocking_take(redis, &reply)) {
		if (reply == NULL)
			return true;
		print_message(ctl, reply);
		reply_free(reply);
	}
	return false;
}

/* Until a server is lost. */
static enum ctl_exit print_changes(struct ctl *ctl)
{
	unsigned count = nodes_count(ctl->nodes);
	struct pollfd *fds = xcalloc(count, sizeof *fds);
	struct blocking *lost = NULL;

	for (unsigned i = 0; i < count; i++)
		fds[i] = (struct pollfd){.fd = blocking_fd(nodes_at(ctl->nodes, i)),
					 .events = POLLIN};
	while (lost == NULL) {
		for (unsigned i = 0; i < count; i++) {
			struct blocking *redis = nodes_at(ctl->nodes, i);
			bool is_readable = fds[i].revents != 0;

			fds[i].revents = 0;
			if (fds[i].fd >= 0 &&
			    ((is_readable && !blocking_feed(redis)) || !print_messages(ctl, redis)))
				lost = redis;
		}
		if (lost == NULL)
			poll(fds, count, -1);
	}
	free(fds);
	return ctl_fail("Redis is lost: %s", blocking_error(lost));
}

enum ctl_exit ctl_watch(struct ctl *ctl, char **args, int count)
{
	struct userid *ids = ctl_read_ids(args, count);
	bool ok;

	if (ids == NULL)
		return CTL_USAGE;
	/* A sharded channel is heard by its name alone. */
	if (count == 0 && store_is_sharded(partitions_at(ctl->partitions, 0))) {
		free(ids);
		return ctl_fail("In a Redis Cluster: name the users to watch");
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	ok = subscribe(ctl, ids, count);
	free(ids);
	return ok ? print_changes(ctl) : CTL_FAILED;
}
