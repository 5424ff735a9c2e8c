/* Commands over a real Redis Cluster: each reaches the node that has its partition, while slots move and nodes go. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/config.h"
#include "fleet.h"
#include "process.h"
#include "store/blocks.h"
#include "store/cluster.h"
#include "store/inbox.h"
#include "store/keys.h"
#include "store/nodes.h"
#include "store/partitions.h"
#include "store/pause.h"
#include "store/push.h"
#include "store/reply.h"
#include "store/resp.h"
#include "store/scrape.h"
#include "store/throttle.h"

#define ASKED 64 /* asked for in one go: some in every partition */

static struct stack *stack;
static struct cluster_stand *cluster;
static struct config *config;
static struct partitions *partitions;
static struct nodes *nodes;

static struct config *load_config(const char *url, int count)
{
	char err[512];
	struct config *loaded = config_load(stack_path(stack, "presence.conf"), err, sizeof err);

	ck_assert_msg(loaded != NULL, "%s", err);
	free(loaded->redis.url);
	loaded->redis.url = xstrdup(url);
	loaded->redis.partitions = count;
	return loaded;
}

/* Another process begins, with these nodes to ask. */
static void open_nodes(const char *url)
{
	config = load_config(url, CLUSTER_PARTITIONS);
	partitions = partitions_new(config);
	nodes = nodes_new(config);
}

static void close_nodes(void)
{
	nodes_free(nodes);
	partitions_free(partitions);
	config_free(config);
}

static void setup(void)
{
	stack = stack_new("");
	cluster = cluster_start(stack, "--enable-debug-command yes");
	open_nodes(cluster->url);
}

static void teardown(void)
{
	close_nodes();
	cluster_stop(cluster);
	stack_stop(stack);
}

static const struct store *store_of(int id)
{
	struct userid user = {.text = ""};

	snprintf(user.text, sizeof user.text, "%d", id);
	return partitions_of(partitions, &user);
}

static int slot_of(const struct store *store)
{
	return (int)cluster_slot(store_prefix(store), strlen(store_prefix(store)));
}

static void put_set(int id, const char *value)
{
	const struct store *store = store_of(id);
	struct printbuf *out = nodes_to(nodes, store);
	char text[16];

	snprintf(text, sizeof text, "%d", id);
	resp_begin(out, 3);
	resp_text(out, "SET");
	resp_key(out, store_prefix(store), KEY_CHOSEN, text);
	resp_text(out, value);
}

static void put_get(int id)
{
	const struct store *store = store_of(id);
	struct printbuf *out = nodes_to(nodes, store);
	char text[16];

	snprintf(text, sizeof text, "%d", id);
	resp_begin(out, 2);
	resp_text(out, "GET");
	resp_key(out, store_prefix(store), KEY_CHOSEN, text);
}

/* Sets and reads the value of users 1 to ASKED, all in one go. */
static bool try_all(const char *value)
{
	redisReply *replies[2 * ASKED];
	bool ok;

	nodes_begin(nodes);
	for (int id = 1; id <= ASKED; id++) {
		char own[32];

		snprintf(own, sizeof own, "%s-%d", value, id);
		put_set(id, own);
	}
	for (int id = 1; id <= ASKED; id++)
		put_get(id);
	ok = nodes_run(nodes, 2 * (size_t)ASKED, replies);
	for (int id = 1; ok && id <= ASKED; id++) {
		const redisReply *reply = replies[ASKED + id - 1];
		char own[32];

		snprintf(own, sizeof own, "%s-%d", value, id);
		ck_assert_int_eq(reply->type, REDIS_REPLY_STRING);
		ck_assert_str_eq(reply->str, own);
	}
	if (ok)
		blocking_free_replies(replies, 2 * (size_t)ASKED);
	return ok;
}

static void expect_all(const char *value)
{
	ck_assert_msg(try_all(value), "%s", nodes_error(nodes));
}

