/* Figures as they are told: to Prometheus, and in JSON. */
#ifndef PRESENCE_STORE_SCRAPE_TEXT_H
#define PRESENCE_STORE_SCRAPE_TEXT_H

#include "store/scrape.h"

enum scrape_format {
	SCRAPE_PROMETHEUS, /* the text format 0.0.4 */
	SCRAPE_OPENMETRICS, /* OpenMetrics 1.0 */
};

/* The Content-Type of a format; the format that an Accept field asks for (NULL: there is none). */
const char *scrape_content_type(enum scrape_format format);
enum scrape_format scrape_format_of(const char *accept);

/* All figures, of a scrape that is sorted. */
void scrape_put_text(struct printbuf *out, const struct scrape *scrape, enum scrape_format format);

/* For people: a line for each sample; of a histogram how many, and what half and 99 % of them stayed below. */
void scrape_put_lines(struct printbuf *out, const struct scrape *scrape);

/* The object of the stream of figures (docs/api.md), in one line; now_ms: since 1970. */
void scrape_put_json(struct printbuf *out, const struct scrape *scrape, int64_t now_ms);

#endif
