/* presencectl doctor over several servers of Redis: each mistake of a layout is made on purpose, and told. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"
#include "servers.h"
#include "store/cluster.h"
#include "store/layout.h"

#define PARTITIONS 8

/* What doctor prints, which must end with this exit status. */
static char *doctor(struct stack *stack, int expected)
{
	char *out;
	int status = CTL_STATUS(stack, &out, "doctor");

	ck_assert_msg(status == expected, "exit status %d instead of %d:\n%s%s", status, expected,
		      out, stack_file(stack, "run.log"));
	return out;
}

/* Users divided over three servers, all as it should be. */
static struct stack *start(void)
{
	struct stack *stack = stack_new("");

	stack_divide(stack, REDIS_MAX, PARTITIONS, "");
	streamd_start(stack, 0);
	WAIT_UNTIL(redis_sum(stack, "EXISTS presence:swept") == PARTITIONS, 10000);
	return stack;
}

/* The same servers under a configuration of redis.url and redis.partitions. */
static void configure(struct stack *stack, const char *order, int partitions)
{
	const char *names[REDIS_MAX] = {"redis.sock", "redis1.sock", "redis2.sock"};
	char url[1024] = "";
	int len = 0;

	for (; *order != '\0'; order++)
		len += snprintf(url + len, sizeof url - (size_t)len, "%sunix://%s",
				len > 0 ? " " : "", stack_path(stack, names[*order - '0']));
	stack_write_conf(stack,
			 text_of("redis { url = \"%s\" partitions = %d }\n", url, partitions));
}

START_TEST(of_a_layout_that_is_right_nothing_is_said)
{
	struct stack *stack = start();
	char *out = doctor(stack, 0);

	check_has_not(out, "FAIL");
	check_has(out, "ok    sweeper: ");
	check_has(out, "redis1.sock: answers");
	stack_stop(stack);
}
END_TEST

/* What a start refuses, doctor refuses alike. */
static const struct wrong {
	const char *conf, *says;
} wrongs[] = {
	{"redis { partitions = 6 }", "redis.partitions must be a power of two"},
	{"redis { partitions = 4 prefix = \"{a}\" }", "redis.prefix must not hold a '{'"},
	{"redis { url = \"redis://a redis://b redis://c\" partitions = 2 }",
	 "redis.partitions must be at least the number of servers"},
	{"redis { url = \"cluster://a/1\" partitions = 4 }", "database 0"},
};
#define WRONGS ((int)(sizeof wrongs / sizeof wrongs[0]))

START_TEST(what_no_layout_can_be_is_refused)
{
	struct stack *stack = stack_new(wrongs[_i].conf);

	doctor(stack, 2);
	check_has(stack_file(stack, "run.log"), wrongs[_i].says);
	stack_stop(stack);
}
END_TEST

START_TEST(two_names_of_one_server_are_found)
{
	struct stack *stack = start();

	redis_kill_at(stack, 1);
	stack_write_conf(stack, text_of("redis { url = \"unix://%s/redis.sock "
					"unix://%s/./redis.sock\" partitions = 8 }\n",
					stack->dir, stack->dir));
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	check_has(doctor(stack, 1), "is the same server as redis ");
	/* With users, too, which it takes for another server's. */
	WAIT_UNTIL(redis_int(stack, "EXISTS {%u}presence:epoch", layout_tag(PARTITIONS, 0)) == 1,
		   10000);
	check_has(doctor(stack, 1), "is the same server as redis ");
	stack_stop(stack);
}
END_TEST

START_TEST(another_number_of_partitions_is_found)
{
	struct stack *stack = start();

	configure(stack, "012", 2 * PARTITIONS);
	check_has(doctor(stack, 1), "presence:layout says, 8/3");
	stack_stop(stack);
}
END_TEST

START_TEST(another_number_of_servers_is_found)
{
	struct stack *stack = start();

	configure(stack, "01", PARTITIONS);
	check_has(doctor(stack, 1), "presence:layout says, 8/3");
	stack_stop(stack);
}
END_TEST

START_TEST(another_order_of_the_servers_is_found)
{
	struct stack *stack = start();

	configure(stack, "102", PARTITIONS);
	check_has(doctor(stack, 1), "redis.sock: it holds users of server 1 of redis.url: name the "
				    "servers, each once, in the order");
	stack_stop(stack);
}
END_TEST

START_TEST(a_single_partition_where_users_are_divided_is_found)
{
	struct stack *stack = start();

	configure(stack, "0", 1);
	check_has(doctor(stack, 1), "presence:layout says, 8/3");
	stack_stop(stack);
}
END_TEST

START_TEST(users_of_a_single_partition_are_found)
{
	struct stack *stack = stack_new("");

	stack_divide(stack, 1, PARTITIONS, "");
	freeReplyObject(redis_cmd(stack, "ZADD presence:deadlines 1 1"));
	check_has(doctor(stack, 1), "presencectl move takes them over");
	stack_stop(stack);
}
END_TEST

