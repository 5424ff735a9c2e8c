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
#include "base/utf8.h"
#include "store/keys.h"
#include "store/reply.h"
#include "store/resp.h"

#define GREEN "\033[32m"
#define GREY "\033[90m"
#define PLAIN "\033[0m"

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

/* Colour is for people who look at a terminal: https://no-color.org */
static bool has_colour(void)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0');
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

static void print_change(const char *id, const redisReply *message, bool colour)
{
	const char *why, *status, *reason;
	struct json_object *object = json_parse_object(message->str, message->len, &why);
	char now[TIMES_LEN + 1];

	if (object == NULL)
		return;
	status = word_of(object, "status");
	reason = word_of(object, "reason");
	times_format(times_wall_ms() / 1000, now);
	printf("%s  %-12s  %s%-7s%s  %s\n", now, id,
	       !colour			       ? ""
	       : strcmp(status, "online") == 0 ? GREEN
					       : GREY,
	       status, colour ? PLAIN : "", reason);
	json_object_put(object);
}

/* A published message: [message, channel, text] or [pmessage, pattern, channel, text]. */
static void print_message(struct ctl *ctl, const redisReply *reply, bool colour)
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
		print_change(id.text, message, colour);
	else if (memchr(message->str, '\n', message->len) == NULL &&
		 utf8_is_valid(message->str, message->len))
		printf("%.*s\n", (int)message->len, message->str);
}

enum ctl_exit ctl_watch(struct ctl *ctl, char **args, int count)
{
	struct userid *ids = ctl_read_ids(args, count);
	struct printbuf *command = buf_new();
	redisReply **replies, *reply;
	size_t expected;
	bool ok, colour = has_colour();

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
		print_message(ctl, reply, colour);
		reply_free(reply);
	}
	return ctl_fail("Redis is lost: %s", blocking_error(ctl->redis));
}
