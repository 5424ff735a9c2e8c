/* Complaints about other presence services, each tried here: who is gone is gone, who is there is there. */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* A token lives far longer than any of these tests: who stays online by that is a ghost. */
#define LONG_TOKENS                                                                        \
	"presence { online_ttl = 300 heartbeat = 1 stream_ttl = 4 grace = 1 sweep = 1 }\n" \
	"stream { drain = 1 }\n"
#define MARKER "6" /* a user who comes and goes to show that all before was heard */

/* --- what was published ------------------------------------------------------------------- */

/* Waits until sweeps went on for so long, by Redis' clock. */
static void wait_for_sweeps(struct stack *stack, int ms)
{
	long long start = redis_int(stack, "GET presence:swept");

	WAIT_UNTIL(redis_int(stack, "GET presence:swept") >= start + ms, ms + 5000);
}

/* The changes of all but the marker that were published so far, as "+1 -2 ", and forgets them. */
static char *heard(struct stack *stack, struct listener *listener)
{
	struct printbuf *out = buf_new();

	CTL(stack, "kick", MARKER);
	touch_user(stack, MARKER);
	for (;;) {
		struct message *message = listener_next(listener, patience(5000));
		const char *id;
		bool online;

		ck_assert_msg(message != NULL, "nothing is published any more; so far: %s",
			      out->buf);
		id = json_text(message->json, "user_id");
		online = json_object_get_boolean(json_at(message->json, "is_online"));
		if (strcmp(id, MARKER) != 0)
			buf_putf(out, "%c%s ", online ? '+' : '-', id);
		else if (online)
			return buf_take(out, NULL);
	}
}

/* Streams of users 1 … count. */
static void open_streams(struct stack *stack, struct sse **streams, const char **tokens, int count)
{
	for (int i = 0; i < count; i++) {
		char id[8];

		snprintf(id, sizeof id, "%d", i + 1);
		tokens[i] = token_for(stack, id);
		streams[i] = sse_open(stack, tokens[i]);
	}
	for (int i = 0; i < count; i++)
		sse_ready(streams[i]);
}

/* Announced, and nothing is left but when it was. */
static void wait_until_gone(struct stack *stack, const char *id, int ms)
{
	WAIT_UNTIL(redis_int(stack, "SISMEMBER online_users %s", id) == 0, ms);
	ck_assert_int_eq(redis_int(stack, "EXISTS user:online:%s user:sessions:%s", id, id), 0);
	ck_assert_ptr_null(redis_text(stack, "ZSCORE presence:deadlines %s", id));
}

/* --- the complaints ----------------------------------------------------------------------- */

/* A phone that leaves the network sends no FIN and acknowledges nothing: it only reads no more. */
START_TEST(a_wifi_drop_leaves_no_ghost)
{
	struct stack *stack = stack_start(LONG_TOKENS "stream { max_lifetime = 3 }\n");
	struct listener *listener = listener_open(stack, "presence:broadcast");
	struct sse *phone = sse_open(stack, token_for(stack, "1"));

	sse_ready(phone);
	wait_until_gone(stack, "1", 15000);
	ck_assert_str_eq(heard(stack, listener), "+1 -1 ");
	sse_abort(phone);
	stack_stop(stack);
}
END_TEST

START_TEST(a_closed_browser_does_not_stay_online)
{
	struct stack *stack = stack_start(LONG_TOKENS);
	struct sse *friend = sse_open(stack, token_for(stack, "2")), *tabs[3];
	const char *token = token_for(stack, "1");

	sse_ready(friend);
	for (int i = 0; i < 3; i++) {
		tabs[i] = sse_open(stack, token);
		sse_ready(tabs[i]);
	}
	touch(stack, token);
	for (int i = 0; i < 3; i++)
		sse_close(tabs[i]);
	sse_wait_change(friend, "1", false, 6000);
	wait_until_gone(stack, "1", 1000);
	sse_close(friend);
	stack_stop(stack);
}
END_TEST

