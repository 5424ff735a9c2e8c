/*
 * A million users online: what Redis needs for each, what count and the pages of the online list
 * take, and ten thousand of them who expire in the same second. `make check-long`;
 * docs/reliability.md tells what it showed.
 */
#include "swarm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/blocking.h"
#include "store/resp.h"
#include "store/store.h"

#define COUNT "/api/online-status/count"
#define ONLINE "/api/online-status/online"
#define FIRST 1000
#define PIPELINE 20 /* batches at a time */
#define EXPIRING 10000
#define PAGE 10000
#define AHEAD_S 4

static struct userid id_of(unsigned number)
{
	struct userid id;

	memset(&id, 0, sizeof id);
	snprintf(id.text, sizeof id.text, "%u", number);
	return id;
}

/* As logins do it: each user's token gets its session. */
static void bring_online(struct blocking *redis, const struct store *store, unsigned first,
			 unsigned count)
{
	struct store_touch items[STORE_BATCH_MAX];
	struct userid ids[STORE_BATCH_MAX];
	char toks[STORE_BATCH_MAX][40];
	redisReply *replies[PIPELINE];
	struct printbuf *out = buf_new();
	unsigned done = 0;

	while (done < count) {
		size_t batches = 0;

		buf_reset(out);
		for (; batches < PIPELINE && done < count; batches++) {
			unsigned items_count = 0;

			for (; items_count < STORE_BATCH_MAX && done < count; items_count++) {
				ids[items_count] = id_of(first + done++);
				/* As long as the sid that login makes. */
				snprintf(toks[items_count], sizeof toks[items_count],
					 "AAAAAAAAAAAA%010u", first + done);
				items[items_count] = (struct store_touch){.user = &ids[items_count],
									  .tok = toks[items_count],
									  .token = true,
									  .reason = "login"};
			}
			store_put_touch(out, store, STORE_WORKER, items, items_count);
		}
		ck_assert_msg(blocking_run(redis, out, batches, replies), "touch: %s",
			      blocking_error(redis));
		blocking_free_replies(replies, batches);
	}
	printbuf_free(out);
}

/* Their time is up AHEAD_S seconds from now, in one and the same second. */
static void let_expire(struct stack *stack, unsigned first, unsigned count)
{
	static const char script[] =
		"local t = redis.call('TIME') "
		"for id = tonumber(ARGV[1]), tonumber(ARGV[2]) do "
		"  local at = string.format('%.0f', ARGV[3] + id % 1000) "
		"  for _, s in ipairs(redis.call('ZRANGE', 'user:sessions:' .. id, 0, -1)) do "
		"    redis.call('ZADD', 'user:sessions:' .. id, at, s) end "
		"  redis.call('ZADD', 'presence:deadlines', at, id) "
		"  redis.call('PEXPIREAT', 'user:online:' .. id, at) "
		"end return t[1]";
	redisReply *reply = redis_cmd(stack, "TIME");
	char at[24], from[12], to[12];

	snprintf(at, sizeof at, "%lld",
		 (strtoll(reply->element[0]->str, NULL, 10) + AHEAD_S) * 1000);
	freeReplyObject(reply);
	for (unsigned done = 0; done < count; done += 500) {
		snprintf(from, sizeof from, "%u", first + done);
		snprintf(to, sizeof to, "%u", first + done + 499);
		reply = redis_cmd(stack, "EVAL %s 0 %s %s %s", script, from, to, at);
		ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s", reply->str);
		freeReplyObject(reply);
	}
}

static void read_pages(struct stack *stack, const char *token, long users)
{
	bool *seen = calloc((size_t)users + FIRST + 1, 1);
	const char *cursor = NULL;
	long distinct = 0, pages = 0, worst_ms = 0;

	ck_assert_ptr_nonnull(seen);
	do {
		char path[128];
		struct response *response;
		struct json_object *ids;

		snprintf(path, sizeof path, ONLINE "?limit=%d%s%s", PAGE,
			 cursor != NULL ? "&cursor=" : "", cursor != NULL ? cursor : "");
		response = HTTP(stack, .path = path, .token = token);
		ck_assert_int_eq(response->status, 200);
		ids = json_at(response->json, "user_ids");
		for (size_t i = 0; i < json_object_array_length(ids); i++) {
			int64_t id = json_object_get_int64(json_object_array_get_idx(ids, i));

			ck_assert(id > 0 && id <= users + FIRST);
			distinct += !seen[id];
			seen[id] = true;
		}
		cursor = json_text(response->json, "cursor");
		cursor = cursor != NULL ? strdup(cursor) : NULL;
		pages++;
		worst_ms = response->ms > worst_ms ? response->ms : worst_ms;
		json_object_put(response->json);
		free(response->body);
		free(response->head);
		free(response);
	} while (cursor != NULL);
	tell("pages of at most 10,000 ids", (double)pages, "");
	tell("the slowest page", (double)worst_ms, "ms");
	ck_assert_msg(distinct >= users, "%ld of %ld users were on a page", distinct, users);
	free(seen);
}

