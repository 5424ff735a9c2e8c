/* doctor: what proc(5) tells of the processes on this machine. */
#include "ctl/doctor_process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

#define PROCESSES_MAX 256
#define SOCKETS_MAX 16 /* a web server may listen on some addresses at the same port */
#define TCP_LISTEN 0x0a

static FILE *open_of(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

/* "Max open files            1024                 20000                files" */
bool doctor_read_limits(pid_t pid, long long *soft, long long *hard)
{
	static const char head[] = "Max open files";
	FILE *file = open_of(pid, "limits");
	char line[256];
	bool found = false;

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, head, sizeof head - 1) == 0)
			found = sscanf(line + sizeof head - 1, "%lld %lld", soft, hard) == 2;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

/* "4 24 27 " */
static void read_groups(struct web_process *process, char *text)
{
	int max = (int)(sizeof process->groups / sizeof process->groups[0]);
	char *rest = NULL;

	process->group_count = 0;
	for (char *word = strtok_r(text, " \t\n", &rest);
	     word != NULL && process->group_count < max; word = strtok_r(NULL, " \t\n", &rest))
		process->groups[process->group_count++] = (gid_t)strtoul(word, NULL, 10);
}

bool doctor_read_process(pid_t pid, struct web_process *process, char name[32])
{
	FILE *file = open_of(pid, "status");
	char line[1024];
	long long hard;

	*process = (struct web_process){.pid = pid};
	*name = '\0';
	if (file == NULL)
		return false;
	while (fgets(line, sizeof line, file) != NULL) {
		unsigned id = 0;

		if (sscanf(line, "Name: %31[^\n]", name) == 1 ||
		    sscanf(line, "PPid: %d", &process->parent) == 1 ||
		    sscanf(line, "Threads: %d", &process->threads) == 1)
			continue;
		if (sscanf(line, "Uid: %*u %u", &id) == 1)
			process->uid = id;
		else if (sscanf(line, "Gid: %*u %u", &id) == 1)
			process->gid = id;
		else if (strncmp(line, "Groups:", 7) == 0)
			read_groups(process, line + 7);
	}
	fclose(file);
	return *name != '\0' && doctor_read_limits(pid, &process->descriptors, &hard);
}

/* --- who listens --- */

/* An address as /proc/net/tcp has it: each 32 bits of it as a number of this machine. */
static bool is_address(const char *text, const uint32_t *wanted, int words)
{
	bool is_any = true, is_wanted = wanted != NULL;

	for (int i = 0; i < words; i++) {
		char word[9];
		uint32_t value;

		snprintf(word, sizeof word, "%.8s", text + (ptrdiff_t)i * 8);
		value = (uint32_t)strtoul(word, NULL, 16);
		is_any = is_any && value == 0;
		is_wanted = is_wanted && value == wanted[i];
	}
	return is_any || is_wanted;
}

/* "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 4711"
 */
static int find_sockets(const char *file_name, const uint32_t *wanted, int words, int port,
			unsigned long *inodes, int count)
{
	FILE *file = fopen(file_name, "re");
	char line[512], address[40];
	unsigned line_port, state;
	unsigned long inode;

	while (file != NULL && count < SOCKETS_MAX && fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, " %*u: %39[0-9A-F]:%x %*s %x %*s %*s %*s %*u %*u %lu", address,
			   &line_port, &state, &inode) == 4 &&
		    state == TCP_LISTEN && (int)line_port == port &&
		    strlen(address) == (size_t)words * 8 && is_address(address, wanted, words))
			inodes[count++] = inode;
	}
	if (file != NULL)
		fclose(file);
	return count;
}

static bool holds(pid_t pid, const unsigned long *inodes, int count)
{
	char path[64], target[64];
	struct dirent *entry;
	unsigned long inode;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path); /* our own processes', or everybody's as root */
	/* cppcheck-suppress readdirCalled ; readdir_r(3) is deprecated, a DIR of one thread needs none */
	while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);

		target[len > 0 ? len : 0] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) != 1)
			continue;
		for (int i = 0; i < count; i++)
			found = found || inodes[i] == inode;
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

/* Parents that only look after those who serve go. */
static int drop_masters(struct web_process *list, int count)
{
	int kept = 0;

	for (int i = 0; i < count; i++) {
		bool is_master = false;

		for (int j = 0; j < count; j++)
			is_master = is_master || list[j].parent == list[i].pid;
		list[i].threads = is_master ? 0 : list[i].threads;
	}
	for (int i = 0; i < count; i++) {
		if (list[i].threads > 0)
			list[kept++] = list[i];
	}
	return kept;
}

static int find_holders(struct web_process *list, const unsigned long *inodes, int inode_count,
			enum web_server *server)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char name[32];
	int count = 0;

	/* cppcheck-suppress readdirCalled ; likewise */
	while (dir != NULL && count < PROCESSES_MAX && (entry = readdir(dir)) != NULL) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid <= 0 || !doctor_read_process(pid, &list[count], name) ||
		    doctor_server_named(name) == WEB_UNKNOWN || !holds(pid, inodes, inode_count))
			continue;
		*server = doctor_server_named(name);
		count++;
	}
	if (dir != NULL)
		closedir(dir);
	return drop_masters(list, count);
}

struct web_process *doctor_listeners(const char *address, int port, int *count,
				     enum web_server *server)
{
	struct web_process *list;
	unsigned long inodes[SOCKETS_MAX];
	uint32_t v4, v6[4];
	int found;

	found = find_sockets("/proc/net/tcp", inet_pton(AF_INET, address, &v4) == 1 ? &v4 : NULL, 1,
			     port, inodes, 0);
	found = find_sockets("/proc/net/tcp6", inet_pton(AF_INET6, address, v6) == 1 ? v6 : NULL, 4,
			     port, inodes, found);
	*count = 0;
	if (found == 0)
		return NULL;
	list = xcalloc(PROCESSES_MAX, sizeof *list);
	*count = find_holders(list, inodes, found, server);
	if (*count > 0)
		return list;
	free(list);
	return NULL;
}
