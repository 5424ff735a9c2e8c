#include "api/tally.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

#define CLASSES 4 /* 2xx to 5xx */
#define ROUTE_NAME_MAX 96

/* Of one route; made with its first call. */
struct traffic {
	int64_t *calls[CLASSES];
	struct figures_histogram *times;
};

struct tally {
	struct figures *figures;
	const struct route *routes;
	size_t count;
	int64_t told_ms; /* when Redis was told last, or it was tried */
	bool is_new; /* there is something that it does not know */
	struct traffic traffic[]; /* by route; the last one is of what is none */
};

struct tally *tally_new(const struct route *routes, size_t count)
{
	struct tally *tally = xcalloc(1, sizeof *tally + (count + 1) * sizeof tally->traffic[0]);

	tally->figures = figures_new("api");
	tally->routes = routes;
	tally->count = count;
	tally->told_ms = -TALLY_ALIVE_MS;
	tally->is_new = true;
	++*figures_at(tally->figures, FIGURE_WORKER_STARTS, NULL, NULL);
	return tally;
}

void tally_free(struct tally *tally)
{
	if (tally == NULL)
		return;
	figures_free(tally->figures);
	free(tally);
}

void tally_count(struct tally *tally, const struct route *route, int status, int64_t us)
{
	static const char *const classes[CLASSES] = {"2xx", "3xx", "4xx", "5xx"};
	size_t index = route != NULL ? (size_t)(route - tally->routes) : tally->count;
	struct traffic *traffic = &tally->traffic[index];
	int kind = status / 100 - 2;
	char name[ROUTE_NAME_MAX] = "other";

	if (kind < 0 || kind >= CLASSES)
		return;
	if (traffic->calls[kind] == NULL || traffic->times == NULL) {
		if (route != NULL)
			snprintf(name, sizeof name, "%s %s", route->method, route->path);
		traffic->calls[kind] =
			figures_at(tally->figures, FIGURE_REQUESTS, name, classes[kind]);
		if (traffic->times == NULL)
			traffic->times =
				figures_histogram_at(tally->figures, FIGURE_REQUEST_TIME, name);
	}
	++*traffic->calls[kind];
	figures_observe(traffic->times, us, 1);
	tally->is_new = true;
}

bool tally_has_news(const struct tally *tally)
{
	return tally->is_new;
}

bool tally_is_due(const struct tally *tally, int64_t now_ms)
{
	int64_t every = tally->is_new ? TALLY_EVERY_MS : TALLY_ALIVE_MS;

	return now_ms - tally->told_ms >= every;
}

int tally_wait_ms(const struct tally *tally, int64_t now_ms)
{
	int64_t every = tally->is_new ? TALLY_EVERY_MS : TALLY_ALIVE_MS;
	int64_t wait = tally->told_ms + every - now_ms;

	return wait > 0 ? (int)wait : 0;
}

void tally_put(struct tally *tally, struct printbuf *out, const struct store *first, int64_t now_ms,
	       bool is_last)
{
	tally->told_ms = now_ms;
	figures_put(out, first, tally->figures, is_last ? 0 : 3 * TALLY_ALIVE_MS);
}

void tally_read(struct tally *tally, const redisReply *reply)
{
	figures_read(tally->figures, reply);
	tally->is_new = figures_have_news(tally->figures);
}
