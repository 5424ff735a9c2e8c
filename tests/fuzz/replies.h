/* What the targets share that are fed with replies of Redis (RESP2). */
#ifndef PRESENCE_TESTS_FUZZ_REPLIES_H
#define PRESENCE_TESTS_FUZZ_REPLIES_H

#include "fuzz.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "store/reply.h"

/* Of an array's length: what Redis itself would have to send is not ours. */
#define REPLIES_DIGITS_MAX 3

static bool replies_has_long_array(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		size_t digits = 0;

		while (data[i] == '*' && i + 1 + digits < size && isdigit(data[i + 1 + digits]))
			digits++;
		if (digits > REPLIES_DIGITS_MAX)
			return true;
	}
	return false;
}

static bool replies_are_equal(const redisReply *one, const redisReply *other)
{
	if (one->type != other->type || one->integer != other->integer || one->len != other->len ||
	    one->elements != other->elements || (one->str == NULL) != (other->str == NULL) ||
	    (one->str != NULL && memcmp(one->str, other->str, one->len + 1) != 0))
		return false;
	for (size_t i = 0; i < one->elements; i++) {
		if (!replies_are_equal(one->element[i], other->element[i]))
			return false;
	}
	return true;
}

/* Checks each reply in the bytes, which our reader must give as hiredis' own gives it. */
static void replies_each(const uint8_t *data, size_t size, void (*check)(redisReply *reply))
{
	redisReader *reader, *plain;
	void *reply = NULL, *other = NULL;

	if (replies_has_long_array(data, size))
		return;
	reader = reply_reader_new();
	plain = redisReaderCreate();
	redisReaderFeed(reader, (const char *)data, size);
	redisReaderFeed(plain, (const char *)data, size);
	while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
		REQUIRE(redisReaderGetReply(plain, &other) == REDIS_OK && other != NULL);
		REQUIRE(replies_are_equal(reply, other));
		freeReplyObject(other);
		check(reply);
		reply_free(reply);
		reply = other = NULL;
	}
	redisReaderFree(reader);
	redisReaderFree(plain);
}

#endif
