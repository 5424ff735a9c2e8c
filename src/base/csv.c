#include "base/csv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some spreadsheets write it */

static bool read_all(FILE *in, struct printbuf *text)
{
	char chunk[65536];
	size_t got;

	while ((got = fread(chunk, 1, sizeof chunk, in)) > 0 && buf_len(text) <= CSV_SIZE_MAX)
		buf_put(text, chunk, got);
	return !ferror(in);
}

bool csv_open(struct csv *csv, const char *file, char *err, size_t errsize)
{
	bool is_input = strcmp(file, "-") == 0;
	FILE *in = is_input ? stdin : fopen(file, "re");
	const char *why = NULL;

	*csv = (struct csv){.text = buf_new(), .next_line = 1};
	if (in == NULL || !read_all(in, csv->text))
		why = strerror(errno);
	else if (buf_len(csv->text) > CSV_SIZE_MAX)
		why = "larger than 64 MiB";
	else if (memchr(csv->text->buf, '\0', buf_len(csv->text)) != NULL)
		why = "a NUL byte is in it";
	if (in != NULL && !is_input)
		fclose(in);
	if (why != NULL) {
		snprintf(err, errsize, "%s: %s", file, why);
		csv_close(csv);
		return false;
	}
	csv->at = csv->text->buf;
	if (strncmp(csv->at, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		csv->at += strlen(BYTE_ORDER_MARK);
	return true;
}

void csv_close(struct csv *csv)
{
	if (csv->text != NULL)
		explicit_bzero(csv->text->buf, buf_len(csv->text)); /* there may be passwords */
	printbuf_free(csv->text);
	csv->text = NULL;
}

/* What is wrong with a row; what is left of its line is skipped. */
static enum csv_result refuse(struct csv *csv, const char *why)
{
	csv->why = why;
	csv->at += strcspn(csv->at, "\n");
	return CSV_WRONG;
}

/* A field after its first quote, without the quotes; *end: where it ends. NULL: it has no end. */
static char *read_quoted(struct csv *csv, char **end)
{
	char *field = csv->at, *to = field;

	for (; *csv->at != '\0'; csv->at++) {
		if (csv->at[0] == '"' && csv->at[1] == '"') {
			csv->at++;
		} else if (*csv->at == '"') {
			csv->at++;
			*end = to;
			return field;
		}
		csv->next_line += *csv->at == '\n';
		*to++ = *csv->at;
	}
	return NULL;
}

static char *read_plain(struct csv *csv, char **end)
{
	char *field = csv->at;

	csv->at += strcspn(csv->at, ",\r\n\"");
	*end = csv->at;
	return field;
}

/* Whether a field may end here. */
static bool is_at_end(const struct csv *csv)
{
	const char *at = csv->at;

	return *at == ',' || *at == '\n' || *at == '\0' ||
	       (*at == '\r' && (at[1] == '\n' || at[1] == '\0'));
}

/* Goes over what separates a field from the next one, and ends it. True: there is a next one. */
static bool end_field(struct csv *csv, char *end)
{
	bool has_next = *csv->at == ',';

	if (*csv->at == '\r')
		csv->at++;
	csv->next_line += *csv->at == '\n';
	if (*csv->at != '\0')
		csv->at++;
	*end = '\0';
	return has_next;
}

static void skip_empty_lines(struct csv *csv)
{
	for (; *csv->at == '\n' || (csv->at[0] == '\r' && csv->at[1] == '\n'); csv->at++)
		csv->next_line += *csv->at == '\n';
}

enum csv_result csv_next(struct csv *csv)
{
	bool has_next = true;

	skip_empty_lines(csv);
	csv->line = csv->next_line;
	csv->count = 0;
	if (*csv->at == '\0')
		return CSV_END;
	while (has_next) {
		bool is_quoted = *csv->at == '"';
		char *field, *end;

		if (csv->count == CSV_FIELDS_MAX)
			return refuse(csv, "it has too many fields");
		csv->at += is_quoted;
		field = is_quoted ? read_quoted(csv, &end) : read_plain(csv, &end);
		if (field == NULL)
			return refuse(csv, "a field begins with a quote, and no quote ends it");
		if (!is_at_end(csv))
			return refuse(csv, is_quoted ? "something follows a quoted field"
						     : "a quote or a carriage return is in a field "
						       "without quotes around it");
		csv->fields[csv->count++] = field;
		has_next = end_field(csv, end);
	}
	return CSV_ROW;
}

int csv_find(const struct csv *csv, const char *text)
{
	for (size_t i = 0; i < csv->count; i++) {
		if (strcmp(csv->fields[i], text) == 0)
			return (int)i;
	}
	return -1;
}
