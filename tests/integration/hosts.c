#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

#define SKIPPED 77 /* exit status, for automake */
#define WORDS_MAX 24
#define CARD "link0"

static const struct {
	const char *address, *card;
} places[HOSTS] = {{"192.0.2.1", "02:00:00:00:00:01"}, {"192.0.2.2", "02:00:00:00:00:02"}};
#define NOBODY "02:00:00:00:00:ff" /* no card has it */

/* --- ip(8), which is told what to do in the namespace of this process ------------------------- */

static bool run_words(char *text)
{
	extern char **environ;
	char *words[WORDS_MAX] = {"ip"}, *rest = text;
	int count = 1, status;
	pid_t pid;

	for (char *word; (word = strsep(&rest, " ")) != NULL && count < WORDS_MAX - 1;)
		words[count++] = word;
	if (posix_spawnp(&pid, words[0], NULL, NULL, words, environ) != 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool __attribute__((format(printf, 1, 2))) ip(const char *format, ...)
{
	va_list args;
	char *text;
	bool ok;

	va_start(args, format);
	ok = vasprintf(&text, format, args) > 0;
	va_end(args);
	if (!ok)
		return false;
	ok = run_words(text);
	free(text);
	return ok;
}

/* --- namespaces ------------------------------------------------------------------------------- */

static bool write_line(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Who is not root may be the root of a namespace of users. */
static bool become_root(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof users, "0 %d 1", (int)getuid());
	snprintf(groups, sizeof groups, "0 %d 1", (int)getgid());
	return unshare(CLONE_NEWUSER) == 0 && write_line("/proc/self/setgroups", "deny") &&
	       write_line("/proc/self/uid_map", users) && write_line("/proc/self/gid_map", groups);
}

static bool make(struct host hosts[HOSTS])
{
	if (geteuid() != 0 && !become_root())
		return false;
	for (int i = 0; i < HOSTS; i++) {
		hosts[i].number = i;
		hosts[i].address = places[i].address;
		if (unshare(CLONE_NEWNET) != 0)
			return false;
		hosts[i].net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (hosts[i].net < 0 || !ip("link set lo up"))
			return false;
	}
	/* Made where this process is now, the last one. */
	if (!ip("link add " CARD " address %s type veth peer name " CARD
		" address %s netns /proc/%d/fd/%d",
		places[1].card, places[0].card, (int)getpid(), hosts[0].net))
		return false;
	for (int i = 0; i < HOSTS; i++) {
		if (setns(hosts[i].net, CLONE_NEWNET) != 0 ||
		    !ip("address add %s/24 dev " CARD, places[i].address) ||
		    !ip("link set " CARD " up"))
			return false;
	}
	return true;
}

static bool are_possible(void)
{
	struct host hosts[HOSTS];
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(make(hosts) ? EXIT_SUCCESS : EXIT_FAILURE);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int hosts_main(Suite *suite)
{
	if (are_possible())
		return harness_main(suite);
	fputs("SKIP: no right to make network namespaces and a link between them (root has it)\n",
	      stderr);
	return SKIPPED;
}

void host_enter(const struct host *host)
{
	ck_assert_msg(setns(host->net, CLONE_NEWNET) == 0, "host %d: %s", host->number,
		      strerror(errno));
}

/* Each has only what it was told about where the other is, so a wrong card loses what is sent there. */
static void tell(const struct host hosts[HOSTS], bool truth)
{
	for (int i = 0; i < HOSTS; i++) {
		host_enter(&hosts[i]);
		ck_assert(ip("neighbour replace %s lladdr %s dev " CARD " nud permanent",
			     places[!i].address, truth ? places[!i].card : NOBODY));
	}
}

void hosts_make(struct host hosts[HOSTS])
{
	ck_assert_msg(make(hosts), "no hosts");
	hosts_heal(hosts);
	host_enter(&hosts[0]);
}

void hosts_cut(const struct host hosts[HOSTS])
{
	tell(hosts, false);
}

void hosts_heal(const struct host hosts[HOSTS])
{
	tell(hosts, true);
}
