/* Streams over a real Redis Cluster: what the screens show while slots move and nodes go. */
#include "calls.h"
#include "fleet.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/cluster.h"
#include "store/layout.h"

#define PARTITIONS 16
#define GONE USERS /* this one has no stream, and is offline */

/* Sessions outlive every fault, so that nothing else can end them. */
#define TIMES                                                                              \
	"presence { online_ttl = 60 heartbeat = 2 stream_ttl = 50 grace = 2 sweep = 1 }\n" \
	"stream { drain = 1 }\n"

static struct stack *stack;
static struct cluster_stand *cluster;

static void configure(const char *url, int partitions)
{
	char *conf;

	ck_assert(asprintf(&conf, TIMES "redis { url = \"%s\" partitions = %d }\n", url,
			   partitions) > 0);
	stack_write_conf(stack, conf);
	free(conf);
}

/* --- screens --------------------------------------------------------------------------------- */

/* What one user sees of all. */
struct screen {
	int user;
	const char *token;
	struct sse *sse;
	bool is_current; /* not degraded */
	bool online[USERS + 1];
	int64_t version[USERS + 1];
	char lie[256]; /* the first */
};

static struct screen screens[USERS]; /* of users 1 to USERS - 1 */

static void see(struct screen *screen, struct json_object *status, const char *text)
{
	int id = json_object_get_int(json_at(status, "user_id"));
	bool online = json_object_get_boolean(json_at(status, "is_online"));

	ck_assert_int_le(id, USERS);
	screen->online[id] = online;
	screen->version[id] = json_object_get_int64(json_at(status, "version"));
	if (online == (id == GONE) && screen->lie[0] == '\0')
		snprintf(screen->lie, sizeof screen->lie, "user %d saw: %s", screen->user, text);
}

static void see_all(struct screen *screen, struct event *initial)
{
	json_object_object_foreach(initial->json, id, status)
	{
		(void)id;
		see(screen, status, initial->data);
	}
	screen->is_current = true;
}

/* Takes in what has come. */
static void look(struct screen *screen)
{
	struct event *event;

	while ((event = sse_next(screen->sse, 1)) != NULL) {
		if (strcmp(event->name, "initial") == 0)
			see_all(screen, event);
		else if (strcmp(event->name, "status_change") == 0)
			see(screen, event->json, event->data);
		else if (strcmp(event->name, "degraded") == 0)
			screen->is_current = false;
	}
	ck_assert_msg(!sse_ended(screen->sse), "the stream of user %d ended", screen->user);
}

/* Whether it shows what a call says. */
static bool is_true(struct screen *screen)
{
	struct response *answer = HTTP(stack, .path = STATUS_FRIENDS, .token = screen->token);
	bool same = answer->status == 200;

	look(screen);
	for (int id = 1; same && id <= USERS; id++) {
		struct json_object *status;
		char key[12];

		snprintf(key, sizeof key, "%d", id);
		if (id == screen->user)
			continue;
		status = json_at(answer->json, key);
		same = json_object_get_boolean(json_at(status, "is_online")) ==
			       screen->online[id] &&
		       json_object_get_int64(json_at(status, "version")) == screen->version[id];
	}
	return same && screen->is_current;
}

static bool are_all_true(void)
{
	for (int i = 0; i < USERS - 1; i++) {
		if (!is_true(&screens[i]))
			return false;
	}
	return true;
}

static void check_screens(const char *when)
{
	for (int i = 0; i < USERS - 1; i++)
		ck_assert_msg(screens[i].lie[0] == '\0', "%s: %s", when, screens[i].lie);
}

static void open_screens(void)
{
	for (int i = 0; i < USERS - 1; i++) {
		struct screen *screen = &screens[i];
		char user[12];

		screen->user = i + 1;
		snprintf(user, sizeof user, "%d", screen->user);
		screen->token = token_for(stack, user);
		screen->sse = sse_open(stack, screen->token);
		ck_assert_int_eq(sse_status(screen->sse), 200);
	}
	WAIT_UNTIL(are_all_true(), 10000);
	/* Not before all were online. */
	for (int i = 0; i < USERS - 1; i++)
		screens[i].lie[0] = '\0';
}

static void close_screens(void)
{
	for (int i = 0; i < USERS - 1; i++)
		sse_close(screens[i].sse);
}

/* A change reaches every screen, and its end does. */
static void expect_live(int within_ms)
{
	char id[12];
	const char *token;

	snprintf(id, sizeof id, "%d", GONE);
	token = token_for(stack, id);
	WAIT_UNTIL(HTTP(stack, .path = COUNT, .token = token)->status == 200, within_ms);
	for (int i = 0; i < USERS - 1; i++)
		WAIT_UNTIL((look(&screens[i]), screens[i].online[GONE]), within_ms);
	WAIT_UNTIL(HTTP(stack, .path = LOGOUT, .token = token, .body = "")->status == 200,
		   within_ms);
	for (int i = 0; i < USERS - 1; i++) {
		WAIT_UNTIL((look(&screens[i]), !screens[i].online[GONE]), within_ms);
		screens[i].lie[0] = '\0';
	}
}

