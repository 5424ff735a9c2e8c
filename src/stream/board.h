/*
 * The figures of the whole service for all who read them (watcher.h): once a
 * second, while there is one, Redis is asked, and all get the same event.
 */
#ifndef PRESENCE_STREAM_BOARD_H
#define PRESENCE_STREAM_BOARD_H

#include "stream/stream.h"

struct board {
	struct streams *streams;
	struct board_round *round; /* questions under way, or NULL */
	int64_t asked_ms;
};

/* At each tick. */
void board_tick(struct board *board, int64_t now_ms);

#endif
