/*
 * Redis' password changes, however many servers there are: what that does to who is connected, and that SIGHUP heals it.
 * So it does not where redis.url names another place.
 */
#include "calls.h"
#include "fleet.h"
#include "process.h"
#include "screens.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/layout.h"

#define SERVERS_MAX 6

enum kind { ONE, SEVERAL, SENTINELS_KNOW, CLUSTER, KINDS };

static struct stack *stack;
static enum kind kind;
static struct fleet_server plain[3]; /* of ONE and SEVERAL */
static struct sentinel_stand *sentinels;
static struct cluster_stand *cluster;
static struct fleet_server *servers; /* of either */
static int count, partitions;
static char *places; /* redis.url, with "@" where user and password go before it */
static pid_t pushd;
static struct screens screens;

/* --- the servers ----------------------------------------------------------------------------- */

static void start_plain(const char *args)
{
	char *url = "";

	count = kind == ONE ? 1 : 3;
	for (int i = 0; i < count; i++) {
		char name[8];

		snprintf(name, sizeof name, "plain%d", i);
		plain[i].port = 0;
		fleet_start(stack, &plain[i], name, args);
		ck_assert(asprintf(&url, "%s%sredis://@127.0.0.1:%d", url, i > 0 ? " " : "",
				   plain[i].port) > 0);
	}
	servers = plain;
	places = url;
}

/* Behind its scheme, a URL of one login. */
static void set_places(const char *url)
{
	const char *hosts = strstr(url, "://") + 3;

	ck_assert(asprintf(&places, "%.*s@%s", (int)(hosts - url), url, hosts) > 0);
}

static void start_servers(void)
{
	char *args;

	ck_assert(asprintf(&args, "--aclfile %s/conf/redis-users.acl", getenv("ABS_SRCDIR")) > 0);
	partitions = kind == ONE || kind == SENTINELS_KNOW ? 1 : CLUSTER_PARTITIONS;
	if (kind == CLUSTER) {
		cluster = cluster_start(stack, args);
		servers = cluster->servers;
		count = cluster->count;
		set_places(cluster->url);
	} else if (kind == SENTINELS_KNOW) {
		sentinels = sentinels_start(stack, args, NULL);
		servers = sentinels->servers;
		count = 1 + REPLICAS;
		set_places(sentinels->url);
	} else {
		start_plain(args);
	}
	free(args);
}

static void stop_servers(void)
{
	if (kind == CLUSTER)
		cluster_stop(cluster);
	else if (kind == SENTINELS_KNOW)
		sentinels_stop(sentinels);
	else
		for (int i = 0; i < count; i++)
			fleet_kill(&plain[i]);
}

static void tell_each_server(const char *command)
{
	for (int i = 0; i < count; i++) {
		redisReply *reply = fleet_cmd(&servers[i], command);

		ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", command, reply->str);
		freeReplyObject(reply);
	}
}

/* How often somebody has given a password, at all of them. */
static int count_logins(void)
{
	int sum = 0;

	for (int i = 0; i < count; i++) {
		char *stats = fleet_text(&servers[i], "INFO commandstats");
		const char *line = strstr(stats, "cmdstat_auth:calls=");

		sum += line != NULL ? atoi(line + strlen("cmdstat_auth:calls=")) : 0;
		free(stats);
	}
	return sum;
}

/* --- the programs ---------------------------------------------------------------------------- */

static void write_conf(const char *url, int divided, const char *more)
{
	char *conf;

	ck_assert(asprintf(&conf,
			   SCREENS_TIMES "redis { url = \"%s\" partitions = %d }\n"
					 "push { key_file = \"%s/push.pem\" "
					 "subject = \"mailto:a@example.com\" }\n%s",
			   url, divided, stack->dir, more) > 0);
	stack_write_conf(stack, conf);
	free(conf);
}

static void configure(const char *password)
{
	struct printbuf *url = buf_new();

	for (const char *at = places; *at != '\0'; at++) {
		if (*at == '@')
			buf_putf(url, "presence:%s", password);
		buf_put(url, at, 1);
	}
	write_conf(url->buf, partitions, "");
	printbuf_free(url);
}

static const char *const logs[] = {"streamd0.log", "lighttpd.log", "pushd.log"};

static int count_lines(const char *name, const char *text)
{
	const char *log = stack_file(stack, name);
	int found = 0;

	for (; (log = strstr(log, text)) != NULL; log += strlen(text))
		found++;
	return found;
}

/* All programs read the configuration again; presence-api has only new workers then. */
static void reload(void)
{
	int before[3];
	pid_t old[8], parent = api_parent(stack);
	int workers = children_of(parent, old, 8);

	for (int i = 0; i < 3; i++)
		before[i] = count_lines(logs[i], "configuration read again");
	kill(stack->streamd[0], SIGHUP);
	kill(pushd, SIGHUP);
	kill(parent, SIGHUP);
	for (int i = 0; i < 3; i++)
		WAIT_UNTIL(count_lines(logs[i], "configuration read again") > before[i], 5000);
	for (int i = 0; i < workers; i++)
		WAIT_UNTIL(!process_runs(old[i]), 10000);
}

