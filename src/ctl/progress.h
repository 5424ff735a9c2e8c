/* How far something long is, on standard error: a line that changes on a terminal, else a line now and then. */
#ifndef PRESENCE_CTL_PROGRESS_H
#define PRESENCE_CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* is counted: "keys looked at"; borrowed */
	unsigned long long done, total; /* total 0: not known, so there is no bar */
	bool is_quiet; /* says nothing where there is no terminal */
	int64_t told_ms; /* when it spoke last, monotonic */
};

void progress_begin(struct progress *progress, const char *what, unsigned long long total);
void progress_add(struct progress *progress, unsigned long long more);
/* Says the last word, whether it came to its end or not. */
void progress_end(struct progress *progress);

#endif
