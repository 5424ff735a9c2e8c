#include "api/lender.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

/* glibc has no functions for these before 2.36, musl has none. */
static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int lender_borrow(int lender, int listener)
{
	return (int)syscall(SYS_pidfd_getfd, lender, listener, 0);
}

/* Whether a child may; only a child can tell. */
static bool is_allowed(int lender, int listener)
{
	pid_t pid = fork(), ended;
	int status;

	if (pid == 0)
		_exit(lender_borrow(lender, listener) < 0);
	do
		ended = waitpid(pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	return pid > 0 && ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int lender_open(int listener)
{
	int self = open_pidfd(getpid());

	/* Yama (ptrace_scope) lets a process borrow from those only that say so; here, what this one starts. */
	prctl(PR_SET_PTRACER, getpid());
	if (self >= 0 && is_allowed(self, listener))
		return self;
	log_info("workers may not borrow the listener: the parent accepts for them");
	if (self >= 0)
		close(self);
	return -1;
}
