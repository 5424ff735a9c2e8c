#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/alloc.h"
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
	ctl_refuse("'%s' is not a user id: a whole number from 1 to 2^53-1, or 1 to 64 of the "
		   "characters A-Z a-z 0-9 _ . - that are not all digits",
		   text);
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

/* Where Redis is, without the password that the URL may hold. */
static void put_place(char *place, size_t size, const char *url)
{
	struct redis_address address;

	*place = '\0';
	if (redis_address_parse(url, &address) != NULL)
		return;
	if (address.path != NULL)
		snprintf(place, size, "%s", address.path);
	else
		snprintf(place, size, "%s:%d", address.host, address.port);
	redis_address_free(&address);
}

bool ctl_run(struct ctl *ctl, const struct printbuf *pipeline, size_t count, redisReply **replies)
{
	char place[256];

	if (blocking_run(ctl->redis, pipeline, count, replies))
		return true;
	put_place(place, sizeof place, ctl->config->redis.url);
	ctl_fail("Redis at %s: %s", place, blocking_error(ctl->redis));
	return false;
}

void ctl_print(struct printbuf *out)
{
	struct printbuf *valid = buf_new();

	utf8_put(valid, out->buf, buf_len(out));
	fwrite(valid->buf, 1, buf_len(valid), stdout);
	printbuf_free(valid);
	buf_reset(out);
}
