/*
 * Redis or every presence-streamd stood still, or Redis was wiped: no user with a
 * stream that is open is taken for gone. The history is made by hand: sessions
 * that lapsed, and the time of the last sweep.
 */
#include "operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMES "presence { online_ttl = 100 stream_ttl = 50 grace = 10 heartbeat = 20 sweep = 1 }\n"

static struct listener *listener;

/* A Redis that nobody has greeted. */
static void setup_unknown(void)
{
	call_start(TIMES);
	redis_int(stack, "DEL presence:epoch");
}

static void setup(void)
{
	call_start(TIMES);
}

static int64_t redis_now(void)
{
	return redis_int(
		stack, "EVAL %s 0",
		"local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)");
}

/* The last sweep of a presence-streamd was so long ago. */
static void swept_ago(int64_t ms)
{
	freeReplyObject(redis_cmd(stack, "SET presence:swept %lld", (long long)(redis_now() - ms)));
}

/* A session's deadline was so long ago. */
static void lapsed_ago(const char *id, const char *session, int64_t ms)
{
	char key[64];

	snprintf(key, sizeof key, "user:sessions:%s", id);
	redis_int(stack, "ZADD %s %lld %s", key, (long long)(redis_now() - ms), session);
	redis_int(stack, "ZADD presence:deadlines %lld %s", (long long)(redis_now() - ms), id);
}

/* Everybody's keys ran out while Redis stood still. */
static void key_ran_out(const char *id)
{
	char key[64];

	snprintf(key, sizeof key, "user:online:%s", id);
	ck_assert_int_eq(redis_int(stack, "DEL %s", key), 1);
}

/* User 1 has two tabs of one token, which were open when everything stood still for so long. */
static void pause_two_tabs(int64_t ms)
{
	call_sweep(true);
	call_touch("1", "a", "tab1", "stream_open");
	call_touch("1", "a", "tab2", "stream_open");
	lapsed_ago("1", "s:a:tab1", ms);
	lapsed_ago("1", "s:a:tab2", ms);
	lapsed_ago("1", "t:a", ms);
	key_ran_out("1");
	swept_ago(ms + 50000);
	listener = listener_open(stack, "user:status:*");
}

START_TEST(a_tab_that_closes_after_a_pause_leaves_the_other_tab_online)
{
	pause_two_tabs(1000);
	call_close("1", "a", "tab1");
	call_check_silence(listener);
	ck_assert(call_is_online("1"));
	call_renew("1", "a", "tab2");
	call_check_silence(listener);
}
END_TEST

START_TEST(a_logout_after_a_pause_leaves_another_devices_tab_online)
{
	pause_two_tabs(1000);
	call_touch("1", "phone", NULL, "activity");
	ck_assert_int_eq(call_end("1", "phone", false, "logout"), STORE_DONE);
	call_check_silence(listener);
	ck_assert(call_is_online("1"));
}
END_TEST

START_TEST(a_new_session_after_a_pause_pushes_no_tab_out)
{
	pause_two_tabs(1000);
	call_touch("1", "phone", NULL, "activity");
	ck_assert_str_ne(redis_text(stack, "ZSCORE user:sessions:1 s:a:tab1"), "");
	ck_assert_ptr_nonnull(redis_text(stack, "ZSCORE user:sessions:1 s:a:tab2"));
}
END_TEST

START_TEST(after_a_pause_tabs_that_are_spared_count_as_streams)
{
	const int max = config->stream.max_streams_per_user;
	char session[24] = "s:a:";

	for (int i = 0; i < max; i++) {
		snprintf(session + 4, sizeof session - 4, "tab%d", i);
		ck_assert_int_eq(call_touch("1", "a", session + 4, "stream_open"), STORE_DONE);
	}
	swept_ago(60000);
	for (int i = 0; i < max; i++) {
		snprintf(session + 4, sizeof session - 4, "tab%d", i);
		lapsed_ago("1", session, 1000);
	}
	ck_assert_int_eq(call_touch("1", "a", "late", "stream_open"), STORE_TOO_MANY);
	ck_assert_int_eq(call_renew("1", "a", "tab0"), STORE_DONE);
}
END_TEST

