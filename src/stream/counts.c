#include "stream/counts.h"

#include <stddef.h>
#include <stdio.h>

#include "base/times.h"

void counts_init(struct counts *counts)
{
	struct figures *figures = figures_new("streamd");

	counts->figures = figures;
	counts->delivery_time = figures_histogram_at(figures, FIGURE_DELIVERY_TIME, NULL);
	counts->offline_delay = figures_histogram_at(figures, FIGURE_OFFLINE_DELAY, NULL);
	counts->redis_echo = figures_histogram_at(figures, FIGURE_REDIS_ECHO, NULL);
}

void counts_clear(struct counts *counts)
{
	if (counts->figures != NULL)
		figures_free(counts->figures);
	*counts = (struct counts){.figures = NULL};
}

void counts_add(struct counts *counts, enum figure figure, const char *label)
{
	if (counts->figures != NULL)
		++*figures_at(counts->figures, figure, label, NULL);
}

void counts_add_server(struct counts *counts, enum figure figure, unsigned server)
{
	char number[12];

	snprintf(number, sizeof number, "%u", server);
	counts_add(counts, figure, number);
}

void counts_written(struct counts *counts)
{
	int64_t now_us;

	if (counts->groups == 0)
		return;
	now_us = times_mono_us();
	for (unsigned i = 0; i < counts->groups && counts->delivery_time != NULL; i++)
		figures_observe(counts->delivery_time, now_us - counts->unwritten[i].heard_us,
				counts->unwritten[i].count);
	counts->groups = 0;
}

void counts_offline(struct counts *counts, int64_t late_ms)
{
	if (counts->offline_delay != NULL)
		figures_observe(counts->offline_delay, late_ms * 1000, 1);
}

void counts_echo(struct counts *counts, int64_t us)
{
	if (counts->redis_echo != NULL)
		figures_observe(counts->redis_echo, us, 1);
}
