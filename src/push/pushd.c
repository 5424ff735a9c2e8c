/*
 * One thread and one loop, which waits in curl_multi_poll() for push services,
 * for Redis and for signals. Redis is asked over two connections: one waits in
 * XREADGROUP (nothing is polled: an idle process wakes up for the tick alone);
 * the other is a blocking one for all short questions, many in a pipeline. A
 * round trip of that one is tens of microseconds, and a Redis that is silent
 * stops the loop for timeout_ms at most, while requests under way only arrive a
 * little later. An asynchronous link would not send more: encryption and HTTP
 * are what costs.
 *
 * Nothing that matters is kept here alone. A notification is an entry of the
 * queue until it is over or waits in push:later, and taken entries belong to
 * this consumer of the group: when it dies, another one claims them.
 */
#include "push/pushd.h"

#include <signal.h>
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
#include "push/task.h"
#include "store/blocking.h"
#include "store/connection.h"
#include "store/push.h"
#include "store/reply.h"

#define TASKS_MAX 128 /* taken at a time: no more than that is sent again after a kill */
#define DUE_MAX 1000 /* made due in one tick */
#define BLOCK_MS 30000 /* how long XREADGROUP waits, ms */
#define LEASE_TICKS 4
#define FAILURES_MAX 3 /* looks at a job that fail before it is thrown out */

struct pushd {
	struct config *config; /* a reload changes its values */
	const char *file; /* its file */
	struct store *store;
	struct mailer *mailer;
	struct notes notes;
	struct tasks tasks;
	struct blocking *redis, *reader;
	char consumer[RANDOM_ID_LEN + 1];
	bool is_reading; /* XREADGROUP is under way */
	bool owns_read; /* what we had taken already was read on this connection */
	int64_t read_ms; /* when it was sent, monotonic */
	int64_t tick_ms; /* when the next tick is due, monotonic */
	bool is_up; /* the last tick was answered: the queue has its group */
	bool said_up, has_said; /* in the log */
	bool is_stopping;
};

struct pushd *pushd_new(struct config *config, const char *file, char *err, size_t errsize)
{
	struct mailer *mailer = connection_check_config(config, err, errsize)
					? mailer_new(config, err, errsize)
					: NULL;
	struct pushd *pushd;

	if (mailer == NULL)
		return NULL;
	pushd = xcalloc(1, sizeof *pushd);
	pushd->config = config;
	pushd->file = file;
	pushd->store = store_new(config, 0, config->redis.prefix);
	pushd->mailer = mailer;
	notes_init(&pushd->notes, pushd->store);
	pushd->tasks = (struct tasks){.mailer = mailer, .notes = &pushd->notes};
	random_id(pushd->consumer);
	pushd->redis = blocking_new(config, 0);
	pushd->reader = blocking_new(config, 0);
	return pushd;
}

void pushd_free(struct pushd *pushd)
{
	mailer_free(pushd->mailer);
	tasks_clear(&pushd->tasks);
	notes_clear(&pushd->notes);
	blocking_free(pushd->redis);
	blocking_free(pushd->reader);
	store_free(pushd->store);
	free(pushd);
}

static void flush(struct pushd *pushd)
{
	if (!notes_flush(&pushd->notes, pushd->redis))
		pushd->is_up = false; /* not again before the next tick */
}

/* How many more may be taken. Claims and what was ours already may have passed the limit. */
static unsigned capacity(const struct pushd *pushd)
{
	return pushd->tasks.count < TASKS_MAX ? TASKS_MAX - pushd->tasks.count : 0;
}

static void add_entries(struct pushd *pushd, const redisReply *entries)
{
	for (size_t i = 0; i < entries->elements; i++) {
		struct push_entry entry;

		if (push_read_entry(entries, i, &entry))
			tasks_add(&pushd->tasks, &entry);
	}
}

/* --- deciding -------------------------------------------------------------------------------- */

/* A task, and what Redis said of it. */
struct looked {
	struct task *task;
	struct push_look *look; /* NULL: it failed */
	bool is_sent;
};

