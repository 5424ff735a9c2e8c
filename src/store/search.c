#include "store/search.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/connection.h"
#include "store/reply.h"
#include "store/resp.h"

struct search {
	const struct config *config;
	const struct search_question *question;
	void *arg;
	const struct redis_address *
		*list; /* those who are asked; the first `next` had their turn */
	size_t next, count, capacity;
	struct connection *connection; /* to the last of these; NULL: no search */
	bool has_asked;
	unsigned greetings, replies; /* still to come: to AUTH, and to the question */
	int64_t until_ms; /* how long this one is waited for, monotonic */
	char error[256];
};

struct search *search_new(const struct config *config, const struct search_question *question,
			  void *arg)
{
	struct search *search = xcalloc(1, sizeof *search);

	search->config = config;
	search->question = question;
	search->arg = arg;
	return search;
}

static void leave(struct search *search)
{
	connection_close(search->connection);
	search->connection = NULL;
}

void search_stop(struct search *search)
{
	leave(search);
	search->next = search->count = 0;
}

void search_free(struct search *search)
{
	if (search == NULL)
		return;
	leave(search);
	free(search->list);
	free(search);
}

void search_add(struct search *search, const struct redis_address *address)
{
	if (search->count == search->capacity) {
		search->capacity = search->capacity * 2 + 4;
		search->list = xrealloc(search->list, search->capacity * sizeof *search->list);
	}
	search->list[search->count++] = address;
}

const char *search_error(const struct search *search)
{
	return search->error;
}

int search_fd(const struct search *search)
{
	return connection_fd(search->connection);
}

bool search_wants_write(const struct search *search)
{
	return connection_wants_write(search->connection);
}

int search_left_ms(const struct search *search)
{
	int64_t left = search->until_ms - times_mono_ms();

	return left > 0 ? (int)left : 0;
}

/* --- one after the other --------------------------------------------------------------------- */

static const struct redis_address *asked(const struct search *search)
{
	return search->list[search->next - 1];
}

static void say(struct search *search, const char *why)
{
	struct printbuf *text = buf_new();

	buf_putf(text, "%s ", search->question->who);
	redis_url_put_node(text, asked(search));
	buf_putf(text, ": %s", why);
	/* Each search begins with another one: of all that failed the same is told, so that the log says it once. */
	if (search->error[0] == '\0' || strcmp(text->buf, search->error) < 0)
		snprintf(search->error, sizeof search->error, "%s", text->buf);
	printbuf_free(text);
}

/* Leaves this one, if there is one, for the reason, and connects to the next that lets itself be. */
static enum search_state next_one(struct search *search, const char *why)
{
	if (search->connection != NULL)
		say(search, why);
	leave(search);
	while (search->next < search->count) {
		search->next++;
		search->has_asked = false;
		/* So that time is left for whom they name. */
		search->until_ms = times_mono_ms() +
				   search->config->redis.timeout_ms / (int)(search->count + 1);
		search->connection = connection_open(search->config, asked(search));
		if (connection_fd(search->connection) >= 0)
			return SEARCH_ASKING;
		say(search, connection_error(search->connection));
		leave(search);
	}
	search_stop(search);
	return SEARCH_FAILED;
}

static enum search_state ask(struct search *search)
{
	struct printbuf *out = buf_new();

	search->greetings = resp_greeting(out, asked(search));
	search->replies = search->question->put(search->arg, out);
	connection_put(search->connection, out->buf, buf_len(out));
	printbuf_free(out);
	search->has_asked = true;
	return connection_flush(search->connection)
		       ? SEARCH_ASKING
		       : next_one(search, connection_error(search->connection));
}

static enum search_state on_reply(struct search *search, const redisReply *reply)
{
	bool is_last;

	if (search->greetings > 0) {
		search->greetings--;
		return reply->type == REDIS_REPLY_ERROR ? next_one(search, reply->str)
							: SEARCH_ASKING;
	}
	is_last = --search->replies == 0;
	if (search->question->read(search->arg, asked(search), reply)) {
		search_stop(search);
		return SEARCH_FOUND;
	}
	if (!is_last)
		return SEARCH_ASKING;
	return next_one(search,
			reply->type == REDIS_REPLY_ERROR ? reply->str : search->question->useless);
}

static enum search_state read_replies(struct search *search)
{
	size_t turn = search->next;
	enum search_state state = SEARCH_ASKING;

	if (!connection_flush(search->connection) || !connection_read(search->connection))
		return next_one(search, connection_error(search->connection));
	while (state == SEARCH_ASKING && search->next == turn) {
		redisReply *reply;

		if (!connection_take(search->connection, &reply))
			return next_one(search, connection_error(search->connection));
		if (reply == NULL)
			break;
		state = on_reply(search, reply);
		reply_free(reply);
	}
	return state;
}

enum search_state search_begin(struct search *search)
{
	leave(search);
	search->next = 0;
	search->error[0] = '\0';
	return next_one(search, NULL);
}

enum search_state search_proceed(struct search *search)
{
	if (search_left_ms(search) == 0)
		return next_one(search, "no answer in time");
	switch (connection_proceed(search->connection)) {
	case CONNECTION_STARTING:
		return SEARCH_ASKING;
	case CONNECTION_READY:
		return search->has_asked ? read_replies(search) : ask(search);
	default:
		return next_one(search, connection_error(search->connection));
	}
}

bool search_run(struct search *search)
{
	enum search_state state = search_begin(search);

	while (state == SEARCH_ASKING) {
		struct pollfd ready = {search_fd(search),
				       search_wants_write(search) ? POLLOUT : POLLIN, 0};

		poll(&ready, 1, search_left_ms(search));
		state = search_proceed(search);
	}
	return state == SEARCH_FOUND;
}
