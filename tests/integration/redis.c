/* The stand's Redis: starting and ending it, commands, what is published. */
#include "harness.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fleet.h"
#include "process.h"
#include "store/layout.h"

#define ARGS_MAX 48
#define RULES_MAX 200 /* words of a user's line */

static const char *socket_of(struct stack *stack, int server)
{
	static const char *const names[REDIS_MAX] = {"redis.sock", "redis1.sock", "redis2.sock"};

	return stack_path(stack, names[server]);
}

static const char *redis_socket(struct stack *stack)
{
	return socket_of(stack, 0);
}

static pid_t *pid_of(struct stack *stack, int server)
{
	return server == 0 ? &stack->redis : &stack->more_redis[server - 1];
}

static redisContext **control_of(struct stack *stack, int server)
{
	return server == 0 ? &stack->control : &stack->more_control[server - 1];
}

static bool redis_answers(struct stack *stack, int server)
{
	redisContext *context = redisConnectUnix(socket_of(stack, server));
	redisReply *reply = NULL;
	bool answers;

	/* An error reply (NOAUTH) is an answer too. */
	if (context != NULL && context->err == 0)
		reply = redisCommand(context, "PING");
	answers = reply != NULL;
	if (reply != NULL)
		freeReplyObject(reply);
	if (context != NULL)
		redisFree(context);
	return answers;
}

void redis_start_at(struct stack *stack, int server, const char *args)
{
	static const char *const logs[REDIS_MAX] = {"redis", "redis1", "redis2"};
	const char *argv[ARGS_MAX] = {"redis-server",
				      "--port",
				      "0",
				      "--unixsocket",
				      socket_of(stack, server),
				      "--save",
				      "",
				      "--appendonly",
				      "no",
				      "--dir",
				      stack->dir};
	char *more = xstrdup(args != NULL ? args : ""), *rest = more;
	pid_t *pid = pid_of(stack, server);
	int argc = 11;

	for (char *word; (word = strsep(&rest, " ")) != NULL && argc < ARGS_MAX - 1;) {
		if (*word != '\0')
			argv[argc++] = word;
	}
	*pid = process_start(stack, logs[server], argv, NULL, 0);
	WAIT_UNTIL(redis_answers(stack, server) || !process_lives(*pid), 10000);
	ck_assert_msg(process_lives(*pid), "redis-server did not start");
	free(more);
}

void redis_start(struct stack *stack, const char *args)
{
	redis_start_at(stack, 0, args);
}

void redis_kill_at(struct stack *stack, int server)
{
	redisContext **control = control_of(stack, server);

	if (*control != NULL)
		redisFree(*control);
	*control = NULL;
	process_end(pid_of(stack, server), SIGKILL, "redis-server", 5000);
}

void redis_kill(struct stack *stack)
{
	redis_kill_at(stack, 0);
}

pid_t redis_pid_at(struct stack *stack, int server)
{
	return *pid_of(stack, server);
}

void stack_divide(struct stack *stack, int servers, int partitions, const char *conf)
{
	struct printbuf *text = buf_new();

	buf_puts(text, "redis { url = \"");
	for (int i = 0; i < servers; i++)
		buf_putf(text, "%sunix://%s", i > 0 ? " " : "", socket_of(stack, i));
	buf_putf(text, "\" partitions = %d }\n%s", partitions, conf);
	stack_write_conf(stack, text->buf);
	printbuf_free(text);
	stack->servers = (unsigned)servers;
	stack->partitions = (unsigned)partitions;
	for (int i = 0; i < servers; i++)
		redis_start_at(stack, i, NULL);
}

static redisReply *command_at(struct stack *stack, int server, const char *format, va_list args)
{
	redisContext **control = control_of(stack, server);
	redisReply *reply;

	if (*control == NULL)
		*control = redisConnectUnix(socket_of(stack, server));
	ck_assert_msg((*control)->err == 0, "Redis: %s", (*control)->errstr);
	reply = redisvCommand(*control, format, args);
	ck_assert_msg(reply != NULL, "Redis: %s: %s", format, (*control)->errstr);
	return reply;
}

static redisReply *command(struct stack *stack, const char *format, va_list args)
{
	return command_at(stack, 0, format, args);
}

redisReply *redis_cmd_at(struct stack *stack, int server, const char *format, ...)
{
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = command_at(stack, server, format, args);
	va_end(args);
	return reply;
}

redisReply *redis_cmd(struct stack *stack, const char *format, ...)
{
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = command(stack, format, args);
	va_end(args);
	return reply;
}

