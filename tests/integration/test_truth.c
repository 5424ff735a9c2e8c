/* Who is online: what Redis holds and announces is what is true. docs/redis-keys.md. */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* FAST's times in ms. */
#define ONLINE_TTL 2000
#define STREAM_TTL 3000
#define GRACE 1000
#define SWEEP 1000
#define SLACK 700 /* for a busy machine */
/* Offline is announced at most two sweeps after the deadline. */
#define LATEST(deadline) ((deadline) + 2 * SWEEP + SLACK)

/* The next message, which must be this change. */
static struct message *next_change(struct listener *listener, const char *id, bool online,
				   const char *reason, int ms)
{
	struct message *message = listener_next(listener, patience(ms));

	ck_assert_msg(message != NULL, "no change of user %s to %s (%s) within %d ms", id,
		      online ? "online" : "offline", reason, patience(ms));
	ck_assert_msg(strcmp(json_text(message->json, "user_id"), id) == 0 &&
			      json_object_get_boolean(json_at(message->json, "is_online")) ==
				      online &&
			      strcmp(json_text(message->json, "reason"), reason) == 0,
		      "instead of user %s %s (%s) came %s", id, online ? "online" : "offline",
		      reason, message->text);
	return message;
}

static void no_change(struct listener *listener, int ms)
{
	struct message *message = listener_next(listener, ms);

	ck_assert_msg(message == NULL, "nothing changed, but was published: %s", message->text);
}

/* How many user:online:* keys there are. */
static int online_keys(struct stack *stack)
{
	redisReply *keys = redis_cmd(stack, "KEYS user:online:*");
	int count = (int)keys->elements;

	freeReplyObject(keys);
	return count;
}

/* --- deadlines ---------------------------------------------------------------------------- */

START_TEST(a_user_who_asks_for_nothing_expires_and_friends_are_told)
{
	struct stack *stack = stack_start(FAST);
	struct sse *friend = sse_open(stack, token_for(stack, "2"));
	struct event *event;
	int64_t start;

	sse_ready(friend);
	start = now_ms();
	touch(stack, token_for(stack, "1"));
	sse_wait_change(friend, "1", true, 2000);
	event = sse_wait_change(friend, "1", false, LATEST(ONLINE_TTL));
	CHECK_JSON(event->json, "{'user_id':1,'is_online':false,'status':'offline',"
				"'last_seen':'<time>','version':'<version>','reason':'expired'}");
	ck_assert_int_ge(now_ms() - start, ONLINE_TTL);
	ck_assert(!redis_has(stack, "user:online:1"));
	ck_assert(!redis_has(stack, "user:sessions:1"));
	ck_assert_int_eq(redis_int(stack, "SISMEMBER online_users 1"), 0);
	sse_close(friend);
	stack_stop(stack);
}
END_TEST

START_TEST(requests_keep_a_user_online)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct listener *listener = listener_open(stack, "user:status:*");
	int64_t end;

	touch(stack, token);
	next_change(listener, "1", true, "activity", 2000);
	for (end = now_ms() + 2 * ONLINE_TTL; now_ms() < end;) {
		touch(stack, token);
		no_change(listener, 200);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(a_request_after_expiry_brings_the_user_online_again)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct listener *listener = listener_open(stack, "user:status:*");

	touch(stack, token);
	next_change(listener, "1", true, "activity", 2000);
	next_change(listener, "1", false, "expired", LATEST(ONLINE_TTL));
	touch(stack, token);
	next_change(listener, "1", true, "activity", 2000);
	stack_stop(stack);
}
END_TEST