/* --- where users are ------------------------------------------------------------------------- */

static int slot_of(int user)
{
	unsigned tags[PARTITIONS];
	char id[12], tag[16];

	snprintf(id, sizeof id, "%d", user);
	layout_find_tags(PARTITIONS, tags);
	snprintf(tag, sizeof tag, "{%u}", tags[layout_partition(PARTITIONS, id)]);
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

	stack = stack_new(TIMES);
	/* With the fewest rights, and the file's own password. */
	ck_assert(asprintf(&users, "--aclfile %s/conf/redis-users.acl", getenv("ABS_SRCDIR")) > 0);
	cluster = cluster_start(stack, users);
	ck_assert(asprintf(&url, "cluster://presence:PASSWORD@%s",
			   cluster->url + strlen("cluster://")) > 0);
	configure(url, PARTITIONS);
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

	open_screens();
	expect_live(5000);
	check_screens("at rest");
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
	close_screens();
}
END_TEST

/* Somebody calls all the time; while the slot moves the answer may be 503. */
static void call_all(void)
{
	for (int i = 0; i < USERS - 1; i++) {
		struct response *answer =
			HTTP(stack, .path = STATUS_FRIENDS, .token = screens[i].token);

		ck_assert_msg(answer->status == 200 || answer->status == 503, "status %d",
			      answer->status);
		look(&screens[i]);
	}
}

START_TEST(a_partition_that_moves_is_right_again_at_once)
{
	int slot = slot_of(1), from = owner_of(1), to = (from + 1) % CLUSTER_PRIMARIES;

	open_screens();
	for (int round = 0; round < 4; round++) {
		int other = from;
		int64_t start;

		cluster_begin_move(cluster, slot, from, to);
		call_all();
		while (cluster_move_keys(cluster, slot, from, to, 2) > 0)
			call_all();
		cluster_end_move(cluster, slot, to);
		start = now_ms();
		WAIT_UNTIL(are_all_true(), 5000);
		check_screens("moved");
		expect_live(5000);
		ck_assert_msg(now_ms() - start < patience(5000) * 2, "after %d ms",
			      (int)(now_ms() - start));
		from = to;
		to = other;
	}
	close_screens();
}
END_TEST

static const char *const ways[] = {"handed over", "killed", "frozen"};

static void lose_node(int node, const char *how)
{
	if (strcmp(how, "killed") == 0)
		fleet_kill(&cluster->servers[node]);
	else if (strcmp(how, "frozen") == 0)
		signal_and_wait_stopped(cluster->servers[node].pid);
	else
		cluster_fail_over(cluster, node + CLUSTER_PRIMARIES);
}

/* Whether the partition of user 1 is elsewhere, as a node sees it that was not lost. */
static bool has_moved(int from)
{
	int now = cluster_owner(cluster, (from + 1) % CLUSTER_PRIMARIES, slot_of(1));

	return now >= 0 && now != from;
}

START_TEST(after_a_primary_is_lost_every_screen_is_true)
{
	int node = owner_of(1);

	open_screens();
	expect_live(5000);
	/* All of it has reached the replica: what is lost otherwise is not this test's. */
	fleet_int(&cluster->servers[node], "WAIT 1 5000");
	lose_node(node, ways[_i]);
	WAIT_UNTIL(has_moved(node), 30000);
	WAIT_UNTIL(are_all_true(), 10000);
	check_screens(ways[_i]);
	expect_live(5000);
	if (strcmp(ways[_i], "frozen") == 0) {
		/* It comes back as a replica, and for a moment takes itself for what it was. */
		kill(cluster->servers[node].pid, SIGCONT);
		for (int i = 0; i < 5; i++)
			call_all();
		WAIT_UNTIL(strcmp(fleet_info(&cluster->servers[node], "role"), "slave") == 0,
			   20000);
		WAIT_UNTIL(are_all_true(), 10000);
		check_screens("back as a replica");
		expect_live(5000);
	}
	close_screens();
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
	open_screens();
	fleet_kill(&cluster->servers[node + CLUSTER_PRIMARIES]);
	fleet_kill(&cluster->servers[node]);
	for (int i = 0; i < USERS - 1; i++)
		WAIT_UNTIL((look(&screens[i]), !screens[i].is_current), 5000);
	WAIT_UNTIL(strstr(HTTP(stack, .path = HEALTH)->body, "degraded") != NULL, 5000);
	snprintf(id, sizeof id, "%d", other);
	WAIT_UNTIL(
		HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, id), .body = "")->status ==
			200,
		10000);
	ck_assert_int_eq(
		HTTP(stack, .path = HEARTBEAT, .token = token_for(stack, "1"), .body = "")->status,
		503);
	check_screens("a shard is gone");
	close_screens();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cluster_streams");
	TCase *tcase = harness_case(suite, "streams", 90);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, friends_on_different_nodes_see_each_other);
	tcase_add_test(tcase, a_partition_that_moves_is_right_again_at_once);
	tcase_add_loop_test(tcase, after_a_primary_is_lost_every_screen_is_true, 0, 3);
	tcase_add_test(tcase, a_shard_without_a_replica_takes_nobody_else_along);
	return harness_main(suite);
}
