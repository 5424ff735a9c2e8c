#include "link_stub.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define COMMANDS_MAX 256

struct link {
	bool up;
	uint64_t serial, acked;
	struct command {
		char *text;
		link_reply *done;
		void *arg;
	} commands[COMMANDS_MAX];
	unsigned count;
	const char *lost_why;
};

const struct state_names link_states = {"link", 1, {"STUB"}};

/* --- what the parts of streamd call ---------------------------------------------------------- */

bool link_is_up(const struct link *link)
{
	return link->up;
}

enum link_state link_state(const struct link *link)
{
	return link->up ? LINK_UP : LINK_WAITING;
}

bool link_lacks_writes(const struct link *link)
{
	(void)link;
	return false;
}

void link_command(struct link *link, const struct printbuf *command, link_reply *done, void *arg)
{
	ck_assert_msg(link->up, "a command while the link is down: %s", command->buf);
	ck_assert_uint_lt(link->count, COMMANDS_MAX);
	link->commands[link->count++] = (struct command){xstrdup(command->buf), done, arg};
}

uint64_t link_subscribe(struct link *link, const char *prefix, const char *const *channels,
			size_t count)
{
	(void)prefix;
	(void)channels;
	ck_assert_msg(link->up, "a subscription while the link is down");
	link->serial += count;
	return link->serial;
}

uint64_t link_serial(const struct link *link)
{
	return link->serial;
}

uint64_t link_acked(const struct link *link)
{
	return link->acked;
}

void link_unsubscribe(struct link *link, const char *prefix, const char *const *channels,
		      size_t count)
{
	(void)link;
	(void)prefix;
	(void)channels;
	(void)count;
}

void link_flush(struct link *link)
{
	(void)link;
}

void link_lost(struct link *link, const char *why)
{
	link->lost_why = why;
}

/* --- what the test calls --------------------------------------------------------------------- */

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

void stub_init_divided(struct context *context, int partitions, unsigned links)
{
	static char empty[] = "";

	memset(context, 0, sizeof *context);
	context->base = event_base_new();
	context->config = xcalloc(1, sizeof *context->config);
	context->config->redis.prefix = context->config->redis.url = empty;
	context->config->redis.partitions = partitions;
	context->scratch = buf_new();
	partition_open_all(context);
	context->link_count = context->link_max = links;
	context->links = xcalloc(links, sizeof *context->links);
	for (unsigned i = 0; i < links; i++) {
		context->links[i] = xcalloc(1, sizeof *context->links[i]);
		context->links[i]->up = true;
	}
	for (unsigned i = 0; i < context->partition_count; i++) {
		context->partitions[i].link = context->links[i % links];
		context->partitions[i].epoch = xstrdup(STUB_EPOCH);
	}
	hub_init(&context->hub, context->partition_count);
	turn_init(&context->turn, context->base, on_turn, NULL);
}

void stub_init(struct context *context)
{
	stub_init_divided(context, 1, 1);
}

void stub_free(struct context *context)
{
	for (unsigned i = 0; i < context->link_count; i++)
		stub_lose_at(context, i);
	hub_clear(&context->hub);
	turn_free(&context->turn);
	event_base_free(context->base);
	events_free(&context->events);
	printbuf_free(context->scratch);
	partition_close_all(context);
	for (unsigned i = 0; i < context->link_count; i++)
		free(context->links[i]);
	free(context->links);
	free(context->config);
}

unsigned stub_waiting(const struct context *context)
{
	return context->links[0]->count;
}

unsigned stub_newest_has(const struct context *context, const char *text)
{
	const struct link *link = context->links[0];
	unsigned found = 0;

	ck_assert_msg(link->count > 0, "no command waits");
	for (const char *at = link->commands[link->count - 1].text; (at = strstr(at, text)) != NULL;
	     at++)
		found++;
	return found;
}

unsigned stub_oldest_argc(const struct context *context)
{
	ck_assert_msg(context->links[0]->count > 0, "no command waits");
	return (unsigned)strtoul(context->links[0]->commands[0].text + 1, NULL, 10);
}

/* The oldest command of a link. */
static void answer(struct link *link, const char *resp)
{
	redisReader *reader = redisReaderCreate();
	struct command oldest;
	void *reply = NULL;

	ck_assert_msg(link->count > 0, "no command waits for an answer");
	oldest = link->commands[0];
	memmove(link->commands, link->commands + 1, --link->count * sizeof link->commands[0]);
	if (resp != NULL) {
		redisReaderFeed(reader, resp, strlen(resp));
		ck_assert_int_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
		ck_assert_ptr_nonnull(reply);
	}
	oldest.done(oldest.arg, reply);
	if (reply != NULL)
		freeReplyObject(reply);
	redisReaderFree(reader);
	free(oldest.text);
}

void stub_answer(struct context *context, const char *resp)
{
	answer(context->links[0], resp);
}

void stub_confirm_at(struct context *context, unsigned link)
{
	context->links[link]->acked = context->links[link]->serial;
}

void stub_confirm(struct context *context)
{
	stub_confirm_at(context, 0);
}

void stub_lose_at(struct context *context, unsigned number)
{
	struct link *link = context->links[number];

	link->up = false;
	while (link->count > 0)
		answer(link, NULL);
	link->acked = link->serial;
}

void stub_lose(struct context *context)
{
	stub_lose_at(context, 0);
}

void stub_recover(struct context *context)
{
	context->links[0]->up = true;
}

const char *stub_lost_why(const struct context *context)
{
	return context->links[0]->lost_why;
}
