/*
 * One thread and one loop, which waits in curl_multi_poll() for push services,
 * for Redis and for signals. Redis is asked over the connections of nodes.h, which
 * are blocking ones, for all short questions, many in a pipeline and all servers at the
 * same time. A round trip is tens of microseconds, and a Redis that is silent stops
 * the loop for timeout_ms at most, while requests under way only arrive a little
 * later. An asynchronous link would not send more: encryption and HTTP are what
 * costs. Where Redis is no cluster, one more connection to each server waits in
 * XREADGROUP for all its queues: nothing is polled, and an idle process wakes up for
 * the tick alone.
 *
 * What fails fails for its partition alone, which is then left in peace until the
 * next tick.
 *
 * Nothing that matters is kept here alone. A notification is an entry of the
 * queue until it is over or waits in push:later, and taken entries belong to
 * this consumer of the group: when it dies, another one claims them.
 */
#include "push/pushd.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "base/times.h"
#include "push/decide.h"
#include "push/looks.h"
#include "push/mailer.h"
#include "push/notes.h"
#include "push/queues.h"
#include "push/task.h"
#include "push/waiter.h"
#include "store/connection.h"
#include "store/figures.h"
#include "store/kin.h"
#include "store/nodes.h"
#include "store/partitions.h"
#include "store/push.h"
#include "store/reply.h"

#define TASKS_MAX 128 /* taken at a time: no more than that is sent again after a kill */
#define FAILURES_MAX 3 /* looks at a job that fail before it is thrown out */
#define AWAY_MS 1000 /* until one is looked at again whose user's server is away */

struct pushd {
	struct config *config; /* a reload changes its values */
	const char *file; /* its file */
	struct partitions *partitions;
	struct nodes *nodes;
	struct mailer *mailer;
	struct notes notes;
	struct tasks tasks;
	struct queues queues;
	struct figures *figures;
	struct waiter *waiters; /* by server; none in a cluster */
	unsigned waiter_count;
	struct curl_waitfd *fds; /* what is waited for: for each waiter, and signals */
	char consumer[RANDOM_ID_LEN + 1];
	int64_t tick_ms; /* when the next tick is due, monotonic */
	bool is_stopping;
};

/* What needs the servers, once they are found to be those of the configuration. */
static void open_queues(struct pushd *pushd)
{
	pushd->partitions = partitions_new(pushd->config);
	notes_init(&pushd->notes, pushd->nodes, pushd->partitions);
	tasks_init(&pushd->tasks, pushd->mailer, &pushd->notes);
	queues_init(&pushd->queues, pushd->config, pushd->nodes, pushd->partitions, &pushd->tasks,
		    pushd->consumer);
	if (!nodes_are_cluster(pushd->nodes))
		pushd->waiter_count = nodes_count(pushd->nodes);
	pushd->waiters = xcalloc(pushd->waiter_count + 1, sizeof *pushd->waiters);
	pushd->fds = xcalloc(pushd->waiter_count + 1, sizeof *pushd->fds);
	for (unsigned i = 0; i < pushd->waiter_count; i++)
		waiter_open(&pushd->waiters[i], &pushd->queues, i);
}

struct pushd *pushd_new(struct config *config, const char *file, char *err, size_t errsize)
{
	struct mailer *mailer = connection_check_config(config, err, errsize)
					? mailer_new(config, err, errsize)
					: NULL;
	struct nodes *nodes;
	struct pushd *pushd;

	if (mailer == NULL)
		return NULL;
	nodes = nodes_new(config);
	if (!kin_check(config, err, errsize) || !nodes_check(nodes, err, errsize)) {
		nodes_free(nodes);
		mailer_free(mailer);
		return NULL;
	}
	pushd = xcalloc(1, sizeof *pushd);
	pushd->config = config;
	pushd->file = file;
	pushd->mailer = mailer;
	pushd->nodes = nodes;
	pushd->figures = figures_new("pushd");
	random_id(pushd->consumer);
	open_queues(pushd);
	return pushd;
}

void pushd_free(struct pushd *pushd)
{
	mailer_free(pushd->mailer);
	tasks_clear(&pushd->tasks);
	notes_clear(&pushd->notes);
	for (unsigned i = 0; i < pushd->waiter_count; i++)
		waiter_close(&pushd->waiters[i]);
	queues_clear(&pushd->queues);
	figures_free(pushd->figures);
	free(pushd->waiters);
	free(pushd->fds);
	nodes_free(pushd->nodes);
	partitions_free(pushd->partitions);
	free(pushd);
}

