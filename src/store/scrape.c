#include "store/scrape.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/number.h"
#include "store/resp.h"

#define API "api/" /* what a worker's name begins with (figures_new) */

/* The places of the script's answer (figures_read.lua). */
enum {
	REPLY_ONLINE,
	REPLY_TRANSITIONS,
	REPLY_OUTCOMES,
	REPLY_QUEUE,
	REPLY_LATER,
	REPLY_FIGURES,
	REPLY_PROCESSES
};

void scrape_init(struct scrape *scrape)
{
	memset(scrape, 0, sizeof *scrape);
}

static void free_labels(struct scrape_sample *sample)
{
	for (size_t i = 0; i < FIGURE_LABELS_MAX; i++)
		free(sample->labels[i]);
}

void scrape_clear(struct scrape *scrape)
{
	for (size_t i = 0; i < scrape->count; i++)
		free_labels(&scrape->samples[i]);
	free(scrape->samples);
	scrape_init(scrape);
}

/* --- one sample ------------------------------------------------------------------------------ */

/* What needs no quoting, in no format. */
static bool is_plain(const char *label)
{
	size_t len = strlen(label);

	if (len > SCRAPE_LABEL_MAX)
		return false;
	for (; *label != '\0'; label++) {
		if (*label < ' ' || *label > '~' || *label == '"' || *label == '\\')
			return false;
	}
	return true;
}

static void add(struct scrape *scrape, enum figure figure, int part,
		const char *const labels[FIGURE_LABELS_MAX], int64_t value)
{
	struct scrape_sample *sample;

	for (size_t i = 0; i < FIGURE_LABELS_MAX; i++) {
		if (!is_plain(labels[i]) ||
		    (labels[i][0] != '\0') != (figure_families[figure].labels[i] != NULL))
			return;
	}
	if (scrape->count >= SCRAPE_SAMPLES_MAX)
		return;
	if (scrape->count == scrape->capacity) {
		scrape->capacity = scrape->capacity > 0 ? 2 * scrape->capacity : 256;
		scrape->samples =
			xrealloc(scrape->samples, scrape->capacity * sizeof *scrape->samples);
	}
	sample = &scrape->samples[scrape->count++];
	*sample = (struct scrape_sample){
		.figure = figure, .part = part, .value = number_bound(value)};
	for (size_t i = 0; i < FIGURE_LABELS_MAX; i++)
		sample->labels[i] = xstrdup(labels[i]);
}

void scrape_add(struct scrape *scrape, enum figure figure, const char *first, const char *second,
		int64_t value)
{
	const char *const labels[FIGURE_LABELS_MAX] = {first != NULL ? first : "",
						       second != NULL ? second : ""};

	add(scrape, figure, SCRAPE_VALUE, labels, value);
}

/* --- names in Redis -------------------------------------------------------------------------- */

/* Which part of a histogram a word names; false: none. A bound of another release counts as the next one. */
static bool read_part(const struct figure_family *family, const char *word, int *part)
{
	int64_t bound;
	char *end;

	if (strcmp(word, "sum") == 0) {
		*part = SCRAPE_SUM;
		return true;
	}
	if (strcmp(word, "leInf") == 0) {
		*part = SCRAPE_ABOVE;
		return true;
	}
	if (strncmp(word, "le", 2) != 0)
		return false;
	bound = strtoll(word + 2, &end, 10);
	*part = SCRAPE_ABOVE;
	for (int i = (int)(family->first_bound + family->bounds) - 1;
	     i >= (int)family->first_bound && figure_bounds[i] >= bound; i--)
		*part = i;
	return end != word + 2 && *end == '\0';
}

static const struct figure_family *find_family(const char *name)
{
	for (size_t i = 0; i < FIGURE_COUNT; i++) {
		if (strcmp(figure_families[i].name, name) == 0)
			return &figure_families[i];
	}
	return NULL;
}

