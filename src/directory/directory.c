#include "directory/directory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/times.h"
#include "directory/lookup.h"
#include "directory/directory_private.h"
#include "directory/sql.h"

#define CLOSE_WAIT_MS 200 /* what a running query gets when the directory is closed */
#define LEAVE_WAIT_MS 5000 /* for threads without one, which only need to be given the CPU */
#define HELD_MAX 16 /* calls in one transaction */

enum call_state {
	CALL_QUEUED, /* in `queue`: its owner may take it out */
	CALL_RUNNING, /* a thread's */
	CALL_ABANDONED, /* a thread's, and the thread frees it */
	CALL_ANSWERED, /* its owner's again; with `done` in `answers` */
};

struct directory_call {
	TAILQ_ENTRY(directory_call) entry;
	struct directory *directory;
	enum call_state state;
	uint64_t number; /* in the order of asking */
	enum sql_query query; /* SQL_ACCOUNT or SQL_FRIENDS */
	char *value; /* e-mail or user id */
	char *request_id; /* for whose request; NULL: none */
	enum directory_result result;
	struct account account;
	struct friends friends;
	directory_done *done; /* NULL: a blocking call */
	void *arg;
};

TAILQ_HEAD(calls, directory_call);

struct worker {
	pthread_t thread;
	struct directory *directory;
	struct lookup_source source;
	uint64_t held_to; /* calls below it share a transaction; 0: none is open */
	bool is_started, has_left, is_busy;
};

/*
 * Shared by the owner and the threads, under `lock`. The owner frees it when
 * all threads have left in time, else the last of them does.
 */
struct directory {
	pthread_mutex_t lock;
	pthread_cond_t work; /* the queue is not empty, or closing */
	pthread_cond_t answered; /* a blocking call was answered, or a thread left */
	struct calls queue, answers;
	unsigned queued;
	uint64_t next_number;
	unsigned living; /* threads */
	bool closing, orphaned;
	int event_fd; /* readable while `answers` is not empty */
	atomic_uint stuck; /* abandoned calls that still run */
	struct lookup lookup;

	/* Set before the threads start. */
	int timeout_ms;
	unsigned worker_count;
	struct worker *workers;

	struct sql *own; /* for schema.c, in the owner's thread only; NULL without SQL */
};

static struct directory_call *call_new(struct directory *directory, enum sql_query query,
				       const char *value)
{
	struct directory_call *call = xcalloc(1, sizeof *call);

	call->directory = directory;
	call->query = query;
	call->value = xstrdup(value);
	call->request_id = log_request() != NULL ? xstrdup(log_request()) : NULL;
	return call;
}

static void call_free(struct directory_call *call)
{
	account_free(&call->account);
	friends_free(&call->friends);
	free(call->value);
	free(call->request_id);
	free(call);
}

/* --- what the threads do ------------------------------------------------- */

/*
 * A call must see the database as it is when the call is made, or later: so
 * only calls that wait already share a transaction. `next_number` is the next
 * call's to be made.
 */
static void hold(struct worker *worker, const struct directory_call *call, uint64_t next_number)
{
	struct sql *sql = worker->source.sql;

	if (sql == NULL || call->number < worker->held_to)
		return;
	sql_release(sql);
	worker->held_to =
		next_number < call->number + HELD_MAX ? next_number : call->number + HELD_MAX;
	if (worker->held_to > call->number + 1)
		sql_hold(sql);
}

static void let_go(struct worker *worker)
{
	if (worker->source.sql != NULL)
		sql_release(worker->source.sql);
	worker->held_to = 0;
}

static void run_call(struct worker *worker, struct directory_call *call)
{
	struct lookup *lookup = &worker->directory->lookup;

	log_set_request(call->request_id);
	if (call->query == SQL_ACCOUNT)
		call->result = lookup_account(lookup, &worker->source, call->value, &call->account);
	else
		call->result = lookup_friends(lookup, &worker->source, call->value, &call->friends);
	log_set_request(NULL);
}

