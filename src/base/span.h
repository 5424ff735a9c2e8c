/* How long something takes or is ago, in words. */
#ifndef PRESENCE_BASE_SPAN_H
#define PRESENCE_BASE_SPAN_H

#include <stdint.h>

#define SPAN_SIZE 32

/* "5 minutes": whole units, the largest one that fits. */
void span_put(char text[SPAN_SIZE], int64_t seconds);

/* How long ago an RFC 3339 time was, by this host's clock; never below 0. */
int64_t span_since(const char *time_text);

#endif
