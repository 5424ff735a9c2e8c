/* What the chaos run's model takes for certain. */
#include "unit.h"

#include "base/alloc.h"
#include "chaos/chaos.h"

static struct chaos *chaos;

static void setup(void)
{
	chaos = xcalloc(1, sizeof *chaos);
	chaos->result = xcalloc(1, sizeof *chaos->result);
	chaos_make_users(chaos, 2);
}

static struct device *log_in(unsigned id)
{
	struct device *device = &chaos->users[id].devices[0];

	device->token = xstrdup("a token");
	model_activity_taken(device, now_ms());
	return device;
}

START_TEST(who_was_never_there_is_gone)
{
	ck_assert_int_lt(model_gone_at(chaos, &chaos->users[1]), now_ms());
	ck_assert_int_lt(model_gone_at(chaos, &chaos->users[2]), now_ms());
}
END_TEST

START_TEST(who_is_there_is_not_gone)
{
	struct device *device = log_in(1);

	ck_assert_int_ge(model_gone_at(chaos, device->user), now_ms() + ONLINE_TTL);
	ck_assert_int_lt(model_gone_at(chaos, &chaos->users[2]), now_ms());
}
END_TEST

/* Else a notification is missed that came while the user was there, or a ghost seen where none was. */
START_TEST(who_logged_out_is_gone_from_then_on_and_not_before)
{
	int64_t before = now_ms(), after;
	struct device *device = log_in(1);

	model_logged_out(device);
	after = now_ms();
	ck_assert_int_ge(model_gone_at(chaos, device->user), before);
	ck_assert_int_le(model_gone_at(chaos, device->user), after);
}
END_TEST

/* Else it seems to be missing later on. */
START_TEST(what_comes_while_the_run_stands_still_has_come)
{
	const struct notification pushed = {.user = 1, .device = 2};
	const struct notification told = {.user = 1, .friend = 2};

	chaos->stalled_until = FOREVER;
	wishes_notified(chaos, &pushed);
	wishes_notified(chaos, &told);
	ck_assert_int_ne(chaos->users[1].devices[2].pushed_at, 0);
	ck_assert_int_ne(wishes_told_at(chaos, 1, 2), 0);
	ck_assert_int_eq(wishes_told_at(chaos, 2, 1), 0);
}
END_TEST

/* Who asked it just before it was back asks again only then. */
START_TEST(a_server_of_several_may_be_refused_for_longer_after_a_fault)
{
	int64_t recovered;

	chaos->calm_since = now_ms();
	recovered = chaos->calm_since + patience(RECOVERY);
	chaos->stand.layout = LAYOUT_TWO;
	ck_assert(chaos_excuses(chaos, 503, recovered - 1));
	ck_assert(!chaos_excuses(chaos, 503, recovered));
	chaos->stand.layout = LAYOUT_CLUSTER;
	ck_assert(chaos_excuses(chaos, 503, recovered + LEFT_ALONE - 1));
	ck_assert(!chaos_excuses(chaos, 503, recovered + LEFT_ALONE));
	ck_assert(!chaos_excuses(chaos, 500, recovered));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chaos_model");
	TCase *tcase = tcase_create("chaos_model");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, who_was_never_there_is_gone);
	tcase_add_test(tcase, who_is_there_is_not_gone);
	tcase_add_test(tcase, who_logged_out_is_gone_from_then_on_and_not_before);
	tcase_add_test(tcase, what_comes_while_the_run_stands_still_has_come);
	tcase_add_test(tcase, a_server_of_several_may_be_refused_for_longer_after_a_fault);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
