/* What happens when: made from a seed, written to and read from a replay file. */
#include "chaos.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define EPISODE_MS 4000 /* without faults */
#define SETTLING_MS 800 /* actions go on for that long after a fault */
#define USERS_PER_ACTION 40 /* of so many users one does something each 100 ms */
#define FAULTS_MAX 3 /* in one episode */
#define CALM_MS 1200 /* before the first of them */
#define BUSY 6 /* every sixth user does half of all */

static const char *const layout_names[LAYOUTS] = {"one",	"two",	   "shared",  "hosts",
						  "partitions", "cluster", "sentinel"};
static const char *const directory_names[DIRECTORIES] = {"sqlite", "postgres"};

/* splitmix64 */
uint64_t prng_next(struct prng *prng)
{
	uint64_t word = prng->state += 0x9e3779b97f4a7c15;

	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
	word = (word ^ word >> 27) * 0x94d049bb133111eb;
	return word ^ word >> 31;
}

unsigned prng_below(struct prng *prng, unsigned limit)
{
	return limit > 0 ? (unsigned)(prng_next(prng) >> 16) % limit : 0;
}

void plan_init(struct plan *plan, uint64_t seed, unsigned users, int layout, int directory)
{
	struct prng prng = {seed ^ 0x6c61796f7574};
	int seeded_layout = (int)prng_below(&prng, LAYOUTS_BY_SEED);
	int seeded_directory = (int)prng_below(&prng, DIRECTORIES);

	memset(plan, 0, sizeof *plan);
	plan->seed = seed;
	plan->users = users;
	plan->layout = (enum layout)(layout >= 0 ? layout : seeded_layout);
	plan->directory = (enum directory_kind)(directory >= 0 ? directory : seeded_directory);
}

void plan_add_step(struct plan *plan, const struct step *step)
{
	if (plan->count == plan->capacity) {
		plan->capacity = plan->capacity > 0 ? plan->capacity * 2 : 256;
		plan->steps = xrealloc(plan->steps, plan->capacity * sizeof *plan->steps);
	}
	plan->steps[plan->count++] = *step;
}

void plan_free(struct plan *plan)
{
	free(plan->steps);
	plan->steps = NULL;
	plan->count = plan->capacity = 0;
}

/* --- from a seed ----------------------------------------------------------------------------- */

static const struct action *pick_action(struct prng *prng)
{
	unsigned sum = 0, at;

	for (size_t i = 0; i < action_count; i++)
		sum += actions[i].weight;
	at = prng_below(prng, sum);
	for (size_t i = 0;; i++) {
		if (at < actions[i].weight)
			return &actions[i];
		at -= actions[i].weight;
	}
}

