/* Lines of the log: to a file, and to the journal. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static void *warn_of_another(void *arg)
{
	(void)arg;
	log_warn("another thread");
	return NULL;
}

/*
 * What warnings look like on standard error, which is a file: one while a request is served, and one of
 * another thread meanwhile. `journal`: systemd says it leads to the journal.
 */
static void warn(bool journal, char text[256])
{
	char *path = unit_path("stderr"), *stream;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), before = dup(STDERR_FILENO);
	struct stat info;
	pthread_t thread;
	ssize_t len;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &info), 0);
	ck_assert(asprintf(&stream, "%llu:%llu", (unsigned long long)info.st_dev,
			   (unsigned long long)info.st_ino + !journal) > 0);
	setenv("JOURNAL_STREAM", stream, 1);
	dup2(fd, STDERR_FILENO);
	log_setup("a-test", LOG_LEVEL_INFO, false);
	log_set_request("r-1");
	log_warn("it is %d", 7);
	ck_assert_int_eq(pthread_create(&thread, NULL, warn_of_another, NULL), 0);
	pthread_join(thread, NULL);
	log_set_request(NULL);
	dup2(before, STDERR_FILENO);
	len = pread(fd, text, 255, 0);
	text[len > 0 ? len : 0] = '\0';
	close(before);
	close(fd);
	free(stream);
	free(path);
}

START_TEST(in_the_journal_a_line_begins_with_its_priority)
{
	char text[256];

	warn(true, text);
	ck_assert_str_eq(text, "<4>warning: it is 7 request=r-1\n<4>warning: another thread\n");
}
END_TEST

START_TEST(a_request_is_named_by_the_thread_that_serves_it_alone)
{
	char text[256];

	warn(false, text);
	ck_assert_msg(strstr(text, "] warning: another thread\n") != NULL, "seen: %s", text);
}
END_TEST

START_TEST(elsewhere_it_has_time_and_program)
{
	char text[256];

	warn(false, text);
	ck_assert_msg(strstr(text, "Z a-test[") != NULL, "seen: %s", text);
	ck_assert_msg(strstr(text, "] warning: it is 7 request=r-1\n") != NULL, "seen: %s", text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *lines = tcase_create("lines");

	tcase_add_checked_fixture(lines, unit_dir_setup, unit_dir_teardown);
	suite_add_tcase(suite, lines);
	tcase_add_test(lines, in_the_journal_a_line_begins_with_its_priority);
	tcase_add_test(lines, a_request_is_named_by_the_thread_that_serves_it_alone);
	tcase_add_test(lines, elsewhere_it_has_time_and_program);
	return unit_run(suite);
}
