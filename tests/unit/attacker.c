#include "attacker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/alloc.h"
#include "store/place.h"

#define ACCOUNTS 20
#define MINUTE INT64_C(60000)
#define DAY_MINUTES 1440
#define SPEED (5 / 60.0) /* km a minute */
#define SIGMA 0.03 /* km */
#define ERROR_MAX 0.15 /* km that a device is wrong, for an attacker who wants to be sure */
#define KM_A_DEGREE 111.195

const struct attacker_site attacker_sites[ATTACKER_SITES] = {
	{"the equator", 0.003, 10.5},
	{"37 N", 37.5, 127.02},
	{"60 N", 60.2, 24.9},
	{"85 N", 85.01, -60.3},
	{"the antimeridian", -17.1, 179.997},
};

struct point {
	double latitude, longitude;
};

struct user {
	struct point at;
	struct place place;
	double heading, left; /* minutes to go on so */
};

/* --- chance and geometry ---------------------------------------------------------------------- */

static uint64_t state;

static void begin(const struct attacker_site *site)
{
	state = 88172645463325252U + (uint64_t)(site - attacker_sites);
}

/* From 0 up to 1. */
static double chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (double)(state >> 11) / 9007199254740992.0;
}

static double gauss(void)
{
	return sqrt(-2 * log(1 - chance())) * cos(2 * M_PI * chance());
}

/* So many km to the east and north. */
static struct point moved(struct point from, double east, double north)
{
	struct point to = {from.latitude + north / KM_A_DEGREE,
			   from.longitude + east / (KM_A_DEGREE * cos(from.latitude * M_PI / 180))};

	if (to.longitude > 180)
		to.longitude -= 360;
	if (to.longitude < -180)
		to.longitude += 360;
	return to;
}

static struct cell cell_at(struct point at)
{
	struct cell cell = {0};

	ck_assert(cell_of(at.latitude, at.longitude, &cell));
	return cell;
}

static bool holds(struct cell cell, struct point at, double margin)
{
	return cell_holds(cell, at.latitude, at.longitude, margin * 1000);
}

static double area_of(struct cell cell)
{
	double south = (cell.row * 180.0 / CELL_ROWS - 90) * M_PI / 180;
	double north = ((cell.row + 1) * 180.0 / CELL_ROWS - 90) * M_PI / 180;

	return 2 * M_PI * 6371.0088 * 6371.0088 * (sin(north) - sin(south)) /
	       cell_columns(cell.row);
}

/* --- the user ---------------------------------------------------------------------------------- */

/* The device says where the user is, about once a minute; whether it was taken. */
static bool say(struct user *user, int64_t minute, double sigma)
{
	struct point fix = moved(user->at, gauss() * sigma, gauss() * sigma);
	int64_t now = INT64_C(1700000000000) + minute * MINUTE + (int64_t)(chance() * 20000);

	return place_look(&user->place, fix.latitude, fix.longitude, now,
			  (int32_t)(chance() * PLACE_MARK_MS));
}

static struct cell shown(const struct user *user)
{
	ck_assert(user->place.has_shown);
	return user->place.shown;
}

static void walk(struct user *user, double straight)
{
	if (user->left < 1) {
		user->heading = 2 * M_PI * chance();
		user->left = 1 - log(1 - chance()) * straight;
	}
	user->at = moved(user->at, SPEED * cos(user->heading), SPEED * sin(user->heading));
	user->left--;
	/* Nobody walks round a pole in this test. */
	if (fabs(user->at.latitude) > 86)
		user->heading = user->at.latitude > 0 ? -M_PI / 2 : M_PI / 2;
}

/* --- search ------------------------------------------------------------------------------------ */

/* The cells in which the user may be, for all that was answered. */
struct guess {
	struct cell cells[400];
	unsigned count;
};

static void guess_begin(struct guess *guess, struct point around)
{
	guess->count = 0;
	for (double north = -6; north <= 6; north += 0.3) {
		for (double east = -6; east <= 6; east += 0.3) {
			struct cell cell = cell_at(moved(around, east, north));
			unsigned i = 0;

			while (i < guess->count && !cell_equal(guess->cells[i], cell))
				i++;
			if (i == guess->count)
				guess->cells[guess->count++] = cell;
		}
	}
}

/* What an answer leaves. A flip tells the same, by two answers. */
static void guess_hear(struct guess *guess, struct cell probe, bool near)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < guess->count; i++) {
		if (cell_is_near(guess->cells[i], probe) == near)
			guess->cells[kept++] = guess->cells[i];
	}
	guess->count = kept;
}

/* An account stops sharing, waits for ten minutes, and pretends another place: that is shown at once. */
static bool ask(const struct user *user, struct guess *guess, struct point pretended,
		int64_t minute)
{
	struct user account = {.at = pretended};
	bool near;

	say(&account, minute, 0);
	near = cell_is_near(shown(&account), shown(user));
	guess_hear(guess, shown(&account), near);
	return near;
}

