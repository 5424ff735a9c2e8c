#include "push/looks.h"

#include <stdlib.h>

#include "base/alloc.h"

enum answer { ANSWER_GIVEN, ANSWER_ERROR, ANSWER_NONE };

/* Whether all of that was answered, by the partition of that user: if not, that one is away. */
static enum answer check_answers(struct queues *queues, const struct userid *user,
				 redisReply *const *replies, size_t count)
{
	enum answer answer = ANSWER_GIVEN;

	for (size_t i = 0; i < count; i++) {
		if (replies[i] == NULL) {
			const struct store *store = partitions_of(queues->partitions, user);

			queues->is_up[store_partition(store)] = false;
			return ANSWER_NONE;
		}
		if (replies[i]->type == REDIS_REPLY_ERROR)
			answer = ANSWER_ERROR;
	}
	return answer;
}

static void note_error(struct task *task, int64_t retry_ms)
{
	task->failures++;
	task->retry_ms = retry_ms;
}

/* --- looking --------------------------------------------------------------------------------- */

static unsigned put_look(struct queues *queues, struct looked *looked)
{
	const struct push_job *job = &looked->task->job;
	const struct store *store = partitions_of(queues->partitions, &job->user);
	const struct store *other =
		job->is_online ? partitions_of(queues->partitions, &job->friend) : store;
	unsigned count;

	looked->has_friend = other != store;
	count = push_put_look(nodes_to(queues->nodes, store), store, job,
			      job->is_online && !looked->has_friend);
	if (looked->has_friend)
		count += push_put_look_friend(nodes_to(queues->nodes, other), other, job);
	return count;
}

/* The last of the replies is about the friend, if one was asked about apart. */
static void read_look(struct queues *queues, struct looked *looked, redisReply *const *replies,
		      size_t own, int64_t retry_ms)
{
	const struct push_job *job = &looked->task->job;
	enum answer answer = check_answers(queues, &job->user, replies, own), friend = ANSWER_GIVEN;
	struct push_look *look;

	if (looked->has_friend)
		friend = check_answers(queues, &job->friend, replies + own, 1);
	looked->is_away = answer == ANSWER_NONE || friend == ANSWER_NONE;
	if (looked->is_away)
		return;
	look = xcalloc(1, sizeof *look);
	if (answer == ANSWER_GIVEN && friend == ANSWER_GIVEN &&
	    push_read_look(replies, looked->has_friend ? replies[own] : NULL, job, look)) {
		looked->look = look;
	} else {
		note_error(looked->task, retry_ms);
		free(look);
	}
}

void looks_ask(struct queues *queues, struct looked *list, size_t count, int64_t retry_ms)
{
	redisReply **replies = xcalloc(count * PUSH_LOOK_COMMANDS, sizeof *replies);
	size_t asked = 0, read = 0;

	nodes_begin(queues->nodes);
	for (size_t i = 0; i < count; i++)
		asked += put_look(queues, &list[i]);
	nodes_run_each(queues->nodes, asked, replies);
	for (size_t i = 0; i < count; i++) {
		size_t own = PUSH_LOOK_COMMANDS - 1;

		read_look(queues, &list[i], replies + read, own, retry_ms);
		read += own + list[i].has_friend;
	}
	blocking_free_replies(replies, asked);
	free(replies);
}

/* --- counting -------------------------------------------------------------------------------- */

static bool is_to_be_counted(const struct looked *looked)
{
	return looked->is_sent && !looked->task->job.counted;
}

/* Returns how many commands. */
static size_t put_counts(struct queues *queues, const struct looked *list, size_t count)
{
	size_t asked = 0;

	for (size_t i = 0; i < count; i++) {
		const struct userid *user;
		const struct store *store;

		if (!is_to_be_counted(&list[i]))
			continue; /* what is over is freed */
		user = &list[i].task->job.user;
		store = partitions_of(queues->partitions, user);
		push_put_count(nodes_to(queues->nodes, store), store, user);
		asked++;
	}
	return asked;
}

static void read_count(struct queues *queues, struct looked *looked, redisReply *const *reply,
		       int64_t retry_ms)
{
	struct task *task = looked->task;
	enum answer answer = check_answers(queues, &task->job.user, reply, 1);

	task->job.counted = answer == ANSWER_GIVEN && (*reply)->integer == 1;
	looked->is_sent = task->job.counted;
	if (answer == ANSWER_ERROR)
		note_error(task, retry_ms);
	else if (answer == ANSWER_GIVEN && !looked->is_sent)
		task_drop(task, OUTCOME_LIMITED);
}

void looks_count(struct queues *queues, struct looked *list, size_t count, int64_t retry_ms)
{
	redisReply **replies = xcalloc(count, sizeof *replies);
	size_t asked, read = 0;

	nodes_begin(queues->nodes);
	asked = put_counts(queues, list, count);
	nodes_run_each(queues->nodes, asked, replies);
	for (size_t i = 0; i < count; i++) {
		if (is_to_be_counted(&list[i]))
			read_count(queues, &list[i], &replies[read++], retry_ms);
	}
	blocking_free_replies(replies, asked);
	free(replies);
}
