/* Where a user is: what is taken of the points that come, and what whoever watches can make of it. */
#include "unit.h"

#include <math.h>

#include "attacker.h"
#include "store/place.h"

#define MINUTE 60000
#define BEGIN INT64_C(1700000000000)
#define PHASE 120000
#define HERE 37.5, 127.0
#define DAYS 2 /* of the attacks; long_nearby has thirty */

static const double step = 0.0108; /* degrees: a row */

static struct cell at(double latitude, double longitude)
{
	struct cell cell;

	ck_assert(cell_of(latitude, longitude, &cell));
	return cell;
}

/* A first point at the middle of HERE's cell; its latitude. */
static struct place placed(void)
{
	struct place place = {0};

	ck_assert(place_look(&place, HERE, BEGIN, PHASE));
	return place;
}

/* The next mark after a time, and a moment. */
static int64_t mark_after(int64_t time)
{
	return time - (time - PHASE) % PLACE_MARK_MS + PLACE_MARK_MS + 5000;
}

static bool shows(const struct place *place, int64_t now, double latitude, double longitude)
{
	const struct cell *shown = place_shown(place, now);

	return shown != NULL && cell_equal(*shown, at(latitude, longitude));
}

/* --- what is taken ------------------------------------------------------------------------ */

START_TEST(the_first_point_is_shown_at_once)
{
	struct place place = placed();

	ck_assert(shows(&place, BEGIN, HERE));
	ck_assert_int_eq(place.phase, PHASE);
}
END_TEST

START_TEST(what_is_no_point_changes_nothing)
{
	struct place place = {0};

	ck_assert(!place_look(&place, NAN, 0, BEGIN, PHASE));
	ck_assert(!place_look(&place, 91, 0, BEGIN, PHASE));
	ck_assert_int_eq(place.looked, 0);
	ck_assert_ptr_null(place_shown(&place, BEGIN));
}
END_TEST

START_TEST(until_the_next_mark_every_point_is_ignored)
{
	struct place place = placed();
	int64_t mark = mark_after(BEGIN) - 5000;

	for (int64_t now = BEGIN + 1000; now < mark; now += 1000)
		ck_assert(!place_look(&place, 37.5 + step, 127, now, 0));
	ck_assert(place_look(&place, 37.5 + step, 127, mark, 0));
}
END_TEST

START_TEST(a_cell_holds_for_half_an_hour_after_the_user_was_seen_in_it)
{
	struct place place = placed();
	int64_t seen = mark_after(BEGIN);

	ck_assert(shows(&place, BEGIN + PLACE_HOLDS_MS - 1, HERE));
	ck_assert_ptr_null(place_shown(&place, BEGIN + PLACE_HOLDS_MS));
	ck_assert(place_look(&place, HERE, seen, 0));
	ck_assert(shows(&place, seen + PLACE_HOLDS_MS - 1, HERE));
	ck_assert_ptr_null(place_shown(&place, seen + PLACE_HOLDS_MS));
}
END_TEST

START_TEST(a_new_cell_is_shown_at_the_third_mark_in_it)
{
	struct place place = placed();
	int64_t first = mark_after(BEGIN);

	ck_assert(place_look(&place, 37.5 + step, 127, first, 0));
	ck_assert(shows(&place, first, HERE));
	ck_assert(place_look(&place, 37.5 + step, 127, first + PLACE_MARK_MS, 0));
	ck_assert(shows(&place, first + PLACE_MARK_MS, HERE));
	ck_assert(!place_look(&place, 37.5 + step, 127, first + PLACE_MARK_MS + 20000, 0));
	ck_assert(place_look(&place, 37.5 + step, 127, first + 2 * PLACE_MARK_MS, 0));
	ck_assert(shows(&place, first + 2 * PLACE_MARK_MS, 37.5 + step, 127));
}
END_TEST