static void wake_loop(struct directory *directory)
{
	const uint64_t one = 1;

	/* It fails only when the counter is full, and then it is readable anyway. */
	if (write(directory->event_fd, &one, sizeof one) < 0)
		return;
}

/* Hands a call that was run back to its owner. Under the lock. */
static void give_back(struct directory *directory, struct directory_call *call)
{
	if (call->state == CALL_ABANDONED)
		atomic_fetch_sub(&directory->stuck, 1);
	if (call->state == CALL_ABANDONED || directory->closing) {
		call_free(call);
		return;
	}
	call->state = CALL_ANSWERED;
	if (call->done == NULL) {
		pthread_cond_broadcast(&directory->answered);
		return;
	}
	/* Whoever was woken for the first one finds the others, too. */
	if (TAILQ_EMPTY(&directory->answers))
		wake_loop(directory);
	TAILQ_INSERT_TAIL(&directory->answers, call, entry);
}

static void directory_free(struct directory *directory);

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct directory *directory = worker->directory;
	struct directory_call *call;
	uint64_t next_number;
	bool is_last;

	pthread_mutex_lock(&directory->lock);
	while (!directory->closing) {
		call = TAILQ_FIRST(&directory->queue);
		if (call == NULL && worker->held_to != 0) {
			pthread_mutex_unlock(&directory->lock);
			let_go(worker);
			pthread_mutex_lock(&directory->lock);
			continue;
		}
		if (call == NULL) {
			pthread_cond_wait(&directory->work, &directory->lock);
			continue;
		}
		TAILQ_REMOVE(&directory->queue, call, entry);
		directory->queued--;
		call->state = CALL_RUNNING;
		worker->is_busy = true;
		next_number = directory->next_number;
		pthread_mutex_unlock(&directory->lock);
		hold(worker, call, next_number);
		run_call(worker, call);
		pthread_mutex_lock(&directory->lock);
		worker->is_busy = false;
		give_back(directory, call);
	}
	worker->has_left = true;
	is_last = --directory->living == 0 && directory->orphaned;
	pthread_cond_broadcast(&directory->answered);
	pthread_mutex_unlock(&directory->lock);
	if (is_last)
		directory_free(directory);
	return NULL;
}

/* --- opening and closing --------------------------------------------------- */

static void directory_free(struct directory *directory)
{
	for (unsigned i = 0; i < directory->worker_count; i++) {
		if (directory->workers[i].source.sql != NULL)
			sql_free(directory->workers[i].source.sql);
		blocking_free(directory->workers[i].source.redis);
	}
	if (directory->own != NULL)
		sql_free(directory->own);
	free(directory->workers);
	free(directory->lookup.prefix);
	if (directory->event_fd >= 0)
		close(directory->event_fd);
	pthread_cond_destroy(&directory->answered);
	pthread_cond_destroy(&directory->work);
	pthread_mutex_destroy(&directory->lock);
	free(directory);
}

static struct directory *directory_new(const struct config *config, unsigned threads)
{
	struct directory *directory = xcalloc(1, sizeof *directory);
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&directory->lock, NULL);
	pthread_cond_init(&directory->work, NULL);
	pthread_cond_init(&directory->answered, &monotonic);
	pthread_condattr_destroy(&monotonic);
	TAILQ_INIT(&directory->queue);
	TAILQ_INIT(&directory->answers);
	directory->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	directory->timeout_ms = config->directory.timeout_ms;
	directory->lookup.max_friends = (size_t)config->directory.max_friends;
	directory->lookup.prefix = xstrdup(config->redis.prefix);
	directory->next_number = 1;
	directory->worker_count = threads;
	directory->workers = xcalloc(threads, sizeof *directory->workers);
	return directory;
}

static bool open_connections(struct directory *directory, const struct config *config, char *err,
			     size_t errsize)
{
	for (unsigned i = 0; i < directory->worker_count; i++) {
		directory->workers[i].source.sql = sql_new(config, err, errsize);
		if (directory->workers[i].source.sql == NULL)
			return false;
	}
	directory->own = sql_new(config, err, errsize);
	return directory->own != NULL;
}

