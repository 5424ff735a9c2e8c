/* Streams over a real Redis Cluster: what the screens show while slots move and nodes go. */
#include "calls.h"
#include "fleet.h"
#include "process.h"
#include "screens.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/cluster.h"
#include "store/layout.h"

static struct stack *stack;
static struct cluster_stand *cluster;
static struct screens screens;

static void configure(const char *url, int partitions)
{
	char *conf;

	ck_assert(asprintf(&conf, SCREENS_TIMES "redis { url = \"%s\" partitions = %d }\n", url,
			   partitions) > 0);
	stack_write_conf(stack, conf);
	free(conf);
}

/* --- where users are ------------------------------------------------------------------------- */

static int slot_of(int user)
{
	unsigned tags[CLUSTER_PARTITIONS];
	char id[12], tag[16];

	snprintf(id, sizeof id, "%d", user);
	layout_find_tags(CLUSTER_PARTITIONS, tags);
	snprintf(tag, sizeof tag, "{%u}", tags[layout_partition(CLUSTER_PARTITIONS, id)]);
	return (int)cluster_slot(tag, strlen(tag));
}

static int owner_of(int user)
{
	return cluster_owner(cluster, 0, slot_of(user));
}

/* Connections of a node that have subscribed to sharded channels. */
static int subscribers_at(int node)
{
	char *list = fleet_text(&cluster->servers[node], "CLIENT LIST"), *rest = list, *line;
	int count = 0;

	while ((line = strsep(&rest, "\n")) != NULL)
		count += strstr(line, " ssub=") != NULL && strstr(line, " ssub=0 ") == NULL;
	free(list);
	return count;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void setup(void)
{
	char *users, *url;

	stack = stack_new(SCREENS_TIMES);
	/* With the fewest rights, and the file's own password. */
	ck_assert(asprintf(&users, "--aclfile %s/conf/redis-users.acl", getenv("ABS_SRCDIR")) > 0);
	cluster = cluster_start(stack, users);
	ck_assert(asprintf(&url, "cluster://presence:PASSWORD@%s",
			   cluster->url + strlen("cluster://")) > 0);
	configure(url, CLUSTER_PARTITIONS);
	streamd_start(stack, 0);
	lighttpd_start(stack);
}

static void teardown(void)
{
	if (stack->streamd[0] != 0)
		ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	cluster_stop(cluster);
	stack_stop(stack);
}

START_TEST(friends_on_different_nodes_see_each_other)
{
	bool used[CLUSTER_PRIMARIES] = {false};
	int nodes = 0;

	screens_open(&screens, stack);
	screens_expect_live(&screens, 5000);
	screens_look(&screens, "at rest");
	for (int user = 1; user <= USERS; user++)
		used[owner_of(user)] = true;
	for (int i = 0; i < CLUSTER_PRIMARIES; i++) {
		/* Of one process, however many of the partitions are there. */
		ck_assert_int_eq(subscribers_at(i), used[i]);
		nodes += used[i];
	}
	ck_assert_int_gt(nodes, 1);
	check_has(CTL(stack, "count"), "5");
	check_has(HTTP(stack, .path = HEALTH)->body, "\"redis\":\"ok\"");
	screens_close(&screens);
}
END_TEST

/* Primaries at which somebody has subscribed since. */
static int count_more(const int *before)
{
	int more = 0;

	for (int i = 0; i < CLUSTER_PRIMARIES; i++)
		more += subscribers_at(i) > before[i];
	return more;
}

/* presencectl watch of one user or of all, which has subscribed. */
static pid_t watch(const char *log, const char *id)
{
	const char *argv[] = {program("presencectl"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      "watch",
			      id,
			      NULL};
	int before[CLUSTER_PRIMARIES];
	pid_t pid;

	for (int i = 0; i < CLUSTER_PRIMARIES; i++)
		before[i] = subscribers_at(i);
	pid = process_start(stack, log, argv, NULL, 0);
	WAIT_UNTIL(count_more(before) == (id != NULL ? 1 : CLUSTER_PRIMARIES), 5000);
	return pid;
}

START_TEST(presencectl_watches_the_users_of_all_nodes)
{
	int slot = slot_of(1), from = owner_of(1), to = (from + 1) % CLUSTER_PRIMARIES;
	pid_t all = watch("all", NULL), one = watch("one", "1");
	char line[64];

	for (int user = 1; user <= USERS; user++) {
		char id[12];

		snprintf(id, sizeof id, "%d", user);
		http_ok(stack, COUNT, token_for(stack, id), NULL);
		snprintf(line, sizeof line, "Z  %-12s  online   activity\n", id);
		WAIT_UNTIL(strstr(stack_file(stack, "all.log"), line) != NULL, 5000);
	}
	WAIT_UNTIL(strstr(stack_file(stack, "one.log"), "online") != NULL, 5000);
	check_has_not(stack_file(stack, "one.log"), "Z  2 ");
	cluster_begin_move(cluster, slot, from, to);
	cluster_move_keys(cluster, slot, from, to, -1);
	cluster_end_move(cluster, slot, to);
	ck_assert_int_eq(process_end(&all, 0, "presencectl watch", 5000), 1);
	ck_assert_int_eq(process_end(&one, 0, "presencectl watch 1", 5000), 1);
	check_has(stack_file(stack, "all.log"), "A slot has moved to another node");
	check_has(stack_file(stack, "one.log"), "A slot has moved to another node");
	setenv("PRESENCE_PRESENCE_PUBLISH_BROADCAST", "no", 1);
	ck_assert_int_eq(CTL_STATUS(stack, NULL, "watch"), 1);
	check_has(stack_file(stack, "run.log"), "name the users to watch");
}
END_TEST

/* How often the primaries were asked for sharded channels. */
static int count_subscribes(void)
{
	int sum = 0;

	for (int i = 0; i < CLUSTER_PRIMARIES; i++) {
		char *stats = fleet_text(&cluster->servers[i], "INFO commandstats");
		const char *line = strstr(stats, "cmdstat_ssubscribe:calls=");

		sum += line != NULL ? atoi(line + strlen("cmdstat_ssubscribe:calls=")) : 0;
		free(stats);
	}
	return sum;
}

START_TEST(after_a_loss_each_partition_is_subscribed_by_one_command)
{
	bool used[16384] = {false};
	int expected = 0;

	screens_open(&screens, stack);
	for (int user = 1; user <= USERS; user++) {
		expected += !used[slot_of(user)];
		used[slot_of(user)] = true;
	}
	for (int i = 0; i < CLUSTER_PRIMARIES; i++) {
		freeReplyObject(fleet_cmd(&cluster->servers[i], "CONFIG RESETSTAT"));
		freeReplyObject(fleet_cmd(&cluster->servers[i], "CLIENT KILL TYPE pubsub"));
	}
	WAIT_UNTIL(count_subscribes() >= expected, 10000);
	WAIT_UNTIL(screens_are_true(&screens), 10000);
	screens_expect_live(&screens, 5000);
	ck_assert_int_eq(count_subscribes(), expected);
	screens_close(&screens);
}
END_TEST

/* Somebody calls all the time; while the slot moves the answer may be 503. */
static void call_all(void)
{
	for (int i = 0; i < SCREENS; i++) {
		struct response *answer =
			HTTP(stack, .path = STATUS_FRIENDS, .token = screens.list[i].token);

		ck_assert_msg(answer->status == 200 || answer->status == 503, "status %d",
			      answer->status);
	}
	screens_look(&screens, "while it moves");
}

START_TEST(a_partition_that_moves_is_right_again_at_once)
{
	int slot = slot_of(1), from = owner_of(1), to = (from + 1) % CLUSTER_PRIMARIES;

	screens_open(&screens, stack);
	for (int round = 0; round < 2; round++) {
		int other = from;
		int64_t start;

		cluster_begin_move(cluster, slot, from, to);
		call_all();
		while (cluster_move_keys(cluster, slot, from, to, 5) > 0)
			call_all();
		cluster_end_move(cluster, slot, to);
		start = now_ms();
		WAIT_UNTIL(screens_are_true(&screens), 5000);
		screens_look(&screens, "moved");
		screens_expect_live(&screens, 5000);
		ck_assert_msg(now_ms() - start < patience(5000) * 2, "after %d ms",
			      (int)(now_ms() - start));
		from = to;
		to = other;
	}
	screens_close(&screens);
}
END_TEST

/* Calls of a user for all friends' states, one after the other, as fast as they are answered; the statuses go to a log. */
static pid_t call_on(const char *log, const char *token)
{
	const char *argv[] = {"curl", "-s", "-o", "/dev/null", "-w", "%{stderr}%{http_code}\\n",
			      "-H",   NULL, NULL, NULL};
	char *head, *url;

	ck_assert(asprintf(&head, "Authorization: Bearer %s", token) > 0);
	ck_assert(asprintf(&url, "http://127.0.0.1:%d%s?[1-10000000]", stack->port,
			   STATUS_FRIENDS) > 0);
	argv[7] = head;
	argv[8] = url;
	return process_start(stack, log, argv, NULL, 0);
}

/* How often a log has this, as the status of an answer. */
static int count_in_log(const char *log, const char *text)
{
	int count = 0;

	for (const char *at = stack_file(stack, log); (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

/* How often presence-streamd took what a node has for what a replica has that took over. */
static int count_takeovers(void)
{
	return count_in_log("streamd0.log", "another primary");
}

#define MOVES 10
#define CALLERS 3
#define DEGRADED_MAX 1000 /* ms for which a screen may be degraded by a move; stretched */

START_TEST(a_partition_that_moves_to_and_fro_under_load_lies_to_nobody)
{
	static const char *const logs[CALLERS] = {"calls0", "calls1", "calls2"};
	static const char *const files[CALLERS] = {"calls0.log", "calls1.log", "calls2.log"};
	int slot = slot_of(1), ends[2] = {owner_of(1), (owner_of(1) + 1) % CLUSTER_PRIMARIES};
	pid_t callers[CALLERS];

	screens_open(&screens, stack);
	for (int i = 0; i < CALLERS; i++)
		callers[i] = call_on(logs[i], screens.list[i].token);
	for (int move = 0; move < MOVES; move++) {
		int from = ends[move % 2], to = ends[(move + 1) % 2], answered;

		cluster_begin_move(cluster, slot, from, to);
		while (cluster_move_keys(cluster, slot, from, to, move % 3 == 0 ? 1 : -1) > 0)
			screens_look(&screens, "on the way");
		cluster_end_move(cluster, slot, to);
		WAIT_UNTIL(screens_are_true(&screens), 5000);
		screens_expect_live(&screens, 5000);
		answered = count_in_log(files[0], "200");
		WAIT_UNTIL(count_in_log(files[0], "200") > answered, 5000);
	}
	for (int i = 0; i < SCREENS; i++) {
		printf("screen %d was degraded for %lld ms at most\n", screens.list[i].user,
		       (long long)screens.list[i].longest);
		ck_assert_int_le(screens.list[i].longest, patience(DEGRADED_MAX));
	}
	for (int i = 0; i < CALLERS; i++) {
		int lines, known;

		process_end(&callers[i], SIGTERM, "curl", 5000);
		lines = count_in_log(files[i], "\n");
		known = count_in_log(files[i], "200") + count_in_log(files[i], "503");
		ck_assert_msg(lines - known <= 1, "%d of %d answers were neither 200 nor 503",
			      lines - known, lines);
		printf("%d calls, %d of them 503\n", lines, count_in_log(files[i], "503"));
	}
	/* Nothing was lost on the way, so nothing had to be made anew. */
	ck_assert_int_eq(count_takeovers(), 0);
	screens_close(&screens);
}
END_TEST

/* Its users wait, nobody else does, and the log says what to do about it. */
START_TEST(a_move_that_is_broken_off_is_told_and_heals_when_it_is_taken_back)
{
	int slot = slot_of(1), from = owner_of(1), to = (from + 1) % CLUSTER_PRIMARIES, other = 2;
	char id[12];

	while (slot_of(other) == slot)
		other++;
	snprintf(id, sizeof id, "%d", other);
	screens_open(&screens, stack);
	cluster_begin_move(cluster, slot, from, to);
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"), "redis-cli --cluster fix") != NULL,
		   10000);
	for (int i = 0; i < 3; i++) {
		struct response *answer =
			HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, "1"), .body = "");

		ck_assert_int_eq(answer->status, 503);
		ck_assert_ptr_nonnull(header_of(answer->head, "Retry-After"));
		ck_assert_int_eq(
			HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, id), .body = "")
				->status,
			200);
	}
	screens_look(&screens, "broken off");
	cluster_cancel_move(cluster, slot, from, to);
	WAIT_UNTIL(screens_are_true(&screens), 10000);
	screens_look(&screens, "taken back");
	screens_expect_live(&screens, 5000);
	screens_close(&screens);
}
END_TEST