static bool is_up(const struct pushd *pushd, const struct store *store)
{
	return pushd->queues.is_up[store_partition(store)];
}

/*
 * How many more may be taken. Claims and what was ours already may have passed the
 * limit. Those of queues that are away wait and count for nothing.
 */
static unsigned capacity(const struct pushd *pushd)
{
	unsigned count = 0;

	for (const struct task *task = pushd->tasks.first; task != NULL; task = task->next)
		count += task->is_started || is_up(pushd, task->store);
	return count < TASKS_MAX ? TASKS_MAX - count : 0;
}

/* The share of one of so many, at least 1. */
static unsigned share(unsigned all, unsigned count)
{
	return all > count ? all / count : 1;
}

/* --- deciding -------------------------------------------------------------------------------- */

/* Carries out what was decided; true when it is to be sent. */
static bool settle(struct pushd *pushd, struct task *task, const struct push_look *look)
{
	struct decision decision = decide(
		&task->job, look, task_now(task), decide_created_ms(task->entry),
		(int64_t)pushd->config->presence.grace * 1000, mailer_has_webhook(pushd->mailer));

	switch (decision.kind) {
	case DECIDE_SEND:
		return true;
	case DECIDE_LATER:
		task_later(task, decision.wait_ms);
		return false;
	case DECIDE_WAIT_AGAIN:
		task_wait_again(task);
		return false;
	default:
		task_drop(task, decision.outcome);
		return false;
	}
}

/* Those that wait for a decision, at most TASKS_MAX; drops what leads to none. */
static size_t list_waiting(struct pushd *pushd, struct looked *list)
{
	int64_t now_ms = times_mono_ms();
	size_t count = 0;

	for (struct task *task = pushd->tasks.first, *next; task != NULL; task = next) {
		next = task->next;
		if (task->is_broken || task->failures > FAILURES_MAX)
			task_drop(task, OUTCOME_BROKEN);
		else if (!task->is_started && task->retry_ms <= now_ms &&
			 is_up(pushd, task->store) && count < TASKS_MAX)
			list[count++] = (struct looked){.task = task};
	}
	return count;
}

/* Decides on all tasks that wait for it. */
static void decide_all(struct pushd *pushd)
{
	struct looked list[TASKS_MAX];
	size_t count = list_waiting(pushd, list);

	if (count == 0)
		return;
	looks_ask(&pushd->queues, list, count, pushd->tick_ms);
	for (size_t i = 0; i < count; i++) {
		if (list[i].look != NULL)
			list[i].is_sent = settle(pushd, list[i].task, list[i].look);
		else if (list[i].is_away && is_up(pushd, list[i].task->store))
			task_later(list[i].task, AWAY_MS); /* its own queue is there */
	}
	looks_count(&pushd->queues, list, count, pushd->tick_ms);
	for (size_t i = 0; i < count; i++) {
		if (list[i].is_sent)
			task_send(list[i].task, list[i].look);
		free(list[i].look);
	}
}

/* --- figures --------------------------------------------------------------------------------- */

/* Whether a server has partitions, and all of them are up. */
static bool is_server_up(const struct pushd *pushd, unsigned server)
{
	bool has_some = false;

	for (unsigned i = 0; i < partitions_count(pushd->partitions); i++) {
		const struct store *store = partitions_at(pushd->partitions, i);

		if (nodes_number_of(pushd->nodes, store) != server)
			continue;
		if (!is_up(pushd, store))
			return false;
		has_some = true;
	}
	return has_some;
}

static void gather(struct pushd *pushd)
{
	char server[12];

	for (unsigned i = 0; i < nodes_count(pushd->nodes); i++) {
		snprintf(server, sizeof server, "%u", i);
		*figures_at(pushd->figures, FIGURE_REDIS_UP, server, NULL) = is_server_up(pushd, i);
	}
	*figures_at(pushd->figures, FIGURE_BUILD, PACKAGE_VERSION, NULL) = 1;
	*figures_at(pushd->figures, FIGURE_PUSH_UNDER_WAY, NULL, NULL) = tasks_count(&pushd->tasks);
}

/* Tells Redis, for that many ms; 0: the process ends. What became of notifications notes.c tells. */
static void tell(struct pushd *pushd, int64_t ttl_ms)
{
	const struct store *first = partitions_at(pushd->partitions, 0);
	redisReply *reply;

	if (!is_up(pushd, first))
		return;
	gather(pushd);
	nodes_begin(pushd->nodes);
	figures_put(nodes_to(pushd->nodes, first), first, pushd->figures, ttl_ms);
	nodes_run_each(pushd->nodes, 1, &reply);
	figures_read(pushd->figures,
		     reply != NULL && reply->type != REDIS_REPLY_ERROR ? reply : NULL);
	reply_free(reply);
}

