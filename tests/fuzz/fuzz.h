/* What the fuzz targets share. Each is one program, linked with clang's -fsanitize=fuzzer. */
#ifndef PRESENCE_TESTS_FUZZ_H
#define PRESENCE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program when a property does not hold: the fuzzer then keeps the input. */
#define REQUIRE(property)                                                                      \
	do {                                                                                   \
		if (!(property)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #property); \
			abort();                                                               \
		}                                                                              \
	} while (0)

/* Called by the fuzzer with each input; always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
