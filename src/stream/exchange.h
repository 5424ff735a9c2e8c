/*
 * What the parts of streamd say to Redis and hear from it, by partition: at the end of a turn, at each
 * tick, and when a partition comes or goes. Which server has a partition, and since when, is the affair of
 * servers.c and shards.c.
 */
#ifndef PRESENCE_STREAM_EXCHANGE_H
#define PRESENCE_STREAM_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/dispatch.h"
#include "stream/recovery.h"
#include "stream/sweep.h"

struct exchange {
	struct streams *streams;
	struct dispatch dispatch;
	struct recovery recovery;
	struct sweep *sweeps; /* by partition */
	/* The last partition that was away is up. */
	void (*complete)(void *arg);
	void *arg;
};

void exchange_init(struct exchange *exchange, struct streams *streams, void (*complete)(void *arg),
		   void *arg);
void exchange_clear(struct exchange *exchange);

/* Partitions (partset.h) are up, each with its link, or away. */
void exchange_up(struct exchange *exchange, const uint64_t *partitions);
void exchange_down(struct exchange *exchange, const uint64_t *partitions);

void exchange_message(struct exchange *exchange, const char *channel, const char *text, size_t len);
void exchange_subscribed(struct exchange *exchange);

/* At the end of a turn: asks for what is wanted; then exchange_flush() writes it. */
void exchange_ask(struct exchange *exchange);
void exchange_flush(struct exchange *exchange);
void exchange_tick(struct exchange *exchange, int64_t now_ms);

#endif
