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

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/vapid.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "base/times.h"
#include "push/decide.h"
#include "push/encrypt.h"
#include "push/payload.h"
#include "push/sender.h"
#include "push/webhook.h"
#include "store/blocking.h"
#include "store/push.h"

#define TASKS_MAX 128 /* taken at a time: no more than that is sent again after a kill */
#define DUE_MAX 1000 /* made due in one tick */
#define BLOCK_MS 30000 /* how long XREADGROUP waits, ms */
#define LEASE_TICKS 4
#define FAILURES_MAX 3 /* looks at a job that fail before it is thrown out */
#define FLUSH_FAILURES_MAX 60
#define FIELD_MAX 1024 /* bytes of a header field */

/* An entry of the queue that we have taken. */
struct task {
	struct pushd *pushd;
	char entry[PUSH_ENTRY_ID_MAX + 1];
	struct push_job job;
	bool is_broken; /* its text is no job */
	bool is_started; /* requests are under way */
	int failures; /* looks that failed */
	unsigned requests; /* under way */
	/* Receivers that have to get it again, and when. */
	char left[PUSH_RECEIVERS_MAX][PUSH_SUBSCRIPTION_ID_LEN + 1];
	size_t left_count;
	bool is_failed, is_too_large; /* of those that are left, some … */
	int64_t retry_after; /* seconds, the longest that was asked for */
	struct task *next;
};

/* One request of a task. */
struct delivery {
	struct task *task;
	char receiver[PUSH_SUBSCRIPTION_ID_LEN + 1]; /* a subscription's id, or WEBHOOK_ID */
};

struct pushd {
	const struct config *config;
	const char *prefix;
	struct vapid *vapid;
	struct encryptor *encryptor;
	struct sender *sender;
	struct printbuf *webhook_key; /* NULL: no webhook */
	struct blocking *redis, *reader;
	char consumer[RANDOM_ID_LEN + 1];
	bool is_reading; /* XREADGROUP is under way */
	bool owns_read; /* what we had taken already was read on this connection */
	int64_t read_ms; /* when it was sent, monotonic */
	int64_t clock_ms; /* Redis' clock minus the monotonic one */
	int64_t tick_ms; /* when the next tick is due, monotonic */
	bool is_up; /* the last tick was answered: the queue has its group */
	bool said_up, has_said; /* in the log */
	struct task *tasks;
	unsigned task_count;
	unsigned outcomes[OUTCOME_COUNT]; /* since the last flush */
	struct printbuf *notes; /* commands for Redis, sent at the end of a turn */
	unsigned note_count;
	int flush_failures;
	bool is_stopping;
};

struct pushd *pushd_new(const struct config *config, char *err, size_t errsize)
{
	struct pushd *pushd;

	if (config->push.key_file[0] == '\0') {
		snprintf(err, errsize, "push.key_file is not set, so there is nothing to do");
		return NULL;
	}
	pushd = xcalloc(1, sizeof *pushd);
	pushd->config = config;
	pushd->prefix = config->redis.prefix;
	pushd->notes = buf_new();
	random_id(pushd->consumer);
	pushd->vapid = vapid_open(config->push.key_file, config->push.subject, err, errsize);
	if (pushd->vapid != NULL && config->push.webhook[0] != '\0')
		pushd->webhook_key = webhook_read_key(config->push.webhook_key_file, err, errsize);
	if (pushd->vapid == NULL ||
	    (config->push.webhook[0] != '\0' && pushd->webhook_key == NULL)) {
		pushd_free(pushd);
		return NULL;
	}
	pushd->encryptor = encryptor_new();
	pushd->sender = sender_new(config);
	pushd->redis = blocking_new(config);
	pushd->reader = blocking_new(config);
	if (pushd->encryptor != NULL && pushd->sender != NULL)
		return pushd;
	snprintf(err, errsize, "OpenSSL or libcurl lacks what is needed");
	pushd_free(pushd);
	return NULL;
}