START_TEST(two_devices_of_one_user_count_as_one)
{
	struct stack *stack = stack_start("presence { online_ttl = 60 }\n");
	const char *phone = token_for(stack, "1"), *laptop = token_for(stack, "1");
	struct listener *listener = listener_open(stack, "user:status:*");

	touch(stack, phone);
	next_change(listener, "1", true, "activity", 2000);
	touch(stack, laptop);
	http_ok(stack, LOGOUT, phone, "");
	no_change(listener, 300);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 1);
	http_ok(stack, LOGOUT, laptop, "");
	next_change(listener, "1", false, "logout", 2000);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_keeps_its_user_online_without_requests)
{
	struct stack *stack = stack_start(FAST);
	struct listener *listener = listener_open(stack, "user:status:*");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	next_change(listener, "1", true, "stream_open", 2000);
	no_change(listener, ONLINE_TTL + STREAM_TTL + 2 * SWEEP);
	ck_assert(redis_has(stack, "user:online:1"));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(closing_one_of_two_streams_keeps_the_user_online)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *one = sse_open(stack, token), *two = sse_open(stack, token);
	struct listener *listener;

	sse_ready(one);
	sse_ready(two);
	listener = listener_open(stack, "user:status:*");
	sse_close(one);
	no_change(listener, LATEST(GRACE));
	sse_close(two);
	next_change(listener, "1", false, "stream_closed", LATEST(GRACE));
	stack_stop(stack);
}
END_TEST

START_TEST(after_the_last_stream_closed_the_user_is_offline_in_a_grace)
{
	/* A closed browser: not the minute of the token's own session decides. */
	struct stack *stack = stack_start(FAST "presence { online_ttl = 60 }\n");
	struct listener *listener;
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	int64_t closed;

	sse_ready(sse);
	listener = listener_open(stack, "user:status:*");
	closed = now_ms();
	sse_close(sse);
	next_change(listener, "1", false, "stream_closed", LATEST(GRACE));
	ck_assert_int_ge(now_ms() - closed, GRACE);
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_tab_that_reconnects_within_the_grace_is_not_noticed)
{
	struct stack *stack = stack_start(FAST "presence { online_ttl = 60 }\n");
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token);
	struct listener *listener;

	sse_ready(sse);
	listener = listener_open(stack, "user:status:*");
	for (int i = 0; i < 3; i++) {
		sse_close(sse);
		no_change(listener, GRACE / 3);
		sse = sse_open(stack, token);
		sse_ready(sse);
	}
	no_change(listener, LATEST(GRACE));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_closed_stream_leaves_another_device_online)
{
	struct stack *stack = stack_start(FAST "presence { online_ttl = 60 }\n");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct listener *listener;

	sse_ready(sse);
	touch(stack, token_for(stack, "1"));
	listener = listener_open(stack, "user:status:*");
	sse_close(sse);
	no_change(listener, LATEST(GRACE));
	ck_assert(redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_closed_stream_raises_no_logged_out_session)
{
	struct stack *stack = stack_start(FAST "presence { online_ttl = 60 }\n");
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token);
	struct listener *listener;

	sse_ready(sse);
	listener = listener_open(stack, "user:status:*");
	http_ok(stack, LOGOUT, token, "");
	next_change(listener, "1", false, "logout", 2000);
	sse_wait(sse, "bye", 2000);
	ck_assert(sse_wait_end(sse, 2000));
	no_change(listener, LATEST(GRACE));
	ck_assert(!redis_has(stack, "user:sessions:1"));
	stack_stop(stack);
}
END_TEST

/* --- processes that die ------------------------------------------------------------------- */

START_TEST(the_users_of_a_killed_streamd_are_ended_by_another)
{
	struct stack *stack = stack_start(FAST);
	struct listener *listener;
	struct sse *lost, *kept;
	int64_t killed;

	streamd_start(stack, 1);
	lost = sse_open_direct(stack, 1, token_for(stack, "1"));
	kept = sse_open_direct(stack, 0, token_for(stack, "2"));
	sse_ready(lost);
	sse_ready(kept);
	listener = listener_open(stack, "user:status:*");
	killed = now_ms();
	ck_assert_int_eq(streamd_end(stack, 1, SIGKILL), 128 + SIGKILL);
	next_change(listener, "1", false, "expired", LATEST(STREAM_TTL));
	/* It was renewed at most a heartbeat before. */
	ck_assert_int_ge(now_ms() - killed, STREAM_TTL - 1000 - SLACK);
	sse_wait_change(kept, "1", false, 2000);
	no_change(listener, SWEEP);
	sse_close(kept);
	stack_stop(stack);
}
END_TEST