/* Asks Redis about up to `count` tasks in one round trip; false when it did not answer. */
static bool look_at(struct pushd *pushd, struct looked *list, size_t count)
{
	struct printbuf *pipeline = buf_new();
	redisReply **replies = xcalloc(count * PUSH_LOOK_COMMANDS, sizeof *replies);
	bool ok;

	for (size_t i = 0; i < count; i++)
		push_put_look(pipeline, pushd->store, &list[i].task->job);
	ok = blocking_run(pushd->redis, pipeline, count * PUSH_LOOK_COMMANDS, replies);
	for (size_t i = 0; ok && i < count; i++) {
		list[i].look = xcalloc(1, sizeof *list[i].look);
		if (!push_read_look(replies + i * PUSH_LOOK_COMMANDS, &list[i].task->job,
				    list[i].look)) {
			free(list[i].look);
			list[i].look = NULL;
			list[i].task->failures++;
		}
	}
	if (ok)
		blocking_free_replies(replies, count * PUSH_LOOK_COMMANDS);
	free(replies);
	printbuf_free(pipeline);
	return ok;
}

/* The same; where all together fail, each by itself: one user's keys may be spoiled. */
static void look_at_each(struct pushd *pushd, struct looked *list, size_t count)
{
	if (look_at(pushd, list, count))
		return;
	for (size_t i = 0; i < count && blocking_fd(pushd->redis) >= 0; i++) {
		if (!look_at(pushd, &list[i], 1) && blocking_fd(pushd->redis) >= 0)
			list[i].task->failures++;
	}
}

