#include "fleet.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "process.h"
#include "store/cluster.h"
#include "store/info.h"
#include "store/layout.h"

#define ARGS_MAX 64

/* --- one server ------------------------------------------------------------------------------ */

static const char *address_of(const struct fleet_server *server)
{
	return server->host != NULL ? server->host->address : "127.0.0.1";
}

static redisContext *connect_to(const struct fleet_server *server)
{
	if (server->host != NULL)
		host_enter(server->host);
	return redisConnect(address_of(server), server->port);
}

static void forget_control(struct fleet_server *server)
{
	if (server->control != NULL)
		redisFree(server->control);
	server->control = NULL;
}

static redisReply *try_command(struct fleet_server *server, const char *format, va_list args)
{
	va_list again;
	redisReply *reply;

	if (server->control == NULL)
		server->control = connect_to(server);
	ck_assert_msg(server->control->err == 0, "%s: %s", server->name, server->control->errstr);
	va_copy(again, args);
	reply = redisvCommand(server->control, format, again);
	va_end(again);
	return reply;
}

/* Once more when the connection is gone: Sentinels close all of a server that they give another part. */
static redisReply *command(struct fleet_server *server, const char *format, va_list args)
{
	redisReply *reply = try_command(server, format, args);

	if (reply == NULL) {
		forget_control(server);
		reply = try_command(server, format, args);
	}
	ck_assert_msg(reply != NULL, "%s: %s", server->name, server->control->errstr);
	return reply;
}

redisReply *fleet_cmd(struct fleet_server *server, const char *format, ...)
{
	va_list args;
	redisReply *reply;

	va_start(args, format);
	reply = command(server, format, args);
	va_end(args);
	return reply;
}

char *fleet_text(struct fleet_server *server, const char *format, ...)
{
	va_list args;
	redisReply *reply;
	char *text;

	va_start(args, format);
	reply = command(server, format, args);
	va_end(args);
	text = reply->type == REDIS_REPLY_NIL ? NULL : xstrdup(reply->str);
	freeReplyObject(reply);
	return text;
}

long long fleet_int(struct fleet_server *server, const char *format, ...)
{
	va_list args;
	redisReply *reply;
	long long number;

	va_start(args, format);
	reply = command(server, format, args);
	va_end(args);
	ck_assert_msg(reply->type == REDIS_REPLY_INTEGER, "%s: no number: %s", format, reply->str);
	number = reply->integer;
	freeReplyObject(reply);
	return number;
}

const char *fleet_info(struct fleet_server *server, const char *name)
{
	static char value[INFO_VALUE_SIZE];
	redisReply *reply = fleet_cmd(server, "INFO");

	ck_assert_msg(reply->type == REDIS_REPLY_STRING, "%s: INFO: %s", server->name, reply->str);
	info_find(reply->str, name, value);
	freeReplyObject(reply);
	return value;
}

static bool answers(const struct fleet_server *server)
{
	redisContext *context = connect_to(server);
	redisReply *reply = context->err == 0 ? redisCommand(context, "PING") : NULL;
	bool does = reply != NULL;

	if (reply != NULL)
		freeReplyObject(reply);
	redisFree(context);
	return does;
}

/* `first` are the arguments in front; the words of `args` follow. */
static void start(struct fleet_server *server, const char *const first[], const char *args)
{
	const char *argv[ARGS_MAX];
	char *more = xstrdup(args != NULL ? args : ""), *rest = more;
	int argc = 0;

	while (*first != NULL)
		argv[argc++] = *first++;
	for (char *word; (word = strsep(&rest, " ")) != NULL;) {
		ck_assert_int_lt(argc, ARGS_MAX - 1);
		if (*word != '\0')
			argv[argc++] = word;
	}
	argv[argc] = NULL;
	server->pid = process_start(server->stack, server->name, argv, NULL, 0);
	WAIT_UNTIL(answers(server) || !process_lives(server->pid), 10000);
	ck_assert_msg(process_lives(server->pid), "%s did not start", server->name);
	free(more);
}

static void name_server(struct stack *stack, struct fleet_server *server, const char *name)
{
	server->stack = stack;
	if (server->host != NULL)
		host_enter(server->host);
	snprintf(server->name, sizeof server->name, "%s", name);
	if (server->port == 0)
		server->port = free_port();
}

