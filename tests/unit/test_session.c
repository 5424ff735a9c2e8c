/* The table of stream/sessions.h, cell by cell; and the sessions to close. */
#include "unit.h"

#include "base/times.h"
#include "link_stub.h"
#include "stream/closings.h"
#include "stream/sessions.h"

#define DONE "*2\r\n:1\r\n:0\r\n"
#define REVOKED "*2\r\n:1\r\n:1\r\n"
#define TOO_MANY "*2\r\n:1\r\n:2\r\n"
#define FAILED "*2\r\n:1\r\n:3\r\n"

static struct context context;
static struct sessions all;
static struct closings closings;
static struct session one;
static struct due owner;

static void setup(void)
{
	struct token token = {.user = {"1"}, .name = "tok"};

	stub_init(&context);
	sessions_init(&all, &context.partitions[0]);
	closings_init(&closings, &context.partitions[0]);
	owner = (struct due){.request_id = (char *)"r-1"};
	session_init(&one, &owner);
	session_identify(&one, &token);
}

static void teardown(void)
{
	session_close(&all, &one);
	turn_unmark(&context.turn, &owner);
	stub_free(&context);
	closings_free(&closings);
}

static void check(enum session_state state, enum touch_state touch)
{
	ck_assert_str_eq(state_name(&session_states, one.state),
			 state_name(&session_states, state));
	ck_assert_str_eq(state_name(&touch_states, one.touch), state_name(&touch_states, touch));
	ck_assert_msg(all.recovering == (one.state == SESSION_RECOVERING),
		      "%u sessions are counted as recovering", all.recovering);
}

static void check_answer(enum session_answer answer)
{
	ck_assert_str_eq(state_name(&session_answers, one.answer),
			 state_name(&session_answers, answer));
}

static void send_touch(void)
{
	session_touch(&all, &one);
	sessions_flush(&all);
}

/* Brings the session, new until then, into a state with no touch under way. */
static void bring_to(enum session_state state)
{
	switch (state) {
	case SESSION_ABSENT:
		break;
	case SESSION_PENDING:
		send_touch();
		stub_lose(&context);
		session_lost(&all, &one);
		stub_recover(&context);
		break;
	case SESSION_RECOVERING:
		stub_lose(&context);
		session_gap(&all, &one);
		stub_recover(&context);
		break;
	case SESSION_LIVE:
		send_touch();
		stub_answer(&context, DONE);
		break;
	}
	check(state, TOUCH_IDLE);
	turn_unmark(&context.turn, &owner);
}

/* --- touches --------------------------------------------------------------------------------- */

START_TEST(a_touch_is_queued_then_sent)
{
	session_touch(&all, &one);
	check(SESSION_ABSENT, TOUCH_QUEUED);
	sessions_flush(&all);
	check(SESSION_PENDING, TOUCH_SENT);
	ck_assert_uint_eq(stub_waiting(&context), 1);
}
END_TEST

START_TEST(two_touches_in_one_turn_are_one)
{
	session_touch(&all, &one);
	session_touch(&all, &one);
	check(SESSION_ABSENT, TOUCH_QUEUED);
	sessions_flush(&all);
	ck_assert_uint_eq(stub_waiting(&context), 1);
}
END_TEST

START_TEST(a_touch_while_one_is_under_way_is_one_more_after_it)
{
	send_touch();
	session_touch(&all, &one);
	check(SESSION_PENDING, TOUCH_SENT_AGAIN);
	session_touch(&all, &one);
	check(SESSION_PENDING, TOUCH_SENT_AGAIN);
	stub_answer(&context, DONE);
	check(SESSION_LIVE, TOUCH_QUEUED);
}
END_TEST

START_TEST(there_is_no_touch_while_the_link_is_down)
{
	stub_lose(&context);
	session_touch(&all, &one);
	check(SESSION_ABSENT, TOUCH_IDLE);
}
END_TEST

START_TEST(the_first_touch_opens_and_later_ones_renew)
{
	send_touch();
	ck_assert_uint_eq(stub_newest_has(&context, "stream_open"), 1);
	stub_answer(&context, DONE);
	send_touch();
	ck_assert_uint_eq(stub_newest_has(&context, "stream_open"), 0);
	ck_assert_uint_eq(stub_newest_has(&context, "activity"), 1);
}
END_TEST

START_TEST(one_that_was_never_confirmed_still_opens_after_a_gap)
{
	bring_to(SESSION_PENDING);
	session_gap(&all, &one);
	sessions_flush(&all);
	ck_assert_uint_eq(stub_newest_has(&context, "stream_open"), 1);
}
END_TEST

