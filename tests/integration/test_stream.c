/* Event streams of presence-streamd, mostly behind a web server: docs/api.md. */
#include "harness.h"

#include "base/config.h"
#include "directory/directory.h"
#include "wire.h"

#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT "/api/online-status/count"
#define LOGOUT "/api/auth/logout"
#define STREAM "/api/presence/stream"

#define OFFLINE(id)                                                                           \
	"'" #id "':{'user_id':" #id ",'is_online':false,'status':'offline','last_seen':null," \
	"'version':0}"

static void touch(struct stack *stack, const char *token)
{
	http_ok(stack, COUNT, token, NULL);
}

static struct event *next_named(struct sse *sse, const char *name, int ms)
{
	struct event *event = sse_next(sse, patience(ms));

	ck_assert_msg(event != NULL, "no event within %d ms, but %s was due", patience(ms), name);
	ck_assert_msg(strcmp(event->name, name) == 0, "%s instead of %s: %s", event->name, name,
		      event->data);
	return event;
}

/* Ends the friendship of 1 and 2 in the tables, and tells nobody. */
static void remove_friend_silently(struct stack *stack)
{
	static const struct userid one = {"1"}, two = {"2"};
	char err[512];
	struct config *config = config_load(stack_path(stack, "presence.conf"), err, sizeof err);
	struct directory *directory;
	const char *why;

	ck_assert_msg(config != NULL, "%s", err);
	directory = directory_open(config, 1, err, sizeof err);
	ck_assert_msg(directory != NULL, "%s", err);
	why = directory_remove_friend(directory, &one, &two);
	ck_assert_msg(why == NULL, "%s", why);
	directory_close(directory);
	config_free(config);
}

/* --- shapes and order --------------------------------------------------------------------- */