void fleet_start(struct stack *stack, struct fleet_server *server, const char *name,
		 const char *args)
{
	char port[12], *file;
	const char *first[] = {"redis-server",
			       "--port",
			       port,
			       "--save",
			       "",
			       "--bind",
			       NULL,
			       "--protected-mode",
			       "no",
			       "--dir",
			       stack->dir,
			       "--repl-diskless-sync-delay",
			       "0",
			       "--dbfilename",
			       NULL,
			       NULL};

	name_server(stack, server, name);
	snprintf(port, sizeof port, "%d", server->port);
	ck_assert(asprintf(&file, "%s.rdb", name) > 0);
	first[6] = address_of(server);
	first[sizeof first / sizeof first[0] - 2] = file;
	start(server, first, args);
	free(file);
}

void fleet_kill(struct fleet_server *server)
{
	forget_control(server);
	process_end(&server->pid, SIGKILL, server->name, 5000);
}

/* --- Sentinels ------------------------------------------------------------------------------- */

static void start_servers(struct sentinel_stand *stand, const char *args)
{
	for (int i = 0; i <= REPLICAS; i++) {
		char name[24], *own;

		snprintf(name, sizeof name, "redis%d", i);
		if (i == 0)
			ck_assert(asprintf(&own, "%s", args) >= 0);
		else
			ck_assert(asprintf(&own, "--replicaof %s %d %s",
					   address_of(&stand->servers[0]), stand->servers[0].port,
					   args) > 0);
		fleet_start(stand->stack, &stand->servers[i], name, own);
		free(own);
	}
	for (int i = 1; i <= REPLICAS; i++)
		WAIT_UNTIL(strcmp(fleet_info(&stand->servers[i], "master_link_status"), "up") == 0,
			   10000);
}

void fleet_start_sentinel(struct stack *stack, struct fleet_server *sentinel, const char *name,
			  const char *args)
{
	char port[12], *file;
	const char *first[] = {"redis-server", NULL, "--sentinel", "--port",   port,
			       "--bind",       NULL, "--dir",	   stack->dir, NULL};

	name_server(stack, sentinel, name);
	snprintf(port, sizeof port, "%d", sentinel->port);
	ck_assert(asprintf(&file, "%s.conf", name) > 0);
	first[1] = stack_path(stack, file);
	first[6] = address_of(sentinel);
	start(sentinel, first, args);
	free(file);
}

static void start_sentinel(struct sentinel_stand *stand, int index, const char *lines)
{
	struct fleet_server *sentinel = &stand->sentinels[index];
	char name[24], file[32], *text;

	snprintf(name, sizeof name, "sentinel%d", index);
	snprintf(file, sizeof file, "sentinel%d.conf", index);
	ck_assert(asprintf(&text,
			   "%s\n"
			   "sentinel monitor main %s %d 2\n"
			   "sentinel down-after-milliseconds main %d\n"
			   "sentinel failover-timeout main 5000\n",
			   lines, address_of(&stand->servers[0]), stand->servers[0].port,
			   patience(2000)) > 0);
	stack_write(stand->stack, file, text);
	fleet_start_sentinel(stand->stack, sentinel, name, NULL);
	free(text);
}

/* Whether a Sentinel knows the replicas and the other Sentinels. */
static bool knows_all(struct fleet_server *sentinel)
{
	redisReply *reply = fleet_cmd(sentinel, "SENTINEL MASTER main");
	bool knows = reply->type == REDIS_REPLY_ARRAY;

	for (size_t i = 0; knows && i + 1 < reply->elements; i += 2) {
		const char *name = reply->element[i]->str;
		int value = atoi(reply->element[i + 1]->str);

		if (strcmp(name, "num-slaves") == 0)
			knows = value == REPLICAS;
		else if (strcmp(name, "num-other-sentinels") == 0)
			knows = value == SENTINELS - 1;
	}
	freeReplyObject(reply);
	return knows;
}

/* `places`: the number of each one's host; NULL: all are here. */
static void place(struct fleet_server *servers, int count, const struct host *hosts,
		  const char *places)
{
	for (int i = 0; places != NULL && i < count; i++)
		servers[i].host = &hosts[places[i] - '0'];
}

struct sentinel_stand *sentinels_start(struct stack *stack, const char *args,
				       const char *sentinel_args)
{
	return sentinels_start_on(NULL, NULL, NULL, stack, args, sentinel_args);
}