/* A killed process left tab2's session, which had lapsed while all was well. */
START_TEST(what_lapsed_before_a_pause_is_not_alive_after_it)
{
	call_touch("1", "a", "tab1", "stream_open");
	call_touch("1", "a", "tab2", "stream_open");
	call_sweep(true);
	call_lapse("1", "s:a:tab2");
	call_renew("1", "a", "tab1");
	swept_ago(60000);
	call_close("1", "a", "tab1");
	ck_assert_int_le(redis_int(stack, "PTTL user:online:1"), 10001);
}
END_TEST

START_TEST(the_last_tab_that_closes_after_a_pause_ends_its_user)
{
	pause_two_tabs(1000);
	call_close("1", "a", "tab1");
	call_close("1", "a", "tab2");
	call_check_change(listener, "1", false, "stream_closed");
	ck_assert(!call_is_online("1"));
}
END_TEST

START_TEST(a_renewal_after_a_pause_announces_nobody_who_never_looked_offline)
{
	long long version;

	pause_two_tabs(1000);
	version = redis_int(stack, "GET presence:version:1");
	call_renew("1", "a", "tab1");
	call_check_silence(listener);
	ck_assert(call_is_online("1"));
	ck_assert_int_eq(redis_int(stack, "GET presence:version:1"), version);
	CHECK_JSON(json_tokener_parse(redis_text(stack, "GET user:online:1")),
		   "{'user_id':1,'is_online':true,'status':'online','last_activity':'<time>',"
		   "'version':'<version>'}");
}
END_TEST

START_TEST(the_first_sweep_after_a_pause_brings_back_keys_that_ran_out)
{
	pause_two_tabs(1000);
	call_sweep(true);
	call_check_silence(listener);
	ck_assert(call_is_online("1"));
	ck_assert_int_le(redis_int(stack, "PTTL user:online:1"), 21000);
}
END_TEST

START_TEST(a_worker_looks_twice_after_a_pause)
{
	pause_two_tabs(1000);
	call_touch("2", "b", NULL, "activity");
	lapsed_ago("2", "t:b", 1000);
	key_ran_out("2");
	ck_assert_msg(call_touch_as_worker("9", "w"), "the worker was not told to look twice");
	ck_assert_msg(call_look("1") != NULL, "user 1 has streams that may be open");
	ck_assert_msg(call_look("2") == NULL, "user 2 has none");
	ck_assert_msg(call_look("77") == NULL, "user 77 was never here");
}
END_TEST

START_TEST(a_second_look_finds_what_was_chosen_and_who_is_idle)
{
	const char *told;

	freeReplyObject(redis_cmd(stack, "SET user:chosen:1 {\"status\":\"busy\",\"text\":\"t\"}"));
	pause_two_tabs(1000);
	told = call_look("1");
	ck_assert_ptr_nonnull(told);
	ck_assert_ptr_nonnull(strstr(told, "\"status\":\"busy\""));
	ck_assert_ptr_nonnull(strstr(told, "\"text\":\"t\""));
	freeReplyObject(redis_cmd(stack, "DEL user:chosen:1"));
	freeReplyObject(redis_cmd(stack, "HSET user:idle:1 a 1"));
	ck_assert_ptr_nonnull(strstr(call_look("1"), "\"status\":\"away\""));
}
END_TEST

START_TEST(a_worker_believes_a_key_that_is_missing_while_sweeps_are_regular)
{
	call_sweep(true);
	ck_assert(!call_touch_as_worker("9", "w"));
}
END_TEST

