/*
 * LAYOUT_SENTINEL: a primary with two replicas, and three Sentinels, which make one of those the primary when it
 * fails. What the old one took last may be lost by that, what it takes when it comes back is.
 */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "integration/process.h"
#include "store/info.h"

#define DOWN_AFTER 2000 /* ms, stretched */
#define LOOK_AGAIN 200 /* ms from one look at who is the primary to the next */
#define ANSWER 500 /* ms, stretched: who does not answer by then is asked again */
#define BEFORE \
	1000 /* ms, stretched: what a primary took so long before it failed may not be with a replica */
#define WELL_WITHIN 20000

static struct stand *stand_of(struct chaos *chaos)
{
	return &chaos->stand;
}

/* --- asking one of them ---------------------------------------------------------------------- */

/* NULL: it does not answer. */
static redisReply *ask(int port, const char *command)
{
	struct timeval limit = {.tv_usec = 1000L * patience(ANSWER) % 1000000,
				.tv_sec = patience(ANSWER) / 1000};
	redisContext *context = redisConnectWithTimeout("127.0.0.1", port, limit);
	redisReply *reply = NULL;

	if (context != NULL && context->err == 0 && redisSetTimeout(context, limit) == REDIS_OK)
		reply = redisCommand(context, command);
	redisFree(context);
	return reply;
}

/* The server that this Sentinel names; -1: none. */
static int named_by(struct chaos *chaos, int sentinel)
{
	redisReply *reply = ask(stand_of(chaos)->sentinel_ports[sentinel],
				"SENTINEL get-master-addr-by-name main");
	int port = reply != NULL && reply->type == REDIS_REPLY_ARRAY ? atoi(reply->element[1]->str)
								     : -1;
	int server = SENTINEL_SERVERS - 1;

	while (server >= 0 && stand_of(chaos)->sentinel_servers[server] != port)
		server--;
	if (reply != NULL)
		freeReplyObject(reply);
	return server;
}

/* Whether its INFO says so. */
static bool says(struct chaos *chaos, int server, const char *name, const char *value)
{
	redisReply *reply = ask(stand_of(chaos)->sentinel_servers[server], "INFO replication");
	char said[INFO_VALUE_SIZE] = "";

	if (reply != NULL && reply->type == REDIS_REPLY_STRING)
		info_find(reply->str, name, said);
	if (reply != NULL)
		freeReplyObject(reply);
	return strcmp(said, value) == 0;
}

/* --- starting -------------------------------------------------------------------------------- */

void sentinels_put_conf(struct chaos *chaos, struct printbuf *conf)
{
	for (int i = 0; i < SENTINEL_SERVERS; i++)
		stand_of(chaos)->sentinel_servers[i] = free_port();
	for (int i = 0; i < SENTINELS; i++)
		stand_of(chaos)->sentinel_ports[i] = free_port();
	buf_putf(conf, "redis { url = \"%s\" }\n", sentinels_url(chaos));
}

const char *sentinels_url(struct chaos *chaos)
{
	static char url[100];
	const int *ports = stand_of(chaos)->sentinel_ports;

	snprintf(url, sizeof url, "sentinel://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/main",
		 ports[0], ports[1], ports[2]);
	return url;
}

void sentinels_put_args(const struct chaos *chaos, int server, char *args, size_t size)
{
	const struct stand *stand = &chaos->stand;
	bool is_first = stand->streamds == 0;
	int len = snprintf(args, size,
			   " --port %d --bind 127.0.0.1 --dbfilename dump%d.rdb "
			   "--repl-diskless-sync-delay 0 --min-replicas-to-write 1 "
			   "--min-replicas-max-lag 10",
			   stand->sentinel_servers[server], server);

	/* One that comes back takes itself for what it was: the primary. */
	if (is_first && server > 0)
		snprintf(args + len, size - (size_t)len, " --replicaof 127.0.0.1 %d",
			 stand->sentinel_servers[0]);
}

static void start_sentinel(struct chaos *chaos, int index)
{
	struct stack *stack = stand_of(chaos)->stack;
	char log[24], file[32], port[12], text[400];
	const char *argv[] = {"redis-server", NULL,	   "--sentinel", "--port",   port,
			      "--bind",	      "127.0.0.1", "--dir",	 stack->dir, NULL};
	pid_t pid;

	snprintf(log, sizeof log, "sentinel%d", index);
	snprintf(file, sizeof file, "%s.conf", log);
	snprintf(port, sizeof port, "%d", stand_of(chaos)->sentinel_ports[index]);
	snprintf(text, sizeof text,
		 "sentinel monitor main 127.0.0.1 %d 2\n"
		 "sentinel down-after-milliseconds main %d\n"
		 "sentinel failover-timeout main 5000\n",
		 stand_of(chaos)->sentinel_servers[0], patience(DOWN_AFTER));
	stack_write(stack, file, text);
	argv[1] = stack_path(stack, file);
	pid = process_start(stack, log, argv, NULL, 0);
	WAIT_UNTIL(named_by(chaos, index) == 0 || !process_lives(pid), WELL_WITHIN);
	ck_assert_msg(process_lives(pid), "%s did not start", log);
}

