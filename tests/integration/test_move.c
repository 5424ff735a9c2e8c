/* presencectl move: what is worth keeping is in the other layout, value by value, and nothing else. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "calls.h"
#include "fleet.h"
#include "process.h"
#include "servers.h"
#include "store/layout.h"

#define FILLED 40 /* users */
#define MANY "300" /* members of a Set, more than Redis keeps in order */
#define TTL_TOLERANCE 10000 /* ms */

/* Partitions, over some of the stand's servers. */
struct layout {
	unsigned partitions, servers;
	int at[REDIS_MAX]; /* numbers of the stand's servers */
};
static const struct layout one = {1, 1, {0}};
static const struct layout four_on_two = {4, 2, {1, 2}};

/* --- what is there ---------------------------------------------------------------------------- */

struct entry {
	char *own; /* the name without a tag */
	char *value;
	long long ends; /* ms since 1970; below 0: never */
};

struct content {
	struct entry *list;
	size_t count;
};

/* The names that move, and what is between them and the id. */
static const char *const lasting[] = {
	"user:last_seen:", "presence:version:", "user:chosen:",	     "user:settings:",
	"user:blocked:",   "user:blocked_by:",	"push:subs:",	     "push:wanted:",
	"push:waiting:",   "push:owner:",	"presence:revoked:", "presence:not_before:",
};

static const char *lasting_head(const char *own)
{
	for (size_t i = 0; i < sizeof lasting / sizeof lasting[0]; i++) {
		if (strncmp(own, lasting[i], strlen(lasting[i])) == 0)
			return lasting[i];
	}
	return NULL;
}

/* The user in a name; "" for those of nobody's partition. */
static char *id_in(const char *own)
{
	const char *head = lasting_head(own), *id = own + strlen(head);

	return strcmp(head, "push:owner:") == 0 ? xstrdup("") : xstrndup(id, strcspn(id, "/"));
}

static unsigned partition_of(const struct layout *layout, const char *id)
{
	return *id != '\0' ? layout_partition(layout->partitions, id) : 0;
}

static const char *name_in(const struct layout *layout, const char *id, const char *own)
{
	if (layout->partitions == 1)
		return own;
	return text_of("{%u}%s", layout_tag(layout->partitions, partition_of(layout, id)), own);
}

static int server_in(const struct layout *layout, const char *id)
{
	return layout->at[partition_of(layout, id) % layout->servers];
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Elements sorted; those of a Hash in pairs. */
static char *join_sorted(const redisReply *reply, size_t width)
{
	size_t count = reply->elements / width;
	char **lines = xcalloc(count + 1, sizeof *lines);
	struct printbuf *out = buf_new();

	for (size_t i = 0; i < count; i++)
		lines[i] = xstrdup(text_of("%s=%s", reply->element[i * width]->str,
					   reply->element[i * width + width - 1]->str));
	qsort(lines, count, sizeof *lines, by_text);
	for (size_t i = 0; i < count; i++) {
		buf_putf(out, "%s ", lines[i]);
		free(lines[i]);
	}
	free(lines);
	return buf_take(out, NULL);
}

static char *value_at(struct stack *stack, int server, const char *name)
{
	redisReply *type = redis_cmd_at(stack, server, "TYPE %s", name), *value;
	char *text;

	if (strcmp(type->str, "set") == 0) {
		value = redis_cmd_at(stack, server, "SMEMBERS %s", name);
		text = join_sorted(value, 1);
	} else if (strcmp(type->str, "hash") == 0) {
		value = redis_cmd_at(stack, server, "HGETALL %s", name);
		text = join_sorted(value, 2);
	} else {
		value = redis_cmd_at(stack, server, "GET %s", name);
		text = xstrdup(value->str != NULL ? value->str : "");
	}
	freeReplyObject(value);
	freeReplyObject(type);
	return text;
}

static int by_own(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->own, ((const struct entry *)b)->own);
}