void pushd_free(struct pushd *pushd)
{
	sender_free(pushd->sender);
	while (pushd->tasks != NULL) {
		struct task *task = pushd->tasks;

		pushd->tasks = task->next;
		free(task);
	}
	vapid_free(pushd->vapid);
	encryptor_free(pushd->encryptor);
	blocking_free(pushd->redis);
	blocking_free(pushd->reader);
	if (pushd->webhook_key != NULL)
		printbuf_free(pushd->webhook_key);
	printbuf_free(pushd->notes);
	free(pushd);
}

static int64_t redis_now(const struct pushd *pushd)
{
	return times_mono_ms() + pushd->clock_ms;
}

static void count_outcome(struct pushd *pushd, enum outcome outcome)
{
	pushd->outcomes[outcome]++;
}

/* --- notes for Redis ------------------------------------------------------------------------- */

static void put_outcomes(struct pushd *pushd)
{
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		if (pushd->outcomes[i] == 0)
			continue;
		push_put_outcome(pushd->notes, pushd->prefix, outcome_names[i], pushd->outcomes[i]);
		pushd->outcomes[i] = 0;
		pushd->note_count++;
	}
}

/*
 * Sends the notes of this turn. They are kept until Redis has taken them: each
 * may be said twice, but none be lost. An error that does not pass (somebody
 * put something else under a key of ours) is given up in the end, for all else
 * in the pipeline was done.
 */
static void flush(struct pushd *pushd)
{
	redisReply **replies;

	put_outcomes(pushd);
	if (pushd->note_count == 0)
		return;
	replies = xcalloc(pushd->note_count, sizeof *replies);
	if (blocking_run(pushd->redis, pushd->notes, pushd->note_count, replies)) {
		blocking_free_replies(replies, pushd->note_count);
		pushd->flush_failures = 0;
	} else {
		pushd->flush_failures++;
	}
	free(replies);
	if (pushd->flush_failures > 0 &&
	    (blocking_fd(pushd->redis) < 0 || pushd->flush_failures < FLUSH_FAILURES_MAX)) {
		pushd->is_up = false; /* not again before the next tick */
		return;
	}
	if (pushd->flush_failures > 0)
		log_error("Redis: %s; given up", blocking_error(pushd->redis));
	pushd->flush_failures = 0;
	buf_reset(pushd->notes);
	pushd->note_count = 0;
}

/* --- tasks ----------------------------------------------------------------------------------- */

static bool is_taken(const struct pushd *pushd, const char *entry)
{
	for (const struct task *task = pushd->tasks; task != NULL; task = task->next) {
		if (strcmp(task->entry, entry) == 0)
			return true;
	}
	return false;
}

static void task_remove(struct task *task)
{
	struct task **link = &task->pushd->tasks;

	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
	task->pushd->task_count--;
	free(task);
}

static void task_add(struct pushd *pushd, const struct push_entry *entry)
{
	struct task *task;

	if (is_taken(pushd, entry->id))
		return;
	task = xcalloc(1, sizeof *task);
	task->pushd = pushd;
	strcpy(task->entry, entry->id);
	task->is_broken = !push_job_read(entry->job, entry->job_len, &task->job);
	task->next = pushd->tasks;
	pushd->tasks = task;
	pushd->task_count++;
}

static void add_entries(struct pushd *pushd, const redisReply *entries)
{
	for (size_t i = 0; i < entries->elements; i++) {
		struct push_entry entry;

		if (push_read_entry(entries, i, &entry))
			task_add(pushd, &entry);
	}
}

static void task_later(struct task *task, int64_t wait_ms)
{
	push_put_later(task->pushd->notes, task->pushd->prefix, task->entry, wait_ms, &task->job);
	task->pushd->note_count++;
	task_remove(task);
}

