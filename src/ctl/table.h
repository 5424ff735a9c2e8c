/*
 * Tables for people: a row of headers, columns as wide as what is in them, colour on a terminal. The one
 * place where presencectl does either.
 */
#ifndef PRESENCE_CTL_TABLE_H
#define PRESENCE_CTL_TABLE_H

#include <stdbool.h>

#include "base/buf.h"

enum table_colour { TABLE_PLAIN, TABLE_GREEN, TABLE_GREY, TABLE_YELLOW, TABLE_RED };

/* Colour is for people who look at a terminal: https://no-color.org */
bool table_has_colour(void);
/* What begins a colour and what ends it, "" where there is none. */
const char *table_begin_colour(enum table_colour colour);
const char *table_end_colour(enum table_colour colour);
/* That of a status. */
enum table_colour table_status_colour(const char *status);

struct table;

/* The headers are borrowed, NULL after the last. */
struct table *table_new(const char *const headers[]);
void table_free(struct table *table);
/* The next cell, row by row; copied, with U+FFFD for what is not UTF-8. */
void table_add(struct table *table, const char *text);
void table_add_coloured(struct table *table, const char *text, enum table_colour colour);
void table_addf(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends it, each line after the indent; nothing when it has no row. */
void table_put(const struct table *table, struct printbuf *out, const char *indent);
/* The same to standard output; frees it. */
void table_print(struct table *table);

#endif