static void add_entry(struct stack *stack, struct content *content, int server, const char *name,
		      const char *own)
{
	redisReply *ttl = redis_cmd_at(stack, server, "PEXPIRETIME %s", name);

	content->list = xrealloc(content->list, (content->count + 1) * sizeof *content->list);
	content->list[content->count++] =
		(struct entry){xstrdup(own), value_at(stack, server, name), ttl->integer};
	freeReplyObject(ttl);
}

/* What is to last in a layout; each key must be where it belongs. */
static struct content content_of(struct stack *stack, const struct layout *layout)
{
	struct content content = {NULL, 0};

	for (unsigned i = 0; i < layout->servers; i++) {
		int server = layout->at[i];
		redisReply *names = redis_cmd_at(stack, server, "KEYS *");

		for (size_t k = 0; k < names->elements; k++) {
			const char *name = names->element[k]->str,
				   *own = layout_name(layout->partitions, "", name);
			char *id;

			if (own == NULL || lasting_head(own) == NULL)
				continue;
			id = id_in(own);
			ck_assert_str_eq(name, name_in(layout, id, own));
			ck_assert_int_eq(server, server_in(layout, id));
			add_entry(stack, &content, server, name, own);
			free(id);
		}
		freeReplyObject(names);
	}
	if (content.count > 0)
		qsort(content.list, content.count, sizeof *content.list, by_own);
	return content;
}

static void check_equal(const struct content *expected, const struct content *seen)
{
	for (size_t i = 0; i < expected->count && i < seen->count; i++) {
		const struct entry *a = &expected->list[i], *b = &seen->list[i];

		ck_assert_str_eq(b->own, a->own);
		ck_assert_msg(strcmp(a->value, b->value) == 0, "%s: expected %s, seen %s", a->own,
			      a->value, b->value);
		ck_assert_msg(
			(a->ends < 0) == (b->ends < 0) && llabs(a->ends - b->ends) < TTL_TOLERANCE,
			"%s: expected to end at %lld ms, seen %lld", a->own, a->ends, b->ends);
	}
	ck_assert_uint_eq(seen->count, expected->count);
}

static void check_moved(struct stack *stack, const struct content *before,
			const struct layout *layout)
{
	struct content after = content_of(stack, layout);

	check_equal(before, &after);
}

/* --- the stand -------------------------------------------------------------------------------- */

static const char *url_of(struct stack *stack, const struct layout *layout)
{
	static const char *const names[REDIS_MAX] = {"redis.sock", "redis1.sock", "redis2.sock"};
	struct printbuf *out = buf_new();

	for (unsigned i = 0; i < layout->servers; i++)
		buf_putf(out, "%sunix://%s", i > 0 ? " " : "",
			 stack_path(stack, names[layout->at[i]]));
	return buf_take(out, NULL);
}

static void configure(struct stack *stack, const struct layout *layout)
{
	stack_write_conf(stack, text_of("redis { url = \"%s\" partitions = %u }\n",
					url_of(stack, layout), layout->partitions));
}

/* A command on a key, with what follows the key in it. */
static void set(struct stack *stack, const struct layout *layout, const char *id, const char *own,
		const char *command, const char *rest)
{
	const char *text = text_of("%s %s %s", command, name_in(layout, id, own), rest);
	redisReply *reply = redis_cmd_at(stack, server_in(layout, id), text);

	ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", text, reply->str);
	freeReplyObject(reply);
}