START_TEST(a_batch_takes_so_many_sessions_and_so_many_batches_are_under_way)
{
	enum { MANY = 900 };
	static struct session many[MANY];
	static struct due owners[MANY];
	struct token token = {.user = {"2"}, .name = "t"};

	for (int i = 0; i < MANY; i++) {
		session_init(&many[i], &owners[i]);
		session_identify(&many[i], &token);
		session_touch(&all, &many[i]);
	}
	sessions_flush(&all);
	ck_assert_uint_eq(stub_waiting(&context), 8);
	ck_assert_uint_eq(stub_newest_has(&context, "stream_open"), STORE_BATCH_MAX);
	ck_assert_int_eq(many[799].touch, TOUCH_SENT);
	ck_assert_int_eq(many[800].touch, TOUCH_QUEUED);
	stub_answer(&context, "-ERR a batch that fails\r\n");
	sessions_flush(&all);
	ck_assert_uint_eq(stub_waiting(&context), 8);
	ck_assert_int_eq(many[899].touch, TOUCH_SENT);
	for (int i = 0; i < MANY; i++)
		session_close(&all, &many[i]);
}
END_TEST

/* --- answers --------------------------------------------------------------------------------- */

START_TEST(done_makes_it_live_whatever_it_was)
{
	bring_to((enum session_state)_i);
	send_touch();
	stub_answer(&context, DONE);
	check(SESSION_LIVE, TOUCH_IDLE);
	check_answer(ANSWER_DONE);
	ck_assert(one.renewal);
	ck_assert_msg(owner.queued || _i == SESSION_LIVE, "nobody was told");
}
END_TEST

START_TEST(a_touch_from_before_a_gap_proves_nothing_but_lets_the_stream_open)
{
	send_touch();
	session_gap(&all, &one);
	check(SESSION_RECOVERING, TOUCH_SENT_AGAIN);
	stub_answer(&context, DONE);
	check(SESSION_RECOVERING, TOUCH_QUEUED);
	check_answer(ANSWER_DONE);
	ck_assert(owner.queued);
	sessions_flush(&all);
	stub_answer(&context, DONE);
	check(SESSION_LIVE, TOUCH_IDLE);
}
END_TEST

START_TEST(a_refusal_makes_it_absent_whatever_it_was)
{
	static const struct {
		const char *resp;
		enum session_answer answer;
	} refusals[] = {{REVOKED, ANSWER_REVOKED}, {TOO_MANY, ANSWER_TOO_MANY}};

	bring_to((enum session_state)(_i / 2));
	send_touch();
	stub_answer(&context, refusals[_i % 2].resp);
	check(SESSION_ABSENT, TOUCH_IDLE);
	check_answer(refusals[_i % 2].answer);
	ck_assert(owner.queued);
}
END_TEST

START_TEST(a_failure_ends_a_recovery_and_changes_nothing_else)
{
	static const struct {
		enum session_state from, to;
	} rows[] = {{SESSION_ABSENT, SESSION_PENDING},
		    {SESSION_PENDING, SESSION_PENDING},
		    {SESSION_RECOVERING, SESSION_PENDING},
		    {SESSION_LIVE, SESSION_LIVE}};

	bring_to(rows[_i].from);
	send_touch();
	stub_answer(&context, FAILED);
	check(rows[_i].to, TOUCH_IDLE);
	check_answer(ANSWER_FAILED);
}
END_TEST

START_TEST(an_error_about_the_whole_batch_is_a_failure)
{
	bring_to(SESSION_RECOVERING);
	send_touch();
	stub_answer(&context, "-ERR what else\r\n");
	check(SESSION_PENDING, TOUCH_IDLE);
	check_answer(ANSWER_FAILED);
}
END_TEST

/* --- the link, gaps, the end ----------------------------------------------------------------- */

START_TEST(a_lost_link_leaves_nothing_confirmed_and_no_touch)
{
	static const enum session_state after[] = {SESSION_ABSENT, SESSION_PENDING, SESSION_PENDING,
						   SESSION_PENDING};

	bring_to((enum session_state)_i);
	session_touch(&all, &one);
	stub_lose(&context);
	session_lost(&all, &one);
	check(after[_i], TOUCH_IDLE);
	ck_assert(TAILQ_EMPTY(&all.queue));
}
END_TEST

START_TEST(a_touch_under_way_ends_with_the_link)
{
	send_touch();
	session_touch(&all, &one);
	stub_lose(&context);
	check(SESSION_PENDING, TOUCH_IDLE);
	ck_assert_ptr_null(one.batch);
	ck_assert_uint_eq(all.asked, 0);
}
END_TEST

START_TEST(a_gap_wants_it_registered_again_whatever_it_was)
{
	bring_to((enum session_state)_i);
	session_gap(&all, &one);
	check(SESSION_RECOVERING, TOUCH_QUEUED);
	ck_assert(sessions_are_recovering(&all));
}
END_TEST

