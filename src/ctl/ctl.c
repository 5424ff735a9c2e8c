#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/redis_url.h"
#include "base/utf8.h"

static void say(const char *format, va_list args)
{
	struct printbuf *out = buf_new();
	char *text;

	/* What is quoted may come from anywhere. */
	buf_puts(out, PROGRAM ": ");
	if (vasprintf(&text, format, args) >= 0) {
		utf8_put(out, text, strlen(text));
		free(text);
	}
	buf_puts(out, "\n");
	fwrite(out->buf, 1, buf_len(out), stderr);
	printbuf_free(out);
}

enum ctl_exit ctl_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CTL_FAILED;
}

enum ctl_exit ctl_refuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	fputs("Try '" PROGRAM " --help'.\n", stderr);
	return CTL_USAGE;
}

bool ctl_read_id(const char *text, struct userid *id)
{
	if (userid_parse(text, strlen(text), id))
		return true;
	ctl_refuse("'%s' is not a user id: a whole number from 1 to 2^53-1, or 1 to %d of the "
		   "characters A-Z a-z 0-9 _ . - @ | : + = ~ that are not all digits",
		   text, USERID_MAX);
	return false;
}

struct userid *ctl_read_ids(char **args, int count)
{
	struct userid *ids = xcalloc((size_t)count, sizeof *ids);

	for (int i = 0; i < count; i++) {
		if (!ctl_read_id(args[i], &ids[i])) {
			free(ids);
			return NULL;
		}
	}
	return ids;
}

void ctl_say_redis(const struct ctl *ctl)
{
	struct redis_url url;
	struct printbuf *place;

	if (nodes_count(ctl->nodes) > 1) {
		ctl_fail("Redis at %s", nodes_error(ctl->nodes));
		return;
	}
	/* Without the password that the URL may hold. */
	redis_url_parse(ctl->config->redis.url, &url);
	place = buf_new();
	redis_url_put(place, &url);
	ctl_fail("Redis at %s: %s", place->buf, nodes_error(ctl->nodes));
	printbuf_free(place);
	redis_url_free(&url);
}

bool ctl_run(struct ctl *ctl, size_t count, redisReply **replies)
{
	if (count == 0 || nodes_run(ctl->nodes, count, replies))
		return true;
	ctl_say_redis(ctl);
	return false;
}

bool ctl_do(struct ctl *ctl, size_t count)
{
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	bool ok = ctl_run(ctl, count, replies);

	if (ok)
		blocking_free_replies(replies, count);
	free(replies);
	return ok;
}

struct printbuf *ctl_begin(struct ctl *ctl, const struct store *store)
{
	nodes_begin(ctl->nodes);
	return nodes_to(ctl->nodes, store);
}

redisReply *ctl_run_one(struct ctl *ctl)
{
	redisReply *reply;

	return ctl_run(ctl, 1, &reply) ? reply : NULL;
}

void ctl_print(struct printbuf *out)
{
	struct printbuf *valid = buf_new();

	utf8_put(valid, out->buf, buf_len(out));
	fwrite(valid->buf, 1, buf_len(valid), stdout);
	printbuf_free(valid);
	buf_reset(out);
}
