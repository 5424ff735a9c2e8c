/* Users divided into partitions: over one Redis, over several, and what a cluster needs. */
#include "operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "monitor.h"
#include "store/push.h"

#define TIMES "presence { online_ttl = 100 stream_ttl = 50 grace = 10 heartbeat = 20 sweep = 1 }\n"

/* --- scripts in a cluster ------------------------------------------------------------------- */

/* The scripts do there what they do in a cluster, although this Redis is none. */
static void setup_cluster(void)
{
	call_start(TIMES);
	store_free(store);
	free(config->redis.url);
	config->redis.url = xstrdup("cluster://127.0.0.1");
	store = store_new(config, 0, "{3}");
	freeReplyObject(redis_cmd(stack, "SET {3}presence:epoch known"));
}

/* Commands that write their first key, or (all of them) every one. */
static bool is_write(const char *command, bool *all)
{
	static const char *const names[] = {
		"SET",	   "ZADD", "ZREM", "SADD", "SREM", "HSET", "HDEL",   "PEXPIREAT", "EXPIRE",
		"PEXPIRE", "INCR", "DECR", "XADD", "XACK", "XDEL", "XGROUP", "XCLAIM",	  "LPUSH"};

	*all = strcasecmp(command, "DEL") == 0;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcasecmp(command, names[i]) == 0)
			return true;
	}
	return *all;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += len) {
		if (at[-1] == '"' && at[len] == '"')
			return true;
	}
	return false;
}

/* What is known of one script. */
struct written {
	struct printbuf *seen; /* what it asked for */
	char *only; /* the key that it wrote, while that is one */
	bool many;
	char *unseen; /* a line that wrote a key that was not asked for */
};

static void note_write(struct written *script, const char *line)
{
	char *command = monitor_word(line, 0), *key;
	unsigned first = strcasecmp(command, "XGROUP") == 0 ? 2 : 1;
	bool all;

	if (!is_write(command, &all))
		return;
	for (unsigned i = first; *(key = monitor_word(line, i)) != '\0'; i++) {
		script->many |= script->only != NULL && strcmp(script->only, key) != 0;
		script->only = key;
		if (!has_word(script->seen->buf, key))
			script->unseen = xstrdup(line);
		if (!all)
			break;
	}
}

/* One that writes several keys has asked for all of them before it wrote the first. */
static void check_script(char *lines)
{
	struct written script = {.seen = buf_new()};

	for (char *line; (line = strsep(&lines, "\n")) != NULL && *line != '\0';) {
		char *command = monitor_word(line, 0);

		note_write(&script, line);
		/* Of several users each is looked at before it is written. */
		if (script.only == NULL || strcasecmp(command, "EXISTS") == 0)
			buf_puts(script.seen, line);
		ck_assert_msg(strcasecmp(command, "PUBLISH") != 0, "not sharded: %s", line);
	}
	ck_assert_msg(!script.many || script.unseen == NULL, "not asked for before: %s",
		      script.unseen);
	printbuf_free(script.seen);
}

/* Each of the scripts that were called since. */
static void check_scripts(struct monitor *monitor, unsigned expected)
{
	char *rest = monitor_take(monitor), *begin = rest;
	unsigned scripts = 0;

	for (char *line = rest; *line != '\0'; line = strchr(line, '\n') + 1) {
		char *end = strchr(line, '\n');

		if (strncmp(line, "  ", 2) == 0)
			continue;
		if (strncasecmp(line, "\"EVALSHA\"", 9) == 0) {
			char *count = monitor_word(line, 2), *key = monitor_word(line, 3);

			ck_assert_msg(strcmp(count, "1") == 0 && strncmp(key, "{3}", 3) == 0,
				      "no key of the partition is declared: %.*s",
				      (int)(end - line), line);
		}
	}
	/* MONITOR tells of a script before what it does. */
	while (*begin != '\0') {
		char *body = strchr(begin, '\n') + 1, *end = body, saved;

		while (strncmp(end, "  ", 2) == 0)
			end = strchr(end, '\n') + 1;
		scripts += end > body;
		saved = *end;
		*end = '\0';
		check_script(body);
		*end = saved;
		begin = end;
	}
	ck_assert_uint_ge(scripts, expected);
}

static void choose(const char *id, const char *state)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_choose item = {&who, "a", 1000, state, 60};

	store_put_choose(out, store, &item);
	freeReplyObject(call_run(out));
}

