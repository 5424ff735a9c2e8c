/* Processes of the stand: the guardian, starting and ending them. */
#include "harness.h"
#include "process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"

#define LOG_TAIL 6000 /* bytes of each log that a failed test shows */
#define ACCEPTS_CONNECTIONS 0x10000u /* a flag in /proc/net/unix: __SO_ACCEPTCON of linux/net.h */

int patience(int ms)
{
	const char *slow = getenv("TEST_SLOW");
	double factor = slow != NULL ? strtod(slow, NULL) : 1;

	return (int)(ms * (factor < 1 ? 1 : factor));
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* --- the guardian ------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	remove(path);
	return 0;
}

void remove_tree(const char *dir)
{
	if (getenv("TEST_KEEP") == NULL)
		nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void show_log(const char *dir, const char *name)
{
	char path[512], text[LOG_TAIL];
	int fd;
	ssize_t len;
	off_t size;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	size = lseek(fd, 0, SEEK_END);
	len = pread(fd, text, sizeof text, size > LOG_TAIL ? size - LOG_TAIL : 0);
	if (len > 0)
		fprintf(stderr, "--- %s\n%.*s", path, (int)len, text);
	close(fd);
}

static void show_logs(const char *dir)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;

	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len > 4 && strcmp(entry->d_name + len - 4, ".log") == 0)
			show_log(dir, entry->d_name);
	}
	if (entries != NULL)
		closedir(entries);
}

static _Noreturn void guard(const char *dir, pid_t group, int fd)
{
	char word = 0;
	ssize_t got;

	setpgid(0, 0); /* Check kills the test's own group when its time is up */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	do
		got = read(fd, &word, 1);
	while (got < 0 && errno == EINTR);
	kill(-group, SIGKILL);
	if (got != 1)
		show_logs(dir);
	remove_tree(dir);
	_exit(0);
}

/* The group needs a member for as long as others may join it. */
static pid_t start_leader(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		setpgid(0, 0);
		close_range(3, ~0U, 0);
		for (;;)
			pause();
	}
	setpgid(pid, pid);
	return pid;
}

void guardian_start(struct stack *stack)
{
	int ends[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a runner that is killed takes its test along */
	stack->group = start_leader();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	stack->guardian = fork();
	ck_assert_int_ge(stack->guardian, 0);
	if (stack->guardian == 0) {
		dup2(ends[0], 3);
		close_range(4, ~0U, 0);
		guard(stack->dir, stack->group, 3);
	}
	close(ends[0]);
	stack->guardian_fd = ends[1];
}

/* Whether a process lives; its parent and group. A zombie is none: its parent may never look. */
static bool read_stat(pid_t pid, pid_t *parent, pid_t *group)
{
	char path[64], text[512], state = 'Z';
	const char *after;
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, text, sizeof text - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	after = strrchr(text, ')'); /* the name before it may hold anything */
	return after != NULL && sscanf(after + 1, " %c %d %d", &state, parent, group) == 3 &&
	       state != 'Z' && state != 'X';
}

/* Living processes with this parent or in this group (0: any); at most max; how many. */
static int find_processes(pid_t parent, pid_t group, pid_t *list, int max)
{
	DIR *entries = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	ck_assert_ptr_nonnull(entries);
	while ((entry = readdir(entries)) != NULL && count < max) {
		pid_t pid = (pid_t)atoi(entry->d_name), its_parent, its_group;

		if (pid > 0 && read_stat(pid, &its_parent, &its_group) &&
		    (parent == 0 || its_parent == parent) && (group == 0 || its_group == group))
			list[count++] = pid;
	}
	closedir(entries);
	return count;
}

void guardian_kill(struct stack *stack)
{
	pid_t members[64];
	int count = find_processes(0, stack->group, members, 64);

	for (int i = 0; i < count; i++) {
		if (members[i] != stack->group)
			kill(members[i], SIGKILL);
	}
}

/* Members of a process group other than its leader. */
static int group_size(pid_t group)
{
	pid_t members[64];

	return find_processes(0, group, members, 64) - 1;
}

void guardian_finish(struct stack *stack)
{
	int64_t end = now_ms() + patience(5000);

	while (group_size(stack->group) > 0 && now_ms() < end)
		nap();
	ck_assert_msg(group_size(stack->group) == 0, "%d processes outlived the web server",
		      group_size(stack->group));
	ck_assert_int_eq(write(stack->guardian_fd, "k", 1), 1);
	waitpid(stack->guardian, NULL, 0);
	waitpid(stack->group, NULL, 0);
	close(stack->guardian_fd);
}

/* --- starting and ending ------------------------------------------------------------------ */

void process_default_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(struct stack *stack, const char *log, const char *const argv[],
		   const char *const env[], int nofile)
{
	char path[128];
	int fd;

	setpgid(0, stack->group);
	process_default_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof path, "%s/%s.log", stack->dir, log);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, 0);
	close_range(3, ~0U, 0);
	if (nofile > 0)
		setrlimit(RLIMIT_NOFILE,
			  &(struct rlimit){.rlim_cur = (rlim_t)nofile, .rlim_max = (rlim_t)nofile});
	for (; env != NULL && *env != NULL; env += 2)
		setenv(env[0], env[1], 1);
	execvp(argv[0], (char *const *)argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

pid_t process_start(struct stack *stack, const char *log, const char *const argv[],
		    const char *const env[], int nofile)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		become(stack, log, argv, env, nofile);
	setpgid(pid, stack->group);
	return pid;
}

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_end(pid_t *pid, int signal, const char *name, int ms)
{
	int64_t end = now_ms() + patience(ms);
	int status;
	pid_t got;

	ck_assert_msg(*pid > 0, "%s does not run", name);
	if (signal != 0)
		kill(*pid, signal);
	while ((got = waitpid(*pid, &status, WNOHANG)) == 0) {
		ck_assert_msg(now_ms() < end, "%s did not end within %d ms", name, patience(ms));
		nap();
	}
	ck_assert_int_eq(got, *pid);
	*pid = 0;
	return exit_status(status);
}