struct sentinel_stand *sentinels_start_on(const struct host *hosts, const char *server_places,
					  const char *sentinel_places, struct stack *stack,
					  const char *args, const char *sentinel_args)
{
	struct sentinel_stand *stand = xcalloc(1, sizeof *stand);

	stand->stack = stack;
	place(stand->servers, 1 + REPLICAS, hosts, server_places);
	place(stand->sentinels, SENTINELS, hosts, sentinel_places);
	start_servers(stand, args != NULL ? args : "");
	for (int i = 0; i < SENTINELS; i++)
		start_sentinel(stand, i, sentinel_args != NULL ? sentinel_args : "");
	for (int i = 0; i < SENTINELS; i++)
		WAIT_UNTIL(knows_all(&stand->sentinels[i]), 20000);
	snprintf(stand->url, sizeof stand->url, "sentinel://%s:%d,%s:%d,%s:%d/main",
		 address_of(&stand->sentinels[0]), stand->sentinels[0].port,
		 address_of(&stand->sentinels[1]), stand->sentinels[1].port,
		 address_of(&stand->sentinels[2]), stand->sentinels[2].port);
	return stand;
}

void sentinels_stop(struct sentinel_stand *stand)
{
	for (int i = 0; i < SENTINELS; i++) {
		if (stand->sentinels[i].pid != 0)
			fleet_kill(&stand->sentinels[i]);
	}
	for (int i = 0; i <= REPLICAS; i++) {
		if (stand->servers[i].pid != 0)
			fleet_kill(&stand->servers[i]);
	}
	free(stand);
}

static int named_by(struct fleet_server *sentinel)
{
	redisReply *reply = fleet_cmd(sentinel, "SENTINEL get-master-addr-by-name main");
	int port = reply->type == REDIS_REPLY_ARRAY ? atoi(reply->element[1]->str) : -1;

	freeReplyObject(reply);
	return port;
}

/* The port that all who run name; -1: they do not agree. */
static int named_by_all(struct sentinel_stand *stand)
{
	int port = 0;

	for (int i = 0; i < SENTINELS; i++) {
		int named = stand->sentinels[i].pid != 0 ? named_by(&stand->sentinels[i]) : port;

		port = port == 0 || named == port ? named : -1;
	}
	return port;
}

static bool is_primary(struct sentinel_stand *stand, int port, struct fleet_server **primary)
{
	for (int i = 0; i <= REPLICAS; i++) {
		*primary = &stand->servers[i];
		if ((*primary)->port == port)
			return strcmp(fleet_info(*primary, "role"), "master") == 0;
	}
	return false;
}

struct fleet_server *sentinels_wait_primary(struct sentinel_stand *stand, int other_port)
{
	struct fleet_server *primary = NULL;
	int port = -1;

	WAIT_UNTIL((port = named_by_all(stand)) > 0 && port != other_port &&
			   is_primary(stand, port, &primary),
		   30000);
	return primary;
}

/* --- a cluster ------------------------------------------------------------------------------- */

/* The arguments of the next node; the caller frees them. */
static char *own_arguments(struct cluster_stand *stand, const char *args)
{
	const char *tls = strstr(args, "@TLS");
	char *own;

	if (tls == NULL)
		return xstrdup(args);
	stand->tls[stand->count] = free_port();
	ck_assert(asprintf(&own, "%.*s%d%s", (int)(tls - args), args, stand->tls[stand->count],
			   tls + strlen("@TLS")) > 0);
	return own;
}

static void start_node(struct cluster_stand *stand, const char *args)
{
	struct fleet_server *server = &stand->servers[stand->count];
	char name[24], *more = own_arguments(stand, args != NULL ? args : ""), *own;

	snprintf(name, sizeof name, "node%d", stand->count);
	if (server->host != NULL)
		host_enter(server->host);
	stand->bus[stand->count] = free_port(); /* not 10000 more, which may be taken */
	ck_assert(asprintf(&own,
			   "--cluster-enabled yes --cluster-config-file %s.nodes --cluster-port %d "
			   "--cluster-node-timeout %d --cluster-replica-validity-factor 0 %s",
			   name, stand->bus[stand->count], patience(CLUSTER_TIMEOUT), more) > 0);
	fleet_start(stand->stack, server, name, own);
	stand->count++;
	free(own);
	free(more);
}

