/* A peer on a FastCGI socket: the sending and reading of wire.h. */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

int wire_connect(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
	if (connect(fd, (struct sockaddr *)&name, sizeof name) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

bool wire_answers(const char *path)
{
	int fd = wire_connect(path);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int wire_connect_streamd(struct stack *stack, int streamd)
{
	int fd = wire_connect(streamd_socket(stack, streamd));

	ck_assert_msg(fd >= 0, "cannot connect to streamd %d: %s", streamd, strerror(errno));
	return fd;
}

void wire_send(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t done = send(fd, at, len, MSG_NOSIGNAL);

		if (done < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
			continue;
		}
		if (done <= 0)
			return;
		at += done;
		len -= (size_t)done;
	}
}

bool wire_read(int fd, struct printbuf *in, size_t want, int ms)
{
	int64_t end = now_ms() + patience(ms);
	char piece[4096];

	while (want == 0 || buf_len(in) < want) {
		int left = (int)(end - now_ms());
		ssize_t got;

		if (left < 0 || poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, left) <= 0)
			return false;
		got = read(fd, piece, sizeof piece);
		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return want == 0;
		if (got > 0)
			buf_put(in, piece, (size_t)got);
	}
	return true;
}
