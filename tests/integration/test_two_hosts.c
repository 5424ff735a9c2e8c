/*
 * A site on two hosts, each with lighttpd, presence-api, presence-streamd and some of the servers of Redis: what
 * each shows while the link between them is cut, and that both show the same afterwards.
 */
#include "calls.h"
#include "fleet.h"
#include "screens.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cluster.h"
#include "store/layout.h"

#define FEW 0 /* the host without the majority: with one of three Sentinels, of three primaries */
#define MOST 1
#define PARTITIONS 16
/* ms, stretched. What a host that was cut off has renewed ends within the cut; a primary knows before that it is. */
#define TTL 10000
#define MAX_LAG 4000

/* Of the users 1 and 2 are the screens. 6 has no stream. */
#define STAYS "3" /* at FEW */
#define LEAVES "5" /* at FEW, while it is cut off */
#define LEAVES_MOST 4 /* at MOST, then too */
#define CALLS "6"

static struct host hosts[HOSTS];
static struct stack *stacks[HOSTS];
static struct screen screens[HOSTS];
static struct sse *stays, *leaves, *leaves_most;
static struct sentinel_stand *sentinels; /* or */
static struct cluster_stand *cluster; /* or */
static struct fleet_server single;

/* --- the site -------------------------------------------------------------------------------- */

static void setup(void)
{
	hosts_make(hosts);
	for (int i = 0; i < HOSTS; i++)
		stacks[i] = stack_new("");
	/* One key: what one host has signed the other takes. */
	memcpy(stacks[MOST]->secret, stacks[FEW]->secret, sizeof stacks[FEW]->secret);
	stack_write_secret(stacks[MOST], "key", stacks[MOST]->secret);
}

static void serve(const char *url, int partitions)
{
	int ttl = patience(TTL) / 1000;
	char *conf;

	ck_assert(asprintf(&conf,
			   "presence { online_ttl = %d stream_ttl = %d heartbeat = 2 grace = 2 }\n"
			   "stream { drain = 1 max_lifetime = 0 }\n"
			   "redis { url = \"%s\" partitions = %d }\n",
			   ttl, ttl, url, partitions) > 0);
	for (int i = 0; i < HOSTS; i++) {
		host_enter(&hosts[i]);
		stack_write_conf(stacks[i], conf);
		streamd_start(stacks[i], 0);
		lighttpd_start(stacks[i]);
	}
	free(conf);
}

static void teardown(void)
{
	for (int i = 0; i < HOSTS; i++)
		ck_assert_int_eq(streamd_end(stacks[i], 0, SIGTERM), 0);
	if (sentinels != NULL)
		sentinels_stop(sentinels);
	if (cluster != NULL)
		cluster_stop(cluster);
	if (single.pid != 0)
		fleet_kill(&single);
	for (int i = HOSTS - 1; i >= 0; i--)
		stack_stop(stacks[i]);
}

/* --- what is asked and seen on a host -------------------------------------------------------- */

static struct response *call(int host, const char *path, const char *token, const char *body)
{
	host_enter(&hosts[host]);
	return HTTP(stacks[host], .path = path, .token = token, .body = body);
}

/* The answer when it is done: each worker that was connected to a server which is away learns of that by a call. */
static struct json_object *call_done(int host, const char *path, const char *token,
				     const char *body)
{
	struct response *answer = NULL;

	WAIT_UNTIL((answer = call(host, path, token, body))->status != 503, 10000);
	ck_assert_msg(answer->status == 200, "%s: %d", path, answer->status);
	return answer->json;
}

static bool is_true(int host)
{
	host_enter(&hosts[host]);
	return screen_is_true(&screens[host]);
}

static void look(const char *when)
{
	for (int i = 0; i < HOSTS; i++)
		screen_look(&screens[i], when);
}

static bool shows(int host, int user, bool online)
{
	look("waiting");
	return screens[host].online[user] == online;
}

static void expect(int host, const char *users, enum truth truth)
{
	look("before");
	for (; *users != '\0'; users++)
		screens[host].truth[*users - '0'] = truth;
}

static struct sse *open_stream(int host, const char *user)
{
	struct sse *sse;

	host_enter(&hosts[host]);
	sse = sse_open(stacks[host], token_for(stacks[host], user));
	sse_ready(sse);
	return sse;
}

static bool both_are_true(void)
{
	return is_true(FEW) && is_true(MOST);
}

static void begin(void)
{
	for (int i = 0; i < HOSTS; i++) {
		host_enter(&hosts[i]);
		screen_open(&screens[i], stacks[i], i + 1);
	}
	stays = open_stream(FEW, STAYS);
	leaves = open_stream(FEW, LEAVES);
	leaves_most = open_stream(MOST, "4");
	for (int i = 0; i < 6; i++) { /* each worker has found its way */
		call(FEW, COUNT, screens[FEW].token, NULL);
		call(MOST, COUNT, screens[MOST].token, NULL);
	}
	WAIT_UNTIL(both_are_true(), 20000);
	for (int i = 0; i < HOSTS; i++) {
		expect(i, "12345", ONLINE_ALONE);
		expect(i, "6", OFFLINE_ALONE);
		screens[i].longest = 0;
	}
}

