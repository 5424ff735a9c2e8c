/*
 * Properties of what presence-api lets through to a worker: nothing beyond the bytes is read; more
 * bytes never take a judgement back; a request that is whole has an id, and a body that is not longer
 * than the bytes.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "api/arrival.h"
#include "base/buf.h"

#define CUTS 64 /* at most so many prefixes of an input are judged */

/* The bytes are a copy of their exact size, so that a byte read beyond them shows. */
static enum arrival judge(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	enum arrival arrival;

	REQUIRE(copy != NULL);
	memcpy(copy, data, size);
	arrival = arrival_of(copy, size);
	free(copy);
	return arrival;
}

/* Parameters may be malformed all the same. */
static void check_read(const uint8_t *data, size_t size, bool is_whole)
{
	struct printbuf *body = buf_new();
	struct arrived arrived;
	uint8_t *copy = malloc(size);

	REQUIRE(copy != NULL);
	memcpy(copy, data, size);
	if (arrival_read(copy, size, &arrived, body)) {
		REQUIRE(arrived.id != 0);
		REQUIRE(is_whole || arrived.is_cut);
		REQUIRE(buf_len(body) < size);
		for (char *const *entry = arrived.env; *entry != NULL; entry++)
			REQUIRE(strchr(*entry, '=') != NULL);
		free(arrived.env);
	}
	free(copy);
	printbuf_free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum arrival before = ARRIVAL_PART;
	size_t step = 1 + size / CUTS;

	/* From the end in steps, so that all of it is among them. */
	for (size_t len = size % step; len <= size; len += step) {
		enum arrival now = judge(data, len);

		REQUIRE(now == before || before == ARRIVAL_PART ||
			(before == ARRIVAL_BODY && (now == ARRIVAL_WHOLE || now == ARRIVAL_BAD)));
		before = now;
	}
	if (before == ARRIVAL_WHOLE || before == ARRIVAL_BODY)
		check_read(data, size, before == ARRIVAL_WHOLE);
	return 0;
}
