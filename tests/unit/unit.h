/* What the unit tests share: how a suite is run, and a directory for the files of one test. */
#ifndef PRESENCE_TESTS_UNIT_H
#define PRESENCE_TESTS_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#define UNIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Runs and frees the suite; the result is main's exit status. Each test runs in
 * a process of its own, so that a crash or a sanitizer's finding fails that
 * test alone. CK_VERBOSITY, CK_RUN_CASE, CK_FORK=no (for a debugger) and
 * CK_TIMEOUT_MULTIPLIER work as Check documents them.
 */
int unit_run(Suite *suite);

/*
 * Fixture for tcase_add_checked_fixture(tcase, unit_dir_setup, unit_dir_teardown):
 * an empty directory for the test, removed with its files afterwards. A checked
 * fixture does not run on after a failure: that test's directory stays, to look at.
 */
void unit_dir_setup(void);
void unit_dir_teardown(void);

/* The path of `name` in that directory; the caller frees it. */
char *unit_path(const char *name);

/* Writes len bytes as the file `name` there, mode 0600; returns its path, which the caller frees. */
char *unit_write(const char *name, const void *data, size_t len);

#endif
