#include "stream/board.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"
#include "store/scrape_text.h"

#define EVERY_MS 1000
#define EARLY_MS 250 /* a tick that is due may come a little early */

struct board_round {
	struct board *board;
	struct scrape scrape;
	unsigned left; /* answers */
	bool failed;
};

/* Who has not read what came before gets nothing: the next event says all. */
static void show(const struct board *board, struct frame *frame)
{
	struct watcher *watcher;

	TAILQ_FOREACH (watcher, &board->streams->watchers.list, link) {
		struct stream *stream = stream_of_due(watcher->owner);

		if (watcher->is_open && conn_waiting(&stream->conn) == 0)
			conn_send(&stream->conn, frame);
		turn_mark(&board->streams->context->turn, &stream->due); /* it may read nothing */
	}
}

static void show_figures(const struct board *board, struct scrape *scrape)
{
	struct printbuf *text = buf_new();
	struct frame *frame;

	scrape_sort(scrape);
	scrape_put_json(text, scrape, times_wall_ms());
	frame = events_frame("figures", text->buf, buf_len(text));
	show(board, frame);
	frame_unref(frame);
	printbuf_free(text);
}

static void finish(struct board_round *round)
{
	struct board *board = round->board;

	board->round = NULL;
	if (round->failed)
		show(board, events_degraded(&board->streams->context->events));
	else
		show_figures(board, &round->scrape);
	scrape_clear(&round->scrape);
	free(round);
}

static void on_scraped(void *arg, const redisReply *reply)
{
	struct board_round *round = arg;

	if (reply == NULL || !scrape_read(&round->scrape, reply))
		round->failed = true;
	if (--round->left == 0)
		finish(round);
}

static void ask(struct board *board)
{
	struct context *context = board->streams->context;
	struct board_round *round = xcalloc(1, sizeof *round);

	board->asked_ms = times_mono_ms();
	board->round = round;
	round->board = board;
	scrape_init(&round->scrape);
	round->left = 1; /* so that it is not over before all are asked */
	for (unsigned i = 0; i < context->partition_count; i++) {
		const struct partition *partition = &context->partitions[i];

		if (!partition_is_up(partition)) {
			round->failed = true;
			continue;
		}
		round->left++;
		buf_reset(context->scratch);
		scrape_put(context->scratch, partition->store);
		partition_command(partition, context->scratch, on_scraped, round);
	}
	if (--round->left == 0)
		finish(round);
}

void board_tick(struct board *board, int64_t now_ms)
{
	struct watcher *watcher;

	if (board->streams->watchers.count == 0 || now_ms - board->asked_ms < EVERY_MS - EARLY_MS)
		return;
	TAILQ_FOREACH (watcher, &board->streams->watchers.list, link)
		watcher_look(watcher);
	if (board->round == NULL)
		ask(board);
}