/* Whether the slot is elsewhere, as a node sees it that was not lost. */
static bool has_moved(int slot, int from)
{
	int now = cluster_owner(cluster, (from + 1) % CLUSTER_PRIMARIES, slot);

	return now >= 0 && now != from;
}

/* The node that has the user loses it, in this way; its number. */
static int lose_node(int user, int node, const char *how)
{
	int takeovers = count_takeovers();

	/* All of it has reached the replica: what is lost otherwise is not this test's. */
	fleet_int(&cluster->servers[node], "WAIT 1 5000");
	if (strcmp(how, "killed") == 0)
		fleet_kill(&cluster->servers[node]);
	else if (strcmp(how, "frozen") == 0)
		signal_and_wait_stopped(cluster->servers[node].pid);
	else
		cluster_fail_over(cluster, node + CLUSTER_PRIMARIES);
	WAIT_UNTIL(has_moved(slot_of(user), node), 30000);
	WAIT_UNTIL(screens_are_true(&screens), 10000);
	screens_look(&screens, how);
	screens_expect_live(&screens, 5000);
	ck_assert_int_gt(count_takeovers(), takeovers);
	return node;
}

/* As a replica, and for a moment it takes itself for what it was. */
static void come_back(int node)
{
	kill(cluster->servers[node].pid, SIGCONT);
	for (int i = 0; i < 5; i++)
		call_all();
	WAIT_UNTIL(strcmp(fleet_info(&cluster->servers[node], "role"), "slave") == 0, 20000);
	WAIT_UNTIL(screens_are_true(&screens), 10000);
	screens_look(&screens, "back as a replica");
	screens_expect_live(&screens, 5000);
}

