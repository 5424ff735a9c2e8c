/* Cells: about 1.2 x 1.2 km everywhere on the earth, round the poles and over the antimeridian. */
#include "unit.h"

#include <math.h>

#include "base/alloc.h"
#include "store/cell.h"

#define RADIUS 6371.0088 /* km */
#define KM_A_DEGREE (M_PI * RADIUS / 180)

static struct cell at(double latitude, double longitude)
{
	struct cell cell;

	ck_assert_msg(cell_of(latitude, longitude, &cell), "no cell at %f, %f", latitude,
		      longitude);
	ck_assert_int_ge(cell.row, 0);
	ck_assert_int_lt(cell.row, CELL_ROWS);
	ck_assert_int_ge(cell.column, 0);
	ck_assert_int_lt(cell.column, cell_columns(cell.row));
	return cell;
}

/* A repeatable random number from 0 up to 1. */
static double chance(void)
{
	static uint64_t state = 88172645463325252U;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (double)(state >> 11) / 9007199254740992.0;
}

/* --- what a cell is ----------------------------------------------------------------------- */

static const struct {
	double latitude, longitude;
} nowhere[] = {
	{NAN, 0},   {0, NAN},	      {INFINITY, 0}, {0, -INFINITY}, {90.0000001, 0},
	{-90.1, 0}, {0, 180.0000001}, {0, -180.1},   {1e300, 0},     {0, -1e300},
};

START_TEST(what_is_no_point_of_the_earth_has_no_cell)
{
	struct cell cell = {7, 8};

	ck_assert(!cell_of(nowhere[_i].latitude, nowhere[_i].longitude, &cell));
	ck_assert(cell_equal(cell, (struct cell){7, 8}));
}
END_TEST

START_TEST(edges_of_the_ranges_have_cells)
{
	ck_assert_int_eq(at(-90, 0).row, 0);
	ck_assert_int_eq(at(90, 0).row, CELL_ROWS - 1);
	ck_assert_int_eq(at(0, -180).column, 0);
	ck_assert(cell_equal(at(0, 180), at(0, -180)));
	ck_assert_int_eq(at(0, 179.9999).column, cell_columns(at(0, 0).row) - 1);
	ck_assert(cell_equal(at(-0.0, -0.0), at(0, 0)));
	at(nextafter(90, 0), nextafter(180, 0));
	at(nextafter(-90, 0), nextafter(-180, 0));
}
END_TEST

START_TEST(no_cell_is_smaller_than_1_44_square_kilometres)
{
	for (int32_t row = 0; row < CELL_ROWS; row++) {
		double south = (row * 180.0 / CELL_ROWS - 90) * M_PI / 180;
		double north = ((row + 1) * 180.0 / CELL_ROWS - 90) * M_PI / 180;
		double band = 2 * M_PI * RADIUS * RADIUS * (sin(north) - sin(south));
		double area = band / cell_columns(row);

		/* Beside the poles a row has few columns, which then are wide. */
		ck_assert_msg(area >= 1.44 && area < (fabs(south) > 1.56 ? 2.2 : 1.48),
			      "row %d: %d columns, %f km2 each", row, cell_columns(row), area);
	}
}
END_TEST

static const double latitudes[] = {0, 0.004, 37, -37, 60, 85, -85, 89.5};

START_TEST(a_cell_is_1_2_km_wide_and_high_at_every_latitude)
{
	double latitude = latitudes[_i], last_lat = -91, last_lon = -181;
	struct cell before = at(latitude, 10);
	double up[2] = {0}, aside[2] = {0};
	int found = 0;

	/* Where the row changes, in steps of 10 m; then where the column does. */
	for (double lat = latitude; found < 2; lat += 0.01 / KM_A_DEGREE) {
		if (at(lat, 10).row != before.row)
			up[found++] = lat;
		before = at(lat, 10);
		last_lat = lat;
	}
	before = at(latitude, 10);
	found = 0;
	for (double lon = 10; found < 2; lon += 0.01 / (KM_A_DEGREE * cos(latitude * M_PI / 180))) {
		if (at(latitude, lon).column != before.column)
			aside[found++] = lon;
		before = at(latitude, lon);
		last_lon = lon;
	}
	ck_assert_double_eq_tol((up[1] - up[0]) * KM_A_DEGREE, 1.2, 0.02);
	ck_assert_double_eq_tol((aside[1] - aside[0]) * KM_A_DEGREE * cos(latitude * M_PI / 180),
				1.2, latitude > 89 ? 0.04 : 0.02);
	ck_assert(last_lat > latitude && last_lon > 10);
}
END_TEST

