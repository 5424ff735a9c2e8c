/* doctor: processes on this machine, as proc(5) tells of them. */
#ifndef PRESENCE_CTL_DOCTOR_PROCESS_H
#define PRESENCE_CTL_DOCTOR_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "ctl/doctor_advice.h"

/* A process of the web server that serves requests. */
struct web_process {
	pid_t pid, parent;
	uid_t uid;
	gid_t gid, groups[64];
	int group_count;
	int threads;
	long long descriptors; /* its soft limit */
};

/* False: there is no such process, or it cannot be looked at. */
bool doctor_read_limits(pid_t pid, long long *soft, long long *hard);
bool doctor_read_process(pid_t pid, struct web_process *process, char name[32]);
/* The processes of a known web server that hold the listening socket; NULL: none. To be freed. */
struct web_process *doctor_listeners(const char *address, int port, int *count,
				     enum web_server *server);

#endif