bool process_runs(pid_t pid)
{
	pid_t parent, group;

	return read_stat(pid, &parent, &group);
}

bool process_lives(pid_t pid)
{
	siginfo_t info = {0};

	return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

static void feed(int fd, const char *input)
{
	size_t len = input != NULL ? strlen(input) : 0;

	while (len > 0) {
		ssize_t done = write(fd, input, len);

		if (done <= 0)
			break;
		input += done;
		len -= (size_t)done;
	}
	close(fd);
}

int run(struct stack *stack, char **out, const char *input, const char *const argv[])
{
	struct printbuf *text = buf_new();
	int in_ends[2], out_ends[2], status;
	char piece[4096];
	ssize_t got;
	pid_t pid;

	ck_assert_int_eq(pipe2(in_ends, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out_ends, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char path[128];
		int fd;

		snprintf(path, sizeof path, "%s/run.log", stack->dir);
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(in_ends[0], 0);
		dup2(out_ends[1], 1);
		dup2(fd, 2);
		process_default_signals();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(3, ~0U, 0);
		execvp(argv[0], (char *const *)argv);
		dprintf(2, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(in_ends[0]);
	close(out_ends[1]);
	feed(in_ends[1], input);
	while ((got = read(out_ends[0], piece, sizeof piece)) > 0)
		buf_put(text, piece, (size_t)got);
	close(out_ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (out != NULL)
		*out = buf_take(text, NULL);
	else
		printbuf_free(text);
	return exit_status(status);
}

long resident_kb(pid_t pid)
{
	char path[64], line[128];
	long kb = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		sscanf(line, "VmRSS: %ld", &kb);
	if (file != NULL)
		fclose(file);
	return kb;
}

int children_of(pid_t parent, pid_t *list, int max)
{
	return find_processes(parent, 0, list, max);
}

void signal_and_wait_stopped(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
}

/* --- ports -------------------------------------------------------------------------------- */

int free_port(void)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint16_t random;

	do {
		ck_assert_int_eq(getrandom(&random, sizeof random, 0), sizeof random);
		name.sin_port = htons((uint16_t)(10000 + random % 10000));
	} while (bind(fd, (struct sockaddr *)&name, sizeof name) != 0);
	close(fd);
	return ntohs(name.sin_port);
}

bool port_answers(int port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers = connect(fd, (struct sockaddr *)&name, sizeof name) == 0;

	close(fd);
	return answers;
}

bool socket_listens(const char *path)
{
	FILE *sockets = fopen("/proc/net/unix", "re");
	char line[256], name[128];
	unsigned flags;
	bool found = false;

	ck_assert_ptr_nonnull(sockets);
	while (!found && fgets(line, sizeof line, sockets) != NULL) {
		found = sscanf(line, "%*s %*x %*x %x %*x %*x %*u %127s", &flags, name) == 2 &&
			(flags & ACCEPTS_CONNECTIONS) != 0 && strcmp(name, path) == 0;
	}
	fclose(sockets);
	return found;
}
