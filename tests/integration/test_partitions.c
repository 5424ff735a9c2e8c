/* Users divided into partitions: over one Redis, over several, and what a cluster needs. */
#include "calls.h"
#include "operations.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "monitor.h"
#include "store/blocks.h"
#include "store/inbox.h"
#include "store/layout.h"
#include "store/place.h"
#include "store/push.h"
#include "store/throttle.h"
#include "store/whereabouts.h"

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
	reply_free(call_run(out));
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
	reply_free(call_run(out));
}

static void block(const char *one, const char *other)
{
	struct userid blocker = call_user(one), blocked = call_user(other);

	for (unsigned step = 0; step < BLOCKS_STEPS; step++) {
		struct printbuf *out = buf_new();

		blocks_put(out, store, &blocker, &blocked, true, step);
		reply_free(call_run(out));
	}
}

static void type_to(const char *id, const char *friend)
{
	struct userid to = call_user(id), from = call_user(friend);

	for (int starts = 1; starts >= 0; starts--) {
		struct printbuf *out = buf_new();

		inbox_put_typing(out, store, &(struct inbox_typing){&to, &from, starts, "c", true});
		reply_free(call_run(out));
	}
}

/* A place that is kept, then one that is not, for another was written meanwhile; and forgotten. */
static void be_at(const char *id, const char *friend)
{
	struct userid who = call_user(id), other = call_user(friend);
	struct place place = {0};
	struct whereabouts item = {&who, "a", 1000, "", &place};
	struct printbuf *out = buf_new();
	bool kept;

	ck_assert(place_look(&place, 1, 2, 1700000000000, 5));
	for (int i = 0; i < 2; i++) {
		buf_reset(out);
		whereabouts_put(out, store, &item);
		ck_assert_int_eq(whereabouts_read(call_run(out), &kept), STORE_DONE);
		ck_assert_int_eq(kept, i == 0);
		out = buf_new();
	}
	inbox_put_near(out, store, &who, &other, true);
	reply_free(call_run(out));
	out = buf_new();
	whereabouts_put_leave(out, store, &who, "a", 1000);
	ck_assert_int_eq(whereabouts_read_leave(call_run(out), &place), STORE_DONE);
	ck_assert_int_eq(place.phase, 5);
}

static void throttle_and_health(void)
{
	struct printbuf *out = buf_new();

	throttle_put(out, store, "account:x", "addr:x");
	reply_free(call_run(out));
	out = buf_new();
	throttle_put_success(out, store, "account:x", "addr:x");
	reply_free(call_run(out));
	out = buf_new();
	store_put_epoch(out, store, "word", "another");
	reply_free(call_run(out));
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
	be_at("1", "2");
	block("1", "2");
	throttle_and_health();
	freeReplyObject(redis_cmd(stack, "ZADD {3}presence:deadlines 1 2"));
	call_sweep(true);
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_DONE);
	ck_assert_int_eq(call_end("2", NULL, true, "kicked"), STORE_DONE);
	check_scripts(monitor, 18);
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
	reply_free(call_run(out));
	out = buf_new();
	push_put_enqueue(out, store, &job, true);
	reply_free(call_run(out));
	out = buf_new();
	push_put_later(out, store, "1-1", 1, &job);
	reply_free(call_run(out));
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

/* --- calls ---------------------------------------------------------------------------------- */

#define PARTITIONS 8

static const int layouts[] = {1, 3}; /* servers */

/* Redis and the web server with its workers, its users divided. */
static struct stack *start_api(int servers, const char *conf)
{
	struct stack *divided = stack_new(conf);

	stack_divide(divided, servers, PARTITIONS, conf);
	lighttpd_start(divided);
	return divided;
}

/* "{tag}name" of a user's key. */
static const char *key_of(const char *name, const char *id)
{
	char *key;
	unsigned tag = layout_tag(PARTITIONS, layout_partition(PARTITIONS, id));

	ck_assert(asprintf(&key, "{%u}%s%s", tag, name, id) > 0);
	return key;
}

static int server_of(int servers, const char *id)
{
	return (int)layout_partition(PARTITIONS, id) % servers;
}

static bool has_key_at(struct stack *divided, int server, const char *key)
{
	redisReply *reply = redis_cmd_at(divided, server, "EXISTS %s", key);
	bool has = reply->integer == 1;

	freeReplyObject(reply);
	return has;
}

/* The format with one text in it. */
static const char *text_of(const char *format, const char *part)
{
	struct printbuf *out = buf_new();
	const char *at = strstr(format, "%s");

	buf_put(out, format, (size_t)(at - format));
	buf_puts(out, part);
	buf_puts(out, at + 2);
	return buf_take(out, NULL);
}

static const char *id_text(int id)
{
	char *text;

	ck_assert(asprintf(&text, "%d", id) > 0);
	return text;
}

