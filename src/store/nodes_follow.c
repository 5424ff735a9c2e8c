/* A cluster: a node that is asked for what it does not have names another one. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/times.h"
#include "store/cluster.h"
#include "store/nodes_private.h"
#include "store/reply.h"
#include "store/resp.h"

#define FOLLOW_MAX 16 /* redirections of one command */
#define TRYAGAIN_MS 20 /* after which a command is sent again */
/* Of each MOVING_EVERY_MS so long is waited for keys that are on their way, by however many calls. */
#define MOVING_WAIT_MS 100
#define MOVING_EVERY_MS 1000

/* Sends one command to a node, which does not have its slot or not yet (`asks`); NULL: no reply. */
static redisReply *send_one(struct nodes *nodes, unsigned number, bool asks, const char *command,
			    size_t len)
{
	struct node *node = &nodes->list[number];
	struct printbuf *out = buf_new();
	redisReply *replies[2];
	size_t count = asks ? 2 : 1;

	if (asks) {
		resp_begin(out, 1);
		resp_text(out, "ASKING");
	}
	buf_put(out, command, len);
	node->asked_ms = times_mono_ms();
	if (!blocking_run(node->link, out, count, replies)) {
		nodes_note_failure(nodes, node);
		replies[count - 1] = NULL;
	} else if (asks) {
		reply_free(replies[0]);
	}
	printbuf_free(out);
	return replies[count - 1];
}

/* Most slots have few keys and move at once; one that does not must not cost every call that time. */
static bool wait_for_keys(struct nodes *nodes)
{
	int64_t now = times_mono_ms();

	if (nodes->moving_ms == 0 || now - nodes->moving_ms >= MOVING_EVERY_MS)
		nodes->moving_ms = now;
	if (now - nodes->moving_ms >= MOVING_WAIT_MS)
		return false;
	nanosleep(&(struct timespec){.tv_nsec = TRYAGAIN_MS * 1000000L}, NULL);
	return true;
}

/* Where the command goes next, after a reply that sends elsewhere; false: it goes nowhere. */
static bool next_node(struct nodes *nodes, const redisReply *reply, unsigned *number, bool *asks)
{
	struct cluster_redirect redirect;
	int other = -1;

	switch (cluster_read_error(reply, &redirect)) {
	case CLUSTER_MOVED:
		other = members_moved(nodes->members, *number, &redirect);
		nodes->wants_map = true;
		*asks = false;
		break;
	case CLUSTER_ASK:
		other = members_find(nodes->members, *number, &redirect.place);
		*asks = true;
		break;
	case CLUSTER_TRYAGAIN:
		return wait_for_keys(nodes);
	default:
		nodes->wants_map = true;
		return false;
	}
	nodes_add_members(nodes);
	if (other >= 0)
		*number = (unsigned)other;
	return other >= 0;
}

/* Why a reply is not followed. A script's own words for keys on their way say nothing to anybody. */
static const char *why_not(const redisReply *reply)
{
	struct cluster_redirect redirect;

	return cluster_read_error(reply, &redirect) == CLUSTER_TRYAGAIN ? NODES_MOVING : reply->str;
}

/* Follows a reply to where the command is done. False: nowhere; then there is no reply. */
static bool follow(struct nodes *nodes, unsigned number, const char *command, size_t len,
		   redisReply **reply, int64_t until_ms)
{
	struct cluster_redirect redirect;
	bool asks = false;

	for (int i = 0; *reply != NULL && cluster_read_error(*reply, &redirect) != CLUSTER_NO_ERROR;
	     i++) {
		if (i == FOLLOW_MAX || times_mono_ms() >= until_ms ||
		    !next_node(nodes, *reply, &number, &asks)) {
			nodes_fail(nodes, &nodes->list[number], why_not(*reply));
			reply_free(*reply);
			*reply = NULL;
			return false;
		}
		reply_free(*reply);
		*reply = send_one(nodes, number, asks, command, len);
	}
	return *reply != NULL;
}

bool nodes_follow(struct nodes *nodes, redisReply **replies, bool all)
{
	int64_t until_ms = times_mono_ms() + nodes->config->redis.timeout_ms;
	bool ok = true;
	size_t done = 0;

	for (size_t i = 0; i < nodes->pipeline.run_count; i++) {
		const struct pipeline_run *run = &nodes->pipeline.runs[i];
		const char *command = pipeline_text(&nodes->pipeline, run);

		for (size_t left = run->count; left > 0 && (ok || !all); left--) {
			size_t len = resp_length(command);

			ok &= follow(nodes, run->server, command, len, &replies[done++], until_ms);
			command += len;
		}
	}
	return ok;
}
