/*
 * What the fuzz targets share. Each is one program: linked with clang's -fsanitize=fuzzer by
 * `make fuzz`, with replay.c by `make check`.
 */
#ifndef PRESENCE_TESTS_FUZZ_H
#define PRESENCE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ends the program when a property does not hold: the fuzzer then keeps the input. */
#define REQUIRE(property)                                                                      \
	do {                                                                                   \
		if (!(property)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #property); \
			abort();                                                               \
		}                                                                              \
	} while (0)

#define FUZZ_PATH_SIZE 32

/* Makes a file of this content that only we can read, and its path; the descriptor, to be closed. */
static inline int fuzz_file(const void *content, size_t size, char path[FUZZ_PATH_SIZE])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && fchmod(fd, 0600) == 0);
	REQUIRE(write(fd, content, size) == (ssize_t)size);
	snprintf(path, FUZZ_PATH_SIZE, "/proc/self/fd/%d", fd);
	return fd;
}

/* Called by the fuzzer with each input; always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