/* Whether a Sentinel knows both replicas and the other Sentinels. */
static bool knows_all(struct chaos *chaos, int sentinel)
{
	redisReply *reply = ask(stand_of(chaos)->sentinel_ports[sentinel], "INFO sentinel");
	bool knows = reply != NULL && reply->type == REDIS_REPLY_STRING &&
		     strstr(reply->str, "status=ok") != NULL &&
		     strstr(reply->str, ",slaves=2,sentinels=3") != NULL;

	if (reply != NULL)
		freeReplyObject(reply);
	return knows;
}

/* All follow the primary that all Sentinels name, and it takes writes. */
static bool is_well(struct chaos *chaos)
{
	int primary = stand_of(chaos)->owner[0];

	for (int i = 0; i < SENTINELS; i++) {
		if (named_by(chaos, i) != primary || !knows_all(chaos, i))
			return false;
	}
	for (int i = 0; i < SENTINEL_SERVERS; i++) {
		if (i != primary && !(says(chaos, i, "role", "slave") &&
				      says(chaos, i, "master_link_status", "up")))
			return false;
	}
	return says(chaos, primary, "role", "master") &&
	       says(chaos, primary, "min_slaves_good_slaves", "2");
}

void sentinels_begin(struct chaos *chaos)
{
	for (int i = 0; i < SENTINELS; i++)
		start_sentinel(chaos, i);
	WAIT_UNTIL(is_well(chaos), WELL_WITHIN);
}

/* One that was ordered has not begun yet when all seem well; Sentinels may give it up. */
static bool is_expected(const struct stand *stand)
{
	return stand->was_ordered && stand->owner[0] == stand->struck &&
	       now_ms() < stand->struck_at + patience(WELL_WITHIN);
}

/* --- a failover ------------------------------------------------------------------------------ */

/* Sentinels cut the connections of a server that they give another part. */
static void connect_anew(struct chaos *chaos)
{
	struct stack *stack = stand_of(chaos)->stack;

	for (int i = 0; i < SENTINEL_SERVERS; i++) {
		if (redis_pid_at(stack, i) != 0 && stand_of(chaos)->redis_stopped != i)
			stand_redis_connect(chaos, i);
	}
	tap_close(chaos);
	tap_open(chaos);
}

void sentinels_strike(struct chaos *chaos, int server)
{
	struct stand *stand = stand_of(chaos);

	stand->is_unsettled = true;
	stand->was_ordered = false;
	stand->struck = server;
	stand->struck_at = now_ms();
}

bool sentinels_fail_over(struct chaos *chaos)
{
	redisReply *reply;
	bool ok;

	if (!stand_redis_answers(chaos))
		return false;
	reply = ask(stand_of(chaos)->sentinel_ports[0], "SENTINEL FAILOVER main");
	ok = reply != NULL && reply->type == REDIS_REPLY_STATUS;
	if (reply != NULL)
		freeReplyObject(reply);
	if (ok)
		sentinels_strike(chaos, stand_of(chaos)->owner[0]);
	stand_of(chaos)->was_ordered = ok;
	return ok;
}

static void on_failover(struct chaos *chaos, int primary)
{
	struct stand *stand = stand_of(chaos);

	if (!stand->is_unsettled) /* nobody had told it to; a machine that stood still */
		sentinels_strike(chaos, stand->owner[0]);
	chaos_log("  server %d is the primary, %lld ms after server %d was struck", primary,
		  (long long)(now_ms() - stand->struck_at), stand->struck);
	stand->owner[0] = primary;
	chaos->gap_at = stand->struck_at;
	chaos->gap_server = primary;
	connect_anew(chaos);
	model_writes_lost(chaos, stand->struck_at - patience(BEFORE));
}

void sentinels_turn(struct chaos *chaos)
{
	struct stand *stand = stand_of(chaos);
	int named;

	if (stand->layout != LAYOUT_SENTINEL || now_ms() < stand->sentinel_look_at)
		return;
	stand->sentinel_look_at = now_ms() + LOOK_AGAIN;
	named = named_by(chaos, 0);
	if (named >= 0 && named != stand->owner[0] && says(chaos, named, "role", "master"))
		on_failover(chaos, named);
	for (int i = 0; i < SENTINEL_SERVERS; i++) {
		if (redis_pid_at(stand->stack, i) == 0 || stand->redis_stopped == i)
			return;
	}
	if (!stand->is_unsettled || is_expected(stand) || !is_well(chaos))
		return;
	/* What the old primary still took, until it knew. */
	if (stand->struck != stand->owner[0])
		model_writes_lost(chaos, stand->struck_at - patience(BEFORE));
	stand->is_unsettled = false;
	connect_anew(chaos);
	chaos->calm_since = now_ms();
	chaos_log("  all servers follow server %d, %lld ms later", stand->owner[0],
		  (long long)(now_ms() - stand->struck_at));
}