static bool may_happen(const struct plan *plan, const struct fault *fault)
{
	size_t len = strlen(fault->name);

	if ((fault->traits & FAILS_OVER) && plan->layout != LAYOUT_SENTINEL)
		return false;
	for (const char *at = plan->faults; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, fault->name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return plan->faults == NULL;
}

static const struct fault *pick_fault(const struct plan *plan, struct prng *prng)
{
	unsigned sum = 0, at;

	for (size_t i = 0; i < fault_count; i++)
		sum += may_happen(plan, &faults[i]) ? faults[i].weight : 0;
	at = prng_below(prng, sum);
	for (size_t i = 0; i < fault_count; i++) {
		unsigned weight = may_happen(plan, &faults[i]) ? faults[i].weight : 0;

		if (at < weight)
			return &faults[i];
		at -= weight;
	}
	return NULL;
}

static int compare_steps(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* Returns when the last of them ends. */
static int add_faults(struct plan *plan, struct prng *prng, unsigned episode)
{
	unsigned count = 1;
	int end = 0;

	while (count < FAULTS_MAX && prng_below(prng, 4) == 0)
		count++;
	if (prng_below(prng, 12) == 0)
		count = 0;
	for (; count > 0; count--) {
		const struct fault *fault = pick_fault(plan, prng);
		struct step step = {.episode = episode, .fault = fault};

		if (fault == NULL)
			break;
		step.at = CALM_MS + (int)prng_below(prng, 2200);
		step.arg = prng_below(prng, fault->variants);
		step.lasts =
			fault->min + (int)prng_below(prng, (unsigned)(fault->max - fault->min + 1));
		plan_add_step(plan, &step);
		if (step.at + step.lasts > end)
			end = step.at + step.lasts;
	}
	return end;
}

static void add_action(struct plan *plan, struct prng *prng, unsigned episode, int at)
{
	struct step step = {.episode = episode, .at = at, .action = pick_action(prng)};

	step.user = 1 + prng_below(prng,
				   prng_below(prng, 2) == 0 ? plan->users : plan->users / BUSY + 1);
	/* The first device and tab are used most. */
	step.device = prng_below(prng, 2) * prng_below(prng, DEVICES);
	step.tab = prng_below(prng, 2) * prng_below(prng, TABS);
	step.arg = prng_below(prng, step.action->variants);
	plan_add_step(plan, &step);
}

void plan_add_episode(struct plan *plan, unsigned episode)
{
	struct prng prng = {plan->seed + (uint64_t)(episode + 1) * 0xd1342543de82ef95};
	size_t first = plan->count;
	int end = add_faults(plan, &prng, episode) + SETTLING_MS;
	unsigned rate = 1 + plan->users / USERS_PER_ACTION;

	/* At first many come at once. */
	for (unsigned i = 0; episode == 0 && i < plan->users; i++)
		add_action(plan, &prng, episode, (int)prng_below(&prng, 500));
	if (end < EPISODE_MS)
		end = EPISODE_MS;
	for (int at = 0; at < end; at += 100) {
		for (unsigned i = 0; i < rate; i++)
			add_action(plan, &prng, episode, at + (int)prng_below(&prng, 100));
	}
	qsort(plan->steps + first, plan->count - first, sizeof *plan->steps, compare_steps);
}

/* --- replay files ---------------------------------------------------------------------------- */

void plan_put_step(struct printbuf *out, const struct step *step)
{
	buf_putf(out, "%u %d ", step->episode, step->at);
	if (step->fault != NULL)
		buf_putf(out, "fault %s %u %d\n", step->fault->name, step->arg, step->lasts);
	else
		buf_putf(out, "%s %u.%u.%u %u\n", step->action->name, step->user, step->device,
			 step->tab, step->arg);
}

void plan_put(struct printbuf *out, const struct plan *plan)
{
	buf_putf(out, "# EPISODE MS ACTION USER.DEVICE.TAB VARIANT\n"
		      "# EPISODE MS fault NAME VARIANT LASTS\n");
	buf_putf(out, "seed %llu\nusers %u\nlayout %s\ndirectory %s\n",
		 (unsigned long long)plan->seed, plan->users, layout_names[plan->layout],
		 directory_names[plan->directory]);
	for (size_t i = 0; i < plan->count; i++)
		plan_put_step(out, &plan->steps[i]);
}

static int find_name(const char *const *names, int count, const char *name)
{
	int i = 0;

	while (i < count && strcmp(names[i], name) != 0)
		i++;
	return i;
}

static bool parse_head(struct plan *plan, const char *line)
{
	unsigned long long seed;
	char name[16];

	if (sscanf(line, "seed %llu", &seed) == 1)
		plan->seed = seed;
	else if (sscanf(line, "users %u", &plan->users) == 1)
		return plan->users >= 2 && plan->users <= USERS_LIMIT;
	else if (sscanf(line, "layout %15s", name) == 1)
		plan->layout = (enum layout)find_name(layout_names, LAYOUTS, name);
	else if (sscanf(line, "directory %15s", name) == 1)
		plan->directory =
			(enum directory_kind)find_name(directory_names, DIRECTORIES, name);
	else
		return false;
	return plan->layout < LAYOUTS && plan->directory < DIRECTORIES;
}

static bool parse_step(struct plan *plan, const char *line)
{
	struct step step = {0};
	char name[40];

	if (sscanf(line, "%u %d fault %39s %u %d", &step.episode, &step.at, name, &step.arg,
		   &step.lasts) == 5) {
		step.fault = fault_find(name);
		plan_add_step(plan, &step);
		return step.fault != NULL && step.arg < step.fault->variants;
	}
	if (sscanf(line, "%u %d %39s %u.%u.%u %u", &step.episode, &step.at, name, &step.user,
		   &step.device, &step.tab, &step.arg) != 7)
		return false;
	step.action = action_find(name);
	plan_add_step(plan, &step);
	return step.action != NULL && step.user >= 1 && step.user <= plan->users &&
	       step.device < DEVICES && step.tab < TABS && step.arg < step.action->variants;
}

bool plan_parse(struct plan *plan, const char *text, char *err, size_t err_size)
{
	char *copy = xstrdup(text), *rest = copy;
	int number = 0;
	bool ok = true;

	plan_init(plan, 0, 2, LAYOUT_ONE, DIRECTORY_SQLITE);
	for (char *line; ok && (line = strsep(&rest, "\n")) != NULL;) {
		number++;
		if (*line == '\0' || *line == '#')
			continue;
		ok = parse_head(plan, line) || parse_step(plan, line);
		if (!ok)
			snprintf(err, err_size, "line %d: what is '%s'?", number, line);
	}
	free(copy);
	return ok;
}