static void touch_idle(const char *id, const char *tok)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user(id);
	struct store_touch item = {.user = &who,
				   .tok = tok,
				   .iat = 1000,
				   .token = true,
				   .reason = "activity",
				   .idle = STORE_IDLE};

	store_put_touch(out, store, STORE_WORKER, &item, 1);
	freeReplyObject(call_run(out));
}

static void block(const char *one, const char *other)
{
	struct userid blocker = call_user(one), blocked = call_user(other);

	for (unsigned step = 0; step < STORE_BLOCK_STEPS; step++) {
		struct printbuf *out = buf_new();

		store_put_block(out, store, &blocker, &blocked, true, step);
		freeReplyObject(call_run(out));
	}
}

static void type_to(const char *id, const char *friend)
{
	struct userid to = call_user(id), from = call_user(friend);

	for (int starts = 1; starts >= 0; starts--) {
		struct printbuf *out = buf_new();

		store_put_typing(out, store, &(struct store_typing){&to, &from, starts, "c", true});
		freeReplyObject(call_run(out));
	}
}

static void throttle_and_health(void)
{
	struct printbuf *out = buf_new();

	store_put_throttle(out, store, "account:x", "addr:x");
	freeReplyObject(call_run(out));
	out = buf_new();
	store_put_unthrottle(out, store, "account:x", "addr:x");
	freeReplyObject(call_run(out));
	out = buf_new();
	store_put_epoch(out, store, "word", "another", false);
	freeReplyObject(call_run(out));
}

START_TEST(in_a_cluster_a_script_looks_at_every_key_before_it_writes_the_first)
{
	struct monitor *monitor;

	call_touch("warm", "up", NULL, "login"); /* the scripts are loaded */
	monitor = monitor_open(stack);
	call_touch("1", "a", "w", "stream_open");
	call_renew("1", "a", "w");
	freeReplyObject(redis_cmd(stack, "SADD {3}push:waiting:2 1"));
	call_touch("2", "b", NULL, "login");
	touch_idle("2", "b");
	choose("1", "{\"status\":\"busy\"");
	call_close("1", "a", "w");
	type_to("1", "2");
	block("1", "2");
	throttle_and_health();
	freeReplyObject(redis_cmd(stack, "ZADD {3}presence:deadlines 1 2"));
	call_sweep(true);
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_DONE);
	ck_assert_int_eq(call_end("2", NULL, true, "kicked"), STORE_DONE);
	check_scripts(monitor, 14);
}
END_TEST

START_TEST(in_a_cluster_scripts_of_push_do_so_too)
{
	struct push_job job = {.id = "j", .title = "t", .tag = "g", .ttl = 60};
	struct printbuf *out = buf_new();
	struct monitor *monitor;

	job.user = call_user("1");
	call_touch("1", "a", NULL, "login");
	monitor = monitor_open(stack);
	push_put_tick(out, store, "me", 1000, 10, 10);
	freeReplyObject(call_run(out));
	out = buf_new();
	push_put_enqueue(out, store, &job, true);
	freeReplyObject(call_run(out));
	out = buf_new();
	push_put_later(out, store, "1-1", 1, &job);
	freeReplyObject(call_run(out));
	check_scripts(monitor, 3);
}
END_TEST

START_TEST(in_a_cluster_changes_are_published_on_sharded_channels)
{
	redisContext *context = redisConnectUnix(stack_path(stack, "redis.sock"));
	redisReply *reply = redisCommand(context, "SSUBSCRIBE {3}user:status:1");

	ck_assert(reply != NULL && reply->type == REDIS_REPLY_ARRAY);
	call_touch("1", "a", NULL, "login");
	ck_assert_int_eq(redisGetReply(context, (void **)&reply), REDIS_OK);
	ck_assert_str_eq(reply->element[0]->str, "smessage");
	ck_assert_ptr_nonnull(strstr(reply->element[2]->str, "\"reason\":\"login\""));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("partitions");
	TCase *cluster = harness_case(suite, "scripts in a cluster", 20);

	tcase_add_checked_fixture(cluster, setup_cluster, call_stop);
	tcase_add_test(cluster,
		       in_a_cluster_a_script_looks_at_every_key_before_it_writes_the_first);
	tcase_add_test(cluster, in_a_cluster_scripts_of_push_do_so_too);
	tcase_add_test(cluster, in_a_cluster_changes_are_published_on_sharded_channels);
	return harness_main(suite);
}
