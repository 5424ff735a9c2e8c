#include "store/layout_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/keys.h"
#include "store/layout.h"
#include "store/resp.h"

#define POWERS 10 /* of two, from 2 to LAYOUT_PARTITIONS_MAX */
#define TEXT_SIZE 32

/* The prefix of partition 0 of so many; the caller frees it. */
static char *first_prefix(unsigned count, const struct config *config)
{
	return layout_prefix(count, layout_tag(count, 0), config->redis.prefix);
}

/* "8" where a server or a cluster has all, "8/3" where three servers share them. */
static void put_text(char text[TEXT_SIZE], const struct config *config, size_t servers)
{
	if (servers > 1)
		snprintf(text, TEXT_SIZE, "%d/%zu", config->redis.partitions, servers);
	else
		snprintf(text, TEXT_SIZE, "%d", config->redis.partitions);
}

/* The epochs of the first partition of each other server: the same servers may stand in another order. */
static void put_others(struct printbuf *out, const struct layout_look *look)
{
	unsigned count = (unsigned)look->config->redis.partitions;

	resp_begin(out, look->servers);
	resp_text(out, "MGET");
	for (unsigned i = 0; i < look->servers; i++) {
		char *prefix =
			layout_prefix(count, layout_tag(count, i), look->config->redis.prefix);

		if (i != look->server)
			resp_key(out, prefix, KEY_EPOCH, "");
		free(prefix);
	}
}

/* Partition 0 has another tag when there are more of them, so whoever looks does not know where. */
unsigned layout_put_look(struct printbuf *out, const struct layout_look *look)
{
	const struct config *config = look->config;

	resp_begin(out, 1 + POWERS);
	resp_text(out, "MGET");
	for (unsigned count = 2; count <= LAYOUT_PARTITIONS_MAX; count *= 2) {
		char *prefix = first_prefix(count, config);

		resp_key(out, prefix, KEY_LAYOUT, "");
		free(prefix);
	}
	if (config->redis.partitions == 1)
		return 1;
	resp_begin(out, 2);
	resp_text(out, "EXISTS");
	resp_key(out, config->redis.prefix, KEY_DEADLINES, "");
	if (look->servers == 1)
		return LAYOUT_LOOK_MAX - 1;
	put_others(out, look);
	return LAYOUT_LOOK_MAX;
}

static bool read_text(const redisReply *text, const char *expected, char why[LAYOUT_WHY_MAX],
		      bool *is_noted)
{
	if (text->type != REDIS_REPLY_STRING)
		return true;
	if (strcmp(text->str, expected) != 0) {
		snprintf(why, LAYOUT_WHY_MAX,
			 "its users are divided as " KEY_LAYOUT
			 " says, %.20s, not as redis.url and redis.partitions do, %s",
			 text->str, expected);
		return false;
	}
	*is_noted = true;
	return true;
}

static bool read_texts(const redisReply *texts, const char *expected, char why[LAYOUT_WHY_MAX],
		       bool *is_noted)
{
	for (size_t i = 0; texts->type == REDIS_REPLY_ARRAY && i < texts->elements; i++) {
		if (!read_text(texts->element[i], expected, why, is_noted))
			return false;
	}
	return true;
}

/* Whether users of redis.partitions = 1 are there. */
static bool read_single(const redisReply *reply, char why[LAYOUT_WHY_MAX])
{
	if (reply->type != REDIS_REPLY_INTEGER || reply->integer != 1)
		return true;
	snprintf(why, LAYOUT_WHY_MAX,
		 "it holds users of redis.partitions = 1: presencectl move takes them over");
	return false;
}

static bool read_others(struct layout_look *look, const redisReply *epochs)
{
	for (size_t i = 0; epochs->type == REDIS_REPLY_ARRAY && i < epochs->elements; i++) {
		if (epochs->element[i]->type != REDIS_REPLY_STRING)
			continue;
		snprintf(look->why, sizeof look->why,
			 "it holds users of server %zu of redis.url: name the servers, each once, "
			 "in the order in which users were divided over them",
			 i < look->server ? i + 1 : i + 2);
		return false;
	}
	return true;
}

bool layout_read_look(struct layout_look *look, unsigned index, const redisReply *reply)
{
	char expected[TEXT_SIZE];

	put_text(expected, look->config, look->servers);
	if (index == 0)
		return read_texts(reply, expected, look->why, &look->is_noted);
	return index == 1 ? read_single(reply, look->why) : read_others(look, reply);
}

/* Of partition 0 of so many; the caller frees it. */
static char *key_of(unsigned count, const struct config *config, const char *name)
{
	char *prefix = first_prefix(count, config);
	struct printbuf *key = buf_new();

	buf_putf(key, "%s%s", prefix, name);
	free(prefix);
	return buf_take(key, NULL);
}

char *layout_look_key(const struct config *config, unsigned index)
{
	return index < POWERS ? key_of(2U << index, config, KEY_LAYOUT)
			      : key_of(1, config, KEY_DEADLINES);
}

void layout_put_look_key(struct printbuf *out, unsigned index, const char *key)
{
	resp_begin(out, 2);
	resp_text(out, index < POWERS ? "GET" : "EXISTS");
	resp_text(out, key);
}

bool layout_read_look_key(const redisReply *reply, unsigned index, const struct config *config,
			  char why[LAYOUT_WHY_MAX], bool *is_noted)
{
	char expected[TEXT_SIZE];

	put_text(expected, config, 1);
	return index < POWERS ? read_text(reply, expected, why, is_noted) : read_single(reply, why);
}

bool layout_is_noted(const redisReply *reply, const struct config *config, size_t servers)
{
	char expected[TEXT_SIZE];

	put_text(expected, config, servers);
	return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, expected) == 0;
}

char *layout_key(const struct config *config)
{
	return key_of((unsigned)config->redis.partitions, config, KEY_LAYOUT);
}

void layout_put_note(struct printbuf *out, const struct config *config, size_t servers)
{
	char *prefix = first_prefix((unsigned)config->redis.partitions, config);
	char text[TEXT_SIZE];

	put_text(text, config, servers);
	resp_begin(out, 4);
	resp_text(out, "SET");
	resp_key(out, prefix, KEY_LAYOUT, "");
	resp_text(out, text);
	resp_text(out, "NX");
	free(prefix);
}