START_TEST(a_worker_believes_a_key_that_is_missing_where_no_streamd_ever_swept)
{
	ck_assert(!call_touch_as_worker("9", "w"));
	ck_assert(!redis_has(stack, "presence:hold"));
}
END_TEST

START_TEST(the_first_worker_after_a_very_long_pause_expires_nobody_who_has_a_stream)
{
	pause_two_tabs(500000); /* much longer than twice stream_ttl */
	for (int i = 0; i < 3; i++) {
		redis_int(stack, "DEL presence:sweeping");
		call_touch_as_worker("1", "phone");
		redis_int(stack, "DEL presence:sweeping");
		call_touch_as_worker("9", "w");
	}
	ck_assert(call_is_online("1"));
	ck_assert_ptr_nonnull(redis_text(stack, "ZSCORE user:sessions:1 s:a:tab1"));
}
END_TEST

/* --- what changes while a user is spared -------------------------------------------------------- */

/* What others were told is not in Redis any more, and they must be told all the same. */
static void check_told(const char *status, const char *reason)
{
	struct message *message = listener_next(listener, 2000);

	ck_assert_msg(message != NULL, "nobody was told that user 1 is %s", status);
	ck_assert_str_eq(message->channel, "user:status:1");
	ck_assert_str_eq(json_object_get_string(json_at(message->json, "status")), status);
	ck_assert_str_eq(json_object_get_string(json_at(message->json, "reason")), reason);
	call_check_silence(listener);
}

static void touch_idle(const char *tok, const char *stream, enum store_idle idle)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user("1");
	struct store_touch item = {.user = &who,
				   .tok = tok,
				   .iat = 1000,
				   .stream = stream,
				   .token = true,
				   .reason = "activity",
				   .idle = idle};
	redisReply *reply;

	store_put_touch(out, store, false, &item, 1);
	reply = call_run(out);
	ck_assert_int_eq(store_read_touch(reply, 0), STORE_DONE);
	reply_free(reply);
}

START_TEST(a_state_that_is_chosen_after_a_pause_is_told)
{
	struct printbuf *out = buf_new();
	struct userid who = call_user("1");
	struct store_choose choice = {
		.user = &who, .tok = "a", .iat = 1000, .state = "{\"status\":\"busy\""};

	pause_two_tabs(1000);
	store_put_choose(out, store, &choice);
	reply_free(call_run(out));
	check_told("busy", "status");
}
END_TEST

START_TEST(who_says_idle_after_a_pause_is_told)
{
	pause_two_tabs(1000);
	touch_idle("a", NULL, STORE_IDLE);
	check_told("away", "idle");
}
END_TEST

/* User 1 has a second device, that is idle and has a tab; all stood still. */
static void pause_with_idle_device(void)
{
	call_sweep(true);
	call_touch("1", "a", "tab1", "stream_open");
	touch_idle("b", "tab2", STORE_BORN_IDLE);
	lapsed_ago("1", "s:a:tab1", 1000);
	lapsed_ago("1", "s:b:tab2", 1000);
	lapsed_ago("1", "t:a", 1000);
	lapsed_ago("1", "t:b", 1000);
	key_ran_out("1");
	swept_ago(51000);
	listener = listener_open(stack, "user:status:*");
}

START_TEST(who_closes_the_active_tab_after_a_pause_is_told)
{
	pause_with_idle_device();
	call_close("1", "a", "tab1");
	check_told("away", "idle");
}
END_TEST

START_TEST(who_logs_the_active_device_out_after_a_pause_is_told)
{
	pause_with_idle_device();
	ck_assert_int_eq(call_end("1", "a", false, "logout"), STORE_DONE);
	check_told("away", "idle");
}
END_TEST

/* --- holds --------------------------------------------------------------------------------------- */