START_TEST(each_user_is_in_its_partition_on_its_server)
{
	int servers = layouts[_i];
	struct stack *divided = start_api(servers, "");

	for (int id = 1; id <= USERS; id++) {
		const char *text = id_text(id);

		touch_user(divided, text);
		for (int server = 0; server < servers; server++)
			ck_assert_int_eq(has_key_at(divided, server, key_of("user:online:", text)),
					 server == server_of(servers, text));
	}
	for (int server = 0; server < servers; server++) {
		redisReply *keys = redis_cmd_at(divided, server, "KEYS *");

		for (size_t i = 0; i < keys->elements; i++)
			ck_assert_msg(keys->element[i]->str[0] == '{', "a key without a tag: %s",
				      keys->element[i]->str);
		freeReplyObject(keys);
	}
	stack_stop(divided);
}
END_TEST

START_TEST(calls_about_users_of_several_partitions_answer_as_ever)
{
	struct stack *divided = start_api(layouts[_i], "");
	const char *token = token_for(divided, "1");
	struct json_object *answer;

	touch_user(divided, "2");
	touch_user(divided, "3");
	touch(divided, token);
	CHECK_JSON(http_ok(divided, COUNT, token, NULL), "{'count':3}");
	CHECK_JSON(http_ok(divided, STATUS_USER "2", token, NULL), ONLINE(2));
	CHECK_JSON(http_ok(divided, STATUS_USER "4", token, NULL), NEVER_SEEN(4));
	CHECK_JSON(http_ok(divided, STATUS_USERS, token, "{\"user_ids\":[7,2,3,4,\"bob\",5,3]}"),
		   "{'2':" ONLINE(2) ",'3':" ONLINE(3) "," NEVER_SEEN_AT(4) "," NEVER_SEEN_AT(
			   5) "," NEVER_SEEN_AT(7) ",'bob':" NEVER_SEEN("bob") "}");
	CHECK_JSON(http_ok(divided, STATUS_FRIENDS, token, NULL),
		   "{'2':" ONLINE(2) ",'3':" ONLINE(3) "," NEVER_SEEN_AT(4) "," NEVER_SEEN_AT(
			   5) "," NEVER_SEEN_AT(6) "}");
	answer = http_ok(divided, STATUS_USER "1", token, NULL);
	json_text(answer, "session_id");
	http_ok(divided, LOGOUT, token, "");
	CHECK_JSON(http_ok(divided, STATUS_USER "1", token_for(divided, "2"), NULL), OFFLINE(1));
	stack_stop(divided);
}
END_TEST

START_TEST(a_login_is_counted_in_the_first_partition_and_brings_online_in_its_own)
{
	struct stack *divided = start_api(layouts[_i], "");
	const char *token = login(divided, "user2@example.com");

	CHECK_JSON(http_ok(divided, COUNT, token, NULL), "{'count':1}");
	for (int i = 0; i < 10; i++)
		check_problem(HTTP(divided, .path = LOGIN,
				   .body = "{\"email\":\"user2@example.com\",\"password\":\"x\"}"),
			      401, "bad_credentials");
	check_problem(HTTP(divided, .path = LOGIN,
			   .body = "{\"email\":\"user2@example.com\",\"password\":\"x\"}"),
		      429, "too_many_logins");
	stack_stop(divided);
}
END_TEST

/* All pages, each id as often as it came. */
static void read_pages(struct stack *divided, const char *token, int limit, unsigned *seen, int max)
{
	char *path, *cursor = xstrdup("");

	for (int pages = 0; cursor != NULL; pages++) {
		struct json_object *answer, *ids, *next;

		ck_assert_int_lt(pages, 1000);
		ck_assert(asprintf(&path, ONLINE_LIST "?limit=%d&cursor=%s", limit, cursor) > 0);
		answer = http_ok(divided, path, token, NULL);
		ids = json_at(answer, "user_ids");
		ck_assert_int_le((int)json_object_array_length(ids), limit);
		for (size_t i = 0; i < json_object_array_length(ids); i++) {
			int id = json_object_get_int(json_object_array_get_idx(ids, i));

			ck_assert(id >= 1 && id <= max);
			seen[id]++;
		}
		json_object_object_get_ex(answer, "cursor", &next);
		cursor = next != NULL ? xstrdup(json_object_get_string(next)) : NULL;
	}
}

