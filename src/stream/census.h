/* What the process is doing, for the log: how many streams are in which state. */
#ifndef PRESENCE_STREAM_CENSUS_H
#define PRESENCE_STREAM_CENSUS_H

#include "stream/dispatch.h"

/* One line for each machine, and what waits. */
void census_log(const struct streams *streams, const struct dispatch *dispatch);

#endif
