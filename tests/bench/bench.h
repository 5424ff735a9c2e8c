/* What the benchmark's programs share: time, processes, sockets. */
#ifndef PRESENCE_TESTS_BENCH_H
#define PRESENCE_TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

int64_t bench_now_ns(void); /* monotonic, the same for all processes of this machine */

/*
 * CPU time of a process, all its threads, user and system; what the kernel does
 * for its system calls, such as the receiver's half of a send() on the loopback,
 * is in it. 0 when there is no such process (any more).
 */
int64_t bench_cpu_ns(pid_t pid);
/* Proportional set size in kB: private pages, and its share of shared ones. */
long bench_pss_kb(pid_t pid);

/* A number on the command line, 0..max. */
long bench_number(const char *text, long max);

/* Soft limit of descriptors to the hard one. */
void bench_raise_descriptors(void);

/*
 * Non-blocking sockets. An address is unix:/path or a port on 127.0.0.1.
 * bench_connect: -1 with errno; EINPROGRESS comes back as a descriptor.
 */
int bench_connect(const char *address);
int bench_listen(const char *address);
int bench_accept(int listener); /* -1 when nobody waits */

#endif