START_TEST(the_pages_of_the_online_list_go_through_all_partitions)
{
	enum { MANY = 1500 };
	int servers = layouts[_i];
	struct stack *divided = start_api(servers, "");
	const char *token = token_for(divided, "1");
	static const int limits[] = {1000, 10000, 7};

	touch(divided, token);
	for (int id = 2; id <= MANY; id++) {
		const char *text = id_text(id);
		unsigned tag = layout_tag(PARTITIONS, layout_partition(PARTITIONS, text));

		freeReplyObject(redis_cmd_at(divided, server_of(servers, text),
					     "SADD {%u}online_users %s", tag, text));
	}
	CHECK_JSON(http_ok(divided, COUNT, token, NULL), "{'count':1500}");
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		unsigned seen[MANY + 1] = {0};

		read_pages(divided, token, limits[i], seen, MANY);
		for (int id = 1; id <= MANY; id++)
			ck_assert_msg(seen[id] >= 1, "limit %d: %d was on no page", limits[i], id);
	}
	check_problem(HTTP(divided, .path = ONLINE_LIST "?cursor=8.0", .token = token), 400,
		      "bad_parameter");
	check_problem(HTTP(divided, .path = ONLINE_LIST "?cursor=0", .token = token), 400,
		      "bad_parameter");
	stack_stop(divided);
}
END_TEST

START_TEST(a_page_that_one_partition_does_not_fill_goes_on_with_the_next)
{
	struct stack *divided = start_api(layouts[_i], "");
	const char *token = token_for(divided, "1");
	struct json_object *answer;

	for (int id = 1; id <= USERS; id++)
		touch_user(divided, id_text(id));
	answer = http_ok(divided, ONLINE_LIST, token, NULL);
	ck_assert_int_eq((int)json_object_array_length(json_at(answer, "user_ids")), USERS);
	stack_stop(divided);
}
END_TEST

START_TEST(the_online_list_of_friends_knows_those_of_all_partitions)
{
	struct stack *divided = start_api(layouts[_i], "presence { visibility = friends }");
	const char *token = token_for(divided, "1");

	for (int id = 1; id <= USERS - 1; id++)
		touch_user(divided, id_text(id));
	CHECK_JSON(http_ok(divided, ONLINE_LIST, token, NULL),
		   "{'user_ids':[1,2,3,4,5],'cursor':null}");
	stack_stop(divided);
}
END_TEST

static void put_block(struct stack *divided, const char *method, const char *by, const char *whom)
{
	char *path;

	ck_assert(asprintf(&path, BLOCKS "%s", whom) > 0);
	ck_assert_int_eq(
		HTTP(divided, .method = method, .path = path, .token = token_for(divided, by))
			->status,
		204);
}

START_TEST(a_block_hides_across_partitions)
{
	struct stack *divided = start_api(layouts[_i], "");

	touch_user(divided, "1");
	touch_user(divided, "2");
	put_block(divided, "PUT", "1", "2");
	CHECK_JSON(http_ok(divided, STATUS_USER "2", token_for(divided, "1"), NULL), NEVER_SEEN(2));
	CHECK_JSON(http_ok(divided, STATUS_USER "1", token_for(divided, "2"), NULL), NEVER_SEEN(1));
	CHECK_JSON(http_ok(divided, ONLINE_LIST, token_for(divided, "2"), NULL),
		   "{'user_ids':[2],'cursor':null}");
	put_block(divided, "DELETE", "1", "2");
	CHECK_JSON(http_ok(divided, STATUS_USER "1", token_for(divided, "2"), NULL), ONLINE(1));
	stack_stop(divided);
}
END_TEST

START_TEST(a_ticket_says_whose_partition_it_is_of)
{
	int servers = layouts[_i];
	struct stack *divided = start_api(servers, "");
	const char *ticket = ticket_for(divided, token_for(divided, "5"));
	unsigned partition = layout_partition(PARTITIONS, "5");
	char *key;

	ck_assert_uint_eq((unsigned)strtoul(ticket, NULL, 10), partition);
	ck_assert_int_eq(ticket[strspn(ticket, "0123456789")], '.');
	ck_assert(asprintf(&key, "{%u}presence:ticket:%s", layout_tag(PARTITIONS, partition),
			   ticket) > 0);
	ck_assert(has_key_at(divided, server_of(servers, "5"), key));
	stack_stop(divided);
}
END_TEST

/* --- servers that are away ------------------------------------------------------------------- */

/* A user whose partition is on that server, of three. */
static const char *user_on(int server)
{
	for (int id = 1; id <= USERS; id++) {
		if (server_of(3, id_text(id)) == server)
			return id_text(id);
	}
	ck_abort_msg("no user is on server %d", server);
}

static int status_of(struct stack *divided, const char *viewer, const char *id)
{
	char *path;

	ck_assert(asprintf(&path, STATUS_USER "%s", id) > 0);
	return HTTP(divided, .path = path, .token = token_for(divided, viewer))->status;
}

static void check_partial(struct stack *divided)
{
	const char *here = user_on(2), *away = user_on(1);

	ck_assert_int_eq(status_of(divided, here, here), 200);
	ck_assert_int_eq(status_of(divided, here, user_on(0)), 200);
	ck_assert_int_eq(status_of(divided, here, away), 503);
	ck_assert_int_eq(status_of(divided, away, here), 503);
	check_problem(HTTP(divided, .path = COUNT, .token = token_for(divided, here)), 503,
		      "redis_unavailable");
	check_problem(HTTP(divided, .path = STATUS_FRIENDS, .token = token_for(divided, here)), 503,
		      "redis_unavailable");
	CHECK_JSON(http_ok(divided, HEALTH, NULL, NULL), "{'status':'ok','redis':'degraded'}");
}

