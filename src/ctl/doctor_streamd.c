/* doctor: presence-streamd's own socket, past the web server. */
#include "ctl/doctor_checks.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <fastcgi.h>

#include "base/address.h"

#define TIMEOUT_S 2
#define SPARE_DESCRIPTORS 96 /* as presence-streamd keeps them: stream/server.c */

static const char start_it[] = "start presence-streamd, or correct stream.listen";

static int connect_unix(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int connect_tcp(const struct listen_address *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int fd = -1;

	if (getaddrinfo(address->host, address->port, &hints, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	for (struct addrinfo *it = found; fd < 0 && it != NULL; it = it->ai_next) {
		fd = socket(it->ai_family, it->ai_socktype | SOCK_CLOEXEC, it->ai_protocol);
		if (fd >= 0 && connect(fd, it->ai_addr, it->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

/* Who can connect is trusted (FastCGI has no passwords). */
static void check_mode(struct doctor *doctor, const char *path)
{
	struct stat info;

	if (stat(path, &info) == 0 && (info.st_mode & S_IWOTH) != 0)
		doctor_say(doctor, FINDING_WARN,
			   "stream.mode 0660, and a group in common with the web server",
			   "streamd: every user of this machine may connect to %s", path);
}

/* FCGI_GET_VALUES, FastCGI section 4.1: the number of streams it takes, 0: no proper answer. */
static int ask_limit(int fd)
{
	static const char name[] = FCGI_MAX_CONNS;
	const struct timeval limit = {.tv_sec = TIMEOUT_S};
	unsigned char record[64] = {FCGI_VERSION_1,
				    FCGI_GET_VALUES,
				    0,
				    0,
				    0,
				    sizeof name + 1,
				    0,
				    0,
				    sizeof name - 1,
				    0};
	unsigned char reply[128];
	char number[16];
	size_t got = 0, len, name_len = sizeof name - 1;
	ssize_t piece;

	memcpy(record + 10, name, name_len);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (send(fd, record, 10 + name_len, MSG_NOSIGNAL) != (ssize_t)(10 + name_len))
		return 0;
	/* cppcheck-suppress legacyUninitvar ; reply[5] is read once it is there */
	while (got < 10 + name_len || got < (size_t)FCGI_HEADER_LEN + reply[5]) {
		piece = recv(fd, reply + got, sizeof reply - got, 0);
		if (piece <= 0)
			return 0;
		got += (size_t)piece;
	}
	len = reply[9];
	if (reply[1] != FCGI_GET_VALUES_RESULT || reply[8] != name_len || len >= sizeof number ||
	    got < 10 + name_len + len || memcmp(reply + 10, name, name_len) != 0)
		return 0;
	memcpy(number, reply + 10 + name_len, len);
	number[len] = '\0';
	return atoi(number);
}

/* Of the running process where it can be told, else what a process gets here. */
static void check_descriptors(struct doctor *doctor, int fd)
{
	int wanted = doctor->ctl->config->stream.max_streams;
	const char *whose = "presence-streamd";
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof peer;
	struct web_process process;
	struct rlimit own;
	char name[32] = "";
	long long soft, limit = -1;

	/* With a socket of systemd's the peer is systemd. */
	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0 &&
	    doctor_read_process(peer.pid, &process, name) &&
	    strncmp(name, "presence-stream", 15) == 0 &&
	    !doctor_read_limits(peer.pid, &soft, &limit))
		limit = -1;
	if (limit < 0 && getrlimit(RLIMIT_NOFILE, &own) == 0) {
		limit = (long long)own.rlim_max;
		whose = "a process of this shell";
	}
	if (limit < wanted + SPARE_DESCRIPTORS)
		doctor_say(doctor, FINDING_WARN, "LimitNOFILE= higher, or stream.max_streams lower",
			   "descriptors: %s may open %lld, so at most %lld streams instead of "
			   "max_streams = %d",
			   whose, limit, limit - SPARE_DESCRIPTORS, wanted);
	else
		doctor_say(doctor, FINDING_OK, NULL,
			   "descriptors: %s may open %lld, enough for max_streams = %d", whose,
			   limit, wanted);
}

void doctor_check_streamd(struct doctor *doctor)
{
	const char *listen = doctor->ctl->config->stream.listen;
	struct listen_address address;
	const char *why = listen_address_parse(listen, &address);
	int fd = -1, limit;

	if (why != NULL) {
		doctor_say(doctor, FINDING_FAIL, "unix:/path or tcp:host:port", "stream.listen: %s",
			   why);
		return;
	}
	fd = address.path != NULL ? connect_unix(address.path) : connect_tcp(&address);
	if (fd < 0) {
		doctor_say(doctor, FINDING_FAIL,
			   errno == EACCES ? "run this as a user of its group, or set stream.mode"
					   : start_it,
			   "streamd: nobody answers at %s: %s", listen, strerror(errno));
	} else {
		limit = ask_limit(fd);
		doctor->streamd_answers = limit > 0;
		if (limit > 0)
			doctor_say(doctor, FINDING_OK, NULL,
				   "streamd: answers at %s, takes %d streams", listen, limit);
		else
			doctor_say(doctor, FINDING_FAIL,
				   "see what listens there, and presence-streamd's log",
				   "streamd: %s gives no proper answer within %d s", listen,
				   TIMEOUT_S);
		if (address.path != NULL)
			check_mode(doctor, address.path);
	}
	check_descriptors(doctor, fd);
	if (fd >= 0)
		close(fd);
	listen_address_free(&address);
}