START_TEST(a_hold_is_granted_once_where_no_streamd_comes_back)
{
	pause_two_tabs(500000);
	call_touch_as_worker("9", "w");
	ck_assert(redis_has(stack, "presence:hold"));
	redis_int(stack, "DEL presence:hold"); /* it is over */
	redis_int(stack, "DEL presence:sweeping");
	redis_int(stack, "ZADD presence:deadlines 1 1");
	call_touch_as_worker("9", "w");
	ck_assert(!redis_has(stack, "presence:hold"));
	ck_assert(!call_is_online("1"));
}
END_TEST

START_TEST(a_streamd_that_comes_back_grants_the_hold_anew)
{
	pause_two_tabs(500000);
	call_touch_as_worker("9", "w");
	redis_int(stack, "DEL presence:hold");
	call_sweep(true);
	ck_assert(redis_has(stack, "presence:hold"));
	ck_assert(call_is_online("1"));
}
END_TEST

START_TEST(with_the_shortest_times_a_pause_is_noticed_before_a_session_can_lapse)
{
	call_stop();
	call_start(
		"presence { online_ttl = 2 heartbeat = 1 stream_ttl = 3 grace = 1 sweep = 1 }\n");
	/* Renewed a heartbeat before, Redis stood still until the session lapsed. */
	call_sweep(true);
	call_touch("1", "a", "tab1", "stream_open");
	lapsed_ago("1", "s:a:tab1", 1);
	lapsed_ago("1", "t:a", 1);
	swept_ago(2001);
	listener = listener_open(stack, "user:status:*");
	call_sweep(true);
	call_check_silence(listener);
	ck_assert(call_is_online("1"));
}
END_TEST

/*
 * The one order in which nobody is told that a user is offline and the user is announced online once
 * more: the hold is over, and the stream's renewal comes before the sweep that would have told.
 */
START_TEST(who_is_back_after_the_hold_and_before_a_sweep_is_announced_again)
{
	pause_two_tabs(1000);
	call_sweep(true); /* another process was back in time */
	call_check_silence(listener);
	redis_int(stack, "DEL presence:hold");
	key_ran_out("1");
	call_renew("1", "a", "tab1");
	call_check_change(listener, "1", true, "activity");
	call_renew("1", "a", "tab2");
	call_sweep(true);
	call_check_silence(listener);
}
END_TEST

START_TEST(sweeps_that_are_regular_are_no_pause)
{
	call_stop();
	call_start(
		"presence { online_ttl = 2 heartbeat = 1 stream_ttl = 3 grace = 1 sweep = 1 }\n");
	call_sweep(true);
	swept_ago(1200);
	call_sweep(true);
	ck_assert(!redis_has(stack, "presence:hold"));
}
END_TEST

START_TEST(times_with_which_a_pause_cannot_be_told_are_refused)
{
	struct stack *refused = stack_new("presence { heartbeat = 1 stream_ttl = 3 sweep = 2 }\n");
	char err[512], *file = strdup(stack_path(refused, "presence.conf"));
	struct config *none = config_load(file, err, sizeof err);

	ck_assert_msg(none == NULL, "it was taken");
	ck_assert_msg(strncmp(err, file, strlen(file)) == 0 &&
			      strstr(err, "presence.sweep") != NULL,
		      "instead of FILE:LINE and presence.sweep: %s", err);
	stack_stop(refused);
}
END_TEST

/* --- a wipe ------------------------------------------------------------------------------- */

static const char *ask_epoch(const char *word, const char *known)
{
	struct printbuf *out = buf_new();
	redisReply *reply;
	const char *epoch;

	store_put_epoch(out, store, word, known);
	reply = call_run(out);
	epoch = store_read_epoch(reply);
	ck_assert_ptr_nonnull(epoch);
	epoch = strdup(epoch);
	reply_free(reply);
	return epoch;
}

START_TEST(a_new_redis_is_not_recovering)
{
	ck_assert_str_eq(ask_epoch("first", NULL), "first");
	ck_assert_str_eq(ask_epoch("second", NULL), "first");
	call_sweep(true);
	ck_assert(!redis_has(stack, "presence:recovering"));
}
END_TEST

