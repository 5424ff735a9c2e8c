#include "ctl/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define GAP "  " /* between columns */

/* --- colour ---------------------------------------------------------------------------------- */

bool table_has_colour(void)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0');
}

const char *table_begin_colour(enum table_colour colour)
{
	static const char *const codes[] = {"", "\033[32m", "\033[90m", "\033[33m", "\033[31m"};

	return table_has_colour() ? codes[colour] : "";
}

const char *table_end_colour(enum table_colour colour)
{
	return colour != TABLE_PLAIN && table_has_colour() ? "\033[0m" : "";
}

enum table_colour table_status_colour(const char *status)
{
	return strcmp(status, "online") == 0 ? TABLE_GREEN : TABLE_GREY;
}

/* --- tables ---------------------------------------------------------------------------------- */

struct cell {
	char *text;
	enum table_colour colour;
};

struct table {
	const char *const *headers;
	size_t columns;
	struct cell *cells;
	size_t count;
};

struct table *table_new(const char *const headers[])
{
	struct table *table = xcalloc(1, sizeof *table);

	table->headers = headers;
	while (headers[table->columns] != NULL)
		table->columns++;
	return table;
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

void table_add_coloured(struct table *table, const char *text, enum table_colour colour)
{
	struct printbuf *valid = buf_new();

	/* Room is doubled: at each power of two. */
	if ((table->count & (table->count - 1)) == 0)
		table->cells =
			xrealloc(table->cells, (table->count * 2 + 1) * sizeof *table->cells);
	utf8_put(valid, text, strlen(text));
	table->cells[table->count++] = (struct cell){buf_take(valid, NULL), colour};
}

void table_add(struct table *table, const char *text)
{
	table_add_coloured(table, text, TABLE_PLAIN);
}

void table_addf(struct table *table, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = xstrdup("");
	va_end(args);
	table_add(table, text);
	free(text);
}

/* Columns of a terminal: a Korean syllable takes two. */
static size_t width_of(const char *text)
{
	size_t width = 0, left = strlen(text);
	mbstate_t state = {0};

	while (left > 0) {
		wchar_t character;
		size_t len = mbrtowc(&character, text, left, &state);
		int columns;

		if (len == (size_t)-1 || len == (size_t)-2 || len == 0)
			return width + left; /* without a locale a byte is a column */
		columns = wcwidth(character);
		width += columns > 0 ? (size_t)columns : 0;
		text += len;
		left -= len;
	}
	return width;
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t widest = width_of(table->headers[column]);

	for (size_t i = column; i < table->count; i += table->columns) {
		size_t width = width_of(table->cells[i].text);

		if (width > widest)
			widest = width;
	}
	return widest;
}

/* The last column needs no blanks after it. */
static void put_cell(struct printbuf *out, const char *text, enum table_colour colour, size_t width,
		     bool is_last)
{
	buf_putf(out, "%s%s%s", table_begin_colour(colour), text, table_end_colour(colour));
	if (!is_last)
		buf_putf(out, "%*s" GAP, (int)(width - width_of(text)), "");
	else
		buf_puts(out, "\n");
}

void table_put(const struct table *table, struct printbuf *out, const char *indent)
{
	size_t columns = table->columns, *widths = xcalloc(columns, sizeof *widths);

	for (size_t i = 0; i < columns; i++)
		widths[i] = column_width(table, i);
	if (table->count > 0) {
		buf_puts(out, indent);
		for (size_t i = 0; i < columns; i++)
			put_cell(out, table->headers[i], TABLE_PLAIN, widths[i], i + 1 == columns);
	}
	for (size_t i = 0, column = 0; i < table->count; i++) {
		buf_puts(out, column == 0 ? indent : "");
		put_cell(out, table->cells[i].text, table->cells[i].colour, widths[column],
			 column + 1 == columns);
		column = column + 1 < columns ? column + 1 : 0;
	}
	free(widths);
}

void table_print(struct table *table)
{
	struct printbuf *out = buf_new();

	table_put(table, out, "");
	fwrite(out->buf, 1, buf_len(out), stdout);
	printbuf_free(out);
	table_free(table);
}