static void setup(enum kind wanted)
{
	const char *argv[] = {program("presence-pushd"), "-c", NULL, NULL};

	kind = wanted;
	stack = stack_new(SCREENS_TIMES);
	stack_write_secret(stack, "push.pem", CTL(stack, "push", "key"));
	start_servers();
	configure("PASSWORD");
	streamd_start(stack, 0);
	lighttpd_start(stack);
	argv[2] = stack_path(stack, "presence.conf");
	pushd = process_start(stack, "pushd", argv, NULL, 0);
	WAIT_UNTIL(count_lines("pushd.log", "Redis: connected") == 1, 5000);
}

static void teardown(void)
{
	ck_assert_int_eq(process_end(&pushd, SIGTERM, "presence-pushd", 10000), 0);
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	stop_servers();
	stack_stop(stack);
}

static int heartbeat(void)
{
	return HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, "1"), .body = "")->status;
}

/* What is no notification is taken out of the first partition's queue and thrown away. */
static void expect_push(void)
{
	char tag[16] = "";

	if (partitions > 1)
		snprintf(tag, sizeof tag, "{%u}", layout_tag((unsigned)partitions, 0));
	freeReplyObject(fleet_cmd(&servers[0], "XADD %spush:queue * job rubbish", tag));
	WAIT_UNTIL(fleet_int(&servers[0], "XLEN %spush:queue", tag) == 0, 10000);
}

/* --- tests ----------------------------------------------------------------------------------- */

START_TEST(a_password_that_changed_is_told_once_and_sighup_with_the_new_one_heals)
{
	int logins;

	setup((enum kind)_i);
	screens_open(&screens, stack);
	tell_each_server("ACL SETUSER presence resetpass >NEW");
	tell_each_server("CLIENT KILL USER presence");
	for (int i = 0; i < SCREENS; i++)
		WAIT_UNTIL((screens_look(&screens, "refused"), !screens.list[i].is_current), 10000);
	ck_assert_int_eq(heartbeat(), 503);
	ck_assert_int_eq(HTTP(stack, .path = HEALTH)->status, 503);
	/* It is tried again and again: of each server one line, and one of a cluster. */
	logins = count_logins();
	WAIT_UNTIL(count_logins() >= logins + 30, 30000);
	ck_assert_int_gt(count_lines("streamd0.log", "WRONGPASS"), 0);
	ck_assert_int_le(count_lines("streamd0.log", "WRONGPASS"), count + 1);
	screens_look(&screens, "refused");
	configure("NEW");
	reload();
	WAIT_UNTIL(screens_are_true(&screens), 10000);
	ck_assert_int_eq(heartbeat(), 200);
	screens_look(&screens, "let in");
	screens_expect_live(&screens, 5000);
	WAIT_UNTIL(count_lines("pushd.log", "Redis: connected") == 2, 10000);
	expect_push();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(count_lines(logs[i], "takes a restart"), 0);
	screens_close(&screens);
	teardown();
}
END_TEST

/* The new password is added, the programs get it, then the old one goes. */
START_TEST(a_password_that_is_replaced_while_both_are_valid_loses_nothing)
{
	setup((enum kind)_i);
	ck_assert_int_eq(heartbeat(), 200);
	screens_open(&screens, stack);
	tell_each_server("ACL SETUSER presence >NEW");
	configure("NEW");
	reload();
	tell_each_server("ACL SETUSER presence <PASSWORD");
	ck_assert_int_eq(heartbeat(), 200);
	screens_expect_live(&screens, 5000);
	for (int i = 0; i < SCREENS; i++)
		ck_assert_int_eq(screens.list[i].longest, 0); /* never degraded */
	/* Nor is anything lost when all connect anew. */
	tell_each_server("CLIENT KILL USER presence");
	WAIT_UNTIL(screens_are_true(&screens), 10000);
	screens_look(&screens, "connected anew");
	screens_expect_live(&screens, 5000);
	ck_assert_int_eq(heartbeat(), 200);
	expect_push();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(count_lines(logs[i], "WRONGPASS"), 0);
	screens_close(&screens);
	teardown();
}
END_TEST

/* Else some programs would write in one place and some in another. */
START_TEST(another_place_takes_a_restart_and_that_is_told)
{
	setup((enum kind)_i);
	screens_open(&screens, stack);
	write_conf("redis://127.0.0.1:1/0", partitions == 1 ? 2 : 1,
		   "redis { prefix = \"other:\" }");
	reload();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(count_lines(logs[i], "redis.url changed: that takes a restart"),
				 1);
		ck_assert_int_eq(
			count_lines(logs[i], "redis.partitions changed: that takes a restart"), 1);
		ck_assert_int_eq(count_lines(logs[i], "redis.prefix changed: that takes a restart"),
				 1);
	}
	ck_assert_int_eq(heartbeat(), 200);
	screens_expect_live(&screens, 5000);
	expect_push();
	screens_close(&screens);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("passwords");
	TCase *tcase = harness_case(suite, "passwords", 90);

	tcase_add_loop_test(tcase,
			    a_password_that_changed_is_told_once_and_sighup_with_the_new_one_heals,
			    0, KINDS);
	tcase_add_loop_test(tcase, a_password_that_is_replaced_while_both_are_valid_loses_nothing,
			    0, KINDS);
	tcase_add_loop_test(tcase, another_place_takes_a_restart_and_that_is_told, 0, KINDS);
	return harness_main(suite);
}
