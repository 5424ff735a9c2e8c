#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) != 0)
		return 0;
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t bench_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t bench_cpu_ns(pid_t pid)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) == 0 ? read_clock(clock) : 0;
}

long bench_pss_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, "Pss:", 4) == 0)
			kb = strtol(line + 4, NULL, 10);
	}
	fclose(file);
	return kb;
}

long bench_number(const char *text, long max)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end == text || *end != '\0' || number < 0 || number > max)
		bench_die("%s is no number from 0 to %ld", text, max);
	return number;
}

void bench_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

union address {
	struct sockaddr any;
	struct sockaddr_un local;
	struct sockaddr_in inet;
};

static socklen_t parse_address(const char *text, union address *address)
{
	memset(address, 0, sizeof *address);
	if (strncmp(text, "unix:", 5) == 0) {
		text += 5;
		if (strlen(text) >= sizeof address->local.sun_path)
			bench_die("%s is too long for a socket", text);
		address->local.sun_family = AF_UNIX;
		strcpy(address->local.sun_path, text);
		return sizeof address->local;
	}
	address->inet.sin_family = AF_INET;
	address->inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address->inet.sin_port = htons((uint16_t)bench_number(text, 65535));
	return sizeof address->inet;
}

static int open_socket(const union address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		bench_die("socket: %s", strerror(errno));
	return fd;
}

static void set_no_delay(int fd, const union address *address)
{
	int on = 1;

	if (address->any.sa_family == AF_INET)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int bench_connect(const char *text)
{
	union address address;
	socklen_t len = parse_address(text, &address);
	int fd = open_socket(&address);

	set_no_delay(fd, &address);
	if (connect(fd, &address.any, len) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

int bench_listen(const char *text)
{
	union address address;
	socklen_t len = parse_address(text, &address);
	int fd = open_socket(&address), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	set_no_delay(fd, &address); /* accepted sockets inherit it */
	if (bind(fd, &address.any, len) != 0 || listen(fd, 4096) != 0)
		bench_die("%s: %s", text, strerror(errno));
	return fd;
}

int bench_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