/* --- taking ---------------------------------------------------------------------------------- */

static void tick(struct pushd *pushd)
{
	int64_t sweep_ms = (int64_t)pushd->config->presence.sweep * 1000;

	for (unsigned i = 0; i < pushd->waiter_count; i++)
		waiter_tick(&pushd->waiters[i]);
	queues_tick(&pushd->queues, share(capacity(pushd), partitions_count(pushd->partitions)));
	tell(pushd, 3 * sweep_ms);
	pushd->tick_ms = times_mono_ms() + times_to_grid_ms(times_mono_ms(), sweep_ms);
}

/* Returns whether there is something to go on with at once. */
static bool read_more(struct pushd *pushd)
{
	unsigned left = capacity(pushd);

	if (pushd->is_stopping || left == 0)
		return false;
	if (nodes_are_cluster(pushd->nodes))
		return queues_take(&pushd->queues, left);
	for (unsigned i = 0; i < pushd->waiter_count; i++)
		waiter_read(&pushd->waiters[i], left);
	return false;
}

/* --- signals --------------------------------------------------------------------------------- */

/* SIGHUP: reads the file again; what is wrong with it is logged and changes nothing. */
static void reload(struct pushd *pushd)
{
	static const char *const fixed[] = {CONFIG_FIXED_REDIS, NULL};
	char err[1024];
	struct config *fresh = config_load(pushd->file, err, sizeof err);

	if (fresh == NULL || !connection_check_config(fresh, err, sizeof err) ||
	    !mailer_reload(pushd->mailer, fresh, err, sizeof err)) {
		log_error("%s; the old configuration stays", err);
		config_free(fresh);
		return;
	}
	config_reload(pushd->config, fresh, fixed);
	nodes_take_login(pushd->nodes);
	for (unsigned i = 0; i < pushd->waiter_count; i++)
		blocking_take_login(pushd->waiters[i].link);
	log_setup("presence-pushd", (enum log_level)pushd->config->log.level,
		  pushd->config->log.target == 1);
	log_info("configuration read again");
}

static void on_signal(struct pushd *pushd, int signal_fd)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
		return;
	if (info.ssi_signo == SIGHUP) {
		reload(pushd);
	} else {
		pushd->is_stopping = true;
		log_info("stopping");
	}
}

/* --- the loop -------------------------------------------------------------------------------- */

/* At most so long. Nothing is waited for on an fd of -1. */
static void wait_for_something(struct pushd *pushd, int signal_fd, int64_t ms)
{
	struct curl_waitfd *fds = pushd->fds, *signals = &fds[pushd->waiter_count];

	for (unsigned i = 0; i < pushd->waiter_count; i++)
		fds[i] = (struct curl_waitfd){.fd = waiter_fd(&pushd->waiters[i]),
					      .events = CURL_WAIT_POLLIN};
	*signals = (struct curl_waitfd){.fd = pushd->is_stopping ? -1 : signal_fd,
					.events = CURL_WAIT_POLLIN};
	sender_wait(mailer_sender(pushd->mailer), fds, pushd->waiter_count + 1, ms);
	if (signals->revents != 0)
		on_signal(pushd, signal_fd);
	for (unsigned i = 0; i < pushd->waiter_count; i++)
		if (fds[i].revents != 0)
			waiter_on_readable(&pushd->waiters[i]);
}

void pushd_run(struct pushd *pushd, int signal_fd)
{
	/* When stopping, no request lasts longer than timeout_ms. */
	while (!pushd->is_stopping || tasks_are_under_way(&pushd->tasks)) {
		if (times_mono_ms() >= pushd->tick_ms)
			tick(pushd);
		if (!pushd->is_stopping)
			decide_all(pushd);
		sender_run(mailer_sender(pushd->mailer));
		notes_flush(&pushd->notes, pushd->queues.is_up);
		wait_for_something(pushd, signal_fd,
				   read_more(pushd) ? 0 : pushd->tick_ms - times_mono_ms());
	}
	tell(pushd, 0);
	/* What is not under way goes back with the leases, which end here. Once more also where something failed. */
	memset(pushd->queues.is_up, true, partitions_count(pushd->partitions));
	notes_flush(&pushd->notes, pushd->queues.is_up);
	queues_leave(&pushd->queues);
}
