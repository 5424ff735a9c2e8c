#include "api/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_MAX 16384 /* bytes that go along in the message; more go in a file */

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(2 * sizeof(int))];
};

bool channel_open(int ends[2])
{
	/* Keeps messages apart, and, unlike a datagram socket, tells when the other end is gone. */
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0;
}

/* A file of what was taken, to be read from its beginning; -1 with errno. */
static int file_of(const struct printbuf *taken)
{
	int fd = memfd_create("request", MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	/* Written whole or not at all but for want of memory. */
	if (pwrite(fd, taken->buf, buf_len(taken), 0) != (ssize_t)buf_len(taken)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Appends what is in the file, and closes it. */
static void read_file(int fd, struct printbuf *taken)
{
	struct stat info;
	char *bytes;

	if (fstat(fd, &info) == 0 && info.st_size > 0) {
		bytes = buf_extend(taken, (size_t)info.st_size);
		if (pread(fd, bytes, (size_t)info.st_size, 0) != info.st_size)
			buf_reset(taken);
	}
	close(fd);
}

static bool send_message(int end, const int fds[2], enum channel_word word, void *bytes, size_t len)
{
	size_t size = (fds[1] >= 0 ? 2 : 1) * sizeof(int);
	char byte = (char)word;
	union control control = {.bytes = {0}};
	struct iovec parts[2] = {{.iov_base = &byte, .iov_len = 1},
				 {.iov_base = bytes, .iov_len = len}};
	struct msghdr message = {.msg_iov = parts,
				 .msg_iovlen = 2,
				 .msg_control = control.bytes,
				 .msg_controllen = CMSG_SPACE(size)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(header), fds, size);
	return sendmsg(end, &message, MSG_NOSIGNAL) == (ssize_t)(1 + len);
}

bool channel_send(int end, int fd, enum channel_word word, const struct printbuf *taken)
{
	size_t len = taken != NULL ? buf_len(taken) : 0;
	int fds[2] = {fd, -1};
	bool is_sent;

	if (len <= MESSAGE_MAX)
		return send_message(end, fds, word, len > 0 ? taken->buf : NULL, len);
	fds[1] = file_of(taken);
	is_sent = fds[1] >= 0 && send_message(end, fds, word, NULL, 0);
	if (fds[1] >= 0)
		close(fds[1]);
	return is_sent;
}

void channel_finish(int end)
{
	shutdown(end, SHUT_WR);
}

bool channel_is_finished(int end)
{
	struct pollfd state = {.fd = end, .events = POLLRDHUP};

	return poll(&state, 1, 0) == 1 && (state.revents & (POLLRDHUP | POLLHUP)) != 0;
}

int channel_receive(int end, enum channel_word *word, struct printbuf *taken)
{
	static char bytes[MESSAGE_MAX];
	char byte;
	union control control;
	struct iovec parts[2] = {{.iov_base = &byte, .iov_len = 1},
				 {.iov_base = bytes, .iov_len = sizeof bytes}};
	struct msghdr message = {.msg_iov = parts,
				 .msg_iovlen = 2,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof control.bytes};
	const struct cmsghdr *header;
	ssize_t got = recvmsg(end, &message, MSG_CMSG_CLOEXEC);
	int fds[2] = {-1, -1};

	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return CHANNEL_ENDED;
	header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	/* Without a descriptor: this process has none left, and the kernel closed it. */
	if (header == NULL || header->cmsg_type != SCM_RIGHTS)
		return CHANNEL_EMPTY;
	memcpy(fds, CMSG_DATA(header),
	       header->cmsg_len > CMSG_LEN(sizeof fds[0]) ? sizeof fds : sizeof fds[0]);
	buf_reset(taken);
	buf_put(taken, bytes, (size_t)got - 1);
	if (fds[1] >= 0)
		read_file(fds[1], taken);
	*word = (enum channel_word)byte;
	return fds[0];
}