START_TEST(while_a_server_is_gone_calls_that_do_not_need_it_are_answered)
{
	struct stack *divided = start_api(3, "");

	CHECK_JSON(http_ok(divided, HEALTH, NULL, NULL), "{'status':'ok','redis':'ok'}");
	redis_kill_at(divided, 1);
	check_partial(divided);
	redis_kill_at(divided, 0);
	redis_kill_at(divided, 2);
	check_problem(HTTP(divided, .path = HEALTH), 503, "redis_unavailable");
	for (int server = 0; server < 3; server++)
		redis_start_at(divided, server, NULL);
	CHECK_JSON(http_ok(divided, COUNT, token_for(divided, "1"), NULL), "{'count':1}");
	stack_stop(divided);
}
END_TEST

START_TEST(a_server_that_is_silent_costs_a_worker_its_time_once)
{
	struct stack *divided = start_api(3, "api { children = 1 }\nredis { timeout_ms = 500 }\n");
	int64_t begun;

	check_problem(HTTP(divided, .path = COUNT), 401, "token_missing");
	signal_and_wait_stopped(redis_pid_at(divided, 1));
	check_partial(divided);
	begun = now_ms();
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(status_of(divided, user_on(2), user_on(1)), 503);
	ck_assert_int_lt(now_ms() - begun, patience(400));
	kill(redis_pid_at(divided, 1), SIGCONT);
	WAIT_UNTIL(status_of(divided, user_on(2), user_on(1)) == 200, 3000);
	CHECK_JSON(http_ok(divided, HEALTH, NULL, NULL), "{'status':'ok','redis':'ok'}");
	stack_stop(divided);
}
END_TEST

/* --- streams --------------------------------------------------------------------------------- */

static struct stack *start_all(int servers, const char *conf)
{
	struct stack *divided = stack_new(conf);

	stack_divide(divided, servers, PARTITIONS, conf);
	streamd_start(divided, 0);
	lighttpd_start(divided);
	return divided;
}

START_TEST(a_stream_sees_friends_of_all_partitions)
{
	struct stack *divided = start_all(layouts[_i], FAST);
	struct sse *sse;
	struct event *initial;

	touch_user(divided, "2");
	sse = sse_open(divided, token_for(divided, "1"));
	initial = sse_ready(sse);
	CHECK_JSON(initial->json, "{'2':" ONLINE(2) "," NEVER_SEEN_AT(3) "," NEVER_SEEN_AT(
					  4) "," NEVER_SEEN_AT(5) "," NEVER_SEEN_AT(6) "}");
	for (int id = 3; id <= USERS; id++) {
		touch_user(divided, id_text(id));
		sse_wait_change(sse, id_text(id), true, 5000);
	}
	/* Each partition has its own sweep: in whatever order. */
	for (unsigned offline = 0; offline != 0x7c;) {
		struct event *event = sse_wait(sse, "status_change", 8000);

		if (strcmp(json_text(event->json, "status"), "offline") == 0)
			offline |= 1U << json_object_get_int(json_at(event->json, "user_id"));
	}
	sse_close(sse);
	stack_stop(divided);
}
END_TEST

START_TEST(a_ticket_opens_a_stream_that_shows_ones_own_state)
{
	struct stack *divided = start_all(layouts[_i], "");

	for (int id = 1; id <= USERS; id++) {
		const char *token = token_for(divided, id_text(id));
		struct sse *sse = sse_open_ticket(divided, ticket_for(divided, token));

		sse_ready(sse);
		HTTP(divided, .method = "PUT", .path = STATE, .token = token,
		     .body = "{\"status\":\"busy\"}");
		ck_assert_str_eq(json_text(sse_wait(sse, "self", 5000)->json, "status"), "busy");
		sse_close(sse);
	}
	stack_stop(divided);
}
END_TEST

START_TEST(a_block_hides_on_open_streams_across_partitions)
{
	struct stack *divided = start_all(layouts[_i], "");
	struct sse *one = sse_open(divided, token_for(divided, "1")), *two;

	sse_ready(one);
	two = sse_open(divided, token_for(divided, "2"));
	sse_ready(two);
	sse_wait_change(one, "2", true, 5000);
	put_block(divided, "PUT", "1", "2");
	CHECK_JSON(json_at(sse_wait(one, "initial", 5000)->json, "2"), NEVER_SEEN(2));
	CHECK_JSON(json_at(sse_wait(two, "initial", 5000)->json, "1"), NEVER_SEEN(1));
	put_block(divided, "DELETE", "1", "2");
	CHECK_JSON(json_at(sse_wait(two, "initial", 5000)->json, "1"), ONLINE(1));
	stack_stop(divided);
}
END_TEST

