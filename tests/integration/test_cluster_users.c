/* Users of Redis in a cluster: what a password that changes does to who is connected, and how that heals. */
#include "calls.h"
#include "fleet.h"
#include "screens.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS 16

/* Sessions outlive every fault, so that nothing else can end them. */
#define TIMES                                                                              \
	"presence { online_ttl = 60 heartbeat = 2 stream_ttl = 50 grace = 2 sweep = 1 }\n" \
	"stream { drain = 1 }\n"

static struct stack *stack;
static struct cluster_stand *cluster;
static struct screens screens;

/* The programs that start from now on have this password. */
static void configure(const char *password)
{
	char *conf;

	ck_assert(asprintf(&conf,
			   TIMES "redis { url = \"cluster://presence:%s@%s\" partitions = %d }\n",
			   password, cluster->url + strlen("cluster://"), PARTITIONS) > 0);
	stack_write_conf(stack, conf);
	free(conf);
}

static void setup(void)
{
	char *users;

	stack = stack_new(TIMES);
	ck_assert(asprintf(&users, "--aclfile %s/conf/redis-users.acl", getenv("ABS_SRCDIR")) > 0);
	cluster = cluster_start(stack, users);
	configure("PASSWORD");
	streamd_start(stack, 0);
	lighttpd_start(stack);
}

static void teardown(void)
{
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	cluster_stop(cluster);
	stack_stop(stack);
}

static void tell_each_node(const char *command)
{
	for (int i = 0; i < cluster->count; i++) {
		redisReply *reply = fleet_cmd(&cluster->servers[i], command);

		ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", command, reply->str);
		freeReplyObject(reply);
	}
}

/* How often somebody has given a password, at all nodes. */
static int count_logins(void)
{
	int sum = 0;

	for (int i = 0; i < cluster->count; i++) {
		char *stats = fleet_text(&cluster->servers[i], "INFO commandstats");
		const char *line = strstr(stats, "cmdstat_auth:calls=");

		sum += line != NULL ? atoi(line + strlen("cmdstat_auth:calls=")) : 0;
		free(stats);
	}
	return sum;
}

/* Lines of presence-streamd's log that have this. */
static int count_lines(const char *text)
{
	const char *log = stack_file(stack, "streamd0.log");
	int count = 0;

	for (; (log = strstr(log, text)) != NULL; log += strlen(text))
		count++;
	return count;
}

static int heartbeat(void)
{
	return HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, "1"), .body = "")->status;
}

START_TEST(a_password_that_changed_is_told_once_and_a_restart_with_the_new_one_heals)
{
	int logins;

	screens_open(&screens, stack);
	tell_each_node("ACL SETUSER presence resetpass >NEW");
	tell_each_node("CLIENT KILL USER presence");
	for (int i = 0; i < SCREENS; i++)
		WAIT_UNTIL((screens_look(&screens, "refused"), !screens.list[i].is_current), 10000);
	ck_assert_int_eq(heartbeat(), 503);
	ck_assert_int_eq(HTTP(stack, .path = HEALTH)->status, 503);
	/* It is tried again and again: of each node one line, and one of the cluster. */
	logins = count_logins();
	WAIT_UNTIL(count_logins() >= logins + 30, 30000);
	ck_assert_int_gt(count_lines("WRONGPASS"), 0);
	ck_assert_int_le(count_lines("WRONGPASS"), CLUSTER_PRIMARIES + 1);
	screens_look(&screens, "refused");
	screens_close(&screens);
	configure("NEW");
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	streamd_start(stack, 0);
	lighttpd_change(stack, NULL, "");
	ck_assert_int_eq(heartbeat(), 200);
	screens_open(&screens, stack);
	screens_expect_live(&screens, 5000);
	screens_close(&screens);
}
END_TEST

/* The new password is added, the programs get it one after the other, then the old one goes. */
START_TEST(a_password_that_is_replaced_while_both_are_valid_loses_nothing)
{
	tell_each_node("ACL SETUSER presence >NEW");
	ck_assert_int_eq(heartbeat(), 200);
	configure("NEW");
	lighttpd_change(stack, NULL, "");
	ck_assert_int_eq(heartbeat(), 200);
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	streamd_start(stack, 0);
	screens_open(&screens, stack);
	tell_each_node("ACL SETUSER presence <PASSWORD");
	screens_expect_live(&screens, 5000);
	/* Nor is anything lost when all connect anew. */
	tell_each_node("CLIENT KILL USER presence");
	WAIT_UNTIL(screens_are_true(&screens), 10000);
	screens_look(&screens, "connected anew");
	screens_expect_live(&screens, 5000);
	ck_assert_int_eq(heartbeat(), 200);
	ck_assert_int_eq(count_lines("WRONGPASS"), 0);
	screens_close(&screens);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cluster_users");
	TCase *tcase = harness_case(suite, "passwords", 90);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase,
		       a_password_that_changed_is_told_once_and_a_restart_with_the_new_one_heals);
	tcase_add_test(tcase, a_password_that_is_replaced_while_both_are_valid_loses_nothing);
	return harness_main(suite);
}
