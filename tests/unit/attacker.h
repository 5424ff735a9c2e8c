/*
 * Somebody who has befriended a user by 20 accounts and wants to know where the
 * user is, in simulated time. The accounts may pretend any place; what they and
 * the user are shown is place.h's. Search is trilateration and the search for
 * flip points; watching is waiting for the moments in which the shown cell changes.
 *
 * A finding's `least` is the area in km2 that is left for the user when the attacker
 * knows most. `plain` are the same figures for the simpler rule that a user's cell is
 * shown at every mark, whoever passes by and however near a border.
 */
#ifndef PRESENCE_TESTS_ATTACKER_H
#define PRESENCE_TESTS_ATTACKER_H

struct attacker_site {
	const char *name;
	double latitude, longitude;
};
#define ATTACKER_SITES 5
extern const struct attacker_site attacker_sites[ATTACKER_SITES];

struct attacker_finding {
	double least, plain_least;
	unsigned changes; /* of the cell that is shown */
	unsigned marks, plain_below; /* of these marks, those at which less than 1 km2 was left */
};

/* A user at rest is searched for by answers to "near?" alone, from 5 km away at most. */
struct attacker_finding attacker_search(const struct attacker_site *site, unsigned days);
/* Users at rest where four cells meet, or two, with a device that is 30 m wrong (sigma). */
struct attacker_finding attacker_watch_rest(const struct attacker_site *site, unsigned days);
/*
 * One who walks at 5 km/h all the time, which the attacker knows, who also sees each cell that is
 * shown at once and is told exactly where the user was when seen in it first. `straight`: minutes
 * from one turn to the next, on average.
 */
struct attacker_finding attacker_watch_walk(const struct attacker_site *site, unsigned days,
					    double straight);

/* For tests of Check: each runs an attack and fails where less than 1 km2 is left. */
void attacker_check_search(const struct attacker_site *site, unsigned days);
void attacker_check_rest(const struct attacker_site *site, unsigned days);
void attacker_check_walk(const struct attacker_site *site, unsigned days);

#endif