/* --- neighbours --------------------------------------------------------------------------- */

START_TEST(a_cell_is_near_itself_and_those_around_it)
{
	struct cell cell = at(37.5, 127);

	ck_assert(cell_is_near(cell, cell));
	for (int up = -3; up <= 3; up++) {
		for (int aside = -3; aside <= 3; aside++) {
			struct cell other =
				at(37.5 + up * 1.2 / KM_A_DEGREE,
				   127 + aside * 1.2 / (KM_A_DEGREE * cos(37.5 * M_PI / 180)));

			if (abs(up) > 1 || abs(aside) > 2)
				ck_assert(!cell_is_near(cell, other));
			if (up == 0)
				ck_assert(cell_is_near(cell, other) == (abs(aside) <= 1));
		}
	}
}
END_TEST

START_TEST(nearness_is_mutual_and_each_is_near_7_to_9)
{
	for (int i = 0; i < 10; i++) {
		double latitude = chance() * 179 - 89.5;
		struct cell cell = at(latitude, chance() * 360 - 180);
		int near = 0;

		for (int32_t row = cell.row - 2; row <= cell.row + 2; row++) {
			for (int32_t column = 0; column < cell_columns(row); column++) {
				struct cell other = {row, column};

				ck_assert(cell_is_near(cell, other) == cell_is_near(other, cell));
				near += cell_is_near(cell, other);
			}
		}
		ck_assert_msg(near >= 7 && near <= 9, "%d.%d has %d", cell.row, cell.column, near);
	}
}
END_TEST

START_TEST(the_antimeridian_is_no_border)
{
	static const double all[] = {0, 37, 60, 85, -85};

	for (size_t i = 0; i < UNIT_COUNT(all); i++) {
		struct cell east = at(all[i], 179.9999), west = at(all[i], -179.9999);
		double step = 1.2 / (KM_A_DEGREE * cos(all[i] * M_PI / 180));

		ck_assert(!cell_equal(east, west));
		ck_assert(cell_is_near(east, west));
		ck_assert(!cell_is_near(east, at(all[i], -179.9999 + step)));
		/* Into the rows above and below, as well. */
		ck_assert(cell_is_near(east, at(all[i] + 0.011, -179.9999)));
		ck_assert(cell_is_near(at(all[i] - 0.011, 179.9999), west));
		ck_assert_double_lt(cell_distance(east, west), 1300);
	}
}
END_TEST

START_TEST(round_a_pole_all_are_near)
{
	for (int pole = -1; pole <= 1; pole += 2) {
		for (int a = -180; a < 180; a += 30) {
			for (int b = -180; b < 180; b += 30)
				ck_assert(cell_is_near(at(pole * 89.995, a), at(pole * 89.995, b)));
		}
		ck_assert(cell_is_near(at(pole * 90, 0), at(pole * 89.99, 180)));
		ck_assert(!cell_is_near(at(pole * 90, 0), at(pole * 89.95, 0)));
	}
	ck_assert(!cell_is_near(at(90, 0), at(-90, 0)));
}
END_TEST

/* --- a margin ----------------------------------------------------------------------------- */

START_TEST(a_cell_holds_what_is_in_it_and_a_little_outside)
{
	for (int i = 0; i < 20000; i++) {
		double latitude = chance() * 179.98 - 89.99, longitude = chance() * 360 - 180;
		struct cell cell = at(latitude, longitude);
		double angle = chance() * 2 * M_PI, metres = chance() * 190;
		double up = sin(angle) * metres / 1000 / KM_A_DEGREE;
		double aside =
			cos(angle) * metres / 1000 / (KM_A_DEGREE * cos(latitude * M_PI / 180));
		double there = longitude + aside;

		ck_assert(cell_holds(cell, latitude, longitude, 0.001));
		if (fabs(latitude + up) > 89.9)
			continue; /* where a degree more to the north is much less to the east */
		there = there > 180 ? there - 360 : there < -180 ? there + 360 : there;
		ck_assert_msg(cell_holds(cell, latitude + up, there, 200),
			      "%f m from %f, %f are too much", metres, latitude, longitude);
	}
}
END_TEST

