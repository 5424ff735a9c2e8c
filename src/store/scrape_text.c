#include "store/scrape_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "base/times.h"

#define PREFIX "presence_"
#define TOTAL "_total"
#define OPENMETRICS "application/openmetrics-text"

/* The samples of one figure, or of some of its labels. */
struct range {
	const struct scrape_sample *at, *end;
};

static bool is_like(const struct scrape_sample *one, const struct scrape_sample *other,
		    size_t labels)
{
	for (size_t i = 0; i < labels; i++) {
		if (strcmp(one->labels[i], other->labels[i]) != 0)
			return false;
	}
	return true;
}

/* Takes those that have the same first `labels` labels as the first one from the front of a range. */
static struct range take_alike(struct range *range, size_t labels)
{
	struct range taken = {range->at, range->at};

	while (taken.end < range->end && is_like(taken.at, taken.end, labels))
		taken.end++;
	range->at = taken.end;
	return taken;
}

/* Takes those of one figure from what is left of all. */
static struct range take_figure(struct range *all, enum figure figure)
{
	struct range taken = {all->at, all->at};

	while (taken.end < all->end && taken.end->figure == figure)
		taken.end++;
	all->at = taken.end;
	return taken;
}

/* Half of a sum is not told as the sum. */
static bool is_told(const struct scrape *scrape, enum figure figure)
{
	return !scrape->is_partial ||
	       (figure != FIGURE_ONLINE_USERS && figure != FIGURE_TRANSITIONS &&
		figure != FIGURE_PUSH_OUTCOMES && figure != FIGURE_PUSH_QUEUE &&
		figure != FIGURE_PUSH_LATER);
}

static struct range all_of(const struct scrape *scrape)
{
	return (struct range){scrape->samples, scrape->samples + scrape->count};
}

static size_t count_labels(const struct figure_family *family)
{
	size_t count = 0;

	while (count < FIGURE_LABELS_MAX && family->labels[count] != NULL)
		count++;
	return count;
}

/* Microseconds as seconds, with no more digits than it takes. */
static void put_seconds(struct printbuf *out, int64_t us)
{
	char digits[8];
	size_t len = 6;

	buf_putf(out, "%" PRId64, us / 1000000);
	if (us % 1000000 == 0)
		return;
	snprintf(digits, sizeof digits, "%06d", abs((int)(us % 1000000)));
	while (digits[len - 1] == '0')
		len--;
	buf_putf(out, ".%.*s", (int)len, digits);
}

/* --- histograms ------------------------------------------------------------------------------ */

/* The samples of one histogram, which may lack parts. */
struct histogram {
	int64_t count, sum; /* of events; of their times, us */
	int64_t buckets[FIGURE_BOUNDS]; /* events of at most that bound */
};

static void read_histogram(const struct figure_family *family, struct range range,
			   struct histogram *histogram)
{
	memset(histogram, 0, sizeof *histogram);
	for (const struct scrape_sample *sample = range.at; sample < range.end; sample++) {
		if (sample->part == SCRAPE_SUM) {
			histogram->sum = sample->value;
			continue;
		}
		histogram->count += sample->value;
		for (unsigned i = 0; i < family->bounds; i++) {
			if (sample->part <= (int)(family->first_bound + i))
				histogram->buckets[i] += sample->value;
		}
	}
}

/* --- for Prometheus -------------------------------------------------------------------------- */

/* The labels of a sample in braces; `bound`: of a bucket, NULL: of none. */
static void put_labels(struct printbuf *out, const struct figure_family *family,
		       const struct scrape_sample *sample, const char *bound)
{
	const char *between = "{";

	for (size_t i = 0; sample != NULL && i < count_labels(family); i++) {
		buf_putf(out, "%s%s=\"%s\"", between, family->labels[i], sample->labels[i]);
		between = ",";
	}
	if (bound != NULL) {
		buf_putf(out, "%sle=\"%s\"", between, bound);
		between = ",";
	}
	buf_puts(out, *between == ',' ? "} " : " ");
}

static void put_bucket(struct printbuf *out, const struct figure_family *family,
		       const struct scrape_sample *sample, const char *bound, int64_t value)
{
	buf_putf(out, PREFIX "%s_bucket", family->name);
	put_labels(out, family, sample, bound);
	buf_putf(out, "%" PRId64 "\n", value);
}

static void put_histogram(struct printbuf *out, const struct figure_family *family,
			  struct range range)
{
	const struct scrape_sample *sample = range.at < range.end ? range.at : NULL;
	struct printbuf *bound = buf_new();
	struct histogram histogram;

