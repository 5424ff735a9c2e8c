/* presence-pushd over a real Redis Cluster: what is sent, and how often, while slots move and nodes go. */
#include "push.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "fleet.h"
#include "process.h"
#include "servers.h"
#include "store/layout.h"

#define RECEIVERS 24 /* some at every node */
#define MANY 400 /* some in every partition */

static struct push_stand *start(void)
{
	return push_start_cluster(CLUSTER_PARTITIONS, "presence { grace = 1 sweep = 1 }\n"
						      "redis { timeout_ms = 4000 }\n");
}

/* --- where users are ------------------------------------------------------------------------- */

static int slot_of(struct push_stand *stand, const char *id)
{
	return cluster_slot_of(stand->stack->cluster, layout_partition(CLUSTER_PARTITIONS, id));
}

static int owner_of(struct push_stand *stand, const char *id)
{
	return cluster_owner(stand->stack->cluster, 0, slot_of(stand, id));
}

/* A user at that node. */
static const char *user_at(struct push_stand *stand, int node)
{
	for (int id = 1; id <= RECEIVERS; id++) {
		if (owner_of(stand, text_of("%d", id)) == node)
			return text_of("%d", id);
	}
	ck_abort_msg("no user is at node %d", node);
}

static void subscribe(struct push_stand *stand, const char *id)
{
	push_offline_user(stand, id, stand->https, text_of("/as/201/u%s.", id));
}

static int received_by(struct push_stand *stand, const char *id)
{
	return push_received(stand, text_of("/as/201/u%s.", id));
}

/* --- at rest --------------------------------------------------------------------------------- */

static void want(struct push_stand *stand, const char *token, const char *friend)
{
	ck_assert_int_eq(HTTP(stand->stack, .path = text_of(PUSH_WHEN_ONLINE "%s", friend),
			      .method = "POST", .token = token)
				 ->status,
			 204);
}

/* Notifies of the first so many users. */
static void notify_users(struct push_stand *stand, int count)
{
	char ids[512] = "1";

	for (int id = 2; id <= count; id++)
		snprintf(ids + strlen(ids), sizeof ids - strlen(ids), ",%d", id);
	ck_assert_int_eq(push_notify(stand, text_of("{'user_ids':[%s],'title':'a'}", ids)), count);
}

START_TEST(users_at_all_nodes_are_told_once_by_either_process)
{
	struct push_stand *stand = start();
	const char *online = text_of("%d", RECEIVERS + 1);

	for (int id = 1; id <= RECEIVERS; id++)
		subscribe(stand, text_of("%d", id));
	subscribe(stand, online);
	pushd_start(stand, 0, NULL);
	pushd_start(stand, 1, NULL);
	notify_users(stand, RECEIVERS + 1);
	touch_user(stand->stack, online);
	push_wait_for(stand, "sent", RECEIVERS);
	push_wait_for(stand, "online", 1);
	for (int id = 1; id <= RECEIVERS; id++)
		ck_assert_int_eq(received_by(stand, text_of("%d", id)), 1);
	ck_assert_int_eq(received_by(stand, online), 0);
	push_wait_until_idle(stand);
	push_stop(stand);
}
END_TEST

START_TEST(who_waits_for_friends_at_other_nodes_is_told)
{
	struct push_stand *stand = start();
	const char *token = token_for(stand->stack, "1");

	pushd_start(stand, 0, NULL);
	push_subscribe(stand, token, stand->https, "/as/201/u1.");
	for (int id = 2; id <= USERS; id++)
		want(stand, token, text_of("%d", id));
	push_take_offline(stand, "1");
	for (int id = 2; id <= USERS; id++)
		touch_user(stand->stack, text_of("%d", id));
	push_wait_for(stand, "sent", USERS - 1);
	push_wait_until_idle(stand);
	ck_assert_int_eq(received_by(stand, "1"), USERS - 1);
	ck_assert_int_eq(redis_int_of(stand->stack, "1", "EXISTS push:wanted:1"), 0);
	push_stop(stand);
}
END_TEST