/* Carries out what was decided; true when it is to be sent. */
static bool settle(struct pushd *pushd, struct task *task, const struct push_look *look)
{
	struct decision decision = decide(
		&task->job, look, tasks_now(&pushd->tasks), decide_created_ms(task->entry),
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
	struct printbuf *pipeline = buf_new();
	redisReply **replies = xcalloc(count + 1, sizeof *replies);
	size_t asked = 0, read = 0;
	bool ok = true;

	for (size_t i = 0; i < count; i++) {
		if (!list[i].is_sent || list[i].task->job.counted)
			continue;
		push_put_count(pipeline, pushd->store, &list[i].task->job.user);
		asked++;
	}
	if (asked > 0)
		ok = blocking_run(pushd->redis, pipeline, asked, replies);
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
	printbuf_free(pipeline);
}

/* Decides on all tasks that wait for it. Those that Redis did not answer for wait for the tick. */
static void decide_all(struct pushd *pushd)
{
	struct looked list[TASKS_MAX];
	size_t count = 0;

	for (struct task *task = pushd->tasks.first, *next; task != NULL; task = next) {
		next = task->next;
		if (task->is_broken || task->failures > FAILURES_MAX)
			task_drop(task, OUTCOME_BROKEN);
		else if (!task->is_started && count < TASKS_MAX)
			list[count++] = (struct looked){.task = task};
	}
	if (count == 0 || !pushd->is_up)
		return;
	look_at_each(pushd, list, count);
	for (size_t i = 0; i < count; i++)
		list[i].is_sent = list[i].look != NULL && settle(pushd, list[i].task, list[i].look);
	count_and_send(pushd, list, count);
	for (size_t i = 0; i < count; i++)
		free(list[i].look);
	if (blocking_fd(pushd->redis) < 0)
		pushd->is_up = false;
}

/* --- taking ---------------------------------------------------------------------------------- */

static void start_reading(struct pushd *pushd)
{
	struct printbuf *command;

	if (pushd->is_reading || !pushd->is_up || pushd->is_stopping || capacity(pushd) == 0)
		return;
	if (blocking_fd(pushd->reader) < 0)
		pushd->owns_read = false;
	command = buf_new();
	push_put_take(command, pushd->store, pushd->consumer,
		      pushd->owns_read ? capacity(pushd) : 2 * TASKS_MAX, BLOCK_MS,
		      !pushd->owns_read);
	pushd->is_reading = blocking_send(pushd->reader, command);
	pushd->read_ms = times_mono_ms();
	if (!pushd->is_reading)
		pushd->is_up = false; /* not again before the next tick */
	printbuf_free(command);
}

static void on_read(struct pushd *pushd)
{
	const redisReply *entries;
	redisReply *reply;

	if (!blocking_read(pushd->reader, &reply)) {
		pushd->is_reading = false;
		pushd->is_up = false;
		return;
	}
	if (reply == NULL)
		return;
	pushd->is_reading = false;
	entries = push_read_take(reply);
	if (reply->type == REDIS_REPLY_ERROR) /* NOGROUP: the tick makes it anew */
		pushd->is_up = false;
	else if (entries != NULL)
		add_entries(pushd, entries);
	pushd->owns_read = pushd->owns_read || reply->type != REDIS_REPLY_ERROR;
	reply_free(reply);
}

/* --- the tick -------------------------------------------------------------------------------- */

/* Says once that Redis is there, or why it is not. */
static void say_state(struct pushd *pushd)
{
	if (pushd->is_up == pushd->said_up && pushd->has_said)
		return;
	if (pushd->is_up)
		log_info("Redis: connected");
	else
		log_warn("Redis: %s", blocking_error(pushd->redis));
	pushd->said_up = pushd->is_up;
	pushd->has_said = true;
}

static void tick(struct pushd *pushd)
{
	int64_t sweep_ms = (int64_t)pushd->config->presence.sweep * 1000, now_ms;
	struct printbuf *command = buf_new();
	const redisReply *claimed;
	redisReply *reply;

	push_put_tick(command, pushd->store, pushd->consumer, LEASE_TICKS * sweep_ms, DUE_MAX,
		      capacity(pushd));
	pushd->is_up = blocking_run(pushd->redis, command, 1, &reply);
	if (pushd->is_up) {
		if (push_read_tick(reply, &now_ms, &claimed)) {
			pushd->tasks.clock_ms = now_ms - times_mono_ms();
			add_entries(pushd, claimed);
		}
		blocking_free_replies(&reply, 1);
	}
	say_state(pushd);
	printbuf_free(command);
	pushd->tick_ms = times_mono_ms() + times_to_grid_ms(times_mono_ms(), sweep_ms);
}

/* A connection on which XREADGROUP is overdue is dead. */
static void check_reader(struct pushd *pushd)
{
	if (!pushd->is_reading || times_mono_ms() - pushd->read_ms < (int64_t)2 * BLOCK_MS)
		return;
	blocking_free(pushd->reader);
	pushd->reader = blocking_new(pushd->config, 0);
	pushd->is_reading = false;
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

static void wait_for_something(struct pushd *pushd, int signal_fd)
{
	struct curl_waitfd extra[2] = {
		{.fd = blocking_fd(pushd->reader), .events = CURL_WAIT_POLLIN},
		{.fd = signal_fd, .events = CURL_WAIT_POLLIN},
	};
	bool reads = pushd->is_reading, listens = !pushd->is_stopping;

	/* The first is left out where nothing is read, the second once it is to stop. */
	sender_wait(mailer_sender(pushd->mailer), reads ? extra : extra + 1,
		    (unsigned)reads + listens, pushd->tick_ms - times_mono_ms());
	if (listens && extra[1].revents != 0)
		on_signal(pushd, signal_fd);
	if (reads && extra[0].revents != 0)
		on_read(pushd);
}

/* What is not under way goes back with the lease, which ends here. */
static void leave(struct pushd *pushd)
{
	redisReply *reply;
	struct printbuf *command = buf_new();

	flush(pushd);
	push_put_leave(command, pushd->store, pushd->consumer);
	if (blocking_run(pushd->redis, command, 1, &reply))
		blocking_free_replies(&reply, 1);
	printbuf_free(command);
}

void pushd_run(struct pushd *pushd, int signal_fd)
{
	/* When stopping, no request lasts longer than timeout_ms. */
	while (!pushd->is_stopping || tasks_are_under_way(&pushd->tasks)) {
		if (times_mono_ms() >= pushd->tick_ms) {
			check_reader(pushd);
			tick(pushd);
		}
		if (!pushd->is_stopping)
			decide_all(pushd);
		sender_run(mailer_sender(pushd->mailer));
		if (pushd->is_up)
			flush(pushd);
		start_reading(pushd);
		wait_for_something(pushd, signal_fd);
	}
	leave(pushd);
}
