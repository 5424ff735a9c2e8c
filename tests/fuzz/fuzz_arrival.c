/*
 * Properties of what presence-api lets through to libfcgi: nothing beyond the bytes is read; more
 * bytes never take a judgement back; a request that is whole, is one for our own codec as well, with
 * parameters that end where they say.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include <fastcgi.h>

#include "api/arrival.h"
#include "base/buf.h"
#include "stream/fcgi.h"

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

/* Our codec refuses more: empty names, NULs, a limit of their number. */
static bool may_refuse(char *const *env, enum fcgi_event event)
{
	return event == FCGI_EVENT_BROKEN && env == NULL;
}

static void check_codec(const uint8_t *data, size_t size)
{
	struct printbuf *reply = buf_new();
	struct fcgi_conn conn;
	enum fcgi_event event;
	size_t used = 0;

	fcgi_conn_init(&conn);
	event = fcgi_conn_feed(&conn, 1, data, size, &used, reply);
	REQUIRE(event == FCGI_EVENT_REQUEST || may_refuse(conn.env, event));
	REQUIRE(buf_len(reply) == 0);
	fcgi_conn_clear(&conn);
	printbuf_free(reply);
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
		check_codec(data, size);
	return 0;
}