START_TEST(a_gap_while_a_touch_waits_needs_no_other)
{
	session_touch(&all, &one);
	session_gap(&all, &one);
	check(SESSION_RECOVERING, TOUCH_QUEUED);
}
END_TEST

START_TEST(closing_forgets_it_whatever_it_was)
{
	bring_to((enum session_state)_i);
	session_touch(&all, &one);
	session_close(&all, &one);
	check(SESSION_ABSENT, TOUCH_IDLE);
	check_answer(ANSWER_NONE);
	ck_assert(TAILQ_EMPTY(&all.queue));
}
END_TEST

START_TEST(an_answer_after_the_end_reaches_nobody)
{
	send_touch();
	session_close(&all, &one);
	stub_answer(&context, DONE);
	check(SESSION_ABSENT, TOUCH_IDLE);
	check_answer(ANSWER_NONE);
	ck_assert_uint_eq(all.asked, 0);
}
END_TEST

/* --- the own STATUS ----------------------------------------------------------------------------- */

static const struct store_self busy = {"{\"version\":8}", 13, "{\"status\":\"busy\"}"};

static void check_self(const char *self)
{
	char *told = session_take_self(&one);

	if (self == NULL)
		ck_assert_ptr_null(told);
	else
		ck_assert_str_eq(told, self);
	free(told);
}

/* An answer with the STATUS of version 7 and no chosen state. */
#define ANSWER_7 "*2\r\n:1\r\n*3\r\n:0\r\n$13\r\n{\"version\":7}\r\n$0\r\n\r\n"

START_TEST(the_own_status_is_learned_from_an_answer)
{
	send_touch();
	stub_answer(&context, ANSWER_7);
	check_self("{\"version\":7}");
	ck_assert(one.knows_chosen && one.chosen == NULL);
}
END_TEST

START_TEST(an_answer_that_may_be_older_than_a_message_does_not_replace_it)
{
	send_touch();
	session_hear_self(&all, &one, &busy);
	check_self("{\"version\":8}");
	stub_answer(&context, ANSWER_7);
	check(SESSION_LIVE, TOUCH_IDLE);
	check_self(NULL);
	ck_assert_str_eq(one.chosen, busy.chosen);
}
END_TEST

START_TEST(an_answer_to_what_was_asked_after_a_message_counts)
{
	session_hear_self(&all, &one, &busy);
	check_self("{\"version\":8}");
	send_touch();
	stub_answer(&context, ANSWER_7);
	check_self("{\"version\":7}");
}
END_TEST

/* --- sessions to close ----------------------------------------------------------------------- */

/* The oldest close: every session of it has this verdict. */
static void answer_closed(int verdict)
{
	unsigned count = stub_oldest_argc(&context) > 100 ? STORE_BATCH_MAX : 1;
	struct printbuf *resp = buf_new();

	buf_putf(resp, "*%u\r\n", count);
	for (unsigned i = 0; i < count; i++)
		buf_putf(resp, ":%d\r\n", verdict);
	stub_answer(&context, resp->buf);
	printbuf_free(resp);
}

static void close_one(void)
{
	closings_add(&closings, &one);
	closings_flush(&closings, 0);
	ck_assert_uint_eq(stub_waiting(&context), 1);
	ck_assert(!closings_are_told(&closings));
}

START_TEST(a_close_that_is_done_is_forgotten)
{
	close_one();
	answer_closed(0);
	ck_assert(closings_are_told(&closings));
	closings_flush(&closings, INT64_MAX);
	ck_assert_uint_eq(stub_waiting(&context), 0);
}
END_TEST

START_TEST(a_close_that_redis_refuses_is_sent_again_later)
{
	close_one();
	stub_answer(&context, "-ERR not now\r\n");
	ck_assert(!closings_are_told(&closings));
	closings_flush(&closings, 0);
	ck_assert_uint_eq(stub_waiting(&context), 0);
	closings_flush(&closings, INT64_MAX);
	ck_assert_uint_eq(stub_waiting(&context), 1);
	answer_closed(0);
	ck_assert(closings_are_told(&closings));
}
END_TEST

START_TEST(a_close_that_is_lost_with_the_link_is_sent_again)
{
	close_one();
	stub_lose(&context);
	ck_assert(!closings_are_told(&closings));
	stub_recover(&context);
	closings_flush(&closings, 0);
	ck_assert_uint_eq(stub_waiting(&context), 1);
	answer_closed(0);
	ck_assert(closings_are_told(&closings));
}
END_TEST

START_TEST(a_close_of_a_user_whose_key_is_wrong_is_given_up)
{
	close_one();
	answer_closed(3);
	ck_assert(closings_are_told(&closings));
}
END_TEST