	read_histogram(family, range, &histogram);
	for (unsigned i = 0; i < family->bounds; i++) {
		int64_t us = figure_bounds[family->first_bound + i];

		buf_reset(bound);
		put_seconds(bound, us);
		if (us % 1000000 == 0)
			buf_puts(bound, ".0"); /* as OpenMetrics wants it */
		put_bucket(out, family, sample, bound->buf, histogram.buckets[i]);
	}
	put_bucket(out, family, sample, "+Inf", histogram.count);
	buf_putf(out, PREFIX "%s_sum", family->name);
	put_labels(out, family, sample, NULL);
	put_seconds(out, histogram.sum);
	buf_putf(out, "\n" PREFIX "%s_count", family->name);
	put_labels(out, family, sample, NULL);
	buf_putf(out, "%" PRId64 "\n", histogram.count);
	printbuf_free(bound);
}

static void put_figure(struct printbuf *out, const struct figure_family *family, struct range range)
{
	size_t labels = count_labels(family);

	if (labels == 0 && family->kind == FIGURE_HISTOGRAM) {
		put_histogram(out, family, range);
	} else if (labels == 0) {
		buf_putf(out, PREFIX "%s %" PRId64 "\n", family->name,
			 range.at < range.end ? range.at->value : 0);
	}
	while (labels > 0 && range.at < range.end) {
		struct range alike = take_alike(&range, labels);

		if (family->kind == FIGURE_HISTOGRAM) {
			put_histogram(out, family, alike);
			continue;
		}
		buf_putf(out, PREFIX "%s", family->name);
		put_labels(out, family, alike.at, NULL);
		buf_putf(out, "%" PRId64 "\n", alike.at->value);
	}
}

void scrape_put_text(struct printbuf *out, const struct scrape *scrape, enum scrape_format format)
{
	static const char *const kinds[] = {
		[FIGURE_GAUGE] = "gauge",
		[FIGURE_COUNTER] = "counter",
		[FIGURE_HISTOGRAM] = "histogram",
	};
	struct range all = all_of(scrape);

	for (enum figure figure = 0; figure < FIGURE_COUNT; figure++) {
		const struct figure_family *family = &figure_families[figure];
		struct range range = take_figure(&all, figure);
		int len = (int)strlen(family->name);

		if (!is_told(scrape, figure))
			continue;
		/* In OpenMetrics "_total" belongs to the sample, not to the name. */
		if (format == SCRAPE_OPENMETRICS && family->kind == FIGURE_COUNTER)
			len -= (int)strlen(TOTAL);
		buf_putf(out, "# HELP " PREFIX "%.*s %s\n", len, family->name, family->help);
		buf_putf(out, "# TYPE " PREFIX "%.*s %s\n", len, family->name, kinds[family->kind]);
		put_figure(out, family, range);
	}
	if (format == SCRAPE_OPENMETRICS)
		buf_puts(out, "# EOF\n");
}

const char *scrape_content_type(enum scrape_format format)
{
	return format == SCRAPE_OPENMETRICS ? OPENMETRICS "; version=1.0.0; charset=utf-8"
					    : "text/plain; version=0.0.4; charset=utf-8";
}

/* RFC 9110 section 12.4.2: the weight among a media range's parameters, in thousandths; 0 for nonsense. */
static int weight_of(const char *range, size_t len)
{
	for (size_t i = 0; i + 2 < len; i++) {
		if (range[i] == ';') {
			size_t at = i + 1 + strspn(range + i + 1, " \t");

			if (at + 2 < len && strncasecmp(range + at, "q=", 2) == 0) {
				double weight = number_read(range + at + 2);

				return weight >= 0 && weight <= 1 ? (int)(weight * 1000) : 0;
			}
		}
	}
	return 1000;
}

/* The weight of a type in an Accept field, 0 when it is not named. */
static int weight(const char *accept, const char *type)
{
	int best = 0;

	while (*accept != '\0') {
		size_t len;

		accept += strspn(accept, " \t,");
		len = strcspn(accept, ",");
		if (strncasecmp(accept, type, strlen(type)) == 0 &&
		    strchr("; \t,", accept[strlen(type)]) != NULL) {
			int found = weight_of(accept, len);

			best = found > best ? found : best;
		}
		accept += len;
	}
	return best;
}

enum scrape_format scrape_format_of(const char *accept)
{
	int wanted = accept != NULL ? weight(accept, OPENMETRICS) : 0;

	return wanted > 0 && wanted >= weight(accept, "text/plain") ? SCRAPE_OPENMETRICS
								    : SCRAPE_PROMETHEUS;
}

/* --- in JSON --------------------------------------------------------------------------------- */

static void put_json_histogram(struct printbuf *out, const struct figure_family *family,
			       struct range range)
{
	struct histogram histogram;

