/* SIGKILL to presence-pushd in the middle of 10,000 notifications. `make check-long`. */
#include "push.h"

#include <stdlib.h>

#define NOTIFICATIONS 10000
#define SECONDS 300

START_TEST(a_kill_in_the_middle_of_10000_loses_nothing)
{
	push_check_kill(NOTIFICATIONS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("long_push");
	TCase *tcase = harness_case(suite, "kill", SECONDS);

	tcase_add_test(tcase, a_kill_in_the_middle_of_10000_loses_nothing);
	return harness_main(suite);
}
