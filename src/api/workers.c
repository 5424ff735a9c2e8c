#include "api/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"

#define STOP_LIMIT 10000 /* ms that a worker has for the request it serves */
#define FAST_DEATH 5000 /* ms; a worker that fails sooner is not worth a restart at once */
#define PAUSE_MIN 100 /* ms before such a restart, doubled each time */
#define PAUSE_MAX 10000 /* ms */
#define NEVER INT64_MAX

/* Times are in ms of the monotonic clock. */
struct slot {
	pid_t pid; /* 0: empty */
	unsigned generation; /* of the configuration it runs with */
	int64_t started;
	int64_t start_at; /* when an empty slot is to be filled */
	int64_t kill_at; /* NEVER until it was told to end */
	int64_t pause; /* the last one before a restart, 0 = none */
};

struct workers {
	const struct config *config; /* in use: the one given at the start, or `loaded` */
	struct config *loaded; /* the latest that was read again, or NULL */
	const char *file;
	worker_main *check, *serve;
	sigset_t signals; /* those that the parent waits for */
	sigset_t old_mask;
	unsigned generation;
	bool stopping;
	struct slot *slots;
	size_t count; /* slots; those from `wanted` on are being emptied */
	size_t wanted;
};

/* Forks a process that runs `run` and ends with the parent; returns its pid, or -1. */
static pid_t spawn(const struct config *config, const sigset_t *mask, worker_main *run)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		exit(0);
	sigprocmask(SIG_SETMASK, mask, NULL);
	exit(run(config));
}

static pid_t wait_for(pid_t pid, int *status, int flags)
{
	pid_t ended;

	do
		ended = waitpid(pid, status, flags);
	while (ended < 0 && errno == EINTR);
	return ended;
}