START_TEST(one_server_of_several_that_may_drop_keys_is_named)
{
	struct stack *stack = start();

	freeReplyObject(redis_cmd_at(stack, 2, "CONFIG SET maxmemory 100mb"));
	freeReplyObject(redis_cmd_at(stack, 2, "CONFIG SET maxmemory-policy volatile-ttl"));
	check_has(doctor(stack, 0), "redis2.sock: when full it drops keys (volatile-ttl)");
	stack_stop(stack);
}
END_TEST

START_TEST(one_server_of_several_that_cuts_subscribers_off_is_named)
{
	struct stack *stack = start();

	freeReplyObject(redis_cmd_at(stack, 1, "CONFIG SET client-output-buffer-limit %s",
				     "pubsub 1000 1000 1"));
	check_has(doctor(stack, 0), "redis1.sock: a subscriber that is 1000 bytes behind");
	stack_stop(stack);
}
END_TEST

START_TEST(a_replica_without_min_replicas_to_write_is_found)
{
	struct stack *stack = stack_new("");
	struct fleet_server primary = {.port = 0}, replica = {.port = 0};

	fleet_start(stack, &primary, "primary", NULL);
	fleet_start(stack, &replica, "replica", text_of("--replicaof 127.0.0.1 %d", primary.port));
	WAIT_UNTIL(atoi(fleet_info(&primary, "connected_slaves")) == 1, 10000);
	stack_write_conf(stack, text_of("redis { url = \"redis://127.0.0.1:%d\" }", primary.port));
	/* Nothing else runs there. */
	check_has(doctor(stack, 1), "min-replicas-to-write 1");
	fleet_kill(&replica);
	fleet_kill(&primary);
	stack_stop(stack);
}
END_TEST

/* A Redis Cluster of which every server is asked to go on without the slots that are missing. */
static struct cluster_stand *start_cluster(struct stack *stack)
{
	struct cluster_stand *cluster = cluster_start(stack, "--cluster-require-full-coverage no");

	stack_write_conf(stack, text_of("redis { url = \"%s\" partitions = 16 }\n", cluster->url));
	return cluster;
}

START_TEST(each_node_of_a_cluster_is_looked_at)
{
	struct stack *stack = stack_new("");
	struct cluster_stand *cluster = start_cluster(stack);
	char *out = doctor(stack, 1); /* presence-streamd does not run */

	for (int i = 0; i < CLUSTER_PRIMARIES; i++)
		check_has(out, text_of("ok    redis 127.0.0.1:%d: keys can be written\n",
				       cluster->servers[i].port));
	check_has(out, "ok    redis: the cluster has nodes for all slots\n");
	cluster_stop(cluster);
	stack_stop(stack);
}
END_TEST

START_TEST(slots_of_a_cluster_that_no_node_has_are_found)
{
	struct stack *stack = stack_new("");
	struct cluster_stand *cluster = start_cluster(stack);

	for (int i = 0; i < cluster->count; i++)
		freeReplyObject(fleet_cmd(&cluster->servers[i], "CLUSTER DELSLOTS 0 1 2"));
	check_has(doctor(stack, 1), "FAIL  redis: no node of the cluster has 3 of the 16384 slots");
	cluster_stop(cluster);
	stack_stop(stack);
}
END_TEST

START_TEST(a_move_that_was_broken_off_is_found)
{
	struct stack *stack = stack_new("");
	struct cluster_stand *cluster = start_cluster(stack);
	char tag[16];
	int slot, from, to;

	snprintf(tag, sizeof tag, "{%u}", layout_tag(16, 5));
	slot = (int)cluster_slot(tag, strlen(tag));
	from = cluster_owner(cluster, 0, slot);
	to = (from + 1) % CLUSTER_PRIMARIES;
	check_has_not(doctor(stack, 1), "on their way");
	cluster_begin_move(cluster, slot, from, to);
	check_has(doctor(stack, 1),
		  text_of("FAIL  redis: 1 of 16 partitions are on their way to another node, slot "
			  "%d among them",
			  slot));
	cluster_cancel_move(cluster, slot, from, to);
	check_has_not(doctor(stack, 1), "on their way");
	cluster_stop(cluster);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor over several servers");
	TCase *tcase = harness_case(suite, "layouts", 30);

	tcase_add_test(tcase, of_a_layout_that_is_right_nothing_is_said);
	tcase_add_loop_test(tcase, what_no_layout_can_be_is_refused, 0, WRONGS);
	tcase_add_test(tcase, two_names_of_one_server_are_found);
	tcase_add_test(tcase, another_number_of_partitions_is_found);
	tcase_add_test(tcase, another_number_of_servers_is_found);
	tcase_add_test(tcase, another_order_of_the_servers_is_found);
	tcase_add_test(tcase, a_single_partition_where_users_are_divided_is_found);
	tcase_add_test(tcase, users_of_a_single_partition_are_found);
	tcase_add_test(tcase, one_server_of_several_that_may_drop_keys_is_named);
	tcase_add_test(tcase, one_server_of_several_that_cuts_subscribers_off_is_named);
	tcase_add_test(tcase, a_replica_without_min_replicas_to_write_is_found);
	tcase_add_test(tcase, each_node_of_a_cluster_is_looked_at);
	tcase_add_test(tcase, slots_of_a_cluster_that_no_node_has_are_found);
	tcase_add_test(tcase, a_move_that_was_broken_off_is_found);
	return harness_main(suite);
}
