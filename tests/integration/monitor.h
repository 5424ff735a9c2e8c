/* What a Redis is asked to do (MONITOR), and what its scripts do. */
#ifndef PRESENCE_TESTS_MONITOR_H
#define PRESENCE_TESTS_MONITOR_H

#include "harness.h"

struct monitor;
struct monitor *monitor_open(struct stack *stack);

/*
 * What was done since the opening or the last call, a command a line, as MONITOR
 * writes it from its name on: `"SET" "key" "value"`. What a script does
 * follows it, each after two blanks.
 */
char *monitor_take(struct monitor *monitor);

/* The word at `index` of such a line, without its quotes; "" past the last. */
char *monitor_word(const char *line, unsigned index);

#endif
