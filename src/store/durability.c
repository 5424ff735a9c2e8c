#include "store/durability.h"

#include <string.h>

#include "base/log.h"
#include "store/info.h"
#include "store/reply.h"
#include "store/resp.h"

/* The caller frees the reply; NULL: there is none. */
static redisReply *ask(struct blocking *redis, unsigned count, const char *const words[])
{
	struct printbuf *command = buf_new();
	redisReply *reply = NULL;

	resp_begin(command, count);
	for (unsigned i = 0; i < count; i++)
		resp_text(command, words[i]);
	if (!blocking_run(redis, command, 1, &reply))
		reply = NULL;
	printbuf_free(command);
	return reply;
}

/* Whether RDB files are written: `save` holds at least one rule. */
static bool saves(struct blocking *redis)
{
	redisReply *reply = ask(redis, 3, (const char *const[]){"CONFIG", "GET", "save"});
	bool does = true;

	if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	    reply->element[1]->type == REDIS_REPLY_STRING)
		does = reply->element[1]->len > 0;
	reply_free(reply);
	return does;
}

void durability_ask(struct blocking *redis, struct durability *durability)
{
	redisReply *reply = ask(redis, 1, (const char *const[]){"INFO"});
	char limit[64], appends[64];

	memset(durability, 0, sizeof *durability);
	if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
		info_find(reply->str, "maxmemory_policy", durability->policy);
		info_find(reply->str, "maxmemory", limit);
		info_find(reply->str, "aof_enabled", appends);
		durability->evicts =
			strcmp(durability->policy, "noeviction") != 0 && strcmp(limit, "0") != 0;
		durability->forgets = strcmp(appends, "0") == 0 && !saves(redis);
	}
	reply_free(reply);
}

void durability_warn(const struct durability *durability)
{
	if (durability->evicts)
		log_warn("Redis drops keys when it is full (%s), with them states, settings, "
			 "blocks and subscriptions: " DURABILITY_POLICY,
			 durability->policy);
	if (durability->forgets)
		log_warn("Redis keeps nothing over a restart, so states, settings, blocks and "
			 "subscriptions are lost then: " DURABILITY_SAVING);
}
