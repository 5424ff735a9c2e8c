/* What is published on presence:broadcast, as a user of Redis of its own whom no fault concerns. */
#include "chaos.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/layout.h"

#define OTHERS 50 /* ms that Redis and the kernel may take to hand a message over */

struct tap {
	redisContext *contexts[REDIS_MAX]; /* of each server; NULL: there is none */
};

static redisReply *ask(redisContext *context, const char *command)
{
	redisReply *reply = redisCommand(context, command);

	ck_assert_msg(reply != NULL && reply->type != REDIS_REPLY_ERROR, "%s: %s", command,
		      reply != NULL ? reply->str : context->errstr);
	return reply;
}

/* A channel that is sharded is heard by its name alone. */
static void subscribe(struct chaos *chaos, redisContext *context, int server)
{
	unsigned count = chaos->stand.stack->partitions;

	/* A partition's name begins with its tag. */
	freeReplyObject(ask(context, "PSUBSCRIBE *presence:broadcast"));
	for (unsigned i = 0; chaos->stand.layout == LAYOUT_CLUSTER && i < count; i++) {
		char command[64];

		snprintf(command, sizeof command, "SSUBSCRIBE {%u}presence:broadcast",
			 layout_tag(count, i));
		if (stand_server_at(chaos, i) == server)
			freeReplyObject(ask(context, command));
	}
}

void tap_open(struct chaos *chaos)
{
	static const char *const sockets[] = {"redis.sock", "redis1.sock", "redis2.sock"};
	struct tap *tap = xcalloc(1, sizeof *tap);

	for (unsigned i = 0; i < chaos->stand.stack->servers; i++) {
		redisContext *context;

		/* Replicas pass it on. */
		if (chaos->stand.layout == LAYOUT_SENTINEL && (int)i != stand_server_at(chaos, 0))
			continue;
		context = redisConnectUnix(stack_path(chaos->stand.stack, sockets[i]));
		ck_assert_msg(context->err == 0, "Redis: %s", context->errstr);
		freeReplyObject(ask(context, "AUTH chaos chaos"));
		subscribe(chaos, context, (int)i);
		tap->contexts[i] = context;
	}
	chaos->tap = tap;
	chaos->drained = now_ms();
}

void tap_close(struct chaos *chaos)
{
	if (chaos->tap == NULL)
		return;
	for (unsigned i = 0; i < chaos->stand.stack->servers; i++)
		redisFree(chaos->tap->contexts[i]);
	free(chaos->tap);
	chaos->tap = NULL;
	for (unsigned i = 1; i <= chaos->user_count; i++)
		chaos->users[i].told = false;
}

static const char *text_of(struct json_object *message, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(message, name, &value) ? json_object_get_string(value)
								: "";
}

static void on_message(struct chaos *chaos, int server, const char *text, int64_t now)
{
	struct json_object *message, *id, *online, *version, *reason;
	struct change change = {.from = chaos->drained - OTHERS, .to = now};
	long long user = 0;
	int wiped;

	if (sscanf(text, WIPED, &wiped) == 1) {
		if (wiped == server)
			model_data_lost(chaos, server);
		return;
	}
	message = json_tokener_parse(text);
	if (json_object_object_get_ex(message, "user_id", &id))
		user = json_object_get_int64(id);
	if (user >= 1 && user <= chaos->user_count &&
	    json_object_object_get_ex(message, "is_online", &online) &&
	    json_object_object_get_ex(message, "version", &version) &&
	    json_object_object_get_ex(message, "reason", &reason)) {
		change.online = json_object_get_boolean(online);
		change.version = (uint64_t)json_object_get_int64(version);
		change.reason = json_object_get_string(reason);
		change.status = message;
		snprintf(change.look, sizeof change.look, "%s %s", text_of(message, "status"),
			 text_of(message, "status_expires"));
		chaos->result->published++;
		chaos_note(&chaos->users[user], "published: %s", text);
		properties_published(chaos, &chaos->users[user], &change);
		chaos->users[user].told = true;
		chaos->users[user].told_online = change.online;
		chaos->users[user].told_version = change.version;
		snprintf(chaos->users[user].told_look, LOOK, "%s", change.look);
		chaos->users[user].told_at = now;
	}
	json_object_put(message);
}

static bool is_message(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ARRAY &&
	       ((reply->elements == 4 && strcmp(reply->element[0]->str, "pmessage") == 0) ||
		(reply->elements == 3 && strcmp(reply->element[0]->str, "smessage") == 0));
}

/* False: the connection is lost. */
static bool drain(struct chaos *chaos, int server)
{
	redisContext *context = chaos->tap->contexts[server];
	redisReply *reply = NULL;

	while (poll(&(struct pollfd){.fd = context->fd, .events = POLLIN}, 1, 0) > 0) {
		if (redisBufferRead(context) != REDIS_OK)
			return false;
		while (redisGetReplyFromReader(context, (void **)&reply) == REDIS_OK &&
		       reply != NULL) {
			if (is_message(reply))
				on_message(chaos, server, reply->element[reply->elements - 1]->str,
					   now_ms());
			freeReplyObject(reply);
		}
	}
	return true;
}

void tap_drain(struct chaos *chaos)
{
	int64_t now = now_ms();

	for (int i = 0; chaos->tap != NULL && i < (int)chaos->stand.stack->servers; i++) {
		if (chaos->tap->contexts[i] != NULL && !drain(chaos, i))
			tap_close(chaos);
	}
	/* While Redis is stopped, what it had said may still be under way. */
	if (chaos->stand.redis_stopped < 0)
		chaos->drained = now;
}
