#include "ctl/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/times.h"

#define BAR_WIDTH 30
#define REDRAW_MS 100
#define LINE_MS 10000

static void put_bar(const struct progress *progress)
{
	unsigned long long done =
		progress->done < progress->total ? progress->done : progress->total;
	int full = (int)(done * BAR_WIDTH / progress->total);

	fputc('[', stderr);
	for (int i = 0; i < BAR_WIDTH; i++)
		fputc(i < full ? '#' : ' ', stderr);
	fprintf(stderr, "] %3d %%  ", (int)(done * 100 / progress->total));
}

static void tell(struct progress *progress, bool is_terminal, bool is_over)
{
	progress->told_ms = times_mono_ms();
	if (is_terminal)
		fputc('\r', stderr);
	if (is_terminal && progress->total > 0)
		put_bar(progress);
	fprintf(stderr, "%llu", progress->done);
	/* The total may be an estimate, and then it is passed. */
	if (progress->total > progress->done)
		fprintf(stderr, " of %llu", progress->total);
	fprintf(stderr, " %s%s%s", progress->what, is_terminal ? "\033[K" : "",
		is_over || !is_terminal ? "\n" : "");
	fflush(stderr);
}

void progress_begin(struct progress *progress, const char *what, unsigned long long total)
{
	*progress = (struct progress){.what = what, .total = total, .told_ms = times_mono_ms()};
}

void progress_add(struct progress *progress, unsigned long long more)
{
	bool is_terminal = isatty(STDERR_FILENO);

	progress->done += more;
	if ((is_terminal || !progress->is_quiet) &&
	    times_mono_ms() - progress->told_ms >= (is_terminal ? REDRAW_MS : LINE_MS))
		tell(progress, is_terminal, false);
}

void progress_end(struct progress *progress)
{
	bool is_terminal = isatty(STDERR_FILENO);

	if (is_terminal || !progress->is_quiet)
		tell(progress, is_terminal, true);
}