static void task_done(struct task *task)
{
	struct pushd *pushd = task->pushd;

	push_put_done(pushd->notes, pushd->prefix, task->entry);
	pushd->note_count++;
	if (!task->is_broken && task->job.is_online) {
		push_put_told(pushd->notes, pushd->prefix, &task->job.user, &task->job.friend);
		pushd->note_count++;
	}
	task_remove(task);
}

static void task_drop(struct task *task, enum outcome outcome)
{
	count_outcome(task->pushd, outcome);
	task_done(task);
}

/* The friend has left again: the user waits for the next time, as if nothing had been. */
static void task_wait_again(struct task *task)
{
	struct pushd *pushd = task->pushd;

	push_put_wait(pushd->notes, pushd->prefix, &task->job.user, &task->job.friend);
	push_put_done(pushd->notes, pushd->prefix, task->entry);
	pushd->note_count += 2;
	task_remove(task);
}

/* All requests of a task were answered: it is over, or waits for those that are left. */
static void task_finish(struct task *task)
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
	if (redis_now(task->pushd) + wait > job->expires_ms)
		task_drop(task, OUTCOME_EXPIRED);
	else
		task_later(task, wait);
}

/* --- sending --------------------------------------------------------------------------------- */

static void keep_receiver(struct task *task, const char *receiver)
{
	if (task->left_count < PUSH_RECEIVERS_MAX)
		strcpy(task->left[task->left_count++], receiver);
}

static void remove_subscription(struct task *task, const char *id)
{
	push_put_unsubscribe(task->pushd->notes, task->pushd->prefix, &task->job.user, id);
	task->pushd->note_count++;
}

static void on_outcome(struct delivery *delivery, enum outcome outcome, int status)
{
	struct task *task = delivery->task;
	bool is_webhook = strcmp(delivery->receiver, WEBHOOK_ID) == 0;

	count_outcome(task->pushd, outcome);
	if (outcome_is_retried(outcome)) {
		task->is_failed = true;
		keep_receiver(task, delivery->receiver);
	} else if (outcome == OUTCOME_TOO_LARGE && !task->job.shortened && !is_webhook) {
		task->is_too_large = true;
		keep_receiver(task, delivery->receiver);
	} else if ((outcome == OUTCOME_GONE || outcome == OUTCOME_BAD_KEYS) && !is_webhook) {
		remove_subscription(task, delivery->receiver);
	} else if (outcome != OUTCOME_SENT) {
		log_warn("%s %.12s: not sent, %s (status %d)",
			 is_webhook ? "the" : "push subscription", delivery->receiver,
			 outcome_names[outcome], status);
	}
}

static void on_done(void *arg, enum outcome outcome, int status, int64_t retry_after)
{
	struct delivery *delivery = arg;
	struct task *task = delivery->task;

	if (retry_after > task->retry_after)
		task->retry_after = retry_after;
	on_outcome(delivery, outcome, status);
	free(delivery);
	if (--task->requests == 0)
		task_finish(task);
}

static void post(struct task *task, const char *receiver, const struct sender_request *request)
{
	struct delivery *delivery = xcalloc(1, sizeof *delivery);

	delivery->task = task;
	strcpy(delivery->receiver, receiver);
	task->requests++;
	sender_post(task->pushd->sender, request, on_done, delivery);
}

/* Seconds that a push service may keep it. */
static int64_t time_to_live(const struct task *task)
{
	int64_t left = (task->job.expires_ms - redis_now(task->pushd)) / 1000;

	if (left > task->job.ttl)
		left = task->job.ttl;
	return left > 0 ? left : 0;
}

