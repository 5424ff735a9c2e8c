#include "store/figures.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/random.h"
#include "store/resp.h"

#define PROCESS_MAX 96
#define TOLD_THE_FIRST 2 /* figures_add.lua: what was told before is gone */

/* One sample. */
struct cell {
	struct cell *next;
	int64_t value;
	bool is_asked; /* it is in the batch: */
	int64_t asked;
	int64_t told; /* what Redis has, or had when it still knew it */
	bool is_known; /* by Redis */
	enum figure figure;
	char field[];
};

struct figures_histogram {
	struct figures_histogram *next;
	const struct figure_family *family;
	int64_t *sum, *above; /* of times, in us; of events beyond the last bound */
	int64_t *buckets[];
};

struct figures {
	struct cell *cells, **last; /* in the order in which they were made */
	struct figures_histogram *histograms;
	char start[RANDOM_ID_LEN + 1]; /* of this process, whatever pid it has */
	/*
	 * What is told, all of it or nothing. One without an answer may have been done, or be done yet: it is
	 * told again as it was, by the same number, until one says that it is done.
	 */
	int64_t batch;
	bool is_open, is_asked; /* not known to be done; a command that tells it is under way */
	char process[PROCESS_MAX];
};

/* Its first part alone, of characters that need no quoting anywhere. */
static void read_host(char host[PROCESS_MAX / 2])
{
	char name[256] = "";

	gethostname(name, sizeof name - 1);
	name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] =
		'\0';
	snprintf(host, PROCESS_MAX / 2, "%s", name[0] != '\0' ? name : "localhost");
}

struct figures *figures_new(const char *program)
{
	struct figures *figures = xcalloc(1, sizeof *figures);
	char host[PROCESS_MAX / 2];

	read_host(host);
	snprintf(figures->process, sizeof figures->process, "%s/%s/%d", program, host,
		 (int)getpid());
	random_id(figures->start);
	figures->last = &figures->cells;
	return figures;
}

void figures_free(struct figures *figures)
{
	struct cell *cell = figures->cells;
	struct figures_histogram *histogram = figures->histograms;

	while (cell != NULL) {
		struct cell *next = cell->next;

		free(cell);
		cell = next;
	}
	while (histogram != NULL) {
		struct figures_histogram *next = histogram->next;

		free(histogram);
		histogram = next;
	}
	free(figures);
}

const char *figures_process(const struct figures *figures)
{
	return figures->process;
}

/* --- counting -------------------------------------------------------------------------------- */

static int64_t *at(struct figures *figures, enum figure figure, const char *field)
{
	struct cell *cell;

	for (cell = figures->cells; cell != NULL; cell = cell->next) {
		if (cell->figure == figure && strcmp(cell->field, field) == 0)
			return &cell->value;
	}
	cell = xcalloc(1, sizeof *cell + strlen(field) + 1);
	cell->figure = figure;
	strcpy(cell->field, field); /* NOLINT: as long as that */
	*figures->last = cell;
	figures->last = &cell->next;
	return &cell->value;
}

int64_t *figures_at(struct figures *figures, enum figure figure, const char *first,
		    const char *second)
{
	char field[FIGURE_FIELD_MAX + 1];

	snprintf(field, sizeof field, "%s%s%s%s%s", figure_families[figure].name,
		 first != NULL ? "|" : "", first != NULL ? first : "", second != NULL ? "|" : "",
		 second != NULL ? second : "");
	return at(figures, figure, field);
}

/* Of a histogram: the sample that is called `what`. */
static int64_t *part_at(struct figures *figures, enum figure figure, const char *first,
			const char *what)
{
	return first != NULL ? figures_at(figures, figure, first, what)
			     : figures_at(figures, figure, what, NULL);
}