/* The longest that Redis was busy with one command since it was told to note them, ms. */
static double longest_command_ms(struct stack *stack)
{
	redisReply *reply = redis_cmd(stack, "SLOWLOG GET 1000");
	long long longest_us = 0;

	for (size_t i = 0; i < reply->elements; i++) {
		long long took = reply->element[i]->element[2]->integer;

		longest_us = took > longest_us ? took : longest_us;
	}
	freeReplyObject(reply);
	return (double)longest_us / 1000;
}

static void note_slow_commands(struct stack *stack)
{
	freeReplyObject(redis_cmd(stack, "CONFIG SET slowlog-log-slower-than 1000"));
	freeReplyObject(redis_cmd(stack, "CONFIG SET slowlog-max-len 1000"));
	freeReplyObject(redis_cmd(stack, "SLOWLOG RESET"));
}

START_TEST(a_million_users_online)
{
	const char *wanted = getenv("LONG_USERS");
	long users = wanted != NULL ? strtol(wanted, NULL, 10) : 1000000;
	struct stack *stack = stack_new("directory { backend = redis }\nauth { login = external }\n"
					"presence { online_ttl = 86400 }\nlog { level = info }\n");
	const char *token = token_for(stack, "1");
	char err[512];
	struct config *config;
	struct store *store;
	struct blocking *redis;
	struct listener *listener;
	struct probe *pings, *rest;
	struct response *response;
	struct sse *sse;
	long long empty;
	int64_t start, deadline;
	int expired = 0;

	redis_start(stack, NULL);
	streamd_start(stack, 0);
	lighttpd_start(stack);
	config = config_load(stack_path(stack, "presence.conf"), err, sizeof err);
	ck_assert_msg(config != NULL, "%s", err);
	store = store_new(config, 0, config->redis.prefix);
	redis = blocking_new(config, 0);
	http_ok(stack, COUNT, token, NULL);
	empty = redis_info(stack, "used_memory");
	start = now_ms();
	bring_online(redis, store, FIRST, (unsigned)users);
	tell("users brought online", (double)users, "");
	tell("in", (double)(now_ms() - start) / 1000, "s");
	figure("memory of Redis for each",
	       (double)(redis_info(stack, "used_memory") - empty) / (double)users, "bytes", 1300);

	response = HTTP(stack, .path = COUNT, .token = token);
	ck_assert_int_eq(json_object_get_int64(json_at(response->json, "count")), users + 1);
	figure("count", response->ms, "ms", 100);
	read_pages(stack, token, users);

	/* Everybody whom a pause would hit: Redis' other clients, REST, a stream. */
	freeReplyObject(redis_cmd(stack, "SADD user:friends:1 %d", FIRST));
	sse = sse_open(stack, token);
	sse_ready(sse);
	listener = listener_open(stack, "presence:broadcast");
	pings = probe_redis(stack, 1);
	rest = probe_http(stack, COUNT, token_for(stack, "2"), 5);
	let_expire(stack, FIRST, EXPIRING);
	deadline = now_ms() + AHEAD_S * 1000;
	probe_restart(pings);
	probe_restart(rest);
	while (now_ms() < deadline)
		nap();
	tell("before: the longest that another client of Redis waited",
	     (double)pings->worst_us / 1000, "ms");
	tell("before: the slowest REST call", (double)rest->worst_us / 1000, "ms");
	note_slow_commands(stack);
	probe_restart(pings);
	probe_restart(rest);
	for (int64_t limit = now_ms() + patience(20000); expired < EXPIRING;) {
		struct message *message = listener_next(listener, 5000);

		ck_assert_msg(message != NULL && now_ms() < limit, "%d of %d have expired", expired,
			      EXPIRING);
		expired += strstr(message->text, "\"expired\"") != NULL;
		json_object_put(message->json);
		free(message->text);
		free(message->channel);
		free(message);
	}
	figure("10,000 users who expire in one second are told of in",
	       (double)(now_ms() - deadline) / 1000, "s", 1 + 2 * 1);
	probe_stop(pings);
	probe_stop(rest);
	figure("the longest that Redis was busy with one command", longest_command_ms(stack), "ms",
	       100);
	tell("commands to Redis meanwhile", (double)pings->asked, "");
	figure("the longest that another client of Redis waited", (double)pings->worst_us / 1000,
	       "ms", 100);
	tell("REST calls meanwhile", (double)rest->asked, "");
	figure("REST calls that failed", (double)rest->failed, "", 0);
	figure("the slowest REST call", (double)rest->worst_us / 1000, "ms", 100);
	sse_wait_change(sse, "1000", false, 5000);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), users + 2 - EXPIRING);
	sse_close(sse);
	blocking_free(redis);
	store_free(store);
	config_free(config);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("a million users");
	TCase *tcase = harness_case(suite, "store", 1800);

	stretch_timeouts();
	tcase_add_test(tcase, a_million_users_online);
	return harness_main(suite);
}