	read_histogram(family, range, &histogram);
	buf_putf(out, "{\"count\":%" PRId64 ",\"sum\":", histogram.count);
	put_seconds(out, histogram.sum);
	buf_puts(out, ",\"buckets\":");
	for (unsigned i = 0; i < family->bounds; i++) {
		buf_puts(out, i > 0 ? ",[" : "[[");
		put_seconds(out, figure_bounds[family->first_bound + i]);
		buf_putf(out, ",%" PRId64 "]", histogram.buckets[i]);
	}
	buf_puts(out, "]}");
}

/* The value of samples that have all labels in common. */
static void put_json_value(struct printbuf *out, const struct figure_family *family,
			   struct range range)
{
	if (family->kind == FIGURE_HISTOGRAM)
		put_json_histogram(out, family, range);
	else
		buf_putf(out, "%" PRId64, range.at < range.end ? range.at->value : 0);
}

/* An object with a member for each value of the label; of two labels an object of such objects. */
static void put_json_labels(struct printbuf *out, const struct figure_family *family,
			    struct range range)
{
	size_t labels = count_labels(family);

	for (const struct scrape_sample *first = range.at; range.at < range.end;) {
		struct range one = take_alike(&range, 1);

		buf_putf(out, "%c\"%s\":", one.at == first ? '{' : ',', one.at->labels[0]);
		if (labels == 1) {
			put_json_value(out, family, one);
			continue;
		}
		for (const struct scrape_sample *start = one.at; one.at < one.end;) {
			struct range both = take_alike(&one, 2);

			buf_putf(out, "%c\"%s\":", both.at == start ? '{' : ',',
				 both.at->labels[1]);
			put_json_value(out, family, both);
		}
		buf_puts(out, "}");
	}
}

void scrape_put_json(struct printbuf *out, const struct scrape *scrape, int64_t now_ms)
{
	struct range all = all_of(scrape);
	const char *comma = "";
	char now[TIMES_LEN + 1];

	times_format(now_ms / 1000, now);
	buf_putf(out,
		 "{\"time\":\"%s\",\"ms\":%" PRId64 ",\"version\":\"" PACKAGE_VERSION
		 "\",\"figures\":{",
		 now, now_ms);
	for (enum figure figure = 0; figure < FIGURE_COUNT; figure++) {
		const struct figure_family *family = &figure_families[figure];
		struct range range = take_figure(&all, figure);

		if (!is_told(scrape, figure))
			continue;
		buf_putf(out, "%s\"%s\":", comma, family->name);
		comma = ",";
		if (family->labels[0] == NULL)
			put_json_value(out, family, range);
		else if (range.at == range.end)
			buf_puts(out, "{}");
		else {
			put_json_labels(out, family, range);
			buf_puts(out, "}");
		}
	}
	buf_puts(out, "}}");
}

/* --- for people ------------------------------------------------------------------------------ */

#define NAME_WIDTH 24

/* The bound that so many thousandths of the events stayed below. */
static void put_quantile(struct printbuf *out, const struct figure_family *family,
			 const struct histogram *histogram, int64_t thousandths)
{
	for (unsigned i = 0; i < family->bounds; i++) {
		if ((double)histogram->buckets[i] * 1000 <
		    (double)histogram->count * (double)thousandths)
			continue;
		buf_puts(out, "at most ");
		put_seconds(out, figure_bounds[family->first_bound + i]);
		return;
	}
	buf_puts(out, "more than ");
	put_seconds(out, figure_bounds[family->first_bound + family->bounds - 1]);
}

static void put_line(struct printbuf *out, const struct figure_family *family, struct range range)
{
	struct histogram histogram;

	buf_putf(out, "%-*s", NAME_WIDTH, family->name);
	for (size_t i = 0; range.at < range.end && i < count_labels(family); i++)
		buf_putf(out, "  %s", range.at->labels[i]);
	if (family->kind != FIGURE_HISTOGRAM) {
		buf_putf(out, "  %" PRId64 "\n", range.at < range.end ? range.at->value : 0);
		return;
	}
	read_histogram(family, range, &histogram);
	buf_putf(out, "  %" PRId64, histogram.count);
	if (histogram.count > 0) {
		buf_puts(out, ", half ");
		put_quantile(out, family, &histogram, 500);
		buf_puts(out, ", 99 % ");
		put_quantile(out, family, &histogram, 990);
	}
	buf_puts(out, "\n");
}

void scrape_put_lines(struct printbuf *out, const struct scrape *scrape)
{
	struct range all = all_of(scrape);

	for (enum figure figure = 0; figure < FIGURE_COUNT; figure++) {
		const struct figure_family *family = &figure_families[figure];
		struct range range = take_figure(&all, figure);
		size_t labels = count_labels(family);

		if (!is_told(scrape, figure))
			continue;
		if (labels == 0)
			put_line(out, family, range);
		while (labels > 0 && range.at < range.end)
			put_line(out, family, take_alike(&range, labels));
	}
}