struct figures_histogram *figures_histogram_at(struct figures *figures, enum figure figure,
					       const char *first)
{
	const struct figure_family *family = &figure_families[figure];
	struct figures_histogram *histogram =
		xcalloc(1, sizeof *histogram + family->bounds * sizeof histogram->buckets[0]);
	char name[32];

	histogram->family = family;
	histogram->sum = part_at(figures, figure, first, "sum");
	histogram->above = part_at(figures, figure, first, "leInf");
	for (unsigned i = 0; i < family->bounds; i++) {
		snprintf(name, sizeof name, "le%" PRId64, figure_bounds[family->first_bound + i]);
		histogram->buckets[i] = part_at(figures, figure, first, name);
	}
	histogram->next = figures->histograms;
	figures->histograms = histogram;
	return histogram;
}

void figures_observe(struct figures_histogram *histogram, int64_t us, int64_t times)
{
	const int64_t *bounds = figure_bounds + histogram->family->first_bound;
	unsigned i = 0;

	us = us < 0 ? 0 : us < FIGURES_OBSERVED_MAX ? us : FIGURES_OBSERVED_MAX;
	while (i < histogram->family->bounds && us > bounds[i])
		i++;
	*(i < histogram->family->bounds ? histogram->buckets[i] : histogram->above) += times;
	*histogram->sum += us * times;
}

/* --- telling --------------------------------------------------------------------------------- */

static bool is_gauge(const struct cell *cell)
{
	return figure_families[cell->figure].kind == FIGURE_GAUGE;
}

/* What is new, be it 0: so that whoever asks sees a counter before its first step. */
static bool is_wanted(const struct cell *cell)
{
	return !cell->is_known || cell->value != cell->told;
}

/* What is to be told from now on until it is done. */
static void open_batch(struct figures *figures)
{
	figures->batch++;
	figures->is_open = true;
	for (struct cell *cell = figures->cells; cell != NULL; cell = cell->next) {
		cell->is_asked = is_wanted(cell);
		cell->asked = cell->value;
	}
}

static unsigned count(const struct figures *figures, bool gauges)
{
	unsigned sum = 0;

	for (const struct cell *cell = figures->cells; cell != NULL; cell = cell->next)
		sum += cell->is_asked && is_gauge(cell) == gauges;
	return sum;
}

static void put_cells(struct printbuf *out, const struct figures *figures, bool gauges)
{
	for (const struct cell *cell = figures->cells; cell != NULL; cell = cell->next) {
		if (!cell->is_asked || is_gauge(cell) != gauges)
			continue;
		resp_text(out, cell->field);
		resp_number(out, cell->asked - (gauges ? 0 : cell->told));
	}
}

void figures_put(struct printbuf *out, const struct store *store, struct figures *figures,
		 int64_t ttl_ms)
{
	unsigned gauges, counters;

	if (!figures->is_open)
		open_batch(figures);
	gauges = count(figures, true);
	counters = count(figures, false);
	store_put_evalsha(out, store, SCRIPT_FIGURES_ADD, 6 + 2 * (gauges + counters));
	resp_text(out, store_prefix(store));
	resp_text(out, figures->process);
	resp_number(out, ttl_ms);
	resp_text(out, figures->start);
	resp_number(out, figures->batch);
	resp_number(out, gauges);
	put_cells(out, figures, true);
	put_cells(out, figures, false);
	figures->is_asked = true;
}

void figures_read(struct figures *figures, const redisReply *reply)
{
	bool is_done = figures->is_asked && reply != NULL && reply->type == REDIS_REPLY_INTEGER &&
		       reply->integer > 0;
	bool was_empty = is_done && reply->integer == TOLD_THE_FIRST;

	figures->is_asked = false;
	if (!is_done)
		return;
	figures->is_open = false;
	for (struct cell *cell = figures->cells; cell != NULL; cell = cell->next) {
		if (cell->is_asked)
			cell->told = cell->asked;
		cell->is_known = cell->is_asked || (cell->is_known && !was_empty);
	}
}

bool figures_have_news(const struct figures *figures)
{
	const struct cell *cell = figures->cells;

	while (cell != NULL && !is_wanted(cell))
		cell = cell->next;
	return cell != NULL;
}
