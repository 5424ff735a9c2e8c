/*
 * Runs a fuzz target over its committed seeds, with any compiler: so each target is built and passes
 * in every `make check`, and what fuzzing once found stays mended. The program's name tells the
 * directory: fuzz_NAME reads tests/fuzz/seeds-NAME, or the files that are its arguments.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define INPUT_MAX (1 << 20)

static bool run_file(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *file = fopen(path, "re");
	uint8_t *exact;
	size_t size;

	if (file == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	size = fread(data, 1, sizeof data, file);
	fclose(file);
	/* A copy of its exact size, so that a byte read beyond it shows. */
	exact = malloc(size > 0 ? size : 1);
	if (exact == NULL)
		return false;
	memcpy(exact, data, size);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return true;
}

/* How many inputs there were; -1 when one cannot be read. */
static int run_seeds(const char *name)
{
	const char *source = getenv("ABS_SRCDIR");
	char dir[4096], path[8192];
	struct dirent *entry;
	DIR *seeds;
	int count = 0;

	snprintf(dir, sizeof dir, "%s/tests/fuzz/seeds-%s", source != NULL ? source : ".", name);
	seeds = opendir(dir);
	if (seeds == NULL) {
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return -1;
	}
	while (count >= 0 && (entry = readdir(seeds)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
		count = run_file(path) ? count + 1 : -1;
	}
	closedir(seeds);
	return count;
}

int main(int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/'), *name;
	int count = 0;

	base = base != NULL ? base + 1 : argv[0];
	if (argc > 1) {
		for (int i = 1; i < argc && count >= 0; i++)
			count = run_file(argv[i]) ? count + 1 : -1;
		return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	name = strrchr(base, '_');
	if (name == NULL || (count = run_seeds(name + 1)) <= 0) {
		fprintf(stderr, "%s: no seeds\n", base);
		return EXIT_FAILURE;
	}
	printf("%d seeds\n", count);
	return EXIT_SUCCESS;
}