static void expect_ok(struct fleet_server *server, redisReply *reply)
{
	ck_assert_msg(reply->type == REDIS_REPLY_STATUS, "%s: %s", server->name, reply->str);
	freeReplyObject(reply);
}

/* The value of a line of CLUSTER INFO. */
static const char *cluster_info(struct fleet_server *server, const char *name)
{
	static char value[INFO_VALUE_SIZE];
	char *text = fleet_text(server, "CLUSTER INFO");

	info_find(text, name, value);
	free(text);
	return value;
}

static bool knows_nodes(struct cluster_stand *stand, int who)
{
	return atoi(cluster_info(&stand->servers[who], "cluster_known_nodes")) == stand->count;
}

static void meet(struct cluster_stand *stand, int who)
{
	expect_ok(&stand->servers[0], fleet_cmd(&stand->servers[0], "CLUSTER MEET %s %d %d",
						address_of(&stand->servers[who]),
						stand->servers[who].port, stand->bus[who]));
}

static void make_replica(struct cluster_stand *stand, int who, int primary)
{
	struct fleet_server *server = &stand->servers[who];
	char *id = fleet_text(&stand->servers[primary], "CLUSTER MYID");

	expect_ok(server, fleet_cmd(server, "CLUSTER REPLICATE %s", id));
	WAIT_UNTIL(strcmp(fleet_info(server, "master_link_status"), "up") == 0, 10000);
	free(id);
}

struct cluster_stand *cluster_start(struct stack *stack, const char *args)
{
	return cluster_start_on(NULL, NULL, stack, args);
}

struct cluster_stand *cluster_start_on(const struct host *hosts, const char *places,
				       struct stack *stack, const char *args)
{
	struct cluster_stand *stand = xcalloc(1, sizeof *stand);

	stand->stack = stack;
	place(stand->servers, 2 * CLUSTER_PRIMARIES, hosts, places);
	for (int i = 0; i < 2 * CLUSTER_PRIMARIES; i++) {
		start_node(stand, args);
		expect_ok(&stand->servers[i],
			  fleet_cmd(&stand->servers[i], "CLUSTER SET-CONFIG-EPOCH %d", i + 1));
	}
	for (int i = 0; i < CLUSTER_PRIMARIES; i++)
		expect_ok(&stand->servers[i],
			  fleet_cmd(&stand->servers[i], "CLUSTER ADDSLOTSRANGE %d %d",
				    16384 * i / CLUSTER_PRIMARIES,
				    16384 * (i + 1) / CLUSTER_PRIMARIES - 1));
	for (int i = 1; i < stand->count; i++)
		meet(stand, i);
	for (int i = 0; i < stand->count; i++)
		WAIT_UNTIL(knows_nodes(stand, i), 20000);
	for (int i = 0; i < CLUSTER_PRIMARIES; i++)
		make_replica(stand, CLUSTER_PRIMARIES + i, i);
	cluster_wait_owner(stand, 0, -1);
	snprintf(stand->url, sizeof stand->url, "cluster://%s:%d,%s:%d,%s:%d",
		 address_of(&stand->servers[0]), stand->servers[0].port,
		 address_of(&stand->servers[1]), stand->servers[1].port,
		 address_of(&stand->servers[5]), stand->servers[5].port);
	return stand;
}

void cluster_stop(struct cluster_stand *stand)
{
	for (int i = 0; i < stand->count; i++) {
		if (stand->servers[i].pid != 0)
			fleet_kill(&stand->servers[i]);
	}
	free(stand);
}

int cluster_add(struct cluster_stand *stand, const char *args)
{
	int number = stand->count;

	start_node(stand, args);
	meet(stand, number);
	for (int i = 0; i < stand->count; i++)
		WAIT_UNTIL(stand->servers[i].pid == 0 || knows_nodes(stand, i), 20000);
	return number;
}

int cluster_owner(struct cluster_stand *stand, int who, int slot)
{
	redisReply *reply = fleet_cmd(&stand->servers[who], "CLUSTER SLOTS");
	int owner = -1;

	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *range = reply->element[i];

		if (slot < range->element[0]->integer || slot > range->element[1]->integer)
			continue;
		for (int j = 0; j < stand->count; j++) {
			if (stand->servers[j].port == range->element[2]->element[1]->integer)
				owner = j;
		}
	}
	freeReplyObject(reply);
	return owner;
}