START_TEST(the_sweep_that_makes_a_new_epoch_says_that_redis_is_recovering)
{
	ask_epoch("first", NULL);
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	call_sweep(true);
	ck_assert_int_gt(redis_int(stack, "PTTL presence:recovering"), 2000);
	ck_assert_int_le(redis_int(stack, "PTTL presence:recovering"), 3000);
}
END_TEST

START_TEST(a_streamd_that_finds_another_epoch_says_that_redis_is_recovering)
{
	ask_epoch("first", NULL);
	ck_assert_str_eq(ask_epoch("word", "first"), "first");
	ck_assert(!redis_has(stack, "presence:recovering"));
	freeReplyObject(redis_cmd(stack, "FLUSHALL"));
	ck_assert_str_eq(ask_epoch("second", "first"), "second");
	ck_assert_int_gt(redis_int(stack, "PTTL presence:recovering"), 2000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pauses");
	TCase *tcase = harness_case(suite, "pauses", 20);

	tcase_add_checked_fixture(tcase, setup, call_stop);
	tcase_add_test(tcase, a_tab_that_closes_after_a_pause_leaves_the_other_tab_online);
	tcase_add_test(tcase, a_logout_after_a_pause_leaves_another_devices_tab_online);
	tcase_add_test(tcase, a_new_session_after_a_pause_pushes_no_tab_out);
	tcase_add_test(tcase, after_a_pause_tabs_that_are_spared_count_as_streams);
	tcase_add_test(tcase, what_lapsed_before_a_pause_is_not_alive_after_it);
	tcase_add_test(tcase, the_last_tab_that_closes_after_a_pause_ends_its_user);
	tcase_add_test(tcase, a_renewal_after_a_pause_announces_nobody_who_never_looked_offline);
	tcase_add_test(tcase, the_first_sweep_after_a_pause_brings_back_keys_that_ran_out);
	tcase_add_test(tcase, a_worker_looks_twice_after_a_pause);
	tcase_add_test(tcase, a_second_look_finds_what_was_chosen_and_who_is_idle);
	tcase_add_test(tcase, a_worker_believes_a_key_that_is_missing_while_sweeps_are_regular);
	tcase_add_test(tcase, a_worker_believes_a_key_that_is_missing_where_no_streamd_ever_swept);
	tcase_add_test(tcase,
		       the_first_worker_after_a_very_long_pause_expires_nobody_who_has_a_stream);
	tcase_add_test(tcase, a_state_that_is_chosen_after_a_pause_is_told);
	tcase_add_test(tcase, who_says_idle_after_a_pause_is_told);
	tcase_add_test(tcase, who_closes_the_active_tab_after_a_pause_is_told);
	tcase_add_test(tcase, who_logs_the_active_device_out_after_a_pause_is_told);
	tcase_add_test(tcase, a_hold_is_granted_once_where_no_streamd_comes_back);
	tcase_add_test(tcase, a_streamd_that_comes_back_grants_the_hold_anew);
	tcase_add_test(tcase,
		       with_the_shortest_times_a_pause_is_noticed_before_a_session_can_lapse);
	tcase_add_test(tcase, who_is_back_after_the_hold_and_before_a_sweep_is_announced_again);
	tcase_add_test(tcase, sweeps_that_are_regular_are_no_pause);
	tcase_add_test(tcase, times_with_which_a_pause_cannot_be_told_are_refused);

	tcase = harness_case(suite, "wipes", 20);
	tcase_add_checked_fixture(tcase, setup_unknown, call_stop);
	tcase_add_test(tcase, a_new_redis_is_not_recovering);
	tcase_add_test(tcase, the_sweep_that_makes_a_new_epoch_says_that_redis_is_recovering);
	tcase_add_test(tcase, a_streamd_that_finds_another_epoch_says_that_redis_is_recovering);
	return harness_main(suite);
}
