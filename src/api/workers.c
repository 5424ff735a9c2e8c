#include "api/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/accept.h"
#include "api/channel.h"
#include "api/gate.h"
#include "api/lender.h"
#include "api/pool.h"
#include "api/request.h"
#include "base/log.h"
#include "base/times.h"

#define DRAIN_LIMIT 500 /* ms for requests that are on their way when we are to stop */
#define PASS_LIMIT 10000 /* ms for those that have arrived until a worker takes them */
#define FULL_WAIT 100 /* ms before a channel that is full for reasons of its own is tried again */

/* Times are in ms of the monotonic clock. */
struct workers {
	const struct config *config; /* in use: the one given at the start, or `loaded` */
	struct config *loaded; /* the latest that was read again, or NULL */
	const char *file;
	const char *path; /* of the socket, ours to give up, or NULL */
	struct epochs *epochs; /* shared by all workers; no reload changes the partitions */
	worker_main *check, *serve;
	struct gate *gate;
	int ours; /* end of the channel */
	struct accept_parent theirs; /* the other one, and how the listener is lent */
	int held; /* a connection that the channel did not take, or -1 */
	struct printbuf *taken; /* what was taken from it */
	int64_t retry_at; /* POOL_NEVER, or when to try that again */
	sigset_t starting_mask; /* what is held (signals.h) in whoever starts */
	sigset_t waiting_mask; /* lets signals in; in use while we wait, and only then */
	struct config *checked; /* `check` runs for it, or NULL */
	pid_t check_pid;
	struct pool pool;
	int64_t stop_by; /* POOL_NEVER, or when the workers are told to end at the latest */
	bool stopping; /* they have been told */
};

static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
#define HANDLED (sizeof handled / sizeof handled[0])

static volatile sig_atomic_t got_stop, got_reload, got_child;

static pid_t wait_for(pid_t pid, int *status, int flags)
{
	pid_t ended;

	do
		ended = waitpid(pid, status, flags);
	while (ended < 0 && errno == EINTR);
	return ended;
}

/* In a child: a copy of the socket would keep it open after the parent's death. */
static void release_listener(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0) {
		close(ACCEPT_LISTENER);
		return;
	}
	dup2(null, ACCEPT_LISTENER);
	close(null);
}

int workers_check(const struct config *config, worker_main *check)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		release_listener();
		exit(check(config, NULL, NULL));
	}
	if (pid < 0 || wait_for(pid, &status, 0) != pid || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

static void close_held(struct workers *workers)
{
	if (workers->held < 0)
		return;
	close(workers->held);
	printbuf_free(workers->taken);
	workers->held = -1;
}

/* In a child: a copy of a connection would keep its peer waiting. */
static void forget_parent(struct workers *workers)
{
	release_listener();
	gate_free(workers->gate);
	close_held(workers);
	close(workers->ours);
}

/* Forks a process that runs `run`, without the parent's descriptors; its pid, or -1. */
static pid_t spawn(struct workers *workers, const struct config *config, worker_main *run)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	forget_parent(workers);
	for (size_t i = 0; i < HANDLED; i++)
		signal(handled[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &workers->starting_mask, NULL);
	exit(run(config, &workers->theirs, workers->epochs));
}

static pid_t spawn_worker(void *arg)
{
	struct workers *workers = arg;

	return spawn(workers, workers->config, workers->serve);
}

/* --- deadlines ------------------------------------------------------------------------------- */

/* Whether all who had begun a request have been passed on, as far as the last wait has shown. */
static bool is_drained(const struct workers *workers)
{
	return workers->held < 0 && !gate_expects(workers->gate);
}

/* When there is next something to do that no signal tells. */
static int64_t next_deadline(const struct workers *workers)
{
	int64_t next = pool_next_deadline(&workers->pool, !workers->stopping);

	if (got_stop && !workers->stopping) {
		int64_t stop = is_drained(workers)  ? 0
			       : workers->held >= 0 ? workers->stop_by + PASS_LIMIT
						    : workers->stop_by;

		next = stop < next ? stop : next;
	}
	return workers->retry_at < next ? workers->retry_at : next;
}

/* --- a configuration that is read again ------------------------------------------------------ */

/* Reads it, and has it checked in a process of its own: requests go on meanwhile. */
static void begin_reload(struct workers *workers)
{
	static const char *const fixed[] = {CONFIG_FIXED_REDIS, "api.listen", NULL};
	char err[512];
	struct config *config = config_load(workers->file, err, sizeof err);

	if (config == NULL) {
		log_error("%s; the old configuration stays", err);
		return;
	}
	config_keep(workers->config, config, fixed);
	workers->check_pid = spawn(workers, config, workers->check);
	if (workers->check_pid > 0) {
		workers->checked = config;
		return;
	}
	log_error("cannot check the new configuration: %s; the old one stays", strerror(errno));
	config_free(config);
}

static void on_check_end(struct workers *workers, int status)
{
	struct config *config = workers->checked;

	workers->checked = NULL;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		log_error("the new configuration does not work; the old one stays");
		config_free(config);
		return;
	}
	config_free(workers->loaded);
	workers->config = workers->loaded = config;
	log_setup("presence-api", (enum log_level)config->log.level, config->log.target == 1);
	log_info("configuration read again, replacing the workers");
	gate_set_most(workers->gate, request_most(config));
	pool_renew(&workers->pool, config->api.children);
}