START_TEST(after_a_primary_is_lost_every_screen_is_true)
{
	int one = owner_of(1), user = 2, other;

	while ((other = owner_of(user)) == one)
		user++;
	screens_open(&screens, stack);
	screens_expect_live(&screens, 5000);
	lose_node(1, one, "handed over");
	WAIT_UNTIL(strcmp(fleet_info(&cluster->servers[one], "master_link_status"), "up") == 0,
		   10000);
	lose_node(1, one + CLUSTER_PRIMARIES, "killed");
	come_back(lose_node(user, other, "frozen"));
	screens_close(&screens);
}
END_TEST

/* The others' users are served; who watches a user of its is told. */
START_TEST(a_shard_without_a_replica_takes_nobody_else_along)
{
	int node = owner_of(1), other = 2;
	char id[12];

	for (int i = 0; i < CLUSTER_PRIMARIES; i++)
		freeReplyObject(fleet_cmd(&cluster->servers[i],
					  "CONFIG SET cluster-require-full-coverage no"));
	while (owner_of(other) == node)
		other++;
	screens_open(&screens, stack);
	fleet_kill(&cluster->servers[node + CLUSTER_PRIMARIES]);
	fleet_kill(&cluster->servers[node]);
	for (int i = 0; i < SCREENS; i++)
		WAIT_UNTIL((screens_look(&screens, "a shard is gone"), !screens.list[i].is_current),
			   5000);
	WAIT_UNTIL(strstr(HTTP(stack, .path = HEALTH)->body, "degraded") != NULL, 5000);
	snprintf(id, sizeof id, "%d", other);
	WAIT_UNTIL(
		HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, id), .body = "")->status ==
			200,
		10000);
	ck_assert_int_eq(
		HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, "1"), .body = "")->status,
		503);
	screens_look(&screens, "a shard is gone");
	screens_close(&screens);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cluster_streams");
	TCase *tcase = harness_case(suite, "streams", 90);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, friends_on_different_nodes_see_each_other);
	tcase_add_test(tcase, presencectl_watches_the_users_of_all_nodes);
	tcase_add_test(tcase, after_a_loss_each_partition_is_subscribed_by_one_command);
	tcase_add_test(tcase, a_partition_that_moves_is_right_again_at_once);
	tcase_add_test(tcase, a_partition_that_moves_to_and_fro_under_load_lies_to_nobody);
	tcase_add_test(tcase, a_move_that_is_broken_off_is_told_and_heals_when_it_is_taken_back);
	tcase_add_test(tcase, after_a_primary_is_lost_every_screen_is_true);
	tcase_add_test(tcase, a_shard_without_a_replica_takes_nobody_else_along);
	return harness_main(suite);
}