/* --- what happens ---------------------------------------------------------------------------- */

/*
 * The link is cut. Where the primary of user 6 is on the lesser side it takes what comes there for a moment,
 * which will be lost: another one is made on the other side.
 */
static void cut(bool takes_writes)
{
	const char *token = token_for(stacks[FEW], CALLS);
	int64_t start = now_ms();
	struct response *answer;

	if (takes_writes)
		expect(FEW, CALLS, EITHER);
	expect(MOST, "135", EITHER);
	hosts_cut(hosts);
	answer = call(FEW, HEARTBEAT, token, "");
	ck_assert(answer->status == 503 || (answer->status == 200 && takes_writes));
	ck_assert(answer->status == 200 || !takes_writes || now_ms() - start >= 1000);
	if (answer->status == 200)
		WAIT_UNTIL(shows(FEW, 6, true), 5000);
}

/* What is not known there is neither told nor shown as if it were. */
static void check_refused(void)
{
	check_problem(call(FEW, STATUS_FRIENDS, screens[FEW].token, NULL), 503,
		      "redis_unavailable");
	ck_assert(!screens[FEW].is_current);
}

/* The side with the majority serves its own, and those of the other side are gone when their time is over. */
static void live_apart(void)
{
	WAIT_UNTIL(is_true(MOST), 30000);
	WAIT_UNTIL((look("cut off"), !screens[FEW].is_current), 30000);
	check_refused();
	sse_close(leaves);
	WAIT_UNTIL(shows(MOST, 1, false) && shows(MOST, 3, false) && shows(MOST, 5, false),
		   TTL + 12000);
	WAIT_UNTIL(is_true(MOST), 10000);
	ck_assert(screens[MOST].online[LEAVES_MOST]);
	CHECK_JSON(call_done(MOST, COUNT, screens[MOST].token, NULL), "{'count':2}");
	expect(FEW, "45", EITHER);
	expect(MOST, "4", EITHER);
	sse_close(leaves_most);
	WAIT_UNTIL(shows(MOST, LEAVES_MOST, false), 10000);
	check_refused();
}

/* From the first `initial` on nobody is shown who went meanwhile, and nobody is missing who stayed. */
static void heal(void)
{
	for (int i = 0; i < HOSTS; i++)
		expect(i, "456", OFFLINE_ALONE);
	hosts_heal(hosts);
	WAIT_UNTIL(both_are_true() && screens[MOST].online[1] && screens[MOST].online[3], 40000);
	ck_assert(screens[FEW].online[2] && screens[FEW].online[3]);
	for (int user = 3; user <= USERS; user++)
		ck_assert_int_eq(screens[FEW].version[user], screens[MOST].version[user]);
	for (int i = 0; i < HOSTS; i++) {
		expect(i, "123", ONLINE_ALONE);
		CHECK_JSON(call_done(i, COUNT, screens[i].token, NULL), "{'count':3}");
	}
}

/* Each host hears what is done at the other. */
static void expect_live(void)
{
	const char *token = token_for(stacks[FEW], CALLS);

	expect(FEW, CALLS, EITHER);
	expect(MOST, CALLS, EITHER);
	for (int i = 0; i < HOSTS; i++) {
		call_done(i, HEARTBEAT, token, "");
		WAIT_UNTIL(shows(FEW, 6, true) && shows(MOST, 6, true), 10000);
		call_done(!i, LOGOUT, token, "");
		WAIT_UNTIL(shows(FEW, 6, false) && shows(MOST, 6, false), 10000);
		token = token_for(stacks[FEW], CALLS);
	}
}

static void end(void)
{
	look("at the end");
	for (int i = 0; i < HOSTS; i++)
		sse_close(screens[i].sse);
	sse_close(stays);
}

/* --- Sentinels ------------------------------------------------------------------------------- */

static void start_sentinels(const char *servers)
{
	char *args, *include;

	ck_assert(asprintf(&include, "--include %s/conf/redis-primary.conf --appendonly no",
			   getenv("ABS_SRCDIR")) > 0);
	ck_assert(asprintf(&args, "%s --min-replicas-max-lag %d", include,
			   patience(MAX_LAG) / 1000) > 0);
	sentinels = sentinels_start_on(hosts, servers, "011", stacks[FEW], args, NULL);
	serve(sentinels->url, 1);
	free(args);
	free(include);
}

