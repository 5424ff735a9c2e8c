/*
 * One thread and one loop, which waits in curl_multi_poll() for push services,
 * for Redis and for signals. A server of Redis is asked over two connections: one
 * waits in XREADGROUP for all its queues (nothing is polled: an idle process wakes
 * up for the tick alone); the other is a blocking one for all short questions,
 * many in a pipeline. A round trip of that one is tens of microseconds, and a
 * Redis that is silent stops the loop for timeout_ms at most, while requests under
 * way only arrive a little later. An asynchronous link would not send more:
 * encryption and HTTP are what costs.
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
#include "push/mailer.h"
#include "push/notes.h"
#include "push/source.h"
#include "push/task.h"
#include "store/connection.h"
#include "store/figures.h"
#include "store/nodes.h"
#include "store/partitions.h"
#include "store/push.h"

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
	struct figures *figures;
	struct source *sources; /* by server */
	unsigned source_count;
	struct curl_waitfd *fds; /* what is waited for: for each source, and signals */
	char consumer[RANDOM_ID_LEN + 1];
	int64_t tick_ms; /* when the next tick is due, monotonic */
	bool is_stopping;
};

/* What needs the servers, once they are found to be those of the configuration. */
static void open_sources(struct pushd *pushd)
{
	pushd->partitions = partitions_new(pushd->config);
	notes_init(&pushd->notes, pushd->nodes, pushd->partitions);
	tasks_init(&pushd->tasks, pushd->mailer, &pushd->notes);
	pushd->source_count = nodes_count(pushd->nodes);
	pushd->sources = xcalloc(pushd->source_count, sizeof *pushd->sources);
	pushd->fds = xcalloc(pushd->source_count + 1, sizeof *pushd->fds);
	for (unsigned i = 0; i < pushd->source_count; i++)
		source_open(&pushd->sources[i], pushd->config, pushd->nodes, pushd->partitions, i,
			    pushd->consumer);
}

