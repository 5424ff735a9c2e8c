#include "push/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "base/times.h"
#include "push/payload.h"
#include "push/webhook.h"

/* One request of a task. */
struct delivery {
	struct task *task;
	char receiver[PUSH_SUBSCRIPTION_ID_LEN + 1]; /* a subscription's id, or WEBHOOK_ID */
};

/* --- the list -------------------------------------------------------------------------------- */

void tasks_init(struct tasks *tasks, struct mailer *mailer, struct notes *notes)
{
	*tasks = (struct tasks){.mailer = mailer, .notes = notes};
	tasks->clocks_ms = xcalloc(partitions_count(notes->partitions), sizeof *tasks->clocks_ms);
}

void tasks_set_clock(struct tasks *tasks, const struct store *store, int64_t now_ms)
{
	tasks->clocks_ms[store_partition(store)] = now_ms - times_mono_ms();
}

int64_t task_now(const struct task *task)
{
	return times_mono_ms() + task->tasks->clocks_ms[store_partition(task->store)];
}

static bool has_entry(const struct tasks *tasks, const struct store *store, const char *entry)
{
	for (const struct task *task = tasks->first; task != NULL; task = task->next) {
		if (task->store == store && strcmp(task->entry, entry) == 0)
			return true;
	}
	return false;
}

void tasks_add(struct tasks *tasks, const struct store *store, const struct push_entry *entry)
{
	struct task *task;

	if (has_entry(tasks, store, entry->id))
		return;
	task = xcalloc(1, sizeof *task);
	task->tasks = tasks;
	task->store = store;
	strcpy(task->entry, entry->id);
	task->is_broken = !push_job_read(entry->job, entry->job_len, &task->job);
	task->next = tasks->first;
	tasks->first = task;
	tasks->count++;
}

static void remove_task(struct task *task)
{
	struct task **link = &task->tasks->first;

	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
	task->tasks->count--;
	free(task);
}

bool tasks_are_under_way(const struct tasks *tasks)
{
	for (const struct task *task = tasks->first; task != NULL; task = task->next) {
		if (task->is_started)
			return true;
	}
	return false;
}

unsigned tasks_count(const struct tasks *tasks)
{
	unsigned count = 0;

	for (const struct task *task = tasks->first; task != NULL; task = task->next)
		count++;
	return count;
}

void tasks_clear(struct tasks *tasks)
{
	while (tasks->first != NULL)
		remove_task(tasks->first);
	free(tasks->clocks_ms);
	tasks->clocks_ms = NULL;
}

/* --- the end of one -------------------------------------------------------------------------- */

void task_later(struct task *task, int64_t wait_ms)
{
	notes_later(task->tasks->notes, task->store, task->entry, wait_ms, &task->job);
	remove_task(task);
}

static void task_done(struct task *task)
{
	notes_done(task->tasks->notes, task->store, task->entry);
	if (!task->is_broken && task->job.is_online)
		notes_told(task->tasks->notes, &task->job.user, &task->job.friend);
	remove_task(task);
}

void task_drop(struct task *task, enum outcome outcome)
{
	notes_outcome(task->tasks->notes, outcome);
	task_done(task);
}

void task_wait_again(struct task *task)
{
	notes_wait(task->tasks->notes, &task->job.user, &task->job.friend);
	notes_done(task->tasks->notes, task->store, task->entry);
	remove_task(task);
}

/* All requests were answered: it is over, or waits for those that are left. */
static void finish(struct task *task)
{
	struct push_job *job = &task->job;
	int64_t wait = 0;

	if (task->left_count == 0) {
		task_done(task);
		return;
	}
	memcpy(job->left, task->left, sizeof job->left);
	job->left_count = task->left_count;
	job->shortened = job->shortened || task->is_too_large;
	if (task->is_failed) {
		job->tries++;
		wait = outcome_wait_ms(job->tries, task->retry_after, random_below(1000));
	}
	if (task_now(task) + wait > job->expires_ms)
		task_drop(task, OUTCOME_EXPIRED);
	else
		task_later(task, wait);
}

/* --- what came of a request ------------------------------------------------------------------ */

static void keep_receiver(struct task *task, const char *receiver)
{
	if (task->left_count < PUSH_RECEIVERS_MAX)
		strcpy(task->left[task->left_count++], receiver);
}

static void on_outcome(struct task *task, const char *receiver, enum outcome outcome, int status)
{
	bool is_webhook = strcmp(receiver, WEBHOOK_ID) == 0;

	notes_outcome(task->tasks->notes, outcome);
	if (outcome_is_retried(outcome)) {
		task->is_failed = true;
		keep_receiver(task, receiver);
	} else if (outcome == OUTCOME_TOO_LARGE && !task->job.shortened && !is_webhook) {
		task->is_too_large = true;
		keep_receiver(task, receiver);
	} else if ((outcome == OUTCOME_GONE || outcome == OUTCOME_BAD_KEYS) && !is_webhook) {
		notes_unsubscribe(task->tasks->notes, &task->job.user, receiver);
	} else if (outcome != OUTCOME_SENT) {
		log_warn("%s %.12s: not sent, %s (status %d)",
			 is_webhook ? "the" : "push subscription", receiver, outcome_names[outcome],
			 status);
	}
}

static void on_done(void *arg, enum outcome outcome, int status, int64_t retry_after)
{
	struct delivery *delivery = arg;
	struct task *task = delivery->task;

	if (retry_after > task->retry_after)
		task->retry_after = retry_after;
	on_outcome(task, delivery->receiver, outcome, status);
	free(delivery);
	if (--task->requests == 0)
		finish(task);
}

/* --- sending --------------------------------------------------------------------------------- */

/* Seconds that a push service may keep it. */
static int64_t time_to_live(const struct task *task)
{
	int64_t left = (task->job.expires_ms - task_now(task)) / 1000;

	if (left > task->job.ttl)
		left = task->job.ttl;
	return left > 0 ? left : 0;
}

/* To one receiver: a subscription, or the webhook when that is NULL. */
static void send_to(struct task *task, const struct push_subscription *subscription,
		    const struct printbuf *payload)
{
	struct mailer *mailer = task->tasks->mailer;
	struct delivery *delivery = xcalloc(1, sizeof *delivery);
	int64_t ttl = time_to_live(task), now = task_now(task) / 1000;
	enum outcome outcome;
	bool is_started;

	delivery->task = task;
	strcpy(delivery->receiver, subscription != NULL ? subscription->id : WEBHOOK_ID);
	is_started = subscription != NULL
			     ? mailer_push(mailer, &task->job, ttl, now, subscription, payload,
					   on_done, delivery, &outcome)
			     : mailer_webhook(mailer, &task->job, ttl, on_done, delivery, &outcome);
	if (is_started) {
		task->requests++;
		return;
	}
	on_outcome(task, delivery->receiver, outcome, 0);
	free(delivery);
}

void task_send(struct task *task, const struct push_look *look)
{
	struct printbuf *payload = buf_new();

	task->is_started = true;
	if (task->job.is_online)
		snprintf(task->job.title, sizeof task->job.title, "%s is online", look->name);
	payload_put(payload, &task->job);
	for (size_t i = 0; i < look->count; i++) {
		if (push_job_is_left(&task->job, look->subscriptions[i].id))
			send_to(task, &look->subscriptions[i], payload);
	}
	if (mailer_has_webhook(task->tasks->mailer) && push_job_is_left(&task->job, WEBHOOK_ID))
		send_to(task, NULL, NULL);
	printbuf_free(payload);
	if (task->requests == 0)
		finish(task);
}