/*
 * The primary is cut off from its replicas, two of the Sentinels and half of the users. For some seconds, the last
 * of them beside its successor, it takes writes; then it knows that nobody follows it and refuses them.
 */
START_TEST(a_primary_that_is_cut_off_leaves_no_ghosts)
{
	struct fleet_server *old;

	start_sentinels("011");
	begin();
	old = &sentinels->servers[0];
	cut(true);
	live_apart();
	ck_assert_str_eq(fleet_info(old, "role"), "master");
	ck_assert_int_eq(atoi(fleet_info(old, "min_slaves_good_slaves")), 0);
	ck_assert_int_gt(screens[MOST].longest, 0);
	heal();
	expect_live();
	WAIT_UNTIL(strcmp(fleet_info(old, "role"), "slave") == 0, 30000);
	WAIT_UNTIL(strcmp(fleet_info(old, "master_link_status"), "up") == 0, 10000);
	ck_assert_int_eq(fleet_int(old, "EXISTS user:online:" CALLS), 0);
	ck_assert_int_eq(fleet_int(old, "SCARD online_users"), 3);
	end();
}
END_TEST

/* The primary is where the majority is: there nobody notices but by whom he misses. */
START_TEST(a_host_that_is_cut_off_from_the_primary_is_missed_alone)
{
	start_sentinels("101");
	begin();
	cut(false);
	live_apart();
	ck_assert_str_eq(fleet_info(&sentinels->servers[0], "role"), "master");
	ck_assert_int_eq(screens[MOST].longest, 0);
	heal();
	expect_live();
	end();
}
END_TEST

/* --- a cluster ------------------------------------------------------------------------------- */

static int slot_of(const char *user)
{
	unsigned tags[PARTITIONS];
	char tag[16];

	layout_find_tags(PARTITIONS, tags);
	snprintf(tag, sizeof tag, "{%u}", tags[layout_partition(PARTITIONS, user)]);
	return (int)cluster_slot(tag, strlen(tag));
}

/* The primary of user 6 is alone on its side; each replica is on the other side than its primary. */
START_TEST(a_shard_that_is_cut_off_leaves_no_ghosts)
{
	char places[2 * CLUSTER_PRIMARIES + 1] = "111000", args[64];
	int alone = slot_of(CALLS) * CLUSTER_PRIMARIES / LAYOUT_SLOTS;

	places[alone] = '0';
	places[CLUSTER_PRIMARIES + alone] = '1';
	snprintf(args, sizeof args, "--cluster-node-timeout %d", patience(4000));
	cluster = cluster_start_on(hosts, places, stacks[FEW], args);
	serve(cluster->url, PARTITIONS);
	begin();
	cut(true);
	live_apart();
	heal();
	expect_live();
	WAIT_UNTIL(strcmp(fleet_info(&cluster->servers[alone], "role"), "slave") == 0, 20000);
	ck_assert_int_eq(cluster_wait_owner(cluster, slot_of(CALLS), alone),
			 CLUSTER_PRIMARIES + alone);
	end();
}
END_TEST

/* --- one server ------------------------------------------------------------------------------ */

/* The kernel has what was written while the link was cut; it must not send that when the caller knows it refused. */
START_TEST(what_was_refused_is_not_done_later)
{
	char url[64];

	single.host = &hosts[MOST];
	fleet_start(stacks[FEW], &single, "redis0", NULL);
	snprintf(url, sizeof url, "redis://%s:%d", hosts[MOST].address, single.port);
	serve(url, 1);
	for (int i = 0; i < 6; i++) /* each worker is connected */
		ck_assert_int_eq(call(FEW, COUNT, token_for(stacks[FEW], "1"), NULL)->status, 200);
	hosts_cut(hosts);
	check_problem(call(FEW, HEARTBEAT, token_for(stacks[FEW], CALLS), ""), 503,
		      "redis_unavailable");
	hosts_heal(hosts);
	/* What would be sent again is so after twice the time at most. */
	for (int64_t end = now_ms() + 4000; now_ms() < end; nap())
		ck_assert_int_eq(fleet_int(&single, "EXISTS user:sessions:" CALLS), 0);
	ck_assert_int_eq(call(FEW, COUNT, token_for(stacks[FEW], "1"), NULL)->status, 200);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("two_hosts");
	const struct {
		const char *name;
		const TTest *test;
	} rows[] = {{"sentinel", a_primary_that_is_cut_off_leaves_no_ghosts},
		    {"missed", a_host_that_is_cut_off_from_the_primary_is_missed_alone},
		    {"cluster", a_shard_that_is_cut_off_leaves_no_ghosts},
		    {"refused", what_was_refused_is_not_done_later}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		TCase *tcase = harness_case(suite, rows[i].name, 120);

		tcase_add_checked_fixture(tcase, setup, teardown);
		tcase_add_test(tcase, rows[i].test);
	}
	return hosts_main(suite);
}
