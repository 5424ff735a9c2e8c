/* watch: changes as they happen, from Redis' channels. */
#include "ctl/ctl.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/times.h"
#include "store/keys.h"
#include "store/resp.h"

/* Nothing is in the middle: each line went out whole. */
static void on_signal(int number)
{
	(void)number;
	_exit(CTL_DONE);
}

/* Appends SUBSCRIBE to the users' channels, or PSUBSCRIBE to all; returns how many replies come. */
static size_t put_subscribe(struct printbuf *out, const char *prefix, const struct userid *ids,
			    int count)
{
	if (count == 0) {
		resp_begin(out, 2);
		resp_text(out, "PSUBSCRIBE");
		resp_key(out, prefix, CHANNEL_STATUS, "*");
		return 1;
	}
	resp_begin(out, 1 + (unsigned)count);
	resp_text(out, "SUBSCRIBE");
	for (int i = 0; i < count; i++)
		resp_key(out, prefix, CHANNEL_STATUS, ids[i].text);
	return (size_t)count;
}

static void print_change(const char *id, const redisReply *message)
{
	const char *why, *status = "?", *reason = "?";
	struct json_object *object = json_parse_object(message->str, message->len, &why);
	char now[TIMES_LEN + 1];

	if (object == NULL)
		return;
	json_is_text(json_member(object, "status"), 32, &status);
	json_is_text(json_member(object, "reason"), 32, &reason);
	times_format(times_wall_ms() / 1000, now);
	printf("%s  %-12s  %-7s  %s\n", now, id, status, reason);
	json_object_put(object);
}

/* A published message: [message, channel, text] or [pmessage, pattern, channel, text]. */
static void print_message(struct ctl *ctl, const redisReply *reply)
{
	size_t head = strlen(ctl->config->redis.prefix) + strlen(CHANNEL_STATUS);
	const redisReply *channel, *message;
	struct userid id;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3)
		return;
	channel = reply->element[reply->elements - 2];
	message = reply->element[reply->elements - 1];
	if (channel->type != REDIS_REPLY_STRING || message->type != REDIS_REPLY_STRING ||
	    channel->len < head || !userid_parse(channel->str + head, channel->len - head, &id))
		return;
	if (!ctl->json)
		print_change(id.text, message);
	else if (memchr(message->str, '\n', message->len) == NULL)
		printf("%.*s\n", (int)message->len, message->str);
}

enum ctl_exit ctl_watch(struct ctl *ctl, char **args, int count)
{
	struct userid *ids = ctl_read_ids(args, count);
	struct printbuf *command = buf_new();
	redisReply **replies, *reply;
	size_t expected;
	bool ok;

	if (ids == NULL) {
		printbuf_free(command);
		return CTL_USAGE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	expected = put_subscribe(command, ctl->config->redis.prefix, ids, count);
	replies = xcalloc(expected, sizeof *replies);
	ok = ctl_run(ctl, command, expected, replies);
	if (ok)
		blocking_free_replies(replies, expected);
	free(replies);
	free(ids);
	printbuf_free(command);
	if (!ok)
		return CTL_FAILED;
	while ((reply = blocking_wait(ctl->redis)) != NULL) {
		print_message(ctl, reply);
		freeReplyObject(reply);
	}
	return ctl_fail("Redis is lost: %s", blocking_error(ctl->redis));
}