/* The distances in a direction between which "near" flips, halved each time. */
struct ray {
	struct point from;
	double heading, near, far;
};

static void ray_begin(struct ray *ray, struct point around)
{
	ray->from = moved(around, chance() * 2 - 1, chance() * 2 - 1);
	ray->heading = 2 * M_PI * chance();
	ray->near = 0;
	ray->far = 8;
}

static void ray_ask(struct ray *ray, const struct user *user, struct guess *guess, int64_t minute)
{
	double middle = (ray->near + ray->far) / 2;
	struct point probe =
		moved(ray->from, cos(ray->heading) * middle, sin(ray->heading) * middle);

	if (ask(user, guess, probe, minute))
		ray->near = middle;
	else
		ray->far = middle;
	if (ray->far - ray->near < 0.005) /* found to 5 m; another one */
		ray_begin(ray, ray->from);
}

struct attacker_finding attacker_search(const struct attacker_site *site, unsigned days)
{
	struct user user = {.at = {site->latitude, site->longitude}};
	struct point around;
	struct guess guess;
	struct ray rays[ACCOUNTS / 2];
	struct attacker_finding finding = {.least = 0};

	begin(site);
	user.at = moved(user.at, chance() * 4, chance() * 4);
	around = moved(user.at, chance() * 6 - 3, chance() * 6 - 3);
	guess_begin(&guess, around);
	for (unsigned i = 0; i < ACCOUNTS / 2; i++)
		ray_begin(&rays[i], around);
	for (int64_t minute = 0; minute < days * DAY_MINUTES; minute++) {
		say(&user, minute, 0);
		if (minute % 10 != 0)
			continue;
		for (unsigned i = 0; i < ACCOUNTS / 2; i++) {
			ask(&user, &guess, moved(around, chance() * 16 - 8, chance() * 16 - 8),
			    minute);
			ray_ask(&rays[i], &user, &guess, minute);
		}
	}
	ck_assert_msg(guess.count == 1 && cell_equal(guess.cells[0], cell_at(user.at)),
		      "%s: the attack does not even find the cell: %u are left", site->name,
		      guess.count);
	finding.least = area_of(guess.cells[0]);
	return finding;
}

/* --- watching a user at rest ------------------------------------------------------------------- */

/* The nearest point to the north (east) where the row (column) changes. */
static struct point border_of(struct point at, bool of_rows)
{
	struct cell cell = cell_at(at);
	double east = of_rows ? 0 : 0.0001, north = of_rows ? 0.0001 : 0;

	while (cell_equal(cell_at(at), cell))
		at = moved(at, east, north);
	return at;
}

/* The area round a point that every one of the cells may hold, if the device is not very wrong. */
static double area_between(const struct cell *cells, unsigned count, struct point around)
{
	unsigned points = 0;

	for (double north = -2; north < 2; north += 0.025) {
		for (double east = -2; east < 2; east += 0.025) {
			struct point at = moved(around, east, north);
			unsigned i = 0;

			while (i < count && holds(cells[i], at, ERROR_MAX))
				i++;
			points += i == count;
		}
	}
	return points * 0.025 * 0.025;
}

static void note(struct cell *cells, unsigned *count, struct cell cell)
{
	for (unsigned i = 0; i < *count; i++) {
		if (cell_equal(cells[i], cell))
			return;
	}
	if (*count < 8)
		cells[(*count)++] = cell;
}

static struct attacker_finding watch_resting(struct point at, unsigned days)
{
	struct user user = {.at = at};
	struct cell seen[8], plain[8];
	unsigned seen_count = 0, plain_count = 0;
	struct attacker_finding finding = {0};

	for (int64_t minute = 0; minute < days * DAY_MINUTES; minute++) {
		if (!say(&user, minute, SIGMA))
			continue;
		finding.marks++;
		note(seen, &seen_count, shown(&user));
		note(plain, &plain_count,
		     cell_at(moved(user.at, gauss() * SIGMA, gauss() * SIGMA)));
	}
	finding.changes = seen_count - 1;
	finding.least = area_between(seen, seen_count, at);
	finding.plain_least = area_between(plain, plain_count, at);
	return finding;
}

static void keep_least(struct attacker_finding *all, const struct attacker_finding *one)
{
	all->least = fmin(all->least, one->least);
	all->plain_least = fmin(all->plain_least, one->plain_least);
	all->changes += one->changes;
	all->marks += one->marks;
	all->plain_below += one->plain_below;
}

struct attacker_finding attacker_watch_rest(const struct attacker_site *site, unsigned days)
{
	struct point at = {site->latitude, site->longitude}, row, corner;
	struct attacker_finding finding, other;