START_TEST(a_deploy_leaves_no_zombies)
{
	struct stack *stack = stack_start(LONG_TOKENS "presence { grace = 3 }\n");
	struct listener *listener = listener_open(stack, "presence:broadcast");
	const char *tokens[4];
	struct sse *streams[4];

	open_streams(stack, streams, tokens, 4);
	free(heard(stack, listener));
	ck_assert_int_eq(streamd_end(stack, 0, SIGTERM), 0);
	for (int i = 0; i < 4; i++)
		sse_close(streams[i]);
	streamd_start(stack, 0);
	/* Users 1 and 2 come back; 3 and 4 have left meanwhile. */
	for (int i = 0; i < 2; i++) {
		streams[i] = sse_open(stack, tokens[i]);
		sse_ready(streams[i]);
	}
	wait_until_gone(stack, "3", 10000);
	wait_until_gone(stack, "4", 10000);
	wait_for_sweeps(stack, 2000);
	check_has_not(heard(stack, listener), "1");
	ck_assert_int_eq(redis_int(stack, "ZCARD presence:deadlines"), 3); /* and the marker */
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 3);
	stack_stop(stack);
}
END_TEST

START_TEST(counts_are_right_after_an_unclean_exit)
{
	struct stack *stack = stack_start(FAST "presence { stream_ttl = 4 }\n");
	const char *tokens[5], *observer = token_for(stack, MARKER);
	struct sse *streams[5];

	open_streams(stack, streams, tokens, 5);
	ck_assert_int_eq(
		json_object_get_int(json_at(http_ok(stack, COUNT, observer, NULL), "count")), 6);
	streamd_end(stack, 0, SIGKILL);
	streamd_start(stack, 0);
	for (int i = 0; i < 2; i++) {
		streams[i] = sse_open(stack, tokens[i]);
		sse_ready(streams[i]);
	}
	WAIT_UNTIL(json_object_get_int(json_at(http_ok(stack, COUNT, observer, NULL), "count")) ==
			   3,
		   15000);
	wait_for_sweeps(stack, 5000);
	ck_assert_int_eq(
		json_object_get_int(json_at(http_ok(stack, COUNT, observer, NULL), "count")), 3);
	stack_stop(stack);
}
END_TEST

START_TEST(the_tabs_of_a_user_join_and_leave_once)
{
	struct stack *stack = stack_start(LONG_TOKENS);
	struct listener *listener = listener_open(stack, "presence:broadcast");
	const char *token = token_for(stack, "1");
	struct sse *tabs[5];

	for (int i = 0; i < 5; i++) {
		tabs[i] = sse_open(stack, token);
		sse_ready(tabs[i]);
	}
	ck_assert_str_eq(heard(stack, listener), "+1 ");
	for (int i = 0; i < 4; i++)
		sse_close(tabs[i]);
	wait_for_sweeps(stack, 3000);
	ck_assert_str_eq(heard(stack, listener), "");
	sse_close(tabs[4]);
	wait_until_gone(stack, "1", 6000);
	wait_for_sweeps(stack, 2000);
	ck_assert_str_eq(heard(stack, listener), "-1 ");
	stack_stop(stack);
}
END_TEST

START_TEST(two_devices_do_not_flip_flop)
{
	struct stack *stack = stack_start(LONG_TOKENS);
	struct listener *listener = listener_open(stack, "presence:broadcast");
	const char *tokens[2] = {token_for(stack, "1"), token_for(stack, "1")};
	struct sse *devices[2];
	char *before;

	for (int i = 0; i < 2; i++) {
		devices[i] = sse_open(stack, tokens[i]);
		sse_ready(devices[i]);
	}
	ck_assert_str_eq(heard(stack, listener), "+1 ");
	before = redis_text(stack, "GET presence:version:1");
	for (int i = 0; i < 12; i++) {
		sse_close(devices[i % 2]);
		devices[i % 2] = sse_open(stack, tokens[i % 2]);
		sse_ready(devices[i % 2]);
	}
	http_ok(stack, LOGOUT, tokens[0], "");
	wait_for_sweeps(stack, 3000);
	ck_assert_str_eq(heard(stack, listener), "");
	ck_assert_str_eq(redis_text(stack, "GET presence:version:1"), before);
	stack_stop(stack);
}
END_TEST