START_TEST(a_late_close_says_when_it_was)
{
	closings_add(&closings, &one);
	closings_flush(&closings, times_mono_ms() + 5000);
	ck_assert_uint_eq(stub_newest_has(&context, "\r\n$4\r\n500"), 1);
}
END_TEST

START_TEST(of_several_batches_the_one_that_failed_is_sent_again)
{
	struct session others[250] = {{0}};
	struct token token = {.user = {"2"}, .name = "other"};

	for (size_t i = 0; i < UNIT_COUNT(others); i++) {
		session_init(&others[i], &owner);
		session_identify(&others[i], &token);
		closings_add(&closings, &others[i]);
	}
	closings_flush(&closings, 0);
	ck_assert_uint_eq(stub_waiting(&context), 3);
	stub_answer(&context, "-ERR not now\r\n");
	answer_closed(0);
	answer_closed(0);
	ck_assert_uint_eq(closings.count, 100);
	closings_flush(&closings, INT64_MAX);
	ck_assert_uint_eq(stub_waiting(&context), 1);
	for (size_t i = 0; i < 100; i++)
		ck_assert_uint_eq(stub_newest_has(&context, others[i].stream_id), 1);
	answer_closed(0);
	ck_assert(closings_are_told(&closings));
	for (size_t i = 0; i < UNIT_COUNT(others); i++)
		free(others[i].user);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session");
	TCase *touches = tcase_create("touches"), *answers = tcase_create("answers");
	TCase *link = tcase_create("link"), *closing = tcase_create("closings");
	TCase *self = tcase_create("self");

	tcase_add_checked_fixture(touches, setup, teardown);
	tcase_add_test(touches, a_touch_is_queued_then_sent);
	tcase_add_test(touches, two_touches_in_one_turn_are_one);
	tcase_add_test(touches, a_touch_while_one_is_under_way_is_one_more_after_it);
	tcase_add_test(touches, there_is_no_touch_while_the_link_is_down);
	tcase_add_test(touches, the_first_touch_opens_and_later_ones_renew);
	tcase_add_test(touches, one_that_was_never_confirmed_still_opens_after_a_gap);
	tcase_add_test(touches, a_batch_takes_so_many_sessions_and_so_many_batches_are_under_way);
	suite_add_tcase(suite, touches);

	tcase_add_checked_fixture(answers, setup, teardown);
	tcase_add_loop_test(answers, done_makes_it_live_whatever_it_was, SESSION_ABSENT,
			    SESSION_LIVE + 1);
	tcase_add_test(answers, a_touch_from_before_a_gap_proves_nothing_but_lets_the_stream_open);
	tcase_add_loop_test(answers, a_refusal_makes_it_absent_whatever_it_was, 0,
			    2 * (SESSION_LIVE + 1));
	tcase_add_loop_test(answers, a_failure_ends_a_recovery_and_changes_nothing_else, 0, 4);
	tcase_add_test(answers, an_error_about_the_whole_batch_is_a_failure);
	suite_add_tcase(suite, answers);

	tcase_add_checked_fixture(link, setup, teardown);
	tcase_add_loop_test(link, a_lost_link_leaves_nothing_confirmed_and_no_touch, SESSION_ABSENT,
			    SESSION_LIVE + 1);
	tcase_add_test(link, a_touch_under_way_ends_with_the_link);
	tcase_add_loop_test(link, a_gap_wants_it_registered_again_whatever_it_was, SESSION_ABSENT,
			    SESSION_LIVE + 1);
	tcase_add_test(link, a_gap_while_a_touch_waits_needs_no_other);
	tcase_add_loop_test(link, closing_forgets_it_whatever_it_was, SESSION_ABSENT,
			    SESSION_LIVE + 1);
	tcase_add_test(link, an_answer_after_the_end_reaches_nobody);
	suite_add_tcase(suite, link);

	tcase_add_checked_fixture(self, setup, teardown);
	tcase_add_test(self, the_own_status_is_learned_from_an_answer);
	tcase_add_test(self, an_answer_that_may_be_older_than_a_message_does_not_replace_it);
	tcase_add_test(self, an_answer_to_what_was_asked_after_a_message_counts);
	suite_add_tcase(suite, self);

	tcase_add_checked_fixture(closing, setup, teardown);
	tcase_add_test(closing, a_close_that_is_done_is_forgotten);
	tcase_add_test(closing, a_close_that_redis_refuses_is_sent_again_later);
	tcase_add_test(closing, a_close_that_is_lost_with_the_link_is_sent_again);
	tcase_add_test(closing, a_close_of_a_user_whose_key_is_wrong_is_given_up);
	tcase_add_test(closing, a_late_close_says_when_it_was);
	tcase_add_test(closing, of_several_batches_the_one_that_failed_is_sent_again);
	suite_add_tcase(suite, closing);
	return unit_run(suite);
}