START_TEST(a_cell_holds_nothing_farther_away)
{
	struct cell cell = at(0.005, 179.999);
	double degree = 1 / (1000 * KM_A_DEGREE); /* a metre, at the equator */
	double edge = 180; /* its eastern one */

	ck_assert(cell_holds(cell, 0.005, edge - 1 * degree, 0));
	ck_assert(cell_holds(cell, 0.005, -180 + 199 * degree, 200));
	ck_assert(!cell_holds(cell, 0.005, -180 + 201 * degree, 200));
	ck_assert(!cell_holds(cell, 0.005, 0, 200));
	ck_assert(!cell_holds(cell, -0.02, 179.999, 200));
	ck_assert(!cell_holds(at(85, 10), 85, -170, 200));
}
END_TEST

START_TEST(distances_are_those_of_a_sphere)
{
	ck_assert_double_eq_tol(cell_distance(at(0, 0), at(0, 0)), 0, 1e-6);
	ck_assert_double_eq_tol(cell_distance(at(0, 0), at(0, 90)), 1e7, 2e4);
	ck_assert_double_eq_tol(cell_distance(at(-89.9, 0), at(89.9, 0)), 2e7, 1e5);
	ck_assert_double_eq_tol(cell_distance(at(0, -90), at(0, 90)), 2e7, 1e5);
	ck_assert_double_eq_tol(cell_distance(at(37.5665, 126.978), at(35.1796, 129.0756)), 325000,
				2000);
}
END_TEST

/* --- text --------------------------------------------------------------------------------- */

START_TEST(text_says_which_cell_it_is)
{
	for (int i = 0; i < 2000; i++) {
		struct cell cell = at(chance() * 180 - 90, chance() * 360 - 180), other = {0};
		char text[CELL_TEXT_MAX];

		cell_format(cell, text);
		ck_assert(cell_parse(text, strlen(text), &other));
		ck_assert(cell_equal(cell, other));
	}
}
END_TEST

static const char *const no_cells[] = {
	"",	 ".",	 "1",	    "1.",	".1",	      "16679.0",       "0.3",
	"1.2.3", "01.2", "1.02",    "-1.2",	"1.-2",	      "1,2",	       " 1.2",
	"1.2 ",	 "a.b",	 "100.1e1", "123456.1", "8339.99999", "99999999999.1", "1.999999",
};

START_TEST(another_text_is_no_cell)
{
	struct cell cell;

	ck_assert_msg(!cell_parse(no_cells[_i], strlen(no_cells[_i]), &cell), "'%s' is one",
		      no_cells[_i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cell");
	TCase *tcase = tcase_create("cell");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, what_is_no_point_of_the_earth_has_no_cell, 0,
			    UNIT_COUNT(nowhere));
	tcase_add_test(tcase, edges_of_the_ranges_have_cells);
	tcase_add_test(tcase, no_cell_is_smaller_than_1_44_square_kilometres);
	tcase_add_loop_test(tcase, a_cell_is_1_2_km_wide_and_high_at_every_latitude, 0,
			    UNIT_COUNT(latitudes));
	tcase_add_test(tcase, a_cell_is_near_itself_and_those_around_it);
	tcase_add_test(tcase, nearness_is_mutual_and_each_is_near_7_to_9);
	tcase_add_test(tcase, the_antimeridian_is_no_border);
	tcase_add_test(tcase, round_a_pole_all_are_near);
	tcase_add_test(tcase, a_cell_holds_what_is_in_it_and_a_little_outside);
	tcase_add_test(tcase, a_cell_holds_nothing_farther_away);
	tcase_add_test(tcase, distances_are_those_of_a_sphere);
	tcase_add_test(tcase, text_says_which_cell_it_is);
	tcase_add_loop_test(tcase, another_text_is_no_cell, 0, UNIT_COUNT(no_cells));
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
