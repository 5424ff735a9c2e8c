/* MONITOR, as the tests read it. */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

struct monitor {
	struct stack *stack;
	redisContext *context;
	unsigned taken;
};

struct monitor *monitor_open(struct stack *stack)
{
	struct monitor *monitor = xcalloc(1, sizeof *monitor);
	redisReply *reply;

	monitor->stack = stack;
	monitor->context = redisConnectUnix(stack_path(stack, "redis.sock"));
	ck_assert_msg(monitor->context->err == 0, "Redis: %s", monitor->context->errstr);
	reply = redisCommand(monitor->context, "MONITOR");
	ck_assert(reply != NULL && reply->type == REDIS_REPLY_STATUS);
	freeReplyObject(reply);
	return monitor;
}

/* `1700000000.123456 [0 lua] "get" "key"`: its command, and whether a script did it. */
static const char *read_line(const char *line, bool *is_of_script)
{
	const char *place = strchr(line, '['), *end = strstr(line, "] ");

	ck_assert_msg(place != NULL && end != NULL, "MONITOR wrote: %s", line);
	*is_of_script = strncmp(place + 2, " lua", 4) == 0;
	return end + 2;
}

char *monitor_take(struct monitor *monitor)
{
	struct printbuf *out = buf_new();
	char mark[32];

	snprintf(mark, sizeof mark, "monitor-%u", ++monitor->taken);
	freeReplyObject(redis_cmd(monitor->stack, "ECHO %s", mark));
	for (;;) {
		bool is_of_script;
		redisReply *reply;
		const char *line;

		ck_assert_msg(redisGetReply(monitor->context, (void **)&reply) == REDIS_OK,
			      "Redis: %s", monitor->context->errstr);
		line = read_line(reply->str, &is_of_script);
		if (strstr(line, mark) != NULL) {
			freeReplyObject(reply);
			return buf_take(out, NULL);
		}
		buf_putf(out, "%s%s\n", is_of_script ? "  " : "", line);
		freeReplyObject(reply);
	}
}

char *monitor_word(const char *line, unsigned index)
{
	const char *at = line, *end;

	for (;;) {
		at = strchr(at, '"');
		if (at == NULL)
			return xstrdup("");
		end = ++at;
		while (*end != '"')
			end += *end == '\\' ? 2 : 1;
		if (index-- == 0)
			return xstrndup(at, (size_t)(end - at));
		at = end + 1;
	}
}
