#include "base/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"

#define LISTEN_BACKLOG 1024

bool address_parse_number(const char *text, int max, int *number)
{
	long value = 0;

	if (*text == '\0' || strlen(text) > 9)
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (*text - '0');
	}
	*number = (int)value;
	return value <= max;
}

bool address_split(char *text, char **host, char **port)
{
	char *colon;

	if (*text == '[') {
		char *close = strchr(text, ']');

		if (close == NULL || (close[1] != '\0' && close[1] != ':'))
			return false;
		*close = '\0';
		*host = text + 1;
		*port = close[1] == ':' ? close + 2 : NULL;
		return **host != '\0';
	}
	*host = text;
	colon = strchr(text, ':');
	*port = colon != NULL ? colon + 1 : NULL;
	if (colon != NULL)
		*colon = '\0';
	return *text != '\0' && (*port == NULL || strchr(*port, ':') == NULL);
}

const char *listen_address_parse(const char *text, struct listen_address *address)
{
	char *copy, *host, *port;
	int number;

	memset(address, 0, sizeof *address);
	if (strncmp(text, "unix:", 5) == 0) {
		if (text[5] != '/')
			return "unix: needs an absolute path";
		if (strlen(text + 5) >= sizeof((struct sockaddr_un *)0)->sun_path)
			return "the path of the socket is too long";
		address->path = xstrdup(text + 5);
		return NULL;
	}
	if (strncmp(text, "tcp:", 4) != 0)
		return "a place to listen is unix:/path or tcp:host:port";
	copy = xstrdup(text + 4);
	if (!address_split(copy, &host, &port) || port == NULL ||
	    !address_parse_number(port, 65535, &number)) {
		free(copy);
		return "a TCP place to listen is tcp:host:port";
	}
	address->host = xstrdup(host);
	address->port = xstrdup(port);
	free(copy);
	return NULL;
}

void listen_address_free(struct listen_address *address)
{
	free(address->path);
	free(address->host);
	free(address->port);
	memset(address, 0, sizeof *address);
}

static int fail(int fd, const char **why, const char *sentence)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	*why = sentence;
	return -1;
}

/* Whether somebody answers on the socket file. */
static bool unix_in_use(const struct sockaddr_un *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool used = fd >= 0 && (connect(fd, (const struct sockaddr *)name, sizeof *name) == 0 ||
				(errno != ECONNREFUSED && errno != ENOENT));

	if (fd >= 0)
		close(fd);
	return used;
}

static int open_unix(const char *path, unsigned mode, const char **why)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct stat info;
	mode_t mask;
	int fd, bound;

	memcpy(name.sun_path, path, strlen(path) + 1);
	if (lstat(path, &info) == 0) {
		if (!S_ISSOCK(info.st_mode)) {
			errno = EEXIST;
			return fail(-1, why, "the path exists and is not a socket");
		}
		if (unix_in_use(&name)) {
			errno = EADDRINUSE;
			return fail(-1, why, "another process listens there");
		}
		unlink(path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(fd, why, "cannot make a socket");
	mask = umask(0777 & ~mode);
	bound = bind(fd, (struct sockaddr *)&name, sizeof name);
	umask(mask);
	if (bound != 0)
		return fail(fd, why, "cannot bind the socket");
	if (chmod(path, mode) != 0 || listen(fd, LISTEN_BACKLOG) != 0)
		return fail(fd, why, "cannot listen");
	return fd;
}

static int open_tcp(const char *host, const char *port, const char **why)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
	int fd, on = 1;

	if (getaddrinfo(host, port, &hints, &found) != 0) {
		errno = EINVAL;
		return fail(-1, why, "cannot resolve the host");
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
		freeaddrinfo(found);
		return fail(fd, why, "cannot listen");
	}
	freeaddrinfo(found);
	return fd;
}

int listen_address_open(const struct listen_address *address, unsigned mode, const char **why)
{
	return address->path != NULL ? open_unix(address->path, mode, why)
				     : open_tcp(address->host, address->port, why);
}

void listen_address_withdraw(int fd, const char *path)
{
	unlink(path);
	/* Who has looked the path up before is refused from here on (unix(7) does not say so; a
	 * listening TCP socket would lose its queue by this). */
	shutdown(fd, SHUT_RD);
}

bool fd_is_listening(int fd)
{
	int listening = 0;
	socklen_t len = sizeof listening;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening != 0;
}
