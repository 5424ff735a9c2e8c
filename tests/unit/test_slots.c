/* Places counted over processes: no two have the same, and the dead have none. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream/slots.h"

static char *path;

static void setup(void)
{
	unit_dir_setup();
	path = unit_path("slots");
}

static void teardown(void)
{
	free(path);
	unit_dir_teardown();
}

static struct slots *open_slots(void)
{
	struct slots *slots = slots_open(path);

	ck_assert_msg(slots != NULL, "%s: %s", path, strerror(errno));
	return slots;
}

START_TEST(one_process_gets_each_slot_once)
{
	struct slots *slots = open_slots();

	ck_assert_int_eq(slots_acquire(slots, 3), 0);
	ck_assert_int_eq(slots_acquire(slots, 3), 1);
	ck_assert_int_eq(slots_acquire(slots, 3), 2);
	ck_assert_int_eq(slots_acquire(slots, 3), -1);
	slots_release(slots, 1);
	ck_assert_int_eq(slots_acquire(slots, 3), 1);
	ck_assert_int_eq(slots_acquire(slots, 3), -1);
	slots_close(slots);
}
END_TEST

START_TEST(two_share_the_slots)
{
	struct slots *one = open_slots(), *two = open_slots();

	ck_assert_int_eq(slots_acquire(one, 3), 0);
	ck_assert_int_eq(slots_acquire(two, 3), 1);
	ck_assert_int_eq(slots_acquire(one, 3), 2);
	ck_assert_int_eq(slots_acquire(one, 3), -1);
	ck_assert_int_eq(slots_acquire(two, 3), -1);
	slots_release(one, 0);
	ck_assert_int_eq(slots_acquire(two, 3), 0);
	slots_close(two);
	ck_assert_int_eq(slots_acquire(one, 3), 0);
	ck_assert_int_eq(slots_acquire(one, 3), 1);
	ck_assert_int_eq(slots_acquire(one, 3), -1);
	slots_close(one);
}
END_TEST

START_TEST(the_count_may_change)
{
	struct slots *one = open_slots(), *two = open_slots();

	ck_assert_int_eq(slots_acquire(one, 1), 0);
	ck_assert_int_eq(slots_acquire(two, 1), -1);
	ck_assert_int_eq(slots_acquire(one, 100), 1);
	ck_assert_int_eq(slots_acquire(two, 100), 2);
	ck_assert_int_eq(slots_acquire(one, 1), -1);
	slots_release(one, 1);
	ck_assert_int_eq(slots_acquire(two, 2), 1);
	slots_close(one);
	slots_close(two);
}
END_TEST

START_TEST(death_releases_the_slots)
{
	struct slots *slots = open_slots();
	int taken[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(taken), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		/* Of its own: what it has of ours by the fork is one description with two owners.
		 */
		struct slots *own = slots_open(path);
		bool got;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		got = own != NULL && slots_acquire(own, 2) == 0 && slots_acquire(own, 2) == 1;

		if (write(taken[1], got ? "y" : "n", 1) == 1)
			pause();
		_exit(1);
	}
	ck_assert_int_eq(read(taken[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 'y');
	ck_assert_int_eq(slots_acquire(slots, 2), -1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(slots_acquire(slots, 2), 0);
	ck_assert_int_eq(slots_acquire(slots, 2), 1);
	slots_close(slots);
	close(taken[0]);
	close(taken[1]);
}
END_TEST

START_TEST(what_cannot_be_opened_says_why)
{
	errno = 0;
	ck_assert_ptr_null(slots_open("/nowhere/slots"));
	ck_assert_int_eq(errno, ENOENT);
	slots_close(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("slots");
	TCase *tcase = tcase_create("slots");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, one_process_gets_each_slot_once);
	tcase_add_test(tcase, two_share_the_slots);
	tcase_add_test(tcase, the_count_may_change);
	tcase_add_test(tcase, death_releases_the_slots);
	tcase_add_test(tcase, what_cannot_be_opened_says_why);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
