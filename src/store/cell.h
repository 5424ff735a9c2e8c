/*
 * Places, as coarse as this service knows them: cells of about 1.2 x 1.2 km,
 * never smaller than 1.44 km2. Rows of 1.2 km lie along the circles of
 * latitude; each is divided into as many columns as it has room for, so that a
 * cell is as wide at 85 degrees north as at the equator. Pure functions; the earth
 * is a sphere here, degrees are WGS 84's.
 */
#ifndef PRESENCE_STORE_CELL_H
#define PRESENCE_STORE_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CELL_SIZE 1200 /* metres */
#define CELL_ROWS 16679 /* of that height, from the south pole to the north pole */
#define CELL_TEXT_MAX 12 /* bytes of cell_format()'s text with its NUL */

struct cell {
	int32_t row; /* 0 at the south pole, below CELL_ROWS */
	int32_t column; /* 0 east of the antimeridian, below cell_columns() */
};

int32_t cell_columns(int32_t row);

/*
 * The cell of a point in degrees: -90..90, -180..180, where 180 is -180. False for
 * what is not a number or out of range.
 */
bool cell_of(double latitude, double longitude, struct cell *cell);

/*
 * Whether two cells are the same or adjacent: in one row side by side, in
 * neighbouring rows when their longitudes overlap or touch. Around the poles and
 * over the antimeridian, too.
 */
bool cell_is_near(struct cell a, struct cell b);

static inline bool cell_equal(struct cell a, struct cell b)
{
	return a.row == b.row && a.column == b.column;
}

/* Whether a point lies in the cell or not farther than so many metres (some hundreds) outside. */
bool cell_holds(struct cell cell, double latitude, double longitude, double margin);

/* Metres between the middles of two cells. */
double cell_distance(struct cell a, struct cell b);

/* "ROW.COLUMN" and back; false for another text. */
void cell_format(struct cell cell, char text[CELL_TEXT_MAX]);
bool cell_parse(const char *text, size_t len, struct cell *cell);

#endif