/* A name of figures.h, and its value. `process`: whose it is, or NULL. */
static void read_field(struct scrape *scrape, const char *process, const char *field, int64_t value)
{
	char text[FIGURE_FIELD_MAX + 1], *rest = text;
	const char *words[FIGURE_LABELS_MAX + 1] = {"", "", ""};
	const struct figure_family *family;
	size_t count = 0;
	int part = SCRAPE_VALUE;

	if (strlen(field) > FIGURE_FIELD_MAX)
		return;
	strcpy(text, field); /* NOLINT: as long as that */
	family = find_family(strsep(&rest, "|"));
	if (family == NULL)
		return; /* of another release */
	if (family->labels[0] != NULL && strcmp(family->labels[0], "process") == 0) {
		if (process == NULL)
			return;
		words[count++] = process;
	}
	while (rest != NULL && count < FIGURE_LABELS_MAX + 1)
		words[count++] = strsep(&rest, "|");
	if (family->kind == FIGURE_HISTOGRAM) {
		if (count == 0 || !read_part(family, words[count - 1], &part))
			return;
		words[count - 1] = "";
	}
	add(scrape, (enum figure)(family - figure_families), part, words, value);
}

static bool is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING;
}

static int64_t number_of(const redisReply *reply)
{
	return (int64_t)number_read(reply->str);
}

/* --- the reply ------------------------------------------------------------------------------- */

void scrape_put(struct printbuf *out, const struct store *store)
{
	store_put_evalsha(out, store, SCRIPT_FIGURES_READ, 1);
	resp_text(out, store_prefix(store));
}

/* Names and values, of a figure that has one label. */
static void read_hash(struct scrape *scrape, enum figure figure, const redisReply *hash)
{
	for (size_t i = 0; i + 1 < hash->elements; i += 2) {
		if (is_text(hash->element[i]) && is_text(hash->element[i + 1]))
			scrape_add(scrape, figure, hash->element[i]->str, NULL,
				   number_of(hash->element[i + 1]));
	}
}

static void read_figures(struct scrape *scrape, const char *process, const redisReply *hash)
{
	for (size_t i = 0; i + 1 < hash->elements; i += 2) {
		if (is_text(hash->element[i]) && is_text(hash->element[i + 1]))
			read_field(scrape, process, hash->element[i]->str,
				   number_of(hash->element[i + 1]));
	}
}

bool scrape_read(struct scrape *scrape, const redisReply *reply)
{
	redisReply **parts = reply->element;
	int64_t workers = 0;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < REPLY_PROCESSES)
		return false;
	scrape_add(scrape, FIGURE_ONLINE_USERS, NULL, NULL, parts[REPLY_ONLINE]->integer);
	scrape_add(scrape, FIGURE_PUSH_QUEUE, NULL, NULL, parts[REPLY_QUEUE]->integer);
	scrape_add(scrape, FIGURE_PUSH_LATER, NULL, NULL, parts[REPLY_LATER]->integer);
	read_hash(scrape, FIGURE_TRANSITIONS, parts[REPLY_TRANSITIONS]);
	read_hash(scrape, FIGURE_PUSH_OUTCOMES, parts[REPLY_OUTCOMES]);
	read_figures(scrape, NULL, parts[REPLY_FIGURES]);
	for (size_t i = REPLY_PROCESSES; i + 1 < reply->elements; i += 2) {
		if (!is_text(parts[i]))
			continue;
		workers += strncmp(parts[i]->str, API, sizeof API - 1) == 0;
		read_figures(scrape, parts[i]->str, parts[i + 1]);
	}
	scrape_add(scrape, FIGURE_WORKERS, NULL, NULL, workers);
	return true;
}

/* --- order ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct scrape_sample *one = a, *other = b;
	int order = (one->figure > other->figure) - (one->figure < other->figure);

	for (size_t i = 0; order == 0 && i < FIGURE_LABELS_MAX; i++)
		order = strcmp(one->labels[i], other->labels[i]);
	return order != 0 ? order : (one->part > other->part) - (one->part < other->part);
}

void scrape_sort(struct scrape *scrape)
{
	size_t kept = 0;

	if (scrape->count == 0)
		return;
	qsort(scrape->samples, scrape->count, sizeof *scrape->samples, compare);
	for (size_t i = 1; i < scrape->count; i++) {
		struct scrape_sample *sample = &scrape->samples[i];

		if (compare(&scrape->samples[kept], sample) != 0) {
			scrape->samples[++kept] = *sample;
			continue;
		}
		scrape->samples[kept].value =
			number_bound(scrape->samples[kept].value + sample->value);
		free_labels(sample);
	}
	scrape->count = kept + 1;
}
