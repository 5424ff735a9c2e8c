/* What happens when: steps of the tables of actions and faults. */
#ifndef PRESENCE_TESTS_CHAOS_PLAN_H
#define PRESENCE_TESTS_CHAOS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct chaos;
struct device;
struct action;
struct fault;

struct prng {
	uint64_t state;
};
uint64_t prng_next(struct prng *prng);
unsigned prng_below(struct prng *prng, unsigned limit); /* 0 when limit is 0 */

enum layout {
	LAYOUT_ONE, /* one streamd */
	LAYOUT_TWO, /* two, a socket each; the web server balances */
	LAYOUT_SHARED, /* two on one listening socket */
	LAYOUT_HOSTS, /* two web servers with workers and a streamd each */
	LAYOUT_PARTITIONS, /* as LAYOUT_TWO; users in four partitions on two servers of Redis */
	LAYOUTS_BY_SEED,
	LAYOUT_CLUSTER = LAYOUTS_BY_SEED, /* as LAYOUT_PARTITIONS; they are nodes of a cluster */
	LAYOUT_SENTINEL, /* as LAYOUT_TWO; a primary with two replicas, and three Sentinels */
	LAYOUTS,
};

enum directory_kind { DIRECTORY_SQLITE, DIRECTORY_POSTGRES, DIRECTORIES };

/* Something that happens: an action or a fault. */
struct step {
	unsigned episode;
	int at; /* ms after the episode began */
	const struct action *action; /* or NULL */
	const struct fault *fault; /* or NULL */
	unsigned user, device, tab; /* of an action; users count from 1, the others from 0 */
	unsigned arg; /* which variant */
	int lasts; /* of a fault, ms */
};

/* Any part of a plan is a plan: a step that makes no sense when it comes is left out. */
struct plan {
	uint64_t seed;
	unsigned users;
	enum layout layout;
	enum directory_kind directory;
	const char *faults; /* names of those that may be made up; NULL: all */
	struct step *steps; /* by episode and time */
	size_t count, capacity;
};

/* layout, directory: -1 is by the seed. */
void plan_init(struct plan *plan, uint64_t seed, unsigned users, int layout, int directory);
/* Appends an episode; the same plan, seed and number give the same steps. */
void plan_add_episode(struct plan *plan, unsigned episode);
void plan_add_step(struct plan *plan, const struct step *step);
void plan_free(struct plan *plan);
void plan_put(struct printbuf *out, const struct plan *plan);
void plan_put_step(struct printbuf *out, const struct step *step);
/* Reads what plan_put() wrote; false with what is wrong in err. */
bool plan_parse(struct plan *plan, const char *text, char *err, size_t err_size);

/* --- the tables ------------------------------------------------------------------------------ */

struct action {
	const char *name;
	unsigned weight; /* how often, relative to the others */
	unsigned variants; /* arg is below this */
	void (*run)(struct chaos *chaos, struct device *device, const struct step *step);
};
extern const struct action actions[];
extern const size_t action_count;
const struct action *action_find(const char *name);
void actions_repeat(struct chaos *chaos); /* logouts that were not answered */
/* The user of the device closes its tabs and logs the others out: it is gone soon. */
void actions_leave(struct chaos *chaos, struct device *device);

#define CRASHES 2u /* what was under way gets the web server's 500, or no answer */
#define GAP 1u /* streams miss something: each gets a fresh `initial` */
#define WIPES 4u /* Redis loses its data, and nothing else goes wrong */
#define FAILS_OVER 16u /* in LAYOUT_SENTINEL alone */
#define NEEDS_REDIS 8u /* speaks to Redis: not while it is stopped or dead */

struct fault {
	const char *name;
	unsigned weight, variants;
	int min, max; /* how long it lasts, ms */
	unsigned traits;
	/* False: cannot be now. */
	bool (*begin)(struct chaos *chaos, const struct step *step);
	void (*end)(struct chaos *chaos, const struct step *step); /* may be NULL */
};
extern const struct fault faults[];
extern const size_t fault_count;
const struct fault *fault_find(const char *name);

#endif