START_TEST(each_command_reaches_its_node)
{
	expect_all("a");
	expect_all("b");
	/* Nobody was sent elsewhere. */
	for (int i = 0; i < 6; i++) {
		redisReply *reply = fleet_cmd(&cluster->servers[i], "INFO errorstats");

		ck_assert_msg(strstr(reply->str, "MOVED") == NULL, "%s", reply->str);
		freeReplyObject(reply);
	}
}
END_TEST

START_TEST(one_node_that_lives_is_enough_to_find_the_others)
{
	char *url;

	close_nodes();
	ck_assert(asprintf(&url, "cluster://127.0.0.1:1,127.0.0.1:2,127.0.0.1:%d",
			   cluster->servers[4].port) > 0); /* a replica */
	open_nodes(url);
	expect_all("a");
	free(url);
}
END_TEST

START_TEST(a_slot_that_moved_is_found)
{
	const struct store *store = store_of(1);
	int slot = slot_of(store), from, to;

	expect_all("a");
	from = cluster_owner(cluster, 0, slot);
	to = (from + 1) % CLUSTER_PRIMARIES;
	for (int round = 0; round < 3; round++) {
		int other = from;

		cluster_begin_move(cluster, slot, from, to);
		cluster_move_keys(cluster, slot, from, to, -1);
		cluster_end_move(cluster, slot, to);
		expect_all(round % 2 == 0 ? "b" : "c");
		from = to;
		to = other;
	}
	ck_assert_int_gt(fleet_int(&cluster->servers[from], "CLUSTER COUNTKEYSINSLOT %d", slot), 0);
}
END_TEST

START_TEST(while_a_slot_moves_each_key_is_where_it_is)
{
	const struct store *store = store_of(1);
	int slot = slot_of(store), from, to, left;

	expect_all("a");
	from = cluster_owner(cluster, 0, slot);
	to = (from + 1) % CLUSTER_PRIMARIES;
	cluster_begin_move(cluster, slot, from, to);
	expect_all("b");
	ck_assert_int_eq(cluster_move_keys(cluster, slot, from, to, 2), 2);
	expect_all("c");
	do {
		left = cluster_move_keys(cluster, slot, from, to, 1);
		expect_all("d");
	} while (left > 0);
	cluster_end_move(cluster, slot, to);
	expect_all("e");
}
END_TEST

static void put_touch(const char *id)
{
	struct userid user;
	struct store_touch item = {.user = &user,
				   .tok = "t",
				   .iat = 1000,
				   .stream = "s",
				   .token = true,
				   .reason = "stream_open"};
	const struct store *store;

	ck_assert(userid_parse(id, strlen(id), &user));
	store = partitions_of(partitions, &user);
	nodes_begin(nodes);
	store_put_touch(nodes_to(nodes, store), store, false, &item, 1);
}

/* Each call waits a little for keys that are on their way; many calls wait hardly longer than one. */
static void expect_few_tries(int node)
{
	struct fleet_server *server = &cluster->servers[node];
	int64_t start = now_ms();
	const char *stats, *calls;
	redisReply *reply;
	int tries;

	freeReplyObject(fleet_cmd(server, "CONFIG RESETSTAT"));
	for (int i = 0; i < 100; i++) {
		put_touch("1");
		ck_assert(!nodes_run(nodes, 1, &reply));
		check_has(nodes_error(nodes), NODES_MOVING);
	}
	stats = fleet_text(server, "INFO commandstats");
	calls = strstr(stats, "cmdstat_evalsha:calls=");
	tries = calls != NULL ? atoi(calls + strlen("cmdstat_evalsha:calls=")) : 0;
	ck_assert_msg(tries < 200 + 10 * (now_ms() - start) / 1000, "%d tries", tries);
}

