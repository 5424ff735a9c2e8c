/*
 * A fourth primary joins a Redis Cluster of three while streams are open and calls are made: redis-cli
 * gives it a quarter of all slots, and takes them away again. Nobody may seem offline who is not, and
 * afterwards every screen is true.
 */
#include "calls.h"
#include "fleet.h"
#include "process.h"
#include "screens.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PARTITIONS 64
#define AWAY_MAX 5000 /* ms for which a screen may be degraded at a time; stretched */

static const char times[] =
	"presence { online_ttl = 600 heartbeat = 2 stream_ttl = 500 grace = 2 sweep = 1 }\n";

static struct stack *stack;
static struct cluster_stand *cluster;
static struct screens screens;

static void call_all(void)
{
	for (int i = 0; i < SCREENS; i++) {
		int status =
			HTTP(stack, .path = STATUS_FRIENDS, .token = screens.list[i].token)->status;

		ck_assert_msg(status == 200 || status == 503, "status %d", status);
	}
	screens_look(&screens, "while slots move");
}

/* Whether all nodes agree, which redis-cli wants of them. */
static bool agree(const char *node)
{
	const char *argv[] = {"redis-cli", "--cluster", "check", node, NULL};

	return run(stack, NULL, NULL, argv) == 0;
}

/* Slots are divided anew; the fourth has this weight. */
static void rebalance(const char *weight)
{
	char *id = fleet_text(&cluster->servers[6], "CLUSTER MYID"), node[32], own[64];
	const char *argv[] = {
		"redis-cli",	    "--cluster", "rebalance", node, "--cluster-use-empty-masters",
		"--cluster-weight", own,	 NULL};
	int64_t start = now_ms();
	pid_t pid;

	snprintf(node, sizeof node, "127.0.0.1:%d", cluster->servers[0].port);
	snprintf(own, sizeof own, "%s=%s", id, weight);
	WAIT_UNTIL(agree(node), 30000);
	cluster_wait_owner(cluster, 0, -1);
	pid = process_start(stack, "rebalance", argv, NULL, 0);
	while (process_lives(pid) && now_ms() - start < patience(300000))
		call_all();
	ck_assert_int_eq(process_end(&pid, 0, "redis-cli", 1000), 0);
	WAIT_UNTIL(screens_are_true(&screens), 5000);
	screens_expect_live(&screens, 5000);
	for (int i = 0; i < SCREENS; i++) {
		printf("weight %s, %lld s: screen %d was degraded for %lld ms at most (limit %d)\n",
		       weight, (long long)(now_ms() - start) / 1000, screens.list[i].user,
		       (long long)screens.list[i].longest, patience(AWAY_MAX));
		ck_assert_int_le(screens.list[i].longest, patience(AWAY_MAX));
	}
}

START_TEST(a_fourth_primary_comes_and_goes)
{
	char *conf;

	stack = stack_new(times);
	cluster = cluster_start(stack, NULL);
	ck_assert(asprintf(&conf, "%sredis { url = \"%s\" partitions = %d }\n", times, cluster->url,
			   PARTITIONS) > 0);
	stack_write_conf(stack, conf);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	screens_open(&screens, stack);
	ck_assert_int_eq(cluster_add(cluster, NULL), 6);
	rebalance("1");
	ck_assert_int_gt(fleet_int(&cluster->servers[6], "DBSIZE"), 0);
	rebalance("0");
	for (int slot = 0; slot < 16384; slot += 16384 / PARTITIONS)
		ck_assert_int_ne(cluster_owner(cluster, 0, slot), 6);
	screens_close(&screens);
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	cluster_stop(cluster);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("long_cluster");
	TCase *tcase = harness_case(suite, "cluster", 900);

	tcase_add_test(tcase, a_fourth_primary_comes_and_goes);
	return harness_main(suite);
}
