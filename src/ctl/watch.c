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

static void put_channel(struct printbuf *out, const struct store *store, const char *channel,
			const char *id)
{
	resp_begin(out, 2);
	resp_text(out, store_is_sharded(store) ? "SSUBSCRIBE" : "SUBSCRIBE");
	resp_key(out, store_prefix(store), channel, id);
}

/* Appends what is heard of all users; returns how many commands. A sharded channel has no pattern. */
static size_t put_all(struct ctl *ctl)
{
	unsigned partitions = partitions_count(ctl->partitions), servers = nodes_count(ctl->nodes);

	if (nodes_are_cluster(ctl->nodes)) {
		for (unsigned i = 0; i < partitions; i++) {
			const struct store *store = partitions_at(ctl->partitions, i);

			put_channel(nodes_to(ctl->nodes, store), store, CHANNEL_BROADCAST, "");
		}
		return partitions;
	}
	/* As many partitions as servers, or more: each of the first ones is on another server. */
	for (unsigned i = 0; i < servers; i++)
		put_pattern(nodes_to(ctl->nodes, partitions_at(ctl->partitions, i)), ctl);
	return servers;
}

/* Subscribes to the users' channels, or to all; false when Redis did not take it. */
static bool subscribe(struct ctl *ctl, const struct userid *ids, size_t count)
{
	redisReply **replies;
	size_t expected = count;
	bool ok;

	nodes_begin(ctl->nodes);
	for (size_t i = 0; i < count; i++) {
		const struct store *store = partitions_of(ctl->partitions, &ids[i]);

		put_channel(nodes_to(ctl->nodes, store), store, CHANNEL_STATUS, ids[i].text);
	}
	if (count == 0)
		expected = put_all(ctl);
	replies = xcalloc(expected, sizeof *replies);
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

static void print_change(const struct userid *id, struct json_object *object)
{
	const char *status = word_of(object, "status"), *reason = word_of(object, "reason");
	enum table_colour colour = table_status_colour(status);
	char now[TIMES_LEN + 1];

	times_format(times_wall_ms() / 1000, now);
	printf("%s  %-12s  %s%-7s%s  %s\n", now, id->text, table_begin_colour(colour), status,
	       table_end_colour(colour), reason);
}

/* Whose change it is: a user's own channel says so, a channel for all users does not. */
static bool read_id(const char *channel, struct json_object *object, struct userid *id)
{
	if (strcmp(channel, CHANNEL_BROADCAST) == 0)
		return userid_from_json(json_member(object, "user_id"), id);
	if (strncmp(channel, CHANNEL_STATUS, strlen(CHANNEL_STATUS)) != 0)
		return false;
	channel += strlen(CHANNEL_STATUS);
	return userid_parse(channel, strlen(channel), id);
}

static void print_text(struct ctl *ctl, const char *channel, const redisReply *text)
{
	const char *why;
	struct json_object *object = json_parse_object(text->str, text->len, &why);
	struct userid id;

	if (object == NULL)
		return;
	if (read_id(channel, object, &id)) {
		if (!ctl->json)
			print_change(&id, object);
		else if (memchr(text->str, '\n', text->len) == NULL &&
			 utf8_is_valid(text->str, text->len))
			printf("%.*s\n", (int)text->len, text->str);
	}
	json_object_put(object);
}

/*
 * A published message: [message, channel, text] or [pmessage, pattern, channel, text]. False: the channel's slot
 * has moved to another node of the cluster, [sunsubscribe, channel, count].
 */
static bool print_message(struct ctl *ctl, const redisReply *reply)
{
	const redisReply *channel, *text;
	const char *name;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3)
		return true;
	if (reply->element[0]->type == REDIS_REPLY_STRING &&
	    strcmp(reply->element[0]->str, "sunsubscribe") == 0)
		return false;
	channel = reply->element[reply->elements - 2];
	text = reply->element[reply->elements - 1];
	if (channel->type != REDIS_REPLY_STRING || text->type != REDIS_REPLY_STRING)
		return true;
	name = layout_name(ctl->config->redis.partitions, ctl->config->redis.prefix, channel->str);
	if (name != NULL)
		print_text(ctl, name, text);
	return true;
}

/* All that has come from one server; false, which is said, when nothing more will. */
static bool print_messages(struct ctl *ctl, struct blocking *redis)
{
	redisReply *reply;
	bool ok;

	while (blocking_take(redis, &reply)) {
		if (reply == NULL)
			return true;
		ok = print_message(ctl, reply);
		reply_free(reply);
		if (!ok) {
			ctl_fail("A slot has moved to another node of the cluster: start it again");
			return false;
		}
	}
	ctl_fail("Redis is lost: %s", blocking_error(redis));
	return false;
}

/* What has become readable at a server. */
static bool read_messages(struct ctl *ctl, struct blocking *redis)
{
	if (blocking_feed(redis))
		return print_messages(ctl, redis);
	ctl_fail("Redis is lost: %s", blocking_error(redis));
	return false;
}

/* Until a server is lost, or what is watched is elsewhere. */
static enum ctl_exit print_changes(struct ctl *ctl)
{
	unsigned count = nodes_count(ctl->nodes);
	struct pollfd *fds = xcalloc(count, sizeof *fds);
	bool ok = true;

	for (unsigned i = 0; i < count; i++) {
		struct blocking *redis = nodes_at(ctl->nodes, i);

		fds[i] = (struct pollfd){.fd = blocking_fd(redis), .events = POLLIN};
		/* What came together with the answer to the subscription. */
		ok = ok && (fds[i].fd < 0 || print_messages(ctl, redis));
	}
	while (ok) {
		poll(fds, count, -1);
		for (unsigned i = 0; ok && i < count; i++)
			ok = fds[i].revents == 0 || read_messages(ctl, nodes_at(ctl->nodes, i));
	}
	free(fds);
	return CTL_FAILED;
}

enum ctl_exit ctl_watch(struct ctl *ctl, char **args, int count)
{
	struct userid *ids = ctl_read_ids(args, count);
	bool ok;

	if (ids == NULL)
		return CTL_USAGE;
	if (count == 0 && nodes_are_cluster(ctl->nodes) &&
	    !ctl->config->presence.publish_broadcast) {
		free(ids);
		return ctl_fail("In a Redis Cluster without presence.publish_broadcast: name the "
				"users to watch");
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	ok = subscribe(ctl, ids, (size_t)count);
	free(ids);
	return ok ? print_changes(ctl) : CTL_FAILED;
}