/* Scripts touch several keys: in the middle of it they do all or nothing. */
START_TEST(while_a_slot_moves_a_script_does_all_or_nothing)
{
	const struct store *store = store_of(1);
	int slot = slot_of(store), from, to, keys;
	redisReply *reply;

	put_touch("1");
	ck_assert_msg(nodes_run(nodes, 1, &reply), "%s", nodes_error(nodes));
	reply_free(reply);
	from = cluster_owner(cluster, 0, slot);
	to = (from + 1) % CLUSTER_PRIMARIES;
	keys = (int)fleet_int(&cluster->servers[from], "CLUSTER COUNTKEYSINSLOT %d", slot);
	cluster_begin_move(cluster, slot, from, to);
	cluster_move_keys(cluster, slot, from, to, keys / 2);
	expect_few_tries(from);
	ck_assert_int_eq(
		fleet_int(&cluster->servers[from], "CLUSTER COUNTKEYSINSLOT %d", slot) +
			fleet_int(&cluster->servers[to], "CLUSTER COUNTKEYSINSLOT %d", slot),
		keys);
	cluster_move_keys(cluster, slot, from, to, -1);
	cluster_end_move(cluster, slot, to);
	put_touch("1");
	ck_assert_msg(nodes_run(nodes, 1, &reply), "%s", nodes_error(nodes));
	ck_assert_int_eq(store_read_touch(reply, 0), STORE_DONE);
	reply_free(reply);
}
END_TEST

/* Moves some keys of a store, by their names without the prefix. */
static void move_named(const struct store *store, const char *names, int from, int to)
{
	char *list = xstrdup(names), *rest = list, *name;

	while ((name = strsep(&rest, " ")) != NULL) {
		redisReply *reply =
			fleet_cmd(&cluster->servers[from], "MIGRATE 127.0.0.1 %d %s%s 0 5000",
				  cluster->servers[to].port, store_prefix(store), name);

		ck_assert_msg(reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0,
			      "MIGRATE %s: %s", name, reply->str);
		freeReplyObject(reply);
	}
	free(list);
}

/* The user is online, has blocked the other one, and the other one's typing was told of before. */
static void put_state(const struct store *store, int node)
{
	static const char *const commands[] = {
		"SET %suser:settings:1 {\"nearby\":\"friends\"}",
		"SADD %suser:blocked:1 2",
		"SET %spresence:rate:typing:1/2 1",
		"SET %spresence:typing:1/2 1",
		"SET %spresence:swept 1",
		"SET %spresence:hold 1",
		"SET %spresence:paused 1",
		"SET %spresence:epoch e",
	};
	redisReply *reply;

	put_touch("1");
	ck_assert_msg(nodes_run(nodes, 1, &reply), "%s", nodes_error(nodes));
	reply_free(reply);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		freeReplyObject(
			fleet_cmd(&cluster->servers[node], commands[i], store_prefix(store)));
}

/* How a node answers a script that asks in one command for the key that it declares and one that is nowhere. */
static void expect_script_refused(int node, bool asks, const struct store *store)
{
	struct fleet_server *server = &cluster->servers[node];
	const char *prefix = store_prefix(store);
	enum cluster_error expected = CLUSTER_TRYAGAIN;
	struct cluster_redirect redirect;
	redisReply *reply = fleet_cmd(server, "EXISTS %spresence:epoch", prefix);

	if (!asks && reply->type == REDIS_REPLY_ERROR)
		expected = CLUSTER_ASK; /* what is declared is not here any more */
	freeReplyObject(reply);
	if (asks)
		freeReplyObject(fleet_cmd(server, "ASKING"));
	reply = fleet_cmd(server, "EVAL %s 1 %spresence:epoch %spresence:nowhere",
			  "return redis.call('EXISTS',KEYS[1],ARGV[1])", prefix, prefix);
	ck_assert_msg(cluster_read_error(reply, &redirect) == expected, "%s",
		      reply->type == REDIS_REPLY_ERROR ? reply->str : "it was done");
	freeReplyObject(reply);
}

/*
 * Most scripts ask for keys that may be nowhere: a mark that a token is revoked, a chosen state. From the first moment
 * of a move to its last, neither node serves them, also when it is asked after ASK. So presence-streamd does not
 * follow it: it asks whether the move is over.
 */