START_TEST(a_user_whom_one_server_lost_stays_online_by_the_other)
{
	struct stack *stack = stack_start(LONG_TOKENS);
	struct listener *listener = listener_open(stack, "presence:broadcast");
	struct sse *laptop, *phone;

	streamd_start(stack, 1);
	laptop = sse_open_direct(stack, 0, token_for(stack, "1"));
	sse_ready(laptop);
	phone = sse_open_direct(stack, 1, token_for(stack, "1"));
	sse_ready(phone);
	ck_assert_str_eq(heard(stack, listener), "+1 ");
	streamd_end(stack, 0, SIGKILL);
	/* Longer than the lost stream's session lives. */
	wait_for_sweeps(stack, 7000);
	ck_assert_str_eq(heard(stack, listener), "");
	ck_assert(redis_has(stack, "user:online:1"));
	sse_close(phone);
	sse_close(laptop);
	stack_stop(stack);
}
END_TEST

START_TEST(a_proxy_that_drops_every_stream_makes_nobody_flap)
{
	struct stack *stack = stack_start(LONG_TOKENS "presence { grace = 8 }\n");
	struct listener *listener = listener_open(stack, "presence:broadcast");
	const char *tokens[5];
	struct sse *streams[5];

	open_streams(stack, streams, tokens, 5);
	free(heard(stack, listener));
	lighttpd_change(stack, NULL, "");
	for (int i = 0; i < 5; i++) {
		ck_assert_msg(sse_wait_end(streams[i], 5000), "stream %d outlived its server", i);
		sse_close(streams[i]);
		streams[i] = sse_open(stack, tokens[i]);
	}
	for (int i = 0; i < 5; i++)
		sse_ready(streams[i]);
	wait_for_sweeps(stack, 10000);
	ck_assert_str_eq(heard(stack, listener), "");
	ck_assert_int_eq(redis_int(stack, "SCARD online_users"), 6);
	stack_stop(stack);
}
END_TEST

START_TEST(a_stream_does_not_outlive_its_token)
{
	struct stack *stack = stack_start(LONG_TOKENS);
	struct listener *listener = listener_open(stack, "presence:broadcast");
	struct sse *sse = sse_open(stack, token_until(stack, "1", 3));

	sse_ready(sse);
	sse_wait_bye(sse, "token_expired", 6000);
	ck_assert_msg(sse_wait_end(sse, 5000), "the stream goes on");
	wait_until_gone(stack, "1", 6000);
	ck_assert_str_eq(heard(stack, listener), "+1 -1 ");
	stack_stop(stack);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ghosts");
	TCase *tcase = harness_case(suite, "ghosts", 60);

	tcase_add_test(tcase, a_wifi_drop_leaves_no_ghost);
	tcase_add_test(tcase, a_closed_browser_does_not_stay_online);
	tcase_add_test(tcase, a_deploy_leaves_no_zombies);
	tcase_add_test(tcase, counts_are_right_after_an_unclean_exit);
	tcase_add_test(tcase, the_tabs_of_a_user_join_and_leave_once);
	tcase_add_test(tcase, two_devices_do_not_flip_flop);
	tcase_add_test(tcase, a_user_whom_one_server_lost_stays_online_by_the_other);
	tcase_add_test(tcase, a_proxy_that_drops_every_stream_makes_nobody_flap);
	tcase_add_test(tcase, a_stream_does_not_outlive_its_token);
	return harness_main(suite);
}
