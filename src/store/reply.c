#include "store/reply.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 896 /* bytes; enough for most replies, and a size that malloc() keeps at hand */

#if defined __GNUC__ && !defined __clang__
/* To gcc's analyzer a block is lost when only the address of a part of it is kept: whole_of() has it. */
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct block {
	struct block *next;
	alignas(max_align_t) char bytes[];
};

/* A whole reply: its outermost part, and the blocks that hold what is in it. */
struct whole {
	char *at, *end; /* what is free of the newest block, or of `first` */
	size_t room; /* that block's */
	struct block *blocks;
	redisReply reply;
	alignas(max_align_t) char first[FIRST_ROOM];
};

static struct whole *whole_of(redisReply *reply)
{
	return (struct whole *)(void *)((char *)reply - offsetof(struct whole, reply));
}

/* NULL: out of memory. Each block is twice as large as the one before. */
static void *take(struct whole *whole, size_t size)
{
	size_t rest = size % alignof(redisReply);
	char *taken;

	size += rest > 0 ? alignof(redisReply) - rest : 0;
	if (size > (size_t)(whole->end - whole->at)) {
		size_t room = 2 * whole->room > size ? 2 * whole->room : size;
		struct block *block = malloc(sizeof *block + room);

		if (block == NULL)
			return NULL;
		block->next = whole->blocks;
		whole->blocks = block;
		whole->room = room;
		whole->at = block->bytes;
		whole->end = block->bytes + room;
	}
	taken = whole->at;
	whole->at += size;
	return taken;
}

static struct whole *whole_new(void)
{
	struct whole *whole = malloc(sizeof *whole);

	if (whole == NULL)
		return NULL;
	whole->at = whole->first;
	whole->end = whole->first + FIRST_ROOM;
	whole->room = FIRST_ROOM;
	whole->blocks = NULL;
	return whole;
}

/* A part, in its place in the array around it. */
static redisReply *create(const redisReadTask *task, int type, struct whole **whole)
{
	const redisReadTask *outermost = task;
	redisReply *reply;

	while (outermost->parent != NULL)
		outermost = outermost->parent;
	if (outermost == task) {
		*whole = whole_new();
		reply = *whole != NULL ? &(*whole)->reply : NULL;
	} else {
		*whole = whole_of(outermost->obj);
		reply = take(*whole, sizeof *reply);
	}
	if (reply == NULL)
		return NULL;
	memset(reply, 0, sizeof *reply);
	reply->type = type;
	if (task->parent != NULL)
		((redisReply *)task->parent->obj)->element[task->idx] = reply;
	return reply;
}

static void free_object(void *reply)
{
	reply_free(reply);
}

/* Of the outermost part nobody else knows yet. */
static void *give_up(const redisReadTask *task, redisReply *reply)
{
	if (task->parent == NULL)
		reply_free(reply);
	return NULL;
}

/* Also an error or a status. */
static void *create_string(const redisReadTask *task, char *text, size_t len)
{
	struct whole *whole;
	redisReply *reply = create(task, task->type, &whole);

	if (reply == NULL)
		return NULL;
	reply->str = take(whole, len + 1);
	if (reply->str == NULL)
		return give_up(task, reply);
	memcpy(reply->str, text, len);
	reply->str[len] = '\0';
	reply->len = len;
	return reply;
}

static void *create_array(const redisReadTask *task, int elements)
{
	struct whole *whole;
	redisReply *reply = create(task, REDIS_REPLY_ARRAY, &whole);

	if (reply == NULL || elements == 0)
		return reply;
	reply->element = take(whole, (size_t)elements * sizeof(redisReply *));
	if (reply->element == NULL)
		return give_up(task, reply);
	reply->elements = (size_t)elements;
	return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
	struct whole *whole;
	redisReply *reply = create(task, REDIS_REPLY_INTEGER, &whole);

	if (reply != NULL)
		reply->integer = value;
	return reply;
}

static void *create_nil(const redisReadTask *task)
{
	struct whole *whole;

	return create(task, REDIS_REPLY_NIL, &whole);
}

redisReader *reply_reader_new(void)
{
	static redisReplyObjectFunctions functions = {create_string, create_array, create_integer,
						      create_nil, free_object};

	return redisReaderCreateWithFunctions(&functions);
}

void reply_free(redisReply *reply)
{
	struct whole *whole;
	struct block *block;

	if (reply == NULL)
		return;
	whole = whole_of(reply);
	while ((block = whole->blocks) != NULL) {
		whole->blocks = block->next;
		free(block);
	}
	free(whole);
}