/* Signals are for the program's own thread. */
static bool start_threads(struct directory *directory)
{
	sigset_t all, before;
	bool ok = true;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; ok && i < directory->worker_count; i++) {
		struct worker *worker = &directory->workers[i];

		worker->directory = directory;
		ok = pthread_create(&worker->thread, NULL, work, worker) == 0;
		worker->is_started = ok;
		directory->living += ok;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ok;
}

struct directory *directory_open(const struct config *config, unsigned threads, char *err,
				 size_t errsize)
{
	struct directory *directory;

	directory = directory_new(config, threads);
	if (directory->event_fd < 0) {
		snprintf(err, errsize, "directory: eventfd: %s", strerror(errno));
		directory_free(directory);
		return NULL;
	}
	if (config->directory.backend == DIRECTORY_SQL &&
	    !open_connections(directory, config, err, errsize)) {
		directory_free(directory);
		return NULL;
	}
	for (unsigned i = 0; config->directory.backend == DIRECTORY_REDIS && i < threads; i++)
		directory->workers[i].source.redis = blocking_new(config, 0);
	if (!start_threads(directory)) {
		snprintf(err, errsize, "directory: cannot start its threads");
		directory_close(directory);
		return NULL;
	}
	return directory;
}

static struct timespec deadline_in(int ms)
{
	int64_t at = times_mono_ms() + ms;

	return (struct timespec){.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};
}

static void free_calls(struct calls *calls)
{
	struct directory_call *call;

	while ((call = TAILQ_FIRST(calls)) != NULL) {
		TAILQ_REMOVE(calls, call, entry);
		call_free(call);
	}
}

/* Joins the threads that have left and lets go of the others. Under the lock. */
static void release_threads(struct directory *directory)
{
	for (unsigned i = 0; i < directory->worker_count; i++) {
		struct worker *worker = &directory->workers[i];

		if (!worker->is_started)
			continue;
		if (worker->has_left)
			pthread_join(worker->thread, NULL);
		else
			pthread_detach(worker->thread);
	}
}

/* Whether a thread is there that is about to leave. Under the lock. */
static bool is_one_leaving(const struct directory *directory)
{
	for (unsigned i = 0; i < directory->worker_count; i++) {
		const struct worker *worker = &directory->workers[i];

		if (worker->is_started && !worker->has_left && !worker->is_busy)
			return true;
	}
	return false;
}

void directory_close(struct directory *directory)
{
	struct timespec soon = deadline_in(CLOSE_WAIT_MS), late = deadline_in(LEAVE_WAIT_MS);
	bool is_last;

	if (directory == NULL)
		return;
	pthread_mutex_lock(&directory->lock);
	directory->closing = true;
	pthread_cond_broadcast(&directory->work);
	free_calls(&directory->queue);
	free_calls(&directory->answers);
	while (directory->living > 0 &&
	       pthread_cond_timedwait(&directory->answered, &directory->lock,
				      is_one_leaving(directory) ? &late : &soon) == 0)
		continue;
	release_threads(directory);
	is_last = directory->living == 0;
	directory->orphaned = !is_last;
	pthread_mutex_unlock(&directory->lock);
	if (is_last)
		directory_free(directory);
}

/* --- asking ---------------------------------------------------------------- */

/* Takes a call over for the threads; false, and it stays the caller's, when too many wait. */
static bool enqueue(struct directory *directory, struct directory_call *call)
{
	bool ok;

	pthread_mutex_lock(&directory->lock);
	ok = directory->queued < DIRECTORY_QUEUE_MAX;
	if (ok) {
		call->number = directory->next_number++;
		TAILQ_INSERT_TAIL(&directory->queue, call, entry);
		directory->queued++;
		pthread_cond_signal(&directory->work);
	}
	pthread_mutex_unlock(&directory->lock);
	return ok;
}