START_TEST(the_users_of_the_only_streamd_are_ended_by_workers_when_it_is_killed)
{
	struct stack *stack = stack_start(FAST);
	const char *viewer = token_for(stack, "2");
	struct message *message = NULL;
	struct listener *listener;
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	/* Workers begin 10 sweeps after the last one of a streamd, and spare streams a stream_ttl.
	 */
	int64_t end = now_ms() + patience(10 * SWEEP + LATEST(2 * STREAM_TTL));

	sse_ready(sse);
	listener = listener_open(stack, "user:status:1");
	streamd_end(stack, 0, SIGKILL);
	while (message == NULL && now_ms() < end) {
		touch(stack, viewer);
		message = listener_next(listener, 200);
	}
	ck_assert_msg(message != NULL, "user 1 never expired");
	ck_assert_str_eq(json_text(message->json, "reason"), "expired");
	CHECK_JSON(http_ok(stack, COUNT, viewer, NULL), "{'count':1}");
	stack_stop(stack);
}
END_TEST

START_TEST(workers_sweep_where_no_streamd_runs)
{
	struct stack *stack = stack_new(FAST);
	const char *viewer;
	struct listener *listener;
	struct message *message = NULL;
	int64_t end;

	redis_start(stack, NULL);
	lighttpd_start(stack);
	viewer = token_for(stack, "2");
	touch(stack, token_for(stack, "1"));
	listener = listener_open(stack, "user:status:1");
	end = now_ms() + patience(LATEST(ONLINE_TTL));
	while (message == NULL && now_ms() < end) {
		touch(stack, viewer);
		message = listener_next(listener, 100);
	}
	ck_assert_msg(message != NULL, "user 1 never expired");
	ck_assert_str_eq(json_text(message->json, "reason"), "expired");
	CHECK_JSON(http_ok(stack, COUNT, viewer, NULL), "{'count':1}");
	stack_stop(stack);
}
END_TEST

START_TEST(an_operator_may_sweep)
{
	struct stack *stack = stack_new(FAST);
	const char *argv[] = {program("presencectl"), "-c", stack_path(stack, "presence.conf"),
			      "sweep", NULL};

	redis_start(stack, NULL);
	lighttpd_start(stack);
	touch(stack, token_for(stack, "1"));
	WAIT_UNTIL(!redis_has(stack, "user:online:1"), LATEST(ONLINE_TTL)); /* its TTL */
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 1);
	ck_assert_int_eq(run(stack, NULL, NULL, argv), 0);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	stack_stop(stack);
}
END_TEST

/* --- announced once ----------------------------------------------------------------------- */

/* Reads a stream until it is quiet; how many changes of this user came. */
static int count_changes(struct sse *sse, const char *id)
{
	struct event *event;
	int count = 0;

	while ((event = sse_next(sse, 300)) != NULL) {
		if (strcmp(event->name, "status_change") == 0 &&
		    strcmp(json_text(event->json, "user_id"), id) == 0)
			count++;
	}
	return count;
}

