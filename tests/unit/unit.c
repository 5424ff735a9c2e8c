#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[256];

int unit_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, getenv("CK_VERBOSITY") != NULL ? CK_ENV : CK_VERBOSE);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void unit_dir_setup(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(directory, sizeof directory, "%s/presence-unit-XXXXXX",
		 base != NULL ? base : "/tmp");
	ck_assert_msg(mkdtemp(directory) != NULL, "cannot make the directory %s", directory);
}

void unit_dir_teardown(void)
{
	DIR *entries = opendir(directory);
	struct dirent *entry;

	ck_assert_msg(entries != NULL, "cannot read the directory %s", directory);
	while ((entry = readdir(entries)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(entries), entry->d_name, 0);
	}
	closedir(entries);
	ck_assert_msg(rmdir(directory) == 0, "cannot remove the directory %s", directory);
}

char *unit_path(const char *name)
{
	char *path;

	ck_assert(asprintf(&path, "%s/%s", directory, name) > 0);
	return path;
}

char *unit_write(const char *name, const void *data, size_t len)
{
	char *path = unit_path(name);
	FILE *file = fopen(path, "w");

	ck_assert_msg(file != NULL, "cannot write %s", path);
	ck_assert_int_eq(fchmod(fileno(file), 0600), 0); /* as a secret must be */
	ck_assert_uint_eq(fwrite(data, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
	return path;
}