/* -1: they do not agree, or one of them is not well. */
static int owner_for_all(struct cluster_stand *stand, int slot)
{
	int owner = -1;

	for (int i = 0; i < stand->count; i++) {
		int seen;

		if (stand->servers[i].pid == 0)
			continue;
		seen = cluster_owner(stand, i, slot);
		if (seen < 0 || (owner >= 0 && seen != owner) ||
		    strcmp(cluster_info(&stand->servers[i], "cluster_state"), "ok") != 0)
			return -1;
		owner = seen;
	}
	return owner;
}

int cluster_wait_owner(struct cluster_stand *stand, int slot, int other)
{
	int owner = -1;

	WAIT_UNTIL((owner = owner_for_all(stand, slot)) >= 0 && owner != other, 30000);
	return owner;
}

int cluster_slot_of(struct cluster_stand *stand, unsigned partition)
{
	char tag[16];
	unsigned count = stand->stack->partitions;

	snprintf(tag, sizeof tag, "{%u}", layout_tag(count, partition));
	return (int)cluster_slot(tag, strlen(tag));
}

redisReply *cluster_command(struct cluster_stand *stand, unsigned partition, const char *format,
			    va_list args)
{
	int who = 0, owner;

	while (stand->servers[who].pid == 0)
		who++;
	owner = cluster_owner(stand, who, cluster_slot_of(stand, partition));
	ck_assert_msg(owner >= 0, "no node has partition %u", partition);
	return command(&stand->servers[owner], format, args);
}

void cluster_fail_over(struct cluster_stand *stand, int replica)
{
	struct fleet_server *server = &stand->servers[replica];
	int64_t next = 0;

	/* Redis gives it up after five seconds when its messages cross; then it is asked again. */
	do {
		if (now_ms() >= next) {
			expect_ok(server, fleet_cmd(server, "CLUSTER FAILOVER"));
			next = now_ms() + 6000;
		}
		nap();
	} while (strcmp(fleet_info(server, "role"), "master") != 0);
}

void cluster_begin_move(struct cluster_stand *stand, int slot, int from, int to)
{
	char *from_id = fleet_text(&stand->servers[from], "CLUSTER MYID"),
	     *to_id = fleet_text(&stand->servers[to], "CLUSTER MYID");

	expect_ok(&stand->servers[to],
		  fleet_cmd(&stand->servers[to], "CLUSTER SETSLOT %d IMPORTING %s", slot, from_id));
	expect_ok(&stand->servers[from],
		  fleet_cmd(&stand->servers[from], "CLUSTER SETSLOT %d MIGRATING %s", slot, to_id));
	free(from_id);
	free(to_id);
}

int cluster_move_keys(struct cluster_stand *stand, int slot, int from, int to, int count)
{
	redisReply *keys = fleet_cmd(&stand->servers[from], "CLUSTER GETKEYSINSLOT %d %d", slot,
				     count < 0 ? 100000 : count);
	int moved = (int)keys->elements;

	for (int i = 0; i < moved; i++)
		expect_ok(&stand->servers[from],
			  fleet_cmd(&stand->servers[from], "MIGRATE %s %d %b 0 5000",
				    address_of(&stand->servers[to]), stand->servers[to].port,
				    keys->element[i]->str, keys->element[i]->len));
	freeReplyObject(keys);
	return moved;
}

void cluster_end_move(struct cluster_stand *stand, int slot, int to)
{
	char *to_id = fleet_text(&stand->servers[to], "CLUSTER MYID");

	/* First the new one, then those who do not know it yet. */
	expect_ok(&stand->servers[to],
		  fleet_cmd(&stand->servers[to], "CLUSTER SETSLOT %d NODE %s", slot, to_id));
	for (int i = 0; i < stand->count; i++) {
		redisReply *reply;

		if (i == to || stand->servers[i].pid == 0)
			continue;
		reply = fleet_cmd(&stand->servers[i], "CLUSTER SETSLOT %d NODE %s", slot, to_id);
		freeReplyObject(reply); /* a replica does not take it */
	}
	free(to_id);
}

void cluster_cancel_move(struct cluster_stand *stand, int slot, int from, int to)
{
	expect_ok(&stand->servers[from],
		  fleet_cmd(&stand->servers[from], "CLUSTER SETSLOT %d STABLE", slot));
	expect_ok(&stand->servers[to],
		  fleet_cmd(&stand->servers[to], "CLUSTER SETSLOT %d STABLE", slot));
}