/* RFC 8030 section 5, RFC 8188, RFC 8292. */
static void post_push(struct task *task, const struct push_subscription *subscription,
		      const struct printbuf *body)
{
	struct pushd *pushd = task->pushd;
	char authorization[FIELD_MAX], ttl[32], urgency[32],
		topic[PAYLOAD_TOPIC_LEN + 8] = "Topic: ";
	const char *headers[] = {authorization,
				 "Content-Type: application/octet-stream",
				 "Content-Encoding: aes128gcm",
				 ttl,
				 urgency,
				 topic,
				 NULL};
	struct push_endpoint endpoint;
	const char *token = NULL;

	if (push_endpoint_parse(subscription->endpoint, &endpoint) == NULL)
		token = vapid_authorization(pushd->vapid, endpoint.origin, times_wall_ms() / 1000);
	if (token == NULL) {
		log_error("push: no token for %.64s", subscription->endpoint);
		count_outcome(pushd, OUTCOME_REFUSED);
		return;
	}
	snprintf(authorization, sizeof authorization, "Authorization: %s", token);
	snprintf(ttl, sizeof ttl, "TTL: %" PRId64, time_to_live(task));
	snprintf(urgency, sizeof urgency, "Urgency: %s", push_urgency_names[task->job.urgency]);
	payload_topic(&task->job, topic + strlen(topic));
	post(task, subscription->id,
	     &(struct sender_request){.url = subscription->endpoint,
				      .headers = headers,
				      .body = body->buf,
				      .len = buf_len(body)});
}

/* Whether the site still allows that push service, and the browser the subscription. */
static bool is_valid(const struct pushd *pushd, const struct push_subscription *subscription)
{
	struct push_endpoint endpoint;

	return (subscription->expires == 0 || subscription->expires > redis_now(pushd) / 1000) &&
	       push_endpoint_parse(subscription->endpoint, &endpoint) == NULL &&
	       push_endpoint_allowed(pushd->config->push.allow, &endpoint);
}

static void send_push(struct task *task, const struct push_subscription *subscription,
		      const struct printbuf *payload)
{
	struct pushd *pushd = task->pushd;
	struct printbuf *body;

	if (!is_valid(pushd, subscription)) {
		count_outcome(pushd, OUTCOME_GONE);
		remove_subscription(task, subscription->id);
		return;
	}
	body = buf_new();
	if (encrypt_message(pushd->encryptor, &subscription->keys, payload->buf, buf_len(payload),
			    payload_padded(buf_len(payload)), body)) {
		post_push(task, subscription, body);
	} else {
		count_outcome(pushd, OUTCOME_BAD_KEYS);
		remove_subscription(task, subscription->id);
	}
	printbuf_free(body);
}

static void send_webhook(struct task *task)
{
	struct pushd *pushd = task->pushd;
	struct printbuf *body = buf_new();
	char timestamp[64], signature[128], id[64], hex[WEBHOOK_SIGNATURE_LEN + 1];
	const char *headers[] = {"Content-Type: application/json", id, timestamp, signature, NULL};
	int64_t now = times_wall_ms() / 1000;

	webhook_put_body(body, &task->job, time_to_live(task));
	if (webhook_sign(pushd->webhook_key, now, body, hex)) {
		snprintf(id, sizeof id, "Presence-Id: %s", task->job.id);
		snprintf(timestamp, sizeof timestamp, "Presence-Timestamp: %" PRId64, now);
		snprintf(signature, sizeof signature, "Presence-Signature: v1=%s", hex);
		post(task, WEBHOOK_ID,
		     &(struct sender_request){.url = pushd->config->push.webhook,
					      .headers = headers,
					      .body = body->buf,
					      .len = buf_len(body),
					      .is_own = true});
	}
	printbuf_free(body);
}