START_TEST(a_stream_starts_with_connected_then_initial)
{
	struct stack *stack = stack_start("presence { heartbeat = 25 }");
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token);
	struct json_object *own;
	struct event *event;

	ck_assert_int_eq(sse_status(sse), 200);
	ck_assert_str_eq(sse_header(sse, "Content-Type"), "text/event-stream");
	ck_assert_str_eq(sse_header(sse, "Cache-Control"), "no-cache, no-transform");
	ck_assert_str_eq(sse_header(sse, "X-Accel-Buffering"), "no");
	event = next_named(sse, "connected", 3000);
	CHECK_JSON(event->json, "{'user_id':1,'session_id':'<string>','heartbeat':25,"
				"'server_time':'<time>'}");
	own = http_ok(stack, "/api/online-status/user/1", token, NULL);
	ck_assert_str_eq(json_text(event->json, "session_id"), json_text(own, "session_id"));
	event = next_named(sse, "initial", 3000);
	CHECK_JSON(event->json,
		   "{" OFFLINE(2) "," OFFLINE(3) "," OFFLINE(4) "," OFFLINE(5) "," OFFLINE(6) "}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(the_token_may_come_in_the_query)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open_query(stack, token_for(stack, "1"));

	next_named(sse, "connected", 3000);
	next_named(sse, "initial", 3000);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_user_without_friends_gets_an_empty_initial)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "stranger"));
	struct event *event = next_named(sse, "connected", 3000);

	ck_assert_str_eq(json_text(event->json, "user_id"), "stranger");
	CHECK_JSON(next_named(sse, "initial", 3000)->json, "{}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(the_retry_hint_is_jittered)
{
	enum { STREAMS = 10 };
	struct stack *stack = stack_start("stream { retry_ms = 1000 }");
	struct sse *streams[STREAMS];
	int first = 0, different = 0;

	for (int i = 0; i < STREAMS; i++) {
		struct event *event;
		int retry;

		streams[i] = sse_open(stack, token_for(stack, "1"));
		event = next_named(streams[i], "connected", 3000);
		ck_assert_msg(event->retry != NULL, "connected came without retry:");
		retry = atoi(event->retry);
		ck_assert_msg(retry >= 500 && retry <= 1500, "retry: %s", event->retry);
		first = first == 0 ? retry : first;
		different += retry != first;
	}
	ck_assert_int_gt(different, 0);
	for (int i = 0; i < STREAMS; i++)
		sse_close(streams[i]);
	stack_stop(stack);
}
END_TEST

START_TEST(a_friends_changes_arrive_and_a_strangers_do_not)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	const char *token = token_for(stack, "2");

	sse_ready(sse);
	touch(stack, token_for(stack, "stranger"));
	touch(stack, token);
	CHECK_JSON(next_named(sse, "status_change", 3000)->json,
		   "{'user_id':2,'is_online':true,'status':'online','last_activity':'<time>',"
		   "'version':'<version>','reason':'activity'}");
	http_ok(stack, LOGOUT, token, "");
	CHECK_JSON(next_named(sse, "status_change", 3000)->json,
		   "{'user_id':2,'is_online':false,'status':'offline','last_seen':'<time>',"
		   "'version':'<version>','reason':'logout'}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_status_change_is_the_message_of_the_channel_unchanged)
{
	static const char message[] = "{\"user_id\": 2, \"is_online\" :true,\"status\":\"away\","
				      "\"version\":7,\"reason\":\"x\",\"more\":[1, 2]}";
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	ck_assert_int_eq(redis_int(stack, "PUBLISH user:status:2 %s", message), 1);
	ck_assert_str_eq(next_named(sse, "status_change", 3000)->data, message);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_message_of_more_than_one_line_is_dropped)
{
	struct stack *stack = stack_start("");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	redis_int(stack, "PUBLISH user:status:2 %s",
		  "{}\n\nevent: bye\ndata: {\"reason\":\"forged\"}");
	redis_int(stack, "PUBLISH user:status:2 %s", "{}\r\revent: bye");
	redis_int(stack, "PUBLISH user:status:2 %s", "{\"good\":true}");
	ck_assert_str_eq(next_named(sse, "status_change", 3000)->data, "{\"good\":true}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* The stream's session: the token's has a later deadline. */
static long long first_deadline(struct stack *stack, const char *id)
{
	redisReply *reply = redis_cmd(stack, "ZRANGE user:sessions:%s 0 0 WITHSCORES", id);
	long long deadline;

	ck_assert_int_eq(reply->elements, 2);
	deadline = strtoll(reply->element[1]->str, NULL, 10);
	freeReplyObject(reply);
	return deadline;
}

START_TEST(heartbeats_come_and_renew_the_session)
{
	struct stack *stack = stack_start("presence { heartbeat = 1 stream_ttl = 4 }");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	long long before, after;

	sse_ready(sse);
	CHECK_JSON(sse_wait(sse, "heartbeat", 3000)->json, "{'time':'<time>'}");
	before = first_deadline(stack, "1");
	sse_wait(sse, "heartbeat", 3000);
	sse_wait(sse, "heartbeat", 3000);
	after = first_deadline(stack, "1");
	ck_assert_msg(after > before, "the stream's deadline stayed %lld", before);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- nothing is lost ---------------------------------------------------------------------- */

/* What a reader knows of one friend, by the rule of docs/api.md. */
struct view {
	bool known, online;
	int64_t version;
};

static void view_set(struct view *view, struct json_object *status, bool replace)
{
	int64_t version = json_object_get_int64(json_at(status, "version"));

	if (view->known && !replace && version < view->version)
		return;
	view->known = true;
	view->online = json_object_get_boolean(json_at(status, "is_online"));
	view->version = version;
}

static void view_take(struct view *view, const struct event *event, const char *id)
{
	if (strcmp(event->name, "initial") == 0)
		view_set(view, json_at(event->json, id), true);
	else if (strcmp(event->name, "status_change") == 0 &&
		 strcmp(json_text(event->json, "user_id"), id) == 0)
		view_set(view, event->json, false);
}

/* Reads until the view is what Redis holds of the friend, and stays so. */
static void check_view(struct stack *stack, struct sse *sse, struct view *view, const char *id)
{
	int64_t version = redis_int(stack, "GET presence:version:%s", id);
	bool online = redis_int(stack, "EXISTS user:online:%s", id) == 1;
	int64_t end = now_ms() + patience(5000);
	struct event *event;

	while (now_ms() < end &&
	       !(view->known && view->online == online && view->version == version)) {
		event = sse_next(sse, 100);
		if (event != NULL)
			view_take(view, event, id);
	}
	while ((event = sse_next(sse, 0)) != NULL)
		view_take(view, event, id);
	ck_assert_msg(view->known && view->online == online && view->version == version,
		      "the reader sees %s version %lld, Redis holds %s version %lld",
		      view->online ? "online" : "offline", (long long)view->version,
		      online ? "online" : "offline", (long long)version);
}

START_TEST(changes_during_the_snapshot_are_not_lost)
{
	enum { STREAMS = 50 };
	struct stack *stack = stack_start("stream { max_streams_per_user = 100 }\n"
					  "presence { max_sessions = 1000 }\n");
	struct sse *streams[STREAMS];
	static struct view views[STREAMS];
	const char *friend = token_for(stack, "2");

	for (int i = 0; i < STREAMS; i++) {
		char id[2] = {(char)("13456"[i % 5]), '\0'};

		/* Each opens somewhere between a change and the next one. */
		touch(stack, friend);
		streams[i] = sse_open(stack, token_for(stack, id));
		http_ok(stack, LOGOUT, friend, "");
		friend = token_for(stack, "2");
		touch(stack, friend);
		if (i % 3 == 0) {
			http_ok(stack, LOGOUT, friend, "");
			friend = token_for(stack, "2");
		}
	}
	for (int i = 0; i < STREAMS; i++)
		check_view(stack, streams[i], &views[i], "2");
	for (int i = 0; i < STREAMS; i++)
		sse_close(streams[i]);
	stack_stop(stack);
}
END_TEST

static struct event *check_degraded(struct sse *sse)
{
	struct event *event = sse_wait(sse, "degraded", 10000);

	CHECK_JSON(event->json, "{'reason':'redis_unavailable'}");
	return event;
}

START_TEST(a_lost_redis_is_told_and_its_return_brings_a_new_initial)
{
	struct stack *stack = stack_start(FAST);
	struct sse *one = sse_open(stack, token_for(stack, "1"));
	struct sse *two = sse_open(stack, token_for(stack, "2"));
	struct event *event;

	sse_ready(one);
	sse_ready(two);
	redis_kill(stack);
	check_degraded(one);
	check_degraded(two);
	redis_start(stack, NULL);
	event = sse_wait(one, "initial", 15000);
	ck_assert_msg(json_object_get_boolean(json_at(json_at(event->json, "2"), "is_online")),
		      "user 2 has a stream, but: %s", event->data);
	sse_wait(two, "initial", 15000);
	/* The subscriptions are there again. */
	touch(stack, token_for(stack, "3"));
	sse_wait_change(one, "3", true, 3000);
	sse_wait_change(two, "3", true, 3000);
	sse_close(one);
	sse_close(two);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_opened_while_redis_is_down_waits_for_it)
{
	struct stack *stack = stack_start(FAST);
	struct sse *sse;

	redis_kill(stack);
	sse = sse_open(stack, token_for(stack, "1"));
	ck_assert_int_eq(sse_status(sse), 200);
	next_named(sse, "connected", 5000);
	CHECK_JSON(next_named(sse, "degraded", 5000)->json, "{'reason':'redis_unavailable'}");
	redis_start(stack, NULL);
	sse_wait(sse, "initial", 15000);
	ck_assert(redis_has(stack, "user:online:1"));
	touch(stack, token_for(stack, "3"));
	sse_wait_change(sse, "3", true, 3000);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_cut_subscription_brings_a_new_initial)
{
	struct stack *stack = stack_start(FAST);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	ck_assert_int_ge(redis_int(stack, "CLIENT KILL TYPE pubsub"), 1);
	sse_wait(sse, "initial", 15000);
	touch(stack, token_for(stack, "3"));
	sse_wait_change(sse, "3", true, 3000);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(a_change_of_friends_brings_a_new_initial)
{
	struct stack *stack = stack_start("");
	const char *remove[] = {program("presencectl"),
				"-c",
				stack_path(stack, "presence.conf"),
				"friend",
				"remove",
				"1",
				"2",
				NULL};
	const char *add[] = {program("presencectl"),
			     "-c",
			     stack_path(stack, "presence.conf"),
			     "friend",
			     "add",
			     "1",
			     "2",
			     NULL};
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	ck_assert_int_eq(run(stack, NULL, NULL, remove), 0);
	CHECK_JSON(sse_wait(sse, "initial", 5000)->json,
		   "{" OFFLINE(3) "," OFFLINE(4) "," OFFLINE(5) "," OFFLINE(6) "}");
	ck_assert_int_eq(run(stack, NULL, NULL, add), 0);
	CHECK_JSON(sse_wait(sse, "initial", 5000)->json,
		   "{" OFFLINE(2) "," OFFLINE(3) "," OFFLINE(4) "," OFFLINE(5) "," OFFLINE(6) "}");
	touch(stack, token_for(stack, "2"));
	sse_wait_change(sse, "2", true, 3000);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(friends_that_changed_behind_a_gap_are_noticed)
{
	struct stack *stack = stack_start(FAST);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct event *event;

	sse_ready(sse);
	redis_kill(stack);
	check_degraded(sse);
	remove_friend_silently(stack);
	redis_start(stack, NULL);
	do
		event = sse_wait(sse, "initial", 15000);
	while (json_object_object_get(event->json, "2") != NULL); /* the old list comes first */
	CHECK_JSON(event->json, "{" OFFLINE(3) "," OFFLINE(4) "," OFFLINE(5) "," OFFLINE(6) "}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(friends_that_the_directory_did_not_tell_are_asked_for_again)
{
	struct stack *stack = stack_start(FAST);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	char *database = strdup(stack_path(stack, "users.db"));
	char *aside = strdup(stack_path(stack, "users.aside"));

	sse_ready(sse);
	ck_assert_int_eq(rename(database, aside), 0);
	freeReplyObject(
		redis_cmd(stack, "PUBLISH user:inbox:1 %s", "{\"type\":\"friends_changed\"}"));
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"), "directory: friends:") != NULL, 5000);
	ck_assert_int_eq(rename(aside, database), 0);
	remove_friend_silently(stack);
	CHECK_JSON(sse_wait(sse, "initial", 5000)->json,
		   "{" OFFLINE(3) "," OFFLINE(4) "," OFFLINE(5) "," OFFLINE(6) "}");
	free(database);
	free(aside);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(friends_are_asked_for_when_their_changes_can_be_heard)
{
	struct stack *stack = stack_start("");
	struct sse *sse;

	/* Redis says nothing, so no subscription is confirmed. */
	signal_and_wait_stopped(stack->redis);
	sse = sse_open(stack, token_for(stack, "1"));
	remove_friend_silently(stack);
	kill(stack->redis, SIGCONT);
	CHECK_JSON(sse_wait(sse, "initial", 15000)->json,
		   "{" OFFLINE(3) "," OFFLINE(4) "," OFFLINE(5) "," OFFLINE(6) "}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- goodbyes ----------------------------------------------------------------------------- */

static void check_bye(struct sse *sse, const char *reason, int ms)
{
	struct event *event = sse_wait(sse, "bye", ms);

	CHECK_JSON(event->json, "{'reason':'<string>'}");
	ck_assert_str_eq(json_text(event->json, "reason"), reason);
	ck_assert_msg(sse_next(sse, 100) == NULL, "an event behind bye");
	ck_assert_msg(sse_wait_end(sse, 3000), "the stream goes on behind bye");
}

START_TEST(logout_closes_the_tokens_streams)
{
	struct stack *stack = stack_start("");
	const char *phone = token_for(stack, "1"), *laptop = token_for(stack, "1");
	struct sse *one = sse_open(stack, phone), *two = sse_open(stack, phone);
	struct sse *other = sse_open(stack, laptop), *late;

	sse_ready(one);
	sse_ready(two);
	sse_ready(other);
	http_ok(stack, LOGOUT, phone, "");
	check_bye(one, "revoked", 3000);
	check_bye(two, "revoked", 3000);
	late = sse_open(stack, phone);
	/* Revocation is checked before the first initial; the answer may be 401 or a bye. */
	if (sse_status(late) == 200)
		check_bye(late, "revoked", 3000);
	else
		ck_assert_int_eq(sse_status(late), 401);
	touch(stack, token_for(stack, "2"));
	sse_wait_change(other, "2", true, 3000);
	http_ok(stack, LOGOUT "?all=true", laptop, "");
	check_bye(other, "revoked", 3000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_revoked_token_gets_no_initial)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");
	struct sse *sse;

	http_ok(stack, LOGOUT, token, "");
	sse = sse_open_direct(stack, 0, token);
	if (sse_status(sse) == 200) {
		struct event *event;

		while ((event = sse_next(sse, patience(3000))) != NULL)
			ck_assert_str_ne(event->name, "initial");
	}
	ck_assert(sse_wait_end(sse, 3000));
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_token_revoked_while_redis_was_away_is_noticed)
{
	struct stack *stack = stack_start(FAST);
	const char *token = token_for(stack, "1");
	struct sse *sse = sse_open(stack, token);
	char *key;

	sse_ready(sse);
	redis_kill(stack);
	check_degraded(sse);
	redis_start(stack, NULL);
	ck_assert(asprintf(&key, "presence:revoked:%s", json_text(token_payload(token), "sid")) >
		  0);
	freeReplyObject(redis_cmd(stack, "SET %s 1", key));
	check_bye(sse, "revoked", 15000);
	stack_stop(stack);
}
END_TEST

START_TEST(a_kick_closes_every_stream_of_the_user)
{
	struct stack *stack = stack_start("");
	const char *argv[] = {program("presencectl"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      "kick",
			      "1",
			      NULL};
	struct sse *one = sse_open(stack, token_for(stack, "1"));
	struct sse *friend = sse_open(stack, token_for(stack, "2"));
	struct event *event;

	sse_ready(one);
	sse_ready(friend);
	ck_assert_int_eq(run(stack, NULL, NULL, argv), 0);
	check_bye(one, "revoked", 3000);
	event = sse_wait_change(friend, "1", false, 3000);
	ck_assert_str_eq(json_text(event->json, "reason"), "kicked");
	sse_close(friend);
	stack_stop(stack);
}
END_TEST

START_TEST(a_kick_reaches_a_stream_that_opened_before_redis_was_there)
{
	struct stack *stack = stack_new("");
	const char *argv[] = {program("presencectl"),
			      "-c",
			      stack_path(stack, "presence.conf"),
			      "kick",
			      "1",
			      NULL};
	struct sse *sse;

	streamd_start(stack, 0);
	/* As fast as can be: the token and the kick are of the same second. */
	sse = sse_open_direct(stack, 0, token_for(stack, "1"));
	check_degraded(sse);
	redis_start(stack, NULL);
	sse_wait(sse, "initial", 15000);
	ck_assert_int_eq(run(stack, NULL, NULL, argv), 0);
	check_bye(sse, "revoked", 3000);
	ck_assert(!redis_has(stack, "user:online:1"));
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_ends_with_its_token)
{
	struct stack *stack = stack_start("");
	int64_t start = now_ms();
	struct sse *sse = sse_open(stack, token_until(stack, "1", 2));

	check_bye(sse, "token_expired", 5000);
	ck_assert_int_ge(now_ms() - start, 900); /* exp has whole seconds */
	stack_stop(stack);
}
END_TEST

START_TEST(a_stopping_streamd_says_goodbye_over_its_drain_and_exits_well)
{
	enum { STREAMS = 20 };
	struct stack *stack = stack_start(FAST "stream { drain = 2 max_streams_per_user = 100 }\n");
	struct sse *streams[STREAMS];
	int64_t start, first = 0, last = 0;

	for (int i = 0; i < STREAMS; i++) {
		char id[2] = {(char)('1' + i % 6), '\0'};

		streams[i] = sse_open(stack, token_for(stack, id));
		sse_ready(streams[i]);
	}
	start = now_ms();
	kill(stack->streamd[0], SIGTERM);
	for (int left = STREAMS; left > 0;) {
		ck_assert_int_lt(now_ms() - start, patience(2000) + 3000);
		for (int i = 0; i < STREAMS; i++) {
			struct event *event = streams[i] != NULL ? sse_next(streams[i], 1) : NULL;

			if (event == NULL || strcmp(event->name, "bye") != 0)
				continue;
			ck_assert_str_eq(json_text(event->json, "reason"), "shutdown");
			last = now_ms() - start;
			first = first == 0 ? last : first;
			sse_close(streams[i]);
			streams[i] = NULL;
			left--;
		}
	}
	ck_assert_msg(last - first >= 500, "goodbyes came between %lld and %lld ms of 2000",
		      (long long)first, (long long)last);
	ck_assert_int_eq(streamd_end(stack, 0, 0), 0);
	stack_stop(stack);
}
END_TEST

static bool is_read(int fd)
{
	int unread = -1;

	return ioctl(fd, SIOCOUTQ, &unread) == 0 && unread == 0;
}

static bool has(const struct printbuf *records, const char *text)
{
	return memmem(records->buf, buf_len(records), text, strlen(text)) != NULL;
}

START_TEST(a_stream_that_opens_while_streamd_stops_is_told)
{
	struct stack *stack = stack_start("stream { drain = 300 }\n");
	struct printbuf *request = buf_new(), *answer = buf_new();
	int fd = wire_connect(streamd_socket(stack, 0));

	/* Redis says nothing, so it stays on its way. */
	signal_and_wait_stopped(stack->redis);
	wire_stream_request(request, STREAM, token_for(stack, "1"));
	ck_assert_int_eq(send(fd, request->buf, buf_len(request), MSG_NOSIGNAL), buf_len(request));
	WAIT_UNTIL(is_read(fd), 5000);
	kill(stack->streamd[0], SIGTERM);
	WAIT_UNTIL(strstr(stack_file(stack, "streamd0.log"), "1 streams end within") != NULL, 5000);
	kill(stack->redis, SIGCONT);
	for (int64_t end = now_ms() + patience(5000); now_ms() < end;) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		char piece[4096];
		ssize_t len = poll(&readable, 1, 100) == 1 ? recv(fd, piece, sizeof piece, 0) : -1;

		if (len == 0)
			break;
		if (len > 0)
			buf_put(answer, piece, (size_t)len);
	}
	ck_assert_msg(has(answer, "event: connected"), "no stream was opened");
	ck_assert_msg(has(answer, "{\"reason\":\"shutdown\"}"),
		      "the stream was opened and not told of the end");
	close(fd);
	ck_assert_int_eq(streamd_end(stack, 0, 0), 0);
	printbuf_free(request);
	printbuf_free(answer);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_has_a_lifetime)
{
	struct stack *stack = stack_start("stream { max_lifetime = 2 }");
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	int64_t start;

	sse_ready(sse);
	start = now_ms();
	check_bye(sse, "lifetime", 2400 + 2000);
	ck_assert_int_ge(now_ms() - start, 1000); /* 80 % of 2 s, less the opening */
	stack_stop(stack);
}
END_TEST

START_TEST(a_client_that_closes_ends_its_session)
{
	struct stack *stack = stack_start("presence { grace = 0 }");
	struct sse *by_fin = sse_open(stack, token_for(stack, "1"));
	struct sse *by_reset = sse_open(stack, token_for(stack, "2"));

	sse_ready(by_fin);
	sse_ready(by_reset);
	sse_close(by_fin);
	WAIT_UNTIL(!redis_has(stack, "user:online:1"), 3000);
	sse_abort(by_reset);
	WAIT_UNTIL(!redis_has(stack, "user:online:2"), 3000);
	stack_stop(stack);
}
END_TEST

START_TEST(streamd_starts_again_on_its_socket)
{
	struct stack *stack = stack_start(FAST);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	streamd_end(stack, 0, SIGKILL); /* leaves the socket's file behind */
	ck_assert(sse_wait_end(sse, 3000));
	streamd_start(stack, 0);
	sse = sse_open(stack, token_for(stack, "1"));
	sse_ready(sse);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- slow readers ------------------------------------------------------------------------- */

/* Publishes changes of user 2, some kB each, so that few of them fill every buffer. */
static void publish_padded(struct stack *stack, int count, int *version)
{
	static char padding[4000];

	memset(padding, 'x', sizeof padding - 1);
	for (int i = 0; i < count; i++)
		redis_int(stack,
			  "PUBLISH user:status:2 {\"user_id\":2,\"is_online\":true,\"status\":"
			  "\"online\",\"version\":%d,\"padding\":\"%s\"}",
			  ++*version, padding);
}

/* Reads up to the change of this version. */
static void read_to_version(struct sse *sse, int version)
{
	struct event *event;

	do
		event = sse_wait(sse, "status_change", 5000);
	while (json_object_get_int(json_at(event->json, "version")) != version);
}

START_TEST(a_slow_reader_is_resynchronised_and_delays_nobody)
{
	struct stack *stack = stack_start("");
	struct sse *slow = sse_open_direct(stack, 0, token_for(stack, "1"));
	struct sse *fast = sse_open_direct(stack, 0, token_for(stack, "3"));
	struct event *event;
	int version = 0, changes = 0;

	sse_ready(slow);
	sse_ready(fast);
	for (int i = 0; i < 40; i++) {
		int64_t start = now_ms();

		publish_padded(stack, 10, &version);
		read_to_version(fast, version);
		ck_assert_msg(now_ms() - start < patience(1000), "10 changes took %lld ms",
			      (long long)(now_ms() - start));
	}
	/* 400 changes of 4 kB are more than socket and queue hold. */
	do {
		event = sse_next(slow, patience(5000));
		ck_assert_msg(event != NULL, "no initial came behind %d changes", changes);
		changes += strcmp(event->name, "status_change") == 0;
	} while (strcmp(event->name, "initial") != 0);
	ck_assert_msg(changes < 400, "all changes came: the reader was not slow");
	CHECK_JSON(event->json,
		   "{'2':'<any>','3':'<any>'," OFFLINE(4) "," OFFLINE(5) "," OFFLINE(6) "}");
	publish_padded(stack, 1, &version);
	read_to_version(slow, version);
	sse_close(slow);
	sse_close(fast);
	stack_stop(stack);
}
END_TEST

START_TEST(a_slow_reader_behind_the_web_server_is_resynchronised)
{
	struct stack *stack = stack_start("stream { queue_limit = 8192 }");
	struct sse *slow = sse_open(stack, token_for(stack, "1"));
	struct event *event;
	int version = 0, changes = 0;

	sse_ready(slow);
	/* lighttpd stops reading at about 60 kB, but the kernel holds megabytes for a TCP peer. */
	publish_padded(stack, 4000, &version);
	do {
		event = sse_next(slow, patience(10000));
		ck_assert_msg(event != NULL, "no initial came behind %d changes", changes);
		changes += strcmp(event->name, "status_change") == 0;
	} while (strcmp(event->name, "initial") != 0);
	ck_assert_int_lt(changes, 4000);
	sse_close(slow);
	stack_stop(stack);
}
END_TEST

START_TEST(a_reader_that_reads_nothing_for_two_heartbeats_is_closed)
{
	struct stack *stack = stack_start(FAST "stream { queue_limit = 8192 }\n");
	struct sse *stuck = sse_open_direct(stack, 0, token_for(stack, "1")), *lazy;
	int version = 0;
	int64_t start = now_ms();

	sse_ready(stuck);
	publish_padded(stack, 400, &version);
	lazy = sse_open_direct(stack, 0, token_for(stack, "3"));
	sse_ready(lazy);
	/* Neither is read from now on, but only the first has a full socket. Its session ends. */
	WAIT_UNTIL(!redis_has(stack, "user:sessions:1"), 2000 + 1000 + 2000 + 2000);
	ck_assert_int_ge(now_ms() - start, 1000);
	ck_assert(sse_wait_end(stuck, 3000));
	for (int i = 0; i < 5; i++)
		sse_wait(lazy, "heartbeat", 3000);
	ck_assert(!sse_ended(lazy));
	sse_close(lazy);
	stack_stop(stack);
}
END_TEST

static int unread(struct sse *sse)
{
	int bytes = 0;

	ck_assert_int_eq(ioctl(sse_fd(sse), FIONREAD, &bytes), 0);
	return bytes;
}

START_TEST(padding_follows_what_is_sent_and_counts_in_no_queue)
{
	struct stack *stack = stack_start("stream { padding = 262144 queue_limit = 4096 }");
	struct sse *sse = sse_open_direct(stack, 0, token_for(stack, "1"));

	sse_ready(sse);
	touch(stack, token_for(stack, "2"));
	/* More than the socket holds: what comes now waits behind the padding. */
	WAIT_UNTIL(unread(sse) > 50000, 5000);
	touch(stack, token_for(stack, "3"));
	touch(stack, token_for(stack, "4"));
	ck_assert_str_eq(json_text(next_named(sse, "status_change", 5000)->json, "user_id"), "2");
	ck_assert_str_eq(json_text(next_named(sse, "status_change", 5000)->json, "user_id"), "3");
	ck_assert_str_eq(json_text(next_named(sse, "status_change", 5000)->json, "user_id"), "4");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

/* --- refusals ----------------------------------------------------------------------------- */

START_TEST(a_stream_without_a_valid_token_is_refused)
{
	struct stack *stack = stack_start("");
	const char *expired = token_until(stack, "1", -1);

	check_problem(HTTP(stack, .path = STREAM), 401, "token_missing");
	check_problem(HTTP(stack, .path = STREAM, .token = "garbage"), 401, "token_invalid");
	check_problem(HTTP(stack, .path = STREAM, .token = expired), 401, "token_expired");
	check_problem(HTTP(stack, .path = STREAM "?token=garbage"), 401, "token_invalid");
	check_problem(HTTP(stack, .path = STREAM "?token=%20"), 401, "token_invalid");
	check_problem(HTTP(stack, .path = STREAM "?token="), 401, NULL);
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 0);
	stack_stop(stack);
}
END_TEST

START_TEST(another_method_than_get_is_refused)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH"};
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");

	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct response *response = HTTP(stack, .method = methods[i], .path = STREAM,
						 .token = token, .body = "{}");

		check_problem(response, 405, "method_not_allowed");
		ck_assert(strstr(header_of(response->head, "Allow"), "GET") != NULL);
	}
	stack_stop(stack);
}
END_TEST

START_TEST(another_path_is_not_found)
{
	struct stack *stack = stack_start("");
	const char *token = token_for(stack, "1");

	check_problem(HTTP(stack, .path = STREAM "/x", .token = token), 404, "not_found");
	check_problem(HTTP(stack, .path = STREAM "s", .token = token), 404, "not_found");
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_over_max_streams_is_refused)
{
	struct stack *stack = stack_start("stream { max_streams = 2 }");
	struct sse *one = sse_open(stack, token_for(stack, "1"));
	struct sse *two = sse_open(stack, token_for(stack, "2"));

	sse_ready(one);
	sse_ready(two);
	check_problem(HTTP(stack, .path = STREAM, .token = token_for(stack, "3")), 503,
		      "server_full");
	sse_close(one);
	/* Its place is free again. */
	for (int64_t end = now_ms() + patience(3000);; nap()) {
		struct sse *three = sse_open(stack, token_for(stack, "3"));
		int status = sse_status(three);

		sse_close(three);
		if (status == 200)
			break;
		ck_assert_msg(now_ms() < end, "the place is not free: status %d", status);
	}
	sse_close(two);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_over_max_streams_per_user_is_refused)
{
	struct stack *stack = stack_start("stream { max_streams_per_user = 2 }");
	const char *token = token_for(stack, "1");
	struct sse *one = sse_open(stack, token), *two = sse_open(stack, token_for(stack, "1"));
	struct sse *other;

	sse_ready(one);
	sse_ready(two);
	check_problem(HTTP(stack, .path = STREAM, .token = token), 429, "too_many_streams");
	other = sse_open(stack, token_for(stack, "2"));
	sse_ready(other);
	sse_close(one);
	sse_close(two);
	sse_close(other);
	stack_stop(stack);
}
END_TEST

START_TEST(streams_per_user_are_counted_over_all_streamds)
{
	struct stack *stack = stack_start("stream { max_streams_per_user = 2 }");
	const char *token = token_for(stack, "1");
	struct sse *one, *two, *three;

	streamd_start(stack, 1);
	one = sse_open_direct(stack, 0, token);
	two = sse_open_direct(stack, 1, token);
	sse_ready(one);
	sse_ready(two);
	three = sse_open_direct(stack, 1, token);
	ck_assert_int_eq(sse_status(three), 429);
	sse_close(one);
	sse_close(two);
	sse_close(three);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tcase = harness_case(suite, "shapes and order", 30);

	tcase_add_test(tcase, a_stream_starts_with_connected_then_initial);
	tcase_add_test(tcase, the_token_may_come_in_the_query);
	tcase_add_test(tcase, a_user_without_friends_gets_an_empty_initial);
	tcase_add_test(tcase, the_retry_hint_is_jittered);
	tcase_add_test(tcase, a_friends_changes_arrive_and_a_strangers_do_not);
	tcase_add_test(tcase, a_status_change_is_the_message_of_the_channel_unchanged);
	tcase_add_test(tcase, a_message_of_more_than_one_line_is_dropped);
	tcase_add_test(tcase, heartbeats_come_and_renew_the_session);

	tcase = harness_case(suite, "nothing is lost", 60);
	tcase_add_test(tcase, changes_during_the_snapshot_are_not_lost);
	tcase_add_test(tcase, a_lost_redis_is_told_and_its_return_brings_a_new_initial);
	tcase_add_test(tcase, a_stream_opened_while_redis_is_down_waits_for_it);
	tcase_add_test(tcase, a_cut_subscription_brings_a_new_initial);
	tcase_add_test(tcase, a_change_of_friends_brings_a_new_initial);
	tcase_add_test(tcase, friends_that_changed_behind_a_gap_are_noticed);
	tcase_add_test(tcase, friends_that_the_directory_did_not_tell_are_asked_for_again);
	tcase_add_test(tcase, friends_are_asked_for_when_their_changes_can_be_heard);

	tcase = harness_case(suite, "goodbyes", 40);
	tcase_add_test(tcase, logout_closes_the_tokens_streams);
	tcase_add_test(tcase, a_revoked_token_gets_no_initial);
	tcase_add_test(tcase, a_token_revoked_while_redis_was_away_is_noticed);
	tcase_add_test(tcase, a_kick_closes_every_stream_of_the_user);
	tcase_add_test(tcase, a_kick_reaches_a_stream_that_opened_before_redis_was_there);
	tcase_add_test(tcase, a_stream_ends_with_its_token);
	tcase_add_test(tcase, a_stopping_streamd_says_goodbye_over_its_drain_and_exits_well);
	tcase_add_test(tcase, a_stream_that_opens_while_streamd_stops_is_told);
	tcase_add_test(tcase, a_stream_has_a_lifetime);
	tcase_add_test(tcase, a_client_that_closes_ends_its_session);
	tcase_add_test(tcase, streamd_starts_again_on_its_socket);

	tcase = harness_case(suite, "slow readers", 60);
	tcase_add_test(tcase, a_slow_reader_is_resynchronised_and_delays_nobody);
	tcase_add_test(tcase, a_slow_reader_behind_the_web_server_is_resynchronised);
	tcase_add_test(tcase, a_reader_that_reads_nothing_for_two_heartbeats_is_closed);
	tcase_add_test(tcase, padding_follows_what_is_sent_and_counts_in_no_queue);

	tcase = harness_case(suite, "refusals", 30);
	tcase_add_test(tcase, a_stream_without_a_valid_token_is_refused);
	tcase_add_test(tcase, another_method_than_get_is_refused);
	tcase_add_test(tcase, another_path_is_not_found);
	tcase_add_test(tcase, a_stream_over_max_streams_is_refused);
	tcase_add_test(tcase, a_stream_over_max_streams_per_user_is_refused);
	tcase_add_test(tcase, streams_per_user_are_counted_over_all_streamds);
	return harness_main(suite);
}