START_TEST(logout_ends_streams_of_every_partition)
{
	struct stack *divided = start_all(layouts[_i], "");

	for (int id = 1; id <= USERS; id++) {
		const char *token = token_for(divided, id_text(id));
		struct sse *sse = sse_open(divided, token);

		sse_ready(sse);
		http_ok(divided, LOGOUT, token, "");
		sse_wait_bye(sse, "revoked", 5000);
	}
	stack_stop(divided);
}
END_TEST

/* A call that needs the user's own partition alone. */
static void heartbeat(struct stack *divided, const char *id)
{
	http_ok(divided, HEARTBEAT, token_for(divided, id), "");
}

/* Reads to the next change of this user, `initial` not among those that are skipped. */
static void wait_without_initial(struct sse *sse, const char *id)
{
	for (;;) {
		struct event *event = sse_next(sse, patience(5000));

		ck_assert_msg(event != NULL, "no change of user %s", id);
		ck_assert_str_ne(event->name, "initial");
		if (strcmp(event->name, "status_change") == 0 &&
		    strcmp(json_text(event->json, "user_id"), id) == 0)
			return;
	}
}

START_TEST(while_a_friends_server_is_away_changes_of_the_others_are_told)
{
	struct stack *divided = start_all(3, "");
	const char *self = user_on(2), *other = user_on(0);
	struct sse *sse = sse_open(divided, token_for(divided, self)), *late;

	sse_ready(sse);
	if (_i == 0)
		redis_kill_at(divided, 1);
	else
		signal_and_wait_stopped(redis_pid_at(divided, 1));
	sse_wait_degraded(sse);
	heartbeat(divided, other);
	wait_without_initial(sse, other);
	/* One that opens now hears the changes, too. */
	late = sse_open(divided, token_for(divided, self));
	sse_expect(late, "connected", 5000);
	sse_wait_degraded(late);
	nap();
	http_ok(divided, LOGOUT "?all=true", token_for(divided, other), "");
	wait_without_initial(sse, other);
	wait_without_initial(late, other);
	if (_i == 0)
		redis_start_at(divided, 1, NULL);
	else
		kill(redis_pid_at(divided, 1), SIGCONT);
	ck_assert_int_eq(json_object_object_length(sse_wait(sse, "initial", 10000)->json), 5);
	ck_assert_int_eq(json_object_object_length(sse_wait(late, "initial", 10000)->json), 5);
	touch_user(divided, user_on(1));
	sse_wait_change(sse, user_on(1), true, 5000);
	sse_wait_change(late, user_on(1), true, 5000);
	stack_stop(divided);
}
END_TEST

START_TEST(while_ones_own_server_is_away_there_is_no_initial)
{
	struct stack *divided = start_all(3, FAST);
	const char *self = user_on(1), *other = user_on(0);
	struct sse *sse = sse_open(divided, token_for(divided, self)), *late;

	sse_ready(sse);
	redis_kill_at(divided, 1);
	sse_wait_degraded(sse);
	heartbeat(divided, other);
	wait_without_initial(sse, other);
	late = sse_open(divided, token_for(divided, self));
	sse_expect(late, "connected", 5000);
	sse_wait_degraded(late);
	sse_wait(late, "heartbeat", 5000);
	redis_start_at(divided, 1, NULL);
	sse_wait(sse, "initial", 10000);
	sse_wait(late, "initial", 10000);
	/* Both are registered again; Redis came back empty. */
	WAIT_UNTIL(status_of(divided, other, self) == 200, 5000);
	check_has(HTTP(divided, .path = text_of(STATUS_USER "%s", self),
		       .token = token_for(divided, other))
			  ->body,
		  "\"is_online\":true");
	stack_stop(divided);
}
END_TEST

START_TEST(a_close_while_the_server_is_away_is_told_when_it_is_back)
{
	struct stack *divided = start_all(3, "presence { grace = 1 sweep = 1 online_ttl = 1000 }");
	const char *self = user_on(1), *viewer = user_on(0);
	struct sse *watching = sse_open(divided, token_for(divided, viewer)), *sse;

	sse_ready(watching);
	sse = sse_open(divided, token_for(divided, self));
	sse_ready(sse);
	sse_wait_change(watching, self, true, 5000);
	signal_and_wait_stopped(redis_pid_at(divided, 1));
	sse_wait_degraded(watching);
	sse_close(sse);
	kill(redis_pid_at(divided, 1), SIGCONT);
	sse_wait(watching, "initial", 10000);
	sse_wait_change(watching, self, false, 8000);
	stack_stop(divided);
}
END_TEST