START_TEST(the_tools_see_the_queues_of_all_nodes)
{
	struct push_stand *stand = start();
	char *out;

	for (int id = 1; id <= RECEIVERS; id++)
		subscribe(stand, text_of("%d", id));
	notify_users(stand, RECEIVERS);
	check_has(CTL(stand->stack, "--json", "push", "state"), text_of("\"queue\":%d", RECEIVERS));
	/* Who passes over all keys needs more rights than the service. */
	setenv("PRESENCE_REDIS_URL", stand->stack->cluster->url, 1);
	check_has(CTL(stand->stack, "export", "7"), "/as/201/u7.");
	CTL(stand->stack, "forget", "7");
	check_has_not(CTL(stand->stack, "export", "7"), "/as/201/u7.");
	unsetenv("PRESENCE_REDIS_URL");
	check_has(CTL(stand->stack, "--json", "push", "state"),
		  text_of("\"queue\":%d", RECEIVERS - 1));
	check_has(CTL(stand->stack, "explain", "1", "2"), "2 is a friend of 1");
	CTL_STATUS(stand->stack, &out, "doctor");
	check_has(out, "no presence-pushd runs");
	pushd_start(stand, 0, NULL);
	push_wait_for(stand, "sent", RECEIVERS - 1);
	push_wait_until_idle(stand);
	ck_assert_int_eq(received_by(stand, "7"), 0);
	CTL_STATUS(stand->stack, &out, "doctor");
	check_has(out, "presence-pushd runs, 0 notifications");
	check_has(CTL(stand->stack, "push", "state"), text_of("sent         %d\n", RECEIVERS - 1));
	push_stop(stand);
}
END_TEST

START_TEST(killed_in_the_middle_it_loses_nothing_and_repeats_little)
{
	push_check_kill(start(), 4 * MANY);
}
END_TEST

/* --- while slots move ------------------------------------------------------------------------ */

/* Of u0 … u`count`-1. */
static int count_elsewhere(struct push_stand *stand, int slot, int count)
{
	int elsewhere = 0;

	for (int i = 0; i < count; i++)
		elsewhere += slot_of(stand, text_of("u%d", i)) != slot;
	return elsewhere;
}

/* Moves what is left of the slot, bit by bit. */
static void end_move(struct push_stand *stand, int slot, int from, int to)
{
	struct cluster_stand *cluster = stand->stack->cluster;

	while (cluster_move_keys(cluster, slot, from, to, 2) > 0)
		nap();
	cluster_end_move(cluster, slot, to);
	cluster_wait_owner(cluster, slot, from);
}

START_TEST(a_queue_that_moves_is_gone_on_with_and_no_other_waits_for_it)
{
	struct push_stand *stand = start();
	struct cluster_stand *cluster = stand->stack->cluster;
	int slot = slot_of(stand, "u0"), from = owner_of(stand, "u0"),
	    to = (from + 1) % CLUSTER_PRIMARIES, elsewhere = count_elsewhere(stand, slot, MANY);

	ck_assert_int_lt(elsewhere, MANY);
	push_queue_many(stand, 0, MANY);
	cluster_begin_move(cluster, slot, from, to);
	cluster_move_keys(
		cluster, slot, from, to,
		(int)fleet_int(&cluster->servers[from], "CLUSTER COUNTKEYSINSLOT %d", slot) / 2);
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(push_received(stand, "/as/201/") >= elsewhere, 15000);
	end_move(stand, slot, from, to);
	push_wait_until_idle(stand);
	ck_assert_int_eq(push_count_repeated(stand, MANY), 0);
	/* Back again, while it is worked on. */
	push_queue_many(stand, MANY, MANY);
	cluster_begin_move(cluster, slot, to, from);
	end_move(stand, slot, to, from);
	push_wait_until_idle(stand);
	ck_assert_int_eq(push_count_repeated(stand, 2 * MANY), 0);
	push_stop(stand);
}
END_TEST

/* --- while nodes go -------------------------------------------------------------------------- */