	begin(site);
	row = border_of(at, true);
	corner = border_of(row, false);
	finding = watch_resting(row, days);
	other = watch_resting(corner, days);
	keep_least(&finding, &other);
	return finding;
}

/* --- watching one who walks -------------------------------------------------------------------- */

/*
 * Where the user may be when a new cell is shown, for one who knows that it was at `first` at the
 * time `since`, has not left the cell for farther than the margin since, nor come back to the one
 * before (NULL: none), and does not walk faster.
 */
static double area_in_reach(struct cell cell, const struct cell *before, struct point first,
			    double minutes)
{
	double reach = SPEED * minutes, margin = PLACE_MARGIN / 1000.0;
	unsigned points = 0;

	for (double north = -reach; north <= reach; north += 0.05) {
		for (double east = -reach; east <= reach; east += 0.05) {
			struct point at = moved(first, east, north);

			points += hypot(north, east) <= reach && holds(cell, at, margin) &&
				  (before == NULL || !holds(*before, at, margin));
		}
	}
	return points * 0.05 * 0.05;
}

/* Points a tenth of a km apart in which the user may be, under the simpler rule. */
struct cloud {
	struct point points[1024];
	unsigned count;
};

static double apart(struct point a, struct point b)
{
	double east = remainder(b.longitude - a.longitude, 360) *
		      cos((a.latitude + b.latitude) * M_PI / 360);

	return hypot(east, b.latitude - a.latitude) * KM_A_DEGREE;
}

static bool is_reached(const struct cloud *cloud, struct point at, double reach)
{
	for (unsigned i = 0; i < cloud->count; i++) {
		if (apart(cloud->points[i], at) <= reach)
			return true;
	}
	return false;
}

/* The cell of the user at this mark is known, and the cloud of the mark before. */
static void cloud_move(struct cloud *cloud, struct point user, double reach)
{
	static struct cloud next;

	next.count = 0;
	for (double north = -2.5; north < 2.5; north += 0.1) {
		for (double east = -2.5; east < 2.5; east += 0.1) {
			struct point at = moved(user, east, north);

			if (cell_equal(cell_at(at), cell_at(user)) && next.count < 1024 &&
			    (cloud->count == 0 || is_reached(cloud, at, reach)))
				next.points[next.count++] = at;
		}
	}
	*cloud = next;
}

struct attacker_finding attacker_watch_walk(const struct attacker_site *site, unsigned days,
					    double straight)
{
	struct user user = {.at = {site->latitude, site->longitude}};
	struct point first = user.at;
	struct cloud *cloud = xcalloc(1, sizeof *cloud);
	struct attacker_finding finding = {.least = INFINITY, .plain_least = INFINITY};

	begin(site);
	for (int64_t minute = 0; minute < days * DAY_MINUTES; minute++) {
		struct place before = user.place;

		walk(&user, straight);
		if (!say(&user, minute, 0))
			continue;
		if (user.place.has_next && user.place.since == user.place.looked)
			first = user.at;
		if (before.looked > 0 && before.has_next && !user.place.has_next &&
		    cell_equal(before.next, user.place.shown)) {
			double minutes = (double)(user.place.looked - before.since) / MINUTE;

			finding.changes++;
			finding.least = fmin(finding.least,
					     area_in_reach(user.place.shown,
							   place_shown(&before, user.place.looked),
							   first, minutes));
		}
		/* A tenth more of a km than a walk: points are so far apart. */
		cloud_move(cloud, user.at,
			   SPEED * (double)(user.place.looked - before.looked) / MINUTE + 0.1);
		finding.marks++;
		finding.plain_least = fmin(finding.plain_least, cloud->count * 0.01);
		finding.plain_below += cloud->count < 100;
	}
	free(cloud);
	return finding;
}

/* --- for tests --------------------------------------------------------------------------------- */

static void check(const char *what, const struct attacker_site *site,
		  const struct attacker_finding *finding)
{
	ck_assert_msg(finding->least >= 1, "%s, %s: %.2f km2 are left", site->name, what,
		      finding->least);
}

void attacker_check_search(const struct attacker_site *site, unsigned days)
{
	struct attacker_finding finding = attacker_search(site, days);

	check("at rest, searched", site, &finding);
}

void attacker_check_rest(const struct attacker_site *site, unsigned days)
{
	struct attacker_finding finding = attacker_watch_rest(site, days);

	check("at rest, watched", site, &finding);
	ck_assert_uint_eq(finding.changes, 0);
	ck_assert_msg(finding.plain_least < 1, "nothing would be seen of a border that is beside");
}

void attacker_check_walk(const struct attacker_site *site, unsigned days)
{
	struct attacker_finding finding = attacker_watch_walk(site, days, 15);

	check("walking", site, &finding);
	ck_assert_uint_ge(finding.changes, days);
	ck_assert_msg(finding.plain_below > finding.marks / 4, "nothing would be seen of a walk");
}
