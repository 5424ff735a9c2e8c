/*
 * Thirty days of an attacker with 20 accounts who wants to know where a friend is, on the rules of
 * store/place.h in simulated time: tests/unit/attacker.h. `make check-long`; docs/privacy.md tells what
 * it showed.
 */
#include "attacker.h"
#include "unit.h"

#include <stdio.h>

#define DAYS 30

static void tell(const char *what, const struct attacker_site *site,
		 const struct attacker_finding *finding)
{
	printf("%-18s %-36s %5.2f km2 are left at least, %u changes seen (the cell of every mark: "
	       "%.2f km2, less than 1 at %.0f %% of the marks)\n",
	       site->name, what, finding->least, finding->changes, finding->plain_least,
	       finding->marks > 0 ? 100.0 * finding->plain_below / finding->marks : 0);
	ck_assert_double_ge(finding->least, 1);
}

START_TEST(of_a_user_at_rest_the_cell_is_found_and_no_more)
{
	const struct attacker_site *site = &attacker_sites[_i];
	struct attacker_finding finding = attacker_search(site, DAYS);

	printf("%-18s %-36s %5.2f km2 are left: the cell\n", site->name, "at rest, searched",
	       finding.least);
	ck_assert_double_ge(finding.least, 1);
}
END_TEST

START_TEST(nobody_who_rests_beside_a_border_is_found_there)
{
	const struct attacker_site *site = &attacker_sites[_i];
	struct attacker_finding finding = attacker_watch_rest(site, DAYS);

	tell("at rest at borders and corners", site, &finding);
	ck_assert_uint_eq(finding.changes, 0);
}
END_TEST

static const double straight[] = {5, 15, 60, 600}; /* minutes */

START_TEST(nobody_who_walks_is_found_to_a_square_kilometre)
{
	const struct attacker_site *site = &attacker_sites[_i];

	for (size_t i = 0; i < UNIT_COUNT(straight); i++) {
		struct attacker_finding finding = attacker_watch_walk(site, DAYS, straight[i]);
		char what[64];

		snprintf(what, sizeof what, "walking, a turn in %.0f minutes", straight[i]);
		tell(what, site, &finding);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nearby");
	TCase *tcase = tcase_create("attacks");

	tcase_set_timeout(tcase, 600);
	tcase_add_loop_test(tcase, of_a_user_at_rest_the_cell_is_found_and_no_more, 0,
			    ATTACKER_SITES);
	tcase_add_loop_test(tcase, nobody_who_rests_beside_a_border_is_found_there, 0,
			    ATTACKER_SITES);
	tcase_add_loop_test(tcase, nobody_who_walks_is_found_to_a_square_kilometre, 0,
			    ATTACKER_SITES);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