/* --- connections ----------------------------------------------------------------------------- */

/* What is to be done when the channel took no connection. */
static void wait_for_channel(struct workers *workers, int64_t now)
{
	bool is_full = errno == EAGAIN;

	/* Else too many descriptors are under way in all programs of this user: unix(7). */
	if (!is_full)
		workers->retry_at = now + FULL_WAIT;
	gate_watch(workers->gate, workers->ours, is_full ? GATE_WATCH_BOTH : GATE_WATCH_INPUT);
}

/* Passes on connections with a request to serve, until the channel is full. */
static void pass_on(struct workers *workers, int64_t now)
{
	bool waited = workers->held >= 0;

	workers->retry_at = POOL_NEVER;
	for (;;) {
		if (workers->held < 0)
			workers->held = gate_next(workers->gate, &workers->taken);
		if (workers->held < 0)
			break;
		if (!channel_send(workers->ours, workers->held, CHANNEL_REQUEST, workers->taken)) {
			wait_for_channel(workers, now);
			return;
		}
		close_held(workers);
	}
	if (waited)
		gate_watch(workers->gate, workers->ours, GATE_WATCH_INPUT);
}

/* Takes what the workers do not keep. */
static void take_back(struct workers *workers)
{
	struct printbuf *taken = buf_new();
	enum channel_word word;
	int fd;

	while ((fd = channel_receive(workers->ours, &word, taken)) >= 0) {
		if (word == CHANNEL_YOUNG)
			gate_admit(workers->gate, fd, taken);
		else if (word == CHANNEL_KEPT)
			gate_keep(workers->gate, fd);
		else
			gate_linger(workers->gate, fd);
	}
	printbuf_free(taken);
}

/* --- the loop -------------------------------------------------------------------------------- */

static void reap(struct workers *workers, int64_t now)
{
	int status;
	pid_t pid;

	if (!got_child)
		return;
	got_child = 0;
	while ((pid = wait_for(-1, &status, WNOHANG)) > 0) {
		if (workers->checked != NULL && pid == workers->check_pid)
			on_check_end(workers, status);
		else
			pool_on_end(&workers->pool, pid, status, now);
	}
}

/* Waits for connections and signals, and serves the former. False: the listener is gone. */
static bool wait_and_pass(struct workers *workers, int64_t now)
{
	int64_t next = next_deadline(workers), wait = next > now ? next - now : 0;
	int happened, limit = next == POOL_NEVER ? -1 : wait < INT_MAX ? (int)wait : INT_MAX;

	happened = gate_wait(workers->gate, limit, &workers->waiting_mask);
	if (happened < 0) {
		log_error("cannot accept any more: %s", strerror(errno));
		return false;
	}
	if (gate_watched(workers->gate))
		take_back(workers);
	if (!workers->stopping)
		pass_on(workers, now);
	if (workers->stop_by != POOL_NEVER && happened == 0 && is_drained(workers))
		workers->stop_by = now;
	return true;
}