START_TEST(while_a_slot_moves_neither_node_serves_a_script_that_misses_a_key)
{
	const struct store *store = store_of(1);
	int slot = slot_of(store), from, to;

	expect_all("a");
	from = cluster_owner(cluster, 0, slot);
	to = (from + 1) % CLUSTER_PRIMARIES;
	put_state(store, from);
	cluster_begin_move(cluster, slot, from, to);
	expect_script_refused(from, false, store);
	expect_script_refused(to, true, store);
	move_named(store, "presence:epoch", from, to);
	expect_script_refused(from, false, store);
	expect_script_refused(to, true, store);
	cluster_move_keys(cluster, slot, from, to, -1);
	expect_script_refused(from, false, store);
	expect_script_refused(to, true, store);
	cluster_end_move(cluster, slot, to);
}
END_TEST

/* Calls of a script that is about one key. */
enum call { CALL_DONE, CALL_COUNT, CALL_WAIT, CALL_BLOCK, CALL_THROTTLE, CALL_END };

static void put_call(enum call call, const struct store *store)
{
	const struct userid user = {.text = "1"}, other = {.text = "2"};
	struct printbuf *out;

	nodes_begin(nodes);
	out = nodes_to(nodes, store);
	switch (call) {
	case CALL_DONE:
		push_put_done(out, store, "1-1");
		break;
	case CALL_COUNT:
		push_put_count(out, store, &user);
		break;
	case CALL_WAIT:
		push_put_wait(out, store, &other, &user, true);
		break;
	case CALL_BLOCK:
		blocks_put(out, store, &user, &other, true, 1);
		break;
	default:
		throttle_put(out, store, "account", NULL);
	}
}

static bool run_call(enum call call, const struct store *store)
{
	redisReply *reply;
	bool ok;

	put_call(call, store);
	ok = nodes_run(nodes, 1, &reply);
	if (ok)
		reply_free(reply);
	return ok;
}

/* The one that a call declares is nowhere, so the old node sends to the new one, which has nothing yet. */
START_TEST(while_a_slot_moves_no_script_writes_where_its_key_is_not)
{
	const struct store *store = store_of(1);
	int slot = slot_of(store), from, to, keys;

	from = cluster_owner(cluster, 0, slot);
	to = (from + 1) % CLUSTER_PRIMARIES;
	freeReplyObject(fleet_cmd(&cluster->servers[from], "XADD %spush:queue 1-1 job x",
				  store_prefix(store)));
	for (enum call call = 0; call < CALL_END; call++)
		ck_assert_msg(run_call(call, store), "%d: %s", call, nodes_error(nodes));
	keys = (int)fleet_int(&cluster->servers[from], "CLUSTER COUNTKEYSINSLOT %d", slot);
	cluster_begin_move(cluster, slot, from, to);
	for (enum call call = 0; call < CALL_END; call++)
		ck_assert_msg(!run_call(call, store), "%d was done", call);
	ck_assert_int_eq(fleet_int(&cluster->servers[to], "CLUSTER COUNTKEYSINSLOT %d", slot), 0);
	ck_assert_int_eq(cluster_move_keys(cluster, slot, from, to, -1), keys);
	cluster_end_move(cluster, slot, to);
	for (enum call call = 0; call < CALL_END; call++)
		ck_assert_msg(run_call(call, store), "%d: %s", call, nodes_error(nodes));
}
END_TEST

/* Calls of a script that answers by what it reads. */
enum question { QUESTION_LOOK, QUESTION_NEAR, QUESTION_TYPING, QUESTION_CLOSE, QUESTION_FIGURES };

/* What has moved when it is asked, blanks between: all that it read in one command so far. */
static const struct {
	enum question question;
	const char *moved;
} questions[] = {
	{QUESTION_LOOK, "presence:epoch presence:swept presence:hold presence:paused"},
	{QUESTION_NEAR, "presence:epoch user:settings:1"},
	{QUESTION_TYPING, "presence:epoch user:settings:1 presence:rate:typing:1/2 "
			  "presence:typing:1/2"},
	{QUESTION_CLOSE, "presence:epoch presence:swept presence:hold presence:paused"},
	{QUESTION_FIGURES, "presence:epoch"},
};
#define QUESTIONS (sizeof questions / sizeof questions[0])