START_TEST(a_replica_that_takes_over_is_gone_on_with)
{
	struct push_stand *stand = start();
	struct cluster_stand *cluster = stand->stack->cluster;
	int slot = slot_of(stand, "u0"), one = owner_of(stand, "u0"),
	    other = one + CLUSTER_PRIMARIES;
	int repeated;

	pushd_start(stand, 0, NULL);
	push_queue_many(stand, 0, MANY);
	cluster_fail_over(cluster, other);
	ck_assert_int_eq(cluster_wait_owner(cluster, slot, one), other);
	push_wait_until_idle(stand);
	ck_assert_int_eq(push_count_repeated(stand, MANY), 0);
	WAIT_UNTIL(strcmp(fleet_info(&cluster->servers[one], "master_link_status"), "up") == 0,
		   10000);
	/* By death, in the middle: what the replica has not heard of comes again. */
	ck_assert_int_eq(pushd_end(stand, 0, SIGTERM), 0);
	push_queue_many(stand, MANY, MANY);
	fleet_int(&cluster->servers[other], "WAIT 1 5000");
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(push_received(stand, "/as/201/") > MANY, 15000);
	fleet_kill(&cluster->servers[other]);
	ck_assert_int_eq(cluster_wait_owner(cluster, slot, other), one);
	push_wait_until_idle(stand);
	repeated = push_count_repeated(stand, 2 * MANY);
	ck_assert_msg(repeated <= PUSH_UNDER_WAY_MAX, "%d were sent again", repeated);
	push_stop(stand);
}
END_TEST

START_TEST(a_node_that_stands_still_stops_its_own_partitions_alone)
{
	struct push_stand *stand = push_start_cluster(
		CLUSTER_PARTITIONS,
		"presence { grace = 1 sweep = 1 }\nredis { timeout_ms = 1000 }\n");
	struct cluster_stand *cluster = stand->stack->cluster;
	const char *users[CLUSTER_PRIMARIES];

	for (int i = 0; i < CLUSTER_PRIMARIES; i++) {
		freeReplyObject(fleet_cmd(&cluster->servers[i],
					  "CONFIG SET cluster-require-full-coverage no"));
		users[i] = user_at(stand, i);
		subscribe(stand, users[i]);
		ck_assert_int_eq(
			push_notify(stand, text_of("{'user_ids':[%s],'title':'a'}", users[i])), 1);
	}
	fleet_kill(&cluster->servers[1 + CLUSTER_PRIMARIES]); /* nobody takes over */
	signal_and_wait_stopped(cluster->servers[1].pid);
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(received_by(stand, users[0]) == 1 && received_by(stand, users[2]) == 1, 15000);
	ck_assert_int_eq(received_by(stand, users[1]), 0);
	kill(cluster->servers[1].pid, SIGCONT);
	WAIT_UNTIL(received_by(stand, users[1]) == 1, 20000);
	cluster_wait_owner(cluster, slot_of(stand, users[1]), -1);
	push_wait_until_idle(stand);
	for (int i = 0; i < CLUSTER_PRIMARIES; i++)
		ck_assert_int_eq(received_by(stand, users[i]), 1);
	push_stop(stand);
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------- */

START_TEST(a_server_that_is_no_node_of_a_cluster_is_refused_at_start)
{
	struct stack *stack = push_stack_new("");
	struct fleet_server plain = {.port = 0};
	const char *argv[] = {program("presence-pushd"), "-c", stack_path(stack, "presence.conf"),
			      NULL};
	char *out;

	fleet_start(stack, &plain, "plain", NULL);
	setenv("PRESENCE_REDIS_URL", text_of("cluster://127.0.0.1:%d", plain.port), 1);
	setenv("PRESENCE_REDIS_PARTITIONS", "16", 1);
	ck_assert_int_eq(run(stack, &out, NULL, argv), 2);
	check_has(stack_file(stack, "run.log"), "is no node of a Redis Cluster");
	fleet_kill(&plain);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("push over a cluster");
	TCase *rest = harness_case(suite, "at rest", 60);
	TCase *moves = harness_case(suite, "slots move", 60);
	TCase *nodes = harness_case(suite, "nodes go", 60);

	tcase_add_test(rest, users_at_all_nodes_are_told_once_by_either_process);
	tcase_add_test(rest, who_waits_for_friends_at_other_nodes_is_told);
	tcase_add_test(rest, the_tools_see_the_queues_of_all_nodes);
	tcase_add_test(rest, killed_in_the_middle_it_loses_nothing_and_repeats_little);
	tcase_add_test(rest, a_server_that_is_no_node_of_a_cluster_is_refused_at_start);
	tcase_add_test(moves, a_queue_that_moves_is_gone_on_with_and_no_other_waits_for_it);
	tcase_add_test(nodes, a_replica_that_takes_over_is_gone_on_with);
	tcase_add_test(nodes, a_node_that_stands_still_stops_its_own_partitions_alone);
	return push_main(suite);
}