/* What a reply counts; it is freed. */
static long long number_in(redisReply *reply, const char *format)
{
	long long value;

	if (reply->type == REDIS_REPLY_STRING)
		value = strtoll(reply->str, NULL, 10);
	else if (reply->type == REDIS_REPLY_NIL)
		value = 0;
	else {
		ck_assert_msg(reply->type == REDIS_REPLY_INTEGER, "Redis: %s: no integer but %s",
			      format, reply->str);
		value = reply->integer;
	}
	freeReplyObject(reply);
	return value;
}

long long redis_int(struct stack *stack, const char *format, ...)
{
	redisReply *reply;
	va_list args;

	va_start(args, format);
	reply = command(stack, format, args);
	va_end(args);
	return number_in(reply, format);
}

static redisReply *command_of(struct stack *stack, unsigned partition, const char *format,
			      va_list args)
{
	if (stack->cluster != NULL)
		return cluster_command(stack->cluster, partition, format, args);
	return command_at(stack, (int)(partition % stack->servers), format, args);
}

/* At the partition's server, the key with its tag. */
static long long number_of(struct stack *stack, unsigned partition, const char *format,
			   va_list args)
{
	const char *key = strchr(format, ' ') + 1;
	struct printbuf *tagged = buf_new();
	long long value;

	buf_put(tagged, format, (size_t)(key - format));
	if (stack->partitions > 1)
		buf_putf(tagged, "{%u}", layout_tag(stack->partitions, partition));
	buf_puts(tagged, key);
	value = number_in(command_of(stack, partition, tagged->buf, args), format);
	printbuf_free(tagged);
	return value;
}

long long redis_int_of(struct stack *stack, const char *id, const char *format, ...)
{
	long long value;
	va_list args;

	va_start(args, format);
	value = number_of(stack, layout_partition(stack->partitions, id), format, args);
	va_end(args);
	return value;
}

long long redis_sum(struct stack *stack, const char *format, ...)
{
	long long sum = 0;

	for (unsigned i = 0; i < stack->partitions; i++) {
		va_list args;

		va_start(args, format);
		sum += number_of(stack, i, format, args);
		va_end(args);
	}
	return sum;
}

char *redis_text(struct stack *stack, const char *format, ...)
{
	redisReply *reply;
	char *text = NULL;
	va_list args;

	va_start(args, format);
	reply = command(stack, format, args);
	va_end(args);
	if (reply->type != REDIS_REPLY_NIL) {
		ck_assert_msg(reply->str != NULL && reply->type != REDIS_REPLY_ERROR,
			      "Redis: %s: no text but %s", format, reply->str);
		text = xstrdup(reply->str);
	}
	freeReplyObject(reply);
	return text;
}

bool redis_has(struct stack *stack, const char *key)
{
	return redis_int(stack, "EXISTS %s", key) == 1;
}

/* The line of conf/redis-users.acl, with a password. */
static char *user_line(const char *password)
{
	char *line = NULL, *text, *at;
	size_t size = 0;
	FILE *file = fopen(SRCDIR "/conf/redis-users.acl", "re");

	ck_assert(file != NULL && getline(&line, &size, file) > 0);
	fclose(file);
	at = strstr(line, "PASSWORD");
	ck_assert_ptr_nonnull(at);
	ck_assert(asprintf(&text, "%.*s%s%s", (int)(at - line), line, password,
			   at + strlen("PASSWORD")) > 0);
	free(line);
	return text;
}

void redis_make_user(struct stack *stack, const char *password)
{
	char *words = user_line(password), *rest = words;
	const char *argv[RULES_MAX] = {"ACL", "SETUSER"};
	int argc = 2;
	redisReply *reply;

	for (char *word; (word = strsep(&rest, " \n")) != NULL;) {
		if (*word == '\0' || strcmp(word, "user") == 0)
			continue;
		ck_assert_int_lt(argc, RULES_MAX);
		argv[argc++] = word;
	}
	freeReplyObject(redis_cmd(stack, "PING")); /* connected */
	reply = redisCommandArgv(stack->control, argc, argv, NULL);
	ck_assert_msg(reply != NULL && reply->type == REDIS_REPLY_STATUS, "ACL SETUSER: %s",
		      reply != NULL ? reply->str : "lost");
	freeReplyObject(reply);
	free(words);
}

/* --- the dump ----------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What sweepers write down for themselves, whoever asks for what. */
static bool is_housekeeping(const char *key)
{
	static const char *const names[] = {
		"presence:swept", "presence:sweeping",	 "presence:hold",  "presence:paused",
		"presence:epoch", "presence:recovering", "presence:health"};
	static const char figures[] = "presence:figures";

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(key, names[i]) == 0)
			return true;
	}
	return strncmp(key, figures, sizeof figures - 1) == 0 ||
	       strcmp(key, "presence:processes") == 0 || strcmp(key, "presence:transitions") == 0;
}

