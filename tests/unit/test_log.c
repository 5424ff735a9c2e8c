/* Lines of the log: to a file, and to the journal. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static void warn(const char *message)
{
	log_warn("%s", message);
}

/*
 * What write(arg) writes on standard error, which is a file; `journal`: systemd says it leads to the journal.
 */
static void caught(bool journal, const char *request_id, void (*write)(const char *),
		   const char *arg, char text[512])
{
	char *path = unit_path("stderr"), *stream;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), before = dup(STDERR_FILENO);
	struct stat info;
	ssize_t len;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &info), 0);
	ck_assert(asprintf(&stream, "%llu:%llu", (unsigned long long)info.st_dev,
			   (unsigned long long)info.st_ino + !journal) > 0);
	setenv("JOURNAL_STREAM", stream, 1);
	dup2(fd, STDERR_FILENO);
	log_setup("a-test", LOG_LEVEL_INFO, false);
	log_set_request(request_id);
	write(arg);
	log_set_request(NULL);
	dup2(before, STDERR_FILENO);
	len = pread(fd, text, 511, 0);
	text[len > 0 ? len : 0] = '\0';
	close(before);
	close(fd);
	free(stream);
	free(path);
}

/* The line without its time, of which it checks the form. */
static const char *after_time(const char *line)
{
	int end = 0;

	ck_assert_msg(sscanf(line, "time=%*4d-%*2d-%*2dT%*2d:%*2d:%*2dZ%n", &end) == 0 && end == 25,
		      "seen: %s", line);
	return line + end;
}

static void check_line(const char *line, const char *fields)
{
	char expected[512];

	snprintf(expected, sizeof expected, " program=a-test pid=%d level=warning %s\n",
		 (int)getpid(), fields);
	ck_assert_str_eq(after_time(line), expected);
}

static const struct row {
	const char *message, *request_id, *fields;
} rows[] = {
	{"it is 7", NULL, "msg=\"it is 7\""},
	{"it", "r-1", "msg=\"it\" request=\"r-1\""},
	{"", "a=b", "msg=\"\" request=\"a=b\""},
	{"say \"a\\b\"", NULL, "msg=\"say \\\"a\\\\b\\\"\""},
	{"x\" level=error msg=\"y", NULL, "msg=\"x\\\" level=error msg=\\\"y\""},
	{"\\", NULL, "msg=\"\\\\\""},
	{"a\r\nb\t\x7f", NULL, "msg=\"a??b??\""},
	{"\xc3\xa9 \xff", NULL, "msg=\"\xc3\xa9 ?\""},
};

START_TEST(a_line_is_logfmt_whatever_it_says)
{
	char text[512];

	caught(false, rows[_i].request_id, warn, rows[_i].message, text);
	check_line(text, rows[_i].fields);
}
END_TEST

START_TEST(in_the_journal_a_line_begins_with_its_priority)
{
	char text[512];

	caught(true, "r-1", warn, "it is 7", text);
	ck_assert_msg(strncmp(text, "<4>", 3) == 0, "seen: %s", text);
	check_line(text + 3, "msg=\"it is 7\" request=\"r-1\"");
}
END_TEST

START_TEST(a_long_message_is_cut_and_the_line_stays_whole)
{
	char message[4000], text[512], *path = unit_path("long"), *line = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), before = dup(STDERR_FILENO);
	size_t size = 0;
	FILE *file;

	memset(message, '"', sizeof message);
	message[sizeof message - 1] = '\0';
	dup2(fd, STDERR_FILENO);
	log_setup("a-test", LOG_LEVEL_INFO, false);
	log_set_request("r-1");
	log_warn("%s", message);
	log_set_request(NULL);
	dup2(before, STDERR_FILENO);
	file = fopen(path, "r");
	ck_assert_int_gt(getline(&line, &size, file), 2 * 1000);
	snprintf(text, sizeof text, "%s", line + strlen(line) - 20);
	ck_assert_ptr_nonnull(strstr(text, "\\\"\" request=\"r-1\"\n"));
	fclose(file);
	free(line);
	close(before);
	close(fd);
	free(path);
}
END_TEST

static void warn_about(const char *request)
{
	log_about(request, LOG_LEVEL_WARN, "it is %d", 7);
	ck_assert_str_eq(log_request(), "r-1");
}

START_TEST(a_line_about_another_request_has_the_name_of_that)
{
	static const char *const names[] = {"r-2", NULL};
	static const char *const fields[] = {"msg=\"it is 7\" request=\"r-2\"", "msg=\"it is 7\""};
	char text[512];

	caught(false, "r-1", warn_about, names[_i], text);
	check_line(text, fields[_i]);
}
END_TEST

static void *log_in_a_thread(void *arg)
{
	ck_assert_ptr_null(log_request());
	log_set_request(arg);
	return NULL;
}

START_TEST(each_thread_has_a_request_of_its_own)
{
	pthread_t thread;

	log_set_request("mine");
	ck_assert_int_eq(pthread_create(&thread, NULL, log_in_a_thread, (char *)"its"), 0);
	pthread_join(thread, NULL);
	ck_assert_str_eq(log_request(), "mine");
	log_set_request(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *lines = tcase_create("lines");

	tcase_add_checked_fixture(lines, unit_dir_setup, unit_dir_teardown);
	suite_add_tcase(suite, lines);
	tcase_add_loop_test(lines, a_line_is_logfmt_whatever_it_says, 0, (int)UNIT_COUNT(rows));
	tcase_add_test(lines, in_the_journal_a_line_begins_with_its_priority);
	tcase_add_test(lines, a_long_message_is_cut_and_the_line_stays_whole);
	tcase_add_loop_test(lines, a_line_about_another_request_has_the_name_of_that, 0, 2);
	tcase_add_test(lines, each_thread_has_a_request_of_its_own);
	return unit_run(suite);
}
