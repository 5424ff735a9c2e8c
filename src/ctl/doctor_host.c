/* doctor: the web server's processes, where it runs on this machine and we may look at them. */
#include "ctl/doctor_host.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/address.h"

#define SPARE_DESCRIPTORS 32 /* of a web server's process: files, logs, connections at rest */
#define PATH_SIZE 256
#define LINE_SIZE 512
#define NAME_SIZE 64

void doctor_find_server(struct doctor *doctor, const char *address, int port)
{
	enum web_server found = WEB_UNKNOWN;

	doctor->processes = doctor_listeners(address, port, &doctor->process_count, &found);
	if (doctor->processes == NULL)
		return;
	/* One in front of another: whose line it is cannot be told. */
	doctor->server =
		doctor->server == WEB_UNKNOWN || doctor->server == found ? found : WEB_UNKNOWN;
}

/* --- may its user connect --- */

/* Whether the mode's bit (S_IXOTH, S_IWOTH) is this process' too. */
static bool allows(const struct stat *info, const struct web_process *process, mode_t bit)
{
	bool in_group = process->gid == info->st_gid;

	if (process->uid == 0)
		return true;
	if (process->uid == info->st_uid)
		return (info->st_mode & bit << 6) != 0;
	for (int i = 0; i < process->group_count; i++)
		in_group = in_group || process->groups[i] == info->st_gid;
	return (info->st_mode & (in_group ? bit << 3 : bit)) != 0;
}

/* Which part of a socket's path denies the process, in `what`; false: none does. */
static bool is_denied(const char *socket, const struct web_process *process, char what[PATH_SIZE],
		      struct stat *info)
{
	for (const char *end = strchr(socket, '/'); end != NULL; end = strchr(end + 1, '/')) {
		snprintf(what, PATH_SIZE, "%.*s", end == socket ? 1 : (int)(end - socket), socket);
		if (stat(what, info) == 0 && !allows(info, process, S_IXOTH))
			return true;
	}
	snprintf(what, PATH_SIZE, "%s", socket);
	return stat(what, info) == 0 && S_ISSOCK(info->st_mode) && !allows(info, process, S_IWOTH);
}

static void put_user(char name[NAME_SIZE], uid_t uid)
{
	/* cppcheck-suppress getpwuidCalled ; presencectl has one thread */
	const struct passwd *user = getpwuid(uid);

	snprintf(name, NAME_SIZE, "%s", user != NULL ? user->pw_name : "?");
}

static void put_group(char name[NAME_SIZE], gid_t gid)
{
	/* cppcheck-suppress getgrgidCalled ; presencectl has one thread */
	const struct group *group = getgrgid(gid);

	snprintf(name, NAME_SIZE, "%s", group != NULL ? group->gr_name : "?");
}

static void report_denied(struct doctor *doctor, const char *socket, const char *what,
			  const struct stat *info, const struct web_process *process)
{
	mode_t bit = S_ISSOCK(info->st_mode) ? S_IWGRP : S_IXGRP;
	const char *server = doctor_server_name(doctor->server);
	char user[NAME_SIZE], owner[NAME_SIZE], group[NAME_SIZE], change[LINE_SIZE];

	put_user(user, process->uid);
	put_user(owner, info->st_uid);
	put_group(group, info->st_gid);
	if ((info->st_mode & bit) != 0 && info->st_gid != 0)
		snprintf(change, sizeof change, "adduser %s %s, and restart %s", user, group,
			 server);
	else if (S_ISSOCK(info->st_mode))
		snprintf(change, sizeof change,
			 "stream.mode (or SocketMode=) 0660, and a group in common with %s", user);
	else
		snprintf(change, sizeof change, "chmod 0755 %s", what);
	doctor_say(doctor, FINDING_FAIL, change,
		   "web: %s's user %s may not connect to %s: %s is %04o %s:%s", server, user,
		   socket, what, (unsigned)info->st_mode & 07777, owner, group);
}

static bool check_socket(struct doctor *doctor, const char *socket)
{
	char what[PATH_SIZE];
	struct stat info;

	for (int i = 0; i < doctor->process_count; i++) {
		if (!is_denied(socket, &doctor->processes[i], what, &info))
			continue;
		report_denied(doctor, socket, what, &info, &doctor->processes[i]);
		return false;
	}
	return true;
}

/* The socket of presence-api: [api] listen's, or where the units have it, beside streamd's. */
static void put_api_socket(char path[PATH_SIZE], const struct config *config, const char *streamd)
{
	struct listen_address address;
	const char *slash = streamd != NULL ? strrchr(streamd, '/') : NULL;

	*path = '\0';
	if (*config->api.listen != '\0' &&
	    listen_address_parse(config->api.listen, &address) == NULL) {
		if (address.path != NULL)
			snprintf(path, PATH_SIZE, "%s", address.path);
		listen_address_free(&address);
	} else if (slash != NULL) {
		snprintf(path, PATH_SIZE, "%.*s/api.sock", (int)(slash - streamd), streamd);
	}
}

bool doctor_check_rights(struct doctor *doctor)
{
	const struct config *config = doctor->ctl->config;
	struct listen_address address;
	char api[PATH_SIZE];
	bool ok = true;

	if (listen_address_parse(config->stream.listen, &address) != NULL)
		return true; /* said above, of streamd */
	put_api_socket(api, config, address.path);
	if (address.path != NULL)
		ok = check_socket(doctor, address.path);
	if (*api != '\0')
		ok = check_socket(doctor, api) && ok;
	listen_address_free(&address);
	return ok;
}

/* --- how many descriptors it may open --- */

/* Streams that all processes together have descriptors for: two each. */
static long long streams_of(const struct doctor *doctor)
{
	long long streams = 0;

	for (int i = 0; i < doctor->process_count; i++)
		streams += (doctor->processes[i].descriptors - SPARE_DESCRIPTORS) / 2;
	return streams > 0 ? streams : 0;
}

/* Apache has as many processes as it takes: each needs enough for its own threads. */
static long long streams_of_threads(const struct doctor *doctor, long long wanted)
{
	for (int i = 0; i < doctor->process_count; i++) {
		const struct web_process *process = &doctor->processes[i];
		long long streams = (process->descriptors - SPARE_DESCRIPTORS) / 2;

		if (streams < process->threads)
			return streams > 0 ? streams : 0;
	}
	return wanted;
}

void doctor_check_descriptors(struct doctor *doctor)
{
	long long wanted = doctor->ctl->config->stream.max_streams, streams;
	const char *server = doctor_server_name(doctor->server);

	if (doctor->process_count == 0)
		return;
	streams = doctor->server == WEB_APACHE ? streams_of_threads(doctor, wanted)
					       : streams_of(doctor);
	if (streams < wanted)
		doctor_say(doctor, FINDING_WARN, doctor_change(doctor->server, MISTAKE_DESCRIPTORS),
			   "descriptors: %s's process %d may open %lld, two for each stream, so at "
			   "most %lld streams instead of max_streams = %lld",
			   server, (int)doctor->processes[0].pid, doctor->processes[0].descriptors,
			   streams, wanted);
	else
		doctor_say(doctor, FINDING_OK, NULL,
			   "descriptors: %s may open %lld, enough for max_streams = %lld", server,
			   doctor->processes[0].descriptors, wanted);
}