static void put_question(enum question question, const struct store *store)
{
	const struct userid user = {.text = "1"}, other = {.text = "2"}, *users[] = {&user};
	const struct inbox_typing typing = {
		.to = &user, .from = &other, .starts = false, .conversation = "", .passes = true};
	const struct store_close closing = {.user = &user, .tok = "t", .stream = "s", .ago_ms = 0};
	struct printbuf *out;

	nodes_begin(nodes);
	out = nodes_to(nodes, store);
	switch (question) {
	case QUESTION_LOOK:
		pause_put_look(out, store, users, 1);
		break;
	case QUESTION_NEAR:
		inbox_put_near(out, store, &user, &other, true);
		break;
	case QUESTION_TYPING:
		inbox_put_typing(out, store, &typing);
		break;
	case QUESTION_CLOSE:
		store_put_close(out, store, &closing, 1);
		break;
	default:
		scrape_put(out, store);
	}
}

static bool run_question(enum question question, const struct store *store)
{
	redisReply *reply;
	bool ok;

	put_question(question, store);
	ok = nodes_run(nodes, 1, &reply);
	if (ok)
		reply_free(reply);
	return ok;
}

/* The new node has what the call declares, and would answer that all else is nowhere: nobody is online there. */
START_TEST(while_a_slot_moves_no_script_takes_what_is_elsewhere_for_gone)
{
	const struct store *store = store_of(1);
	int slot = slot_of(store), from, to;

	expect_all("a"); /* the map is known */
	from = cluster_owner(cluster, 0, slot);
	to = (from + 1) % CLUSTER_PRIMARIES;
	put_state(store, from);
	ck_assert_msg(run_question(questions[_i].question, store), "%s", nodes_error(nodes));
	cluster_begin_move(cluster, slot, from, to);
	move_named(store, questions[_i].moved, from, to);
	ck_assert(!run_question(questions[_i].question, store));
	check_has(nodes_error(nodes), NODES_MOVING);
	cluster_move_keys(cluster, slot, from, to, -1);
	cluster_end_move(cluster, slot, to);
	ck_assert_msg(run_question(questions[_i].question, store), "%s", nodes_error(nodes));
}
END_TEST

START_TEST(a_replica_that_takes_over_is_found)
{
	int slot = slot_of(store_of(1)), owner;

	expect_all("a");
	/* By agreement. */
	owner = cluster_owner(cluster, 0, slot);
	cluster_fail_over(cluster, owner + CLUSTER_PRIMARIES);
	ck_assert_int_eq(cluster_wait_owner(cluster, slot, owner), owner + CLUSTER_PRIMARIES);
	expect_all("b");
	/* By death: until then, there is nobody. */
	WAIT_UNTIL(strcmp(fleet_info(&cluster->servers[owner], "master_link_status"), "up") == 0,
		   10000);
	fleet_kill(&cluster->servers[owner + CLUSTER_PRIMARIES]);
	ck_assert(!try_all("c"));
	ck_assert_int_eq(cluster_wait_owner(cluster, slot, owner + CLUSTER_PRIMARIES), owner);
	WAIT_UNTIL(try_all("d"), 2000);
	expect_all("e");
}
END_TEST

START_TEST(a_node_that_stands_still_costs_no_more_than_the_limit)
{
	int slot = slot_of(store_of(1)), owner;
	int64_t start;

	expect_all("a");
	owner = cluster_owner(cluster, 0, slot);
	signal_and_wait_stopped(cluster->servers[owner].pid);
	start = now_ms();
	ck_assert(!try_all("b"));
	ck_assert_msg(now_ms() - start < 1000 + patience(1000), "after %d ms",
		      (int)(now_ms() - start));
	start = now_ms();
	ck_assert(!try_all("b"));
	ck_assert_msg(now_ms() - start < patience(500), "the second one after %d ms",
		      (int)(now_ms() - start));
	WAIT_UNTIL(try_all("c"), 20000);
	kill(cluster->servers[owner].pid, SIGCONT);
	expect_all("d");
}
END_TEST