int workers_check(const struct config *config, worker_main *check)
{
	sigset_t mask;
	pid_t pid;
	int status;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	pid = spawn(config, &mask, check);
	if (pid < 0 || wait_for(pid, &status, 0) != pid || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

/* --- one worker ------------------------------------------------------------------------------ */

static void start_worker(struct workers *workers, struct slot *slot, int64_t now)
{
	pid_t pid = spawn(workers->config, &workers->old_mask, workers->serve);

	if (pid < 0) {
		log_error("cannot start a worker: %s", strerror(errno));
		slot->start_at = now + PAUSE_MAX;
		return;
	}
	slot->pid = pid;
	slot->generation = workers->generation;
	slot->started = now;
	slot->kill_at = NEVER;
}

static void stop_worker(struct slot *slot, int64_t now)
{
	kill(slot->pid, SIGTERM);
	slot->kill_at = now + STOP_LIMIT;
}

/* A worker ended: decides when its slot is filled again. */
static void on_worker_end(struct slot *slot, int status, int64_t now)
{
	bool failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;

	if (WIFSIGNALED(status))
		log_error("worker %d was ended by signal %d", (int)slot->pid, WTERMSIG(status));
	else if (failed)
		log_error("worker %d failed with status %d", (int)slot->pid, WEXITSTATUS(status));
	if (!failed || slot->kill_at != NEVER || now - slot->started > FAST_DEATH)
		slot->pause = 0;
	else
		slot->pause = slot->pause > 0 ? 2 * slot->pause : PAUSE_MIN;
	if (slot->pause > PAUSE_MAX)
		slot->pause = PAUSE_MAX;
	slot->pid = 0;
	slot->start_at = now + slot->pause;
}

static void reap(struct workers *workers, int64_t now)
{
	int status;
	pid_t pid;

	while ((pid = wait_for(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < workers->count; i++) {
			if (workers->slots[i].pid == pid)
				on_worker_end(&workers->slots[i], status, now);
		}
	}
}

/* --- all of them ----------------------------------------------------------------------------- */

static void resize(struct workers *workers)
{
	int children = workers->config->api.children;
	size_t wanted = children > 0 ? (size_t)children : 1;

	if (wanted > workers->count) {
		workers->slots = xrealloc(workers->slots, wanted * sizeof *workers->slots);
		memset(workers->slots + workers->count, 0,
		       (wanted - workers->count) * sizeof *workers->slots);
		workers->count = wanted;
	}
	workers->wanted = wanted;
}

static void start_due(struct workers *workers, int64_t now)
{
	for (size_t i = 0; i < workers->wanted; i++) {
		struct slot *slot = &workers->slots[i];

		if (slot->pid == 0 && slot->start_at <= now)
			start_worker(workers, slot, now);
	}
}

/* Ends one worker of an old configuration, or too many, unless one is missing already. */
static void retire_one(struct workers *workers, int64_t now)
{
	struct slot *old = NULL;

	for (size_t i = 0; i < workers->count; i++) {
		struct slot *slot = &workers->slots[i];

		if (slot->pid == 0 && i >= workers->wanted)
			continue;
		if (slot->pid == 0 || slot->kill_at != NEVER)
			return;
		if (i >= workers->wanted || slot->generation != workers->generation)
			old = slot;
	}
	if (old != NULL)
		stop_worker(old, now);
}

static void stop_all(struct workers *workers, int64_t now)
{
	workers->stopping = true;
	for (size_t i = 0; i < workers->count; i++) {
		if (workers->slots[i].pid != 0 && workers->slots[i].kill_at == NEVER)
			stop_worker(&workers->slots[i], now);
	}
}

/* Kills those that did not end in time; returns how many there still are. */
static size_t kill_overdue(struct workers *workers, int64_t now)
{
	size_t running = 0;

	for (size_t i = 0; i < workers->count; i++) {
		struct slot *slot = &workers->slots[i];

		if (slot->pid == 0)
			continue;
		running++;
		if (slot->kill_at <= now) {
			log_error("worker %d does not end: killing it", (int)slot->pid);
			kill(slot->pid, SIGKILL);
			slot->kill_at = now + STOP_LIMIT;
		}
	}
	return running;
}

/* When there is next something to do that no signal tells. */
static int64_t next_deadline(const struct workers *workers)
{
	int64_t next = NEVER;

	for (size_t i = 0; i < workers->count; i++) {
		const struct slot *slot = &workers->slots[i];
		int64_t due = slot->pid != 0 ? slot->kill_at : slot->start_at;

		if (slot->pid == 0 && (workers->stopping || i >= workers->wanted))
			continue;
		if (due < next)
			next = due;
	}
	return next;
}

static void reload(struct workers *workers)
{
	char err[512];
	struct config *config = config_load(workers->file, err, sizeof err);

	if (config == NULL) {
		log_error("%s; the old configuration stays", err);
		return;
	}
	if (workers_check(config, workers->check) != 0) {
		log_error("the new configuration does not work; the old one stays");
		config_free(config);
		return;
	}
	if (strcmp(config->api.listen, workers->config->api.listen) != 0)
		log_warn("api.listen changed: that takes a restart");
	config_free(workers->loaded);
	workers->config = workers->loaded = config;
	workers->generation++;
	log_setup("presence-api", (enum log_level)config->log.level, config->log.target == 1);
	log_info("configuration read again, replacing the workers");
	resize(workers);
}

static void wait_for_signal(struct workers *workers, int64_t now)
{
	int64_t next = next_deadline(workers), wait = next > now ? next - now : 0;
	struct timespec limit = {.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000};
	int signo = next == NEVER ? sigwaitinfo(&workers->signals, NULL)
				  : sigtimedwait(&workers->signals, NULL, &limit);

	if (signo == SIGTERM || signo == SIGINT)
		stop_all(workers, times_mono_ms());
	else if (signo == SIGHUP && !workers->stopping)
		reload(workers);
}

static void on_child(int signo)
{
	(void)signo;
}

static void block_signals(struct workers *workers)
{
	struct sigaction child = {.sa_handler = on_child};

	/* Whoever started us may have left SIGCHLD ignored: then nobody could be waited for. */
	sigaction(SIGCHLD, &child, NULL);
	sigemptyset(&workers->signals);
	sigaddset(&workers->signals, SIGTERM);
	sigaddset(&workers->signals, SIGINT);
	sigaddset(&workers->signals, SIGHUP);
	sigaddset(&workers->signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &workers->signals, &workers->old_mask);
}

int workers_run(const struct config *config, const char *file, worker_main *check,
		worker_main *serve)
{
	struct workers workers = {.config = config, .file = file, .check = check, .serve = serve};

	block_signals(&workers);
	resize(&workers);
	log_info("keeping %zu workers", workers.wanted);
	for (;;) {
		int64_t now = times_mono_ms();

		reap(&workers, now);
		if (kill_overdue(&workers, now) == 0 && workers.stopping)
			break;
		if (!workers.stopping) {
			start_due(&workers, now);
			retire_one(&workers, now);
		}
		wait_for_signal(&workers, now);
	}
	free(workers.slots);
	config_free(workers.loaded);
	return 0;
}
