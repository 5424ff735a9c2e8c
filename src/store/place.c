#include "store/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEED_MAX (300 / 3.6) /* m/s: a fast train */
#define NO_CELL "-"

static int64_t mark_before(int64_t now, int32_t phase)
{
	return (now - phase) / PLACE_MARK_MS;
}

/* Two points of two cells may be a cell's diagonal nearer than the middles are. */
static bool is_reachable(struct cell from, struct cell to, int64_t ms)
{
	return cell_distance(from, to) - 2 * CELL_SIZE <= SPEED_MAX * (double)ms / 1000;
}

static void show(struct place *place, struct cell cell, int64_t now)
{
	place->shown = cell;
	place->has_shown = true;
	place->until = now + PLACE_HOLDS_MS;
	place->has_next = false;
}

/* The last cell that the user was seen in; NULL: none. */
static const struct cell *last_cell(const struct place *place)
{
	return place->has_next ? &place->next : place->has_shown ? &place->shown : NULL;
}

bool place_look(struct place *place, double latitude, double longitude, int64_t now, int32_t phase)
{
	const struct cell *last = last_cell(place);
	struct cell here;

	if (!cell_of(latitude, longitude, &here))
		return false;
	if (place->looked == 0) {
		*place = (struct place){.looked = now, .phase = phase};
		show(place, here, now);
		return true;
	}
	if (mark_before(now, place->phase) == mark_before(place->looked, place->phase) ||
	    (last != NULL && !is_reachable(*last, here, now - place->looked)))
		return false;
	place->looked = now;
	place->has_shown = place_shown(place, now) != NULL;
	if (place->has_shown && cell_holds(place->shown, latitude, longitude, PLACE_MARGIN)) {
		show(place, place->shown, now);
	} else if (!place->has_next ||
		   !cell_holds(place->next, latitude, longitude, PLACE_MARGIN)) {
		place->has_next = true;
		place->next = here;
		place->since = now;
	} else if (now - place->since >= PLACE_STAY_MS) {
		show(place, place->next, now);
	}
	return true;
}

const struct cell *place_shown(const struct place *place, int64_t now)
{
	return place->has_shown && now < place->until ? &place->shown : NULL;
}

struct place place_without_cells(const struct place *place)
{
	return (struct place){.looked = place->looked, .phase = place->phase};
}

/* --- text ------------------------------------------------------------------------------------ */

/* A cell and a time; "-" for none, and then no time. */
static void put_cell(struct printbuf *out, bool has, struct cell cell, int64_t time)
{
	char text[CELL_TEXT_MAX];

	if (!has) {
		buf_puts(out, " " NO_CELL);
		return;
	}
	cell_format(cell, text);
	buf_putf(out, " %s@%" PRId64, text, time);
}

void place_put(struct printbuf *out, const struct place *place)
{
	buf_putf(out, "%" PRId64 "+%" PRId32, place->looked, place->phase);
	put_cell(out, place->has_shown, place->shown, place->until);
	put_cell(out, place->has_next, place->next, place->since);
}

static bool parse_time(const char *text, int64_t *time)
{
	size_t len = strspn(text, "0123456789");

	*time = strtoll(text, NULL, 10);
	return len >= 1 && len <= 15 && text[len] == '\0';
}

static bool parse_cell(const char *text, bool *has, struct cell *cell, int64_t *time)
{
	const char *at = strchr(text, '@');

	*has = at != NULL;
	return at == NULL ? strcmp(text, NO_CELL) == 0
			  : cell_parse(text, (size_t)(at - text), cell) && parse_time(at + 1, time);
}

bool place_parse(const char *text, size_t len, struct place *place)
{
	char copy[PLACE_TEXT_MAX], shown[32], next[32];
	struct place found = {.looked = 0};

	if (len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (sscanf(copy, "%15" SCNd64 "+%6" SCNd32 " %31s %31s", &found.looked, &found.phase, shown,
		   next) != 4 ||
	    found.looked <= 0 || found.phase < 0 || found.phase >= PLACE_MARK_MS ||
	    !parse_cell(shown, &found.has_shown, &found.shown, &found.until) ||
	    !parse_cell(next, &found.has_next, &found.next, &found.since))
		return false;
	*place = found;
	return true;
}
