/*
 * The chaos run as a program. Environment:
 *
 *   CHAOS_SEED=N       what happens (default 1; `random`: another one each time)
 *   CHAOS_SECONDS=N    no new episode begins after so long (default 60)
 *   CHAOS_USERS=N      how many (default 150)
 *   CHAOS_LAYOUT=N     0 … 6, see enum layout (default: by the seed)
 *   CHAOS_DIRECTORY=N  0 SQLite, 1 PostgreSQL (default: by the seed)
 *   CHAOS_FAULTS=A,B   only these go wrong
 *   CHAOS_REPLAY=FILE  runs this history instead
 *   CHAOS_SHRINK=N     seconds for finding a shorter history of a failure (default 240; 0: none)
 *
 * A failure leaves chaos-SEED.replay in the working directory.
 */
#include "chaos.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "base/alloc.h"

#define LINES_SHOWN 80

/* What the process of a run works on and leaves. */
static const struct plan *the_plan;
static int the_seconds;
static struct result *the_result;

START_TEST(play_the_plan)
{
	chaos_run(the_plan, the_seconds, the_result);
}
END_TEST

/* The harness wants a test of Check, in a process of its own. */
static void run_in_process(const struct plan *plan, int seconds, struct result *result)
{
	static Suite *suite;
	static SRunner *runner;
	TestResult **failures;

	the_plan = plan;
	the_seconds = seconds;
	memset(the_result, 0, sizeof *the_result);
	suite = suite_create("chaos");
	tcase_add_test(harness_case(suite, "chaos", 100000), play_the_plan);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_SILENT);
	*result = *the_result;
	failures = srunner_failures(runner);
	if (srunner_ntests_failed(runner) > 0 && result->failed)
		fprintf(stderr, "and then: %s\n", tr_msg(failures[0]));
	if (srunner_ntests_failed(runner) > 0 && !result->failed) {
		result->failed = true;
		snprintf(result->property, sizeof result->property, "stand");
		snprintf(result->text, sizeof result->text, "%s", tr_msg(failures[0]));
	}
	free(failures);
	srunner_free(runner);
}

static int number(const char *name, int standard)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? atoi(text) : standard;
}

static uint64_t choose_seed(void)
{
	const char *text = getenv("CHAOS_SEED");
	uint32_t random = 1;

	if (text != NULL && strcmp(text, "random") == 0)
		return getrandom(&random, sizeof random, 0) > 0 ? random : 1;
	return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : 1;
}

static bool read_replay(struct plan *plan, const char *path)
{
	struct printbuf *text = buf_new();
	char piece[4096], err[200] = "";
	FILE *file = fopen(path, "re");
	size_t got;
	bool ok = false;

	while (file != NULL && (got = fread(piece, 1, sizeof piece, file)) > 0)
		buf_put(text, piece, got);
	if (file != NULL) {
		fclose(file);
		ok = plan_parse(plan, text->buf, err, sizeof err);
	} else {
		snprintf(err, sizeof err, "%s", strerror(errno));
	}
	if (!ok)
		fprintf(stderr, "%s: %s\n", path, err);
	printbuf_free(text);
	return ok;
}

static void save(const struct plan *plan, const struct result *result)
{
	struct printbuf *text = buf_new();
	char path[64];
	FILE *file;

	buf_putf(text, "# %s: %s\n", result->property, result->text);
	plan_put(text, plan);
	snprintf(path, sizeof path, "chaos-%llu.replay", (unsigned long long)plan->seed);
	file = fopen(path, "we");
	if (file != NULL) {
		fputs(text->buf, file);
		fclose(file);
	}
	if (plan->count <= LINES_SHOWN)
		fputs(text->buf, stderr);
	fprintf(stderr, "Again: make chaos CHAOS_REPLAY=%s\n", path);
	printbuf_free(text);
}

static void report(const struct plan *plan, const struct result *result)
{
	fprintf(stderr, "%s: seed %llu, %u users, %u episodes, %lu steps\n",
		result->failed ? "FAILED" : "passed", (unsigned long long)plan->seed, plan->users,
		result->episodes, result->steps);
	fprintf(stderr,
		"  %lu streams opened, %lu further initials, %lu events, %lu calls, %lu changes\n"
		"  %lu comparisons; whether a user is online: %lu times certain, %lu times not, in "
		"which state: %lu times certain; %lu times somebody was told of typing\n",
		result->streams, result->again, result->events, result->calls, result->published,
		result->comparisons, result->decided, result->undecided, result->words,
		result->typed);
	fprintf(stderr,
		"  %lu looks at who is blocked, %lu at who is not any more; %lu notifications, %lu "
		"that had to come\n"
		"  %lu times heartbeats were late\n",
		result->hidden, result->reunions, result->notified, result->must_notify,
		result->starved);
	if (!result->failed)
		return;
	fprintf(stderr, "%s: %s\n", result->property, result->text);
	for (size_t i = 0; i < property_count; i++) {
		if (strcmp(properties[i].name, result->property) == 0)
			fprintf(stderr, "What should hold: %s.\n", properties[i].says);
	}
}

/* All episodes up to the one that failed, as one plan. */
static void write_out(struct plan *plan, const struct result *result)
{
	for (unsigned i = 0; plan->count == 0 || i <= result->episode; i++) {
		if (i > result->episode)
			break;
		plan_add_episode(plan, i);
	}
}

int main(void)
{
	const char *replay = getenv("CHAOS_REPLAY");
	struct result result;
	struct plan plan;

	setvbuf(stderr, NULL, _IOLBF, 0);
	/* Orphans of a run come to us and are reaped below. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	the_result = mmap(NULL, sizeof *the_result, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (the_result == MAP_FAILED)
		return EXIT_FAILURE;
	plan_init(&plan, choose_seed(), (unsigned)number("CHAOS_USERS", 150),
		  number("CHAOS_LAYOUT", -1), number("CHAOS_DIRECTORY", -1));
	if (getenv("CHAOS_FAULTS") != NULL && *getenv("CHAOS_FAULTS") != '\0')
		plan.faults = getenv("CHAOS_FAULTS");
	if (replay != NULL && *replay != '\0' && !read_replay(&plan, replay))
		return 2;
	if (plan.users < 2 || plan.users > USERS_LIMIT) {
		fprintf(stderr, "CHAOS_USERS is 2 to %d\n", USERS_LIMIT);
		return 2;
	}
	fprintf(stderr, "CHAOS_SEED=%llu, layout %d, directory %d\n", (unsigned long long)plan.seed,
		(int)plan.layout, (int)plan.directory);
	run_in_process(&plan, number("CHAOS_SECONDS", 60), &result);
	report(&plan, &result);
	if (result.failed) {
		if (plan.count == 0)
			write_out(&plan, &result);
		shrink(&plan, &result, number("CHAOS_SHRINK", 240), run_in_process);
		save(&plan, &result);
	}
	plan_free(&plan);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return result.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
