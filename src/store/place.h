/*
 * Where a user is, as others may use it to find out whether they are near: a cell
 * (cell.h), looked at from time to time. Pure functions on Redis' clock, in ms;
 * the points that they are given are kept nowhere. docs/privacy.md, "Nearby", has
 * the reasons and figures.
 *
 *   the first point            its cell is shown at once
 *   until the user's next mark every other point is ignored (marks: every 10 minutes, at a
 *                              moment that is the user's own)
 *   at a mark, in the cell     that is shown, or not far outside: it holds on
 *   at a mark, elsewhere       a new cell is shown once the user was in it at three marks, of
 *                              which the last is 18 minutes or more after the first
 *   too far away               as if nothing had come: not to be reached at 300 km/h
 *
 * So no border shows who stands beside it, whatever the device's error; and whoever
 * walks at 5 km/h, and at whatever place they were seen in the new cell first, may be
 * nearly everywhere in it when it is shown.
 */
#ifndef PRESENCE_STORE_PLACE_H
#define PRESENCE_STORE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/cell.h"

#define PLACE_MARK_MS 600000 /* between two marks; how long a user is held to them afterwards */
#define PLACE_HOLDS_MS 1800000 /* a cell is shown for so long after the user was last seen in it */
#define PLACE_STAY_MS 1080000 /* in a new cell, before it is shown */
#define PLACE_MARGIN 200 /* metres outside that are as good as inside */

#define PLACE_TEXT_MAX 96 /* bytes of place_put()'s text with its NUL */

/* Zeroed memory: nothing is known. */
struct place {
	int64_t looked; /* when a point was taken last; 0 = never */
	int32_t phase; /* of the marks: below PLACE_MARK_MS */
	bool has_shown, has_next;
	struct cell shown; /* until `until` */
	int64_t until;
	struct cell next; /* since when the user was seen in it at every mark */
	int64_t since;
};

/*
 * What comes of a point. False: nothing, *place is as it was. `phase`, a random
 * number below PLACE_MARK_MS, becomes the user's when there is none.
 */
bool place_look(struct place *place, double latitude, double longitude, int64_t now, int32_t phase);

/* The cell that others may be compared with; NULL: none. */
const struct cell *place_shown(const struct place *place, int64_t now);

/* What is kept when the user's place is to be forgotten: the marks. */
struct place place_without_cells(const struct place *place);

/* As Redis keeps it, and back; false for a text that place_put() did not write. */
void place_put(struct printbuf *out, const struct place *place);
bool place_parse(const char *text, size_t len, struct place *place);

#endif