START_TEST(three_marks_count_only_when_18_minutes_are_between_them)
{
	struct place place = placed();
	int64_t mark = mark_after(BEGIN) - 5000;

	ck_assert(place_look(&place, 37.5 + step, 127, mark + 9 * MINUTE, 0));
	ck_assert(place_look(&place, 37.5 + step, 127, mark + 11 * MINUTE, 0));
	ck_assert(place_look(&place, 37.5 + step, 127, mark + 21 * MINUTE, 0));
	ck_assert(shows(&place, mark + 21 * MINUTE, HERE));
	ck_assert(place_look(&place, 37.5 + step, 127, mark + 31 * MINUTE, 0));
	ck_assert(shows(&place, mark + 31 * MINUTE, 37.5 + step, 127));
}
END_TEST

START_TEST(who_passes_by_or_comes_back_is_not_shown_elsewhere)
{
	struct place place = placed();
	int64_t now = mark_after(BEGIN);

	place_look(&place, 37.5 + step, 127, now, 0);
	place_look(&place, 37.5 + step, 127, now += PLACE_MARK_MS, 0);
	ck_assert(place_look(&place, HERE, now += PLACE_MARK_MS, 0));
	ck_assert(shows(&place, now, HERE));
	for (int i = 1; i < 100; i++) {
		ck_assert(place_look(&place, 37.5 + 2 * i * step, 127, now += PLACE_MARK_MS, 0));
		ck_assert(place_shown(&place, now) == NULL || shows(&place, now, HERE));
	}
}
END_TEST

START_TEST(what_lies_200_m_outside_is_as_good_as_inside)
{
	struct place place = placed();
	double edge = 37.5;
	int64_t now = mark_after(BEGIN);

	while (at(edge, 127).row == at(HERE).row)
		edge += 0.00001;
	ck_assert(place_look(&place, edge + 0.0017, 127, now, 0)); /* 189 m */
	ck_assert(!place.has_next);
	ck_assert(place_look(&place, edge + 0.0019, 127, now + PLACE_MARK_MS, 0)); /* 211 m */
	ck_assert(place.has_next);
	/* Of the new one, too. */
	ck_assert(place_look(&place, edge + step + 0.0017, 127, now + 2 * PLACE_MARK_MS, 0));
	ck_assert_int_eq(place.since, now + PLACE_MARK_MS);
}
END_TEST

START_TEST(nobody_travels_faster_than_300_km_an_hour)
{
	struct place place = placed();
	int64_t mark = mark_after(BEGIN) - 5000;

	/* 100 km, in less than 20 minutes; it may be said as often as one likes. */
	for (int64_t now = mark; now < BEGIN + 19 * MINUTE; now += MINUTE)
		ck_assert(!place_look(&place, 37.5 + 0.9, 127, now, 0));
	ck_assert(place_look(&place, 37.5 + 0.9, 127, BEGIN + 20 * MINUTE, 0));
	ck_assert(shows(&place, BEGIN + 20 * MINUTE, HERE));
	ck_assert(!place_look(&place, -37.5, -53, BEGIN + 20 * MINUTE + 10 * 3600000, 0));
	ck_assert(place_look(&place, -37.5, -53, BEGIN + 20 * MINUTE + 67 * INT64_C(3600000), 0));
}
END_TEST

START_TEST(forgetting_the_cells_leaves_the_marks)
{
	struct place place = placed();
	int64_t now = mark_after(BEGIN);

	place = place_without_cells(&place);
	ck_assert_ptr_null(place_shown(&place, BEGIN));
	ck_assert(!place_look(&place, HERE, BEGIN + 1000, 0));
	ck_assert(place_look(&place, HERE, now, 0));
	ck_assert_ptr_null(place_shown(&place, now));
	ck_assert(place_look(&place, HERE, now + PLACE_MARK_MS, 0));
	ck_assert(place_look(&place, HERE, now + 2 * PLACE_MARK_MS, 0));
	ck_assert(shows(&place, now + 2 * PLACE_MARK_MS, HERE));
}
END_TEST

/* --- text --------------------------------------------------------------------------------- */

static bool parse(const char *text, struct place *place)
{
	return place_parse(text, strlen(text), place);
}

