/* One notification in hand: taken from the queue, until it is over or waits in push:later. */
#ifndef PRESENCE_PUSH_TASK_H
#define PRESENCE_PUSH_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "push/mailer.h"
#include "push/notes.h"
#include "store/push.h"

struct task {
	struct tasks *tasks; /* that it is one of */
	const struct store *store; /* the partition whose queue it was taken from */
	char entry[PUSH_ENTRY_ID_MAX + 1]; /* its id in the queue */
	struct push_job job;
	bool is_broken; /* its text is no job */
	bool is_started; /* requests are under way */
	int failures; /* looks that were answered with an error */
	int64_t retry_ms; /* not looked at before, monotonic */
	unsigned requests; /* under way */
	/* Receivers that have to get it again, and when. */
	char left[PUSH_RECEIVERS_MAX][PUSH_SUBSCRIPTION_ID_LEN + 1];
	size_t left_count;
	bool is_failed, is_too_large; /* of those that are left, some … */
	int64_t retry_after; /* seconds, the longest that was asked for */
	struct task *next;
};

/* All of a process, and what they are carried out with (borrowed). */
struct tasks {
	struct mailer *mailer;
	struct notes *notes;
	int64_t *clocks_ms; /* by partition: Redis' clock minus the monotonic one */
	struct task *first;
	unsigned count;
};

void tasks_init(struct tasks *tasks, struct mailer *mailer, struct notes *notes);
/* The clock of the partition's Redis, ms. */
void tasks_set_clock(struct tasks *tasks, const struct store *store, int64_t now_ms);
int64_t task_now(const struct task *task);
/* Adds an entry of a partition's queue, unless it is there. */
void tasks_add(struct tasks *tasks, const struct store *store, const struct push_entry *entry);
/* Whether requests of one are under way. */
bool tasks_are_under_way(const struct tasks *tasks);
unsigned tasks_count(const struct tasks *tasks);
/* Frees them without a note: their entries stay in the queue. */
void tasks_clear(struct tasks *tasks);

/* Each ends the task, which is freed: it waits; it is over; its user waits for the friend again. */
void task_later(struct task *task, int64_t wait_ms);
void task_drop(struct task *task, enum outcome outcome);
void task_wait_again(struct task *task);

/* Sends it to all who are left. It ends by itself when the last has answered, or at once. */
void task_send(struct task *task, const struct push_look *look);

#endif