static void on_signal(int signo)
{
	if (signo == SIGTERM || signo == SIGINT)
		got_stop = 1;
	else if (signo == SIGHUP)
		got_reload = 1;
	else
		got_child = 1;
}

static void install_signals(struct workers *workers)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < HANDLED; i++) {
		sigaction(handled[i], &action, NULL);
		sigaddset(&blocked, handled[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, &workers->starting_mask);
	workers->waiting_mask = workers->starting_mask;
	for (size_t i = 0; i < HANDLED; i++)
		sigdelset(&workers->waiting_mask, handled[i]);
}

static bool open_connections(struct workers *workers)
{
	int ends[2];

	workers->gate = gate_new(ACCEPT_LISTENER, request_most(workers->config));
	if (workers->gate == NULL || !channel_open(ends)) {
		log_error("cannot wait for connections: %s", strerror(errno));
		return false;
	}
	workers->ours = ends[0];
	workers->theirs =
		(struct accept_parent){.channel = ends[1], .lender = lender_open(ACCEPT_LISTENER)};
	if (workers->theirs.lender >= 0)
		gate_close(workers->gate);
	return gate_watch(workers->gate, workers->ours, GATE_WATCH_INPUT);
}

static void begin_stop(struct workers *workers, int64_t now)
{
	workers->stop_by = now + DRAIN_LIMIT;
	/* Whom the workers have not accepted when they are told to end. */
	gate_open(workers->gate);
	if (workers->path != NULL)
		gate_withdraw(workers->gate, workers->path);
}

/* The workers end when they have served all that was passed on. */
static void go_on_stopping(struct workers *workers, int64_t now)
{
	gate_close(workers->gate);
	if (workers->held >= 0 && workers->stop_by + PASS_LIMIT > now)
		return;
	channel_finish(workers->ours);
	workers->stopping = true;
	pool_stop(&workers->pool, now);
}

/* What signals have asked for. */
static void obey(struct workers *workers, int64_t now)
{
	if (got_stop && workers->stop_by == POOL_NEVER)
		begin_stop(workers, now);
	if (workers->stop_by <= now && !workers->stopping)
		go_on_stopping(workers, now);
	if (got_reload && workers->checked == NULL) {
		got_reload = 0;
		if (!got_stop)
			begin_reload(workers);
	}
}

static void run(struct workers *workers)
{
	for (;;) {
		int64_t now = times_mono_ms();

		reap(workers, now);
		obey(workers, now);
		if (pool_kill_overdue(&workers->pool, now) == 0 && workers->stopping)
			return;
		if (!workers->stopping) {
			pool_start_due(&workers->pool, now, spawn_worker, workers);
			pool_retire_one(&workers->pool, now);
		}
		if (!wait_and_pass(workers, now))
			got_stop = 1;
	}
}

int workers_run(const struct config *config, const char *file, const char *path, worker_main *check,
		worker_main *serve)
{
	struct workers workers = {.config = config,
				  .file = file,
				  .path = path,
				  .epochs = epochs_new(config),
				  .check = check,
				  .serve = serve,
				  .held = -1,
				  .retry_at = POOL_NEVER,
				  .stop_by = POOL_NEVER};

	install_signals(&workers);
	if (!open_connections(&workers))
		return 1;
	pool_resize(&workers.pool, config->api.children);
	log_info("keeping %zu workers", workers.pool.wanted);
	run(&workers);
	close_held(&workers);
	close(workers.ours);
	close(workers.theirs.channel);
	if (workers.theirs.lender >= 0)
		close(workers.theirs.lender);
	gate_free(workers.gate);
	free(workers.pool.slots);
	epochs_free(workers.epochs);
	config_free(workers.checked);
	config_free(workers.loaded);
	return 0;
}