START_TEST(what_is_written_is_read_again)
{
	struct place place = placed(), marks = place_without_cells(&place), read;
	struct printbuf *out = buf_new();

	for (int i = 0; i < 4; i++) {
		buf_reset(out);
		place_put(out, &place);
		ck_assert_msg(parse(out->buf, &read), "'%s'", out->buf);
		ck_assert_int_eq(read.looked, place.looked);
		ck_assert_int_eq(read.phase, place.phase);
		ck_assert(read.has_shown == place.has_shown && read.has_next == place.has_next);
		if (read.has_shown)
			ck_assert(cell_equal(read.shown, place.shown) && read.until == place.until);
		if (read.has_next)
			ck_assert(cell_equal(read.next, place.next) && read.since == place.since);
		place = i == 2 ? marks : place;
		place_look(&place, 37.5 + i * step, 127, BEGIN + (i + 1) * PLACE_MARK_MS, 0);
	}
	printbuf_free(out);
}
END_TEST

static const char *const no_places[] = {
	"",
	"1",
	"1+1",
	"1+1 -",
	"0+1 - -",
	"-5+1 - -",
	"1+600000 - -",
	"1+-1 - -",
	"1+1 1.1 -",
	"1+1 1.1@ -",
	"1+1 1.1@x -",
	"1+1 - 99999.1@5",
	"1+1 -- -",
	"x+1 - -",
	"1+1 1.1@5 "
	"1.1@5555555555555555555555555555555555555555555555555555555555555555555555555555",
};

START_TEST(another_text_is_no_place)
{
	struct place place = {.looked = 7};

	ck_assert_msg(!parse(no_places[_i], &place), "'%s' is one", no_places[_i]);
	ck_assert_int_eq(place.looked, 7);
}
END_TEST

/* --- attacks ------------------------------------------------------------------------------ */

START_TEST(of_a_user_at_rest_an_attacker_learns_the_cell_and_no_more)
{
	attacker_check_search(&attacker_sites[_i], DAYS);
	attacker_check_rest(&attacker_sites[_i], DAYS);
}
END_TEST

START_TEST(of_a_user_who_walks_an_attacker_learns_no_more_than_a_square_kilometre)
{
	attacker_check_walk(&attacker_sites[_i], DAYS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place");
	TCase *tcase = tcase_create("place"), *attacks = tcase_create("attacks");

	tcase_add_test(tcase, the_first_point_is_shown_at_once);
	tcase_add_test(tcase, what_is_no_point_changes_nothing);
	tcase_add_test(tcase, until_the_next_mark_every_point_is_ignored);
	tcase_add_test(tcase, a_cell_holds_for_half_an_hour_after_the_user_was_seen_in_it);
	tcase_add_test(tcase, a_new_cell_is_shown_at_the_third_mark_in_it);
	tcase_add_test(tcase, three_marks_count_only_when_18_minutes_are_between_them);
	tcase_add_test(tcase, who_passes_by_or_comes_back_is_not_shown_elsewhere);
	tcase_add_test(tcase, what_lies_200_m_outside_is_as_good_as_inside);
	tcase_add_test(tcase, nobody_travels_faster_than_300_km_an_hour);
	tcase_add_test(tcase, forgetting_the_cells_leaves_the_marks);
	tcase_add_test(tcase, what_is_written_is_read_again);
	tcase_add_loop_test(tcase, another_text_is_no_place, 0, UNIT_COUNT(no_places));
	suite_add_tcase(suite, tcase);
	tcase_set_timeout(attacks, 60);
	tcase_add_loop_test(attacks, of_a_user_at_rest_an_attacker_learns_the_cell_and_no_more, 0,
			    ATTACKER_SITES);
	tcase_add_loop_test(attacks,
			    of_a_user_who_walks_an_attacker_learns_no_more_than_a_square_kilometre,
			    0, ATTACKER_SITES);
	suite_add_tcase(suite, attacks);
	return unit_run(suite);
}
