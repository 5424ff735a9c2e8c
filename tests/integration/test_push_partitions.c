/* presence-pushd where users are divided over partitions, on one server of Redis and on three. */
#include "push.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"
#include "process.h"
#include "servers.h"
#include "store/layout.h"

#define PARTITIONS 8
#define RECEIVERS 12

static const int layouts[] = {1, 3}; /* servers */

static struct push_stand *start(int count)
{
	return push_start_divided(count, PARTITIONS,
				  "presence { grace = 1 sweep = 1 }\nredis { timeout_ms = 500 }\n");
}

static const char *id_text(int id)
{
	return text_of("%d", id);
}

/* Subscribes a user who is then offline, to a path of its own. */
static void subscribe(struct push_stand *stand, const char *id)
{
	push_offline_user(stand, id, stand->https, text_of("/as/201/u%s.", id));
}

static int received_by(struct push_stand *stand, const char *id)
{
	return push_received(stand, text_of("/as/201/u%s.", id));
}

START_TEST(users_of_all_partitions_are_told_once_by_either_process)
{
	struct push_stand *stand = start(layouts[_i]);

	for (int id = 1; id <= RECEIVERS; id++)
		subscribe(stand, id_text(id));
	pushd_start(stand, 0, NULL);
	pushd_start(stand, 1, NULL);
	ck_assert_int_eq(push_notify(stand, "{'user_ids':[1,2,3,4,5,6,7,8,9,10,11,12],"
					    "'title':'a'}"),
			 RECEIVERS);
	push_wait_for(stand, "sent", RECEIVERS);
	for (int id = 1; id <= RECEIVERS; id++)
		ck_assert_int_eq(received_by(stand, id_text(id)), 1);
	push_wait_until_idle(stand);
	/* Outcomes are about no user: the first partition has them all. */
	ck_assert_int_eq(
		redis_int(stand->stack, "HGET {%u}push:outcomes sent", layout_tag(PARTITIONS, 0)),
		RECEIVERS);
	push_stop(stand);
}
END_TEST

static void want(struct push_stand *stand, const char *token, const char *friend)
{
	ck_assert_int_eq(HTTP(stand->stack, .path = text_of(PUSH_WHEN_ONLINE "%s", friend),
			      .method = "POST", .token = token)
				 ->status,
			 204);
}

START_TEST(who_waits_for_friends_of_other_partitions_is_told)
{
	struct push_stand *stand = start(layouts[_i]);
	const char *token = token_for(stand->stack, "1");

	pushd_start(stand, 0, NULL);
	push_subscribe(stand, token, stand->https, "/as/201/u1.");
	for (int id = 2; id <= 6; id++)
		want(stand, token, id_text(id));
	push_take_offline(stand, "1");
	for (int id = 2; id <= 6; id++) {
		touch_user(stand->stack, id_text(id));
		push_wait_for(stand, "sent", id - 1);
	}
	push_wait_until_idle(stand);
	ck_assert_int_eq(redis_int_of(stand->stack, "1", "EXISTS push:wanted:1"), 0);
	for (int id = 2; id <= 6; id++)
		ck_assert_int_eq(
			redis_int_of(stand->stack, id_text(id), "EXISTS push:waiting:%d", id), 0);
	push_stop(stand);
}
END_TEST

/* Who blocks. */
static const char *const blockers[] = {"1", "2"};

START_TEST(a_block_across_partitions_keeps_the_friend_from_being_told_of)
{
	struct push_stand *stand = start(3);
	const char *token = token_for(stand->stack, "1"), *by = blockers[_i];

	pushd_start(stand, 0, NULL);
	push_subscribe(stand, token, stand->https, "/as/201/u1.");
	want(stand, token, "2");
	ck_assert_int_eq(HTTP(stand->stack,
			      .path = text_of("/api/presence/blocks/%s", blockers[1 - _i]),
			      .method = "PUT", .token = token_for(stand->stack, by))
				 ->status,
			 204);
	push_take_offline(stand, "1");
	push_take_offline(stand, "2");
	touch_user(stand->stack, "2");
	push_wait_for(stand, "withdrawn", 1);
	ck_assert_int_eq(received_by(stand, "1"), 0);
	push_stop(stand);
}
END_TEST

/* A user on that server, of three. */
static const char *user_on(unsigned server)
{
	for (int id = 1; id <= RECEIVERS; id++) {
		if (layout_partition(PARTITIONS, id_text(id)) % 3 == server)
			return id_text(id);
	}
	ck_abort_msg("no user is on server %u", server);
}

static void notify(struct push_stand *stand, const char *id)
{
	ck_assert_int_eq(push_notify(stand, text_of("{'user_ids':[%s],'title':'a'}", id)), 1);
}

START_TEST(while_a_server_is_silent_users_of_the_others_are_told)
{
	struct push_stand *stand = start(3);

	for (unsigned server = 0; server < 3; server++) {
		subscribe(stand, user_on(server));
		notify(stand, user_on(server));
	}
	signal_and_wait_stopped(redis_pid_at(stand->stack, 1));
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(received_by(stand, user_on(0)) == 1 && received_by(stand, user_on(2)) == 1,
		   15000);
	ck_assert_int_eq(received_by(stand, user_on(1)), 0);
	kill(redis_pid_at(stand->stack, 1), SIGCONT);
	push_wait_for(stand, "sent", 3);
	ck_assert_int_eq(received_by(stand, user_on(1)), 1);
	push_wait_until_idle(stand);
	push_stop(stand);
}
END_TEST

/* The job is in the friend's queue, the subscription on the server that is away. */
START_TEST(who_cannot_be_looked_at_is_told_of_a_friend_later)
{
	struct push_stand *stand = start(3);
	const char *user = user_on(1), *friend = user_on(2), *token = token_for(stand->stack, user);

	push_subscribe(stand, token, stand->https, text_of("/as/201/u%s.", user));
	want(stand, token, friend);
	push_take_offline(stand, user);
	touch_user(stand->stack, friend);
	signal_and_wait_stopped(redis_pid_at(stand->stack, 1));
	pushd_start(stand, 0, NULL);
	WAIT_UNTIL(redis_int_of(stand->stack, friend, "ZCARD push:later") == 1, 15000);
	kill(redis_pid_at(stand->stack, 1), SIGCONT);
	push_wait_for(stand, "sent", 1);
	push_wait_until_idle(stand);
	push_stop(stand);
}
END_TEST

START_TEST(a_server_that_comes_back_empty_is_worked_with)
{
	struct push_stand *stand = start(3);
	const char *user = user_on(1);

	pushd_start(stand, 0, NULL);
	redis_kill_at(stand->stack, 1);
	redis_start_at(stand->stack, 1, NULL);
	subscribe(stand, user);
	notify(stand, user);
	push_wait_for(stand, "sent", 1);
	push_stop(stand);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("push over partitions");
	TCase *one = harness_case(suite, "one server or three", 60);
	TCase *three = harness_case(suite, "three servers", 60);

	tcase_add_loop_test(one, users_of_all_partitions_are_told_once_by_either_process, 0, 2);
	tcase_add_loop_test(one, who_waits_for_friends_of_other_partitions_is_told, 0, 2);
	tcase_add_loop_test(three, a_block_across_partitions_keeps_the_friend_from_being_told_of, 0,
			    2);
	tcase_add_test(three, while_a_server_is_silent_users_of_the_others_are_told);
	tcase_add_test(three, who_cannot_be_looked_at_is_told_of_a_friend_later);
	tcase_add_test(three, a_server_that_comes_back_empty_is_worked_with);
	return push_main(suite);
}
