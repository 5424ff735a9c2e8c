/* doctor: what its checks share. Each check says one line or more. */
#ifndef PRESENCE_CTL_DOCTOR_H
#define PRESENCE_CTL_DOCTOR_H

#include <sys/types.h>

#include "auth/token.h"
#include "ctl/ctl.h"

/*
 * In whose name the web server is tried, and many streams from there downwards: nobody's ids, which
 * still fit an integer column of any database.
 */
#define DOCTOR_NOBODY 2147483647

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

enum web_server { WEB_UNKNOWN, WEB_LIGHTTPD, WEB_APACHE, WEB_NGINX, WEB_HAPROXY, WEB_COUNT };

/* What is set wrong in a web server: doctor_advice.c has the line to change for each. */
enum mistake {
	MISTAKE_BUFFERING,
	MISTAKE_AUTHORIZATION,
	MISTAKE_COMPRESSION,
	MISTAKE_TIMEOUT,
	MISTAKE_CAPACITY,
	MISTAKE_DESCRIPTORS,
	MISTAKE_COUNT
};

/* A process of the web server that serves requests. */
struct web_process {
	pid_t pid, parent;
	uid_t uid;
	gid_t gid, groups[64];
	int group_count;
	int threads;
	long long descriptors; /* its soft limit */
};

struct doctor {
	struct ctl *ctl;
	struct token_keys *keys; /* NULL: they do not work, which was said */
	bool failed; /* something is FINDING_FAIL */
	bool is_first; /* nothing was said yet */
	bool streamd_answers; /* on its own socket */
	enum web_server server; /* that answers at --url */
	struct web_process *processes; /* its own on this machine, as far as we may look at them */
	int process_count;
};

/* Says what was found; `change`: what to do about it, NULL with FINDING_OK. */
void doctor_say(struct doctor *doctor, enum finding finding, const char *change, const char *format,
		...) __attribute__((format(printf, 4, 5)));

/* doctor_redis.c: whether Redis is one that the service can work with, and is swept */
void doctor_check_redis(struct doctor *doctor);
/* doctor_streamd.c: presence-streamd's socket, and how many streams it may hold */
void doctor_check_streamd(struct doctor *doctor);
/* doctor_web.c: the web server at --url */
void doctor_check_web(struct doctor *doctor);
/* doctor_load.c: whether calls are answered while many streams are open */
void doctor_check_load(struct doctor *doctor);

/* doctor_advice.c: the line to change; of every web server when this one is not known */
const char *doctor_change(enum web_server server, enum mistake mistake);
/* The web server of this name, as a Server field or a process has it. */
enum web_server doctor_server_named(const char *name);
const char *doctor_server_name(enum web_server server);

/*
 * doctor_host.c: finds the web server's processes, if it runs here (`address` is the one that
 * answered, `port` its own) and we may look at them.
 */
void doctor_find_server(struct doctor *doctor, const char *address, int port);
/* Whether the web server's user may connect to the programs' sockets; false: said why not. */
bool doctor_check_rights(struct doctor *doctor);
/* Whether its processes may open as many descriptors as streams take. */
void doctor_check_descriptors(struct doctor *doctor);

/* doctor_process.c: from /proc; false: there is no such process, or it cannot be looked at */
bool doctor_read_limits(pid_t pid, long long *soft, long long *hard);
bool doctor_read_process(pid_t pid, struct web_process *process, char name[32]);
/* The processes of a known web server that hold the listening socket; NULL: none. To be freed. */
struct web_process *doctor_listeners(const char *address, int port, int *count,
				     enum web_server *server);

#endif
