/* A shorter plan that fails in the same way: whole episodes, faults, kinds of action, halves. */
#include "chaos.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define FEW 12 /* steps */

struct shrinking {
	struct plan *plan;
	struct result *failure; /* the last one */
	int64_t end;
	run_plan *run;
	unsigned tries;
};

typedef bool wanted(const struct step *step, size_t index, const void *arg);

/* Keeps what is wanted if that still fails in the same way; true when the plan became shorter. */
static bool attempt(struct shrinking *shrinking, wanted *keep, const void *arg, const char *what)
{
	struct plan *plan = shrinking->plan, shorter = *plan;
	struct result result = {0};

	shorter.steps = NULL;
	shorter.count = shorter.capacity = 0;
	for (size_t i = 0; i < plan->count; i++) {
		if (keep(&plan->steps[i], i, arg))
			plan_add_step(&shorter, &plan->steps[i]);
	}
	if (shorter.count == 0 || shorter.count == plan->count || now_ms() > shrinking->end) {
		plan_free(&shorter);
		return false;
	}
	shrinking->tries++;
	fprintf(stderr, "shrinking: %s, %zu of %zu steps\n", what, shorter.count, plan->count);
	shrinking->run(&shorter, 0, &result);
	if (!result.failed || strcmp(result.property, shrinking->failure->property) != 0) {
		plan_free(&shorter);
		return false;
	}
	plan_free(plan);
	*plan = shorter;
	*shrinking->failure = result;
	return true;
}

static bool is_late(const struct step *step, size_t index, const void *arg)
{
	(void)index;
	return step->episode >= *(const unsigned *)arg;
}

static bool is_up_to_episode(const struct step *step, size_t index, const void *arg)
{
	(void)index;
	return step->episode <= *(const unsigned *)arg;
}

static bool is_other_step(const struct step *step, size_t index, const void *arg)
{
	(void)step;
	return index != *(const size_t *)arg;
}

static bool is_other_action(const struct step *step, size_t index, const void *arg)
{
	(void)index;
	return step->action != arg;
}

struct range {
	size_t from, to; /* left out */
};

static bool is_out_of_range(const struct step *step, size_t index, const void *arg)
{
	const struct range *range = arg;

	return step->fault != NULL || index < range->from || index >= range->to;
}

struct users {
	unsigned from, to; /* left out */
};

static bool is_other_user(const struct step *step, size_t index, const void *arg)
{
	const struct users *users = arg;

	(void)index;
	return step->fault != NULL || step->user < users->from || step->user >= users->to;
}

/* Whom the failure is about, and neighbours, who are friends. */
struct near {
	unsigned user, distance, users;
};

static bool is_near(const struct step *step, size_t index, const void *arg)
{
	const struct near *near = arg;
	unsigned apart = (step->user + near->users - near->user) % near->users;

	(void)index;
	return step->fault != NULL || apart <= near->distance ||
	       near->users - apart <= near->distance;
}

static void keep_near(struct shrinking *shrinking)
{
	for (unsigned distance = 0; shrinking->failure->user > 0 && distance < 10; distance += 4) {
		struct near near = {shrinking->failure->user, distance, shrinking->plan->users};

		if (attempt(shrinking, is_near, &near, "users near to the one it is about"))
			return;
	}
}

static void drop_faults(struct shrinking *shrinking)
{
	for (size_t i = 0; i < shrinking->plan->count;) {
		if (shrinking->plan->steps[i].fault == NULL ||
		    !attempt(shrinking, is_other_step, &i, "without a fault"))
			i++;
	}
}

static void drop_users(struct shrinking *shrinking)
{
	for (unsigned size = shrinking->plan->users / 2; size > 0; size /= 2) {
		for (unsigned from = 1; from <= shrinking->plan->users; from += size) {
			struct users users = {from, from + size};

			attempt(shrinking, is_other_user, &users, "without some users");
		}
		if (size == 1)
			break;
	}
}

static void drop_ranges(struct shrinking *shrinking)
{
	for (size_t size = shrinking->plan->count / 2; size > 0; size /= 2) {
		for (size_t from = 0; from < shrinking->plan->count;) {
			struct range range = {from, from + size};

			if (!attempt(shrinking, is_out_of_range, &range, "without some steps"))
				from += size;
			else if (shrinking->plan->count > FEW)
				keep_near(shrinking);
		}
	}
}

void shrink(struct plan *plan, struct result *failure, int seconds, run_plan *run_it)
{
	struct shrinking shrinking = {.plan = plan,
				      .failure = failure,
				      .end = now_ms() + (int64_t)seconds * 1000,
				      .run = run_it};
	unsigned episode = failure->episode;

	attempt(&shrinking, is_up_to_episode, &episode, "up to where it failed");
	for (unsigned last = 0, from; last <= 3; last += last + 1) {
		from = episode > last ? episode - last : 0;
		if (attempt(&shrinking, is_late, &from, "the last episodes alone"))
			break;
	}
	keep_near(&shrinking);
	drop_faults(&shrinking);
	drop_ranges(&shrinking);
	for (size_t i = 0; i < action_count; i++)
		attempt(&shrinking, is_other_action, &actions[i], actions[i].name);
	drop_users(&shrinking);
	fprintf(stderr, "shrinking: %zu steps are left after %u runs\n", plan->count,
		shrinking.tries);
}