START_TEST(two_streamds_announce_each_transition_once)
{
	struct stack *stack = stack_start(FAST "presence { heartbeat = 30 stream_ttl = 60 }\n");
	const char *token = token_for(stack, "1");
	struct sse *friends[2], *own[2];
	struct listener *listener = listener_open(stack, "user:status:*");
	const char *expiring;

	streamd_start(stack, 1);
	for (int i = 0; i < 2; i++) {
		friends[i] = sse_open_direct(stack, i, token_for(stack, "2"));
		sse_ready(friends[i]);
	}
	next_change(listener, "2", true, "stream_open", 2000);
	for (int i = 0; i < 2; i++) {
		own[i] = sse_open_direct(stack, i, token);
		sse_ready(own[i]);
	}
	next_change(listener, "1", true, "stream_open", 2000);
	for (int i = 0; i < 2; i++)
		sse_close(own[i]);
	next_change(listener, "1", false, "stream_closed", LATEST(GRACE));
	expiring = token_for(stack, "1");
	touch(stack, expiring);
	next_change(listener, "1", true, "activity", 2000);
	next_change(listener, "1", false, "expired", LATEST(ONLINE_TTL));
	touch(stack, expiring);
	next_change(listener, "1", true, "activity", 2000);
	http_ok(stack, LOGOUT, expiring, "");
	next_change(listener, "1", false, "logout", 2000);
	no_change(listener, 2 * SWEEP);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(count_changes(friends[i], "1"), 6);
		sse_close(friends[i]);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(the_broadcast_channel_carries_the_same_changes)
{
	struct stack *stack = stack_start("");
	struct listener *changes = listener_open(stack, "user:status:*");
	struct listener *broadcast = listener_open(stack, "presence:broadcast");
	const char *token = token_for(stack, "1");

	touch(stack, token);
	http_ok(stack, LOGOUT, token, "");
	for (int i = 0; i < 2; i++) {
		struct message *one = listener_next(changes, patience(2000));
		struct message *other = listener_next(broadcast, patience(2000));

		ck_assert(one != NULL && other != NULL);
		ck_assert_str_eq(one->text, other->text);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(the_broadcast_channel_may_be_off)
{
	struct stack *stack = stack_start("presence { publish_broadcast = no }");
	struct listener *changes = listener_open(stack, "user:status:*");
	struct listener *broadcast = listener_open(stack, "presence:broadcast");

	touch(stack, token_for(stack, "1"));
	ck_assert(listener_next(changes, patience(2000)) != NULL);
	no_change(broadcast, 100);
	stack_stop(stack);
}
END_TEST

START_TEST(versions_grow_with_each_transition)
{
	struct stack *stack = stack_start("");
	struct listener *listener = listener_open(stack, "user:status:1");
	int64_t last = 0;

	for (int i = 0; i < 10; i++) {
		const char *token = token_for(stack, "1");

		touch(stack, token);
		http_ok(stack, LOGOUT, token, "");
		for (int online = 1; online >= 0; online--) {
			struct message *message = next_change(listener, "1", online,
							      online ? "activity" : "logout", 2000);
			int64_t version = json_object_get_int64(json_at(message->json, "version"));

			ck_assert_int_gt(version, last);
			last = version;
		}
	}
	ck_assert_int_eq(redis_int(stack, "GET presence:version:1"), last);
	stack_stop(stack);
}
END_TEST

START_TEST(a_renewal_changes_no_version)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");
	long long version;

	touch(stack, token);
	version = redis_int(stack, "GET presence:version:1");
	ck_assert_int_gt(version, 0);
	touch(stack, token);
	touch(stack, token_for(stack, "1"));
	ck_assert_int_eq(redis_int(stack, "GET presence:version:1"), version);
	stack_stop(stack);
}
END_TEST

/* --- keys --------------------------------------------------------------------------------- */

START_TEST(the_online_key_is_the_status_at_the_last_transition)
{
	struct stack *stack = stack_start("presence { online_ttl = 50 }");
	struct json_object *status;
	int64_t version;

	touch(stack, token_for(stack, "1"));
	status = json_tokener_parse(redis_text(stack, "GET user:online:1"));
	CHECK_JSON(status, "{'user_id':1,'is_online':true,'status':'online',"
			   "'last_activity':'<time>','version':'<version>'}");
	version = json_object_get_int64(json_at(status, "version"));
	ck_assert_int_eq(redis_int(stack, "GET presence:version:1"), version);
	ck_assert_str_eq(json_text(status, "last_activity"),
			 redis_text(stack, "GET user:last_seen:1"));
	touch(stack, token_for(stack, "anna"));
	CHECK_JSON(json_tokener_parse(redis_text(stack, "GET user:online:anna")),
		   "{'user_id':'anna','is_online':true,'status':'online',"
		   "'last_activity':'<time>','version':'<version>'}");
	stack_stop(stack);
}
END_TEST

static void check_ttl(struct stack *stack, const char *key, long long seconds)
{
	long long ttl = redis_int(stack, "TTL %s", key);

	ck_assert_msg(ttl <= seconds && ttl >= seconds - patience(5000) / 1000,
		      "TTL of %s is %lld s instead of %lld s", key, ttl, seconds);
}

static void check_type(struct stack *stack, const char *key, const char *type)
{
	redisReply *reply = redis_cmd(stack, "TYPE %s", key);

	ck_assert_msg(strcmp(reply->str, type) == 0, "%s is a %s instead of a %s", key, reply->str,
		      type);
	freeReplyObject(reply);
}

START_TEST(keys_have_their_documented_types_and_times)
{
	struct stack *stack = stack_start("presence { online_ttl = 100 last_seen_ttl = 1000 }\n"
					  "auth { token_lifetime = 300 leeway = 7 }\n");
	const char *token = token_for(stack, "1");
	char *name, *key;

	touch(stack, token);
	name = strdup(json_text(token_payload(token), "sid"));
	check_type(stack, "user:online:1", "string");
	check_ttl(stack, "user:online:1", 100);
	check_type(stack, "user:last_seen:1", "string");
	check_ttl(stack, "user:last_seen:1", 1000);
	check_type(stack, "presence:version:1", "string");
	check_ttl(stack, "presence:version:1", 8 * 86400);
	check_type(stack, "online_users", "set");
	check_type(stack, "user:sessions:1", "zset");
	check_type(stack, "presence:deadlines", "zset");
	WAIT_UNTIL(redis_has(stack, "presence:epoch") && redis_has(stack, "presence:swept"), 5000);
	ck_assert(asprintf(&key, "t:%s", name) > 0);
	ck_assert_int_eq(redis_int(stack, "ZSCORE user:sessions:1 %s", key),
			 redis_int(stack, "ZSCORE presence:deadlines 1"));

	/* The token lasts 3600 s, longer than token_lifetime. */
	http_ok(stack, LOGOUT, token, "");
	ck_assert(asprintf(&key, "presence:revoked:1/%s", name) > 0);
	check_ttl(stack, key, 3600 + 7);
	/* This one ends sooner: others of its sid may last a token_lifetime. */
	token = token_until(stack, "1", 60);
	http_ok(stack, LOGOUT "?all=true", token, "");
	ck_assert(asprintf(&key, "presence:revoked:1/%s", json_text(token_payload(token), "sid")) >
		  0);
	check_ttl(stack, key, 300 + 7);
	check_ttl(stack, "presence:not_before:1", 1000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_has_a_session_of_its_own)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1"), *name = json_text(token_payload(token), "sid");
	struct sse *sse = sse_open(stack, token);
	redisReply *sessions;
	char *of_token, *of_stream;

	sse_ready(sse);
	ck_assert(asprintf(&of_token, "t:%s", name) > 0 && asprintf(&of_stream, "s:%s:", name) > 0);
	sessions = redis_cmd(stack, "ZRANGE user:sessions:1 0 -1"); /* stream_ttl is the shorter */
	ck_assert_int_eq(sessions->elements, 2);
	ck_assert_msg(strncmp(sessions->element[0]->str, of_stream, strlen(of_stream)) == 0,
		      "%s does not start with %s", sessions->element[0]->str, of_stream);
	ck_assert_str_eq(sessions->element[1]->str, of_token);
	freeReplyObject(sessions);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(the_sessions_of_a_user_are_bounded)
{
	struct stack *stack = stack_start("presence { max_sessions = 5 }");

	for (int i = 0; i < 12; i++)
		touch(stack, token_for(stack, "1"));
	ck_assert_int_le(redis_int(stack, "ZCARD user:sessions:1"), 5);
	ck_assert(redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(the_set_of_online_users_equals_reality)
{
	enum { USERS_HERE = 30 };
	struct stack *stack = stack_start(FAST);
	const char *tokens[USERS_HERE];
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	char id[12];

	sse_ready(sse);
	for (int i = 0; i < USERS_HERE; i++) {
		snprintf(id, sizeof id, "%d", 100 + i);
		tokens[i] = token_for(stack, id);
		touch(stack, tokens[i]);
	}
	for (int i = 0; i < 10; i++)
		http_ok(stack, LOGOUT, tokens[i], "");
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), online_keys(stack));
	WAIT_UNTIL(redis_int(stack, "SCARD online_users") == 1, LATEST(ONLINE_TTL));
	ck_assert_int_eq(online_keys(stack), 1);
	ck_assert_int_eq(redis_int(stack, "ZCARD presence:deadlines"), 1);
	sse_close(sse);
	WAIT_UNTIL(redis_int(stack, "SCARD online_users") == 0, LATEST(GRACE));
	ck_assert_int_eq(online_keys(stack), 0);
	ck_assert_int_eq(redis_int(stack, "ZCARD presence:deadlines"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(more_users_than_one_sweep_takes_expire_in_time)
{
	enum { USERS_HERE = 500 };
	struct stack *stack = stack_start(FAST);
	char id[12];

	for (int i = 0; i < USERS_HERE; i++) {
		snprintf(id, sizeof id, "%d", 100 + i);
		touch(stack, token_for(stack, id));
	}
	WAIT_UNTIL(redis_int(stack, "SCARD online_users") == 0, LATEST(ONLINE_TTL));
	stack_stop(stack);
}
END_TEST

/* --- Redis' own accidents ----------------------------------------------------------------- */

START_TEST(a_pause_of_redis_expires_nobody_who_has_a_stream)
{
	struct stack *stack = stack_start(FAST);
	struct listener *listener;
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct message *message;
	int64_t end;
	bool expired = false;

	sse_ready(sse);
	touch(stack, token_for(stack, "3"));
	listener = listener_open(stack, "user:status:*");
	signal_and_wait_stopped(stack->redis);
	for (end = now_ms() + 11 * SWEEP; now_ms() < end;) /* the time itself is what is tested */
		sse_next(sse, 100);
	kill(stack->redis, SIGCONT);
	sse_wait(sse, "initial", 15000);
	for (end = now_ms() + 4 * SWEEP; now_ms() < end;) {
		message = listener_next(listener, 100);
		if (message == NULL)
			continue;
		ck_assert_msg(strcmp(message->channel, "user:status:3") == 0,
			      "user 1 has a stream, but: %s", message->text);
		expired = true;
	}
	ck_assert_msg(expired, "user 3 has no stream, but did not expire");
	ck_assert(redis_has(stack, "user:online:1"));
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("truth");
	TCase *tcase = harness_case(suite, "deadlines", 40);

	tcase_add_test(tcase, a_user_who_asks_for_nothing_expires_and_friends_are_told);
	tcase_add_test(tcase, requests_keep_a_user_online);
	tcase_add_test(tcase, a_request_after_expiry_brings_the_user_online_again);
	tcase_add_test(tcase, two_devices_of_one_user_count_as_one);
	tcase_add_test(tcase, a_stream_keeps_its_user_online_without_requests);
	tcase_add_test(tcase, closing_one_of_two_streams_keeps_the_user_online);
	tcase_add_test(tcase, after_the_last_stream_closed_the_user_is_offline_in_a_grace);
	tcase_add_test(tcase, a_tab_that_reconnects_within_the_grace_is_not_noticed);
	tcase_add_test(tcase, a_closed_stream_leaves_another_device_online);
	tcase_add_test(tcase, a_closed_stream_raises_no_logged_out_session);

	tcase = harness_case(suite, "processes that die", 60);
	tcase_add_test(tcase, the_users_of_a_killed_streamd_are_ended_by_another);
	tcase_add_test(tcase, the_users_of_the_only_streamd_are_ended_by_workers_when_it_is_killed);
	tcase_add_test(tcase, workers_sweep_where_no_streamd_runs);
	tcase_add_test(tcase, an_operator_may_sweep);

	tcase = harness_case(suite, "announced once", 40);
	tcase_add_test(tcase, two_streamds_announce_each_transition_once);
	tcase_add_test(tcase, the_broadcast_channel_carries_the_same_changes);
	tcase_add_test(tcase, the_broadcast_channel_may_be_off);
	tcase_add_test(tcase, versions_grow_with_each_transition);
	tcase_add_test(tcase, a_renewal_changes_no_version);

	tcase = harness_case(suite, "keys", 30);
	tcase_add_test(tcase, the_online_key_is_the_status_at_the_last_transition);
	tcase_add_test(tcase, keys_have_their_documented_types_and_times);
	tcase_add_test(tcase, a_stream_has_a_session_of_its_own);
	tcase_add_test(tcase, the_sessions_of_a_user_are_bounded);
	tcase_add_test(tcase, the_set_of_online_users_equals_reality);
	tcase_add_test(tcase, more_users_than_one_sweep_takes_expire_in_time);

	tcase = harness_case(suite, "accidents of redis", 60);
	tcase_add_test(tcase, a_pause_of_redis_expires_nobody_who_has_a_stream);
	return harness_main(suite);
}