static void task_send(struct task *task, const struct push_look *look)
{
	struct printbuf *payload = buf_new();

	task->is_started = true;
	if (task->job.is_online)
		snprintf(task->job.title, sizeof task->job.title, "%s is online", look->name);
	payload_put(payload, &task->job);
	for (size_t i = 0; i < look->count; i++) {
		if (push_job_is_left(&task->job, look->subscriptions[i].id))
			send_push(task, &look->subscriptions[i], payload);
	}
	if (task->pushd->webhook_key != NULL && push_job_is_left(&task->job, WEBHOOK_ID))
		send_webhook(task);
	printbuf_free(payload);
	if (task->requests == 0)
		task_finish(task);
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
		push_put_look(pipeline, pushd->prefix, &list[i].task->job);
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
static bool settle(struct task *task, const struct push_look *look)
{
	struct pushd *pushd = task->pushd;
	struct decision decision =
		decide(&task->job, look, redis_now(pushd), decide_created_ms(task->entry),
		       (int64_t)pushd->config->presence.grace * 1000, pushd->webhook_key != NULL);

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
		push_put_count(pipeline, pushd->prefix, &list[i].task->job.user);
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

	for (struct task *task = pushd->tasks, *next; task != NULL; task = next) {
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
		list[i].is_sent = list[i].look != NULL && settle(list[i].task, list[i].look);
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

	if (pushd->is_reading || !pushd->is_up || pushd->is_stopping ||
	    pushd->task_count >= TASKS_MAX)
		return;
	if (blocking_fd(pushd->reader) < 0)
		pushd->owns_read = false;
	command = buf_new();
	push_put_take(command, pushd->prefix, pushd->consumer,
		      pushd->owns_read ? TASKS_MAX - pushd->task_count : 2 * TASKS_MAX, BLOCK_MS,
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
	freeReplyObject(reply);
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

	push_put_tick(command, pushd->prefix, pushd->consumer, LEASE_TICKS * sweep_ms, DUE_MAX,
		      TASKS_MAX - pushd->task_count);
	pushd->is_up = blocking_run(pushd->redis, command, 1, &reply);
	if (pushd->is_up) {
		if (push_read_tick(reply, &now_ms, &claimed)) {
			pushd->clock_ms = now_ms - times_mono_ms();
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
	if (!pushd->is_reading || times_mono_ms() - pushd->read_ms < 2 * BLOCK_MS)
		return;
	blocking_free(pushd->reader);
	pushd->reader = blocking_new(pushd->config);
	pushd->is_reading = false;
}

/* --- the loop -------------------------------------------------------------------------------- */

static void wait_for_something(struct pushd *pushd, int signal_fd)
{
	struct curl_waitfd extra[2] = {
		{.fd = blocking_fd(pushd->reader), .events = CURL_WAIT_POLLIN},
		{.fd = signal_fd, .events = CURL_WAIT_POLLIN},
	};
	bool reads = pushd->is_reading, listens = !pushd->is_stopping;

	/* The first is left out where nothing is read, the second once the signal has come. */
	sender_wait(pushd->sender, reads ? extra : extra + 1, (unsigned)reads + listens,
		    pushd->tick_ms - times_mono_ms());
	if (listens && extra[1].revents != 0) {
		pushd->is_stopping = true;
		log_info("stopping");
	}
	if (reads && extra[0].revents != 0)
		on_read(pushd);
}

/* What is not under way goes back with the lease, which ends here. */
static void leave(struct pushd *pushd)
{
	redisReply *reply;
	struct printbuf *command = buf_new();

	flush(pushd);
	push_put_leave(command, pushd->prefix, pushd->consumer);
	if (blocking_run(pushd->redis, command, 1, &reply))
		blocking_free_replies(&reply, 1);
	printbuf_free(command);
}

static bool is_under_way(const struct pushd *pushd)
{
	for (const struct task *task = pushd->tasks; task != NULL; task = task->next) {
		if (task->is_started)
			return true;
	}
	return false;
}

void pushd_run(struct pushd *pushd, int signal_fd)
{
	/* When stopping, no request lasts longer than timeout_ms. */
	while (!pushd->is_stopping || is_under_way(pushd)) {
		if (times_mono_ms() >= pushd->tick_ms) {
			check_reader(pushd);
			tick(pushd);
		}
		if (!pushd->is_stopping)
			decide_all(pushd);
		sender_run(pushd->sender);
		if (pushd->is_up)
			flush(pushd);
		start_reading(pushd);
		wait_for_something(pushd, signal_fd);
	}
	leave(pushd);
}