static void put_sorted(struct printbuf *out, redisReply *reply, size_t step)
{
	char **lines = xcalloc(reply->elements + 1, sizeof *lines);
	size_t count = 0;

	for (size_t i = 0; i < reply->elements; i += step) {
		const char *second = step == 2 ? reply->element[i + 1]->str : "";

		ck_assert(asprintf(&lines[count++], "  %s %s\n", reply->element[i]->str, second) >
			  0);
	}
	qsort(lines, count, sizeof *lines, by_text);
	for (size_t i = 0; i < count; i++) {
		buf_puts(out, lines[i]);
		free(lines[i]);
	}
	free(lines);
}

/* Of a stream: each entry's id and its fields. */
static void put_entries(struct printbuf *out, const redisReply *entries)
{
	for (size_t i = 0; i < entries->elements; i++) {
		const redisReply *fields = entries->element[i]->element[1];

		buf_putf(out, "  %s", entries->element[i]->element[0]->str);
		for (size_t j = 0; j < fields->elements; j++)
			buf_putf(out, " %s", fields->element[j]->str);
		buf_puts(out, "\n");
	}
}

static void put_value(struct stack *stack, struct printbuf *out, const char *key)
{
	redisReply *type = redis_cmd(stack, "TYPE %s", key), *value;

	buf_putf(out, "%s %s\n", key, type->str);
	if (strcmp(type->str, "string") == 0) {
		value = redis_cmd(stack, "GET %s", key);
		buf_putf(out, "  %s\n", value->str != NULL ? value->str : "");
	} else if (strcmp(type->str, "set") == 0) {
		value = redis_cmd(stack, "SMEMBERS %s", key);
		put_sorted(out, value, 1);
	} else if (strcmp(type->str, "hash") == 0) {
		value = redis_cmd(stack, "HGETALL %s", key);
		put_sorted(out, value, 2);
	} else if (strcmp(type->str, "list") == 0) {
		value = redis_cmd(stack, "LRANGE %s 0 -1", key);
		put_sorted(out, value, 1);
	} else if (strcmp(type->str, "stream") == 0) {
		value = redis_cmd(stack, "XRANGE %s - +", key);
		put_entries(out, value);
	} else {
		value = redis_cmd(stack, "ZRANGE %s 0 -1 WITHSCORES", key);
		put_sorted(out, value, 2);
	}
	freeReplyObject(type);
	freeReplyObject(value);
}

char *redis_dump(struct stack *stack)
{
	redisReply *keys = redis_cmd(stack, "KEYS *");
	struct printbuf *out = buf_new();
	char **names = xcalloc(keys->elements + 1, sizeof *names);

	for (size_t i = 0; i < keys->elements; i++)
		names[i] = keys->element[i]->str;
	qsort(names, keys->elements, sizeof *names, by_text);
	for (size_t i = 0; i < keys->elements; i++) {
		if (!is_housekeeping(names[i]))
			put_value(stack, out, names[i]);
	}
	free(names);
	freeReplyObject(keys);
	return buf_take(out, NULL);
}

/* --- what is published -------------------------------------------------------------------- */

struct listener {
	redisContext *context;
};

struct listener *listener_open(struct stack *stack, const char *pattern)
{
	struct listener *listener = xmalloc(sizeof *listener);
	redisReply *reply;

	listener->context = redisConnectUnix(redis_socket(stack));
	ck_assert_msg(listener->context->err == 0, "Redis: %s", listener->context->errstr);
	reply = redisCommand(listener->context, "PSUBSCRIBE %s", pattern);
	ck_assert(reply != NULL && reply->type == REDIS_REPLY_ARRAY);
	freeReplyObject(reply);
	return listener;
}

struct message *listener_next(struct listener *listener, int ms)
{
	struct message *message;
	redisReply *reply = NULL;
	int64_t end = now_ms() + ms;

	for (;;) {
		struct pollfd wait = {.fd = listener->context->fd, .events = POLLIN};
		int left = (int)(end - now_ms());

		ck_assert_int_eq(redisGetReplyFromReader(listener->context, (void **)&reply),
				 REDIS_OK);
		if (reply != NULL)
			break;
		if (left < 0 || poll(&wait, 1, left) <= 0)
			return NULL;
		ck_assert_msg(redisBufferRead(listener->context) == REDIS_OK, "Redis: %s",
			      listener->context->errstr);
	}
	ck_assert_int_eq(reply->elements, 4);
	message = xcalloc(1, sizeof *message);
	message->channel = xstrdup(reply->element[2]->str);
	message->text = xstrdup(reply->element[3]->str);
	message->json = json_tokener_parse(message->text);
	freeReplyObject(reply);
	return message;
}
