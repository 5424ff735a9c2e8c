/* Nothing is lost: changes during a snapshot, Redis away and back, friends that change. */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "directory/schema.h"

/* ms: after a wipe nobody new is shown before Redis has the states that were chosen. */
#define RECOVERED 8000

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
	why = schema_remove_friend(directory, &one, &two);
	ck_assert_msg(why == NULL, "%s", why);
	directory_close(directory);
	config_free(config);
}

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

START_TEST(a_lost_redis_is_told_and_its_return_brings_a_new_initial)
{
	struct stack *stack = stack_start(FAST);
	struct sse *one = sse_open(stack, token_for(stack, "1"));
	struct sse *two = sse_open(stack, token_for(stack, "2"));
	struct event *event;

	sse_ready(one);
	sse_ready(two);
	redis_kill(stack);
	sse_wait_degraded(one);
	sse_wait_degraded(two);
	redis_start(stack, NULL);
	event = sse_wait(one, "initial", 15000);
	ck_assert_msg(json_object_get_boolean(json_at(json_at(event->json, "2"), "is_online")),
		      "user 2 has a stream, but: %s", event->data);
	sse_wait(two, "initial", 15000);
	/* The subscriptions are there again. */
	touch(stack, token_for(stack, "3"));
	sse_wait_change(one, "3", true, RECOVERED);
	sse_wait_change(two, "3", true, RECOVERED);
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
	sse_expect(sse, "connected", 5000);
	CHECK_JSON(sse_expect(sse, "degraded", 5000)->json, "{'reason':'redis_unavailable'}");
	redis_start(stack, NULL);
	sse_wait(sse, "initial", 15000);
	WAIT_UNTIL(redis_has(stack, "user:online:1"), RECOVERED);
	touch(stack, token_for(stack, "3"));
	sse_wait_change(sse, "3", true, RECOVERED);
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
	struct sse *sse = sse_open(stack, token_for(stack, "1"));

	sse_ready(sse);
	CTL(stack, "friend", "remove", "1", "2");
	CHECK_JSON(sse_wait(sse, "initial", 5000)->json,
		   "{" NEVER_SEEN_AT(3) "," NEVER_SEEN_AT(4) "," NEVER_SEEN_AT(5) "," NEVER_SEEN_AT(
			   6) "}");
	CTL(stack, "friend", "add", "1", "2");
	CHECK_JSON(sse_wait(sse, "initial", 5000)->json,
		   "{" NEVER_SEEN_AT(2) "," NEVER_SEEN_AT(3) "," NEVER_SEEN_AT(4) "," NEVER_SEEN_AT(
			   5) "," NEVER_SEEN_AT(6) "}");
	touch(stack, token_for(stack, "2"));
	sse_wait_change(sse, "2", true, 3000);
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

START_TEST(friends_that_changed_after_a_gap_are_noticed)
{
	struct stack *stack = stack_start(FAST);
	struct sse *sse = sse_open(stack, token_for(stack, "1"));
	struct event *event;

	sse_ready(sse);
	redis_kill(stack);
	sse_wait_degraded(sse);
	remove_friend_silently(stack);
	redis_start(stack, NULL);
	do
		event = sse_wait(sse, "initial", 15000);
	while (json_object_object_get(event->json, "2") != NULL); /* the old list comes first */
	CHECK_JSON(event->json, "{" NEVER_SEEN_AT(3) "," NEVER_SEEN_AT(4) "," NEVER_SEEN_AT(
					5) "," NEVER_SEEN_AT(6) "}");
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
		   "{" NEVER_SEEN_AT(3) "," NEVER_SEEN_AT(4) "," NEVER_SEEN_AT(5) "," NEVER_SEEN_AT(
			   6) "}");
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
		   "{" NEVER_SEEN_AT(3) "," NEVER_SEEN_AT(4) "," NEVER_SEEN_AT(5) "," NEVER_SEEN_AT(
			   6) "}");
	sse_close(sse);
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gaps of a stream");
	TCase *tcase = harness_case(suite, "gaps", 60);

	tcase_add_test(tcase, changes_during_the_snapshot_are_not_lost);
	tcase_add_test(tcase, a_lost_redis_is_told_and_its_return_brings_a_new_initial);
	tcase_add_test(tcase, a_stream_opened_while_redis_is_down_waits_for_it);
	tcase_add_test(tcase, a_cut_subscription_brings_a_new_initial);
	tcase_add_test(tcase, a_change_of_friends_brings_a_new_initial);
	tcase_add_test(tcase, friends_that_changed_after_a_gap_are_noticed);
	tcase_add_test(tcase, friends_that_the_directory_did_not_tell_are_asked_for_again);
	tcase_add_test(tcase, friends_are_asked_for_when_their_changes_can_be_heard);
	return harness_main(suite);
}
