/* A file of comma-separated values (RFC 4180): rows of fields, with the line that each begins in. */
#ifndef PRESENCE_BASE_CSV_H
#define PRESENCE_BASE_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define CSV_FIELDS_MAX 16
#define CSV_SIZE_MAX (64 << 20) /* bytes of a file */

struct csv {
	struct printbuf *text; /* the whole file, which is taken apart where it stands */
	char *at; /* what is not read yet */
	int next_line; /* where that begins */
	/* The row that was read last; the fields are valid until csv_close(). */
	int line;
	char *fields[CSV_FIELDS_MAX];
	size_t count;
	const char *why; /* of CSV_WRONG; static */
};

/* Reads the file, "-" being standard input. False with a sentence in err. */
bool csv_open(struct csv *csv, const char *file, char *err, size_t errsize);
void csv_close(struct csv *csv);

enum csv_result {
	CSV_ROW,
	CSV_WRONG, /* the row is none; the next one may be read */
	CSV_END,
};
/* Lines without anything are left out. */
enum csv_result csv_next(struct csv *csv);

/* The index of the field with that text, as in a row of headers; -1: there is none. */
int csv_find(const struct csv *csv, const char *text);

#endif
