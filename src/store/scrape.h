/*
 * All figures of the service at one moment, from Redis: one command for each
 * partition. How they are told: scrape_text.h.
 */
#ifndef PRESENCE_STORE_SCRAPE_H
#define PRESENCE_STORE_SCRAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "store/figure.h"
#include "store/store.h"

#define SCRAPE_LABEL_MAX 128 /* bytes of a label's value */
#define SCRAPE_SAMPLES_MAX 65536 /* what comes after is left out */

/* Which part of a histogram a sample is: the index of its bound (all that is at most that), or */
enum { SCRAPE_VALUE = -1, SCRAPE_ABOVE = FIGURE_BOUNDS, SCRAPE_SUM = FIGURE_BOUNDS + 1 };

struct scrape_sample {
	enum figure figure;
	int part; /* SCRAPE_VALUE of what is no histogram */
	int64_t value; /* bounded (base/number.h), sums too */
	char *labels[FIGURE_LABELS_MAX]; /* "" where there is none */
};

struct scrape {
	struct scrape_sample *samples; /* scrape_sort()ed: by figure, labels, part */
	size_t count, capacity;
	bool is_partial; /* a partition did not answer: what is a sum over all of them is not told */
};

void scrape_init(struct scrape *scrape);
void scrape_clear(struct scrape *scrape);

/* One command for one partition, and its reply; false when that is none of it. */
void scrape_put(struct printbuf *out, const struct store *store);
bool scrape_read(struct scrape *scrape, const redisReply *reply);

/* What is known otherwise. Labels are copied; one that is no plain text is left out, with its sample. */
void scrape_add(struct scrape *scrape, enum figure figure, const char *first, const char *second,
		int64_t value);

/* In the order in which it is told; samples of the same labels become one sum. */
void scrape_sort(struct scrape *scrape);

#endif