static void fill_user(struct stack *stack, const struct layout *layout, int number)
{
	const char *id = number % 5 == 0 ? text_of("auth0|%d", number) : text_of("%d", number);

	set(stack, layout, id, text_of("user:last_seen:%s", id), "SET",
	    "2026-01-21T10:30:00Z EX 5000");
	set(stack, layout, id, text_of("presence:version:%s", id), "SET", "3000000001 EX 700000");
	set(stack, layout, id, text_of("user:settings:%s", id), "SET", "{\"typing\":false}");
	set(stack, layout, id, text_of("user:chosen:%s", id), "SET",
	    number % 2 == 0 ? "{\"status\":\"busy\"}"
			    : "{\"status\":\"dnd\",\"text\":\"a\"} PX 90000");
	set(stack, layout, id, text_of("user:blocked:%s", id), "SADD", "77 78 x@example.com");
	set(stack, layout, id, text_of("user:blocked_by:%s", id), "SADD", "5 x");
	set(stack, layout, id, text_of("push:subs:%s", id), "HSET", "a {\"endpoint\":\"x\"} b {}");
	set(stack, layout, id, text_of("push:wanted:%s", id), "HSET", "7 +Anna 8 -Bob");
	set(stack, layout, id, text_of("push:wanted:%s", id), "EXPIRE", "2000000");
	set(stack, layout, id, text_of("push:waiting:%s", id), "SADD", "1 2");
	set(stack, layout, id, text_of("presence:not_before:%s", id), "SET", "1700000000 EX 4000");
	set(stack, layout, id, text_of("presence:revoked:%s/tok-1", id), "SET", "1 EX 3000");
	set(stack, layout, "", text_of("push:owner:sub%d", number), "SET", "1 EX 30000000");
	/* What is not to move. */
	set(stack, layout, id, text_of("user:online:%s", id), "SET", "{} EX 300");
	set(stack, layout, id, text_of("user:sessions:%s", id), "ZADD", "1 t:tok");
	set(stack, layout, id, text_of("user:cell:%s", id), "SET", "x EX 300");
	set(stack, layout, id, text_of("push:tag:%s/news", id), "SET", "1-1 EX 300");
	set(stack, layout, id, "online_users", "SADD", id);
	set(stack, layout, id, "presence:deadlines", "ZADD", text_of("1 %s", id));
	set(stack, layout, id, "presence:epoch", "SET", "word");
}

static void fill(struct stack *stack, const struct layout *layout)
{
	for (int number = 1; number <= FILLED; number++)
		fill_user(stack, layout, number);
	/* More members than Redis keeps in an order: dumps of it differ. */
	freeReplyObject(redis_cmd_at(stack, server_in(layout, "3"), "EVAL %s 1 %s",
				     "for i = 1, " MANY
				     " do redis.call('SADD', KEYS[1], 'u' .. i) end",
				     name_in(layout, "3", "user:blocked_by:3")));
}

static struct stack *start(void)
{
	struct stack *stack = stack_new("");

	for (int i = 0; i < REDIS_MAX; i++)
		redis_start_at(stack, i, NULL);
	configure(stack, &one);
	return stack;
}

static char *move_to(struct stack *stack, const struct layout *layout)
{
	return CTL(stack, "move", "--to", url_of(stack, layout), "--partitions",
		   text_of("%u", layout->partitions));
}

static int try_move(struct stack *stack, char **out, const struct layout *layout,
		    const char *option)
{
	return CTL_STATUS(stack, out, "move", "--to", url_of(stack, layout), "--partitions",
			  text_of("%u", layout->partitions), option);
}

/* --- moving ----------------------------------------------------------------------------------- */

START_TEST(what_is_worth_keeping_moves_to_partitions_on_two_servers_and_back)
{
	struct stack *stack = start();
	struct content before;

	fill(stack, &one);
	before = content_of(stack, &one);
	ck_assert_uint_eq(before.count, FILLED * 12);
	check_has(move_to(stack, &four_on_two), "480 keys copied, 0 removed");
	check_moved(stack, &before, &four_on_two);
	/* And nothing else, but for the note of the layout. */
	ck_assert_int_eq(redis_cmd_at(stack, 1, "DBSIZE")->integer +
				 redis_cmd_at(stack, 2, "DBSIZE")->integer,
			 FILLED * 12 + 1);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	configure(stack, &four_on_two);
	move_to(stack, &one);
	check_moved(stack, &before, &one);
	ck_assert_int_eq(redis_int(stack, "DBSIZE"), FILLED * 12);
	stack_stop(stack);
}
END_TEST