START_TEST(a_server_that_was_wiped_is_filled_again_alone)
{
	struct stack *divided = start_all(3, FAST);
	const char *self = user_on(1), *viewer = user_on(0);
	struct sse *watching = sse_open(divided, token_for(divided, viewer)), *sse;

	sse = sse_open(divided, token_for(divided, self));
	sse_ready(sse);
	sse_ready(watching);
	freeReplyObject(redis_cmd_at(divided, 1, "FLUSHALL"));
	sse_wait(watching, "initial", 8000);
	WAIT_UNTIL(has_key_at(divided, 1, key_of("user:online:", self)), 5000);
	stack_stop(divided);
}
END_TEST

/* How often a command was called, of all servers. */
static int calls_of(struct stack *divided, int servers, const char *command)
{
	char name[64];
	int sum = 0;

	snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
	for (int server = 0; server < servers; server++) {
		redisReply *stats = redis_cmd_at(divided, server, "INFO commandstats");
		const char *line = strstr(stats->str, name);

		sum += line != NULL ? atoi(line + strlen(name)) : 0;
		freeReplyObject(stats);
	}
	return sum;
}

/* How many partitions have one of the accounts. */
static int used_partitions(void)
{
	bool used[PARTITIONS] = {false};
	int count = 0;

	for (int id = 1; id <= USERS; id++)
		used[layout_partition(PARTITIONS, id_text(id))] = true;
	for (int i = 0; i < PARTITIONS; i++)
		count += used[i];
	return count;
}

START_TEST(after_a_loss_each_partition_is_subscribed_by_one_command)
{
	int servers = layouts[_i], expected;
	struct stack *divided = start_all(servers, "");
	struct sse *sse = sse_open(divided, token_for(divided, "1"));

	sse_ready(sse);
	for (int server = 0; server < servers; server++) {
		freeReplyObject(redis_cmd_at(divided, server, "CONFIG RESETSTAT"));
		freeReplyObject(redis_cmd_at(divided, server, "CLIENT KILL TYPE pubsub"));
	}
	sse_wait_degraded(sse);
	/* And one of each server on the connection's own channel. */
	expected = used_partitions() + servers;
	WAIT_UNTIL(calls_of(divided, servers, "subscribe") >= expected, 10000);
	sse_wait(sse, "initial", 10000);
	touch_user(divided, "2");
	sse_wait_change(sse, "2", true, 5000);
	ck_assert_int_eq(calls_of(divided, servers, "subscribe"), expected);
	sse_close(sse);
	stack_stop(divided);
}
END_TEST

/* --- another layout -------------------------------------------------------------------------- */

/* presence-api as a CGI program with these partitions; its exit status, *out is what it wrote. */
static int run_api(struct stack *divided, const char *partitions, char **out)
{
	char *setting;
	const char *argv[] = {"env",
			      NULL,
			      "GATEWAY_INTERFACE=CGI/1.1",
			      "REQUEST_METHOD=GET",
			      "REQUEST_URI=/api/health",
			      "sh",
			      "-c",
			      "exec \"$0\" -c \"$1\" 2>&1",
			      program("presence-api"),
			      stack_path(divided, "presence.conf"),
			      NULL};

	ck_assert(asprintf(&setting, "PRESENCE_REDIS_PARTITIONS=%s", partitions) > 0);
	argv[1] = setting;
	return run(divided, out, NULL, argv);
}

START_TEST(another_number_of_partitions_is_refused_at_start)
{
	struct stack *divided = start_api(layouts[_i], "");
	char *out;

	touch_user(divided, "1");
	ck_assert_int_eq(run_api(divided, "8", &out), 0);
	check_has(out, "\"redis\":\"ok\"");
	ck_assert_int_eq(run_api(divided, "16", &out), 2);
	check_has(out, "presence:layout");
	ck_assert_int_eq(run_api(divided, "4", &out), 2);
	check_has(out, "presence:layout");
	stack_stop(divided);
}
END_TEST

/* Users were divided into so many parts on so many servers, and a program is given other numbers. */
static const struct {
	int partitions, servers, given_partitions;
	const char *given_servers; /* by their order */
} others[] = {
	{8, 1, 16, "0"}, {8, 1, 4, "0"}, {8, 1, 1, "0"}, {8, 3, 16, "012"}, {8, 3, 4, "012"},
	{8, 3, 8, "0"},	 {8, 3, 1, "0"}, {1, 1, 8, "0"}, {1, 1, 2, "0"},
};
#define OTHERS ((int)(sizeof others / sizeof others[0]))

/* What a program says that has to end with this status. */
static void expect_refusal(struct stack *divided, int status, const char *says,
			   const char *const *argv)
{
	char *out;
	int ended = run(divided, &out, NULL, argv);

	ck_assert_msg(ended == status, "%s ended with %d instead of %d: %s%s", argv[0], ended,
		      status, out, stack_file(divided, "run.log"));
	check_has(stack_file(divided, "run.log"), says);
}