/* A queue is waited for on one connection with others: in a cluster each may go elsewhere. */
static bool is_cluster(const struct config *config)
{
	return strncmp(config->redis.url, "cluster", 7) == 0;
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
	if (is_cluster(config)) {
		snprintf(err, errsize, "redis.url: this version's presence-pushd takes no cluster");
		mailer_free(mailer);
		return NULL;
	}
	nodes = nodes_new(config);
	if (!nodes_check(nodes, err, errsize)) {
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
	open_sources(pushd);
	return pushd;
}

void pushd_free(struct pushd *pushd)
{
	mailer_free(pushd->mailer);
	tasks_clear(&pushd->tasks);
	notes_clear(&pushd->notes);
	for (unsigned i = 0; i < pushd->source_count; i++)
		source_close(&pushd->sources[i]);
	figures_free(pushd->figures);
	free(pushd->sources);
	free(pushd->fds);
	nodes_free(pushd->nodes);
	partitions_free(pushd->partitions);
	free(pushd);
}

static struct source *source_of(const struct pushd *pushd, const struct store *store)
{
	return &pushd->sources[nodes_number_of(pushd->nodes, store)];
}

static void flush(struct pushd *pushd, struct source *source)
{
	if (!notes_flush(&pushd->notes, source->number))
		source->is_up = false; /* not again before the next tick */
}

/*
 * How many more may be taken. Claims and what was ours already may have passed the
 * limit. Those of servers that are away wait and count for nothing.
 */
static unsigned capacity(const struct pushd *pushd)
{
	unsigned count = 0;

	for (const struct task *task = pushd->tasks.first; task != NULL; task = task->next)
		count += task->is_started || source_of(pushd, task->store)->is_up;
	return count < TASKS_MAX ? TASKS_MAX - count : 0;
}

/* The share of one partition on that server, at least 1. */
static unsigned share(const struct source *source, unsigned count)
{
	return count > source->count ? count / source->count : 1;
}

/* --- deciding -------------------------------------------------------------------------------- */

/* A task, and what Redis said of it. */
struct looked {
	struct task *task;
	struct push_look *look; /* NULL: it failed */
	bool is_sent;
	bool has_friend; /* who was asked about apart, in another partition */
};

static unsigned put_look(struct pushd *pushd, struct looked *looked)
{
	const struct push_job *job = &looked->task->job;
	const struct store *store = partitions_of(pushd->partitions, &job->user);
	const struct store *other =
		job->is_online ? partitions_of(pushd->partitions, &job->friend) : store;
	unsigned count;

	looked->has_friend = other != store;
	count = push_put_look(nodes_to(pushd->nodes, store), store, job,
			      job->is_online && !looked->has_friend);
	if (looked->has_friend)
		count += push_put_look_friend(nodes_to(pushd->nodes, other), other, job);
	return count;
}

/* Returns how many replies it was. */
static size_t read_look(struct looked *looked, redisReply *const *replies)
{
	size_t own = PUSH_LOOK_COMMANDS - 1;

	looked->look = xcalloc(1, sizeof *looked->look);
	if (!push_read_look(replies, looked->has_friend ? replies[own] : NULL, &looked->task->job,
			    looked->look)) {
		free(looked->look);
		looked->look = NULL;
		looked->task->failures++;
	}
	return own + looked->has_friend;
}

/* Asks Redis about up to `count` tasks in one round trip; false when it did not answer. */
static bool look_at(struct pushd *pushd, struct looked *list, size_t count)
{
	redisReply **replies = xcalloc(count * PUSH_LOOK_COMMANDS, sizeof *replies);
	size_t asked = 0, read = 0;
	bool ok;

	nodes_begin(pushd->nodes);
	for (size_t i = 0; i < count; i++)
		asked += put_look(pushd, &list[i]);
	ok = nodes_run(pushd->nodes, asked, replies);
	for (size_t i = 0; ok && i < count; i++)
		read += read_look(&list[i], replies + read);
	if (ok)
		blocking_free_replies(replies, asked);
	free(replies);
	return ok;
}

static bool is_connected(struct pushd *pushd, const struct userid *user)
{
	return blocking_fd(nodes_of(pushd->nodes, partitions_of(pushd->partitions, user))) >= 0;
}

/* One that failed alone: something is wrong with it, or a server that it needs is away. */
static void note_failure(struct pushd *pushd, struct task *task)
{
	if (blocking_fd(nodes_of(pushd->nodes, task->store)) < 0)
		return; /* its own: it waits for the tick */
	if (is_connected(pushd, &task->job.user) &&
	    (!task->job.is_online || is_connected(pushd, &task->job.friend)))
		task->failures++;
	else
		task_later(task, AWAY_MS);
}

/* The same; where all together fail, each by itself: one user's keys may be spoiled. */
static void look_at_each(struct pushd *pushd, struct looked *list, size_t count)
{
	if (look_at(pushd, list, count))
		return;
	for (size_t i = 0; i < count; i++) {
		if (blocking_fd(nodes_of(pushd->nodes, list[i].task->store)) >= 0 &&
		    !look_at(pushd, &list[i], 1))
			note_failure(pushd, list[i].task);
	}
}

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

/* Counts those that are to be sent, once each; who got enough in this hour gets no more. */
static void count_and_send(struct pushd *pushd, struct looked *list, size_t count)
{
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	size_t asked = 0, read = 0;
	bool ok = true;

	nodes_begin(pushd->nodes);
	for (size_t i = 0; i < count; i++) {
		const struct userid *user;
		const struct store *store;

		if (!list[i].is_sent || list[i].task->job.counted)
			continue;
		user = &list[i].task->job.user;
		store = partitions_of(pushd->partitions, user);
		push_put_count(nodes_to(pushd->nodes, store), store, user);
		asked++;
	}
	if (asked > 0)
		ok = nodes_run(pushd->nodes, asked, replies);
	for (size_t i = 0; ok && i < count; i++) {
		struct task *task = list[i].task;

		if (!list[i].is_sent)
			continue;
		if (!task->job.counted && replies[read++]->integer != 1) {
			task_drop(task, OUTCOME_LIMITED);
			continue;
		}
		task->job.counted = true;
		task_send(task, list[i].look);
	}
	if (ok)
		blocking_free_replies(replies, asked);
	free(replies);
}

/* Their queues' servers did not answer: their tasks wait for the tick. */
static void note_away(struct pushd *pushd)
{
	for (unsigned i = 0; i < pushd->source_count; i++)
		if (blocking_fd(pushd->sources[i].redis) < 0)
			pushd->sources[i].is_up = false;
}

/* Those that wait for a decision, at most TASKS_MAX; drops what leads to none. */
static size_t list_waiting(struct pushd *pushd, struct looked *list)
{
	size_t count = 0;

	for (struct task *task = pushd->tasks.first, *next; task != NULL; task = next) {
		next = task->next;
		if (task->is_broken || task->failures > FAILURES_MAX)
			task_drop(task, OUTCOME_BROKEN);
		else if (!task->is_started && source_of(pushd, task->store)->is_up &&
			 count < TASKS_MAX)
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
	look_at_each(pushd, list, count);
	for (size_t i = 0; i < count; i++)
		list[i].is_sent = list[i].look != NULL && settle(pushd, list[i].task, list[i].look);
	count_and_send(pushd, list, count);
	for (size_t i = 0; i < count; i++)
		free(list[i].look);
	note_away(pushd);
}

/* --- figures --------------------------------------------------------------------------------- */

static void gather(struct pushd *pushd)
{
	char server[12];

	for (unsigned i = 0; i < pushd->source_count; i++) {
		snprintf(server, sizeof server, "%u", i);
		*figures_at(pushd->figures, FIGURE_REDIS_UP, server, NULL) =
			pushd->sources[i].is_up;
	}
	*figures_at(pushd->figures, FIGURE_BUILD, PACKAGE_VERSION, NULL) = 1;
	*figures_at(pushd->figures, FIGURE_PUSH_UNDER_WAY, NULL, NULL) = tasks_count(&pushd->tasks);
}

/* Tells Redis, for that many ms; 0: the process ends. What became of notifications notes.c tells. */
static void tell(struct pushd *pushd, int64_t ttl_ms)
{
	const struct store *first = partitions_at(pushd->partitions, 0);
	redisReply *reply;
	bool ok;

	if (!source_of(pushd, first)->is_up)
		return;
	gather(pushd);
	nodes_begin(pushd->nodes);
	figures_put(nodes_to(pushd->nodes, first), first, pushd->figures, ttl_ms);
	ok = nodes_run(pushd->nodes, 1, &reply);
	figures_read(pushd->figures, ok ? reply : NULL);
	if (ok)
		blocking_free_replies(&reply, 1);
}

/* --- taking ---------------------------------------------------------------------------------- */

static void tick(struct pushd *pushd)
{
	int64_t sweep_ms = (int64_t)pushd->config->presence.sweep * 1000;

	for (unsigned i = 0; i < pushd->source_count; i++)
		source_tick(&pushd->sources[i], &pushd->tasks,
			    share(&pushd->sources[i], capacity(pushd)));
	tell(pushd, 3 * sweep_ms);
	pushd->tick_ms = times_mono_ms() + times_to_grid_ms(times_mono_ms(), sweep_ms);
}

static void read_more(struct pushd *pushd)
{
	unsigned left = capacity(pushd);

	if (pushd->is_stopping || left == 0)
		return;
	for (unsigned i = 0; i < pushd->source_count; i++) {
		struct source *source = &pushd->sources[i];

		/* What was taken before a disconnection: all of it. */
		source_read(source, source->owns_read ? share(source, left) : 2 * TASKS_MAX);
	}
}

/* --- signals --------------------------------------------------------------------------------- */

/* SIGHUP: reads the file again; what is wrong with it is logged and changes nothing. */
static void reload(struct pushd *pushd)
{
	/* What connections and keys' names stand on. */
	static const char *const fixed[] = {"redis.", NULL};
	char err[1024];
	struct config *fresh = config_load(pushd->file, err, sizeof err);

	if (fresh == NULL || !mailer_reload(pushd->mailer, fresh, err, sizeof err)) {
		log_error("%s; the old configuration stays", err);
		config_free(fresh);
		return;
	}
	config_reload(pushd->config, fresh, fixed);
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

/* Nothing is waited for on an fd of -1. */
static void wait_for_something(struct pushd *pushd, int signal_fd)
{
	struct curl_waitfd *fds = pushd->fds, *signals = &fds[pushd->source_count];

	for (unsigned i = 0; i < pushd->source_count; i++)
		fds[i] = (struct curl_waitfd){.fd = source_fd(&pushd->sources[i]),
					      .events = CURL_WAIT_POLLIN};
	*signals = (struct curl_waitfd){.fd = pushd->is_stopping ? -1 : signal_fd,
					.events = CURL_WAIT_POLLIN};
	sender_wait(mailer_sender(pushd->mailer), fds, pushd->source_count + 1,
		    pushd->tick_ms - times_mono_ms());
	if (signals->revents != 0)
		on_signal(pushd, signal_fd);
	for (unsigned i = 0; i < pushd->source_count; i++)
		if (fds[i].revents != 0)
			source_on_readable(&pushd->sources[i], &pushd->tasks);
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
		for (unsigned i = 0; i < pushd->source_count; i++)
			if (pushd->sources[i].is_up)
				flush(pushd, &pushd->sources[i]);
		read_more(pushd);
		wait_for_something(pushd, signal_fd);
	}
	tell(pushd, 0);
	/* What is not under way goes back with the leases, which end here. */
	for (unsigned i = 0; i < pushd->source_count; i++) {
		flush(pushd, &pushd->sources[i]);
		source_leave(&pushd->sources[i]);
	}
}