START_TEST(another_layout_is_refused)
{
	struct config *other;
	struct nodes *wrong;
	char err[256] = "";

	expect_all("a");
	for (int count = 2; count <= 1024; count *= 2) {
		other = load_config(cluster->url, count);
		wrong = nodes_new(other);
		ck_assert_msg(nodes_check(wrong, err, sizeof err) == (count == CLUSTER_PARTITIONS),
			      "%d partitions: %s", count, err);
		if (count != CLUSTER_PARTITIONS)
			ck_assert_ptr_nonnull(strstr(err, "not as redis.url and redis.partitions"));
		nodes_free(wrong);
		config_free(other);
	}
	other = load_config(cluster->url, CLUSTER_PARTITIONS);
	wrong = nodes_new(other);
	for (int i = 0; i < CLUSTER_PRIMARIES; i++)
		freeReplyObject(fleet_cmd(&cluster->servers[i], "ZADD presence:deadlines 1 1"));
	ck_assert(!nodes_check(wrong, err, sizeof err));
	ck_assert_ptr_nonnull(strstr(err, "redis.partitions = 1"));
	nodes_free(wrong);
	config_free(other);
}
END_TEST

/* What a program says that does not start. */
static void expect_refusal(const char *name, const char *text)
{
	const char *argv[] = {program(name), "-c", stack_path(stack, "presence.conf"), NULL};
	char *out;

	ck_assert_int_eq(run(stack, &out, NULL, argv), 2);
	check_has(stack_file(stack, "run.log"), text);
}

static void configure(const char *url)
{
	char *conf;

	ck_assert(asprintf(&conf,
			   "redis { url = \"%s\" partitions = %d }\n"
			   "api { listen = \"unix:%s/api.sock\" children = 1 }\n",
			   url, CLUSTER_PARTITIONS, stack->dir) > 0);
	stack_write_conf(stack, conf);
	free(conf);
}

/* --- presencectl, which passes over all keys ------------------------------------------------- */

/* Users who are looked for, and what is theirs in the partition of another one. */
static void put_traces(void)
{
	redisReply *reply;

	configure(cluster->url);
	put_touch("1");
	ck_assert_msg(nodes_run(nodes, 1, &reply), "%s", nodes_error(nodes));
	reply_free(reply);
	for (int id = 2; id <= ASKED; id++) {
		const struct store *store = store_of(id);

		freeReplyObject(
			fleet_cmd(&cluster->servers[cluster_owner(cluster, 0, slot_of(store))],
				  "SADD %suser:blocked:%d 1", store_prefix(store), id));
	}
}

START_TEST(while_a_slot_moves_who_looks_at_all_keys_is_refused)
{
	int slot = slot_of(store_of(2)), from, to;
	char *out, says[64];

	put_traces();
	from = cluster_owner(cluster, 0, slot);
	to = (from + 1) % CLUSTER_PRIMARIES;
	snprintf(says, sizeof says, "slot %d of the cluster is on its way", slot);
	CTL(stack, "export", "1");
	cluster_begin_move(cluster, slot, from, to);
	for (int step = 0; step < 2; step++) {
		ck_assert_int_eq(CTL_STATUS(stack, &out, "export", "1"), 1);
		check_has(stack_file(stack, "run.log"), says);
		ck_assert_str_eq(out, "");
		ck_assert_int_eq(CTL_STATUS(stack, &out, "forget", "1"), 1);
		check_has(stack_file(stack, "run.log"), says);
		check_has(stack_file(stack, "run.log"), "1 is not forgotten wholly: do it again");
		cluster_move_keys(cluster, slot, from, to, step == 0 ? 1 : -1);
	}
	cluster_end_move(cluster, slot, to);
	check_has(CTL(stack, "forget", "1"), "1 is forgotten");
	ck_assert_int_eq(fleet_int(&cluster->servers[to], "EXISTS %suser:blocked:2",
				   store_prefix(store_of(2))),
			 0);
}
END_TEST