/* The servers of a stack in an order, "012" being theirs. */
static char *url_of(struct stack *divided, const char *order)
{
	const char *const names[] = {"redis.sock", "redis1.sock", "redis2.sock"};
	struct printbuf *url = buf_new();

	for (const char *at = order; *at != '\0'; at++)
		buf_putf(url, "%sunix://%s", at > order ? " " : "",
			 stack_path(divided, names[*at - '0']));
	return buf_take(url, NULL);
}

static void give_layout(struct stack *divided, const char *order, int partitions)
{
	char *conf;

	ck_assert(
		asprintf(&conf,
			 "redis { url = \"%s\" partitions = %d }\n"
			 "api { listen = \"unix:%s/api.sock\" children = 1 }\n"
			 "push { key_file = \"%s/push.pem\" subject = \"mailto:a@example.com\" }\n",
			 url_of(divided, order), partitions, divided->dir, divided->dir) > 0);
	stack_write_conf(divided, conf);
	free(conf);
}

/* All of them at their start. */
static void expect_all_refuse(struct stack *divided, const char *says)
{
	static const char *const programs[] = {"presence-streamd", "presence-api",
					       "presence-pushd"};
	const char *conf = stack_path(divided, "presence.conf");

	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
		expect_refusal(divided, 2, says,
			       (const char *const[]){program(programs[i]), "-c", conf, NULL});
}

START_TEST(every_program_refuses_another_layout_at_start)
{
	struct stack *divided = stack_new("");
	const char *says = others[_i].partitions > 1 ? "presence:layout says"
						     : "it holds users of redis.partitions = 1";

	stack_write_secret(divided, "push.pem", CTL(divided, "push", "key"));
	stack_divide(divided, others[_i].servers, others[_i].partitions, "");
	lighttpd_start(divided);
	touch_user(divided, "1");
	give_layout(divided, others[_i].given_servers, others[_i].given_partitions);
	expect_all_refuse(divided, says);
	expect_refusal(divided, 1, says,
		       (const char *const[]){program("presencectl"), "-c",
					     stack_path(divided, "presence.conf"), "count", NULL});
	/* Nothing was written with it; and with the right one they start. */
	ck_assert_int_eq(redis_int(divided, "EXISTS {%u}presence:epoch",
				   layout_tag((unsigned)others[_i].given_partitions, 0)),
			 0);
	give_layout(divided, others[_i].servers == 1 ? "0" : "012", others[_i].partitions);
	check_has(CTL(divided, "count"), "1");
	streamd_start(divided, 0);
	stack_stop(divided);
}
END_TEST

START_TEST(presence_streamd_does_not_use_a_redis_that_comes_later_with_another_layout)
{
	struct stack *divided = stack_new("");
	struct sse *sse;

	stack_divide(divided, 1, PARTITIONS, "");
	redis_kill(divided);
	streamd_start(divided, 0);
	sse = sse_open_direct(divided, 0, token_for(divided, "1"));
	sse_expect(sse, "connected", 5000);
	sse_wait_degraded(sse);
	redis_start(divided, NULL);
	freeReplyObject(redis_cmd(divided, "SET {10}presence:layout 16"));
	WAIT_UNTIL(strstr(stack_file(divided, "streamd0.log"), "presence:layout") != NULL, 8000);
	freeReplyObject(redis_cmd(divided, "DEL {10}presence:layout"));
	sse_wait(sse, "initial", 10000);
	ck_assert_str_eq(redis_text(divided, "GET {3}presence:layout"), "8");
	stack_stop(divided);
}
END_TEST

START_TEST(users_of_a_single_partition_are_not_mixed_with_others)
{
	struct stack *divided = start_api(1, "");
	char *out;

	freeReplyObject(redis_cmd(divided, "ZADD presence:deadlines 1 1"));
	freeReplyObject(redis_cmd(divided, "DEL {3}presence:layout"));
	ck_assert_int_eq(run_api(divided, "8", &out), 2);
	check_has(out, "presencectl move");
	stack_stop(divided);
}
END_TEST

START_TEST(another_number_of_servers_is_refused)
{
	struct stack *divided = start_api(3, "");
	char *out;

	touch_user(divided, "1");
	stack_write_conf(divided, "redis { partitions = 8 }\n");
	ck_assert_int_eq(run_api(divided, "8", &out), 2);
	check_has(out, "8/3");
	stack_stop(divided);
}
END_TEST

START_TEST(another_order_of_the_servers_is_refused_at_start)
{
	static const char *const orders[] = {"102", "021", "210", "120"};
	struct stack *divided = stack_new("");
	char *out;

	stack_write_secret(divided, "push.pem", CTL(divided, "push", "key"));
	stack_divide(divided, 3, PARTITIONS, "");
	streamd_start(divided, 0);
	WAIT_UNTIL(redis_sum(divided, "EXISTS presence:swept") == PARTITIONS, 10000);
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
		give_layout(divided, orders[i], PARTITIONS);
		expect_all_refuse(divided,
				  "name the servers, each once, in the order in which users "
				  "were divided over them");
		/* A program that serves one request looks at the first alone. */
		if (orders[i][0] == '0')
			continue;
		ck_assert_int_eq(run_api(divided, "8", &out), 2);
		check_has(out, "it holds users of server ");
	}
	give_layout(divided, "012", PARTITIONS);
	ck_assert_int_eq(run_api(divided, "8", &out), 0);
	stack_stop(divided);
}
END_TEST