START_TEST(a_second_run_takes_over_what_changed_and_what_ended_since)
{
	struct stack *stack = start();
	struct content after;

	fill(stack, &one);
	move_to(stack, &four_on_two);
	check_has(move_to(stack, &four_on_two), "480 keys are the same in both, 0 differ");
	set(stack, &one, "1", "user:chosen:1", "SET", "{\"status\":\"invisible\"}");
	set(stack, &one, "2", "user:settings:2", "DEL", "");
	set(stack, &one, "3", "user:blocked:3", "SREM", "77");
	set(stack, &one, "4", "user:last_seen:4", "EXPIRE", "9000");
	check_has(move_to(stack, &four_on_two), "1 removed that the old layout has no more");
	after = content_of(stack, &one);
	check_moved(stack, &after, &four_on_two);
	stack_stop(stack);
}
END_TEST

static long long copied(struct stack *stack)
{
	return redis_cmd_at(stack, 1, "DBSIZE")->integer +
	       redis_cmd_at(stack, 2, "DBSIZE")->integer;
}

/* Whether a move of so many keys was killed before it was at its end; else nothing is left of it. */
static bool kill_in_the_middle(struct stack *stack, size_t keys)
{
	const char *argv[] = {program("presencectl"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      "move",
			      "--to",
			      url_of(stack, &four_on_two),
			      "--partitions",
			      "4",
			      NULL};
	pid_t pid = process_start(stack, "move", argv, NULL, 0);

	WAIT_UNTIL(copied(stack) > 20, 10000);
	process_end(&pid, SIGKILL, "move", 5000);
	if (copied(stack) < (long long)keys)
		return true;
	freeReplyObject(redis_cmd_at(stack, 1, "FLUSHALL"));
	freeReplyObject(redis_cmd_at(stack, 2, "FLUSHALL"));
	return false;
}

START_TEST(a_move_that_was_killed_is_done_again)
{
	struct stack *stack = start();
	struct content before;

	fill(stack, &one);
	freeReplyObject(redis_cmd(stack, "EVAL %s 0",
				  "for i=1,20000 do redis.call('SET','user:settings:u'..i,i) end"));
	before = content_of(stack, &one);
	WAIT_UNTIL(kill_in_the_middle(stack, before.count), 30000);
	move_to(stack, &four_on_two);
	check_moved(stack, &before, &four_on_two);
	stack_stop(stack);
}
END_TEST

START_TEST(what_differs_is_told_and_nothing_is_changed_by_check)
{
	struct stack *stack = start();
	char *out;

	fill(stack, &one);
	move_to(stack, &four_on_two);
	ck_assert_int_eq(try_move(stack, &out, &four_on_two, "--check"), 0);
	set(stack, &four_on_two, "1", "user:settings:1", "DEL", "");
	set(stack, &four_on_two, "2", "user:chosen:2", "SET", "other");
	set(stack, &four_on_two, "3", "user:blocked_by:3", "SREM", "u7");
	set(stack, &four_on_two, "4", "user:last_seen:4", "PERSIST", "");
	set(stack, &four_on_two, "nobody", "user:chosen:nobody", "SET", "x");
	ck_assert_int_eq(try_move(stack, &out, &four_on_two, "--check"), 1);
	check_has(out, "user:settings:1 is missing\n");
	check_has(out, "user:chosen:2 has another value\n");
	check_has(out, "user:blocked_by:3 has another value\n");
	check_has(out, "user:last_seen:4 lives for another time\n");
	check_has(out, "user:chosen:nobody is there alone\n");
	check_has(out, "5 differ");
	ck_assert_int_eq(try_move(stack, &out, &four_on_two, "--check"), 1);
	check_has(out, "5 differ");
	stack_stop(stack);
}
END_TEST

START_TEST(servers_of_the_old_layout_are_used_again_once_it_is_cleared)
{
	static const struct layout four_on_old = {4, 2, {0, 1}}, eight_on_old = {8, 1, {0}};
	struct stack *stack = start();
	struct content before;
	char *out;

	fill(stack, &one);
	set(stack, &one, "1", "user:friends:1", "SADD", "2");
	before = content_of(stack, &one);
	ck_assert_int_eq(try_move(stack, &out, &four_on_old, "--clear"), 0);
	check_moved(stack, &before, &four_on_old);
	ck_assert_uint_eq(content_of(stack, &one).count, 0);
	ck_assert_int_eq(redis_int(stack, "EXISTS presence:deadlines online_users user:sessions:1"),
			 0);
	ck_assert_int_eq(redis_int(stack, "EXISTS user:friends:1"), 1);
	configure(stack, &four_on_old);
	ck_assert_str_eq(CTL(stack, "count"), "0\n");
	/* Both divided: only one of them can be used there. */
	ck_assert_int_eq(try_move(stack, &out, &eight_on_old, NULL), 1);
	check_has(ctl_said(stack), "--clear");
	ck_assert_int_eq(try_move(stack, &out, &eight_on_old, "--clear"), 0);
	check_moved(stack, &before, &eight_on_old);
	configure(stack, &eight_on_old);
	ck_assert_str_eq(CTL(stack, "count"), "0\n");
	stack_stop(stack);
}
END_TEST

START_TEST(partitions_that_stay_where_they_are_are_left_alone)
{
	static const struct layout four_on_one = {4, 1, {1}};
	struct stack *stack = start();
	struct content before;
	char *out;

	fill(stack, &one);
	move_to(stack, &four_on_two);
	before = content_of(stack, &four_on_two);
	configure(stack, &four_on_two);
	ck_assert_int_eq(try_move(stack, &out, &four_on_one, "--clear"), 0);
	check_moved(stack, &before, &four_on_one);
	configure(stack, &four_on_one);
	ck_assert_str_eq(CTL(stack, "count"), "0\n");
	stack_stop(stack);
}
END_TEST

START_TEST(users_move_into_a_cluster_and_out_of_it)
{
	static const struct layout one_on_other = {1, 1, {1}};
	struct stack *stack = start();
	struct cluster_stand *cluster = cluster_start(stack, NULL);
	struct content before;

	fill(stack, &one);
	before = content_of(stack, &one);
	check_has(CTL(stack, "move", "--to", cluster->url, "--partitions", "16"),
		  "480 keys are the same in both, 0 differ");
	check_has(CTL(stack, "move", "--to", cluster->url, "--partitions", "16"),
		  "480 keys are the same in both, 0 differ");
	stack_write_conf(stack, text_of("redis { url = \"%s\" partitions = 16 }\n", cluster->url));
	move_to(stack, &one_on_other);
	check_moved(stack, &before, &one_on_other);
	cluster_stop(cluster);
	stack_stop(stack);
}
END_TEST

/* Whether a Sentinel does it; it may not know yet whom to take. */
static bool begins_failover(struct sentinel_stand *stand)
{
	redisReply *reply = fleet_cmd(&stand->sentinels[0], "SENTINEL FAILOVER main");
	bool begins = reply->type == REDIS_REPLY_STATUS;

	freeReplyObject(reply);
	return begins;
}

static void fail_over(struct sentinel_stand *stand)
{
	fleet_int(&stand->servers[0], "WAIT %d 5000", REPLICAS);
	WAIT_UNTIL(begins_failover(stand), 20000);
	sentinels_wait_primary(stand, stand->servers[0].port);
}

/* Each run goes to the server that is the primary then. */
START_TEST(users_move_behind_sentinels_and_away_from_them)
{
	static const struct layout one_on_other = {1, 1, {1}};
	struct stack *stack = start();
	struct sentinel_stand *stand = sentinels_start(stack, NULL, NULL);
	struct content before;
	char *out;

	fill(stack, &one);
	before = content_of(stack, &one);
	check_has(CTL(stack, "move", "--to", stand->url, "--partitions", "4"),
		  "480 keys are the same in both, 0 differ");
	fail_over(stand);
	set(stack, &one, "1", "user:chosen:1", "SET", "{\"status\":\"invisible\"}");
	before = content_of(stack, &one);
	check_has(CTL(stack, "move", "--to", stand->url, "--partitions", "4"),
		  "480 keys are the same in both, 0 differ");
	stack_write_conf(stack, text_of("redis { url = \"%s\" partitions = 4 }\n", stand->url));
	move_to(stack, &one_on_other);
	check_moved(stack, &before, &one_on_other);
	/* By its own name the primary is no other layout. */
	ck_assert_int_eq(
		CTL_STATUS(stack, &out, "move", "--to",
			   text_of("redis://127.0.0.1:%d", sentinels_wait_primary(stand, -1)->port),
			   "--partitions", "4"),
		2);
	check_has(ctl_said(stack), "that is the layout of the configuration");
	for (int i = 0; i < SENTINELS; i++)
		fleet_kill(&stand->sentinels[i]);
	ck_assert_int_eq(try_move(stack, &out, &one_on_other, "--check"), 1);
	check_has(ctl_said(stack), "Sentinel");
	sentinels_stop(stand);
	stack_stop(stack);
}
END_TEST

/* --- what is said and refused ----------------------------------------------------------------- */

START_TEST(progress_is_told_and_the_sums_are_in_json)
{
	struct stack *stack = start();
	char *out;

	fill(stack, &one);
	move_to(stack, &four_on_two);
	check_has(ctl_said(stack), " keys looked at\n");
	check_has(ctl_said(stack), " keys compared\n");
	set(stack, &four_on_two, "1", "user:settings:1", "DEL", "");
	ck_assert_int_eq(CTL_STATUS(stack, &out, "--json", "move", "--to",
				    url_of(stack, &four_on_two), "--partitions", "4", "--check"),
			 1);
	check_has(out, "{\"copied\":0,\"removed\":0,\"equal\":479,\"different\":1,\"differences\":"
		       "[{\"key\":\"user:settings:1\",\"what\":\"is missing\"}]}\n");
	stack_stop(stack);
}
END_TEST

START_TEST(on_a_terminal_a_bar_tells_how_far_it_is)
{
	struct stack *stack = start();
	const char *command =
		text_of("exec %s -c %s move --to '%s' --partitions 4", program("presencectl"),
			stack_path(stack, "presence.conf"), url_of(stack, &four_on_two));
	const char *argv[] = {"script", "-qfec", command, "/dev/null", NULL};
	pid_t pid;

	fill(stack, &one);
	pid = process_start(stack, "terminal", argv, NULL, 0);
	ck_assert_int_eq(process_end(&pid, 0, "script", 10000), 0);
	check_has(stack_file(stack, "terminal.log"), "[##############################] 100 %");
	stack_stop(stack);
}
END_TEST

START_TEST(a_service_that_still_runs_is_told_of)
{
	struct stack *stack = start();

	streamd_start(stack, 0);
	WAIT_UNTIL(redis_has(stack, "presence:swept"), 5000);
	move_to(stack, &four_on_two);
	check_has(ctl_said(stack), "Stop the service");
	stack_stop(stack);
}
END_TEST

START_TEST(while_the_service_runs_the_old_layout_is_not_cleared)
{
	struct stack *stack = start();
	char *out;

	streamd_start(stack, 0);
	WAIT_UNTIL(redis_has(stack, "presence:swept"), 5000);
	ck_assert_int_eq(try_move(stack, &out, &four_on_two, "--clear"), 1);
	check_has(ctl_said(stack), "stop the service");
	ck_assert(redis_has(stack, "presence:swept"));
	stack_stop(stack);
}
END_TEST

START_TEST(the_layout_that_is_there_is_no_other_one)
{
	struct stack *stack = start();
	char *out;

	ck_assert_int_eq(try_move(stack, &out, &one, NULL), 2);
	check_has(ctl_said(stack), "that is the layout of the configuration");
	/* By another way to the same server. */
	ck_assert_int_eq(CTL_STATUS(stack, &out, "move", "--to",
				    text_of("unix://%s/./redis.sock?db=0", stack->dir)),
			 2);
	check_has(ctl_said(stack), "that is the layout of the configuration");
	stack_stop(stack);
}
END_TEST

START_TEST(one_server_under_two_names_is_refused)
{
	struct stack *stack = start();
	char *out;

	ck_assert_int_eq(CTL_STATUS(stack, &out, "move", "--to",
				    text_of("unix://%s/redis1.sock unix://%s/./redis1.sock",
					    stack->dir, stack->dir),
				    "--partitions", "4"),
			 1);
	check_has(ctl_said(stack), "servers 1 and 2 of those it names are the same one");
	stack_stop(stack);
}
END_TEST

START_TEST(users_of_another_layout_are_not_mixed_with_these)
{
	static const struct layout eight_on_two = {8, 2, {1, 2}}, one_on_other = {1, 1, {1}};
	struct stack *stack = start();
	char *out;

	fill(stack, &one);
	move_to(stack, &four_on_two);
	ck_assert_int_eq(try_move(stack, &out, &eight_on_two, NULL), 1);
	check_has(ctl_said(stack), "presence:layout says 4/2");
	ck_assert_int_eq(try_move(stack, &out, &one_on_other, NULL), 1);
	check_has(ctl_said(stack), "presence:layout says 4/2");
	freeReplyObject(redis_cmd_at(stack, 1, "FLUSHALL"));
	freeReplyObject(redis_cmd_at(stack, 1, "ZADD presence:deadlines 1 1"));
	ck_assert_int_eq(try_move(stack, &out, &four_on_two, NULL), 1);
	check_has(ctl_said(stack), "it holds users of redis.partitions = 1");
	stack_stop(stack);
}
END_TEST

START_TEST(a_layout_that_is_in_use_is_not_overwritten)
{
	struct stack *stack = start();
	char *out;

	fill(stack, &one);
	move_to(stack, &four_on_two);
	set(stack, &four_on_two, "1", "presence:epoch", "SET", "word");
	ck_assert_int_eq(try_move(stack, &out, &four_on_two, NULL), 1);
	check_has(ctl_said(stack), "a service has worked there");
	stack_stop(stack);
}
END_TEST

START_TEST(a_bad_url_or_number_is_wrong_usage)
{
	struct stack *stack = start();
	char *out;

	ck_assert_int_eq(CTL_STATUS(stack, &out, "move"), 2);
	check_has(ctl_said(stack), "needs --to");
	ck_assert_int_eq(CTL_STATUS(stack, &out, "move", "--to", "http://x"), 2);
	ck_assert_int_eq(CTL_STATUS(stack, &out, "move", "--to", url_of(stack, &four_on_two),
				    "--partitions", "3"),
			 2);
	check_has(ctl_said(stack), "power of two");
	ck_assert_int_eq(CTL_STATUS(stack, &out, "move", "--to", url_of(stack, &four_on_two)), 2);
	check_has(ctl_said(stack), "at least the number of servers");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("move");
	TCase *moves = harness_case(suite, "moving", 60);
	TCase *says = harness_case(suite, "what is said and refused", 30);

	tcase_add_test(moves, what_is_worth_keeping_moves_to_partitions_on_two_servers_and_back);
	tcase_add_test(moves, a_second_run_takes_over_what_changed_and_what_ended_since);
	tcase_add_test(moves, a_move_that_was_killed_is_done_again);
	tcase_add_test(moves, what_differs_is_told_and_nothing_is_changed_by_check);
	tcase_add_test(moves, servers_of_the_old_layout_are_used_again_once_it_is_cleared);
	tcase_add_test(moves, partitions_that_stay_where_they_are_are_left_alone);
	tcase_add_test(moves, users_move_into_a_cluster_and_out_of_it);
	tcase_add_test(moves, users_move_behind_sentinels_and_away_from_them);
	tcase_add_test(says, progress_is_told_and_the_sums_are_in_json);
	tcase_add_test(says, on_a_terminal_a_bar_tells_how_far_it_is);
	tcase_add_test(says, a_service_that_still_runs_is_told_of);
	tcase_add_test(says, while_the_service_runs_the_old_layout_is_not_cleared);
	tcase_add_test(says, the_layout_that_is_there_is_no_other_one);
	tcase_add_test(says, one_server_under_two_names_is_refused);
	tcase_add_test(says, users_of_another_layout_are_not_mixed_with_these);
	tcase_add_test(says, a_layout_that_is_in_use_is_not_overwritten);
	tcase_add_test(says, a_bad_url_or_number_is_wrong_usage);
	return harness_main(suite);
}