/* A node that was looked at gets a slot from one that was not yet. */
START_TEST(a_slot_that_moves_while_all_keys_are_looked_at_is_noticed)
{
	const char *argv[] = {program("presencectl"), "-c", NULL, "export", "1", NULL};
	const struct store *store = NULL;
	int slot = -1;
	pid_t pid;

	put_traces();
	argv[2] = stack_path(stack, "presence.conf");
	for (int id = 2; slot < 0 || cluster_owner(cluster, 0, slot) != 2; id++) {
		store = store_of(id);
		slot = slot_of(store);
	}
	/* The first node has so many keys that there is time to stop presencectl at it. */
	freeReplyObject(fleet_cmd(&cluster->servers[0], "DEBUG POPULATE 300000"));
	freeReplyObject(fleet_cmd(&cluster->servers[0], "CONFIG RESETSTAT"));
	pid = process_start(stack, "export", argv, NULL, 0);
	WAIT_UNTIL(strstr(fleet_text(&cluster->servers[0], "INFO commandstats"), "cmdstat_scan:") !=
			   NULL,
		   5000);
	signal_and_wait_stopped(pid);
	cluster_begin_move(cluster, slot, 2, 0);
	cluster_move_keys(cluster, slot, 2, 0, -1);
	cluster_end_move(cluster, slot, 0);
	kill(pid, SIGCONT);
	ck_assert_int_eq(process_end(&pid, 0, "presencectl", 20000), 1);
	check_has(stack_file(stack, "export.log"), "has moved to another node meanwhile");
}
END_TEST

START_TEST(nodes_that_are_of_no_one_cluster_are_refused)
{
	struct fleet_server other = {.port = 0}, plain = {.port = 0};
	char *url;

	fleet_start(stack, &other, "other",
		    "--cluster-enabled yes --cluster-config-file other.nodes");
	freeReplyObject(fleet_cmd(&other, "CLUSTER ADDSLOTSRANGE 0 16383"));
	fleet_start(stack, &plain, "plain", NULL);
	ck_assert(asprintf(&url, "%s,127.0.0.1:%d", cluster->url, other.port) > 0);
	configure(url);
	expect_refusal("presence-streamd", "is a node of another cluster than 127.0.0.1:");
	ck_assert(asprintf(&url, "%s,127.0.0.1:%d", cluster->url, plain.port) > 0);
	configure(url);
	expect_refusal("presence-api", "is no node of a Redis Cluster");
	/* One that is away may be right. */
	fleet_kill(&plain);
	fleet_kill(&cluster->servers[5]);
	close_nodes();
	open_nodes(url);
	expect_all("a");
	fleet_kill(&other);
	free(url);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cluster_nodes");
	TCase *tcase = harness_case(suite, "nodes", 60);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_command_reaches_its_node);
	tcase_add_test(tcase, one_node_that_lives_is_enough_to_find_the_others);
	tcase_add_test(tcase, a_slot_that_moved_is_found);
	tcase_add_test(tcase, while_a_slot_moves_each_key_is_where_it_is);
	tcase_add_test(tcase, while_a_slot_moves_a_script_does_all_or_nothing);
	tcase_add_test(tcase, while_a_slot_moves_neither_node_serves_a_script_that_misses_a_key);
	tcase_add_test(tcase, while_a_slot_moves_no_script_writes_where_its_key_is_not);
	tcase_add_loop_test(tcase, while_a_slot_moves_no_script_takes_what_is_elsewhere_for_gone, 0,
			    QUESTIONS);
	tcase_add_test(tcase, a_replica_that_takes_over_is_found);
	tcase_add_test(tcase, a_node_that_stands_still_costs_no_more_than_the_limit);
	tcase_add_test(tcase, another_layout_is_refused);
	tcase_add_test(tcase, while_a_slot_moves_who_looks_at_all_keys_is_refused);
	tcase_add_test(tcase, a_slot_that_moves_while_all_keys_are_looked_at_is_noticed);
	tcase_add_test(tcase, nodes_that_are_of_no_one_cluster_are_refused);
	return harness_main(suite);
}
