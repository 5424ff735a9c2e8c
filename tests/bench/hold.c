/*
 * How long presence-streamd's loop keeps one peer waiting while it serves others: asks it for a
 * value (FCGI_GET_VALUES), which takes no time by itself, again and again until SIGTERM.
 *
 *     hold ADDRESS PID
 *
 * Prints one line, NAME=NUMBER …:
 *   asked    questions
 *   longest  until an answer, us
 *   cpu      the most that the process computed from a question to its answer, us: the same where
 *            nothing else wants the processor
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <fastcgi.h>

#include "bench.h"

#define NAP_NS 300000
#define QUESTIONS \
	2000 /* on one connection, which streamd gives ten seconds for a request to come */

static volatile sig_atomic_t over;

static void on_signal(int number)
{
	(void)number;
	over = 1;
}

static int open_connection(const char *address)
{
	int fd = bench_connect(address);

	if (fd < 0 || fcntl(fd, F_SETFL, 0) != 0)
		bench_die("%s: %s", address, strerror(errno));
	return fd;
}

/* Record header, length of the name, length of its value, the name. */
static void ask(int fd)
{
	static const char question[] = "\x01\x09\0\0\0\x10\0\0\x0e\0" FCGI_MAX_CONNS;
	char answer[256];

	if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != sizeof question - 1 ||
	    recv(fd, answer, sizeof answer, 0) <= 0)
		bench_die("streamd does not answer: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct timespec nap = {.tv_nsec = NAP_NS};
	int64_t longest = 0, cpu = 0;
	long asked = 0;
	pid_t pid;
	int fd;

	if (argc != 3)
		bench_die("usage: hold ADDRESS PID");
	pid = (pid_t)bench_number(argv[2], 1 << 30);
	signal(SIGTERM, on_signal);
	for (fd = open_connection(argv[1]); !over; asked++) {
		int64_t start = bench_now_ns(), start_cpu = bench_cpu_ns(pid), took, took_cpu;

		ask(fd);
		took_cpu = bench_cpu_ns(pid) - start_cpu;
		took = bench_now_ns() - start;
		longest = took > longest ? took : longest;
		cpu = took_cpu > cpu ? took_cpu : cpu;
		nanosleep(&nap, NULL);
		if (asked % QUESTIONS == QUESTIONS - 1) {
			close(fd);
			fd = open_connection(argv[1]);
		}
	}
	close(fd);
	printf("hold asked=%ld longest=%lld cpu=%lld\n", asked, (long long)longest / 1000,
	       (long long)cpu / 1000);
	return 0;
}
