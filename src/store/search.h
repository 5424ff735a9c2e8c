/*
 * One question to several servers of which one answer is enough: they are asked one after the other
 * until one answers it. One that is dead, slow or does not know is skipped.
 *
 * Without waiting: after search_begin() the owner waits for the socket, as search_wants_write() says,
 * for search_left_ms() at most, and calls search_proceed() until the state is another. With each call
 * the socket may be another one. Or it waits all in one: search_run().
 */
#ifndef PRESENCE_STORE_SEARCH_H
#define PRESENCE_STORE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/redis_url.h"

enum search_state {
	SEARCH_ASKING,
	SEARCH_FOUND,
	SEARCH_FAILED, /* none of them answers: search_error() */
};

struct search_question {
	const char *who; /* is asked: "Sentinel", for the error */
	/* Appends the commands; returns how many. */
	unsigned (*put)(void *arg, struct printbuf *out);
	/* One of their replies, in order, borrowed. True: that was the answer, and nothing more is read. */
	bool (*read)(void *arg, const struct redis_address *asked, const redisReply *reply);
	const char *useless; /* the error of one whose replies are no answer */
};

struct search;

/* The configuration must outlive it. */
struct search *search_new(const struct config *config, const struct search_question *question,
			  void *arg);
void search_free(struct search *search); /* NULL is allowed */

/* Whom to ask, in this order; each must live until the search is over. They have redis.timeout_ms, all in all. */
void search_add(struct search *search, const struct redis_address *address);
enum search_state search_begin(struct search *search);
enum search_state search_proceed(struct search *search);
int search_fd(const struct search *search);
bool search_wants_write(const struct search *search);
int search_left_ms(const struct search *search);

/* From search_add() to its end: true when it was found. */
bool search_run(struct search *search);
void search_stop(struct search *search); /* ends it, if there is one */

const char *search_error(const struct search *search);

#endif