/* Its owner wants no answer any more. Under the lock. */
static void forget(struct directory *directory, struct directory_call *call)
{
	switch (call->state) {
	case CALL_QUEUED:
		TAILQ_REMOVE(&directory->queue, call, entry);
		directory->queued--;
		break;
	case CALL_RUNNING:
		call->state = CALL_ABANDONED;
		atomic_fetch_add(&directory->stuck, 1);
		return;
	case CALL_ABANDONED:
		return;
	case CALL_ANSWERED:
		if (call->done != NULL)
			TAILQ_REMOVE(&directory->answers, call, entry);
		break;
	}
	call_free(call);
}

/* Asks and waits. Returns the answered call, which the caller frees; NULL: no answer in time. */
static struct directory_call *ask(struct directory *directory, enum sql_query query,
				  const char *value)
{
	struct timespec deadline = deadline_in(directory->timeout_ms);
	struct directory_call *call = call_new(directory, query, value);

	/* With every thread held by a query that hangs, there is nothing to wait for. */
	if (atomic_load(&directory->stuck) >= directory->worker_count ||
	    !enqueue(directory, call)) {
		call_free(call);
		return NULL;
	}
	pthread_mutex_lock(&directory->lock);
	while (call->state != CALL_ANSWERED &&
	       pthread_cond_timedwait(&directory->answered, &directory->lock, &deadline) == 0)
		continue;
	if (call->state != CALL_ANSWERED) {
		forget(directory, call);
		call = NULL;
	}
	pthread_mutex_unlock(&directory->lock);
	if (call == NULL && lookup_may_log(&directory->lookup, LOOKUP_LINE_FAILURE))
		log_error("directory: no answer within %d ms", directory->timeout_ms);
	return call;
}

enum directory_result directory_account(struct directory *directory, const char *email,
					struct account *account)
{
	struct directory_call *call = ask(directory, SQL_ACCOUNT, email);
	enum directory_result result;

	if (call == NULL)
		return DIRECTORY_UNAVAILABLE;
	result = call->result;
	*account = call->account;
	memset(&call->account, 0, sizeof call->account);
	call_free(call);
	return result;
}

enum directory_result directory_friends(struct directory *directory, const struct userid *user,
					struct friends *friends)
{
	struct directory_call *call = ask(directory, SQL_FRIENDS, user->text);
	enum directory_result result;

	if (call == NULL)
		return DIRECTORY_UNAVAILABLE;
	result = call->result;
	*friends = call->friends;
	memset(&call->friends, 0, sizeof call->friends);
	call_free(call);
	return result;
}

bool directory_is_stuck(const struct directory *directory)
{
	return atomic_load(&directory->stuck) > 0;
}

struct directory_call *directory_ask_friends(struct directory *directory, const struct userid *user,
					     directory_done *done, void *arg)
{
	struct directory_call *call = call_new(directory, SQL_FRIENDS, user->text);

	call->done = done;
	call->arg = arg;
	if (enqueue(directory, call))
		return call;
	call_free(call);
	return NULL;
}

void directory_cancel(struct directory_call *call)
{
	struct directory *directory = call->directory;

	pthread_mutex_lock(&directory->lock);
	forget(directory, call);
	pthread_mutex_unlock(&directory->lock);
}

int directory_fd(const struct directory *directory)
{
	return directory->event_fd;
}

static struct directory_call *next_answer(struct directory *directory)
{
	struct directory_call *call;

	pthread_mutex_lock(&directory->lock);
	call = TAILQ_FIRST(&directory->answers);
	if (call != NULL)
		TAILQ_REMOVE(&directory->answers, call, entry);
	pthread_mutex_unlock(&directory->lock);
	return call;
}

void directory_dispatch(struct directory *directory)
{
	struct directory_call *call;
	uint64_t count;

	/* Emptied first: what is answered from here on makes it readable again. */
	if (read(directory->event_fd, &count, sizeof count) < 0 && errno != EAGAIN)
		log_error("directory: eventfd: %s", strerror(errno));
	/* One by one, for done() may cancel others. */
	while ((call = next_answer(directory)) != NULL) {
		call->done(call->arg, call->result, &call->friends);
		memset(&call->friends, 0, sizeof call->friends);
		call_free(call);
	}
}

struct sql *directory_sql(const struct directory *directory)
{
	return directory->own;
}
