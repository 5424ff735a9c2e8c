/* Probes and figures: see swarm.h. */
#include "swarm.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../bench/bench.h"

void stretch_timeouts(void)
{
	char redis[12], directory[12];

	snprintf(redis, sizeof redis, "%d", patience(1000));
	snprintf(directory, sizeof directory, "%d", patience(5000));
	setenv("PRESENCE_REDIS_TIMEOUT_MS", redis, 1);
	setenv("PRESENCE_DIRECTORY_TIMEOUT_MS", directory, 1);
}

int64_t now_us(void)
{
	return bench_now_ns() / 1000;
}

long pss_kb(pid_t pid)
{
	return bench_pss_kb(pid);
}

int descriptors_of(pid_t pid)
{
	char path[64];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		closedir(dir);
	return count - 2; /* . and .. */
}

long long redis_info(struct stack *stack, const char *field)
{
	redisReply *reply = redis_cmd(stack, "INFO all");
	char wanted[64];
	const char *at;
	long long value;

	snprintf(wanted, sizeof wanted, "\n%s:", field);
	at = strstr(reply->str, wanted);
	ck_assert_msg(at != NULL, "no %s in INFO", field);
	value = strtoll(at + strlen(wanted), NULL, 10);
	freeReplyObject(reply);
	return value;
}

/* --- probes ------------------------------------------------------------------------------- */

static struct probe *probe_new(void)
{
	struct probe *probe = mmap(NULL, sizeof *probe, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(probe != MAP_FAILED);
	return probe;
}

static void on_answer(struct probe *probe, int64_t asked_us, bool ok)
{
	int64_t took = now_us() - asked_us;

	probe->asked++;
	probe->failed += !ok;
	if (took > probe->worst_us)
		probe->worst_us = took;
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* True in the child, which ends with its parent. */
static bool fork_probe(struct probe *probe)
{
	probe->pid = fork();
	ck_assert_int_ge(probe->pid, 0);
	if (probe->pid != 0)
		return false;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return true;
}

struct probe *probe_http(struct stack *stack, const char *path, const char *token, int interval_ms)
{
	struct probe *probe = probe_new();

	if (!fork_probe(probe))
		return probe;
	while (!probe->stop) {
		int64_t start = now_us();

		on_answer(probe, start, HTTP(stack, .path = path, .token = token)->status == 200);
		pause_ms(interval_ms);
	}
	_exit(0);
}

struct probe *probe_redis(struct stack *stack, int interval_ms)
{
	struct probe *probe = probe_new();
	redisContext *redis;

	if (!fork_probe(probe))
		return probe;
	redis = redisConnectUnix(stack_path(stack, "redis.sock"));
	while (!probe->stop) {
		int64_t start = now_us();
		redisReply *reply = redisCommand(redis, "PING");

		on_answer(probe, start, reply != NULL);
		freeReplyObject(reply);
		pause_ms(interval_ms);
	}
	_exit(0);
}

void probe_stop(struct probe *probe)
{
	probe->stop = true;
	waitpid(probe->pid, NULL, 0);
}

void probe_restart(struct probe *probe)
{
	probe->asked = probe->failed = 0;
	probe->worst_us = 0;
}

/* --- figures ------------------------------------------------------------------------------ */

void figure(const char *name, double value, const char *unit, double limit)
{
	printf("%-62s %12.1f %-6s limit %g\n", name, value, unit, limit);
	fflush(stdout);
	ck_assert_msg(value <= limit, "%s: %g %s, the limit is %g", name, value, unit, limit);
}

void tell(const char *name, double value, const char *unit)
{
	printf("%-62s %12.1f %s\n", name, value, unit);
	fflush(stdout);
}
