#include "store/cell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EARTH_RADIUS 6371008.8 /* metres, of a sphere as large as the earth */
#define RADIANS (M_PI / 180)
#define METRES_A_DEGREE (EARTH_RADIUS * RADIANS)
#define ROW_DEGREES (180.0 / CELL_ROWS)

/* Of a row's edge below; the middle is half a row further. */
static double latitude_of(double row)
{
	return row * ROW_DEGREES - 90;
}

static double column_degrees(int32_t row)
{
	return 360.0 / cell_columns(row);
}

int32_t cell_columns(int32_t row)
{
	double middle = latitude_of(row + 0.5);
	double circle = 360 * METRES_A_DEGREE * cos(middle * RADIANS);

	return (int32_t)fmax(circle / CELL_SIZE, 1);
}

bool cell_of(double latitude, double longitude, struct cell *cell)
{
	int32_t row, column;

	/* So that it is false for what is not a number. */
	if (!(latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180))
		return false;
	row = (int32_t)((latitude + 90) / ROW_DEGREES);
	if (row == CELL_ROWS)
		row--; /* the north pole itself */
	column = (int32_t)((longitude + 180) / column_degrees(row));
	*cell = (struct cell){row, column % cell_columns(row)};
	return true;
}

/* Columns of one row, which close up to a circle. */
static bool are_beside(int32_t a, int32_t b, int32_t columns)
{
	int32_t apart = abs(a - b);

	return apart <= 1 || apart == columns - 1;
}

/*
 * Whether the longitudes of two cells in rows of `m` and `n` columns have a point
 * in common. In units of 1 / (m * n) of the circle their edges are whole numbers.
 */
static bool do_overlap(int32_t a, int64_t m, int32_t b, int64_t n)
{
	for (int64_t turn = -1; turn <= 1; turn++) {
		int64_t begin = b * m + turn * m * n;

		if (begin <= (a + 1) * n && a * n <= begin + m)
			return true;
	}
	return false;
}

bool cell_is_near(struct cell a, struct cell b)
{
	if (a.row == b.row)
		return are_beside(a.column, b.column, cell_columns(a.row));
	return abs(a.row - b.row) == 1 &&
	       do_overlap(a.column, cell_columns(a.row), b.column, cell_columns(b.row));
}

/* How far a value is outside of a range. */
static double outside(double value, double low, double high)
{
	return value < low ? low - value : value > high ? value - high : 0;
}

bool cell_holds(struct cell cell, double latitude, double longitude, double margin)
{
	double south = latitude_of(cell.row), width = column_degrees(cell.row);
	double north = south + ROW_DEGREES, west = cell.column * width - 180;
	/* East of the cell's western edge, between -180 and 180 from its middle. */
	double east = remainder(longitude - west - width / 2, 360) + width / 2;
	double up = outside(latitude, south, north) * METRES_A_DEGREE;
	double aside = outside(east, 0, width) * METRES_A_DEGREE * cos(latitude * RADIANS);

	return hypot(up, aside) <= margin;
}

double cell_distance(struct cell a, struct cell b)
{
	double from = latitude_of(a.row + 0.5) * RADIANS, to = latitude_of(b.row + 0.5) * RADIANS;
	double up = sin((to - from) / 2);
	double aside = sin(((b.column + 0.5) * column_degrees(b.row) -
			    (a.column + 0.5) * column_degrees(a.row)) *
			   RADIANS / 2);
	/* The haversine formula, which is exact for small distances, too. */
	double half = up * up + cos(from) * cos(to) * aside * aside;

	return 2 * EARTH_RADIUS * asin(sqrt(fmin(half, 1)));
}

/* --- text ------------------------------------------------------------------------------------ */

void cell_format(struct cell cell, char text[CELL_TEXT_MAX])
{
	snprintf(text, CELL_TEXT_MAX, "%d.%d", cell.row, cell.column);
}

/* 1 to 5 digits before `end`, as cell_format() writes them; where they end, or NULL. */
static const char *parse_number(const char *text, const char *end, int32_t *number)
{
	const char *at = text;

	*number = 0;
	while (at < end && at - text < 5 && *at >= '0' && *at <= '9')
		*number = *number * 10 + (*at++ - '0');
	return at == text || (*text == '0' && at - text > 1) ? NULL : at;
}

bool cell_parse(const char *text, size_t len, struct cell *cell)
{
	const char *end = text + len, *at;
	struct cell found;

	at = parse_number(text, end, &found.row);
	if (at == NULL || at == end || *at != '.' || found.row >= CELL_ROWS)
		return false;
	at = parse_number(at + 1, end, &found.column);
	if (at != end || found.column >= cell_columns(found.row))
		return false;
	*cell = found;
	return true;
}