START_TEST(a_redis_that_comes_later_with_another_layout_is_not_used)
{
	struct stack *divided = stack_new("");

	stack_divide(divided, 1, PARTITIONS, "");
	redis_kill(divided);
	lighttpd_start(divided);
	check_problem(HTTP(divided, .path = HEALTH), 503, "redis_unavailable");
	redis_start(divided, NULL);
	freeReplyObject(redis_cmd(divided, "SET {10}presence:layout 16"));
	check_problem(HTTP(divided, .path = HEALTH), 503, "redis_unavailable");
	ck_assert_int_eq(redis_int(divided, "DBSIZE"), 1);
	freeReplyObject(redis_cmd(divided, "FLUSHALL"));
	CHECK_JSON(http_ok(divided, HEALTH, NULL, NULL), "{'status':'ok','redis':'ok'}");
	ck_assert_str_eq(redis_text(divided, "GET {3}presence:layout"), "8");
	stack_stop(divided);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("partitions");
	TCase *cluster = harness_case(suite, "scripts in a cluster", 20);
	TCase *calls = harness_case(suite, "calls", 30);
	TCase *away = harness_case(suite, "servers that are away", 30);
	TCase *streams = harness_case(suite, "streams", 60);
	TCase *other = harness_case(suite, "another layout", 20);

	tcase_add_checked_fixture(cluster, setup_cluster, call_stop);
	tcase_add_test(cluster,
		       in_a_cluster_a_script_looks_at_every_key_before_it_writes_the_first);
	tcase_add_test(cluster, in_a_cluster_scripts_of_push_do_so_too);
	tcase_add_test(cluster, in_a_cluster_changes_are_published_on_sharded_channels);

	tcase_add_loop_test(calls, each_user_is_in_its_partition_on_its_server, 0, 2);
	tcase_add_loop_test(calls, calls_about_users_of_several_partitions_answer_as_ever, 0, 2);
	tcase_add_loop_test(calls,
			    a_login_is_counted_in_the_first_partition_and_brings_online_in_its_own,
			    0, 2);
	tcase_add_loop_test(calls, the_pages_of_the_online_list_go_through_all_partitions, 0, 2);
	tcase_add_loop_test(calls, a_page_that_one_partition_does_not_fill_goes_on_with_the_next, 0,
			    2);
	tcase_add_loop_test(calls, the_online_list_of_friends_knows_those_of_all_partitions, 0, 2);
	tcase_add_loop_test(calls, a_block_hides_across_partitions, 0, 2);
	tcase_add_loop_test(calls, a_ticket_says_whose_partition_it_is_of, 0, 2);

	tcase_add_test(away, while_a_server_is_gone_calls_that_do_not_need_it_are_answered);
	tcase_add_test(away, a_server_that_is_silent_costs_a_worker_its_time_once);

	tcase_add_loop_test(streams, a_stream_sees_friends_of_all_partitions, 0, 2);
	tcase_add_loop_test(streams, a_ticket_opens_a_stream_that_shows_ones_own_state, 0, 2);
	tcase_add_loop_test(streams, a_block_hides_on_open_streams_across_partitions, 0, 2);
	tcase_add_loop_test(streams, logout_ends_streams_of_every_partition, 0, 2);
	tcase_add_loop_test(streams, while_a_friends_server_is_away_changes_of_the_others_are_told,
			    0, 2);
	tcase_add_test(streams, while_ones_own_server_is_away_there_is_no_initial);
	tcase_add_test(streams, a_close_while_the_server_is_away_is_told_when_it_is_back);
	tcase_add_test(streams, a_server_that_was_wiped_is_filled_again_alone);
	tcase_add_loop_test(streams, after_a_loss_each_partition_is_subscribed_by_one_command, 0,
			    2);

	tcase_add_loop_test(other, another_number_of_partitions_is_refused_at_start, 0, 2);
	tcase_add_loop_test(other, every_program_refuses_another_layout_at_start, 0, OTHERS);
	tcase_add_test(other,
		       presence_streamd_does_not_use_a_redis_that_comes_later_with_another_layout);
	tcase_add_test(other, users_of_a_single_partition_are_not_mixed_with_others);
	tcase_add_test(other, another_number_of_servers_is_refused);
	tcase_add_test(other, another_order_of_the_servers_is_refused_at_start);
	tcase_add_test(other, a_redis_that_comes_later_with_another_layout_is_not_used);
	return harness_main(suite);
}
