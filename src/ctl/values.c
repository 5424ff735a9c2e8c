#include "ctl/values.h"

#include <stdlib.h>
#include <string.h>

#include "store/resp.h"

static const struct values_reader readers[] = {
	{"string", "GET", {NULL}, false},
	{"hash", "HGETALL", {NULL}, true},
	{"set", "SMEMBERS", {NULL}, false},
	{"zset", "ZRANGE", {"0", "-1", "WITHSCORES"}, true},
	{"list", "LRANGE", {"0", "-1", NULL}, false},
};

const struct values_reader *values_find_reader(const char *type)
{
	for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
		if (strcmp(type, readers[i].type) == 0)
			return &readers[i];
	}
	return NULL;
}

void values_put(struct printbuf *out, const struct values_reader *reader, const char *name,
		size_t len)
{
	unsigned count = 0;

	while (count < 3 && reader->arguments[count] != NULL)
		count++;
	resp_begin(out, 2 + count);
	resp_text(out, reader->command);
	resp_arg(out, name, len);
	for (unsigned i = 0; i < count; i++)
		resp_text(out, reader->arguments[i]);
}

static int compare_texts(const redisReply *a, const redisReply *b)
{
	int order = memcmp(a->str, b->str, a->len < b->len ? a->len : b->len);

	if (order != 0)
		return order;
	return (a->len > b->len) - (a->len < b->len);
}

static int by_text(const void *a, const void *b)
{
	return compare_texts(*(redisReply *const *)a, *(redisReply *const *)b);
}

static bool are_strings(const redisReply *reply)
{
	for (size_t i = 0; i < reply->elements; i++) {
		if (reply->element[i]->type != REDIS_REPLY_STRING)
			return false;
	}
	return true;
}

/* Of names with values, a pair is one thing; of a Set, an element. */
static void sort(const struct values_reader *reader, redisReply *reply)
{
	size_t width = reader->has_pairs ? 2 : 1;

	if (strcmp(reader->type, "set") == 0 || strcmp(reader->type, "hash") == 0)
		qsort(reply->element, reply->elements / width, width * sizeof *reply->element,
		      by_text);
}

bool values_are_equal(const struct values_reader *reader, redisReply *one, redisReply *other)
{
	if (one->type != other->type)
		return false;
	if (one->type == REDIS_REPLY_STRING)
		return compare_texts(one, other) == 0;
	if (one->type != REDIS_REPLY_ARRAY || one->elements != other->elements ||
	    !are_strings(one) || !are_strings(other))
		return false;
	sort(reader, one);
	sort(reader, other);
	for (size_t i = 0; i < one->elements; i++) {
		if (compare_texts(one->element[i], other->element[i]) != 0)
			return false;
	}
	return true;
}
